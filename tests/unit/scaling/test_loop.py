"""Who has the scaler's session with Kafka: the look in progress, and at last the one who closes it.

And what the metrics say: what is scaled, and nothing else.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.patience import soon
from tests.unit.scaling.test_workloads import KAFKA, cluster

from matrixhub import metrics
from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Phase
from matrixhub.kube.resources import Resource
from matrixhub.scaling import history, loop
from matrixhub.scaling.report import Seen
from matrixhub.scaling.samples import GroupSample, PartitionSample

CONSUMER = {
    "name": "reports",
    "targetRef": {"name": "reports"},
    "consumerGroup": "reports",
    "topics": ["*.institution.updates"],
}
TENANTS = {"green": Phase.ACTIVE, "blue": Phase.SUSPENDED}


class Session:
    """Tells what it was made from, whether it is closed, and whether it ever was while somebody used it."""

    def __init__(self, made_from: RealtimeCluster) -> None:
        self.made_from = made_from
        self.used = threading.Lock()
        self.closed = threading.Event()
        self.torn = False

    def close(self) -> None:
        self.torn |= self.used.locked()
        self.closed.set()


class Kafka:
    """Makes sessions; a look takes until `answers` is set."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.asked = threading.Event()
        self.answers = threading.Event()
        self.answers.set()
        self.counted: dict[str, Container[str]] = {}
        """By group, whose topics were last looked at."""

    def session(self, made_from: RealtimeCluster) -> Session:
        self.sessions.append(Session(made_from))
        return self.sessions[-1]

    def look(self, session: Session, group: str, _: object, tenants: Container[str]) -> GroupSample:
        assert not session.closed.is_set()
        self.counted[group] = tenants
        with session.used:
            self.asked.set()
            assert self.answers.wait(10)
        return GroupSample(0.0, "Empty", 0, ())


class Workloads:
    """A Kubernetes API in which nothing runs that could be scaled."""

    def replicas(self, resource: Resource, name: str, namespace: str) -> None:
        return None


class Running(Workloads):
    """A Kubernetes API in which a workload has four replicas."""

    def __init__(self) -> None:
        self.count = 4

    def replicas(self, resource: Resource, name: str, namespace: str) -> int:
        return self.count

    def scale(self, resource: Resource, name: str, namespace: str, replicas: int) -> None:
        self.count = replicas


@asynccontextmanager
async def scaling(kafka: Kafka, api: Workloads | None = None) -> AsyncIterator[loop.Scaler]:
    """A Scaler at work."""
    scaler = loop.Scaler(api or Workloads(), kafka.session, lambda _: TENANTS, lambda *_: None)
    task = asyncio.create_task(scaler.run())
    try:
        yield scaler
    finally:
        kafka.answers.set()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def comes(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


def main(uid: str = "u", **kafka: Any) -> RealtimeCluster:
    made = cluster(kafka=KAFKA | kafka, consumers=[CONSUMER])
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"uid": uid})})


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    metrics.forget("hub/main")  # what another test measured
    made = Kafka()
    monkeypatch.setattr(loop.groups, "look", made.look)
    monkeypatch.setattr(loop, "EVERY", 0.02)
    monkeypatch.setattr(loop, "SHARE", 1)
    return made


Leave = Callable[[loop.Scaler], None]
LEAVES: dict[str, Leave] = {
    "is gone": lambda scaler: scaler.forget("hub/main"),
    "is another": lambda scaler: scaler.watch(main("another")),
    "has another Kafka": lambda scaler: scaler.watch(main(bootstrapServers=["elsewhere:9092"])),
    "has no Kafka": lambda scaler: scaler.watch(cluster(kafka=None)),
}


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
def test_the_session_is_closed_when_the_realtimecluster_changes(kafka: Kafka, leave: Leave) -> None:
    async def scene() -> None:
        async with scaling(kafka) as scaler:
            scaler.watch(main())
            await comes(kafka.asked)
            leave(scaler)
            await comes(kafka.sessions[0].closed)

    asyncio.run(scene())
    assert not any(session.torn for session in kafka.sessions)


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
def test_a_look_in_progress_keeps_its_session(kafka: Kafka, leave: Leave) -> None:
    async def scene() -> None:
        kafka.answers.clear()
        async with scaling(kafka) as scaler:
            scaler.watch(main())
            await comes(kafka.asked)
            leave(scaler)
            await asyncio.sleep(0.1)
            assert not kafka.sessions[0].closed.is_set()
            kafka.answers.set()
            await comes(kafka.sessions[0].closed)

    asyncio.run(scene())
    assert not any(session.torn for session in kafka.sessions)


