"""The backends of a RealtimeCluster: where each is, how it is reached, and what its tenants get there."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from matrixhub.api.shares import EACH_TOPIC_ONCE, Topics
from matrixhub.api.values import SET, Model, Rule, SecretRef, SqlName, Whole, rules

_HOST = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
_IPV6 = r"\\[[0-9A-Fa-f:.]+\\]"
_IPV6_IS_ONE = "(!self.contains('[') || isIP(self.substring(self.indexOf('[') + 1, self.indexOf(']'))))"
PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
"""1 to 65535."""

Host = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(
        f"self.matches('^{_HOST}$') || isIP(self)",
        "must be a host name or an IP address alone, such as postgres.example.org: the port stands in `port`",
    ),
]
Address = Annotated[
    str,
    Field(min_length=3, max_length=262),
    Rule(
        f"self.matches('^({_HOST}|{_IPV6}):{PORT}$') && {_IPV6_IS_ONE}",
        "must be host:port, such as redis.example.org:6379 or [fd00::1]:6379",
    ),
]
Url = Annotated[
    str,
    Field(min_length=1, max_length=2048),
    Rule(
        f"self.matches('^https?://({_HOST}|{_IPV6})(:{PORT})?/?$') && {_IPV6_IS_ONE}",
        "must be a URL such as https://s3.example.org:9000, without user, path or query",
    ),
]
SchemaName = Annotated[
    SqlName,
    Rule(
        "!self.startsWith('pg_') && self != 'information_schema' && self != 'matrixhub'",
        "must be a schema of your applications: pg_*, information_schema and matrixhub are never shared",
    ),
]
_PREFIX_RESERVED = "self.startsWith('xn--') || self.startsWith('sthree-') || self.startsWith('amzn-s3-demo-')"


class ServerTls(Model):
    """How a server's certificate is checked."""

    ca_secret_ref: SecretRef | None = None
    """The Secret whose `ca.crt` signs the server's certificate. Without it the system's authorities are trusted.

    When changed: the operator connects anew, Secrets hold it, gateways and relays that use it are replaced one at a
    time.
    """


class Tls(ServerTls):
    """How a server's certificate is checked, and which one is shown to it."""

    client_cert_secret_ref: SecretRef | None = None
    """The Secret of type kubernetes.io/tls with `tls.crt` and `tls.key` that are shown to the server (mTLS).

    When changed: the operator connects anew, gateways and relays that use it are replaced one at a time.
    """


class RedisTls(Tls):
    """TLS to Redis: whether, how the servers' certificates are checked, and which one is shown to them."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.enabled || !has(self.caSecretRef) && !has(self.clientCertSecretRef)",
                "`enabled: false` encrypts nothing: leave out caSecretRef and clientCertSecretRef, or `enabled`",
            )
        )
    )

    enabled: bool = True
    """Whether connections are encrypted.

    When changed: the operator connects anew; the gateways are replaced one at a time.
    """


class PostgresBackend(Model):
    """The database whose tables are shared by row. Admin Secret keys: `username`, `password`."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.sslMode != 'disable' || !has(self.tls)",
                "`sslMode: disable` encrypts nothing: leave `tls` out, or set `sslMode: verify-full`",
            ),
            Rule(
                "self.sslMode != 'require' || !has(self.tls) || !has(self.tls.caSecretRef)",
                "`sslMode: require` checks no certificate: leave `tls.caSecretRef` out, or set `sslMode: verify-full`",
            ),
            Rule(
                "self.sslMode != 'verify-ca' || has(self.tls) && has(self.tls.caSecretRef)",
                "`sslMode: verify-ca` needs `tls.caSecretRef`, for public authorities sign anybody's certificate: "
                "name yours, or set `sslMode: verify-full`",
            ),
        )
    )

    host: Host
    """Host name or IP address.

    When changed: the operator sets every tenant up there, Secrets name it, gateways and relays are replaced; no data is
    moved. A former server is not touched any more: it keeps its logins and rows. If it is the same that moved, nothing
    is to be done; if it goes on running, delete the Tenants before, or drop the roles of `matrixhub.tenant` there.
    """
    port: Whole = Field(default=5432, ge=1, le=65535)
    """TCP port. When changed: as `host`."""
    database: SqlName
    """The database. When changed: as `host`."""
    ssl_mode: Literal["disable", "require", "verify-ca", "verify-full"] = "verify-full"
    """How far the server's certificate is checked, as in libpq.

    When changed: the operator connects anew, Secrets say it, gateways and relays are replaced one at a time.
    """
    tls: Tls | None = None
    """The authority that signs the server's certificate, and the certificate that is shown to it."""
    admin_secret_ref: SecretRef
    """The Secret with `username` and `password` of the operator's login."""
    schemas: Annotated[tuple[SchemaName, ...], SET] = Field(default=("public",), min_length=1, max_length=64)
    """Schemas whose tables are shared by row, where they have the tenant column.

    When changed: tables of a new schema are walled in within seconds; those of a schema that is taken out stay walled
    in, and a Tenant's rows there go with `Delete`.
    """
    tenant_column: SqlName = "tenant_id"
    """The column that holds the tenant's id.

    When changed: tables with the new column are walled in within seconds; those with the old one stay as they are, and
    a Tenant's rows there go with `Delete`.
    """


