"""The RealtimeCluster: the shared data plane that tenants live on."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from matrixhub.api.conditions import Condition
from matrixhub.api.dataplane import Gateway, GatewayStatus, Relay
from matrixhub.api.scaling import Autoscaling, Consumer, ScalingStatus
from matrixhub.api.services import KafkaBackend, ObjectStoreBackend, PostgresBackend, RedisBackend
from matrixhub.api.values import SET, ListType, Metadata, Model, Rule, rules


class RealtimeClusterSpec(Model):
    """The backends. Each may be left out: tenants then have no share of it, and no condition for it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "has(self.postgres) || has(self.redis) || has(self.kafka) || has(self.objectStore)",
                "a RealtimeCluster needs at least one backend: write postgres, redis, kafka or objectStore",
            ),
            Rule(
                "!has(self.gateway) || has(self.postgres) && has(self.redis)",
                "gateways keep their apps in Postgres and find one another through Redis: write postgres and redis",
            ),
            Rule(
                "!has(self.relay) || has(self.kafka) && has(self.gateway)",
                "a relay brings records of Kafka to the gateways: write kafka and gateway",
            ),
            Rule(
                "!has(self.abandoned) || !self.abandoned.exists(s, s == 'postgres' && has(self.postgres)"
                " || s == 'redis' && has(self.redis) || s == 'kafka' && has(self.kafka)"
                " || s == 'objectStore' && has(self.objectStore))",
                "`abandoned` names what is no longer in the spec: take the service out of one of the two",
            ),
            Rule(
                "!has(self.consumers) || self.consumers.size() == 0 || has(self.kafka)",
                "consumers are scaled from the lag of their group in Kafka: write kafka",
            ),
            Rule(
                "!has(self.gateway)"
                " || self.autoscaling.gateway.targetConnectionsPerReplica <= self.gateway.connectionsPerReplica",
                "targetConnectionsPerReplica must not be above gateway.connectionsPerReplica, what one gateway takes",
            ),
        )
    )

    abandoned: Annotated[tuple[Literal["postgres", "redis", "kafka", "objectStore"], ...], SET] = Field(
        default=(), max_length=4
    )
    """Services that were taken out of the spec for good though Tenants have their shares there: logins and data stay.

    When changed: what is named here is waited for no longer, neither by Tenants nor by their deletion. Taken out again,
    Tenants that had a share there say `ServiceMissing`.
    """
    adopt_from: Annotated[
        str,
        Field(max_length=36),
        Rule(
            "self.matches('^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$')",
            "must be the uid of the lost cluster's kube-system namespace, as the Conflict says it before the slash",
        ),
    ] = ""
    """The Kubernetes cluster that is lost (uid of its kube-system namespace): what it marked is taken over.

    When changed: what carries that cluster's mark is taken over within a resync and marked anew; take the field out
    once all is Ready.
    """
    postgres: PostgresBackend | None = None
    """The database whose tables are shared by row.

    When changed: taken out, refused while Tenants live here, unless `abandoned` names it.
    """
    redis: RedisBackend | None = None
    """The Redis (7 or later) that is shared by key prefix. When changed: taken out, as `postgres`."""
    kafka: KafkaBackend | None = None
    """The Kafka (KRaft) that is shared by topic prefix. When changed: taken out, as `postgres`."""
    object_store: ObjectStoreBackend | None = None
    """The S3 service that is shared by bucket. When changed: taken out, as `postgres`."""
    gateway: Gateway | None = None
    """The WebSocket gateways. Each tenant is an app on them.

    When changed: taken out, the gateways go, and with them the Secret `gateway` of each tenant.
    """
    relay: Relay | None = None
    """The relay: brings records of the tenants' topics to their channels.

    When changed: taken out, the relays go; Kafka keeps where they stopped, for as long as it keeps a group's offsets.
    """
    consumers: Annotated[tuple[Consumer, ...], ListType("map", ("name",))] = Field(
        default=(),
        max_length=64,
        json_schema_extra=rules(
            Rule(
                "self.all(c, !(c.name in ['gateway', 'relay']))",
                "gateway and relay are the RealtimeCluster's own: give the consumer another name",
            ),
            Rule(
                "self.all(c, self.exists_one(d, d.targetRef.name == c.targetRef.name"
                " && d.targetRef.kind == c.targetRef.kind))",
                "a workload stands here twice, and would be scaled by both: leave it in one entry, with all its topics",
            ),
        ),
    )
    """Workloads of yours that are scaled from the lag of their consumer groups.

    When changed: taken out, a workload stays at the size that it has.
    """
    autoscaling: Autoscaling = Autoscaling()
    """How gateways and consumers are scaled."""

    @property
    def given_up(self) -> frozenset[str]:
        """The backends that `abandoned` names."""
        return frozenset(name.lower() for name in self.abandoned)


class BackendStatus(Model):
    """What the operator last saw of one backend."""

    name: str
    """The backend."""
    reachable: bool
    """Whether it answers."""
    since: datetime | None = None
    """Since when `reachable` is so."""
    version: str = ""
    """Its version."""


class FindingStatus(Model):
    """Something about a backend that weakens isolation and that the operator cannot mend."""

    backend: str
    """The backend."""
    reason: str
    """What kind of thing it is, as one CamelCase word."""
    message: str
    """What it is, and what to do about it."""


class RealtimeClusterStatus(Model):
    """What the operator last saw of a RealtimeCluster."""

    observed_generation: int = 0
    """The generation of the spec that this status speaks of."""
    message: str = ""
    """The first thing that is wrong, in words."""
    tenants: int = 0
    """Tenants that live on it."""
    conditions: Annotated[tuple[Condition, ...], ListType("map", ("type",))] = ()
    """Ready, and one condition for each backend."""
    backends: Annotated[tuple[BackendStatus, ...], ListType("map", ("name",))] = ()
    """What was last seen of each backend."""
    findings: tuple[FindingStatus, ...] = ()
    """What weakens isolation and a person has to mend."""
    gateway: GatewayStatus | None = None
    """The gateways."""
    scaling: Annotated[tuple[ScalingStatus, ...], ListType("map", ("name",))] = ()
    """The last decision on the size of each workload, and why."""


class RealtimeCluster(Model):
    """A RealtimeCluster as read from the API server."""

    metadata: Metadata
    spec: RealtimeClusterSpec
    status: dict[str, Any] = Field(default={})

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"
