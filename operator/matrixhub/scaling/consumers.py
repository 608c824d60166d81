"""How many consumers a group should have. Pure.

Lag says how much is waiting, not how many replicas it takes: that depends on how fast records arrive and how fast
one replica consumes. Both are observed, so there is no threshold to guess.
"""

import math
from dataclasses import dataclass, field, replace

from matrixhub.scaling.decision import Bounds, Decision, Demand, Pause, Trouble
from matrixhub.scaling.history import Window, smoothed
from matrixhub.scaling.ladder import Case, needed, settle, unknown
from matrixhub.scaling.lag import Reading, read
from matrixhub.scaling.samples import STALE, Group, GroupSample, Missing

TOLERANCE = 1.1
"""How far above what the replicas do the load may be before more come, and how far below before some go."""
ASSUMED = 100.0
"""Records a second of one replica, before any was observed at work."""
ARRIVING = 20.0
"""Seconds over which arrivals are averaged."""
LEARNING = 15.0
"""Seconds of unbroken work that are measured at once: three times the usual 5 s between commits."""
BEHIND = 10.0
"""Seconds of work that must wait for a group to be believed busy: commits every 5 s look like half of it."""
WEIGHT = 0.3
"""How much a new measurement of the rate counts beside the earlier ones."""
STARTUP = 15.0
"""Seconds from the decision until a new replica consumes: what piles up until then counts already."""
LEAP = 4
"""Replicas that may be added at once, beside doubling, as long as the rate is not known."""
OFFSETS_RESET = "OffsetsReset"


@dataclass(frozen=True)
class ConsumerPolicy:
    """What a person asked for. `drain` and `stabilization` are in seconds."""

    bounds: Bounds
    drain: float
    stabilization: float = 300.0
    pause: Pause = Pause.NONE


@dataclass(frozen=True)
class Stretch:
    """Work without a break by a group that is behind: replica-seconds, and the records consumed in them."""

    seconds: float = 0.0
    replica_seconds: float = 0.0
    consumed: int = 0

    @property
    def rate(self) -> float:
        """Records a second of one replica."""
        return self.consumed / self.replica_seconds if self.replica_seconds else 0.0


@dataclass(frozen=True)
class ConsumerHistory:
    """What is remembered of a group.

    `arrivals` is records a second; `rate` those that one replica consumes, None before it was observed at work.
    """

    window: Window = field(default_factory=Window)
    decided: int | None = None
    previous: GroupSample | None = None
    arrivals: float = 0.0
    rate: float | None = None
    stretch: Stretch = field(default_factory=Stretch)

    @property
    def idle(self) -> bool:
        """Whether nothing was consumed for long though records wait."""
        return self.stretch.seconds >= LEARNING and not self.stretch.consumed

    def after(self, reading: Reading) -> "ConsumerHistory":
        """The history once `reading` was taken: the arrival rate, and the rate of a replica if all were at work."""
        if reading.seconds <= 0:
            return replace(self, previous=reading.sample)
        learnt = replace(
            self,
            previous=reading.sample,
            arrivals=smoothed(self.arrivals, reading.produced / reading.seconds, reading.seconds, over=ARRIVING),
        )
        if not reading.behind(BEHIND):
            return replace(learnt, stretch=Stretch())
        stretch = Stretch(
            self.stretch.seconds + reading.seconds,
            self.stretch.replica_seconds + reading.seconds * reading.workers,
            self.stretch.consumed + reading.consumed,
        )
        if stretch.seconds < LEARNING or not stretch.consumed:
            return replace(learnt, stretch=stretch)
        rate = stretch.rate if self.rate is None else self.rate + (stretch.rate - self.rate) * WEIGHT
        return replace(learnt, rate=rate, stretch=Stretch())


def decide(
    sample: Group, current: int, policy: ConsumerPolicy, history: ConsumerHistory, now: float
) -> Decision[ConsumerHistory]:
    """The decision on `current` replicas."""
    reading = None
    if isinstance(sample, GroupSample) and now - sample.taken <= STALE:
        reading = read(sample, history.previous)
        history = history.after(reading)
    trouble = _trouble(sample, reading, history)
    if reading is None or (trouble and trouble.blind):
        demand = unknown(current)
    else:
        demand = _demand(reading, history, policy, current)
    window = history.window
    if trouble is None:
        window = window.after(needed(demand, current, history.decided), now, policy.stabilization)
    elif trouble.reason == OFFSETS_RESET:
        window = Window()
    outcome = settle(
        Case(
            current=current,
            demand=demand,
            trouble=trouble,
            bounds=policy.bounds,
            pause=policy.pause,
            window=window,
            stabilization=policy.stabilization,
            now=now,
        )
    )
    return outcome.decision(demand, trouble, replace(history, window=window, decided=outcome.replicas))


