"""The objects that the gateways run as, in the RealtimeCluster's namespace. Pure."""

from collections.abc import Mapping, Sequence

from matrixhub.api import naming
from matrixhub.api.dataplane import WEBSOCKET_PORT, Gateway
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import ServiceAccount
from matrixhub.backends.gateway import settings
from matrixhub.backends.gateway.desired import CANARY, HTTP, HTTPS, section, stores
from matrixhub.kube.manifests import budget, deployment, described, pod, probe, resources, sealed
from matrixhub.kube.mounts import CONFIG, Mounted, trusted, volume_mounts, volumes
from matrixhub.kube.resources import Manifest

COMPONENT = "gateway"
CONFIG_FILE = "config.toml"
READY_SECONDS = 5
"""How long a new gateway must have been ready before the next one is replaced: clients that lost theirs come back."""
LEAVE_SECONDS = 5
"""Between a pod's leaving the Service and its sockets being closed: who comes back at once meets another gateway.

Measured: the endpoint is gone within 0.9 s.
"""
SPARE_SECONDS = 20


def mounted(cluster: RealtimeCluster) -> tuple[Mounted, ...]:
    """The Secrets that pods mount."""
    postgres, redis = stores(cluster)
    own = settings.certificate(section(cluster))
    return (*trusted("postgres", postgres.tls), *trusted("redis", redis.tls), *own)


def manifests(cluster: RealtimeCluster, account: ServiceAccount, mounts: Sequence[str]) -> tuple[Manifest, ...]:
    """Every object, the Deployment last. `mounts` is what the mounted Secrets hold: pods follow when it changes."""
    spec, selector = section(cluster), naming.workload_labels(COMPONENT, cluster.metadata.name)
    name = naming.gateway_workload(cluster.metadata.name)
    config = settings.config(cluster)
    grace = LEAVE_SECONDS + settings.DRAIN_SECONDS + SPARE_SECONDS
    template = pod(cluster, COMPONENT, spec, _container(cluster, spec), volumes(name, mounted(cluster)), grace)
    template = sealed(template, config, account.login, account.password, *mounts)
    objects: tuple[tuple[str, str, Manifest, Mapping[str, str]], ...] = (
        ("ServiceAccount", name, {"automountServiceAccountToken": False}, {}),
        ("ConfigMap", name, {"data": {CONFIG_FILE: config}}, {}),
        ("Service", name, {"spec": _service(spec, selector)}, spec.service.annotations),
        ("Service", f"{name}-metrics", {"spec": _metrics_service(selector)}, {}),
        ("PodDisruptionBudget", name, {"spec": budget(selector)}, {}),
        ("Deployment", name, {"spec": deployment(selector, template, minReadySeconds=READY_SECONDS)}, {}),
    )
    return tuple(described(cluster, COMPONENT, *each) for each in objects)


def _service(spec: Gateway, selector: dict[str, str]) -> Manifest:
    port = {"name": "websocket", "port": HTTPS if spec.tls else HTTP, "targetPort": "websocket", "protocol": "TCP"}
    return {"type": spec.service.type, "selector": selector, "ports": [port]}


def _metrics_service(selector: dict[str, str]) -> Manifest:
    """Each pod by itself, also while it is not ready."""
    port = {"name": "metrics", "port": settings.METRICS_PORT, "targetPort": "metrics", "protocol": "TCP"}
    return {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector, "ports": [port]}


def _container(cluster: RealtimeCluster, spec: Gateway) -> Manifest:
    tls = spec.tls is not None
    return {
        "name": COMPONENT,
        "image": spec.image,
        "imagePullPolicy": spec.image_pull_policy,
        "args": ["--config", f"{settings.FOLDER}/{CONFIG}/{CONFIG_FILE}"],
        "env": settings.environment(cluster),
        "ports": [
            {"name": "websocket", "containerPort": WEBSOCKET_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": settings.METRICS_PORT, "protocol": "TCP"},
        ],
        "resources": resources(spec.resources),
        # A gateway that could not read the table when it started never will: after 30 s it is started anew.
        "startupProbe": probe("websocket", f"/up/{CANARY}", period=1, failures=30, tls=tls),
        "readinessProbe": probe("websocket", f"/up/{CANARY}", period=5, failures=2, tls=tls),
        "livenessProbe": probe("websocket", "/live", period=10, failures=3, tls=tls),
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVE_SECONDS}}},
        "volumeMounts": volume_mounts(settings.FOLDER, mounted(cluster)),
    }
