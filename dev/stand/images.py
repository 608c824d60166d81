"""The images of the node, made by hand, since there is no registry."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from pathlib import Path

from stand import sbom
from stand.archive import Image
from stand.layers import BASE, DEPENDENCIES, PYTHON, PYTHON_PACKAGES, compiled
from stand.recipes import BUSYBOX as BUSYBOX_RECIPE
from stand.recipes import SOCKUDO, program
from stand.run import Failure, output
from stand.state import CHECKOUT

_NOBODY = "65532:65532"
_PACKAGE = CHECKOUT / "operator" / "matrixhub"


def _busybox(tree: Path) -> None:
    """One program, under the name of each of its tools."""
    for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("proc", 0o755), ("sys", 0o755)):
        (tree / name).mkdir()
        (tree / name).chmod(mode)
    busybox = next(BUSYBOX_RECIPE.folder.glob("**/bin/busybox"))
    shutil.copy(busybox, tree / "bin" / "busybox")
    # Not the copy: a process that another thread starts meanwhile may hold it open for writing (ETXTBSY).
    for tool in output([busybox, "--list"]).split():
        if tool != "busybox":
            (tree / "bin" / tool).symlink_to("busybox")
    (tree / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    (tree / "etc" / "group").write_text("root:x:0:\nnogroup:x:65534:\n")


def _sockudo(tree: Path) -> None:
    """The gateway's one program."""
    (tree / "usr/local/bin").mkdir(parents=True)
    shutil.copy(program("sockudo"), tree / "usr/local/bin/sockudo")


def _matrixhub(tree: Path) -> None:
    """The operator's code as it is in the checkout now, and its command."""
    shutil.copytree(_PACKAGE, tree / PYTHON_PACKAGES / "matrixhub", ignore=shutil.ignore_patterns("__pycache__"))
    command = tree / "usr/local/bin/matrixhub"
    command.parent.mkdir()
    command.write_text(_entry())
    command.chmod(0o755)
    compiled(tree)


def _entry() -> str:
    """The command `matrixhub` as an installer would write it."""
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["matrixhub"].partition(":")
    return f"#!/usr/bin/python3.11 -I\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"


def _labels() -> dict[str, str]:
    """What the Dockerfile says of its image."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    named = "org.opencontainers.image"
    return {
        f"{named}.title": "Matrix Hub",
        f"{named}.description": project["description"],
        f"{named}.version": project["version"],
        f"{named}.revision": _revision(),
        "io.matrixhub.sbom": f"/{sbom.PATH}",
    }


def _revision() -> str:
    """The commit of the checkout, with `-dirty` where it was changed since; `unknown` outside of git."""
    describe = [
        "git",
        "-C",
        CHECKOUT,
        "-c",
        "safe.directory=*",
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return output(describe).strip()
    except (Failure, FileNotFoundError):
        return "unknown"


def _code() -> str:
    """What tells the operator's code from any other state of it."""
    below = (BASE.version, PYTHON.version, DEPENDENCIES.version, _entry())
    digest = hashlib.sha256("\0".join(below).encode())
    for path in sorted(_PACKAGE.rglob("*")):
        if path.is_file() and path.parent.name != "__pycache__":
            digest.update(f"{path.relative_to(_PACKAGE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


PAUSE = Image("localhost/pause:1", (_busybox,), {"Cmd": ["/bin/sleep", "infinity"], "Env": ["PATH=/bin"]})
BUSYBOX = Image("localhost/busybox:1", (_busybox,), {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]})
GATEWAY = Image(
    f"localhost/matrixhub-gateway:{SOCKUDO.version}",
    (BASE, _sockudo),
    {"Entrypoint": ["/usr/local/bin/sockudo"], "User": _NOBODY, "WorkingDir": "/"},
)
MATRIXHUB = Image(
    f"localhost/matrixhub:{_code()}",
    (BASE, PYTHON, DEPENDENCIES, _matrixhub),
    {
        "Entrypoint": ["/usr/local/bin/matrixhub"],
        "User": _NOBODY,
        "WorkingDir": "/",
        "Env": ["PATH=/usr/local/bin:/usr/bin", "PYTHONUNBUFFERED=1"],
    },
    _labels,
)
DOCKERFILE, GATEWAY_DOCKERFILE = "localhost/matrixhub:dockerfile", "localhost/matrixhub-gateway:dockerfile"
"""The names of the images that the Dockerfiles make."""
IMAGES = (PAUSE, BUSYBOX, GATEWAY, MATRIXHUB)
