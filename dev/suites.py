"""`python dev/suites.py`: the tests on real servers, in two lanes side by side, each with a stand of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory

from stand.run import shown
from stand.state import CHECKOUT, state_folder

LANES = 2
"""As many as there are processors on a small machine; half of most tests is waiting."""
SUITES = {
    "data-plane": (
        "tests/e2e/test_scaling.py",
        "tests/e2e/test_gateway.py",
        "tests/e2e/test_realtimecluster.py",
    ),
    "tenants": ("tests/e2e",),
    "platform": (
        "tests/e2e/test_adoption.py",
        "tests/e2e/test_audit.py",
        "tests/e2e/test_gitops.py",
        "tests/e2e/test_metrics.py",
        "tests/e2e/test_network.py",
        "tests/e2e/test_tls.py",
    ),
    "leader": ("tests/e2e/test_leader.py", "tests/e2e/test_release.py"),
    "chart": ("tests/chart",),
    "relay": ("tests/backends/test_relay.py",),
    "image": ("tests/stand/test_dockerfile.py",),
    "proof": ("tests/proof",),
    "kafka": ("tests/backends/test_kafka*.py", "tests/backends/test_consumer_lag.py"),
    "databases": (
        "tests/backends/test_postgres*.py",
        "tests/backends/test_redis*.py",
        "tests/backends/test_gateway*.py",
    ),
    "objectstore": ("tests/backends/test_objectstore*.py",),
    "kubernetes": ("tests/backends", "tests/apiserver", "tests/alerts"),
    "stand": ("tests/stand",),
}
"""The longest first. A file belongs to the first that names it; a folder is all that is left of it."""

LAST = "tests/rights"
"""Once all others have ended: what the operator did in them, against what it may do."""
AUDIT_LOG = Path("kube-apiserver", "audit.log")


def suites() -> dict[str, list[Path]]:
    """The files of each suite: every test file of the folders, once."""
    made: dict[str, list[Path]] = {name: [] for name in SUITES}
    taken: set[Path] = set()
    claims = [(CHECKOUT / pattern, name) for name, patterns in SUITES.items() for pattern in patterns]
    for path, name in sorted(claims, key=lambda claim: claim[0].is_dir()):
        found = sorted(path.glob("test_*.py") if path.is_dir() else path.parent.glob(path.name))
        made[name] += [file for file in found if file not in taken]
        taken.update(found)
    return made


def pytest(*words: str) -> list[str]:
    """The command. It keeps no cache: there is one folder for all that run at once."""
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]


def summary(told: str) -> list[str]:
    """What pytest says of each test that failed, a line each."""
    return [line for line in told.splitlines() if line.startswith(("FAILED tests/", "ERROR tests/"))]


class Lane:
    """A stand, and the suites that run on it one after the other."""

    def __init__(self, state: Path, waiting: SimpleQueue[tuple[str, list[Path]]]) -> None:
        (state / AUDIT_LOG).unlink(missing_ok=True)
        self._env = {**os.environ, "MATRIXHUB_STAND": str(state), "CI": "true"}  # pytest then cuts no message short
        self._waiting = waiting
        self.failures: list[str] = []

    def run(self) -> list[int]:
        """The exit statuses, once nothing waits any more; the stand is down then, but for KEEP_STAND."""
        statuses = [self._stand("up")]
        try:
            while not statuses[0]:
                statuses.append(self._test(*self._waiting.get_nowait()))
        except Empty:
            pass
        finally:
            if not os.environ.get("KEEP_STAND"):
                statuses.append(self._stand("down"))
        return statuses

    def _test(self, name: str, files: Sequence[Path]) -> int:
        """The exit status of one suite; its whole output is shown once it has ended."""
        began, log = time.monotonic(), Path(self._env["MATRIXHUB_STAND"]) / "logs" / f"tests-{name}.log"
        command = pytest("--durations=10", "-rfE", *map(str, files))
        shown(name, "begins")
        # A folder of its own: pytest clears away what others left in the usual one, and two at once meet over it.
        with log.open("wb") as out, TemporaryDirectory(prefix="matrixhub-", ignore_cleanup_errors=True) as scratch:
            env = {**self._env, "PYTEST_DEBUG_TEMPROOT": scratch}
            status = subprocess.run(command, cwd=CHECKOUT, env=env, stdout=out, stderr=out, check=False).returncode
        verdict, told = f"ended with {status}" if status else "passed", log.read_text()
        shown(name, f"{verdict} after {time.monotonic() - began:.0f} s\n{told}")
        if status:
            self.failures += summary(told) or [f"{name} {verdict}"]
        return status

    def _stand(self, verb: str) -> int:
        """The exit status of one verb of the stand; what it complained of is told again at the end."""
        command = ["python3", str(CHECKOUT / "dev" / "stand"), verb]
        done = subprocess.run(command, env=self._env, stderr=subprocess.PIPE, text=True, check=False)
        print(done.stderr, end="", file=sys.stderr, flush=True)
        if done.returncode:
            self.failures.append(f"{self._env['MATRIXHUB_STAND']}: {verb} ended with {done.returncode}\n{done.stderr}")
        return done.returncode


def main() -> int:
    """The exit status: 0 if every test passed."""
    waiting: SimpleQueue[tuple[str, list[Path]]] = SimpleQueue()
    for suite in suites().items():
        waiting.put(suite)
    first = state_folder()
    lanes = [Lane(first if not n else first.with_name(f"{first.name}-{n + 1}"), waiting) for n in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        statuses = [status for lane in pool.map(Lane.run, lanes) for status in lane]
    statuses.append(subprocess.run(pytest("-q", "-rP", LAST), cwd=CHECKOUT, check=False).returncode)
    if not waiting.empty():
        shown("tests", "some did not run: no stand came up for them")
    for line in (line for lane in lanes for line in lane.failures):
        print(line)
    return int(any(statuses) or not waiting.empty())


if __name__ == "__main__":
    sys.exit(main())
