"""One look tells: conditions from the first second, nothing left on the resource, nothing changed by the same again."""

from tests.e2e.hub import Hub
from tests.patience import until

from matrixhub.api.conditions import BACKEND_TYPES

CONDITIONS = ["Ready", *BACKEND_TYPES]


def types(hub: Hub, name: str) -> set[str]:
    """The types of the conditions that a Tenant shows."""
    return {condition["type"] for condition in hub.get("tenant", name)["status"]["conditions"]}


def test_a_fresh_tenant_shows_all_conditions_and_becomes_ready(hub: Hub):
    hub.apply(hub.tenant("look-fresh"))
    assert hub.condition("look-fresh")["status"] in ("Unknown", "True")
    shown = [types(hub, "look-fresh") for _ in range(10)]
    # Until the operator's first write there is Ready alone, which the API server itself fills in; then there are all.
    assert {frozenset(each) for each in shown} <= {frozenset({"Ready"}), frozenset(CONDITIONS)}
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


def test_applying_the_same_again_changes_nothing(hub: Hub):
    hub.onboard("look-again", displayName="Look Again", kafka={"producerByteRate": "1Mi"})
    manifest = hub.tenant("look-again", displayName="Look Again", kafka={"producerByteRate": "1Mi"})
    before = hub.get("tenant", "look-again")["metadata"]["resourceVersion"]
    hub.apply(manifest)
    assert hub.get("tenant", "look-again")["metadata"]["resourceVersion"] == before


def test_the_table_reads_well(hub: Hub):
    hub.onboard("look-table")
    header, row = hub.kubectl("get", "tenant", "look-table").splitlines()
    assert header.split() == ["NAME", "CLUSTER", "READY", "STATUS", "CONNECTIONS", "AGE"]
    assert row.startswith("look-table")
    assert "True" in row
    wide = hub.kubectl("get", "tenant", "look-table", "-o", "wide").splitlines()[0]
    for backend in ("NAMESPACE", "POSTGRES", "REDIS", "KAFKA", "OBJECTSTORE", "GATEWAY"):
        assert backend in wide
    # A table that another test changed while the operator repaired it is told until the next resync.
    until(lambda: "True" in hub.kubectl("get", "realtimeclusters", "-A"), 60, "Ready, and it shows")
