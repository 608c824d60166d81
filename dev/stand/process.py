"""The processes of a stand: starting them, finding them again, ending them, and never anybody else's.

A process is the stand's if it is the one whose pid and start time were recorded, or if it inherited the mark which
every part gets in its environment, or if it is the recorded program working in the part's own folder (some servers
overwrite their children's environment with a title).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from stand.part import Part
from stand.run import Failure, until
from stand.state import Stand

_MARK = "MATRIXHUB_STAND_PART"


@dataclass(frozen=True)
class Process:
    """One process, told from a later one with the same pid by its start time."""

    pid: int
    started: int
    program: str

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return _started(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """The process got the signal, unless it is gone."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def at(pid: int) -> Process | None:
    """The process that has this pid now."""
    started = _started(pid)
    try:
        return Process(pid, started, str(Path(f"/proc/{pid}/exe").readlink())) if started is not None else None
    except OSError:
        return None


def _record(stand: Stand, part: str) -> Path:
    return stand.state / "run" / f"{part}.json"


def recorded(stand: Stand, part: str) -> Process | None:
    """The part's process as it was started last, alive or not."""
    try:
        return Process(**json.loads(_record(stand, part).read_text()))
    except (FileNotFoundError, ValueError):
        return None


def running(stand: Stand, part: str) -> Process | None:
    """The part's process, if it runs."""
    process = recorded(stand, part)
    return process if process and process.alive else None


def _mark(stand: Stand, part: str) -> str:
    return f"{_MARK}={stand.state}:{part}"


def all_pids() -> list[int]:
    """Every process of the machine but this one."""
    return [int(entry.name) for entry in Path("/proc").glob("[1-9]*") if entry.name != str(os.getpid())]


def remaining(stand: Stand, part: Part) -> list[Process]:
    """Every process of the part: its children included, unless they are to outlive it."""
    mark = _mark(stand, part.name).encode()
    folder = stand.state / part.name
    record = recorded(stand, part.name)
    # Known by its record alone: one that is ending has no program and no environment any more, and is not gone yet.
    found = [record] if record and record.alive else []
    for pid in all_pids():
        process = at(pid)
        if process is None or process in found:
            continue
        try:
            marked = mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            inside = Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder)
        except OSError:
            continue
        if marked and part.outlived:
            marked = Path(process.program).name == Path(part.command(stand)[0]).name
        if marked or (record and inside and process.program == record.program):
            found.append(process)
    return found


def spawn(stand: Stand, part: Part) -> subprocess.Popen[bytes]:
    """The part's process runs, detached, writing to its log, and is recorded."""
    into = ["nsenter", f"--net=/run/netns/{stand.name}", "--"] if part.in_node else []
    name, _, value = _mark(stand, part.name).partition("=")
    environment = {"PATH": os.environ["PATH"], "HOME": str(stand.folder(part.name)), "LANG": "C"}
    with stand.log(part.name).open("ab") as log:
        child = subprocess.Popen(
            [*into, *part.command(stand)],
            cwd=stand.folder(part.name),
            env={**environment, name: value},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    note(stand, part.name, child.pid)
    return child


def note(stand: Stand, part: str, pid: int) -> None:
    """The part's process is recorded as the one with this pid.

    Called again once the part is ready: by then `nsenter` and `setpriv` have become the program itself.
    """
    process = at(pid)
    if process is not None:
        stand.folder("run")
        _record(stand, part).write_text(json.dumps(asdict(process)))


def end(stand: Stand, part: Part, patience: float = 8) -> None:
    """No process of the part runs: it was asked to end, and killed if it did not in time."""
    process = running(stand, part.name)
    if process:
        process.signal(part.ends_on)
        until(lambda: not process.alive, patience)
    kill(stand, part)


def kill(stand: Stand, part: Part) -> None:
    """No process of the part runs: all were killed on the spot."""
    first = running(stand, part.name)
    if first:
        first.signal(signal.SIGKILL)

    def none_left() -> bool:
        left = remaining(stand, part)
        for process in left:
            process.signal(signal.SIGKILL)
        return not left

    if not until(none_left, 10):
        raise Failure(f"{part.name} could not be killed: {[p.pid for p in remaining(stand, part)]}")
