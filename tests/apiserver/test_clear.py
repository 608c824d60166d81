"""What a RealtimeCluster no longer runs is deleted once; what then does not go is left to whoever holds it."""

from matrixhub.api import naming
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import CONFIG_MAP, SERVICE, Manifest
from matrixhub.kube.workload import clear

HELD = {"finalizers": ["example.com/load-balancer"]}
GATEWAY, RELAY = "gateway", "relay"


def part(place: str, kind: str, component: str, **metadata: object) -> Manifest:
    """An object that `main` runs as the component."""
    labels = {**naming.workload_labels(component, "main"), **naming.MANAGED_BY, naming.CLUSTER_LABEL: "main"}
    metadata = {"name": f"main-{component}", "namespace": place, "labels": labels, **metadata}
    body = {"spec": {"ports": [{"port": 80}]}} if kind == "Service" else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **body}


def test_a_service_that_does_not_go_is_deleted_once(api: KubeApi, place: str):
    for each in (part(place, "Service", GATEWAY, **HELD), part(place, "ConfigMap", GATEWAY)):
        api.create(each)
    api.create(part(place, "ConfigMap", RELAY))
    assert clear(api, place, "main", GATEWAY) == (
        f"deleted Service {place}/main-gateway",
        f"deleted ConfigMap {place}/main-gateway",
    )
    assert clear(api, place, "main", GATEWAY) == ()
    service = api.get(SERVICE, "main-gateway", place)
    assert service is not None
    assert "deletionTimestamp" in service["metadata"]
    assert api.get(CONFIG_MAP, "main-gateway", place) is None
    assert api.get(CONFIG_MAP, "main-relay", place) is not None
    api.patch(SERVICE, "main-gateway", place, {"metadata": {"finalizers": None}})
