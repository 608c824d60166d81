"""Our own programs as processes, forked from one that has imported them: an import takes 2 to 6 s of a processor."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from subprocess import TimeoutExpired

from kubernetes.config import kube_config

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["matrixhub.main", "matrixhub.relay.command", "pytest"])


class Program:
    """`matrixhub` with these words, in this environment and no other; what it says is added to `log`."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        log.touch()
        self._process = _FORKS.Process(target=_run, args=(["matrixhub", *words], dict(env), log))
        self._process.start()

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. Raises TimeoutExpired when it still runs after `timeout` seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired("matrixhub", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """The process was told, if it is still there."""
        if self._process.is_alive() and self._process.pid:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """The process is gone, on the spot."""
        self.send_signal(signal.SIGKILL)
        self.wait()


def _run(words: list[str], env: dict[str, str], log: Path) -> None:
    """In the process itself: all that differs between it and one that a shell would start is set."""
    with log.open("ab") as out:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(out.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(env)
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = env.get("KUBECONFIG", "~/.kube/config")  # read when it was imported
    sys.argv = words
    sys.exit(import_module("matrixhub.cli").main())
