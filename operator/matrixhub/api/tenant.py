"""The Tenant: one institution's share of every backend."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from matrixhub.api.conditions import Condition
from matrixhub.api.values import (
    ROUNDED,
    SET,
    Bytes,
    Duration,
    ListType,
    Metadata,
    Model,
    PostgresTimeout,
    Quantity,
    Rule,
    Whole,
    rules,
)

RESERVED = ("admin", "all", "default", "none", "pool", "public", "root", "shared", "system", "tenants")
"""Names that no tenant may have: `default` would collide with a table's default partition, the others are
what people, dashboards and grants call the whole rather than one part."""

_QUOTA_NAMES = (
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "replicationcontrollers",
    "resourcequotas",
    "persistentvolumeclaims",
    "configmaps",
    "secrets",
)
"""What a ResourceQuota counts without a prefix: standardQuotaResources in pkg/apis/core/helper."""

Name = Annotated[str, Field(min_length=1, max_length=63)]
TopicPart = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Rule(
        "self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",
        "must be lower-case letters, digits and hyphens between them, such as user-actions: "
        "dots separate tenant, domain and event, and Kafka confuses underscores with dots",
    ),
]
Origin = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(
        r"self.matches('^(https?://)?([*][.])?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$')",
        "must be an origin, such as https://app.example.org or *.example.org: no path, a * only in front",
    ),
]


class ClusterRef(Model):
    """The RealtimeCluster whose backends the tenant lives on."""

    namespace: Name
    """Namespace of the RealtimeCluster."""
    name: Name
    """Name of the RealtimeCluster."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Owner(Model):
    """A user, group or service account with a role in the tenant's namespace."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.kind != 'ServiceAccount' || has(self.__namespace__)",
                "a ServiceAccount needs its `namespace`",
            ),
            Rule(
                "self.kind == 'ServiceAccount' || !has(self.__namespace__)",
                "only a ServiceAccount has a `namespace`: leave it out for a User or Group",
            ),
        )
    )

    kind: Literal["User", "Group", "ServiceAccount"]
    """What `name` names. When changed: the binding is replaced within seconds."""
    name: str = Field(min_length=1, max_length=253)
    """The user's or group's name as the API server knows it, or the ServiceAccount's.

    When changed: the binding is replaced within seconds.
    """
    namespace: str | None = Field(default=None, min_length=1, max_length=63)
    """The ServiceAccount's namespace. When changed: the binding is replaced within seconds."""
    role: Literal["admin", "edit", "view"] = "view"
    """The ClusterRole bound in the tenant's namespace.

    When changed: the binding is replaced within seconds; running pods stay.
    """


class PostgresShare(Model):
    """Limits of the tenant's Postgres role."""

    connection_limit: Whole = Field(default=20, ge=1, le=10000)
    """Sessions the tenant's login may have open at once.

    When changed: holds for new sessions within seconds; open ones stay, also above the limit.
    """
    statement_timeout: PostgresTimeout = Field(default="5s", validate_default=True)
    """How long a statement of the tenant may run, as a duration (h, m, s, ms).

    When changed: holds for new sessions within seconds.
    """
    storage: Bytes | None = None
    """Size of the tenant's rows, in bytes as a quantity. Kept for the metering to come: not enforced yet.

    When changed: nothing happens yet.
    """


class RedisShare(Model):
    """Limits of the tenant's Redis namespace."""

    memory: Bytes | None = None
    """Memory of the tenant's keys, as a quantity of bytes. Kept for the metering to come: not enforced yet.

    When changed: nothing happens yet.
    """


