"""What one look at a RealtimeCluster came to, and how it is measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from matrixhub import metrics
from matrixhub.scaling.decision import Bounds, Decision, Trouble
from matrixhub.scaling.lag import unread
from matrixhub.scaling.samples import Gateways, Group, GroupSample, Missing


class Load(StrEnum):
    """What workloads are scaled from: gateways from the one, consumers from the other."""

    CONNECTIONS = "connections"
    LAG = "lag"


@dataclass(frozen=True)
class Seen:
    """The gateways, and by app id the sockets on those that answered; `whole` when all of them did."""

    samples: Gateways
    apps: Mapping[str, int] = field(default_factory=dict)
    whole: bool = False
    limit: int = 0
    """Sockets that one gateway may hold."""

    @property
    def connections(self) -> int:
        """Sockets on all gateways that answered."""
        return sum(self.apps.values())

    @property
    def capacity(self) -> int:
        """Sockets that the gateways which are ready may hold."""
        samples = () if isinstance(self.samples, Missing) else self.samples
        return self.limit * sum(sample.ready for sample in samples)


@dataclass(frozen=True)
class Scaled:
    """What was decided on one workload; `error` says why nothing was, or why it could not be carried out."""

    name: str
    sample: Gateways | Group = field(repr=False)
    replicas: int = 0
    decision: Decision[Any] | None = None
    error: str = ""
    bounds: Bounds | None = None

    @property
    def stepped(self) -> bool:
        """Whether the number was changed."""
        return self.decision is not None and not self.error and self.decision.replicas != self.replicas

    @property
    def trouble(self) -> Trouble | None:
        """Why what is decided cannot be trusted in full."""
        if self.error:
            return Trouble("ScaleFailed", self.error)
        return self.decision.trouble if self.decision else None

    @property
    def carried_out(self) -> Self:
        """The same once it is told: the number is what was decided, and no step any more."""
        return replace(self, replicas=self.decision.replicas) if self.stepped and self.decision else self


@dataclass(frozen=True)
class Report:
    """What was decided on each workload, and what the gateways hold, where there are any."""

    scaled: tuple[Scaled, ...] = ()
    seen: Seen | None = None
    lags: Mapping[str, int] = field(default_factory=dict)
    """By workload, the records that wait for it."""

    @property
    def carried_out(self) -> Self:
        """The same once it is told."""
        return replace(self, scaled=tuple(each.carried_out for each in self.scaled))


def lags(scaled: Iterable[Scaled]) -> dict[str, int]:
    """By workload, the records that wait for it, where they are seen. Some 0.1 s for 60,000 partitions: in a thread."""
    return {
        each.name: sum(map(unread, each.sample.partitions)) for each in scaled if isinstance(each.sample, GroupSample)
    }


def joined(reports: Mapping[Load, Report]) -> Report | None:
    """All that was decided on a RealtimeCluster; None until each load was looked at."""
    if reports.keys() != set(Load):
        return None
    scaled = tuple(each for load in Load for each in reports[load].scaled)
    return Report(scaled, reports[Load.CONNECTIONS].seen)


def measure(cluster: str, report: Report, before: Report) -> None:
    """Inputs and outputs of every decision are in the metrics; of what is scaled no more since `before`, nothing is."""
    for name in {each.name for each in before.scaled} - {each.name for each in report.scaled}:
        metrics.forget_workload(cluster, name)
    if before.seen and not report.seen:
        metrics.forget_gateways(cluster)
    if report.seen:
        metrics.GATEWAY_CONNECTIONS.labels(cluster=cluster).set(report.seen.connections)
        metrics.GATEWAY_CAPACITY.labels(cluster=cluster).set(report.seen.capacity)
    for name, records in report.lags.items():
        metrics.CONSUMER_LAG.labels(cluster=cluster, workload=name).set(records)
    for each in report.scaled:
        labels = {"cluster": cluster, "workload": each.name}
        metrics.SCALING_TROUBLE.labels(**labels).set(each.trouble is not None)
        if each.bounds:
            metrics.SCALING_MINIMUM.labels(**labels).set(each.bounds.minimum)
            metrics.SCALING_MAXIMUM.labels(**labels).set(each.bounds.maximum)
        if decision := each.decision:
            metrics.SCALING_DECISIONS.labels(**labels, reason=decision.reason).inc()
            metrics.SCALING_REPLICAS.labels(**labels).set(each.replicas)
            metrics.SCALING_DESIRED.labels(**labels).set(decision.replicas)
            if decision.wanted is not None:
                metrics.SCALING_WANTED.labels(**labels).set(decision.wanted)
            if each.stepped:
                direction = "up" if decision.replicas > each.replicas else "down"
                metrics.SCALING_STEPS.labels(**labels, direction=direction).inc()
