"""What the relay does next: which records are published, which wait, which offsets are committed. Pure.

Records of a partition are settled in order, one step at a time. A tenant that cannot be served at present waits with
all its partitions; what had been fetched of them is let go of, and fetched again when its time comes, so that memory
is filled only with what flows. Time is what the caller says it is, in seconds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from matrixhub.relay.answers import Answer, Backoff, Verdict
from matrixhub.relay.events import Record, Router
from matrixhub.relay.lane import Lane, Partition, Publish, Step
from matrixhub.relay.load import Load

TENANT, GATEWAY = Backoff(0.25, 15.0), Backoff(0.1, 2.0)


@dataclass(frozen=True)
class Bounds:
    """How much is done at once, and how long is waited."""

    batch: int = 10
    """Records in one request: as many as Pusher's API takes."""
    in_flight: int = 16
    """Steps under way at once."""
    tenant_in_flight: int = 4
    """Steps of one tenant under way at once: a tenant whose answers take long leaves the rest to others."""
    lane_records: int = 200
    """Records of a partition that are fetched ahead."""
    size: int = 32 * 1024**2
    """Bytes of all records that are fetched ahead."""
    tenant_size: int = 8 * 1024**2
    """Bytes of one tenant's records that are fetched ahead. Compressed ones may be many more at once: then it waits,
    and counts with so many, so that nobody else does."""
    tenant: Backoff = TENANT
    gateway: Backoff = GATEWAY


@dataclass(frozen=True)
class Orders:
    """What the consumer is to do before it fetches again. `rewind` holds the offset to start from."""

    pause: frozenset[Partition] = frozenset()
    resume: frozenset[Partition] = frozenset()
    rewind: Mapping[Partition, int] = field(default_factory=dict)


