"""The Tenant: one institution's share of every backend."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from matrixhub.api.conditions import Condition
from matrixhub.api.shares import GatewayShare, KafkaShare, ObjectStoreShare, PostgresShare, RedisShare
from matrixhub.api.values import SET, LabelName, ListType, Metadata, Model, Quantity, Rule, rules

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


class ClusterRef(Model):
    """The RealtimeCluster whose backends the tenant lives on."""

    namespace: LabelName
    """Namespace of the RealtimeCluster."""
    name: LabelName
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
    namespace: LabelName | None = None
    """The ServiceAccount's namespace. When changed: the binding is replaced within seconds."""
    role: Literal["admin", "edit", "view"] = "view"
    """The ClusterRole bound in the tenant's namespace.

    When changed: the binding is replaced within seconds; running pods stay.
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
    shares: Annotated[tuple[str, ...], SET] = ()
    """The backends in which this Tenant has had its share: what its end has to undo, and `Delete` removes."""
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
