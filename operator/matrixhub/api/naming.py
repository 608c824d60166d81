"""Every name that is derived from a tenant's id, in one place.

An id is a DNS label of at most 32 characters without dots, so each name fits its backend
(Postgres 63 bytes, S3 63, Kafka 249, a Kubernetes namespace 63), and no tenant's prefix matches another's.
"""

import hashlib
import re
from collections.abc import Mapping

GROUP = "matrixhub.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FINALIZER = f"{GROUP}/tenant"
CLUSTER_FINALIZER = f"{GROUP}/realtimecluster"
FIELD_MANAGER = "matrixhub"
SCALER = "matrixhub-scaler"
"""The field manager of every `replicas`."""
TENANT_LABEL = f"{GROUP}/tenant"
CLUSTER_LABEL = f"{GROUP}/realtimecluster"
"""Its value is the name of the RealtimeCluster, whose namespace is the object's."""
OWNER_ANNOTATION = f"{GROUP}/owner"
RETAINED_ANNOTATION = f"{GROUP}/retained"
"""Part of the mark: `"true"` once the Tenant was deleted and the data kept."""
FORMER_HOLDERS = f"{GROUP}/former-holders"
"""On the operators' Lease: who held it before, separated by commas. The chart's leader-fence reads it."""
RELAY_DOMAIN = "relay"
"""Topics of this domain are the relay's own."""
APPS_TABLE = "applications"
"""In the schema of the gateways' login: the tenants' apps, which gateways and relay read."""


def selector(labels: Mapping[str, str]) -> str:
    """What lists and watches ask for to get the objects that carry all of the labels."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


MANAGED_BY = {"app.kubernetes.io/managed-by": "matrixhub"}
MANAGED_BY_SELECTOR = selector(MANAGED_BY)
"""What all our objects in Kubernetes are listed and watched by."""


def namespace(tenant: str) -> str:
    """The Kubernetes namespace of the tenant."""
    return f"tenant-{tenant}"


def postgres_role(tenant: str) -> str:
    """The tenant's login role. Hyphens stay: the name is always quoted."""
    return f"tenant_{tenant}"


def redis_user(tenant: str) -> str:
    """The tenant's ACL user."""
    return f"tenant-{tenant}"


def redis_prefix(tenant: str) -> str:
    """What every key and channel of the tenant begins with."""
    return f"tenant:{tenant}:"


def kafka_user(tenant: str) -> str:
    """The tenant's SCRAM user."""
    return f"tenant-{tenant}"


def kafka_prefix(tenant: str) -> str:
    """What every topic, group and transactional id of the tenant begins with."""
    return f"{tenant}."


def topic(tenant: str, domain: str, event: str) -> str:
    """`{tenant}.{domain}.{event}`."""
    return f"{tenant}.{domain}.{event}"


def topic_expression(pattern: str) -> str:
    """The regular expression for a pattern such as `*.institution.*`: a `*` stands for one whole part."""
    return r"\.".join("[^.]+" if word == "*" else re.escape(word) for word in pattern.split(".")) + "$"


def relayed_expression(pattern: str) -> str:
    """The same without the relay's own topics, which it never relays."""
    return rf"(?![^.]+\.{RELAY_DOMAIN}\.){topic_expression(pattern)}"


def bucket(prefix: str, tenant: str) -> str:
    """The tenant's bucket; the cluster's prefix has at most 24 characters, so the name has at most 57."""
    return f"{prefix}-{tenant}"


def object_prefix(tenant: str) -> str:
    """What the keys of the tenant's files begin with."""
    return f"tenant/{tenant}/files/"


def object_store_user(tenant: str) -> str:
    """The tenant's S3 user: MinIO access key, IAM user name and policy name."""
    return f"tenant-{tenant}"


def cluster_role(tenant: str) -> str:
    """The ClusterRole, and its binding, through which the owners read their own Tenant."""
    return f"matrixhub:tenant:{tenant}"


def service_login(role: str, cluster: str) -> str:
    """What the `gateway` or the `relay` of the RealtimeCluster `namespace/name` logs in as."""
    return f"{role}-{_digest(cluster, 4).hex()}"


def gateway(cluster: str) -> str:
    """What the gateways of the RealtimeCluster `namespace/name` log in as; also their schema and their prefix."""
    return service_login("gateway", cluster)


def relay(cluster: str) -> str:
    """What the relay of the RealtimeCluster `namespace/name` logs in to Kafka as, and its consumer group."""
    return service_login("relay", cluster)


def accounts_secret(name: str) -> str:
    """The Secret with what a RealtimeCluster's gateways and relay log in with."""
    return f"{name}-accounts"


def gateway_workload(name: str) -> str:
    """The Deployment and Service of a RealtimeCluster's gateways."""
    return f"{name}-gateway"


def relay_workload(name: str) -> str:
    """The Deployment of a RealtimeCluster's relay."""
    return f"{name}-relay"


def workload_labels(component: str, name: str) -> dict[str, str]:
    """What the pods of a RealtimeCluster's `gateway` or `relay` are selected by, within its namespace."""
    return {"app.kubernetes.io/name": component, "app.kubernetes.io/instance": name}


def app_id(tenant: str) -> str:
    """The tenant's app on the gateways: a decimal number below 2^52, as Pusher's client libraries insist."""
    return str(int.from_bytes(_digest(tenant, 8), "big") >> 12)


def dead_letters(tenant: str) -> str:
    """The topic of the tenant's records that the relay could not deliver."""
    return topic(tenant, RELAY_DOMAIN, "dead-letter")


def _digest(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=size).digest()