class Flow:
    """All partitions that are assigned to this relay."""

    def __init__(self, router: Router, bounds: Bounds = Bounds()) -> None:
        self._router = router
        self._bounds = bounds
        self._lanes: dict[Partition, Lane] = {}
        self._tenants: dict[str, set[Partition]] = {}
        self._ready: dict[Partition, None] = {}
        """Lanes that a step may begin on, in the order of their turns."""
        self._in_flight: dict[str, int] = {}
        self._load = Load(bounds.size, bounds.tenant_size)
        self._changed: set[Partition] = set()
        self._paused: set[Partition] = set()
        self._uncommitted: set[Partition] = set()
        self._failures: dict[str, int] = {}
        """By tenant, how often in a row it had to wait."""
        self._until: dict[str, float] = {}
        self._closed: set[str] = set()
        self._gateway_failures, self._gateway_until = 0, 0.0

    @property
    def partitions(self) -> frozenset[Partition]:
        """What is assigned."""
        return frozenset(self._lanes)

    @property
    def in_flight(self) -> int:
        """Steps under way."""
        return sum(self._in_flight.values())

    @property
    def size(self) -> int:
        """Bytes of the records that were fetched and are not settled."""
        return self._load.size

    @property
    def waiting(self) -> int:
        """How many tenants cannot be served at present."""
        return len(self._until) + len(self._closed)

    @property
    def resting(self) -> bool:
        """Whether nothing is under way, nothing waits but for an app, and nothing is left to order or to commit."""
        if self._in_flight or self.size or self._changed or self._uncommitted or self._until:
            return False
        return all(self._lanes[partition].tenant in self._closed for partition in self._paused)

    @property
    def closed(self) -> frozenset[str]:
        """Tenants that wait for an app that lets them in."""
        return frozenset(self._closed)

    def assign(self, partitions: Iterable[Partition]) -> None:
        """The partitions are this relay's, from their committed offsets on."""
        for partition in partitions:
            self._forget(partition)
            lane = self._lanes[partition] = Lane(partition)
            self._tenants.setdefault(lane.tenant, set()).add(partition)
            if self._waits(lane.tenant):
                lane.park()
            self._touch(lane)

    def close(self, partitions: Iterable[Partition]) -> None:
        """No step begins any more for these partitions."""
        for partition in partitions:
            if lane := self._lanes.get(partition):
                lane.closing = True
                self._touch(lane)

    def idle(self, partitions: Iterable[Partition]) -> bool:
        """Whether no step is under way for these partitions."""
        return not any(self._lanes[partition].busy for partition in partitions if partition in self._lanes)

    def revoke(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The partitions are this relay's no more; what is still under way for them changes nothing.

        By partition, the offset from which whoever has it next goes on: all before was settled.
        """
        starts = {at: self._lanes[at].start for at in partitions if at in self._lanes}
        for partition in starts:
            self._forget(partition)
        return {partition: start for partition, start in starts.items() if start is not None}

    def offer(self, partition: Partition, records: Sequence[Record]) -> None:
        """Records were fetched, in order, at least one."""
        if lane := self._lanes.get(partition):
            lane.offer(records)
            self._touch(lane)

    def reach(self, partition: Partition, offset: int) -> None:
        """All records before the offset were offered: once they are settled, it is committed."""
        lane = self._lanes.get(partition)
        if lane is None:
            return
        before = lane.position
        lane.reach(offset)
        if lane.position != before:
            self._uncommitted.add(partition)

    def due(self, now: float) -> list[Step]:
        """Steps that begin now. Each is to be settled, whatever becomes of it."""
        if now < self._gateway_until:
            return []
        room = (1 if self._gateway_failures else self._bounds.in_flight) - self.in_flight
        steps: list[Step] = []
        for partition in list(self._next(room)):
            lane = self._lanes[partition]
            lane.busy = lane.next_step(self._router, self._bounds.batch)
            self._touch(lane)
            steps.append(lane.busy)
        return steps

    def _next(self, room: int) -> Iterator[Partition]:
        """The lanes whose turn it is, counted as in flight as they are taken."""
        for partition in self._ready:
            if room <= 0:
                return
            tenant = self._lanes[partition].tenant
            if self._in_flight.get(tenant, 0) < self._bounds.tenant_in_flight:
                self._in_flight[tenant] = self._in_flight.get(tenant, 0) + 1
                room -= 1
                yield partition

    def settle(self, step: Step, answer: Answer, now: float) -> None:
        """What became of a step decides whether its records are done, tried again, or how long they wait."""
        self._in_flight[step.tenant] -= 1
        if not self._in_flight[step.tenant]:
            del self._in_flight[step.tenant]
        self._learn(step, answer, now)
        lane = self._lanes.get(step.partition)
        if lane is None or lane.busy is not step:
            return
        lane.busy = None
        if answer.verdict is Verdict.DONE:
            lane.done(step)
            self._uncommitted.add(lane.partition)
        elif answer.verdict is Verdict.REFUSED:
            lane.isolate(step, answer.message)
        if self._waits(step.tenant):
            lane.park()
        self._touch(lane)

    def _learn(self, step: Step, answer: Answer, now: float) -> None:
        """What the answer says of the tenant and of the gateway."""
        if answer.verdict is Verdict.AWAY:
            if now >= self._gateway_until:
                self._gateway_failures += 1
                self._gateway_until = now + self._bounds.gateway.seconds(self._gateway_failures)
            return
        if isinstance(step, Publish):
            self._gateway_failures, self._gateway_until = 0, 0.0
        if answer.verdict is Verdict.DONE and not self._waits(step.tenant):
            self._failures.pop(step.tenant, None)
        elif answer.verdict in (Verdict.LIMITED, Verdict.TROUBLE, Verdict.CLOSED):
            self._hold(step.tenant, answer, now)

    def _hold(self, tenant: str, answer: Answer, now: float) -> None:
        """The tenant waits; answers to what was under way at that moment don't lengthen it."""
        if answer.verdict is Verdict.CLOSED:
            self._closed.add(tenant)
            self._until.pop(tenant, None)
        elif not self._waits(tenant):
            self._failures[tenant] = self._failures.get(tenant, 0) + 1
            self._until[tenant] = now + self._bounds.tenant.seconds(self._failures[tenant], answer.retry_after)
        for partition in self._tenants.get(tenant, ()):
            self._lanes[partition].park()
            self._touch(self._lanes[partition])

    def wake(self, tenants: Iterable[str]) -> None:
        """The tenants are tried again."""
        for tenant in tenants:
            self._until.pop(tenant, None)
            self._closed.discard(tenant)
            for partition in self._tenants.get(tenant, ()):
                self._lanes[partition].parked = False
                self._touch(self._lanes[partition])

    def orders(self, now: float) -> Orders:
        """What the consumer is to do before its next fetch; what it fetched until now was offered."""
        self.wake([tenant for tenant, until in self._until.items() if until <= now])
        if self._load.turn():
            self._changed |= self._lanes.keys()
        lanes = [self._lanes[partition] for partition in self._changed if partition in self._lanes]
        self._changed.clear()
        shut = {lane.partition for lane in lanes if self._full(lane)}
        open_ = {lane.partition for lane in lanes} - shut
        orders = Orders(
            frozenset(shut - self._paused),
            frozenset(open_ & self._paused),
            {lane.partition: lane.rewind for lane in lanes if lane.rewind is not None},
        )
        self._paused = (self._paused | shut) - open_
        for lane in lanes:
            lane.rewind = None
        return orders

    def _full(self, lane: Lane) -> bool:
        """Whether nothing more is to be fetched; what was full takes records again when half is gone."""
        most = self._bounds.lane_records // (2 if lane.partition in self._paused else 1)
        return self._load.shuts(lane.tenant) or lane.parked or lane.closing or len(lane.records) >= most

    def offsets(self) -> dict[Partition, int]:
        """What is to be committed: by partition, the offset before which everything is settled."""
        lanes = (self._lanes[partition] for partition in self._uncommitted)
        return {lane.partition: lane.position for lane in lanes if lane.position is not None}

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """Kafka has these offsets."""
        self._uncommitted -= {
            partition
            for partition, offset in offsets.items()
            if partition in self._lanes and self._lanes[partition].position == offset
        }

    def _waits(self, tenant: str) -> bool:
        return tenant in self._until or tenant in self._closed

    def _touch(self, lane: Lane) -> None:
        """The lane changed: what is known of it beside it is true again."""
        self._weigh(lane.tenant, lane.size - lane.counted)
        lane.counted = lane.size
        self._changed.add(lane.partition)
        if lane.ready:
            self._ready.setdefault(lane.partition)
        else:
            self._ready.pop(lane.partition, None)

    def _weigh(self, tenant: str, change: int) -> None:
        """So many bytes more are held of the tenant's records."""
        if self._load.add(tenant, change):
            self._changed |= self._tenants[tenant]

    def _forget(self, partition: Partition) -> None:
        """Nothing is known of the partition, nor of its tenant if it was the last one."""
        lane = self._lanes.pop(partition, None)
        if lane is None:
            return
        self._weigh(lane.tenant, -lane.counted)
        for known in (self._changed, self._paused, self._uncommitted):
            known.discard(partition)
        self._ready.pop(partition, None)
        self._tenants[lane.tenant].discard(partition)
        if not self._tenants[lane.tenant]:
            del self._tenants[lane.tenant]
            self._failures.pop(lane.tenant, None)
            self._until.pop(lane.tenant, None)
            self._closed.discard(lane.tenant)
