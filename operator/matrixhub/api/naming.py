"""Every name that is derived from a tenant's id, in one place.

An id is a DNS label of at most 32 characters without dots, so each name fits its backend
(Postgres 63 bytes, S3 63, Kafka 249, a Kubernetes namespace 63), and no tenant's prefix matches another's.
"""

GROUP = "matrixhub.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FINALIZER = f"{GROUP}/tenant"
FIELD_MANAGER = "matrixhub"
TENANT_LABEL = f"{GROUP}/tenant"
OWNER_ANNOTATION = f"{GROUP}/owner"
MANAGED_BY = {"app.kubernetes.io/managed-by": "matrixhub"}
MANAGED_BY_SELECTOR = ",".join(f"{key}={value}" for key, value in MANAGED_BY.items())
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