def _demand(reading: Reading, history: ConsumerHistory, policy: ConsumerPolicy, current: int) -> Demand:
    """Replicas that keep up with what arrives and empty what waits within the drain time."""
    rate = history.rate or max(ASSUMED, history.stretch.rate)
    arriving = history.arrivals
    piling = max(0.0, arriving - reading.sample.members * rate) * STARTUP
    draining = (reading.unread + piling) / policy.drain
    load = (arriving + draining) / rate
    replicas, limited = _useful(math.ceil(load / TOLERANCE), reading, history, current)
    spare, _ = _useful(math.ceil(load * TOLERANCE), reading, history, current)
    known = f"{rate:,.0f}/s a replica" if history.rate else f"a replica is assumed to do {rate:,.0f}/s"
    return Demand(
        replicas=replicas,
        spare=max(replicas, spare),
        reason="Backlog" if draining > arriving else "Arrivals",
        message=(
            f"{reading.unread:,} records wait and {arriving:,.0f}/s arrive, {known}, "
            f"{policy.drain:.0f} s to drain: {replicas} needed{limited}"
        ),
    )


def _useful(replicas: int, reading: Reading, history: ConsumerHistory, current: int) -> tuple[int, str]:
    """At most one replica for each partition, and no leap before the rate is known; and which of them it was."""
    leap = max(2 * current, current + LEAP)
    partitions = len(reading.sample.partitions)
    if history.rate is None and leap < min(replicas, partitions):
        return leap, f", no more than {leap} before the rate of a replica is known"
    if partitions < replicas:
        return partitions, f", since there are no more partitions than {partitions}"
    return max(1, replicas), ""


def _trouble(sample: Group, reading: Reading | None, history: ConsumerHistory) -> Trouble | None:
    """What is wrong, the worst first."""
    if isinstance(sample, Missing):
        return Trouble("MetricsMissing", sample.message, blind=True)
    if reading is None:
        return Trouble("MetricsStale", f"the group was not seen for more than {STALE:.0f} s", blind=True)
    return _no_work(sample) or _no_progress(reading, history) or _odd(reading)


def _no_work(group: GroupSample) -> Trouble | None:
    """Why nothing is being consumed, as far as Kafka knows."""
    if not group.partitions:
        return Trouble("NoPartitions", "none of the group's topics exists", blind=True)
    if group.rebalancing:
        return Trouble("RebalanceInProgress", f"the group is {group.state}", blind=True, passing=True)
    if not group.stable:
        return Trouble("NoMembers", f"the group is {group.state} and nobody consumes: look at its pods", blind=True)
    return None


def _no_progress(reading: Reading, history: ConsumerHistory) -> Trouble | None:
    """Members that are there and consume nothing: more of them would not either."""
    if not history.idle:
        return None
    message = f"no record was consumed for {history.stretch.seconds:.0f} s though {reading.unread:,} wait"
    return Trouble("NotConsuming", f"{message}: look at the consumers' logs", blind=True)


def _odd(reading: Reading) -> Trouble | None:
    """What is wrong with some of the partitions: the others still count."""
    if reading.reset:
        return Trouble(OFFSETS_RESET, f"offsets of {_partitions(reading.reset)} went backwards or beyond the end")
    if reading.uncommitted:
        return Trouble("NeverCommitted", f"{_partitions(reading.uncommitted)} with records were never committed")
    if reading.seconds <= 0:
        return Trouble("FirstLook", "nothing was seen before", blind=True, passing=True)
    if reading.new:
        return Trouble("NewPartitions", f"{_partitions(reading.new)} are new", passing=True)
    if reading.gone:
        return Trouble("PartitionsGone", f"{_partitions(reading.gone)} are gone", passing=True)
    return None


def _partitions(count: int) -> str:
    return f"{count} partition" if count == 1 else f"{count:,} partitions"
