"""The cache of built parts: one folder per part and version, either whole or absent."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stand.run import Failure, shown, tail


@dataclass(frozen=True)
class Recipe:
    """How one part is made: `make(folder, log)` fills the empty folder, writing its output to the log."""

    name: str
    version: str
    programs: tuple[str, ...]
    make: Callable[[Path, Path], None]

    @property
    def folder(self) -> Path:
        """Where the part is once it is built."""
        return root() / f"{self.name}-{self.version}"

    @property
    def built(self) -> bool:
        """Whether the part is there, whole."""
        return self.folder.is_dir()


_SAY_EVERY = 15  # seconds


def root() -> Path:
    """The cache folder: outside every checkout, so that all of them share it."""
    given = os.environ.get("MATRIXHUB_CACHE")
    if given:
        return Path(given).resolve()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "matrixhub"


@contextmanager
def _alone(recipe: Recipe) -> Iterator[None]:
    """Hold the part's build lock: a second build of it waits, then finds it made."""
    root().mkdir(parents=True, exist_ok=True)
    with (root() / f".{recipe.folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            shown(recipe.name, "another build of it runs; waiting for that one")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(recipe: Recipe) -> None:
    """The part is in the cache; a failure or an interruption leaves nothing under its name."""
    with _alone(recipe):
        if recipe.built:
            return
        log = root() / f"{recipe.folder.name}.log"
        log.write_text("")
        half = root() / f".{recipe.folder.name}.half"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        shown(recipe.name, f"building {recipe.version} (output in {log})")
        began = time.monotonic()
        try:
            recipe.make(half, log)
        except Failure as failure:
            shutil.rmtree(half, ignore_errors=True)
            told = f"{recipe.name} was not built: {failure}"
            raise Failure(f"{told}\n{tail(log)}\nThe whole output: {log}") from None
        half.rename(recipe.folder)
        shown(recipe.name, f"built in {time.monotonic() - began:.0f} s")


def _lines(log: Path) -> int:
    """How many lines the log has so far."""
    try:
        return log.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def build(recipes: list[Recipe]) -> None:
    """Every recipe is in the cache; two are made at a time, and progress is shown meanwhile."""
    missing = [recipe for recipe in recipes if not recipe.built]
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=2) as workers:
        jobs = {workers.submit(_make, recipe): recipe for recipe in missing}
        said = began
        while any(not job.done() for job in jobs):
            time.sleep(0.2)
            if time.monotonic() - said >= _SAY_EVERY:
                said = time.monotonic()
                for job, recipe in jobs.items():
                    if job.running():
                        lines = _lines(root() / f"{recipe.folder.name}.log")
                        shown(recipe.name, f"still building, {lines} lines of output, {said - began:.0f} s")
    failures = [str(error) for job in jobs if (error := job.exception())]
    if failures:
        raise Failure("\n\n".join(failures))
