"""What a tenant should have in Kubernetes. Pure."""

import base64
import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from matrixhub.api import naming
from matrixhub.api.dataplane import WEBSOCKET_PORT
from matrixhub.api.realtimecluster import RealtimeCluster, RealtimeClusterSpec
from matrixhub.api.tenant import Owner as Member
from matrixhub.api.tenant import Tenant
from matrixhub.api.values import address
from matrixhub.backends.contract import Intent, Mark, Phase
from matrixhub.backends.namespace.state import (
    DISPLAY_NAME_ANNOTATION,
    POD_SECURITY,
    ROLES,
    Object,
    State,
    arranged,
    content,
    identity,
    names,
)
from matrixhub.errors import Rejected
from matrixhub.kube.resources import BY_KIND, Manifest

DEFAULT_REQUESTS = {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "64Mi"}
DEFAULT_LIMITS = {"cpu": "500m", "memory": "256Mi", "ephemeral-storage": "256Mi"}
"""What a container gets that names none: enough for a small web service to start."""

NODE_LOCAL_DNS = "169.254.20.10/32"
"""Where NodeLocal DNSCache listens on each node: kubernetes.io/docs/tasks/administer-cluster/nodelocaldns."""
METADATA = {"0.0.0.0/0": ("169.254.0.0/16",), "::/0": ("fd00:ec2::254/128", "fe80::/10")}
"""By network, where clouds' metadata services are: link-local addresses, and AWS's for IPv6 (its EC2 User Guide)."""
RBAC = "rbac.authorization.k8s.io"
HTTPS, HTTP = 443, 80
"""Ports that are meant where a URL names none."""
REDIS = 6379
"""Where the master is expected whose address only sentinels know."""


def desired(intent: Intent) -> State:
    """Every object of the tenant in the wanted phase; raises Rejected for an endpoint that has no sensible port.

    Suspended is the same as active: the credentials stay, and the backends refuse them. Retained keeps what
    guards the workloads that stay: the Namespace, its quota, limits and network policy.
    """
    tenant = intent.tenant
    if intent.phase is Phase.DELETED:
        return State(tenant.id, intent.owner)
    retained = intent.phase is Phase.RETAINED
    manifests = [_namespace(tenant, retained=retained), _network_policy(intent), _limit_range(tenant)]
    if tenant.spec.compute:
        manifests.append(_inside(tenant.id, "ResourceQuota", "matrixhub", {"spec": {"hard": tenant.spec.compute}}))
    if not retained:
        manifests += [_secret(tenant.id, name, data) for name, data in intent.secrets.items()]
        manifests += _role_bindings(tenant)
        manifests += _reading_of_own_tenant(tenant)
    return State(tenant.id, intent.owner, arranged([_object(intent, each) for each in manifests]), retained)


def binding(intent: Intent) -> Mapping[str, str]:
    """Nothing: a namespace needs no credential of ours."""
    del intent
    return {}


def _object(intent: Intent, manifest: Manifest) -> Object:
    """The manifest with our mark in it, as an object that is wanted."""
    metadata = manifest["metadata"]
    if metadata["name"] not in names(intent.tenant.id)[manifest["kind"]]:
        raise ValueError(f"{manifest['kind']} {metadata['name']} has a name that state.names does not know")
    annotations = {naming.OWNER_ANNOTATION: str(intent.owner), **metadata.get("annotations", {})}
    labels = {**identity(intent.tenant.id), **metadata.get("labels", {})}
    manifest = {**manifest, "metadata": {**metadata, "labels": labels, "annotations": annotations}}
    return Object(
        kind=manifest["kind"],
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        content=content(manifest),
        mark=Mark(intent.owner, annotations.get(naming.RETAINED_ANNOTATION) == "true"),
        manifest=json.dumps(manifest),
    )


def _inside(tenant: str, kind: str, name: str, body: dict[str, Any]) -> Manifest:
    return _manifest(kind, {"name": name, "namespace": naming.namespace(tenant)}, body)


def _manifest(kind: str, metadata: dict[str, Any], body: dict[str, Any]) -> Manifest:
    return {"apiVersion": BY_KIND[kind].api_version, "kind": kind, "metadata": metadata, **body}