class Topics(Model):
    """Topics of one domain: each event becomes the topic `{tenant}.{domain}.{event}`."""

    domain: TopicPart
    """The middle part of the topics' names.

    When changed: topics of the new name are made; those of the old name stay, with their data and the access to them.
    """
    events: Annotated[tuple[TopicPart, ...], SET] = Field(min_length=1, max_length=32)
    """The last parts of the topics' names: one topic for each.

    When changed: a new one is made within seconds; one that is taken out stays, with its data and the access to it.
    """
    partitions: Whole = Field(default=1, ge=1, le=1000)
    """Partitions of each topic. Kafka can add partitions later but never remove any.

    When changed: more are added within seconds; fewer are refused with the reason PartitionsCannotShrink, and nothing
    is lost.
    """
    retention: Duration = Field(default="168h", validate_default=True)
    """How long records are kept, as a duration (h, m, s, ms).

    When changed: set on the topics within seconds; if it is shorter, Kafka deletes what is older.
    """


EACH_TOPIC_ONCE = Rule(
    "self.all(t, t.events.all(e, self.exists_one(u, u.domain == t.domain && e in u.events)))",
    "a topic (domain and event) stands here twice: leave it in one entry only",
)


class KafkaShare(Model):
    """Client quotas (bytes per second, percent of request threads), storage and own topics."""

    producer_byte_rate: Bytes | None = None
    """What the tenant may produce on each broker, in bytes per second. Without it there is no limit.

    When changed: holds within seconds, for open connections too.
    """
    consumer_byte_rate: Bytes | None = None
    """What the tenant may consume from each broker, in bytes per second. Without it there is no limit.

    When changed: holds within seconds, for open connections too.
    """
    request_percentage: Annotated[int, Field(ge=1, le=10000), ROUNDED] | None = None
    """Time on each broker's request threads, in percent of one thread. Without it there is no limit.

    When changed: holds within seconds, for open connections too.
    """
    storage: Bytes | None = None
    """Size of the topics, as a quantity of bytes, shared out as retention.bytes. Without it there is no limit.

    When changed: set on the topics of the spec within seconds; if it is less, Kafka deletes the oldest records.
    """
    topics: Annotated[tuple[Topics, ...], EACH_TOPIC_ONCE] = Field(default=(), max_length=32)
    """Topics of this tenant, beside those that the RealtimeCluster gives to every tenant.

    When changed: new topics are made within seconds; one that is taken out stays, with its data, until the Tenant is
    deleted with Delete.
    """


class ObjectStoreShare(Model):
    """The tenant's bucket."""

    storage: Bytes | None = None
    """Size of the tenant's objects, as a quantity of bytes, enforced by MinIO. Without it there is no limit.

    When changed: set within seconds; objects stay, also above the limit, and new ones are refused once MinIO has
    counted.
    """
    versioning: bool = True
    """Whether overwritten and deleted objects are kept as noncurrent versions.

    When changed: holds for writes within seconds; versions that exist stay.
    """
    noncurrent_expiration_days: Whole = Field(default=30, ge=1, le=36500)
    """Days after which noncurrent versions are deleted.

    When changed: set within seconds; if it is less, the store deletes the versions that are older.
    """


class GatewayShare(Model):
    """Limits of the tenant's app on the gateways."""

    max_connections: Whole = Field(default=500, ge=1, le=1000000)
    """Sockets the tenant may have open at once. When changed: holds for the next socket; open ones stay."""
    client_events_per_second: Whole = Field(default=10, ge=1, le=100000)
    """Client events per second and socket.

    When changed: holds for the next socket; open ones keep what they came with.
    """
    max_presence_members: Whole = Field(default=100, ge=1, le=10000)
    """Members of one presence channel. When changed: holds for the next socket; members that are in a channel stay."""
    allowed_origins: Annotated[tuple[Origin, ...], SET] = Field(default=(), max_length=64)
    """Origins that browsers may connect from; none means any.

    When changed: holds for the next socket; open ones stay.
    """


