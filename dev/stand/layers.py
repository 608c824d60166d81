"""The layers of images that change seldom: in the cache, each made once for all checkouts."""

from __future__ import annotations

import hashlib
import re
import shutil
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from stand import sbom
from stand.archive import pack
from stand.cache import Recipe, build
from stand.recipes import UV
from stand.run import logged, output
from stand.state import CHECKOUT

# Where Debian's Python looks for packages that Debian did not install.
PYTHON_PACKAGES = Path("usr/local/lib/python3.11/dist-packages")

# Of what uv installs: the packages' own programs, which name this machine's Python, and the installer's lock.
_LEFT_OUT = ("bin", ".lock")

_LOCK = CHECKOUT / "requirements.lock"
_PROJECT = CHECKOUT / "pyproject.toml"
_DOCKERFILE = CHECKOUT / "Dockerfile"


def _packages(argument: str) -> list[str]:
    """The Debian packages that the Dockerfile names, too."""
    (names,) = re.findall(rf'^ARG {argument}="(.*)"$', _DOCKERFILE.read_text(), re.MULTILINE)
    return str(names).split()


_BASE = _packages("BASE_PACKAGES")
_PYTHON = _packages("PYTHON_PACKAGES")


def _layer(name: str, version: str, fill: Callable[[Path, Path], None]) -> Recipe:
    """The recipe of a layer: `fill(tree, log)` puts its files into an empty tree."""

    def make(folder: Path, log: Path) -> None:
        tree = folder / "tree"
        tree.mkdir()
        fill(tree, log)
        pack(tree, folder)
        shutil.rmtree(tree)

    return Recipe(f"layer-{name}", version, (), make)


def _extract(packages: Iterable[str], tree: Path, log: Path) -> None:
    """The tree holds the files of the Debian packages; none of their scripts has run."""
    logged(["apt-get", "-o", "APT::Sandbox::User=root", "download", *packages], log, tree)
    for package in sorted(tree.glob("*.deb")):
        logged(["dpkg-deb", "--extract", package, tree], log, tree)
        package.unlink()


def compiled(tree: Path) -> None:
    """Every Python module of the tree is compiled: in a pod, which cannot write, it would be at each start."""
    paths = ["-s", tree, "-p", "/", tree / "usr"]
    output(["python3.11", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", *paths])


def _base(tree: Path, log: Path) -> None:
    """The tree is the least that a program linked with glibc and OpenSSL runs on. There is no shell in it."""
    _extract(_BASE, tree, log)
    authorities = sorted((tree / "usr/share/ca-certificates").rglob("*.crt"))
    (tree / "etc/ssl/certs/ca-certificates.crt").write_text("".join(file.read_text() for file in authorities))
    (tree / "etc/passwd").write_text("root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/tmp:/\n")
    (tree / "etc/group").write_text("root:x:0:\nnonroot:x:65532:\n")
    (tree / "tmp").mkdir()
    (tree / "tmp").chmod(0o1777)


def _python(tree: Path, log: Path) -> None:
    """The tree holds Python, for a layer over the base."""
    _extract(_PYTHON, tree, log)
    compiled(tree)


def _dependencies(tree: Path, log: Path) -> None:
    """The tree holds what the operator imports, in the versions of the lock file, and a list of it."""
    build([UV])
    # The full version of Debian's Python: before 3.11.3 one package more is needed.
    target = ["--python-version", "3.11.2", "--target", tree / PYTHON_PACKAGES]
    locked = ["--require-hashes", "--constraint", _LOCK, "--requirement", _PROJECT]
    command = [UV.folder / "bin" / "uv", "pip", "install", *target, *locked]
    logged(command, log, tree, {"UV_SYSTEM_CERTS": "1"})
    for name in _LEFT_OUT:
        logged(["rm", "-rf", tree / PYTHON_PACKAGES / name], log, tree)
    sbom.write(tree / PYTHON_PACKAGES, tree / sbom.PATH)
    compiled(tree)


def _digest(*texts: str) -> str:
    """A short name for exactly these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


BASE = _layer("base", _digest(*_BASE), _base)
PYTHON = _layer("python", _digest(*_PYTHON), _python)
DEPENDENCIES = _layer(
    "dependencies",
    _digest(
        _LOCK.read_text(),
        Path(sbom.__file__).read_text(),
        *tomllib.loads(_PROJECT.read_text())["project"]["dependencies"],
        *_LEFT_OUT,
    ),
    _dependencies,
)
LAYERS = [BASE, PYTHON, DEPENDENCIES]
