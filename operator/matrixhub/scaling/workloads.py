"""What of a RealtimeCluster is scaled, and by which policy. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matrixhub.api import naming
from matrixhub.api.dataplane import Gateway
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.scaling import Consumer
from matrixhub.backends.contract import Phase
from matrixhub.kube.resources import DEPLOYMENT, STATEFUL_SET, Resource
from matrixhub.scaling.consumers import ConsumerPolicy
from matrixhub.scaling.consumers import decide as decide_consumers
from matrixhub.scaling.decision import PAUSED_ANNOTATION, Bounds, Decision, Pause, pause
from matrixhub.scaling.gateways import GatewayHistory, GatewayPolicy
from matrixhub.scaling.gateways import decide as decide_gateways
from matrixhub.scaling.learning import ConsumerHistory
from matrixhub.scaling.samples import Gateways as GatewaySamples
from matrixhub.scaling.samples import Group

GATEWAY, RELAY = "gateway", "relay"
Tenants = Mapping[str, Phase]
"""Who lives on a RealtimeCluster, and what is wanted of each."""


@dataclass(frozen=True)
class Gateways:
    """The gateways of a RealtimeCluster."""

    target: str
    policy: GatewayPolicy
    name: str = GATEWAY
    resource: Resource = DEPLOYMENT

    def decide(
        self, samples: GatewaySamples, current: int, history: GatewayHistory | None, now: float, every: float
    ) -> Decision[GatewayHistory]:
        """The decision on `current` gateways; `history` is that of the last, about `every` seconds ago."""
        return decide_gateways(samples, current, self.policy, history or GatewayHistory(), now, every)


@dataclass(frozen=True)
class Consumers:
    """A workload that reads as a consumer group; the relay is one."""

    name: str
    resource: Resource
    target: str
    group: str
    topics: re.Pattern[str]
    policy: ConsumerPolicy
    active_only: bool = False
    """Whether it leaves alone what is there of tenants that are not active."""

    def counted(self, tenants: Tenants) -> frozenset[str]:
        """The tenants whose records are work for it."""
        return frozenset(t for t, phase in tenants.items() if phase is Phase.ACTIVE or not self.active_only)

    def decide(
        self, sample: Group, current: int, history: ConsumerHistory | None, now: float, every: float
    ) -> Decision[ConsumerHistory]:
        """The decision on `current` replicas; `history` is that of the last, about `every` seconds ago."""
        return decide_consumers(sample, current, self.policy, history or ConsumerHistory(), now, every)


def gateways(cluster: RealtimeCluster) -> Gateways | None:
    """The gateways, if the RealtimeCluster runs any."""
    spec = cluster.spec.gateway
    return Gateways(naming.gateway_workload(cluster.metadata.name), _gateway_policy(cluster, spec)) if spec else None


def consumers(cluster: RealtimeCluster) -> tuple[Consumers, ...]:
    """The relay and the consumers that the RealtimeCluster names."""
    spec = cluster.spec
    found = [_consumer(cluster, each) for each in spec.consumers]
    if relay := spec.relay:
        own = Consumers(
            name=RELAY,
            resource=DEPLOYMENT,
            target=naming.relay_workload(cluster.metadata.name),
            group=naming.relay(cluster.key),
            topics=_any(naming.relayed_expression(route.topics) for route in relay.routes),
            policy=_consumer_policy(
                cluster, relay.min_replicas, relay.max_replicas, relay.target_drain.total_seconds()
            ),
            active_only=True,
        )
        found.insert(0, own)
    return tuple(found)


def paused(cluster: RealtimeCluster) -> Pause:
    """Which direction a person has switched off, by the RealtimeCluster's annotation."""
    return pause(cluster.metadata.annotations.get(PAUSED_ANNOTATION))


def pattern(topics: Iterable[str]) -> re.Pattern[str]:
    """Matches the topics that any of the patterns, such as `*.analytics.*`, names."""
    return _any(map(naming.topic_expression, topics))


def _any(expressions: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{expression})" for expression in expressions))


def _gateway_policy(cluster: RealtimeCluster, spec: Gateway) -> GatewayPolicy:
    how = cluster.spec.autoscaling.gateway
    return GatewayPolicy(
        bounds=Bounds(spec.min_replicas, spec.max_replicas),
        target=how.target_connections_per_replica,
        limit=spec.connections_per_replica,
        stabilization=how.scale_down_stabilization.total_seconds(),
        pause=paused(cluster),
    )


def _consumer_policy(cluster: RealtimeCluster, least: int, most: int, drain: float) -> ConsumerPolicy:
    return ConsumerPolicy(
        bounds=Bounds(least, most),
        drain=drain,
        stabilization=cluster.spec.autoscaling.consumers.scale_down_stabilization.total_seconds(),
        pause=paused(cluster),
    )


def _consumer(cluster: RealtimeCluster, spec: Consumer) -> Consumers:
    return Consumers(
        name=spec.name,
        resource=DEPLOYMENT if spec.target_ref.kind == "Deployment" else STATEFUL_SET,
        target=spec.target_ref.name,
        group=spec.consumer_group,
        topics=pattern(spec.topics),
        policy=_consumer_policy(cluster, spec.min_replicas, spec.max_replicas, spec.target_drain.total_seconds()),
    )
