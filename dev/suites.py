"""`python dev/suites.py`: the tests on real servers. Those that share no server run side by side, the others alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stand.run import shown
from stand.state import CHECKOUT, state_folder

SERVERS = {
    "kafka": ("kafka", "consumer_lag"),
    "objectstore": ("objectstore",),
    "postgres-redis-gateway": ("postgres", "redis", "gateway"),
}
"""Groups of tests/backends by what their files' names say after `test_`; all others run with the API server's."""
LANES = 2
"""Groups at once: with all four on two cores, servers were late enough for tests to take them for dead."""
ALONE = ("tests/stand", "tests/backends/test_relay.py", "tests/e2e")
"""One after the other: these stop servers that the others need, or run an operator."""


def groups(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Every file once, in the group of its server, but for those that run alone."""
    made: dict[str, list[Path]] = {name: [] for name in (*SERVERS, "kubernetes")}
    for file in files:
        if str(file.relative_to(CHECKOUT)) in ALONE:
            continue
        subject = file.stem.removeprefix("test_")
        made[next((name for name, words in SERVERS.items() if subject.startswith(words)), "kubernetes")].append(file)
    return made


def run(name: str, paths: Sequence[Path]) -> int:
    """The exit status of one group; its whole output is shown once it has ended."""
    began, log = time.monotonic(), state_folder() / "logs" / f"tests-{name}.log"
    with log.open("wb") as out:
        status = subprocess.run(_pytest(paths), cwd=CHECKOUT, stdout=out, stderr=out, check=False).returncode
    verdict = f"ended with {status}" if status else "passed"
    shown(name, f"{verdict} after {time.monotonic() - began:.0f} s\n{log.read_text()}")
    return status


def main() -> int:
    """The exit status: 0 if every test passed."""
    files = sorted((CHECKOUT / "tests" / "backends").glob("test_*.py"))
    made: Mapping[str, list[Path]] = groups(files)
    made["kubernetes"] += [CHECKOUT / "tests" / "apiserver", CHECKOUT / "tests" / "alerts"]
    shown("side by side", ", ".join(made))
    with ThreadPoolExecutor(LANES) as pool:
        statuses = list(pool.map(run, made.keys(), made.values()))
    for path in ALONE:
        shown("alone", path)
        statuses.append(subprocess.run(_pytest([Path(path)]), cwd=CHECKOUT, check=False).returncode)
    return int(any(statuses))


def _pytest(paths: Sequence[Path]) -> list[str]:
    cache = "no:cacheprovider"  # one folder for all of them
    return [sys.executable, "-m", "pytest", "-p", cache, "--durations=10", *map(str, paths)]


if __name__ == "__main__":
    sys.exit(main())
