"""Whatever happens to two relays and their partitions: nothing is lost, nothing overtakes, bounds are kept."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.relay.test_flow import (
    AWAY,
    BAD,
    BOUNDS,
    CLOSED,
    DONE,
    GREEN,
    HILL,
    LIMITED,
    POISON,
    REFUSED,
    ROUTER,
    record,
)

from matrixhub.relay.answers import Answer, Verdict
from matrixhub.relay.events import OVERHEAD
from matrixhub.relay.flow import Flow
from matrixhub.relay.lane import Bury


class World(RuleBasedStateMachine):
    """Two relays of one group on one Kafka and one gateway: everything that the real ones may do, in any order."""

    lanes = ((GREEN, 0), (GREEN, 1), (HILL, 0))

    @initialize()
    def begin(self):
        self.now = 0.0
        self.logs = {lane: [record(offset, b"{}", *lane) for offset in range(9)] for lane in self.lanes}
        self.committed = dict.fromkeys(self.lanes, 0)
        self.published = {lane: [] for lane in self.lanes}
        self.buried = {lane: set() for lane in self.lanes}
        self.relays = [Flow(ROUTER, BOUNDS), Flow(ROUTER, BOUNDS)]
        self.positions = [{}, {}]
        self.paused = [set(), set()]
        self.fetched = [None, None]
        self.under_way = []
        self.rebalance([0, 0, 1], finish=True)

    @rule(lane=st.sampled_from(lanes), value=st.sampled_from([b"{}", b"{}", b"{}", POISON, BAD]), gap=st.integers(1, 3))
    def produce(self, lane, value, gap):
        log = self.logs[lane]
        offset = log[-1].offset + gap if log else gap
        log.append(record(offset, value, *lane))

    @rule(which=st.integers(0, 1))
    def turn(self, which):
        """What most often happens, in one."""
        self.take(which)
        self.fetch(which)
        self.take(which)
        self.start(which)

    @rule(which=st.integers(0, 1))
    def fetch(self, which):
        """The consumer does as it was told, and asks the broker; meanwhile everything else may happen."""
        if self.fetched[which] is not None:
            return
        orders, positions = self.relays[which].orders(self.now), self.positions[which]
        self.paused[which] = (self.paused[which] | orders.pause) - orders.resume
        positions.update({lane: offset for lane, offset in orders.rewind.items() if lane in positions})
        self.fetched[which] = {}
        for lane in positions.keys() - self.paused[which]:
            if found := [entry for entry in self.logs[lane] if entry.offset >= positions[lane]][:4]:
                self.fetched[which][lane] = found
                positions[lane] = found[-1].offset + 1

    @rule(which=st.integers(0, 1))
    def take(self, which):
        for lane, records in (self.fetched[which] or {}).items():
            self.relays[which].offer(lane, records)
        self.fetched[which] = None

    @rule(which=st.integers(0, 1))
    def start(self, which):
        self.under_way += [(self.relays[which], step) for step in self.relays[which].due(self.now)]

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), answer=st.sampled_from([DONE, DONE, DONE, AWAY, LIMITED, CLOSED, Answer(Verdict.TROUBLE)]))
    def answer(self, data, answer):
        relay, step = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        if isinstance(step, Bury):
            answer = Answer(Verdict.TROUBLE) if answer.verdict is not Verdict.DONE else answer
            if answer is DONE:
                self.buried[step.partition].add(step.records[0].offset)
        elif answer.verdict is Verdict.DONE:
            good = [found.offset for found in step.records]
            bad = [index for index, found in enumerate(step.records) if found.value == BAD]
            if bad:
                answer, good = REFUSED, good[: bad[0]]
            self.published[step.partition] += good
        relay.settle(step, answer, self.now)

    @rule(which=st.integers(0, 1))
    def commit(self, which):
        found = self.relays[which].offsets()
        self.committed.update(found)
        self.relays[which].committed(found)

    @rule(seconds=st.sampled_from([0.1, 1.0, 20.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule(which=st.integers(0, 1))
    def open_again(self, which):
        self.relays[which].wake(self.relays[which].closed)

    @rule(owners=st.lists(st.integers(0, 1), min_size=3, max_size=3), finish=st.booleans())
    def rebalance(self, owners, finish):
        """Everything is revoked, what was settled is committed or lost, and dealt out anew from what is committed."""
        for which, relay in enumerate(self.relays):
            relay.close(relay.partitions)
            starts = relay.revoke(relay.partitions)
            if finish:
                self.committed.update(starts)
            self.fetched[which] = None
            self.paused[which] = set()
            mine = [lane for lane, owner in zip(self.lanes, owners, strict=True) if owner == which]
            self.positions[which] = {lane: self.committed[lane] for lane in mine}
            relay.assign(mine)

    @invariant()
    def what_is_committed_was_published_or_buried(self):
        for lane, log in self.logs.items():
            for entry in log:
                if entry.offset < self.committed[lane]:
                    assert entry.offset in self.buried[lane] or entry.offset in self.published[lane]

    @invariant()
    def nothing_is_seen_for_the_first_time_after_a_later_record(self):
        for lane in self.lanes:
            first = list(dict.fromkeys(self.published[lane]))
            assert first == sorted(first)

    @invariant()
    def bounds_are_kept(self):
        for relay in self.relays:
            mine = [step for owner, step in self.under_way if owner is relay]
            assert relay.in_flight == len(mine) <= BOUNDS.in_flight
            assert 0 <= relay.size <= 3 * (BOUNDS.lane_records + 4) * (OVERHEAD + 3)

    def teardown(self):
        """In calm weather everything arrives: what is no event in its grave, the rest at the gateway."""
        if not hasattr(self, "logs"):
            return
        for _ in range(400):
            for which in (0, 1):
                self.open_again(which)
                self.turn(which)
            while self.under_way:
                relay, step = self.under_way[0]
                self.calm(relay, step)
            for which in (0, 1):
                self.commit(which)
            self.now += 1.0
            if all(not log or self.committed[lane] > log[-1].offset for lane, log in self.logs.items()):
                break
        for lane, log in self.logs.items():
            assert {entry.offset for entry in log if entry.value == b"{}"} == set(self.published[lane])
            assert {entry.offset for entry in log if entry.value != b"{}"} == self.buried[lane]
        assert all(relay.size == 0 for relay in self.relays)

    def calm(self, relay, step):
        self.under_way.remove((relay, step))
        offsets_ = [found.offset for found in step.records]
        if isinstance(step, Bury):
            self.buried[step.partition] |= set(offsets_)
        elif any(found.value == BAD for found in step.records):
            relay.settle(step, REFUSED, self.now)
            return
        else:
            self.published[step.partition] += offsets_
        relay.settle(step, DONE, self.now)


World.TestCase.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
TestWorld = World.TestCase
