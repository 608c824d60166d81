"""The Tenant: one institution's share of every backend."""

from typing import Any, Literal

from pydantic import Field

from matrixhub.api.values import Bytes, Duration, Metadata, Model


class ClusterRef(Model):
    """The RealtimeCluster whose backends the tenant lives on."""

    namespace: str = Field(max_length=63)
    name: str = Field(max_length=63)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Owner(Model):
    """A user, group or service account with a role in the tenant's namespace."""

    kind: Literal["User", "Group", "ServiceAccount"]
    name: str = Field(min_length=1, max_length=253)
    namespace: str | None = Field(default=None, max_length=63)
    role: Literal["admin", "edit", "view"] = "view"


class PostgresShare(Model):
    """Limits of the tenant's Postgres role."""

    connection_limit: int = Field(default=20, ge=1, le=10000)
    statement_timeout: Duration = Field(default="5s", validate_default=True)
    storage: Bytes | None = None


class RedisShare(Model):
    """Limits of the tenant's Redis namespace."""

    memory: Bytes | None = None


class Topics(Model):
    """Topics of one domain: each event becomes the topic `{tenant}.{domain}.{event}`."""

    domain: str = Field(max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    events: tuple[str, ...] = Field(min_length=1, max_length=64)
    partitions: int = Field(default=1, ge=1, le=1000)
    retention: Duration = Field(default="168h", validate_default=True)


class KafkaShare(Model):
    """Client quotas (bytes per second, percent of request threads), storage and own topics."""

    producer_byte_rate: Bytes | None = None
    consumer_byte_rate: Bytes | None = None
    request_percentage: int | None = Field(default=None, ge=1, le=10000)
    storage: Bytes | None = None
    topics: tuple[Topics, ...] = Field(default=(), max_length=64)


class ObjectStoreShare(Model):
    """The tenant's bucket."""

    storage: Bytes | None = None
    versioning: bool = True
    noncurrent_expiration_days: int = Field(default=30, ge=1, le=36500)


class GatewayShare(Model):
    """Limits of the tenant's app on the WebSocket gateways."""

    max_connections: int = Field(default=500, ge=1, le=1000000)
    client_events_per_second: int = Field(default=10, ge=1, le=100000)
    max_presence_members: int = Field(default=100, ge=1, le=10000)
    allowed_origins: tuple[str, ...] = Field(default=(), max_length=64)


class TenantSpec(Model):
    """What an institution is given."""

    display_name: str = Field(default="", max_length=256)
    cluster_ref: ClusterRef
    owners: tuple[Owner, ...] = Field(default=(), max_length=64)
    suspended: bool = False
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    postgres: PostgresShare = PostgresShare()
    redis: RedisShare = RedisShare()
    kafka: KafkaShare = KafkaShare()
    object_store: ObjectStoreShare = ObjectStoreShare()
    gateway: GatewayShare = GatewayShare()
    compute: dict[str, str | int] = Field(default={})


class Tenant(Model):
    """A Tenant as read from the API server. `id` is its name."""

    metadata: Metadata
    spec: TenantSpec
    status: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """The tenant's id: a DNS label of at most 32 characters, without dots."""
        return self.metadata.name
