"""The images of the node, made by hand, since there is no registry."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from stand.archive import Image
from stand.layers import BASE, DEPENDENCIES, PYTHON, PYTHON_PACKAGES
from stand.recipes import BUSYBOX as BUSYBOX_RECIPE
from stand.recipes import SOCKUDO
from stand.run import output
from stand.state import CHECKOUT

_NOBODY = "65532:65532"
_PACKAGE = CHECKOUT / "operator" / "matrixhub"
_ENTRY = """\
#!/usr/bin/python3.11 -I
import sys

from matrixhub.cli import main

sys.exit(main())
"""


def _busybox(tree: Path) -> None:
    """One program, under the name of each of its tools."""
    for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("proc", 0o755), ("sys", 0o755)):
        (tree / name).mkdir()
        (tree / name).chmod(mode)
    program = tree / "bin" / "busybox"
    shutil.copyfile(next(BUSYBOX_RECIPE.folder.glob("**/bin/busybox")), program)
    program.chmod(0o755)
    for tool in output([program, "--list"]).split():
        if tool != "busybox":
            (tree / "bin" / tool).symlink_to("busybox")
    (tree / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    (tree / "etc" / "group").write_text("root:x:0:\nnogroup:x:65534:\n")


def _sockudo(tree: Path) -> None:
    """The gateway's one program."""
    (tree / "usr/local/bin").mkdir(parents=True)
    shutil.copy(SOCKUDO.folder / "bin" / "sockudo", tree / "usr/local/bin/sockudo")


def _matrixhub(tree: Path) -> None:
    """The operator's code as it is in the checkout now, and its command."""
    shutil.copytree(_PACKAGE, tree / PYTHON_PACKAGES / "matrixhub", ignore=shutil.ignore_patterns("__pycache__"))
    command = tree / "usr/local/bin/matrixhub"
    command.parent.mkdir()
    command.write_text(_ENTRY)
    command.chmod(0o755)


def _code() -> str:
    """What tells the operator's code from any other state of it."""
    digest = hashlib.sha256(DEPENDENCIES.version.encode() + PYTHON.version.encode() + BASE.version.encode())
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
)
IMAGES = (PAUSE, BUSYBOX, GATEWAY, MATRIXHUB)
