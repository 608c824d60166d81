import asyncio
from typing import Any

import pytest

from matrixhub.engine import clearance
from matrixhub.errors import Unreachable


class Cluster:
    """What was asked to go, and a server that is away at first as often as it is told to be."""

    def __init__(self, away: int = 0, objects: int = 0) -> None:
        self.away = away
        self.objects = objects
        self.wanted: set[str] = set()
        self.gone: list[tuple[str, str, str]] = []

    def clear(self, _: Any, *what: str) -> tuple[str, ...]:
        if self.away:
            self.away -= 1
            raise Unreachable("away")
        self.gone.append((what[0], what[1], what[2]))
        left, self.objects = self.objects, max(0, self.objects - 1)
        return ("deleted an object",) * (left > 0)


async def run(world: Cluster, monkeypatch: pytest.MonkeyPatch, *added: str) -> None:
    monkeypatch.setattr(clearance, "clear", world.clear)
    monkeypatch.setattr(clearance, "RETRY", 0.01)
    made = clearance.Clearance(None, lambda _, component: component in world.wanted)
    task = asyncio.create_task(made.run())
    for component in added:
        made.add("hub/main", component)
    await asyncio.sleep(0.1)
    task.cancel()


def test_what_is_no_longer_wanted_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Cluster()
    asyncio.run(run(world, monkeypatch, "gateway", "relay", "relay"))
    assert world.gone == [("hub", "main", "gateway"), ("hub", "main", "relay")]


def test_what_is_wanted_again_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Cluster()
    world.wanted.add("gateway")
    asyncio.run(run(world, monkeypatch, "gateway", "relay"))
    assert world.gone == [("hub", "main", "relay")]


def test_a_server_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Cluster(away=3)
    asyncio.run(run(world, monkeypatch, "gateway"))
    assert world.gone == [("hub", "main", "gateway")]


def test_what_comes_back_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a worker that was just dismissed ends what it had begun."""
    world = Cluster(objects=2)
    asyncio.run(run(world, monkeypatch, "gateway"))
    assert world.gone == [("hub", "main", "gateway")] * 3
