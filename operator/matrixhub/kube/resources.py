"""Where each kind of object lives in the API. Pure."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from matrixhub.api import naming
from matrixhub.errors import Rejected

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """One kind: its API version, its plural, and whether it lives in a namespace."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    page: int = 500
    """Objects of one page of a list: as many as kubectl asks for."""

    def collection(self, namespace: str | None = None) -> str:
        """The path of all objects, or of those of one namespace. Raises Rejected for what is no name."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        return f"{root}/namespaces/{_step(namespace)}/{self.plural}" if namespace else f"{root}/{self.plural}"

    def path(self, name: str, namespace: str | None = None) -> str:
        """The path of one object. Raises Rejected for what is no name."""
        return f"{self.collection(namespace if self.namespaced else None)}/{_step(name)}"

    def whole(self, item: Manifest) -> Manifest:
        """An item of a list, which says neither its kind nor its API version."""
        return {"apiVersion": self.api_version, "kind": self.kind, **item}


def _step(name: str) -> str:
    """The name as one step of a path. Raises Rejected for what no object can be called (IsValidPathSegmentName).

    Clients and proxies resolve `..`, so such a name would lead to another namespace's objects.
    """
    if name in ("", ".", "..") or "/" in name or "%" in name:
        raise Rejected("Invalid", f"no object is named {name!r}: write the name alone, such as redis-admin")
    return quote(name, safe=":")


NAMESPACE = Resource("v1", "Namespace", "namespaces", namespaced=False)
SECRET = Resource("v1", "Secret", "secrets", page=50)
"""Each may hold a MiB, and whoever may make one in a tenant's namespace may give it our label: a page is in memory."""
EVENT = Resource("v1", "Event", "events")
RESOURCE_QUOTA = Resource("v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGE = Resource("v1", "LimitRange", "limitranges")
NETWORK_POLICY = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
ROLE_BINDING = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE = Resource("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING = Resource(
    "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments")
STATEFUL_SET = Resource("apps/v1", "StatefulSet", "statefulsets")
SERVICE = Resource("v1", "Service", "services")
CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps", page=SECRET.page)
SERVICE_ACCOUNT = Resource("v1", "ServiceAccount", "serviceaccounts")
POD_DISRUPTION_BUDGET = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
POD = Resource("v1", "Pod", "pods")
LEASE = Resource("coordination.k8s.io/v1", "Lease", "leases")
TENANT = Resource(naming.API_VERSION, "Tenant", "tenants", namespaced=False)
REALTIME_CLUSTER = Resource(naming.API_VERSION, "RealtimeCluster", "realtimeclusters")

OWNED = (
    NAMESPACE,
    RESOURCE_QUOTA,
    LIMIT_RANGE,
    NETWORK_POLICY,
    ROLE_BINDING,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    SECRET,
)
"""The kinds that a tenant's namespace share consists of."""

WORKLOAD = (DEPLOYMENT, SERVICE, CONFIG_MAP, SERVICE_ACCOUNT, POD_DISRUPTION_BUDGET)
"""The kinds that a RealtimeCluster's gateways and relay consist of, beside one Secret."""

BY_KIND = {
    resource.kind: resource
    for resource in (*OWNED, *WORKLOAD, STATEFUL_SET, POD, EVENT, LEASE, TENANT, REALTIME_CLUSTER)
}


def path_of(manifest: Manifest) -> str:
    """The path of the object that a manifest describes."""
    metadata = manifest["metadata"]
    return BY_KIND[manifest["kind"]].path(metadata["name"], metadata.get("namespace"))
