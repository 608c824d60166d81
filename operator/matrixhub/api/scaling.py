"""What a RealtimeCluster scales, and how: its gateways, its relay, and the consumers of others."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from matrixhub.api.dataplane import REPLICAS_IN_ORDER, Text, TopicPattern
from matrixhub.api.values import SET, Duration, Model, ObjectName, Whole, rules


class GatewayScaling(Model):
    """How many gateways there are."""

    target_connections_per_replica: Whole = Field(default=3000, ge=1, le=1000000)
    """Sockets that one gateway is meant to hold; more bring another gateway.

    When changed: obeyed at the next look, every 5 s.
    """
    scale_down_stabilization: Duration = Field(default="5m", validate_default=True)
    """How long fewer must have been enough before one goes. When changed: obeyed at the next look, every 5 s."""


class ConsumerScaling(Model):
    """How many consumers there are, the relay's included."""

    scale_down_stabilization: Duration = Field(default="5m", validate_default=True)
    """How long fewer must have been enough before they go. When changed: obeyed at the next look, every 5 s."""


class Autoscaling(Model):
    """How gateways and consumers are scaled."""

    gateway: GatewayScaling = GatewayScaling()
    """How many gateways there are."""
    consumers: ConsumerScaling = ConsumerScaling()
    """How many consumers there are, the relay's included."""


class TargetRef(Model):
    """A workload in the RealtimeCluster's namespace."""

    kind: Literal["Deployment", "StatefulSet"] = "Deployment"
    """Its kind. When changed: the other workload is scaled from the next look on; the former stays at its size."""
    name: ObjectName
    """Its name. When changed: the other workload is scaled from the next look on; the former stays at its size."""


class Consumer(Model):
    """A workload of yours that is scaled from the lag of its consumer group."""

    model_config = ConfigDict(json_schema_extra=rules(REPLICAS_IN_ORDER))

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """What status and metrics call it. When changed: what was learnt of its rate is forgotten."""
    target_ref: TargetRef
    """What is scaled."""
    consumer_group: Text
    """Its Kafka consumer group. When changed: obeyed at the next look, every 5 s."""
    topics: Annotated[tuple[TopicPattern, ...], SET] = Field(min_length=1, max_length=32)
    """The topics that it consumes. When changed: obeyed at the next look, every 5 s."""
    min_replicas: Whole = Field(default=1, ge=1, le=1000)
    """Replicas at least. When changed: obeyed at the next look, every 5 s."""
    max_replicas: Whole = Field(default=12, ge=1, le=1000)
    """Replicas at most. There are never more than partitions. When changed: obeyed at the next look, every 5 s."""
    target_drain: Duration = Field(default="30s", validate_default=True)
    """Within which time a backlog is to be emptied. When changed: obeyed at the next look, every 5 s."""


class ScalingStatus(Model):
    """The last decision on the size of one workload, and why."""

    name: str
    """`gateway`, `relay`, or the consumer's name."""
    replicas: int
    """Replicas that there are."""
    desired_replicas: int
    """Replicas that there should be."""
    reason: str
    """Why, as one CamelCase word."""
    message: str
    """Why, in words and numbers."""
    last_scale_time: datetime | None = None
    """When the number was last changed."""
