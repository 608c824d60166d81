"""Whether an object already says what is wanted of it, and whether its pods came up."""

from collections.abc import Iterator
from typing import Any

import pytest

from matrixhub.kube.workload import says, trouble

FOUND = {"spec": {"ports": [{"name": "a", "port": 1, "nodePort": 30000}], "type": "NodePort"}, "status": {"ready": 1}}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"spec": {"type": "NodePort"}}, True),
        ({"spec": {"ports": [{"name": "a", "port": 1}]}}, True),
        ({"spec": {"ports": [{"name": "a", "port": 2}]}}, False),
        ({"spec": {"ports": []}}, False),
        ({"spec": {"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}}, False),
        ({"spec": {"selector": {}}}, False),
        ({"spec": "NodePort"}, False),
        ({}, True),
    ],
)
def test_what_else_an_object_says_does_not_count(wanted: object, *, expected: bool) -> None:
    assert says(FOUND, wanted) is expected


LATE = "has exceeded its progress deadline"
STARTING = {"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}}
FAILING = {"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}}
RUNNING = {"status": {"containerStatuses": [{"state": {"running": {}}}]}}


def deployment(wanted: int, replicas: int, ready: int, updated: int, *, late: bool = False) -> dict[str, Any]:
    """A Deployment as Kubernetes tells of it: `replicas` counts the pods of the former description, too."""
    status = {"observedGeneration": 2, "replicas": replicas, "readyReplicas": ready, "updatedReplicas": updated}
    if late:
        status["conditions"] = [{"type": "Progressing", "status": "False", "message": LATE}]
    return {"metadata": {"generation": 2}, "spec": {"replicas": wanted}, "status": status}


ROLLOUTS = [deployment(1, replicas=2, ready=1, updated=1), deployment(2, replicas=3, ready=2, updated=2)]


@pytest.mark.parametrize("rollout", ROLLOUTS, ids=["the only pod", "the last of two"])
def test_a_change_that_does_not_reach_a_pod_is_told_though_the_former_pods_are_ready(rollout: dict[str, Any]) -> None:
    told = trouble(rollout, [RUNNING, FAILING], least=1)
    assert told == "a change does not reach all pods: ImagePullBackOff"


def test_a_change_that_takes_too_long_is_told_though_its_pod_says_nothing() -> None:
    told = trouble(deployment(1, replicas=2, ready=1, updated=1, late=True), [RUNNING, RUNNING], least=1)
    assert told == f"a change does not reach all pods: {LATE}"


@pytest.mark.parametrize("rollout", ROLLOUTS, ids=["the only pod", "the last of two"])
def test_a_change_on_its_way_is_no_trouble(rollout: dict[str, Any]) -> None:
    assert trouble(rollout, [RUNNING, STARTING], least=1) == ""


def test_where_all_is_as_described_no_pod_is_asked_about() -> None:
    def pods() -> Iterator[dict[str, Any]]:
        pytest.fail("a pod was asked about")
        yield

    assert trouble(deployment(2, replicas=2, ready=2, updated=2), pods(), least=2) == ""


def test_fewer_than_the_least_are_told_also_while_they_start() -> None:
    assert trouble(deployment(1, replicas=1, ready=0, updated=1), [STARTING], least=2) == "0 of 2 pods are ready"
