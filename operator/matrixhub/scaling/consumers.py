"""How many consumers a group should have. Pure.

Lag says how much is waiting, not how many replicas it takes: that depends on how fast records arrive and how fast
one replica consumes. Both are observed, so there is no threshold to guess.
"""

import math
from dataclasses import dataclass, replace

from matrixhub.scaling.decision import NOT_PAUSED, Bounds, Decision, Demand, Pause, Trouble
from matrixhub.scaling.history import Window
from matrixhub.scaling.ladder import Case, needed, settle, unknown
from matrixhub.scaling.lag import Reading, read
from matrixhub.scaling.learning import ARRIVING, BEHIND, ConsumerHistory
from matrixhub.scaling.samples import STALE, Group, GroupSample, Missing

TOLERANCE = 1.1
"""How far above what the replicas do the load may be before more come, and how far below before some go."""
COMMITTING = 5.0
"""Seconds of arrivals that wait for no more than the next commit."""
FULL = 0.85
"""How busy a replica is planned to be: rebalances and uneven partitions take the rest."""
STARTUP = 15.0
"""Seconds from the decision until a new replica consumes."""
LEAP = 4
"""Replicas that may be added at once, beside doubling, as long as the rate is not known."""
OFFSETS_RESET = "OffsetsReset"


@dataclass(frozen=True)
class ConsumerPolicy:
    """What a person asked for. `drain` and `stabilization` are in seconds."""

    bounds: Bounds
    drain: float
    stabilization: float = 300.0
    pause: Pause = NOT_PAUSED


def decide(
    sample: Group, current: int, policy: ConsumerPolicy, history: ConsumerHistory, now: float
) -> Decision[ConsumerHistory]:
    """The decision on `current` replicas."""
    reading = _reading(sample, history, now)
    if isinstance(reading, Trouble):
        trouble: Trouble | None = reading
        demand = unknown(current, reading)
    else:
        history = history.after(reading)
        trouble = _trouble(reading, history)
        demand = unknown(current, trouble) if trouble and trouble.blind else _demand(reading, history, policy, current)
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
    decided = history.decided if trouble and outcome.replicas == current else outcome.replicas
    return outcome.decision(demand, trouble, replace(history, window=window, decided=decided))


def _demand(reading: Reading, history: ConsumerHistory, policy: ConsumerPolicy, current: int) -> Demand:
    """Replicas that keep up with what arrives and empty what waits within the drain time."""
    rate, arriving = history.rate, history.arrivals
    expected = arriving + history.rising * (1 + STARTUP / ARRIVING)
    draining = _draining(reading, policy, arriving, max(0.0, expected - reading.sample.members * rate))
    load = (expected + draining) / (rate * FULL)
    partitions = len(reading.sample.partitions)
    replicas, limited = _useful(_evenly(load / TOLERANCE, partitions), reading, history, current)
    spare, _ = _useful(_evenly(load * TOLERANCE, partitions), reading, history, current)
    rising = f", soon {expected:,.0f}/s" if history.rising >= 1 else ""
    known = f"{rate:,.0f}/s a replica" if history.learnt else f"{rate:,.0f}/s a replica or more"
    return Demand(
        replicas=replicas,
        spare=max(replicas, spare),
        reason="Backlog" if draining > arriving else "Arrivals",
        message=(
            f"{reading.unread:,} records wait and {arriving:,.0f}/s arrive{rising}, {known}, "
            f"{policy.drain:.0f} s to drain: {replicas} needed{limited}"
        ),
    )


def _draining(reading: Reading, policy: ConsumerPolicy, arriving: float, excess: float) -> float:
    """Records a second to be consumed beside those that arrive, so that none waits for longer than the drain time.

    What waits for the next commit alone is no backlog. What exceeds the present replicas piles up until others have
    started, and what waits then has so much less time left.
    """
    waiting = max(0.0, reading.unread - min(COMMITTING, policy.drain / 4) * arriving)
    return (waiting + excess * STARTUP) / max(policy.drain - STARTUP, policy.drain / 2)


def _evenly(load: float, partitions: int) -> int:
    """The least number of which the member with most partitions keeps up, the load being spread evenly over them."""
    most = math.floor(partitions / load) if load > 0 else partitions
    return math.ceil(partitions / most) if most else math.ceil(load)


def _useful(replicas: int, reading: Reading, history: ConsumerHistory, current: int) -> tuple[int, str]:
    """At most one replica for each partition, and no more on a guess than the records that wait prove; and why."""
    partitions = len(reading.sample.partitions)
    if replicas > current and not history.learnt:
        if reading.unread <= BEHIND * history.arrivals:
            return current, ", since nothing waits for long"
        leap = max(2 * current, current + LEAP)
        if leap < min(replicas, partitions):
            return leap, f", no more than {leap} before the rate of a replica is known"
    if partitions < replicas:
        return partitions, f", since there are no more partitions than {partitions}"
    return max(1, replicas), ""


def _reading(sample: Group, history: ConsumerHistory, now: float) -> Reading | Trouble:
    """What the sample says, or why it says nothing."""
    if isinstance(sample, Missing):
        return Trouble("MetricsMissing", sample.message, blind=True)
    if now - sample.taken > STALE:
        return Trouble("MetricsStale", f"the group was not seen for more than {STALE:.0f} s", blind=True)
    return read(sample, history.previous)


def _trouble(reading: Reading, history: ConsumerHistory) -> Trouble | None:
    """What is wrong, the worst first."""
    return _no_work(reading.sample) or _no_progress(reading, history) or _odd(reading)


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
    if reading.first:
        return Trouble("FirstLook", "nothing was seen before", blind=True, passing=True)
    if reading.reset:
        return Trouble(OFFSETS_RESET, f"offsets of {_partitions(reading.reset)} went backwards or beyond the end")
    if reading.uncommitted:
        return Trouble("NeverCommitted", f"{_partitions(reading.uncommitted)} with records were never committed")
    if reading.new:
        return Trouble("NewPartitions", f"{_partitions(reading.new)} are new", passing=True)
    if reading.gone:
        return Trouble("PartitionsGone", f"{_partitions(reading.gone)} are gone", passing=True)
    return None


def _partitions(count: int) -> str:
    return f"{count} partition" if count == 1 else f"{count:,} partitions"
