"""Bringing parts up in the order they need one another, and down again."""

from __future__ import annotations

import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import nullcontext

from stand import process
from stand.part import Part
from stand.run import Failure, shown, tail, until
from stand.state import Stand, in_turn

PATIENCE = 90.0


def start(stand: Stand, part: Part) -> bool:
    """The part is ready; True if it had to be started for that."""
    if process.running(stand, part.name):
        if not until(lambda: part.ready(stand), PATIENCE):
            raise Failure(f"{part.name} runs but is not ready.\n{tail(stand.log(part.name))}")
        return False
    process.kill(stand, part)
    part.prepare(stand)
    with in_turn(part.name) if part.in_turn else nullcontext():
        child = process.spawn(stand, part)
        _wait(stand, part, child)
    process.note(stand, part.name, child.pid)
    return True


def _wait(stand: Stand, part: Part, child: subprocess.Popen[bytes]) -> None:
    """The process that was just started is ready; a Failure tells why it is not."""
    log = stand.log(part.name)
    ended = False

    def settled() -> bool:
        nonlocal ended
        ended = child.poll() is not None
        return ended or part.ready(stand)

    if not until(settled, PATIENCE):
        raise Failure(f"{part.name} was not ready after {PATIENCE:.0f} s. The end of {log}:\n{tail(log)}")
    if ended:
        raise Failure(f"{part.name} ended with {child.returncode}. The end of {log}:\n{tail(log)}")


def stop(stand: Stand, part: Part) -> None:
    """The part has ended, and the others are as if it had never run."""
    process.end(stand, part)
    part.leave(stand)


def _each(act: Callable[[Part], None], parts: Iterable[Part]) -> None:
    """The act is done for every part, all at the same time."""
    threads = [threading.Thread(target=act, args=(part,), daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class _Ascent:
    """One `up`: every part in a thread of its own, which waits for the parts it needs."""

    def __init__(self, stand: Stand, parts: Iterable[Part]) -> None:
        self._stand = stand
        self._parts = tuple(parts)
        self._done = {part.name: threading.Event() for part in self._parts}
        self._failed: dict[str, str] = {}

    def run(self) -> None:
        """Every part is ready and settled; else one Failure holds what went wrong with each."""
        _each(self._bring, self._parts)
        if self._failed:
            raise Failure("\n\n".join(self._failed.values()))

    def _bring(self, part: Part) -> None:
        try:
            for name in part.after:
                if name in self._done:
                    self._done[name].wait()
            lacking = [name for name in part.after if name in self._failed]
            if lacking:
                self._fail(part, f"{part.name} was not started: it needs {' and '.join(lacking)}")
            else:
                self._start(part)
        except Failure as failure:
            self._fail(part, str(failure))
        except Exception:  # noqa: BLE001 - raised at the end: a thread would take it along
            self._fail(part, _bug(part))
        finally:
            self._done[part.name].set()

    def _start(self, part: Part) -> None:
        began = time.monotonic()
        started = start(self._stand, part)
        ready = time.monotonic()
        part.settle(self._stand)
        what = f"ready after {ready - began:.1f} s" if started else "was running"
        settled = f"{time.monotonic() - ready:.1f}"
        shown(part.name, what if settled == "0.0" else f"{what}, settled in {settled} s")

    def _fail(self, part: Part, why: str) -> None:
        self._failed[part.name] = why
        shown(part.name, "FAILED")


def _bug(part: Part) -> str:
    """The exception that is being handled, in words."""
    return f"{part.name} met a bug:\n{traceback.format_exc()}"


def up(stand: Stand, parts: Iterable[Part]) -> None:
    """Every part is ready and settled."""
    _Ascent(stand, parts).run()


def down(stand: Stand, parts: Iterable[Part]) -> None:
    """No process of these parts runs. A part ends after those that need it, which could not end well without it."""
    every = tuple(parts)
    ended = {part.name: threading.Event() for part in every}
    failed: list[str] = []

    def end(part: Part) -> None:
        for other in every:
            if part.name in other.after:
                ended[other.name].wait()
        try:
            if process.running(stand, part.name) or process.remaining(stand, part):
                process.end(stand, part)
                shown(part.name, "ended")
        except Failure as failure:
            failed.append(str(failure))
        except Exception:  # noqa: BLE001 - raised at the end: a thread would take it along
            failed.append(_bug(part))
        finally:
            ended[part.name].set()

    _each(end, every)
    if failed:
        raise Failure("\n".join(failed))
