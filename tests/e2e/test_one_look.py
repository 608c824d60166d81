"""One look tells: conditions from the first second, nothing written without need, nothing left on the resource."""

import time

from conftest import Hub, until

CONDITIONS = ["Ready", "NamespaceReady", "PostgresReady", "RedisReady", "KafkaReady", "ObjectStoreReady"]


def test_a_fresh_tenant_shows_all_conditions_and_becomes_ready(hub: Hub):
    hub.apply(hub.tenant("look-fresh"))
    until(lambda: hub.condition("look-fresh"), 5, "first status")
    shown = hub.get("tenant", "look-fresh")["status"]["conditions"]
    assert sorted(condition["type"] for condition in shown) == sorted(CONDITIONS)
    hub.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "tenant/look-fresh")
    tenant = hub.get("tenant", "look-fresh")
    assert {condition["status"] for condition in tenant["status"]["conditions"]} == {"True"}
    assert all(c["observedGeneration"] == tenant["metadata"]["generation"] for c in tenant["status"]["conditions"])


def test_the_resource_carries_our_finalizer_and_nothing_else_of_ours(hub: Hub):
    hub.onboard("look-clean")
    metadata = hub.get("tenant", "look-clean")["metadata"]
    assert metadata["finalizers"] == ["matrixhub.io/tenant"]
    assert metadata.get("annotations", {}) == {}
    assert metadata.get("labels", {}) == {}


def test_an_unchanged_tenant_is_never_written_to(hub: Hub):
    hub.onboard("look-idle")
    time.sleep(3)
    before = hub.get("tenant", "look-idle")["metadata"]["resourceVersion"]
    time.sleep(100)  # two resyncs of every backend
    assert hub.get("tenant", "look-idle")["metadata"]["resourceVersion"] == before


def test_applying_the_same_again_changes_nothing(hub: Hub):
    hub.onboard("look-again", displayName="Look Again", kafka={"producerByteRate": "1Mi"})
    manifest = hub.tenant("look-again", displayName="Look Again", kafka={"producerByteRate": "1Mi"})
    before = hub.get("tenant", "look-again")["metadata"]["resourceVersion"]
    hub.apply(manifest)
    assert hub.get("tenant", "look-again")["metadata"]["resourceVersion"] == before


def test_the_table_reads_well(hub: Hub):
    hub.onboard("look-table")
    header, row = hub.kubectl("get", "tenant", "look-table").splitlines()
    assert header.split() == ["NAME", "CLUSTER", "READY", "STATUS", "CONNECTIONS", "STORAGE", "AGE"]
    assert row.startswith("look-table")
    assert "True" in row
    wide = hub.kubectl("get", "tenant", "look-table", "-o", "wide").splitlines()[0]
    for backend in ("NAMESPACE", "POSTGRES", "REDIS", "KAFKA", "OBJECTSTORE"):
        assert backend in wide
    assert "True" in hub.kubectl("get", "realtimeclusters", "-A")