class TenantSpec(Model):
    """What an institution is given."""

    display_name: str = Field(default="", max_length=256)
    """The institution's name as people write it.

    When changed: the annotation on the tenant's namespace follows within seconds.
    """
    cluster_ref: Annotated[
        ClusterRef,
        Rule(
            "self == oldSelf",
            "a tenant stays on its RealtimeCluster: to move it, make a new Tenant there and copy the data",
        ),
    ]
    """The RealtimeCluster whose backends the tenant lives on. When changed: refused."""
    owners: Annotated[
        tuple[Owner, ...],
        Rule(
            "self.all(o, self.exists_one(p, p.kind == o.kind && p.name == o.name"
            " && (has(p.__namespace__) ? p.__namespace__ : '')"
            " == (has(o.__namespace__) ? o.__namespace__ : '')))",
            "an owner stands here twice: leave the entry with the role that is meant",
        ),
    ] = Field(default=(), max_length=64)
    """Who works in the tenant's namespace, and in which role. When changed: bindings follow within seconds."""
    suspended: bool = False
    """Whether every door is shut: no login, no produce or consume, no objects. Data is untouched.

    When changed: every door is shut, or opened with the same credentials, within seconds; open sockets stay open until
    they close.
    """
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the data of a deleted Tenant: Retain removes access only, Delete the data too.

    When changed: nothing happens until the Tenant is deleted; what it says then holds.
    """
    postgres: PostgresShare = PostgresShare()
    """Limits of the tenant's Postgres role."""
    redis: RedisShare = RedisShare()
    """Limits of the tenant's Redis namespace."""
    kafka: KafkaShare = KafkaShare()
    """Client quotas, storage and topics of the tenant in Kafka."""
    object_store: ObjectStoreShare = ObjectStoreShare()
    """The tenant's bucket."""
    gateway: GatewayShare = GatewayShare()
    """Limits of the tenant's app on the gateways."""
    compute: Annotated[
        dict[str, Quantity],
        Rule(
            f"self.all(k, k in {list(_QUOTA_NAMES)} || k.startsWith('count/') || k.startsWith('requests.')"
            " && k.contains('/') || k.contains('.storageclass.storage.k8s.io/'))",
            "must be names that a ResourceQuota counts, such as requests.cpu, pods or count/jobs.batch",
        ),
        Rule(
            "['cpu', 'memory', 'ephemeral-storage']"
            ".filter(r, 'requests.' + r in self && 'limits.' + r in self)"
            ".map(r, [string(self['requests.' + r]), string(self['limits.' + r])])"
            ".all(p, !isQuantity(p[0]) || !isQuantity(p[1])"
            " || quantity(p[0]).compareTo(quantity(p[1])) <= 0)",
            "requests must not be above limits: raise limits.<resource> or lower requests.<resource>",
        ),
    ] = Field(default={}, max_length=64)
    """ResourceQuota of the tenant's namespace: by name, a quantity. Empty means no quota.

    When changed: the quota follows within seconds; running pods stay, also above it.
    """


class Drift(Model):
    """What was last found changed by hand in one backend, and was put right."""

    backend: str
    """The backend."""
    time: datetime
    """When it was found."""
    message: str
    """What was changed, and what was done about it."""


class TenantStatus(Model):
    """What the operator last saw of a Tenant."""

    observed_generation: int = 0
    """The generation of the spec that this status speaks of."""
    observed_cluster_generation: int = 0
    """The generation of the RealtimeCluster that this status speaks of."""
    message: str = ""
    """The first thing that is wrong, in words."""
    namespace: str = ""
    """The tenant's namespace."""
    connections: int = 0
    """WebSocket connections that are open now."""
    conditions: Annotated[tuple[Condition, ...], ListType("map", ("type",))] = ()
    """Ready, and one condition for each backend."""
    drift: Annotated[tuple[Drift, ...], ListType("map", ("backend",))] = ()
    """For each backend the last change by hand that was put right."""


class Tenant(Model):
    """A Tenant as read from the API server. `id` is its name."""

    metadata: Metadata
    spec: TenantSpec
    status: dict[str, Any] = Field(default={})

    @property
    def id(self) -> str:
        """The tenant's id: a DNS label of at most 32 characters, without dots."""
        return self.metadata.name