def test_one_session_serves_look_after_look(kafka: Kafka) -> None:
    async def scene() -> None:
        async with scaling(kafka) as scaler:
            scaler.watch(main())
            for _ in range(3):
                await comes(kafka.asked)
                kafka.asked.clear()
                scaler.watch(main())

    asyncio.run(scene())
    assert len(kafka.sessions) == 1


def test_another_kafka_gets_a_session_of_its_own(kafka: Kafka) -> None:
    elsewhere = main(bootstrapServers=["elsewhere:9092"])

    async def scene() -> None:
        async with scaling(kafka) as scaler:
            scaler.watch(main())
            await comes(kafka.asked)
            scaler.watch(elsewhere)
            await comes(kafka.sessions[0].closed)
            kafka.asked.clear()
            await comes(kafka.asked)

    asyncio.run(scene())
    assert [session.made_from for session in kafka.sessions] == [main(), elsewhere]


def test_consumers_go_down_also_where_looks_are_so_long_that_they_are_seldom(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, seldom = Running(), 0.2

    def look(*_: object) -> GroupSample:
        time.sleep(seldom / 10)
        idle = tuple(PartitionSample("green.institution.updates", number, 0, 0) for number in range(4))
        return GroupSample(time.monotonic(), "Stable", api.count, idle)

    monkeypatch.setattr(loop.groups, "look", look)
    monkeypatch.setattr(loop, "SHARE", 10)
    monkeypatch.setattr(history, "UNSEEN", seldom / 2)
    hurried = {"consumers": {"scaleDownStabilization": "1s"}}

    async def scene() -> None:
        async with scaling(kafka, api) as scaler:
            scaler.watch(cluster(consumers=[CONSUMER], autoscaling=hurried))
            await soon(lambda: api.count == 1)
            scaler.forget("hub/main")

    asyncio.run(scene())


def test_the_relays_lag_is_that_of_active_tenants(kafka: Kafka) -> None:
    relay = {"routes": [{"topics": "*.institution.*", "channel": "{domain}"}]}

    async def scene() -> None:
        async with scaling(kafka) as scaler:
            scaler.watch(cluster(gateway={"image": "g"}, relay=relay, consumers=[CONSUMER]))
            await soon(lambda: len(kafka.counted) == 2)
            scaler.forget("hub/main")

    asyncio.run(scene())
    assert kafka.counted == {naming.relay("hub/main"): {"green"}, "reports": {"green", "blue"}}


FAMILIES = ("matrixhub_scaling_", "matrixhub_consumer_", "matrixhub_gateway_")


def measured() -> set[str]:
    """The workloads of which the metrics tell; `sockets` stands for the sockets on gateways."""
    found = set()
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.labels.get("cluster") == "hub/main" and sample.name.startswith(FAMILIES):
                found.add(sample.labels.get("workload", "sockets"))
    return found


BUSY = {"gateway": {"image": "g"}, "consumers": [CONSUMER, {**CONSUMER, "name": "marks"}]}
ENDS: dict[str, tuple[Leave, set[str]]] = {
    "one consumer": (
        lambda scaler: scaler.watch(cluster(**BUSY | {"consumers": [CONSUMER]})),
        {"gateway", "sockets", "reports"},
    ),
    "the gateways": (lambda scaler: scaler.watch(cluster(**BUSY | {"gateway": None})), {"reports", "marks"}),
    "everything": (lambda scaler: scaler.forget("hub/main"), set()),
}


@pytest.mark.parametrize(("end", "left"), ENDS.values(), ids=ENDS)
def test_what_is_no_longer_scaled_is_no_longer_measured(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, end: Leave, left: set[str]
) -> None:
    monkeypatch.setattr(loop.GatewaySource, "look", lambda *_: Seen((), {"4711": 3}, whole=True, limit=1000))

    async def scene() -> None:
        async with scaling(kafka) as scaler:
            scaler.watch(cluster(**BUSY))
            await soon(lambda: measured() == {"gateway", "sockets", "reports", "marks"})
            end(scaler)
            await soon(lambda: measured() == left)
            scaler.forget("hub/main")

    asyncio.run(scene())


def test_a_look_in_progress_measures_nothing_of_a_realtimecluster_that_went(kafka: Kafka) -> None:
    async def scene() -> None:
        kafka.answers.clear()
        async with scaling(kafka) as scaler:
            scaler.watch(main())
            await comes(kafka.asked)
            scaler.forget("hub/main")
            kafka.answers.set()
            await comes(kafka.sessions[0].closed)
        assert measured() == set()

    asyncio.run(scene())
