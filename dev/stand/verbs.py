"""What each verb does."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stand import environment, lifecycle, network, preflight, process, remains
from stand.cache import build as build_into_cache
from stand.dockerfile import gateways, operators
from stand.images import DOCKERFILE, GATEWAY_DOCKERFILE, IMAGES
from stand.layers import LAYERS
from stand.part import Part
from stand.parts import PARTS
from stand.parts.node import ctr, load_images
from stand.recipes import wanted
from stand.run import Failure, output, shown
from stand.state import Stand, alone, claim, claimed, release, state_folder

GROUPS = {"backends", "cluster", "node"}

_BUILT = "MATRIXHUB_STAND_BUILT"


def prepare() -> None:
    """The tools that build the parts and the packages that the stand runs are there."""
    preflight.check_tools(wanted())
    preflight.install_packages(wanted())


def build(names: list[str]) -> None:
    """All that the stand runs is on this machine; of the parts that are named, only these."""
    recipes = [recipe for recipe in [*wanted(), *LAYERS] if not names or recipe.name in names]
    if not names:
        prepare()
    build_into_cache(recipes)


def up(*, node: bool) -> None:
    """Every part is ready, its users and rights are as wanted, and the env file tells how to reach it."""
    began = time.monotonic()
    if _BUILT not in os.environ:
        build([])
        os.environ[_BUILT] = "yes"
    _become_root()
    stand, gone = claim(state_folder())
    if gone:
        shown("stand", f"slot {gone.slot} was that of {gone.state}, which is gone; clearing up after it")
        _clear(gone)
    with alone(stand):
        network.connect(stand)
        environment.write(stand)
        try:
            lifecycle.up(stand, [part for part in PARTS if part.group in (GROUPS if node else GROUPS - {"node"})])
        finally:
            environment.hand_over(stand)
    shown("stand", f"up after {time.monotonic() - began:.1f} s; next: . {stand.state / 'env'}")


def _clear(stand: Stand) -> None:
    """Nothing of the stand is left but its data."""
    lifecycle.down(stand, PARTS)
    remains.sweep(stand)
    network.disconnect(stand)


def down() -> None:
    """Nothing of the stand is left but its data, and its slot is free."""
    _become_root()
    state = state_folder()
    stand = claimed(state)
    if stand is None:
        # A reboot forgets the claims. What the stand may have left since is still found by its last slot.
        if not (state / "slot").exists():
            shown("stand", f"{state} holds no stand")
            return
        stand, _ = claim(state)
    with alone(stand):
        _clear(stand)
    release(stand)
    shown("stand", "down")


def clean() -> None:
    """Nothing of the stand is left, its data included."""
    down()
    if (state_folder() / "slot").exists():
        shutil.rmtree(state_folder())


def status() -> None:
    """A person has seen what runs."""
    _become_root()
    stand = _current()
    shown("stand", f"slot {stand.slot}, host {stand.host}, node {stand.node}, state {stand.state}")
    for part in PARTS:
        found = process.running(stand, part.name)
        if found is None:
            shown(part.name, "not running")
        else:
            shown(part.name, f"pid {found.pid}, {'ready' if part.ready(stand) else 'NOT READY'}")


def env() -> None:
    """The env file is on standard output."""
    print(environment.read(state_folder()), end="")


def logs(name: str, *, lines: int, follow: bool) -> None:
    """This process has become `tail`."""
    log = state_folder() / "logs" / f"{_part(name).name}.log"
    os.execvp("tail", ["tail", *(["-f"] if follow else []), "-n", str(lines), str(log)])


def load(archive: str) -> None:
    """The node has the images of the archive, which is one of Docker's or of OCI's."""
    _become_root()
    print(output(ctr(_current(), "images", "import", Path(archive).resolve())), end="")


def images() -> None:
    """The node has the operator's image as the code is now, and the env file names it."""
    build_into_cache(LAYERS)
    _become_root()
    stand = _current()
    with alone(stand):
        load_images(stand)
        environment.write(stand)
        environment.hand_over(stand)
    for image in IMAGES:
        shown("image", image.name)


def dockerfile() -> None:
    """The node has the images that the Dockerfiles make, and the state folder their archives."""
    _become_root()
    stand = _current()
    for make, name in ((operators, DOCKERFILE), (gateways, GATEWAY_DOCKERFILE)):
        began = time.monotonic()
        file = make(stand.folder("dockerfile"))
        built = time.monotonic()
        output(ctr(stand, "images", "import", file))
        shown("image", f"{name}, built in {built - began:.1f} s and loaded in {time.monotonic() - built:.1f} s")


def start(name: str) -> None:
    """The part is ready."""
    _change(name, lifecycle.start, "ready")


def stop(name: str) -> None:
    """The part was asked to end, and has."""
    _change(name, lifecycle.stop, "ended")


def kill(name: str) -> None:
    """The part was killed without a chance to do anything about it."""
    _change(name, process.kill, "killed")


def restart(name: str) -> None:
    """The part has ended, and is ready again."""

    def again(stand: Stand, part: Part) -> None:
        lifecycle.stop(stand, part)
        lifecycle.start(stand, part)

    _change(name, again, "ready again")


def _change(name: str, act: Callable[[Stand, Part], object], outcome: str) -> None:
    _become_root()
    stand, part = _current(), _part(name)
    began = time.monotonic()
    with alone(stand):
        try:
            act(stand, part)
        finally:
            environment.hand_over(stand)
    shown(part.name, f"{outcome} after {time.monotonic() - began:.1f} s")


def _current() -> Stand:
    stand = claimed(state_folder())
    if stand is None:
        raise Failure(f"no stand is up in {state_folder()}")
    return stand


def _part(name: str) -> Part:
    """The part of that name; its `kube-` may be left out."""
    for part in PARTS:
        if name in (part.name, part.name.removeprefix("kube-")):
            return part
    raise Failure(f"there is no part {name}; there are: {' '.join(part.name for part in PARTS)}")


def _become_root() -> None:
    """This process is root: if it was not, it was replaced by the same call through sudo."""
    if os.geteuid() == 0:
        return
    passed = ("MATRIXHUB_", "KUBEBUILDER_", "PATH")
    kept = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(passed)]
    kept.append(f"XDG_CACHE_HOME={os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'}")
    folder = str(Path(__file__).resolve().parent)
    os.execvp("sudo", ["sudo", "env", *kept, sys.executable, "-B", folder, *sys.argv[1:]])
