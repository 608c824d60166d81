"""A RealtimeCluster's own life: it stays while Tenants live on it, and what it cannot do it says."""

import pytest
from tests.e2e.hub import Hub, until


@pytest.fixture
def lake(hub: Hub) -> dict[str, object]:
    """A RealtimeCluster of one's own, with the Redis of `main`."""
    spec = hub.get("realtimecluster", "main", "-n", "matrixhub")["spec"]
    made: dict[str, object] = {
        "apiVersion": "matrixhub.io/v1alpha1",
        "kind": "RealtimeCluster",
        "metadata": {"name": "lake", "namespace": "matrixhub"},
        "spec": {"redis": spec["redis"], "kafka": spec["kafka"]},
    }
    hub.apply(made)
    return made


def status(hub: Hub) -> dict[str, dict[str, str]]:
    """The conditions of `lake` by type."""
    found = hub.get("realtimecluster", "lake", "-n", "matrixhub").get("status", {})
    return {condition["type"]: condition for condition in found.get("conditions", [])}


def test_a_realtimecluster_is_not_torn_down_under_its_tenants(hub: Hub, lake: dict[str, object]) -> None:
    hub.apply({**hub.tenant("lake-shore"), "spec": {"clusterRef": {"namespace": "matrixhub", "name": "lake"}}})
    hub.ready("lake-shore")

    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--wait=false")

    until(lambda: status(hub)["Ready"]["reason"] == "Terminating", 10, "the deletion waits and says so")
    assert "lake-shore" in status(hub)["Ready"]["message"]
    hub.apply(
        {
            **hub.tenant("lake-shore"),
            "spec": {"clusterRef": {"namespace": "matrixhub", "name": "lake"}, "displayName": "served meanwhile"},
        }
    )
    hub.ready("lake-shore")
    hub.delete("lake-shore")
    until(lambda: not hub.exists("realtimecluster", "lake", "-n", "matrixhub"), 10, "it goes with its last Tenant")


def test_a_consumer_that_is_not_there_is_told_and_holds_up_nothing(hub: Hub, lake: dict[str, object]) -> None:
    consumer = {"name": "marks", "targetRef": {"name": "nobody"}, "consumerGroup": "marks", "topics": ["*.exams.*"]}
    hub.apply({**lake, "spec": {**lake["spec"], "consumers": [consumer]}})  # type: ignore[dict-item]

    until(lambda: status(hub).get("ScalingActive", {}).get("status") == "False", 15, "the condition")
    assert "there is no Deployment nobody" in status(hub)["ScalingActive"]["message"]
    until(lambda: status(hub)["Ready"]["status"] == "True", 15, "the backends are Ready all the same")
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--timeout=20s")
