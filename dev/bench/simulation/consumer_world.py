"""A consumer group in a cluster: pods that take a while to start, rebalances that pause everybody, late commits."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from bench.simulation.traces import WARMUP, Trace
from matrixhub.scaling.samples import Group, GroupSample, Missing, PartitionSample

PARTITIONS = 24
RATE = 200
"""Records a second of one replica. Nobody who decides is told."""
DRAIN = 30
"""Seconds within which a record should be consumed."""
MINIMUM, MAXIMUM = 1, 12
REBALANCE = 5
"""Seconds for which nobody consumes when the members change."""
COMMIT = 5
"""Seconds between two commits of a member."""
PERIOD_OF_METRICS = 15
"""Seconds over which metrics-server averages CPU."""
START = (12, 22)
"""Seconds from the decision until a pod asks to join."""


@dataclass
class Pod:
    """One replica; a member once it has joined."""

    joins: int
    member: bool = False


@dataclass
class Result:
    """What a trace cost and what it brought, after the warm-up."""

    late: float = 0.0
    """Record-seconds of waiting beyond the drain time."""
    replica_seconds: int = 0
    events: int = 0
    replicas: list[int] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    worst: int = 0
    """Most records that were late at once."""


class Scaler(Protocol):
    """Who decides, every `period` seconds."""

    period: int

    def decide(self, world: ConsumerWorld, now: int) -> int:
        """The number of replicas."""


class ConsumerWorld:
    """The group while a trace is lived through, second by second."""

    def __init__(self, trace: Trace, seed: int) -> None:
        self.trace = trace
        self.chance = random.Random(seed)
        weights = [self.chance.uniform(0.8, 1.2) for _ in range(PARTITIONS)]
        self.weights = [weight / sum(weights) for weight in weights]
        self.ends, self.read, self.committed = [0.0] * PARTITIONS, [0.0] * PARTITIONS, [0.0] * PARTITIONS
        self.history: deque[list[float]] = deque(maxlen=DRAIN)
        self.pods = [Pod(0, member=True) for _ in range(max(1, round(trace.records[0] / RATE / 0.8)))]
        self.paused_until = 0
        self.behind = False
        self.busy: deque[float] = deque(maxlen=PERIOD_OF_METRICS)

    @property
    def usage(self) -> float:
        """The share of its time that a member was busy of late, on average."""
        return sum(self.busy) / len(self.busy)

    @property
    def members(self) -> int:
        """Pods that have joined."""
        return sum(pod.member for pod in self.pods)

    @property
    def lag(self) -> float:
        """Records that are not committed."""
        return sum(self.ends) - sum(self.committed)

    def live(self, scaler: Scaler) -> Result:
        """The whole trace under one scaler."""
        result = Result()
        for now in range(self.trace.seconds):
            self._arrive(now)
            self._join(now)
            self._consume(now)
            if now % scaler.period == 0:
                replicas = scaler.decide(self, now)
                if now >= WARMUP and replicas != len(self.pods):
                    result.events += 1
                self._scale(replicas, now)
            if now >= WARMUP:
                late = self._late()
                result.late += late
                result.worst = max(result.worst, round(late))
                result.replica_seconds += len(self.pods)
                result.replicas.append(len(self.pods))
                result.load.append(self.trace.records[now] / RATE)
        return result

    def sample(self, now: int) -> Group:
        """What can be seen."""
        if any(now in blind for blind in self.trace.blind):
            return Missing("Kafka does not answer")
        members = max(1, self.members)
        return GroupSample(
            taken=float(now),
            state="PreparingRebalance" if now < self.paused_until else "Stable",
            members=self.members,
            partitions=tuple(
                PartitionSample("t", p, int(self.ends[p]), int(self.committed[p]), 0, f"member-{p % members}")
                for p in range(PARTITIONS)
            ),
        )

    def _arrive(self, now: int) -> None:
        records = self.trace.records[now]
        self.ends = [end + records * weight for end, weight in zip(self.ends, self.weights, strict=True)]
        self.history.append(self.ends)

    def _join(self, now: int) -> None:
        joining = [pod for pod in self.pods if not pod.member and pod.joins <= now]
        for pod in joining:
            pod.member = True
        if joining:
            self._rebalance(now)

    def _consume(self, now: int) -> None:
        members = self.members
        self.behind = True
        if now < self.paused_until or not members:
            self.busy.append(0.0)
            return
        self.behind = False
        busy = 0.0
        for member in range(members):
            mine = range(member, PARTITIONS, members)
            waiting = sum(self.ends[p] - self.read[p] for p in mine)
            share = min(1.0, RATE / waiting) if waiting > 0 else 0.0
            self.behind = self.behind or waiting > RATE
            for p in mine:
                self.read[p] += (self.ends[p] - self.read[p]) * share
                if (now + member) % COMMIT == 0:
                    self.committed[p] = self.read[p]
            busy += min(RATE, waiting) / RATE / members
        self.busy.append(busy)

    def _scale(self, replicas: int, now: int) -> None:
        while len(self.pods) < replicas:
            self.pods.append(Pod(now + self.chance.randint(*START)))
        leaving = self.pods[replicas:]
        self.pods = self.pods[:replicas]
        if any(pod.member for pod in leaving):
            self._rebalance(now)

    def _rebalance(self, now: int) -> None:
        """Everybody commits, stops, and goes on later."""
        self.committed = list(self.read)
        self.paused_until = now + REBALANCE

    def _late(self) -> float:
        if not self.behind or len(self.history) < DRAIN:
            return 0.0
        return sum(max(0.0, end - read) for end, read in zip(self.history[0], self.read, strict=True))
