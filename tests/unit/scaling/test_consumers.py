"""Every sentence about consumers, as an example."""

from dataclasses import replace

import pytest
from tests.unit.scaling.life import CONSUMERS, PERIOD, ConsumerLife

from matrixhub.scaling.decision import Bounds, pause
from matrixhub.scaling.learning import ASSUMED, ConsumerHistory
from matrixhub.scaling.samples import STALE, GroupSample, Missing, PartitionSample


def learnt(current: int, rate: float = 200, **more: object) -> ConsumerLife:
    """A group whose rate is known, after a first look."""
    life = ConsumerLife(current, history=ConsumerHistory(rate=rate, learnt=True), **more)
    next(life.watch(PERIOD, lambda _: 0))
    life.now += PERIOD
    return life


def test_a_backlog_brings_enough_to_empty_it_within_the_drain_time() -> None:
    life = learnt(1, end=24_000)
    decision = life.look()
    assert (decision.replicas, decision.reason) == (12, "Backlog")
    assert decision.message == ("24,000 records wait and 0/s arrive, 200/s a replica, 30 s to drain: 12 needed")


def test_arrivals_alone_bring_enough_to_keep_up() -> None:
    life = learnt(2)
    list(life.watch(200, lambda _: 1500.0))
    assert life.current in (8, 12)
    assert life.end - life.read < 1500 * 15


def test_a_backlog_of_20000_is_gone_within_the_drain_time_of_the_new_replicas() -> None:
    life = learnt(1)
    life.end += 20_000
    began = life.now
    for _ in life.watch(120, lambda _: 50.0):
        if life.end - life.read < 50 * PERIOD + 1:
            break
    assert life.now - began <= 30


def test_the_rate_is_learnt_from_a_group_that_is_behind() -> None:
    life = ConsumerLife(2, replace(CONSUMERS, bounds=Bounds(1, 2)), speed=320, end=100_000)
    list(life.watch(40, lambda _: 100.0))
    assert life.history.learnt
    assert life.history.rate == pytest.approx(320, rel=0.02)


def test_the_rate_is_never_learnt_from_a_group_that_has_little_to_do() -> None:
    life = ConsumerLife(4, speed=1000)
    list(life.watch(600, lambda _: 20.0))
    assert not life.history.learnt
    assert life.history.rate == ASSUMED


def test_a_replica_can_do_at_least_what_it_does() -> None:
    life = ConsumerLife(1, speed=1000)
    list(life.watch(600, lambda _: 700.0))
    assert life.history.rate == pytest.approx(700, rel=0.02)
    assert life.current == 1


def test_nothing_comes_on_a_guess_while_nothing_waits() -> None:
    life = ConsumerLife(1, speed=1000)
    decision = list(life.watch(15, lambda _: 900.0))[-1]
    assert (decision.replicas, life.history.learnt) == (1, False)


def test_before_the_rate_is_known_the_number_at_most_doubles_or_grows_by_four() -> None:
    life = ConsumerLife(1, speed=5)
    next(life.watch(PERIOD, lambda _: 0))
    life.end += 1_000_000
    decision = life.look()
    assert decision.replicas == 5
    assert "no more than 5 before the rate of a replica is known" in decision.message


def test_never_more_than_partitions() -> None:
    life = learnt(1, partitions=3)
    life.end += 1_000_000
    decision = life.look()
    assert decision.replicas == 3
    assert "since there are no more partitions than 3" in decision.message


def test_a_number_that_shares_the_partitions_no_better_is_never_taken() -> None:
    for backlog in range(0, 60_000, 500):
        life = learnt(1)
        life.end += backlog
        assert life.look().replicas in (1, 2, 3, 4, 5, 6, 8, 12)


def test_never_above_the_maximum() -> None:
    life = learnt(1)
    life.end += 1_000_000
    decision = life.look()
    assert (decision.replicas, decision.limited, decision.wanted) == (12, "MaxReplicas", 24)
    assert "but maxReplicas is 12" in decision.message


def test_fewer_must_have_been_enough_for_the_whole_window() -> None:
    life = learnt(6)
    decisions = list(life.watch(295, lambda _: 100.0))
    assert {d.replicas for d in decisions} == {6}
    assert decisions[-1].reason == "Watching"
    assert next(d for d in life.watch(60, lambda _: 100.0) if d.replicas < 6).reason == "FewerSuffice"
    assert life.current == 1


