"""Every sentence about gateways, as an example."""

from dataclasses import replace
from itertools import pairwise

import pytest
from tests.unit.scaling.life import GATEWAYS, PERIOD, GatewayLife, even, pods

from matrixhub.scaling.decision import Bounds, pause
from matrixhub.scaling.gateways import BETWEEN_STEPS, WORTH_MOST, GatewayHistory, decide, deletion_costs
from matrixhub.scaling.samples import STALE, GatewaySample, Missing


def test_more_come_at_once_when_the_target_is_passed() -> None:
    decision = GatewayLife(3).look(pods(3100, 3000, 3000))
    assert (decision.replicas, decision.reason) == (4, "Connections")
    assert decision.message == "9,100 connections on 3 gateways, target 3,000 each: 4 needed"


def test_the_rest_must_hold_every_socket_when_the_fullest_goes() -> None:
    decision = GatewayLife(2).look(pods(2900, 2400))
    assert (decision.replicas, decision.reason) == (3, "LossOfOne")
    assert "without gateway-0 (2,900) the rest must hold them all, 5,000 each" in decision.message


def test_the_rate_of_connects_counts_too() -> None:
    life = GatewayLife(2)
    decisions = [life.look(pods(100, 100, now=life.now, connects=round_ * 1500)) for round_ in range(12)]
    decision = next(d for d in decisions if d.replicas == 6)
    assert decision.reason == "ConnectRate"
    assert "connects/s on 2 gateways, 100/s each" in decision.message


def test_what_comes_while_a_gateway_starts_counts_already() -> None:
    life = GatewayLife(2)
    for total in (2000, 3000, 4000):
        decision = life.look(even(total)(2, life.now))
    assert decision.replicas == 3
    assert decision.message == "4,000 connections on 2 gateways, 3,000 more within 15 s, target 3,000 each: 3 needed"


def test_growth_is_forgotten_as_soon_as_it_ends() -> None:
    life = GatewayLife(3)
    for total in (2000, 3000, 4000, 4000):
        decision = life.look(even(total)(3, life.now))
    assert decision.wanted == 2


def test_fewer_must_have_been_enough_for_the_whole_window_and_go_one_at_a_time() -> None:
    life = GatewayLife(6)
    decisions = list(life.watch(300, even(3000)))
    assert {d.replicas for d in decisions} == {6}
    assert decisions[-1].reason == "Watching"
    assert "the load has been watched for 295 s of 300 s" in decisions[-1].message
    steps = [life.now - PERIOD for d in life.watch(300, even(3000)) if d.reason == "FewerSuffice"]
    assert life.current == 2
    assert len(steps) == 4
    assert all(after - before >= BETWEEN_STEPS for before, after in pairwise(steps))


def test_a_short_window_is_not_held_up_by_longer_pauses() -> None:
    life = GatewayLife(5, replace(GATEWAYS, stabilization=10))
    list(life.watch(50, even(100)))
    assert life.current == 2


def test_a_moment_that_needs_more_begins_the_window_anew() -> None:
    life = GatewayLife(4)
    list(life.watch(290, even(2000)))
    life.look(even(11000)(4, life.now))
    decisions = list(life.watch(295, even(2000)))
    assert {d.replicas for d in decisions} == {4}
    assert decisions[-1].reason == "Stabilizing"
    assert "were needed or set 295 s ago" in decisions[-1].message


def test_a_step_waits_until_clients_have_connected_again() -> None:
    life = GatewayLife(4)
    list(life.watch(300, even(2000)))
    assert life.look(even(2000)(4, life.now)).replicas == 3
    connects = 0
    while life.now < 360:
        connects += 40 * 5
        stormy = life.look(even(2000, connects)(3, life.now))
    assert (stormy.replicas, stormy.reason) == (3, "Settling")
    assert "clients still connect again" in stormy.message
    assert list(life.watch(60, even(2000, connects)))[-1].replicas == 2


def test_no_step_down_while_a_gateway_is_not_ready() -> None:
    life = GatewayLife(4)
    list(life.watch(295, even(2000)))
    starting = (
        *pods(600, 700, 700, now=life.now),
        GatewaySample("gateway-3", ready=False, taken=life.now, connections=None),
    )
    decision = life.look(starting)
    assert decision.replicas == 4
    decision = life.look(tuple(replace(s, taken=life.now) for s in starting))
    assert (decision.replicas, decision.reason) == (4, "Settling")
    assert "of 4 gateways 3 are ready and answer" in decision.message


def test_a_gateway_that_does_not_answer_freezes_the_way_down_and_is_named() -> None:
    life = GatewayLife(4)
    list(life.watch(400, lambda current, now: pods(500, 500, 500, None, now=now)))
    decision = life.look(pods(500, 500, 500, None, now=life.now))
    assert (decision.replicas, decision.reason) == (4, "GatewaySilent")
    assert "gateway-3 did not answer, of 4 gateways" in decision.message
    assert decision.trouble is not None