class RedisBackend(Model):
    """The Redis (7 or later) that is shared by key prefix. Admin Secret keys: `username`, `password`."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.mode != 'sentinel' || has(self.masterName)",
                "mode sentinel needs `masterName`: the name that the sentinels know the master by",
            ),
            Rule(
                "self.mode == 'sentinel' || !has(self.masterName)",
                "`masterName` belongs to mode sentinel: leave it out, or set `mode: sentinel`",
            ),
        )
    )

    mode: Literal["standalone", "sentinel", "cluster"] = "standalone"
    """How the servers stand together.

    When changed: the operator sets every tenant up there, Secrets name it, gateways are replaced; no data is moved.
    Former servers are not touched any more: they keep users and keys until somebody removes the users `tenant-*` there.
    """
    nodes: Annotated[tuple[Address, ...], SET] = Field(min_length=1, max_length=64)
    """The servers (the sentinels in mode sentinel), each as host:port. When changed: as `mode`."""
    master_name: (
        Annotated[
            str,
            Field(min_length=1, max_length=253),
            Rule(
                "self.matches('^[A-Za-z0-9._-]+$')", "must be letters, digits, '.', - and _, as Redis Sentinel has it"
            ),
        ]
        | None
    ) = None
    """The name that the sentinels know the master by. When changed: as `mode`."""
    tls: RedisTls | None = None
    """TLS to the servers. Without it connections are not encrypted."""
    admin_secret_ref: SecretRef
    """The Secret with `username` and `password` of the operator's ACL user."""


class KafkaBackend(Model):
    """The Kafka (KRaft) that is shared by topic prefix. Admin Secret keys: `username`, `password`."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.securityProtocol == 'SASL_SSL' || !has(self.tls)",
                "`securityProtocol: SASL_PLAINTEXT` encrypts nothing: leave `tls` out, or set SASL_SSL",
            )
        )
    )

    bootstrap_servers: Annotated[tuple[Address, ...], SET] = Field(min_length=1, max_length=64)
    """The brokers asked first, each as host:port.

    When changed: the operator connects anew, Secrets name them, relays are replaced; no data is moved. Another Kafka
    gets every tenant's topics, empty; the former one is not touched any more: it keeps logins, ACLs and records.
    """
    security_protocol: Literal["SASL_SSL", "SASL_PLAINTEXT"] = "SASL_SSL"
    """Whether connections are encrypted. Clients always log in.

    When changed: the operator connects anew, Secrets say it, relays are replaced one at a time.
    """
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256"] = "SCRAM-SHA-512"
    """How clients log in.

    When changed: every tenant's login is set in the new mechanism and removed from the old one; Secrets say it, relays
    are replaced.
    """
    tls: Tls | None = None
    """The authority that signs the brokers' certificates, and the certificate that is shown to them."""
    admin_secret_ref: SecretRef
    """The Secret with `username` and `password` of the operator's user."""
    replication_factor: Whole = Field(default=3, ge=1, le=32)
    """Copies of each partition of the tenants' topics.

    When changed: holds for new topics; those that exist stay as they are.
    """
    topics: Annotated[tuple[Topics, ...], EACH_TOPIC_ONCE] = Field(default=(), max_length=32)
    """Topics that every tenant gets.

    When changed: every tenant gets a new topic at the resync that follows at once; one that is taken out stays, with
    its data.
    """


class ObjectStoreBackend(Model):
    """The S3 service that is shared by bucket. Admin Secret keys: `accessKey`, `secretKey`."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.provider != 'minio' || has(self.endpoint)",
                "provider minio needs `endpoint`: the server's URL",
            ),
            Rule(
                "self.provider == 'aws' || !has(self.iamEndpoint)",
                "`iamEndpoint` belongs to provider aws: leave it out, MinIO has all at its `endpoint`",
            ),
            Rule(
                "!has(self.tls) || !has(self.endpoint) || self.endpoint.startsWith('https://')",
                "an http:// endpoint encrypts nothing: leave `tls` out, or write an https:// endpoint",
            ),
            Rule(
                "self.bucketPrefix == oldSelf.bucketPrefix",
                "`bucketPrefix` stays: tenants' buckets are named with it, and their data would stay behind",
            ),
        )
    )

    provider: Literal["aws", "minio"]
    """Whose administration API the service has: S3 with IAM, or MinIO's.

    When changed: the operator sets every tenant up there, Secrets name it; no data is moved. A former service is not
    touched any more: it keeps users, policies and buckets.
    """
    endpoint: Url | None = None
    """URL of the S3 API. Without it AWS's own for the region. When changed: as `provider`."""
    iam_endpoint: Url | None = None
    """URL of the IAM API, for provider aws. Without it AWS's own. When changed: the operator connects anew."""
    region: Annotated[
        str,
        Field(min_length=1, max_length=63),
        Rule(
            "self.matches('^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$')",
            "must be letters, digits and hyphens between them, such as us-east-1: AWS's addresses are made of it",
        ),
    ] = "us-east-1"
    """Region that buckets are made in and requests are signed for.

    When changed: holds for new buckets; Secrets say it; those that exist stay where they are.
    """
    bucket_prefix: Annotated[
        str,
        Field(min_length=1, max_length=24),
        Rule(
            f"self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && !({_PREFIX_RESERVED})",
            "must be lower-case letters, digits and hyphens between them, such as hub; "
            "xn--, sthree- and amzn-s3-demo- are AWS's",
        ),
    ] = "hub"
    """What the buckets' names begin with: `{bucketPrefix}-{tenant}`. When changed: refused.

    The section can't be taken out to get round that while Tenants live here. Retained buckets keep their names.
    """
    tls: ServerTls | None = None
    """The authority that signs the service's certificate."""
    admin_secret_ref: SecretRef
    """The Secret with `accessKey` and `secretKey` of the operator's user."""
