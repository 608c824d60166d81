"""One relay: carries out what `flow` decides."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from matrixhub.errors import Unreachable
from matrixhub.relay import metrics
from matrixhub.relay.answers import Answer, Verdict
from matrixhub.relay.apps import Apps
from matrixhub.relay.consumer import Consumer, Membership
from matrixhub.relay.events import Router
from matrixhub.relay.flow import Flow
from matrixhub.relay.graveyard import Graveyard
from matrixhub.relay.lane import Bury, Partition, Publish, Step
from matrixhub.relay.publisher import Publisher
from matrixhub.relay.settings import Logins, Settings

LOG = logging.getLogger(__name__)

COMMIT_SECONDS = 0.2
"""How long what is settled stays uncommitted: after a crash so much is published again."""
DRAIN_SECONDS = 2.0
"""How long a rebalance waits for what is under way. It holds the group up, and what is left comes again elsewhere."""
RECONNECT_SECONDS = 1.0
LOOK_SECONDS = 2.0
"""How often apps of tenants that are shut out are looked at."""
STUCK_SECONDS = 60.0
"""A loop that did not turn for so long is not going to."""
GRAVEDIGGERS = 4
"""Threads that write dead letters."""

T = TypeVar("T")


class Relay:
    """Consumes, publishes and commits until it is told to stop."""

    def __init__(self, settings: Settings, logins: Logins) -> None:
        """To be made where an event loop runs."""
        router = Router(settings.routes)
        self._flow = Flow(router)
        self._loop = asyncio.get_running_loop()
        self._consumer = Consumer(settings.kafka, logins, router.topics, Membership(self._assigned, self._revoked))
        self._graveyard = Graveyard(settings.kafka, logins)
        self._publisher = Publisher(settings.gateway)
        self._apps = Apps(settings.apps, logins)
        self._grace = settings.grace_seconds
        self._kafka_thread = ThreadPoolExecutor(1, "kafka")
        self._gravediggers = ThreadPoolExecutor(GRAVEDIGGERS, "dead-letters")
        self._under_way: set[asyncio.Task[None]] = set()
        self._settled = asyncio.Event()
        self._turned = time.monotonic()
        self._committed = 0.0
        self._unreachable = False

    @property
    def ready(self) -> bool:
        """Whether the group has dealt out its partitions, some of them perhaps to this relay, or is about to again."""
        return self._consumer.settled

    @property
    def alive(self) -> bool:
        """Whether the loop turns."""
        return time.monotonic() - self._turned < STUCK_SECONDS

    async def run(self, stop: asyncio.Event) -> None:
        """Relays until `stop`; then what is under way has ended, its offsets are committed, and the group is left."""
        watching = asyncio.create_task(self._open_again())
        try:
            while not stop.is_set():
                await self._turn()
                self._turned = time.monotonic()
        finally:
            watching.cancel()
            await self._end()

    async def _turn(self) -> None:
        """One turn of the consumer; steps begin and end beside it."""
        now = time.monotonic()
        offsets = self._flow.offsets() if now - self._committed >= COMMIT_SECONDS else {}
        try:
            orders, resting = self._flow.orders(now), self._flow.resting
            turn = await self._with_kafka(partial(self._consumer.turn, resting=resting), orders, offsets)
        except Unreachable as error:
            self._report(error)
            self._flow.revoke(self._flow.partitions)
            await asyncio.sleep(RECONNECT_SECONDS)
            return
        self._report(None)
        if turn.committed:
            self._flow.committed(offsets)
            self._committed = now
        for partition, records in turn.records.items():
            self._flow.offer(partition, records)
        for partition, offset in turn.reached.items():
            self._flow.reach(partition, offset)
        self._begin()

    def _begin(self) -> None:
        """What is due is under way."""
        for step in self._flow.due(time.monotonic()):
            task = self._loop.create_task(self._carry_out(step))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        metrics.IN_FLIGHT.set(self._flow.in_flight)
        metrics.BUFFERED.set(self._flow.size)
        metrics.PARTITIONS.set(len(self._flow.partitions))
        metrics.WAITING.set(self._flow.waiting)

    async def _carry_out(self, step: Step) -> None:
        answer = Answer(Verdict.TROUBLE, "the step was not carried out")
        try:
            answer = await (self._publish(step) if isinstance(step, Publish) else self._bury(step))
        finally:
            self._flow.settle(step, answer, time.monotonic())
            _count(step, answer)
            self._settled.set()
        self._begin()

    async def _publish(self, step: Publish) -> Answer:
        try:
            app = await self._apps.get(step.tenant)
        except Unreachable as error:
            return Answer(Verdict.TROUBLE, error.message)
        if app is None or not app.enabled:
            return Answer(Verdict.CLOSED, "the app is disabled" if app else "the gateways know no app of this tenant")
        return await self._publisher.publish(app, step.events)

    async def _bury(self, step: Bury) -> Answer:
        try:
            await self._loop.run_in_executor(self._gravediggers, self._graveyard.bury, step)
        except Unreachable as error:
            return Answer(Verdict.TROUBLE, error.message)
        return Answer(Verdict.DONE)

    async def _open_again(self) -> None:
        """Tenants that are shut out are woken once the gateways' table lets them in."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if closed := self._flow.closed:
                try:
                    self._flow.wake(await self._apps.look(closed))
                except Unreachable as error:
                    LOG.info("%s", error)

    def _assigned(self, partitions: frozenset[Partition]) -> None:
        """Called in the driver's thread, before any record of these partitions is brought."""
        LOG.info("Was assigned %d partitions", len(partitions))
        self._loop.call_soon_threadsafe(self._flow.assign, partitions)

    def _revoked(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """Called in the driver's thread: where to go on, after what is under way had its time."""
        return asyncio.run_coroutine_threadsafe(self._release(partitions), self._loop).result(2 * DRAIN_SECONDS)

    async def _release(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        await self._drain(partitions, DRAIN_SECONDS)
        unfinished = "" if self._flow.idle(partitions) else ", with publishes still under way"
        LOG.info("Gives up %d partitions%s", len(partitions), unfinished)
        return self._flow.revoke(partitions)

    async def _drain(self, partitions: frozenset[Partition], seconds: float) -> None:
        """Nothing begins any more for these partitions, and what was under way has ended, if it took no longer."""
        self._flow.close(partitions)
        deadline = time.monotonic() + seconds
        while not self._flow.idle(partitions) and (left := deadline - time.monotonic()) > 0:
            self._settled.clear()
            try:
                await asyncio.wait_for(self._settled.wait(), left)
            except TimeoutError:
                return

    async def _end(self) -> None:
        await self._drain(self._flow.partitions, self._grace / 2)
        await self._with_kafka(self._consumer.commit, self._flow.offsets())
        await self._with_kafka(self._consumer.close)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._loop.run_in_executor(self._gravediggers, self._graveyard.close)
        await self._publisher.close()
        await self._apps.close()

    async def _with_kafka(self, call: Callable[..., T], *arguments: Any) -> T:
        """The consumer does this in its one thread."""
        return await self._loop.run_in_executor(self._kafka_thread, call, *arguments)

    def _report(self, error: Unreachable | None) -> None:
        """An outage is told when it begins and when it ends."""
        if error and not self._unreachable:
            LOG.warning("%s; trying again until it does", error)
        if not error and self._unreachable:
            LOG.info("kafka answers again")
        self._unreachable = error is not None


def _count(step: Step, answer: Answer) -> None:
    if answer.verdict is not Verdict.DONE:
        metrics.RETRIES.labels(answer.verdict.value).inc()
    elif isinstance(step, Bury):
        metrics.DEAD_LETTERS.labels(step.poison.reason).inc()
    else:
        metrics.RELAYED.inc(len(step.records))
        now = time.time()
        for record in step.records:
            metrics.LAG_SECONDS.observe(max(0.0, now - record.timestamp))
