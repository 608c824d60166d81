"""Images in a file: an OCI image layout as containerd imports it, written without a container engine."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from stand.cache import Recipe

Fill = Callable[[Path], None]

_TYPE = "application/vnd.oci.image"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """A name, how it starts, and its layers, the lowest first: from the cache, or a tree that is filled when asked.

    `labels` are told when asked.
    """

    name: str
    layers: tuple[Recipe | Fill, ...]
    config: dict[str, object] = field(hash=False)
    labels: Callable[[], dict[str, str]] = dict


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
            "config": {**image.config, "Labels": image.labels()},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.stem}" for layer in layers]},
        }
    ).encode()


class _Layout:
    """An OCI image layout, written into a tar file: blobs by digest, and an index of what they are."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._manifests: list[dict[str, object]] = []

    def image(self, image: Image, layers: list[Path]) -> None:
        """The image is in the layout, but for its layers."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_TYPE}.manifest.v1+json",
            "config": self._blob(f"{_TYPE}.config.v1+json", _config(image, layers)),
            "layers": [_descriptor(f"{_TYPE}.layer.v1.tar", file.stem, file.stat().st_size) for file in layers],
            "annotations": image.labels(),
        }
        entry = self._blob(f"{_TYPE}.manifest.v1+json", json.dumps(manifest).encode())
        self._manifests.append({**entry, "annotations": {"io.containerd.image.name": image.name}})

    def layer(self, file: Path) -> None:
        """The layer is in the layout."""
        self._tar.add(file, f"blobs/sha256/{file.stem}")

    def close(self) -> None:
        """The layout is whole."""
        self._add("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        self._add("index.json", json.dumps({"schemaVersion": 2, "manifests": self._manifests}).encode())

    def _blob(self, kind: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        self._add(f"blobs/sha256/{digest}", content)
        return _descriptor(kind, digest, len(content))

    def _add(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        self._tar.addfile(entry, io.BytesIO(content))


def _descriptor(kind: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}


def write(path: Path, images: Iterable[Image], present: Collection[str] = ()) -> None:
    """The file holds the images, each layer once; those whose digest is `present` where it goes are left out."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, tarfile.open(path, "w") as tar:
        layout = _Layout(tar)
        files: dict[Recipe | Fill, Path] = {}
        for image in images:
            for layer in image.layers:
                if layer not in files:
                    files[layer] = _layer(layer, Path(folder))
            layout.image(image, [files[layer] for layer in image.layers])
        for file in files.values():
            if f"sha256:{file.stem}" not in present:
                layout.layer(file)
        layout.close()
