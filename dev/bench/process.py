"""The operator under measurement: its process, and what its own metrics say."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path


class Operator:
    """One operator process on the stand, with its weak rights."""

    def __init__(self, env: Mapping[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        config = {"KUBECONFIG": env["MATRIXHUB_OPERATOR_KUBECONFIG"], "MATRIXHUB_METRICS_PORT": str(self._port)}
        self._env = {**env, **config}
        self._log = Path(env["MATRIXHUB_STAND"]) / "logs" / "bench-operator.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """The process runs and serves its metrics."""
        program = Path(sys.executable).with_name("matrixhub")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([program], env=self._env, stdout=log, stderr=log)
        while not self._serves():
            if self._process.poll() is not None:
                raise SystemExit(f"the operator ended; see {self._log}")
            time.sleep(0.1)
        time.sleep(3)  # the informer's first listing

    def stop(self) -> None:
        """The process has ended."""
        if self._process:
            self._process.terminate()
            self._process.wait(20)

    @property
    def pid(self) -> int:
        """The process's id; 0 before it runs."""
        return self._process.pid if self._process else 0

    def requests(self) -> dict[str, float]:
        """By backend, the requests made so far."""
        kubernetes = sum(self._sum("matrixhub_kubernetes_requests_total", "verb").values())
        return {**self._sum("matrixhub_backend_requests_total", "backend"), "kubernetes": kubernetes}

    def writes(self) -> float:
        """Requests that change something in the Kubernetes API."""
        found = self._sum("matrixhub_kubernetes_requests_total", "verb")
        return sum(value for verb, value in found.items() if verb != "get")

    def rss(self) -> float:
        """Resident memory in MB."""
        process = self._process
        text = Path(f"/proc/{process.pid}/status").read_text() if process else ""
        line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def _serves(self) -> bool:
        try:
            return bool(self._scrape())
        except OSError:
            return False

    def _scrape(self) -> list[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
            return list(answer.read().decode().splitlines())

    def _sum(self, metric: str, label: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for line in self._scrape():
            if line.startswith(metric + "{"):
                labels, value = line.rsplit(" ", 1)
                name = labels.split(f'{label}="')[1].split('"')[0]
                found[name] = found.get(name, 0.0) + float(value)
        return found
