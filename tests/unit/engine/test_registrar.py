"""The writer of our resources: what failed is written again, and an Event holds nothing up."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from tests.patience import soon

from matrixhub.engine import queue
from matrixhub.engine.registrar import Registrar, Writes, Written
from matrixhub.engine.trail import Trail
from matrixhub.errors import BackendError, Conflict, Rejected, Unreachable
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import Resource

STATUS = {"kind": "Tenant", "metadata": {"name": "a"}}
EVENTS = ({"kind": "Event", "type": "Normal", "reason": "Changed"},)
CHANGE = Writes(status=STATUS, events=EVENTS)


class Clerk:
    """Takes down what it is asked to write; fails as often as it is told."""

    def __init__(self, *errors: BackendError, deaf: bool = False) -> None:
        self.errors, self.deaf = list(errors), deaf
        self.done: list[str] = []

    @property
    def events(self) -> int:
        return self.done.count("event")

    def apply(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self.done.append("finalizer")
        return manifest

    def patch(self, resource: Resource, name: str, namespace: str | None, patch: dict[str, Any]) -> dict[str, Any]:
        self.done.append("farewell")
        return patch

    def apply_status(self, manifest: dict[str, Any]) -> dict[str, Any]:
        if self.errors:
            raise self.errors.pop(0)
        self.done.append("status")
        return manifest

    def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self.done.append("event")
        if self.deaf:
            raise Rejected("PermissionDenied", "no events here")
        return manifest


def write(
    clerk: Clerk,
    keys: list[str],
    until: Callable[[list[Written]], bool],
    told: Callable[[Writes], None] = lambda _: None,
    writes: Writes = CHANGE,
) -> list[Written]:
    """What was written until the condition holds of it; `told` hears what was sent."""
    written: list[Written] = []

    async def scene() -> None:
        registrar = Registrar(cast("KubeApi", clerk), Trail(), lambda _: writes, told, written.append)
        task = asyncio.create_task(registrar.run())
        for key in keys:
            registrar.add(key)
        await soon(lambda: until(written))
        task.cancel()

    asyncio.run(scene())
    return written


@pytest.mark.parametrize(
    "error", [Conflict("somebody wrote meanwhile", "another writer"), Unreachable("away"), Rejected("Invalid", "no")]
)
def test_what_failed_is_composed_and_written_again(error: BackendError, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queue, "BACKOFF_FIRST", 0.01)
    clerk, told = Clerk(error, error), list[Writes]()
    assert write(clerk, ["Tenant/a"], lambda written: len(written) == 1, told.append)
    assert clerk.events == 1
    assert len(told) == 1


def test_an_event_that_is_refused_hides_no_write(caplog: pytest.LogCaptureFixture):
    written = write(Clerk(deaf=True), ["Tenant/a", "Tenant/b"], lambda written: len(written) == 2)
    assert {each.key for each in written} == {"Tenant/a", "Tenant/b"}
    assert "Failed to tell of Tenant/a" in caplog.text


@pytest.mark.parametrize(
    ("writes", "order"),
    [
        (CHANGE, ["status", "event"]),
        (Writes(farewell=STATUS, events=EVENTS), ["event", "farewell"]),
    ],
)
def test_what_is_told_of_a_change_follows_it_and_what_is_told_of_an_end_comes_first(writes: Writes, order: list[str]):
    clerk = Clerk()
    write(clerk, ["Tenant/a"], lambda written: len(written) == 1, writes=writes)
    assert clerk.done == order
