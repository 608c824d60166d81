"""Looks, decides, and writes `/scale`, again and again, for every RealtimeCluster.

Connections and lag are looked at apart: a Kafka that is away, or has a great many partitions, delays no gateway.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import KafkaBackend
from matrixhub.backends.kafka.session import Session
from matrixhub.errors import BackendError
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import POD
from matrixhub.scaling import gateways, workloads
from matrixhub.scaling.history import EVERY
from matrixhub.scaling.report import Load, Report, Scaled, lags, measure
from matrixhub.scaling.samples import GatewaySample, Group, Missing
from matrixhub.scaling.sources import groups
from matrixhub.scaling.sources.gateways import GatewaySource
from matrixhub.scaling.workloads import Consumers, Gateways, Tenants

log = logging.getLogger(__name__)

SHARE = 10
"""Looking takes at most a tenth of the time, however many partitions there are..."""
LONGEST = 300.0
"""...unless it takes more than half a minute: nothing is left alone for longer than so many seconds."""
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
CLUSTERS = 8
"""RealtimeClusters of which the same load is looked at at once."""


@dataclass
class _Turn:
    """When a load is looked at next, `every` so many seconds by what the last look took; `busy` while it is."""

    due: float = 0.0
    every: float = EVERY
    busy: bool = False


@dataclass
class _Memory:
    """What is remembered of one RealtimeCluster. While its lag is looked at the session is that thread's."""

    cluster: RealtimeCluster
    histories: dict[str, Any] = field(default_factory=dict)
    turns: dict[Load, _Turn] = field(default_factory=lambda: {load: _Turn() for load in Load})
    measured: dict[Load, Report] = field(default_factory=dict)
    """By load, what is in the metrics."""
    session: Session | None = None
    kafka: KafkaBackend | None = None
    """What the session was made from."""

    def close(self) -> None:
        """The session is closed. Another is made when one is needed."""
        session, self.session = self.session, None
        try:
            if session:
                session.close()
        except Exception:  # it is given up in any case
            log.exception("Failed to close the scaler's session with Kafka of RealtimeCluster %s", self.cluster.key)


def interval(took: float) -> float:
    """Seconds from the begin of a look that took so many to that of the next."""
    return min(LONGEST, max(EVERY, SHARE * took))


