"""The flow of records through relays: nothing is lost, nothing overtakes, one tenant's trouble is its own."""

from collections import defaultdict
from dataclasses import replace

from matrixhub.api.dataplane import Route
from matrixhub.relay.answers import Answer, Verdict
from matrixhub.relay.events import OVERHEAD, Record, Router
from matrixhub.relay.flow import Bounds, Flow
from matrixhub.relay.lane import Bury, Partition, Publish, Step

ROUTER = Router([Route(topics="*.institution.*", channel="{domain}.{event}")], data_bytes=100)
GREEN, HILL = "green.institution.updates", "hill.institution.updates"
DONE, AWAY = Answer(Verdict.DONE), Answer(Verdict.AWAY)
LIMITED, CLOSED, REFUSED = Answer(Verdict.LIMITED), Answer(Verdict.CLOSED), Answer(Verdict.REFUSED, "no")
SIZE = 400 + 4 * OVERHEAD
BOUNDS = Bounds(batch=3, in_flight=4, tenant_in_flight=2, lane_records=6, size=SIZE, tenant_size=SIZE)
POISON, BAD = b"\xff", b"bad"
"""What the relay itself sees to be no event, and what only the gateway does."""


def record(offset: int, value: bytes = b"{}", topic: str = GREEN, partition: int = 0) -> Record:
    return Record(topic, partition, offset, None, value, 0.0)


def flow(*partitions: Partition, bounds: Bounds = BOUNDS) -> Flow:
    made = Flow(ROUTER, bounds)
    made.assign(partitions)
    made.orders(0.0)
    return made


def offsets(step: Step) -> list[int]:
    return [found.offset for found in step.records]


def test_a_batch_at_a_time_in_order_and_offsets_only_after_acceptance():
    lane = (GREEN, 0)
    relay = flow(lane)
    relay.offer(lane, [record(offset) for offset in range(5)])
    [first] = relay.due(0.0)
    assert offsets(first) == [0, 1, 2]
    assert relay.due(0.0) == []
    assert relay.offsets() == {}
    relay.settle(first, DONE, 0.0)
    assert relay.offsets() == {lane: 3}
    relay.committed({lane: 3})
    assert relay.offsets() == {}
    [second] = relay.due(0.0)
    assert offsets(second) == [3, 4]


def test_poison_goes_to_its_grave_between_the_batches_and_the_offset_moves_on():
    lane = (GREEN, 0)
    relay = flow(lane)
    relay.offer(lane, [record(0), record(1, POISON), record(2)])
    seen = []
    while steps := relay.due(0.0):
        seen.append((type(steps[0]), offsets(steps[0])))
        relay.settle(steps[0], DONE, 0.0)
    assert seen == [(Publish, [0]), (Bury, [1]), (Publish, [2])]
    assert relay.offsets() == {lane: 3}


def test_what_the_gateway_refuses_is_found_one_by_one():
    lane = (GREEN, 0)
    relay = flow(lane)
    relay.offer(lane, [record(0), record(1, BAD), record(2)])
    seen = []
    while steps := relay.due(0.0):
        [step] = steps
        refused = isinstance(step, Publish) and any(found.value == BAD for found in step.records)
        seen.append((type(step), offsets(step)))
        relay.settle(step, REFUSED if refused else DONE, 0.0)
        if isinstance(step, Bury):
            assert (step.poison.reason, step.poison.message) == ("Refused", "no")
    assert seen == [(Publish, [0, 1, 2]), (Publish, [0]), (Publish, [1]), (Bury, [1]), (Publish, [2])]


def test_a_tenant_over_its_limits_waits_longer_each_time_and_alone():
    green, hill = (GREEN, 0), (HILL, 0)
    relay = flow(green, hill)
    now, waits = 0.0, []
    for _ in range(3):
        relay.offer(green, [record(0)])
        [step] = relay.due(now)
        relay.settle(step, LIMITED, now)
        orders = relay.orders(now)
        assert (orders.pause, orders.rewind) == ({green}, {green: 0})
        relay.offer(hill, [record(int(now * 100), topic=HILL)])
        [other] = relay.due(now)
        assert other.tenant == "hill"
        relay.settle(other, DONE, now)
        began = now
        while green not in relay.orders(now).resume:
            now += 0.05
        waits.append(now - began)
    assert [round(wait, 1) for wait in waits] == [0.2, 0.5, 1.0]


def test_as_long_as_the_gateway_asks_for():
    relay = flow((GREEN, 0))
    relay.offer((GREEN, 0), [record(0)])
    [step] = relay.due(0.0)
    relay.settle(step, Answer(Verdict.LIMITED, retry_after=7.0), 0.0)
    relay.orders(0.0)
    assert not relay.orders(6.9).resume
    assert relay.orders(7.0).resume == {(GREEN, 0)}


def test_what_no_consumer_is_handed_is_committed_once_all_before_it_is_settled():
    lane = (GREEN, 0)
    relay = flow(lane)
    relay.offer(lane, [record(offset) for offset in range(4)])
    relay.reach(lane, 6)
    [first] = relay.due(0.0)
    relay.settle(first, DONE, 0.0)
    assert relay.offsets() == {lane: 3}
    [second] = relay.due(0.0)
    relay.reach(lane, 7)
    assert relay.offsets() == {lane: 3}
    relay.settle(second, DONE, 0.0)
    assert relay.offsets() == {lane: 7}
    relay.committed({lane: 7})
    relay.reach(lane, 9)
    assert relay.offsets() == {lane: 9}
    assert relay.revoke([lane]) == {lane: 9}


