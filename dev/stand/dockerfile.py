"""The Dockerfiles built as users build them, by Debian's buildah: archives that containerd reads. As root."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from stand.cache import build, root
from stand.images import DOCKERFILE, GATEWAY_DOCKERFILE, MATRIXHUB
from stand.recipes import DEBIAN, program
from stand.run import output, succeeds
from stand.state import CHECKOUT

BASE = "localhost/debian:bookworm"
"""Debian without a registry: what the Dockerfiles' argument of that name says here."""
_TRUST = {"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "UV_SYSTEM_CERTS": "1"}
"""For pip and uv, which know neither Debian's authorities nor a company's own."""


def operators(folder: Path) -> Path:
    """The archive of the operator's image."""
    label = "org.opencontainers.image.revision"
    revision = MATRIXHUB.labels()[label]
    # The label by itself, too: buildah 1.28 takes a layer of its cache also where an argument of LABEL has changed.
    given = ("--build-arg", f"REVISION={revision}", "--label", f"{label}={revision}")
    return _archive(folder / "image.tar", DOCKERFILE, "Dockerfile", *given)


def gateways(folder: Path) -> Path:
    """The archive of the gateways' image. Its stage `gateway`, which compiles for minutes, is the stand's program."""
    stage = folder / "gateway"
    compiled = stage / "tree" / "usr" / "local" / "bin" / "sockudo"
    compiled.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(program("sockudo"), compiled)
    given = ("--build-context", f"gateway={stage}")
    return _archive(folder / "gateway.tar", GATEWAY_DOCKERFILE, "Dockerfile.gateway", *given)


def _archive(into: Path, name: str, file: str, *given: str) -> Path:
    """An OCI archive of the image that the file makes, under that name."""
    _begin()
    into.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile() as made:
        how = ["--quiet", "--isolation", "chroot", "--layers", "--pull-never", "--build-arg", f"BASE={BASE}", *given]
        output(_buildah("bud", *how, "--iidfile", made.name, "--file", CHECKOUT / file, CHECKOUT))
        image = Path(made.name).read_text().strip()
    output(_buildah("push", "--quiet", image, f"oci-archive:{into}:{name}"))
    return into


def _begin() -> None:
    """There is an image of Debian to begin with."""
    build([DEBIAN])
    if succeeds(_buildah("inspect", "--type", "image", BASE)):
        return
    container = output(_buildah("from", "scratch")).strip()
    trust = [word for name, value in _TRUST.items() for word in ("--env", f"{name}={value}")]
    output(_buildah("add", "--quiet", container, DEBIAN.folder / "base.tar", "/"))
    output(_buildah("config", *trust, container))
    output(_buildah("commit", "--quiet", "--rm", container, BASE))


def _buildah(*words: str | Path) -> list[str | Path]:
    """A call of buildah, whose images and layers are in the cache: they are found again after this stand is gone."""
    storage = ["--root", root() / "buildah", "--runroot", "/run/matrixhub/buildah", "--storage-driver", "overlay"]
    return ["buildah", *storage, *words]