def test_what_emptied_a_backlog_goes_once_it_has_been_empty_for_a_minute() -> None:
    life = learnt(1)
    list(life.watch(400, lambda _: 100.0))
    life.speed = 0.0
    list(life.watch(100, lambda _: 100.0))
    assert life.current >= 5
    life.speed = 200.0
    decisions = list(life.watch(50, lambda _: 100.0))
    assert (decisions[-1].replicas, decisions[-1].reason) == (decisions[0].replicas, "Stabilizing")
    assert "fewer must have been enough for 60 s" in decisions[-1].message
    list(life.watch(35, lambda _: 100.0))
    assert life.current == 1


def test_arrivals_that_came_once_count_for_the_whole_window() -> None:
    life = learnt(6)
    list(life.watch(400, lambda _: 900.0))
    numbers = [d.replicas for d in life.watch(200, lambda _: 100.0)]
    assert set(numbers) == {6}


def test_a_burst_that_can_be_read_half_a_drain_time_later_keeps_nobody() -> None:
    life = learnt(6)
    list(life.watch(600, lambda now: 1125.0 if now % 150 < 90 else 400.0))
    assert life.current == 6
    assert life.end - life.read < 1200 * 15


def test_replicas_stay_while_they_empty_what_waits_in_time() -> None:
    assert learnt(4, end=800 * 29).look().replicas == 4
    assert learnt(4, end=800 * 31).look().replicas > 4


def test_one_member_far_behind_counts_as_if_all_were() -> None:
    def ahead(member: str, records: int) -> int:
        life = learnt(8)
        sample = life.sample()
        more = tuple(replace(p, end=p.end + records) if p.member.startswith(member) else p for p in sample.partitions)
        return life.look(replace(sample, partitions=more)).replicas

    assert ahead("m", 160) == 8
    assert ahead("m0", 160 * 8) == 12


def test_noise_within_the_tolerance_changes_nothing() -> None:
    life = ConsumerLife(4, history=ConsumerHistory(rate=200, learnt=True))
    numbers = {d.replicas for d in life.watch(3000, lambda now: 600 * (1.08 if now % 10 else 0.92))}
    assert numbers == {4}


TROUBLES = {
    "Kafka is away": (Missing("Kafka does not answer"), "MetricsMissing"),
    "an old sample": (GroupSample(-STALE, "Stable", 6, ()), "MetricsStale"),
    "nobody consumes": ("Empty", "NoMembers"),
    "no group": ("Dead", "NoMembers"),
    "a rebalance": ("PreparingRebalance", "RebalanceInProgress"),
    "the end of a rebalance": ("CompletingRebalance", "RebalanceInProgress"),
    "a rebalance of KIP-848": ("Reconciling", "RebalanceInProgress"),
    "offsets beyond the end": ({"committed": 10**9}, "OffsetsReset"),
    "offsets backwards": ({"committed": 0}, "OffsetsReset"),
    "a topic made anew": ({"end": 0, "committed": 0}, "OffsetsReset"),
    "never committed": ({"committed": None}, "NeverCommitted"),
    "a new topic": ({"topic": "new", "committed": 0, "end": 0}, "NewPartitions"),
}


def spoilt(life: ConsumerLife, how: object) -> GroupSample | Missing:
    """The sample that the life would give, with a trouble in it."""
    if isinstance(how, Missing):
        return how
    if isinstance(how, GroupSample):
        return replace(how, taken=life.now - STALE - 1)
    sample = life.sample()
    if isinstance(how, str):
        return replace(sample, state=how, members=0 if how in ("Empty", "Dead") else sample.members)
    first = replace(sample.partitions[0], **how)
    return replace(sample, partitions=(first, *sample.partitions[1:]))


@pytest.mark.parametrize(("how", "reason"), TROUBLES.values(), ids=TROUBLES)
def test_trouble_freezes_the_way_down_and_is_told(how: object, reason: str) -> None:
    life = learnt(6)
    list(life.watch(290, lambda _: 100.0))
    decision = life.look(spoilt(life, how))
    life.now += PERIOD
    later = [life.look(spoilt(life, how))]
    assert (decision.replicas, decision.reason) == (6, reason)
    assert decision.trouble is not None
    assert decision.trouble.message in decision.message
    assert {d.replicas for d in later} == {6}


@pytest.mark.parametrize(("how", "reason"), TROUBLES.values(), ids=TROUBLES)
def test_trouble_that_lasts_takes_nothing_and_adds_nothing(how: object, reason: str) -> None:
    life = learnt(6)
    list(life.watch(50, lambda _: 100.0))
    decisions = list(life.watch(900, lambda _: 100.0, lambda life: spoilt(life, how)))
    passing = {"OffsetsReset", "NewPartitions"}
    assert decisions[0].reason == reason
    assert {d.replicas for d in decisions if d.trouble} == {6}
    assert all(d.trouble for d in decisions) or reason in passing


