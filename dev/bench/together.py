"""What the machine gives without any operator: all floors at once, a process each, so that none waits for another's."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from bench.cpu import clocks, spent
from bench.floor import BARE, NAMESPACE, Floor
from matrixhub.kube.client import KubeApi


def together(count: int) -> dict[str, float]:
    """Tenants per second from the first call to the end of the last, and the CPU milliseconds that each costs."""
    pipes = {name: _driver(name, count) for name in (NAMESPACE, *BARE)}
    _answers(pipes)
    before = clocks(drivers=os.getpid())
    spans = _answers(pipes, go=True)
    cost = spent(before, clocks(drivers=os.getpid()), count)
    _answers(pipes, go=True)
    seconds = max(end for _, end in spans.values()) - min(begin for begin, _ in spans.values())
    return {
        "floor_together_tenants_per_s": count / seconds,
        **{f"floor_together_cpu_ms_{name}": milliseconds for name, milliseconds in cost.items()},
        "floor_together_cpu_ms": sum(cost.values()),
    }


def _driver(name: str, count: int) -> Connection:
    """A process that drives one backend: each of its steps is answered, and each but the first waits for a word."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=_drive, args=(name, count, theirs), daemon=True).start()
    theirs.close()
    return ours


def _answers(pipes: Mapping[str, Connection], *, go: bool = False) -> dict[str, Any]:
    """What each driver says once it has done its next step."""
    if go:
        for pipe in pipes.values():
            pipe.send(go)
    try:
        return {name: pipe.recv() for name, pipe in pipes.items()}
    except (EOFError, ConnectionError):
        raise SystemExit("a floor ended too early; its own words stand above") from None


def _drive(name: str, count: int, pipe: Connection) -> None:
    floor = Floor(KubeApi(os.environ["MATRIXHUB_OPERATOR_KUBECONFIG"]), name, count)
    pipe.send(None)
    pipe.recv()
    began = time.monotonic()
    floor.make()
    pipe.send((began, time.monotonic()))
    pipe.recv()
    floor.remove()
    pipe.send(None)
