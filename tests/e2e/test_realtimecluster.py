"""A RealtimeCluster's own life: it stays while Tenants live on it, and what it cannot do it says."""

import pytest
import redis
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


def shore(hub: Hub) -> dict[str, object]:
    """A Tenant on `lake`, whose data goes with it."""
    reference = {"namespace": "matrixhub", "name": "lake"}
    return {**hub.tenant("lake-shore"), "spec": {"clusterRef": reference, "deletionPolicy": "Delete"}}


def test_a_service_is_not_taken_out_under_the_tenants(hub: Hub, lake: dict[str, object]) -> None:
    hub.apply(shore(hub))
    hub.ready("lake-shore")
    until(lambda: hub.get("realtimecluster", "lake", "-n", "matrixhub")["status"]["tenants"] == 1, 5, "counted")
    drop = ("-n", "matrixhub", "patch", "realtimecluster", "lake", "--type=merge", "-p")

    with pytest.raises(AssertionError, match="have logins and data in redis: delete these Tenants first"):
        hub.kubectl(*drop, '{"spec": {"redis": null}}')
    hub.kubectl(*drop, '{"spec": {"redis": null, "abandoned": ["redis"]}}')

    until(lambda: not hub.condition("lake-shore", "RedisReady"), 15, "no longer spoken of")
    hub.ready("lake-shore")
    hub.delete("lake-shore")
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--timeout=20s")
    keeper = root(hub)
    assert "tenant-lake-shore" in keeper.acl_users(), "left as it was, as somebody said"
    keeper.acl_deluser("tenant-lake-shore")


def test_a_tenant_waits_for_the_service_where_it_has_its_share(hub: Hub, lake: dict[str, object]) -> None:
    """As when the RealtimeCluster was made anew without it: no rule of the API server can see that."""
    hub.apply(shore(hub))
    hub.ready("lake-shore")
    redis.Redis.from_url(hub.secret("lake-shore", "redis")["uri"]).set("tenant:lake-shore:pupil", "Ada")
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--wait=false")
    hub.kubectl(
        "-n", "matrixhub", "patch", "realtimecluster", "lake", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
    )
    until(lambda: not hub.exists("realtimecluster", "lake", "-n", "matrixhub"), 10, "torn away by force")
    hub.apply({**lake, "spec": {"kafka": lake["spec"]["kafka"]}})  # type: ignore[index]

    until(lambda: hub.condition("lake-shore", "RedisReady").get("reason") == "ServiceMissing", 20, "said")
    hub.operator.kill()
    hub.kubectl("delete", "tenant", "lake-shore", "--wait=false")
    hub.operator.start()
    until(lambda: hub.condition("lake-shore", "KafkaReady").get("reason") == "Deleted", 30, "the rest goes on")
    until(lambda: "abandoned" in hub.condition("lake-shore")["message"], 20, "says what it waits for")
    assert hub.exists("namespace", "tenant-lake-shore")
    assert root(hub).exists("tenant:lake-shore:pupil")

    hub.apply(lake)
    until(lambda: not hub.exists("tenant", "lake-shore"), 60, "gone")
    assert not root(hub).exists("tenant:lake-shore:pupil")
    assert "tenant-lake-shore" not in root(hub).acl_users()
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--timeout=20s")


def root(hub: Hub) -> "redis.Redis":
    """Redis as its own administrator sees it."""
    port, password = int(hub.env["REDIS_PORT"]), hub.env["REDISCLI_AUTH"]
    return redis.Redis(hub.env["REDIS_HOST"], port, password=password, decode_responses=True)
