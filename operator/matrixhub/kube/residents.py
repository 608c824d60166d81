"""Who lives on a RealtimeCluster, as the API server knows it: an operator that just started may not have seen all."""

from collections.abc import Iterator

from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import TENANT


def residents(api: KubeApi, cluster: str) -> Iterator[str]:
    """The names of all Tenants that name the RealtimeCluster `namespace/name`, be they deleted or not valid."""
    for tenant in api.list(TENANT):
        reference = tenant["spec"]["clusterRef"]
        if f"{reference['namespace']}/{reference['name']}" == cluster:
            yield tenant["metadata"]["name"]
