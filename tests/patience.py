"""How tests wait for what comes to be, and where nobody listens yet."""

import asyncio
import socket
import time
from collections.abc import Callable

import pytest


def until(condition: Callable[[], object], seconds: float, what: str = "") -> float:
    """The seconds after which the condition was seen to hold; fails when it was not within `seconds`.

    A condition that raises AssertionError does not hold yet; one that calls `pytest.fail` never will.
    """
    began = time.monotonic()
    while True:
        try:
            holds = last = condition()
        except AssertionError as error:
            holds, last = False, error
        passed = time.monotonic() - began
        if passed >= seconds:
            pytest.fail(f"not within {seconds:.3g} s: {what or condition} (last: {last})")
        if holds:
            return passed
        time.sleep(min(max(passed / 20, 0.02), 0.2))  # short waits are measured finely, long ones cost little


async def soon(condition: Callable[[], object]) -> None:
    """The condition holds; raises TimeoutError when it does not within 10 s."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


def free_port() -> int:
    """A port that nobody listens on, low enough for the bus of a Redis Cluster, which listens 10,000 above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port