class Scaler:
    """Runs until cancelled. Each RealtimeCluster is looked at by itself: one whose Kafka is away delays no other."""

    def __init__(
        self,
        api: KubeApi,
        kafka: Callable[[RealtimeCluster], Session],
        tenants: Callable[[str], Tenants],
        report: Callable[[str, Load, Report], None],
    ) -> None:
        """`kafka` makes a session, `tenants` says who lives on a RealtimeCluster, `report` hears of each look."""
        self._api = api
        self._kafka = kafka
        self._tenants = tenants
        self._report = report
        self._source = GatewaySource(api)
        self._known: dict[str, _Memory] = {}
        self._looks = {Load.CONNECTIONS: self._look_at_connections, Load.LAG: self._look_at_lag}
        self._threads = {load: ThreadPoolExecutor(CLUSTERS, thread_name_prefix=f"scaler-{load}") for load in Load}
        self._tasks: set[asyncio.Task[None]] = set()

    def watch(self, cluster: RealtimeCluster) -> None:
        """The RealtimeCluster is scaled as it now says."""
        before = self._known.get(cluster.key)
        if before and before.cluster.metadata.uid == cluster.metadata.uid:
            before.cluster = cluster
            return
        self.forget(cluster.key)
        self._known[cluster.key] = _Memory(cluster)

    def forget(self, key: str) -> None:
        """The RealtimeCluster is scaled no more, and no metric says that it is."""
        if memory := self._known.pop(key, None):
            self._release(memory)
            for load in list(memory.measured):
                self._measure(memory, load, Report())

    def _release(self, memory: _Memory) -> None:
        """Nobody looks at it any more: its session is closed, after the look in progress if there is one."""
        if not memory.turns[Load.LAG].busy:
            self._threads[Load.LAG].submit(memory.close)

    async def run(self) -> None:
        """Never returns; cancelling ends it after the looks in progress."""
        try:
            while True:
                for key, memory in self._known.items():
                    for load, turn in memory.turns.items():
                        if time.monotonic() >= turn.due and not turn.busy:
                            turn.busy = True
                            task = asyncio.create_task(self._turn(key, memory, load))
                            self._tasks.add(task)
                            task.add_done_callback(self._tasks.discard)
                await asyncio.sleep(EVERY / 5)
        finally:
            await asyncio.gather(*self._tasks)

    async def _turn(self, key: str, memory: _Memory, load: Load) -> None:
        began, turn = time.monotonic(), memory.turns[load]
        try:
            report = await asyncio.get_running_loop().run_in_executor(
                self._threads[load], self._looks[load], memory, self._tenants(key)
            )
            if self._known.get(key) is memory:
                self._measure(memory, load, report)
                self._report(key, load, report)
        except Exception:  # a bug over one RealtimeCluster keeps no other from being scaled
            log.exception("Failed to scale RealtimeCluster %s", key)
        finally:
            turn.every = interval(time.monotonic() - began)
            turn.due = began + turn.every
            turn.busy = False
            if self._known.get(key) is not memory:
                self._release(memory)

    def _measure(self, memory: _Memory, load: Load, report: Report) -> None:
        """In the event loop: a RealtimeCluster that went during the look leaves no series behind."""
        measure(memory.cluster.key, report, memory.measured.get(load, Report()))
        memory.measured[load] = report

    def _look_at_connections(self, memory: _Memory, _: Tenants) -> Report:
        workload = workloads.gateways(memory.cluster)
        if workload is None:
            return Report()
        seen = self._source.look(memory.cluster)
        return Report((self._scale(memory, workload, seen.samples, memory.turns[Load.CONNECTIONS].every),), seen)

    def _look_at_lag(self, memory: _Memory, tenants: Tenants) -> Report:
        cluster = memory.cluster
        if memory.kafka != cluster.spec.kafka:
            memory.close()
            memory.kafka = cluster.spec.kafka
        every = memory.turns[Load.LAG].every
        scaled = tuple(
            self._scale(memory, each, self._group(memory, cluster, each, tenants), every)
            for each in workloads.consumers(cluster)
        )
        return Report(scaled, lags=lags(scaled))

    def _scale(self, memory: _Memory, workload: Gateways | Consumers, sample: Any, every: float) -> Scaled:
        """The decision on one workload, carried out."""
        namespace, now = memory.cluster.metadata.namespace, time.monotonic()
        try:
            current = self._api.replicas(workload.resource, workload.target, namespace)
        except BackendError as error:
            return Scaled(workload.name, sample, error=error.message)
        if current is None:
            return Scaled(workload.name, sample, error=f"there is no {workload.resource.kind} {workload.target}")
        try:
            decision = workload.decide(sample, current, memory.histories.get(workload.name), now, every)
        except Exception:  # a bug over one workload keeps no other from being scaled
            log.exception("Failed to decide on %s of RealtimeCluster %s", workload.name, memory.cluster.key)
            return Scaled(workload.name, sample, current, error="InternalError: see the operator's log")
        memory.histories[workload.name] = decision.history
        try:
            if decision.replicas < current and isinstance(workload, Gateways):
                self._mark_cheapest(namespace, sample, now)
            if decision.replicas != current:
                self._api.scale(workload.resource, workload.target, namespace, decision.replicas)
        except BackendError as error:
            return Scaled(workload.name, sample, current, decision, error.message, workload.policy.bounds)
        return Scaled(workload.name, sample, current, decision, bounds=workload.policy.bounds)

    def _mark_cheapest(self, namespace: str, samples: tuple[GatewaySample, ...], now: float) -> None:
        """Each gateway says what its end would cost, so that the ReplicaSet ends the emptiest."""
        for pod, cost in gateways.deletion_costs(samples, now).items():
            patch = {"metadata": {"annotations": {DELETION_COST: str(cost)}}}
            self._api.patch(POD, pod, namespace, patch)

    def _group(self, memory: _Memory, cluster: RealtimeCluster, consumer: Consumers, tenants: Tenants) -> Group:
        """The consumer group. After trouble the next look begins with a new session, its credentials just read."""
        try:
            memory.session = memory.session or self._kafka(cluster)
        except BackendError as error:
            return Missing(error.message)
        sample = groups.look(memory.session, consumer.group, consumer.topics, consumer.counted(tenants))
        if isinstance(sample, Missing):
            memory.close()
        return sample
