"""The RealtimeCluster: the shared data plane that tenants live on."""

from typing import Any, Literal

from pydantic import Field

from matrixhub.api.tenant import Topics
from matrixhub.api.values import Metadata, Model


class SecretRef(Model):
    """A Secret in the RealtimeCluster's namespace."""

    name: str = Field(min_length=1, max_length=253)


class Tls(Model):
    """TLS to a backend: whether, and the Secret whose `ca.crt` signs its certificate (the system's CAs when unset)."""

    enabled: bool = True
    ca_secret_ref: SecretRef | None = None


class PostgresBackend(Model):
    """The database whose tables are shared by row. Admin Secret keys: `username`, `password`."""

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=5432, ge=1, le=65535)
    database: str = Field(min_length=1, max_length=63)
    ssl_mode: Literal["disable", "require", "verify-ca", "verify-full"] = "verify-full"
    ca_secret_ref: SecretRef | None = None
    admin_secret_ref: SecretRef
    schemas: tuple[str, ...] = Field(default=("public",), min_length=1, max_length=64)
    tenant_column: str = Field(default="tenant_id", min_length=1, max_length=63)


class RedisBackend(Model):
    """The Redis (7 or later) that is shared by key prefix. Admin Secret keys: `username`, `password`."""

    mode: Literal["standalone", "sentinel", "cluster"] = "standalone"
    nodes: tuple[str, ...] = Field(min_length=1, max_length=64)
    master_name: str | None = Field(default=None, max_length=253)
    tls: Tls | None = None
    admin_secret_ref: SecretRef


class KafkaBackend(Model):
    """The Kafka (KRaft) that is shared by topic prefix. Admin Secret keys: `username`, `password`."""

    bootstrap_servers: tuple[str, ...] = Field(min_length=1, max_length=64)
    security_protocol: Literal["SASL_SSL", "SASL_PLAINTEXT"] = "SASL_SSL"
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256"] = "SCRAM-SHA-512"
    ca_secret_ref: SecretRef | None = None
    admin_secret_ref: SecretRef
    replication_factor: int = Field(default=3, ge=1, le=32)
    topics: tuple[Topics, ...] = Field(default=(), max_length=64)


class ObjectStoreBackend(Model):
    """The S3 service that is shared by bucket. Admin Secret keys: `accessKey`, `secretKey`."""

    provider: Literal["aws", "minio"]
    endpoint: str | None = Field(default=None, max_length=2048)
    iam_endpoint: str | None = Field(default=None, max_length=2048)
    region: str = Field(default="us-east-1", max_length=63)
    bucket_prefix: str = Field(default="hub", min_length=1, max_length=24, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    ca_secret_ref: SecretRef | None = None
    admin_secret_ref: SecretRef


class RealtimeClusterSpec(Model):
    """The backends. Each may be left out: tenants then have no share of it, and no condition for it."""

    postgres: PostgresBackend | None = None
    redis: RedisBackend | None = None
    kafka: KafkaBackend | None = None
    object_store: ObjectStoreBackend | None = None


class RealtimeCluster(Model):
    """A RealtimeCluster as read from the API server."""

    metadata: Metadata
    spec: RealtimeClusterSpec
    status: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"