def test_the_way_up_stays_open_while_a_gateway_does_not_answer() -> None:
    decision = GatewayLife(3).look(pods(4800, 4800, None))
    assert decision.replicas == 4
    assert "gateway-2 did not answer" in decision.message


def test_one_that_was_silent_is_no_storm_when_it_answers_again() -> None:
    life = GatewayLife(2)
    list(life.watch(60, lambda _, now: pods(500, None, now=now, connects=50)))
    decision = life.look(
        (
            *pods(500, now=life.now, connects=50),
            GatewaySample("gateway-1", ready=True, taken=life.now, connections=900, connects=10**6),
        )
    )
    assert decision.replicas == 2


@pytest.mark.parametrize("absurd", [-1, 10**9])
def test_nonsense_counts_as_no_answer(absurd: int) -> None:
    decision = GatewayLife(2).look(pods(100, absurd))
    assert (decision.replicas, decision.reason) == (2, "GatewaySilent")


def test_an_old_sample_counts_as_no_answer() -> None:
    life = GatewayLife(2, now=STALE + 1)
    assert life.look(pods(100, 100, now=0)).reason == "GatewaySilent"


def test_nothing_is_decided_when_nothing_can_be_seen() -> None:
    life = GatewayLife(5)
    decision = list(life.watch(1000, lambda *_: Missing("the API server does not list pods")))[-1]
    assert (decision.replicas, decision.reason, decision.wanted) == (5, "MetricsMissing", None)
    assert decision.message == "the API server does not list pods"


def test_an_outage_begins_the_watch_anew() -> None:
    life = GatewayLife(4)
    list(life.watch(290, even(2000)))
    list(life.watch(120, lambda *_: Missing("away")))
    assert {d.replicas for d in life.watch(300, even(2000))} == {4}
    assert life.look(even(2000)(4, life.now)).replicas == 3


def test_bounds_hold() -> None:
    assert GatewayLife(20).look(even(90000)(20, 0)).replicas == 20
    limited = GatewayLife(18).look(even(90000)(18, 0))
    assert (limited.replicas, limited.reason, limited.limited) == (20, "Connections", "MaxReplicas")
    raised = GatewayLife(1).look(pods(0))
    assert (raised.replicas, raised.reason) == (2, "MinReplicas")


def test_a_lowered_maximum_is_reached_one_at_a_time_and_without_a_window() -> None:
    life = GatewayLife(6, replace(GATEWAYS, bounds=Bounds(2, 4)))
    decisions = list(life.watch(60, even(3000)))
    assert next(d.reason for d in decisions if d.replicas == 5) == "MaxReplicas"
    assert life.current == 4


@pytest.mark.parametrize(("said", "load", "expected"), [("up", 30000, 4), ("down", 100, 4), ("true", 30000, 4)])
def test_a_paused_direction_is_not_taken(said: str, load: int, expected: int) -> None:
    life = GatewayLife(4, replace(GATEWAYS, pause=pause(said)))
    decision = list(life.watch(400, even(load)))[-1]
    assert (decision.replicas, decision.reason) == (expected, "Paused")
    assert f'matrixhub.io/scaling-paused is "{said}"' in decision.message


def test_the_other_direction_of_a_pause_stays_open() -> None:
    assert GatewayLife(4, replace(GATEWAYS, pause=pause("down"))).look(even(30000)(4, 0)).replicas == 10


def test_a_number_set_by_a_hand_stands_for_a_window() -> None:
    life = GatewayLife(3)
    list(life.watch(600, even(5000)))
    assert life.current == 3
    life.current = 6
    decisions = list(life.watch(300, even(5000)))
    assert {d.replicas for d in decisions} == {6}
    list(life.watch(200, even(5000)))
    assert life.current == 3


def test_a_restarted_operator_takes_nothing_away_and_adds_nothing_that_was_not_seen() -> None:
    busy = pods(2000, 2000, 2000, connects=10**7)
    first = decide(busy, 3, GATEWAYS, GatewayHistory(), 0)
    assert first.replicas == 3
    again = decide(tuple(replace(s, taken=5.0) for s in busy), 3, GATEWAYS, first.history, 5)
    assert again.replicas == 3


def test_staying_says_why() -> None:
    assert GatewayLife(3).look(pods(2500, 2500, 2500)).reason == "AsNeeded"
    near = GatewayLife(4).look(pods(2200, 2200, 2200, 2200))
    assert (near.replicas, near.reason, near.wanted) == (4, "WithinTolerance", 3)
    assert near.message.endswith("3 needed, but one fewer would leave too little to spare")


def test_the_emptiest_costs_least_and_a_silent_one_most() -> None:
    assert deletion_costs(pods(700, 3, None), 0) == {"gateway-0": 700, "gateway-1": 3, "gateway-2": WORTH_MOST}
