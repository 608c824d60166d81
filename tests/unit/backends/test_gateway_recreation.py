"""Which gateways may have given up on Redis, as far as their pods tell."""

from typing import Any

import pytest

from matrixhub.backends.gateway.recreation import unready


def pod(ready: str = "False", *, started: bool = True, address: str = "10.0.0.1", **metadata: Any) -> dict[str, Any]:
    status: dict[str, Any] = {
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}],
        "containerStatuses": [{"name": "gateway", "started": started}],
    }
    if address:
        status["podIP"] = address
    return {"metadata": {"name": "main-gateway-1", "uid": "1", **metadata}, "status": status}


def test_one_that_was_ready_once_and_is_not_may_have() -> None:
    assert unready([pod()]) == [pod()]


@pytest.mark.parametrize(
    "other",
    [
        pod("True"),
        pod("Unknown"),
        pod(started=False),
        pod(address=""),
        pod(deletionTimestamp="2026-01-31T12:00:00Z"),
        {"metadata": {"name": "main-gateway-1", "uid": "1"}},
    ],
    ids=["ready", "its node is silent", "never was ready", "has no address", "is on its way out", "was just made"],
)
def test_any_other_has_not(other: dict[str, Any]) -> None:
    assert unready([other]) == []
