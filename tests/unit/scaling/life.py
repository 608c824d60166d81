"""Decisions one after the other, as a loop takes them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from matrixhub.scaling import consumers, gateways
from matrixhub.scaling.decision import Bounds, Decision
from matrixhub.scaling.learning import ConsumerHistory
from matrixhub.scaling.samples import Gateways, GatewaySample, Group, GroupSample, PartitionSample

PERIOD = 5.0
GATEWAYS = gateways.GatewayPolicy(Bounds(2, 20), target=3000, limit=5000, stabilization=300)
CONSUMERS = consumers.ConsumerPolicy(Bounds(1, 12), drain=30, stabilization=300)


def pods(*connections: int | None, now: float = 0.0, connects: int = 0) -> tuple[GatewaySample, ...]:
    """Ready gateways that hold so many sockets; None does not answer."""
    return tuple(
        GatewaySample(f"gateway-{i}", ready=True, taken=now, connections=c, connects=connects)
        for i, c in enumerate(connections)
    )


@dataclass
class GatewayLife:
    """Gateways that are what was decided, under a load that a test gives."""

    current: int
    policy: gateways.GatewayPolicy = GATEWAYS
    history: gateways.GatewayHistory = field(default_factory=gateways.GatewayHistory)
    now: float = 0.0

    def look(self, samples: Gateways) -> Decision[gateways.GatewayHistory]:
        """One decision, carried out; then a period passes."""
        decision = gateways.decide(samples, self.current, self.policy, self.history, self.now)
        self.history, self.current, self.now = decision.history, decision.replicas, self.now + PERIOD
        return decision

    def watch(
        self, seconds: float, load: Callable[[int, float], Gateways]
    ) -> Iterator[Decision[gateways.GatewayHistory]]:
        """Decisions for `seconds` under `load(current, now)`."""
        end = self.now + seconds
        while self.now < end:
            yield self.look(load(self.current, self.now))


def even(total: int, connects: int = 0) -> Callable[[int, float], Gateways]:
    """So many sockets, spread evenly."""
    return lambda current, now: pods(
        *(total // current + (i < total % current) for i in range(current)), now=now, connects=connects
    )


@dataclass
class ConsumerLife:
    """A group whose members are what was decided, consuming `speed` records a second each, if there are any."""

    current: int
    policy: consumers.ConsumerPolicy = CONSUMERS
    history: ConsumerHistory = field(default_factory=ConsumerHistory)
    now: float = 0.0
    speed: float = 200.0
    partitions: int = 24
    end: float = 0.0
    read: float = 0.0

    def sample(self) -> GroupSample:
        """What is seen of it: records lie evenly on the partitions."""
        return GroupSample(
            self.now,
            "Stable",
            self.current,
            tuple(
                PartitionSample(
                    "t", p, int(self.end / self.partitions), int(self.read / self.partitions), 0, f"m{p % self.current}"
                )
                for p in range(self.partitions)
            ),
        )

    def look(self, sample: Group | None = None) -> Decision[ConsumerHistory]:
        """One decision, carried out."""
        decision = consumers.decide(sample or self.sample(), self.current, self.policy, self.history, self.now)
        self.history, self.current = decision.history, decision.replicas
        return decision

    def watch(
        self,
        seconds: float,
        arriving: Callable[[float], float],
        seen: Callable[["ConsumerLife"], Group] = sample,
    ) -> Iterator[Decision[ConsumerHistory]]:
        """Decisions for `seconds` while `arriving(now)` records a second arrive."""
        end = self.now + seconds
        while self.now < end:
            yield self.look(seen(self))
            self.now += PERIOD
            self.end += arriving(self.now) * PERIOD
            self.read = min(self.end, self.read + self.speed * self.current * PERIOD)
