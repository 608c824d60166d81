"""The objects that the relay runs as, in the RealtimeCluster's namespace. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from matrixhub.api import naming
from matrixhub.api.dataplane import Gateway, Relay
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import KafkaBackend, PostgresBackend, Tls
from matrixhub.errors import Rejected
from matrixhub.kube.manifests import budget, deployment, described, pod, probe, resources, sealed
from matrixhub.kube.mounts import CONFIG, Mounted, files, trusted, volume_mounts, volumes
from matrixhub.kube.resources import Manifest

COMPONENT = "relay"
PORT = 9102
FOLDER = "/etc/relay"
"""Below it, everything is mounted."""
CONFIG_FILE = "relay.json"
GATEWAY_CERTIFICATE = "gateway-certificate"
"""The volume of the gateways' certificate."""
GRACE_SECONDS, SPARE_SECONDS = 20, 10
"""How long what is under way may take after SIGTERM, and what leaving Kafka may take on top."""


def parts(cluster: RealtimeCluster) -> tuple[Relay, Gateway, KafkaBackend, PostgresBackend]:
    """The relay, and what it works between; raises Rejected when one is missing, which the CRD does not let happen."""
    spec = cluster.spec
    if spec.relay is None or spec.gateway is None or spec.kafka is None or spec.postgres is None:
        raise Rejected("BackendMissing", f"RealtimeCluster {cluster.key}: a relay needs kafka, gateway and postgres")
    return spec.relay, spec.gateway, spec.kafka, spec.postgres


def mounted(cluster: RealtimeCluster) -> tuple[Mounted, ...]:
    """The Secrets that pods mount. Of the gateways' certificate they get the public half."""
    _, gateway, kafka, postgres = parts(cluster)
    found = (*trusted("kafka", kafka.tls), *trusted("postgres", postgres.tls))
    if gateway.tls:
        found += (Mounted(GATEWAY_CERTIFICATE, gateway.tls.secret_name, ("tls.crt",), "spec.gateway.tls"),)
    return found


def _tls(backend: str, tls: Tls | None) -> dict[str, str]:
    """Where the program finds what is mounted of `mounts.trusted`; nothing where nothing is."""
    names = {"ca.crt": "caFile", "tls.crt": "certificateFile", "tls.key": "keyFile"}
    return files(FOLDER, trusted(backend, tls), names)


def config(cluster: RealtimeCluster, gateway_address: str) -> str:
    """The program's settings (`matrixhub.relay.settings`), without any secret. The address is host:port."""
    relay, gateway, kafka, postgres = parts(cluster)
    login = naming.gateway(cluster.key)
    settings: dict[str, Any] = {
        "routes": [{"topics": r.topics, "channel": r.channel, "event": r.event} for r in relay.routes],
        "kafka": {
            "bootstrapServers": list(kafka.bootstrap_servers),
            "securityProtocol": kafka.security_protocol,
            "saslMechanism": kafka.sasl_mechanism,
            "tls": _tls("kafka", kafka.tls),
            "group": naming.relay(cluster.key),
        },
        "gateway": {
            "url": f"{'https' if gateway.tls else 'http'}://{gateway_address}",
            "certificateFile": f"{FOLDER}/{GATEWAY_CERTIFICATE}/tls.crt" if gateway.tls else "",
        },
        "apps": {
            "host": postgres.host,
            "port": postgres.port,
            "database": postgres.database,
            "sslMode": postgres.ssl_mode,
            "tls": _tls("postgres", postgres.tls),
            "schemaName": login,
        },
        "port": PORT,
        "graceSeconds": GRACE_SECONDS,
    }
    return json.dumps(settings, indent=1)


def manifests(cluster: RealtimeCluster, image: str, gateway_address: str, seals: Sequence[str]) -> tuple[Manifest, ...]:
    """Every object, the Deployment last. `seals` is what pods read at their start: they follow when it changes."""
    relay, *_ = parts(cluster)
    name = naming.relay_workload(cluster.metadata.name)
    selector = naming.workload_labels(COMPONENT, cluster.metadata.name)
    settings = config(cluster, gateway_address)
    container, grace = _container(cluster, image), GRACE_SECONDS + SPARE_SECONDS
    template = pod(cluster, COMPONENT, relay, container, volumes(name, mounted(cluster)), grace)
    objects: tuple[tuple[str, Manifest], ...] = (
        ("ServiceAccount", {"automountServiceAccountToken": False}),
        ("ConfigMap", {"data": {CONFIG_FILE: settings}}),
        ("PodDisruptionBudget", {"spec": budget(selector)}),
        ("Deployment", {"spec": deployment(selector, sealed(template, settings, *seals))}),
    )
    return tuple(described(cluster, COMPONENT, kind, name, body) for kind, body in objects)


def _container(cluster: RealtimeCluster, image: str) -> Manifest:
    relay, *_ = parts(cluster)
    return {
        "name": COMPONENT,
        "image": image,
        "imagePullPolicy": relay.image_pull_policy,
        "args": ["relay", "--config", f"{FOLDER}/{CONFIG}/{CONFIG_FILE}"],
        "env": [
            {"name": "MATRIXHUB_LOG_FORMAT", "value": "json"},
            _login(cluster, "KAFKA_USERNAME", "relay-login"),
            _login(cluster, "KAFKA_PASSWORD", "relay-password"),
            _login(cluster, "APPS_USERNAME", "gateway-login"),
            _login(cluster, "APPS_PASSWORD", "gateway-password"),
        ],
        "ports": [{"name": "metrics", "containerPort": PORT, "protocol": "TCP"}],
        "resources": resources(relay.resources),
        # The driver's imports alone take a second of a whole core.
        "startupProbe": probe("metrics", "/healthz", period=1, failures=60),
        "readinessProbe": probe("metrics", "/readyz", period=2, failures=5),
        "livenessProbe": probe("metrics", "/healthz", period=10, failures=3),
        "volumeMounts": volume_mounts(FOLDER, mounted(cluster)),
    }


def _login(cluster: RealtimeCluster, name: str, key: str) -> Manifest:
    reference = {"name": naming.accounts_secret(cluster.metadata.name), "key": key}
    return {"name": f"MATRIXHUB_RELAY_{name}", "valueFrom": {"secretKeyRef": reference}}
