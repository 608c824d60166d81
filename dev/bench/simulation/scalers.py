"""Who decides: we, the HPA, KEDA; for consumers and for gateways."""

from __future__ import annotations

from bench.simulation import consumer_world, gateway_world, rivals
from bench.simulation.consumer_world import ConsumerWorld
from bench.simulation.gateway_world import GatewayWorld
from matrixhub.scaling import consumers, gateways
from matrixhub.scaling.decision import Bounds
from matrixhub.scaling.learning import ConsumerHistory
from matrixhub.scaling.samples import Missing

PERIOD = 5
"""Seconds between two of our looks."""


class OurConsumers:
    """matrixhub.scaling.consumers."""

    period = PERIOD

    def __init__(self, drain: float = consumer_world.DRAIN, stabilization: float = 300) -> None:
        bounds = Bounds(consumer_world.MINIMUM, consumer_world.MAXIMUM)
        self.policy = consumers.ConsumerPolicy(bounds, drain, stabilization=stabilization)
        self.history = ConsumerHistory()

    def decide(self, world: ConsumerWorld, now: int) -> int:
        """The number of replicas."""
        decision = consumers.decide(world.sample(now), len(world.pods), self.policy, self.history, now)
        self.history = decision.history
        return decision.replicas


class KedaConsumers:
    """KEDA's Kafka scaler with a lag threshold."""

    period = rivals.PERIOD

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.hpa = rivals.Hpa(consumer_world.MINIMUM, consumer_world.MAXIMUM)

    def decide(self, world: ConsumerWorld, now: int) -> int:
        """The number of replicas."""
        current = len(world.pods)
        if isinstance(world.sample(now), Missing):
            return current
        lag = min(world.lag, self.threshold * consumer_world.PARTITIONS)
        return self.hpa.settle(rivals.by_total(lag, self.threshold, current), current, now)


class HpaConsumers:
    """The HPA on CPU: the share of its time that a consumer is busy. The usual way without KEDA."""

    period = rivals.PERIOD

    def __init__(self, target: float) -> None:
        self.target = target
        self.hpa = rivals.Hpa(consumer_world.MINIMUM, consumer_world.MAXIMUM)

    def decide(self, world: ConsumerWorld, now: int) -> int:
        """The number of replicas."""
        current = len(world.pods)
        if isinstance(world.sample(now), Missing):
            return current
        values = [world.usage] * world.members
        desired = rivals.by_pods(values, 0, current - world.members, self.target, current)
        return self.hpa.settle(desired, current, now)


class OurGateways:
    """matrixhub.scaling.gateways."""

    period = PERIOD
    emptiest_first = True

    def __init__(self, target: int = 3000, stabilization: float = 300) -> None:
        bounds = Bounds(gateway_world.MINIMUM, gateway_world.MAXIMUM)
        self.policy = gateways.GatewayPolicy(bounds, target, gateway_world.LIMIT, stabilization=stabilization)
        self.history = gateways.GatewayHistory()

    def decide(self, world: GatewayWorld, now: int) -> int:
        """The number of gateways."""
        decision = gateways.decide(world.sample(now), len(world.pods), self.policy, self.history, now)
        self.history = decision.history
        return decision.replicas


class HpaGateways:
    """The HPA on connections, mean of the pods."""

    period = rivals.PERIOD
    emptiest_first = False

    def __init__(self, target: float) -> None:
        self.target = target
        self.hpa = rivals.Hpa(gateway_world.MINIMUM, gateway_world.MAXIMUM)

    def decide(self, world: GatewayWorld, now: int) -> int:
        """The number of gateways."""
        current, sample = len(world.pods), world.sample(now)
        if isinstance(sample, Missing):
            return current
        values = [pod.connections for pod in sample if pod.connections is not None]
        silent = sum(pod.ready and pod.connections is None for pod in sample)
        unready = sum(not pod.ready for pod in sample)
        return self.hpa.settle(rivals.by_pods(values, silent, unready, self.target, current), current, now)
