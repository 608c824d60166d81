"""Running other programs, and talking to the person in front of the terminal."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

_printing = threading.Lock()


class Failure(Exception):
    """Something the stand needs did not work; its text is meant for the person who called."""


def shown(who: str, what: str) -> None:
    """One whole line on the terminal, whichever thread says it."""
    with _printing:
        print(f"{who:<24} {what}", flush=True)


def tail(log: Path, lines: int = 25) -> str:
    """The end of a log, indented."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return "    (no output)"
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


def as_root(*command: str) -> list[str]:
    """The command, through sudo unless we are root already."""
    return list(command) if os.geteuid() == 0 else ["sudo", *command]


def logged(command: Sequence[str | Path], log: Path, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    """The command has ended well; its output is appended to the log."""
    with log.open("a") as out:
        out.write(f"$ {' '.join(map(str, command))}\n")
        out.flush()
        done = subprocess.run(
            [str(word) for word in command],
            check=False,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    if done.returncode != 0:
        raise Failure(f"`{' '.join(map(str, command[:3]))} ...` ended with {done.returncode}")


def output(command: Iterable[str | Path], env: Mapping[str, str] | None = None, text: str | None = None) -> str:
    """What the command printed; a Failure with its complaint if it ended badly."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        check=False,
        env={**os.environ, **(env or {})},
        input=text if text is not None else "",
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise Failure(f"`{' '.join(words[:4])}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def succeeds(command: Iterable[str | Path], env: Mapping[str, str] | None = None) -> bool:
    """Whether the command ends well; what it prints is of no interest."""
    try:
        output(command, env)
    except (Failure, FileNotFoundError):
        return False
    return True


def until(condition: Callable[[], bool], seconds: float, step: float = 0.05) -> bool:
    """Whether the condition came true within the time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(step)
    return True
