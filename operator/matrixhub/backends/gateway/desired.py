"""What should exist on the gateways for a tenant, and what its applications are told. Pure."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from matrixhub.api import naming
from matrixhub.api.dataplane import Gateway
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import PostgresBackend, RedisBackend
from matrixhub.api.values import bracketed
from matrixhub.backends.contract import Intent, Phase
from matrixhub.backends.gateway.state import App, State
from matrixhub.errors import Rejected

HTTP, HTTPS = 80, 443
CANARY = "1"
"""The id of the app that probes ask for: a gateway that finds it reads the table. No tenant's id is as small."""


def desired(intent: Intent) -> State:
    """The tenant's app: as its spec says, locked while it is suspended, none once it is deleted.

    A disabled app could still publish (sockudo 5.2.0 looks at `enabled` for sockets alone), so a suspended one also
    gets a secret that nobody knows. Raises Rejected when an active tenant has no credential.
    """
    tenant = intent.tenant.id
    identity = naming.app_id(tenant)
    if not intent.phase.living:
        return State(tenant, identity)
    if intent.credential is None:
        raise Rejected("CredentialMissing", f"there is no key yet for the app of tenant {tenant}")
    active, share = intent.phase is Phase.ACTIVE, intent.tenant.spec.gateway
    app = App(
        key=intent.credential.username,
        secret=intent.credential.password if active else None,
        enabled=active,
        max_connections=share.max_connections,
        client_events_per_second=share.client_events_per_second,
        max_presence_members=share.max_presence_members,
        allowed_origins=frozenset(share.allowed_origins),
    )
    return State(tenant, identity, app)


def binding(intent: Intent) -> Mapping[str, str]:
    """What the tenant's Secret holds; empty without a credential.

    The names of Pusher's own libraries beside those of the Service Binding specification. The master key
    encrypts `private-encrypted-*` channels end to end: no gateway ever sees it.
    """
    credential = intent.credential
    if credential is None:
        return {}
    scheme, host, port = address(intent.cluster)
    identity = naming.app_id(intent.tenant.id)
    values = {
        "type": "pusher",
        "provider": "sockudo",
        "host": host,
        "port": str(port),
        "username": credential.username,
        "password": credential.password,
        "uri": f"{scheme}://{credential.username}:{credential.password}@{bracketed(host)}:{port}/apps/{identity}",
        "PUSHER_APP_ID": identity,
        "PUSHER_APP_KEY": credential.username,
        "PUSHER_APP_SECRET": credential.password,
        "PUSHER_HOST": host,
        "PUSHER_PORT": str(port),
        "PUSHER_SCHEME": scheme,
    }
    if intent.ca:
        values["ca.crt"] = intent.ca
    if credential.master_key:
        values["PUSHER_ENCRYPTION_MASTER_KEY_BASE64"] = credential.master_key
    return values


def address(cluster: RealtimeCluster) -> tuple[str, str, int]:
    """Scheme, host and port at which applications and browsers find the gateways."""
    spec = section(cluster)
    if spec.public_url:
        url = urlsplit(spec.public_url)
        return url.scheme, url.hostname or "", url.port or (HTTPS if url.scheme == "https" else HTTP)
    host = f"{naming.gateway_workload(cluster.metadata.name)}.{cluster.metadata.namespace}.svc"
    return ("https", host, HTTPS) if spec.tls else ("http", host, HTTP)


def section(cluster: RealtimeCluster) -> Gateway:
    """The cluster's gateways; raises Rejected when it has none."""
    if cluster.spec.gateway is None:
        raise Rejected("BackendMissing", f"RealtimeCluster {cluster.key} has no `spec.gateway`")
    return cluster.spec.gateway


def stores(cluster: RealtimeCluster) -> tuple[PostgresBackend, RedisBackend]:
    """Where the gateways keep their apps and find one another; raises Rejected for what they cannot work with."""
    if cluster.spec.postgres is None or cluster.spec.redis is None:
        raise Rejected(
            "BackendMissing", f"RealtimeCluster {cluster.key}: gateways need `spec.postgres` and `spec.redis`"
        )
    if cluster.spec.redis.mode == "cluster":
        raise Rejected(
            "RedisModeUnsupported",
            f"RealtimeCluster {cluster.key}: gateways find one another through a Redis in mode standalone or sentinel",
        )
    return cluster.spec.postgres, cluster.spec.redis
