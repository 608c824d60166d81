"""Gateways in a cluster: sockets that stay where they are, users who connect again, pods that start and go."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from bench.simulation.consumer_world import Result
from bench.simulation.traces import WARMUP, Trace
from matrixhub.scaling.samples import Gateways, GatewaySample, Missing

LIMIT = 5000
"""Sockets that one gateway takes."""
CONNECTS = 100
"""Sockets that one gateway accepts in a second."""
VISIT = 1200
"""Seconds that a user stays on a page: then the socket is closed and another one opened."""
MINIMUM, MAXIMUM = 2, 20
START = (15, 25)
"""Seconds from the decision until a pod is ready."""


@dataclass
class Gateway:
    """One gateway; `connects` since it started."""

    name: str
    starts: int
    sockets: int = 0
    connects: int = 0


class Scaler(Protocol):
    """Who decides, every `period` seconds. `emptiest_first` is whether pods carry a deletion cost."""

    period: int
    emptiest_first: bool

    def decide(self, world: GatewayWorld, now: int) -> int:
        """The number of gateways."""


@dataclass
class GatewayResult(Result):
    """`late` is socket-seconds of users whom no gateway takes; `dropped` the sockets closed by shrinking."""

    dropped: int = 0


class GatewayWorld:
    """The gateways while a trace is lived through, second by second."""

    def __init__(self, trace: Trace, seed: int) -> None:
        self.trace = trace
        self.chance = random.Random(seed)
        self.made = 0
        self.pods: list[Gateway] = []
        self._scale(max(MINIMUM, -(-trace.users[0] // 3000)), 0, GatewayResult(), emptiest_first=False)
        for pod in self.pods:
            pod.starts = 0

    def ready(self, now: int) -> list[Gateway]:
        """Gateways that take sockets."""
        return [pod for pod in self.pods if pod.starts <= now]

    def live(self, scaler: Scaler) -> GatewayResult:
        """The whole trace under one scaler."""
        result = GatewayResult()
        for now in range(self.trace.seconds):
            if now in self.trace.deaths:
                self._die(now)
            self._leave(now)
            waiting = self._connect(now)
            if now % scaler.period == 0:
                replicas = scaler.decide(self, now)
                if now >= WARMUP and replicas != len(self.pods):
                    result.events += 1
                self._scale(replicas, now, result, emptiest_first=scaler.emptiest_first)
            if now >= WARMUP:
                result.late += waiting
                result.worst = max(result.worst, waiting)
                result.replica_seconds += len(self.pods)
                result.replicas.append(len(self.pods))
                result.load.append(self.trace.users[now] / 3000)
        return result

    def sample(self, now: int) -> Gateways:
        """What can be seen."""
        if any(now in blind for blind in self.trace.blind):
            return Missing("no gateway answers")
        silent = any(now in blind for blind in self.trace.half_blind)
        return tuple(
            GatewaySample(
                pod=pod.name,
                ready=pod.starts <= now,
                taken=float(now),
                connections=None if pod.starts > now or (silent and index % 2) else pod.sockets,
                connects=pod.connects,
            )
            for index, pod in enumerate(self.pods)
        )

    def _leave(self, now: int) -> None:
        """Users who go home, and users who turn to another page."""
        held = sum(pod.sockets for pod in self.pods)
        going = max(0, held - self.trace.users[now])
        share = 1 / VISIT + (going / held if held else 0)
        for pod in self.pods:
            exact = pod.sockets * share
            pod.sockets -= min(pod.sockets, int(exact) + (self.chance.random() < exact % 1))

    def _connect(self, now: int) -> int:
        """Whoever wants a socket tries one gateway, by chance; those who find none are returned, and try again."""
        waiting = max(0, self.trace.users[now] - sum(pod.sockets for pod in self.pods))
        pods = self.ready(now)
        if not pods:
            return waiting
        even, odd = divmod(waiting, len(pods))
        lucky = set(self.chance.sample(range(len(pods)), odd))
        for index, pod in enumerate(pods):
            taken = min(even + (index in lucky), CONNECTS, LIMIT - pod.sockets)
            pod.sockets += taken
            pod.connects += taken
            waiting -= taken
        return waiting

    def _scale(self, replicas: int, now: int, result: GatewayResult, *, emptiest_first: bool) -> None:
        while len(self.pods) < replicas:
            self.made += 1
            self.pods.append(Gateway(f"gateway-{self.made}", now + self.chance.randint(*START)))
        going = len(self.pods) - replicas
        if going > 0:
            # The ReplicaSet controller: starting ones first, then the cheapest, then the youngest.
            order = sorted(
                self.pods,
                key=lambda pod: (pod.starts <= now, pod.sockets if emptiest_first else 0, -pod.starts),
            )
            gone = {pod.name for pod in order[:going]}
            result.dropped += sum(pod.sockets for pod in self.pods if pod.name in gone) if now >= WARMUP else 0
            self.pods = [pod for pod in self.pods if pod.name not in gone]

    def _die(self, now: int) -> None:
        fullest = max(self.pods, key=lambda pod: pod.sockets)
        fullest.sockets = fullest.connects = 0
        fullest.starts = now + START[1]
