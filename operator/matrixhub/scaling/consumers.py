"""How many consumers a group should have. Pure.

Lag says how much is waiting, not how many replicas it takes: that depends on how fast records arrive and how fast
one replica consumes. Both are observed, so there is no threshold to guess.
"""

import math
from dataclasses import dataclass, replace

from matrixhub.scaling.decision import Decision, Demand, Policy, Trouble
from matrixhub.scaling.history import EVERY, Window
from matrixhub.scaling.ladder import Case, needed, settle, unknown
from matrixhub.scaling.lag import Reading, read
from matrixhub.scaling.learning import ARRIVING, BEHIND, ConsumerHistory
from matrixhub.scaling.samples import STALE, Group, GroupSample, Missing

COMMITTING = 5.0
"""Seconds of arrivals that wait for no more than the next commit."""
FULL = 0.85
"""How busy a replica is planned to be: rebalances and uneven partitions take the rest."""
EMPTY = 60.0
"""Seconds for which a backlog must have been gone before the replicas that emptied it go; fewer if the window is."""
STARTUP = 15.0
"""Seconds from the decision until a new replica consumes."""
LEAP = 4
"""Replicas that may be added at once, beside doubling, as long as the rate is not known."""
OFFSETS_RESET = "OffsetsReset"


@dataclass(frozen=True)
class ConsumerPolicy(Policy):
    """What a person asked for. `drain` is the seconds within which a backlog is to be emptied."""

    drain: float


def decide(
    sample: Group, current: int, policy: ConsumerPolicy, history: ConsumerHistory, now: float, every: float = EVERY
) -> Decision[ConsumerHistory]:
    """The decision on `current` replicas, one of which is made `every` so many seconds."""
    reading = _reading(sample, history, now)
    if isinstance(reading, Trouble):
        trouble: Trouble | None = reading
        demand = unknown(current, reading)
    else:
        history = history.after(reading, policy.stabilization)
        trouble = _trouble(reading, history)
        blind = trouble is not None and trouble.blind
        demand = unknown(current, trouble) if trouble and blind else _demand(_Sight(reading, history, policy, current))
    window, recent = history.window, history.recent
    if trouble is None:
        window = window.after(needed(demand.spare, current, history.decided), now, policy.stabilization, every)
        recent = recent.after(demand.replicas, now, min(EMPTY, policy.stabilization), every)
    elif trouble.reason == OFFSETS_RESET:
        window = recent = Window()
    outcome = settle(Case(current, demand, trouble, policy, window, now, recent))
    decided = history.decided if trouble and outcome.replicas == current else outcome.replicas
    return outcome.decision(demand, trouble, replace(history, window=window, recent=recent, decided=decided))


@dataclass(frozen=True)
class _Sight:
    """The group, what was asked for, and what is known of it. All rates are records a second."""

    reading: Reading
    history: ConsumerHistory
    policy: ConsumerPolicy
    current: int

    @property
    def partitions(self) -> int:
        """How many there are."""
        return len(self.reading.sample.partitions)

    @property
    def soon(self) -> float:
        """What will arrive by the time a replica that is asked for now consumes."""
        return self.history.arrivals + self.history.rising * (1 + STARTUP / ARRIVING)

    @property
    def backlog(self) -> float:
        """Records that wait, and those that will by then.

        What waits for the next commit alone does not. One member that is far behind counts as if all were.
        """
        reading, history, drain = self.reading, self.history, self.policy.drain
        uneven = reading.fullest * reading.sample.members if reading.fullest > history.rate * drain / 2 else 0
        waiting = max(0.0, max(reading.unread, uneven) - min(COMMITTING, drain / 4) * history.arrivals)
        arriving = (history.arrivals + history.rising + self.soon) / 2
        working = min(reading.sample.members, self.current)
        return waiting + max(0.0, arriving - self.capacity(working)) * STARTUP

    @property
    def suffices(self) -> bool:
        """Whether the present replicas keep up and empty the backlog within the drain time."""
        return self.history.arrivals + self.backlog / self.policy.drain <= self.capacity(self.current)

    def capacity(self, replicas: int) -> float:
        """What so many consume when the one with most partitions is busy all the time."""
        return self.history.rate * self.partitions / math.ceil(self.partitions / replicas) if replicas else 0.0

    def planned(self, load: float) -> tuple[int, str]:
        """The least number whose replicas are busy as planned under the load, and what limits it."""
        return _useful(_evenly(load / (self.history.rate * FULL), self.partitions), self)


def _demand(sight: _Sight) -> Demand:
    """The replicas there are while they suffice, or fewer; otherwise those that keep up and empty the backlog.

    Those still to start have so much less of the drain time left. What arrived in the window lasts as far as it could
    not have been read half a drain time later.
    """
    history, drain = sight.history, sight.policy.drain
    left = drain if sight.suffices else max(drain - STARTUP, drain / 2)
    draining = sight.backlog / left
    replicas, limited = sight.planned(sight.soon + draining)
    if sight.suffices and replicas > sight.current:
        replicas, limited = sight.current, ""
    lasting, _ = sight.planned(history.tally.busiest(drain / 2))
    rising = f", soon {sight.soon:,.0f}/s" if history.rising >= 1 else ""
    known = f"{history.rate:,.0f}/s a replica" if history.learnt else f"{history.rate:,.0f}/s a replica or more"
    return Demand(
        replicas=replicas,
        spare=lasting,
        reason="Backlog" if draining > history.arrivals else "Arrivals",
        message=(
            f"{sight.reading.unread:,} records wait and {history.arrivals:,.0f}/s arrive{rising}, {known}, "
            f"{drain:.0f} s to drain: {replicas} needed{limited}"
        ),
    )


def _evenly(load: float, partitions: int) -> int:
    """The least number of which the member with most partitions keeps up, the load being spread evenly over them."""
    if load <= 1:  # what arrives in a long silence is averaged to so little that nothing can be divided by it
        return min(1, partitions)
    most = math.floor(partitions / load)
    return math.ceil(partitions / most) if most else math.ceil(load)


def _useful(replicas: int, sight: _Sight) -> tuple[int, str]:
    """At most one replica for each partition, and no more on a guess than the records that wait prove; and why."""
    reading, history, current, partitions = sight.reading, sight.history, sight.current, sight.partitions
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
        return Trouble("NoPartitions", "there is no topic that the group has to read", blind=True)
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