def test_nothing_is_committed_beyond_records_that_were_let_go_of():
    lane = (GREEN, 0)
    relay = flow(lane)
    relay.offer(lane, [record(0), record(1)])
    relay.reach(lane, 5)
    [step] = relay.due(0.0)
    relay.settle(step, LIMITED, 0.0)
    relay.reach(lane, 6)
    assert relay.offsets() == {}
    assert relay.orders(0.0).rewind == {lane: 0}
    relay.orders(1e9)
    relay.offer(lane, [record(0)])
    relay.reach(lane, 1)
    [step] = relay.due(1e9)
    relay.settle(step, DONE, 1e9)
    assert relay.offsets() == {lane: 1}


def test_a_closed_tenant_waits_until_it_is_woken():
    lane = (GREEN, 0)
    relay = flow(lane)
    relay.offer(lane, [record(0)])
    [step] = relay.due(0.0)
    relay.settle(step, CLOSED, 0.0)
    relay.orders(0.0)
    assert relay.closed == {"green"}
    assert not relay.orders(1e9).resume
    relay.wake(["green"])
    assert relay.orders(1e9).resume == {lane}
    relay.assign([lane])
    assert not relay.closed


def test_a_relay_rests_beside_a_closed_tenant_and_not_beside_one_whose_time_will_come():
    lane = (GREEN, 0)
    for answer, rests in ((CLOSED, True), (LIMITED, False)):
        relay = flow(lane, (HILL, 0))
        assert relay.resting
        relay.offer(lane, [record(0)])
        [step] = relay.due(0.0)
        assert not relay.resting
        relay.settle(step, answer, 0.0)
        assert not relay.resting, "an order to pause is left"
        assert relay.orders(0.0).pause == {lane}
        assert relay.resting is rests
        relay.offer((HILL, 0), [record(0, topic=HILL)])
        assert not relay.resting


def test_while_no_gateway_answers_one_step_at_a_time_tries():
    lanes = [(GREEN, 0), (HILL, 0), ("oak.institution.updates", 0)]
    relay = flow(*lanes)
    for lane in lanes:
        relay.offer(lane, [record(0, topic=lane[0])])
    for step in relay.due(0.0):
        relay.settle(step, AWAY, 0.0)
    assert relay.due(0.05) == []
    [probe] = relay.due(0.1)
    assert relay.due(0.1) == []
    relay.settle(probe, AWAY, 0.1)
    assert relay.due(0.25) == []
    [probe] = relay.due(0.31)
    relay.settle(probe, DONE, 0.31)
    assert len(relay.due(0.31)) == 2
    assert relay.waiting == 0


def test_a_tenant_takes_no_more_than_its_part_of_the_steps_under_way():
    many = [(GREEN, number) for number in range(9)]
    relay = flow(*many, (HILL, 0))
    for lane in many:
        relay.offer(lane, [record(0, partition=lane[1])])
    relay.offer((HILL, 0), [record(0, topic=HILL)])
    tenants = [step.tenant for step in relay.due(0.0)]
    assert sorted(tenants) == ["green", "green", "hill"]


def test_a_partition_that_is_full_is_not_fetched_until_half_is_gone():
    lane = (GREEN, 0)
    relay = flow(lane)
    relay.offer(lane, [record(offset) for offset in range(6)])
    assert relay.orders(0.0).pause == {lane}
    relay.settle(relay.due(0.0)[0], DONE, 0.0)
    assert relay.orders(0.0).resume == frozenset()
    relay.settle(relay.due(0.0)[0], DONE, 0.0)
    assert relay.orders(0.0).resume == {lane}


def test_nothing_is_fetched_while_the_records_fill_their_memory():
    green, hill = (GREEN, 0), (HILL, 0)
    relay = flow(green, hill)
    relay.offer(green, [record(offset, b"x" * 100) for offset in range(4)])
    assert relay.orders(0.0).pause == {green, hill}
    relay.settle(relay.due(0.0)[0], DONE, 0.0)
    assert relay.orders(0.0).resume == {green, hill}
    assert relay.size == 100 + OVERHEAD


def test_a_tenant_of_which_too_much_came_at_once_waits_alone():
    green, also, hill = (GREEN, 0), (GREEN, 1), (HILL, 0)
    relay = flow(green, also, hill, bounds=replace(BOUNDS, lane_records=100, tenant_size=SIZE // 4))
    relay.offer(green, [record(offset, b"x" * 100) for offset in range(20)])
    assert relay.orders(0.0).pause == {green, also}
    while relay.orders(0.0).resume != {green, also}:
        assert relay.size
        relay.settle(relay.due(0.0)[0], DONE, 0.0)
    relay.offer(green, [record(20, b"x" * 1000)])
    assert relay.orders(0.0).pause == {green, also}
    relay.revoke([green])
    assert relay.orders(0.0).resume == {also}


def test_each_tenants_steps_are_dealt_out_in_turn():
    lanes = [(f"{tenant}.institution.updates", 0) for tenant in ("a", "b", "c", "d", "e", "f")]
    relay = flow(*lanes, bounds=Bounds(batch=1, in_flight=2, tenant_in_flight=2))
    for lane in lanes:
        relay.offer(lane, [record(offset, topic=lane[0]) for offset in range(3)])
    served: dict[str, int] = defaultdict(int)
    for _ in range(6):
        for step in relay.due(0.0):
            served[step.tenant] += 1
            relay.settle(step, DONE, 0.0)
    assert set(served.values()) == {2}