def test_a_reset_begins_the_watch_anew() -> None:
    life = learnt(6)
    list(life.watch(290, lambda _: 100.0))
    life.look(spoilt(life, {"committed": 10**9}))
    life.now += PERIOD
    assert {d.replicas for d in life.watch(295, lambda _: 100.0)} == {6}


def test_a_short_rebalance_does_not_begin_the_watch_anew() -> None:
    life = learnt(6)
    list(life.watch(280, lambda _: 100.0))
    life.look(spoilt(life, "PreparingRebalance"))
    life.now += PERIOD
    assert any(d.replicas < 6 for d in life.watch(40, lambda _: 100.0))


def test_partitions_that_go_and_come_back_with_a_backlog_are_odd_for_one_look_each() -> None:
    """As those of a Tenant that is suspended and let in again are to the relay."""

    def fewer(life: ConsumerLife) -> GroupSample:
        return replace(life.sample(), partitions=life.sample().partitions[1:])

    def back(life: ConsumerLife) -> GroupSample:
        first, *others = life.sample().partitions
        return replace(life.sample(), partitions=(replace(first, end=first.end + 100), *others))

    life = learnt(6)
    decisions = [d for seen in (ConsumerLife.sample, fewer, back) for d in life.watch(50, lambda _: 100.0, seen)]
    found = [d.trouble for d in decisions if d.trouble]
    assert [(trouble.reason, trouble.passing) for trouble in found] == [
        ("PartitionsGone", True),
        ("NewPartitions", True),
    ]


def test_what_is_known_of_the_other_partitions_still_brings_more() -> None:
    life = learnt(1)
    life.end += 40_000
    decision = life.look(spoilt(life, {"committed": None}))
    assert decision.replicas == 12
    assert "1 partition with records were never committed" in decision.message


def test_a_group_that_consumes_nothing_gets_no_more() -> None:
    life = learnt(2, speed=0.0, end=500_000.0)
    life.policy = replace(CONSUMERS, bounds=Bounds(1, 2))
    list(life.watch(200, lambda _: 100.0))
    life.policy = CONSUMERS
    decision = life.look()
    assert (decision.replicas, decision.reason) == (2, "NotConsuming")


def test_the_first_look_changes_nothing() -> None:
    decision = ConsumerLife(3, end=10_000_000).look()
    assert (decision.replicas, decision.reason) == (3, "FirstLook")


def test_a_restarted_operator_does_not_take_busy_replicas_for_slow_ones() -> None:
    life = ConsumerLife(4, speed=2000, end=200_000)
    numbers = [d.replicas for d in life.watch(20, lambda _: 1000.0)]
    assert set(numbers) == {4}


@pytest.mark.parametrize(("said", "backlog"), [("up", 100_000), ("down", 0), ("true", 100_000), ("true", 0)])
def test_a_paused_direction_is_not_taken(said: str, backlog: int) -> None:
    life = learnt(3)
    life.policy = replace(CONSUMERS, pause=pause(said))
    life.end += backlog
    life.speed = 0 if backlog else 200
    decision = list(life.watch(100 if backlog else 400, lambda _: 10.0))[-1]
    assert (decision.replicas, decision.reason) == (3, "Paused")


def test_a_number_set_by_a_hand_stands_for_a_window() -> None:
    life = learnt(1)
    list(life.watch(600, lambda _: 100.0))
    life.current = 5
    assert {d.replicas for d in life.watch(300, lambda _: 100.0)} == {5}
    list(life.watch(10, lambda _: 100.0))
    assert life.current == 1


def test_scaled_to_zero_by_a_hand_is_out_of_bounds_and_with_a_pause_it_stays() -> None:
    empty = GroupSample(0, "Empty", 0, (PartitionSample("t", 0, 0, 0),))
    assert ConsumerLife(0).look(empty).replicas == 1
    paused = ConsumerLife(0, replace(CONSUMERS, pause=pause("true"))).look(empty)
    assert (paused.replicas, paused.reason) == (0, "Paused")


def test_a_lowered_maximum_is_obeyed_at_once_even_blindly() -> None:
    life = ConsumerLife(9, replace(CONSUMERS, bounds=Bounds(1, 4)))
    decision = life.look(Missing("Kafka does not answer"))
    assert (decision.replicas, decision.reason) == (4, "MaxReplicas")


def test_a_night_without_a_record_is_a_night_like_any_other() -> None:
    life = ConsumerLife(1, speed=1000)
    list(life.watch(1000, lambda _: 20.0))
    decisions = list(life.watch(6 * 3600, lambda _: 0.0))
    assert {decision.replicas for decision in decisions[-1000:]} == {1}
