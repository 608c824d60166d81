"""The verbs."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stand import environment, lifecycle, network, preflight, process, remains
from stand.cache import build
from stand.part import Part
from stand.parts import PARTS
from stand.recipes import RECIPES
from stand.run import Failure, shown
from stand.state import Stand, alone, claim, claimed, release, state_folder


def _build(words: argparse.Namespace) -> None:
    preflight.check_tools(RECIPES)
    preflight.install_packages()
    build(RECIPES)


def _up(words: argparse.Namespace) -> None:
    began = time.monotonic()
    if os.environ.get("MATRIXHUB_STAND_BUILT") != "yes":
        _build(words)
        os.environ["MATRIXHUB_STAND_BUILT"] = "yes"
    _become_root()
    stand = claim(state_folder())
    with alone(stand):
        network.connect(stand)
        parts = [part for part in PARTS if words.node or part.group != "node"]
        environment.write(stand)
        try:
            lifecycle.up(stand, parts)
        finally:
            environment.hand_over(stand)
    shown("stand", f"up after {time.monotonic() - began:.1f} s; next: . {stand.state / 'env'}")


def _down(words: argparse.Namespace) -> None:
    _become_root()
    state = state_folder()
    stand = claimed(state)
    if stand is None:
        # The claim is lost with /run at a reboot; what else the stand left behind is still named by its last slot.
        if not (state / "slot").exists():
            shown("stand", f"{state} holds no stand")
            return
        stand = claim(state)
    with alone(stand):
        lifecycle.down(stand, PARTS)
        remains.sweep(stand)
        network.disconnect(stand)
    release(stand)
    shown("stand", "down")


def _clean(words: argparse.Namespace) -> None:
    _down(words)
    shutil.rmtree(state_folder(), ignore_errors=True)


def _current() -> Stand:
    stand = claimed(state_folder())
    if stand is None:
        raise Failure(f"no stand is up in {state_folder()}")
    return stand


def _part(name: str) -> Part:
    for part in PARTS:
        if part.name == name:
            return part
    raise Failure(f"there is no part {name}; there are: {' '.join(part.name for part in PARTS)}")


def _on_part(act: Callable[[Stand, Part], object]) -> Callable[[argparse.Namespace], None]:
    def verb(words: argparse.Namespace) -> None:
        _become_root()
        stand = _current()
        with alone(stand):
            act(stand, _part(words.part))

    return verb


def _restart(stand: Stand, part: Part) -> None:
    process.end(stand, part)
    lifecycle.start(stand, part)


def _status(words: argparse.Namespace) -> None:
    stand = _current()
    print(f"{'stand':<24} slot {stand.slot}, host {stand.host}, node {stand.node}, state {stand.state}")
    for part in PARTS:
        found = process.running(stand, part.name)
        state = f"pid {found.pid}, {'ready' if part.ready(stand) else 'NOT READY'}" if found else "not running"
        print(f"{part.name:<24} {state}")


def _logs(words: argparse.Namespace) -> None:
    """Replaces this process by `tail`."""
    log = state_folder() / "logs" / f"{_part(words.part).name}.log"
    os.execvp("tail", ["tail", *(["-f"] if words.follow else []), "-n", str(words.lines), str(log)])


def _env(words: argparse.Namespace) -> None:
    print(environment.read(state_folder()), end="")


def _become_root() -> None:
    """This process is root: if it is not, it is replaced by the same call through sudo."""
    if os.geteuid() != 0:
        kept = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(("MATRIXHUB_", "KUBEBUILDER_"))]
        kept += [f"XDG_CACHE_HOME={os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'}", f"PATH={os.environ['PATH']}"]
        folder = str(Path(__file__).resolve().parent)
        os.execvp("sudo", ["sudo", "env", *kept, sys.executable, folder, *sys.argv[1:]])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stand", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, act: Callable[[argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=help)
        added.set_defaults(act=act, node=True)
        return added

    verb("build", _build, "fetch and build every part into the cache")
    up = verb("up", _up, "bring everything up, and wait until it is ready")
    up.add_argument("--without-node", dest="node", action="store_false", help="no kubelet: nothing can run in pods")
    verb("down", _down, "end everything; data stays for the next `up`")
    verb("clean", _clean, "down, and forget the data too")
    verb("status", _status, "what runs")
    verb("env", _env, "print the endpoints and credentials as shell variables")
    for name, act, help in (
        ("start", lifecycle.start, "start one part, and wait until it is ready"),
        ("stop", process.end, "let one part end"),
        ("kill", process.kill, "end one part with SIGKILL"),
        ("restart", _restart, "stop, then start one part"),
    ):
        verb(name, _on_part(act), help).add_argument("part")
    logs = verb("logs", _logs, "the end of one part's log")
    logs.add_argument("part")
    logs.add_argument("-f", "--follow", action="store_true")
    logs.add_argument("-n", "--lines", default=50, type=int)
    return parser


def main(arguments: list[str]) -> int:
    """The exit status of one call."""
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
    words = _parser().parse_args(arguments)
    try:
        words.act(words)
    except Failure as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
