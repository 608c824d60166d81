import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.patience import soon

from matrixhub.engine import clearance
from matrixhub.errors import Rejected, Unreachable


class Cluster:
    """How many objects `hub/main` has of each component; its server is away at first as often as it is told to be."""

    def __init__(self, away: int = 0, **objects: int) -> None:
        self.away = away
        self.objects = {("hub", "main", component): number for component, number in objects.items()}
        self.wanted: set[str] = set()
        self.refused: set[str] = set()

    @property
    def components(self) -> set[str]:
        """Those of which something is there."""
        return {component for (_, _, component), number in self.objects.items() if number}

    def clear(self, _: Any, *of: str) -> tuple[str, ...]:
        """One object goes; as if the others had come back meanwhile."""
        if self.away:
            self.away -= 1
            raise Unreachable("away")
        if of[2] in self.refused:
            raise Rejected("PermissionDenied", "not these")
        if not self.objects[of[0], of[1], of[2]]:
            return ()
        self.objects[of[0], of[1], of[2]] -= 1
        return ("deleted an object",)


def run(world: Cluster, monkeypatch: pytest.MonkeyPatch, *added: str, until: Callable[[], bool]) -> None:
    monkeypatch.setattr(clearance, "clear", world.clear)
    monkeypatch.setattr(clearance, "RETRY", 0.01)

    async def scene() -> None:
        made = clearance.Clearance(None, lambda _, component: component in world.wanted)
        task = asyncio.create_task(made.run())
        for component in added:
            made.add("hub/main", component)
        await soon(until)
        task.cancel()

    asyncio.run(scene())


def test_what_is_no_longer_wanted_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Cluster(gateway=1, relay=1)
    run(world, monkeypatch, "gateway", "relay", "relay", until=lambda: not world.components)


def test_what_is_wanted_again_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Cluster(gateway=1, relay=1)
    world.wanted.add("gateway")
    run(world, monkeypatch, "gateway", "relay", until=lambda: "relay" not in world.components)
    assert world.components == {"gateway"}


def test_a_server_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Cluster(away=3, gateway=1)
    run(world, monkeypatch, "gateway", until=lambda: not world.components)


def test_what_comes_back_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a worker that was just dismissed ends what it had begun."""
    world = Cluster(gateway=3)
    run(world, monkeypatch, "gateway", until=lambda: not world.components)


def test_what_cannot_be_taken_away_keeps_nothing_else_from_going(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Cluster(gateway=1, relay=2)
    world.refused.add("gateway")
    run(world, monkeypatch, "gateway", "relay", until=lambda: "relay" not in world.components)
    assert world.components == {"gateway"}
