"""Images in a file: what Docker saves and containerd imports, written without either."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from stand.cache import Recipe

Fill = Callable[[Path], None]

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """A name, how it starts, and its layers, the lowest first: from the cache, or a tree that is filled when asked."""

    name: str
    layers: tuple[Recipe | Fill, ...]
    config: dict[str, object] = field(hash=False)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The entry without what differs from one making to the next, and for everybody to read."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode |= 0o555 if entry.mode & 0o100 else 0o444
    return entry


def pack(tree: Path, folder: Path) -> Path:
    """The folder holds all that is in the tree as a layer: a tar file named by its digest."""
    half = folder / "layer.tar"
    with tarfile.open(half, "w") as tar:
        for path in sorted(tree.rglob("*")):
            tar.add(path, path.relative_to(tree), recursive=False, filter=_anonymous)
    with half.open("rb") as packed:
        digest = hashlib.file_digest(packed, "sha256").hexdigest()
    return half.rename(folder / f"{digest}.tar")


def _layer(layer: Recipe | Fill, folder: Path) -> Path:
    """The layer's tar file."""
    if isinstance(layer, Recipe):
        return next(layer.folder.glob("*.tar"))
    with tempfile.TemporaryDirectory(dir=folder) as tree:
        layer(Path(tree))
        return pack(Path(tree), folder)


def _config(image: Image, layers: Iterable[Path]) -> bytes:
    return json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.stem}" for layer in layers]},
        }
    ).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def write(path: Path, images: Iterable[Image]) -> None:
    """The file holds the images; a layer that several of them have is in it once."""
    images = tuple(images)
    manifest = []
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, tarfile.open(path, "w") as tar:
        files = {layer: _layer(layer, Path(folder)) for layer in {layer for image in images for layer in image.layers}}
        for file in files.values():
            tar.add(file, file.name)
        for image in images:
            layers = [files[layer] for layer in image.layers]
            config = _config(image, layers)
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add(tar, name, config)
            manifest.append({"Config": name, "RepoTags": [image.name], "Layers": [layer.name for layer in layers]})
        _add(tar, "manifest.json", json.dumps(manifest).encode())
