"""What an image is: its configuration, and every file of it, read from an archive of the image."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

COMPILED = 16
"""Bytes at the head of a compiled Python module, which tell the hash of its source; the rest is the compiler's."""

PROGRAMS = b"bin/"
"""What a package's list of its files has of its programs: their hashes, after the Python that installed them."""


class File(NamedTuple):
    """A file, folder or link, without its time."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    content: str


@dataclass(frozen=True)
class Contents:
    """Of the one image in an OCI archive."""

    archive: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """How it starts, and its labels."""
        with tarfile.open(self.archive) as tar:
            found: dict[str, Any] = _json(tar, self._manifest(tar)["config"])["config"]
            return found

    @cached_property
    def files(self) -> dict[str, File]:
        """By path, as the layers leave them."""
        found: dict[str, File] = {}
        with tarfile.open(self.archive) as tar:
            for descriptor in self._manifest(tar)["layers"]:
                with tarfile.open(fileobj=tar.extractfile(_blob(descriptor))) as layer:
                    found.update(_read(layer, found))
        return found

    def text(self, path: str) -> str:
        """The text of a file, which is in one layer alone."""
        with tarfile.open(self.archive) as tar:
            for descriptor in self._manifest(tar)["layers"]:
                with tarfile.open(fileobj=tar.extractfile(_blob(descriptor))) as layer:
                    for member in layer:
                        if _path(member) == path and (found := layer.extractfile(member)):
                            return found.read().decode()
        raise FileNotFoundError(path)

    def _manifest(self, tar: tarfile.TarFile) -> Any:
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type] # a file, never a folder
        (manifest,) = index["manifests"]
        return _json(tar, manifest)


def _blob(descriptor: dict[str, str]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _json(tar: tarfile.TarFile, descriptor: dict[str, str]) -> Any:
    return json.load(tar.extractfile(_blob(descriptor)))  # type: ignore[arg-type] # a file, never a folder


def _path(member: tarfile.TarInfo) -> str:
    return str(PurePosixPath("/", member.name))


def _read(layer: tarfile.TarFile, below: dict[str, File]) -> Iterator[tuple[str, File]]:
    """Each member of a layer, over what is below it."""
    for member in layer:
        path = _path(member)
        assert not PurePosixPath(path).name.startswith(".wh."), f"{path}: a layer takes away what is below it"
        if member.islnk():
            yield path, below[str(PurePosixPath("/", member.linkname))]
        elif path != "/":
            yield path, File(member.type, member.mode & 0o7777, (member.uid, member.gid), _content(layer, member))


def _content(layer: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """Where a link leads, or what tells a file from every other."""
    opened = layer.extractfile(member) if member.isfile() else None
    if opened is None:
        return member.linkname
    said = opened.read(COMPILED) if member.name.endswith(".pyc") else opened.read()
    if member.name.endswith(".dist-info/RECORD"):
        said = b"".join(line for line in said.splitlines(keepends=True) if not line.startswith(PROGRAMS))
    return hashlib.sha256(said).hexdigest()