def _namespace(tenant: Tenant, *, retained: bool) -> Manifest:
    annotations = {DISPLAY_NAME_ANNOTATION: tenant.spec.display_name} if tenant.spec.display_name else {}
    if retained:
        annotations[naming.RETAINED_ANNOTATION] = "true"
    labels = {f"{POD_SECURITY}{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    metadata = {"name": naming.namespace(tenant.id), "labels": labels, "annotations": annotations}
    return _manifest("Namespace", metadata, {})


def _limit_range(tenant: Tenant) -> Manifest:
    """Requests and limits for containers that name none, so that a quota on them admits such pods.

    A limit is only set where the quota counts limits: a default limit below a container's own request would
    have the pod refused.
    """
    quota = tenant.spec.compute
    limits = {name: value for name, value in DEFAULT_LIMITS.items() if f"limits.{name}" in quota}
    counted = {"cpu", "memory", *limits, *(name.removeprefix("requests.") for name in quota)}
    requests = {name: value for name, value in DEFAULT_REQUESTS.items() if name in counted}
    limit: dict[str, Any] = {"type": "Container", "defaultRequest": requests}
    if limits:
        limit["default"] = limits
    return _inside(tenant.id, "LimitRange", "matrixhub", {"spec": {"limits": [limit]}})


def _secret(tenant: str, name: str, data: Mapping[str, str]) -> Manifest:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return _inside(tenant, "Secret", name, {"type": f"servicebinding.io/{data.get('type', name)}", "data": encoded})


def _role_bindings(tenant: Tenant) -> list[Manifest]:
    return [
        _inside(
            tenant.id,
            "RoleBinding",
            f"matrixhub-{role}",
            {
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                "subjects": [_subject(owner) for owner in tenant.spec.owners if owner.role == role],
            },
        )
        for role in ROLES
        if any(owner.role == role for owner in tenant.spec.owners)
    ]


def _reading_of_own_tenant(tenant: Tenant) -> list[Manifest]:
    if not tenant.spec.owners:
        return []
    name = naming.cluster_role(tenant.id)
    rule = {
        "apiGroups": [naming.GROUP],
        "resources": ["tenants"],
        "resourceNames": [tenant.id],
        "verbs": ["get", "list", "watch"],
    }
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    subjects = [_subject(owner) for owner in tenant.spec.owners]
    return [
        _manifest("ClusterRole", {"name": name}, {"rules": [rule]}),
        _manifest("ClusterRoleBinding", {"name": name}, {"roleRef": reference, "subjects": subjects}),
    ]


def _subject(owner: Member) -> dict[str, str]:
    if owner.kind == "ServiceAccount":
        return {"kind": owner.kind, "name": owner.name, "namespace": owner.namespace or "default"}
    return {"apiGroup": RBAC, "kind": owner.kind, "name": owner.name}


def _network_policy(intent: Intent) -> Manifest:
    """Every pod is isolated both ways, but for its own namespace, name resolution, and what its cluster offers."""
    own: Manifest = {"podSelector": {}}
    platform = _namespace_peer(intent.cluster.metadata.namespace)
    resolvers = [_namespace_peer("kube-system"), {"ipBlock": {"cidr": NODE_LOCAL_DNS}}]
    spec = {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [own, platform]}],
        "egress": [
            {"to": [own]},
            {"to": resolvers, "ports": [_port(53, "UDP"), _port(53)]},
            *_ways_to_gateways(intent.cluster),
            *_ways_to_backends(intent.cluster.spec),
        ],
    }
    return _inside(intent.tenant.id, "NetworkPolicy", "matrixhub", {"spec": spec})


def _namespace_peer(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _port(port: int, protocol: str = "TCP") -> dict[str, Any]:
    return {"protocol": protocol, "port": port}


def _ways_to_gateways(cluster: RealtimeCluster) -> list[dict[str, Any]]:
    """To their sockets alone: their metrics, and the relay's, tell of every tenant."""
    if not cluster.spec.gateway:
        return []
    selector = {"matchLabels": naming.workload_labels("gateway", cluster.metadata.name)}
    gateways = {**_namespace_peer(cluster.metadata.namespace), "podSelector": selector}
    return [{"to": [gateways], "ports": [_port(WEBSOCKET_PORT)]}]


def _ways_to_backends(spec: RealtimeClusterSpec) -> list[dict[str, Any]]:
    ways: list[dict[str, Any]] = []
    nodes = set(map(_host_and_port, spec.redis.nodes)) if spec.redis and spec.redis.mode == "cluster" else set()
    for host, port in _endpoints(spec):
        way = _way_to(host, port, exactly=(host, port) in nodes)
        if way not in ways:
            ways.append(way)
    return ways


def _way_to(host: str, port: int, *, exactly: bool) -> dict[str, Any]:
    """To an address: that address and port. To a Service: its namespace, since policies see the pod's port.

    `exactly`, that port alone of the namespace: nodes of a Redis Cluster have a bus beside it, which asks nobody
    who he is. A network policy cannot hold any other DNS name, so there the port is open to every address.
    """
    try:
        address = ip_address(host)
    except ValueError:
        parts = host.lower().rstrip(".").split(".")
        in_cluster = len(parts) > 2 and parts[2] == "svc"  # noqa: PLR2004 - name.namespace.svc
        if not in_cluster:
            return _way_to_any(port)
        return {"to": [_namespace_peer(parts[1])]} | ({"ports": [_port(port)]} if exactly else {})
    return {"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}], "ports": [_port(port)]}


def _way_to_any(port: int) -> dict[str, Any]:
    """To that port of every address, but not to the machine's own credentials, which clouds give away on port 80."""
    if port != HTTP:
        return {"ports": [_port(port)]}
    outside = [{"ipBlock": {"cidr": every, "except": list(but)}} for every, but in METADATA.items()]
    return {"to": [{"namespaceSelector": {}}, *outside], "ports": [_port(port)]}


def _endpoints(spec: RealtimeClusterSpec) -> list[tuple[str, int]]:
    """Host and port of every backend, each once, in a fixed order."""
    found: set[tuple[str, int]] = set()
    if spec.postgres:
        found.add((spec.postgres.host, spec.postgres.port))
    if spec.redis:
        found.update(map(_host_and_port, spec.redis.nodes))
        if spec.redis.mode == "sentinel":
            found.add(("", REDIS))
    if spec.kafka:
        found.update(map(_host_and_port, spec.kafka.bootstrap_servers))
    if spec.object_store:
        found.add(_host_and_port(spec.object_store.endpoint or "https://"))
    if spec.gateway and spec.gateway.public_url:  # by the Service's name they are reached as pods
        found.add(_host_and_port(spec.gateway.public_url))
    return sorted(found)


def _host_and_port(text: str) -> tuple[str, int]:
    """Of `host:port` or of a URL."""
    try:
        return _place(text) if "//" in text else address(text)
    except ValueError:
        raise Rejected(
            "InvalidEndpoint", f"the RealtimeCluster names the address {text!r}: write host:port there"
        ) from None


def _place(text: str) -> tuple[str, int]:
    url = urlsplit(text)
    return url.hostname or "", url.port or (HTTP if url.scheme == "http" else HTTPS)
