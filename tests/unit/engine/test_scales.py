"""What is told of scaling, when it is told anew, and of whom."""

from datetime import UTC, datetime, timedelta
from typing import Any

from matrixhub.api import naming
from matrixhub.engine.audit import Change
from matrixhub.engine.scales import Counts, Scales, condition, counted, rescales, scales
from matrixhub.scaling.decision import Decision, Trouble
from matrixhub.scaling.report import Load, Report, Scaled, Seen, joined
from matrixhub.scaling.samples import GatewaySample, Missing

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PODS = (
    GatewaySample("gateway-a", ready=True, taken=0.0, connections=30),
    GatewaySample("gateway-b", ready=False, taken=0.0, connections=None),
)


def decision(replicas: int, message: str = "as it is", trouble: Trouble | None = None) -> Decision[None]:
    """A decision that remembers nothing."""
    return Decision(replicas, "AsNeeded", message, replicas, "", trouble, None)


def report(replicas: int = 2, *, current: int = 2, message: str = "as it is", error: str = "", **more: Any) -> Report:
    """One look at two gateways, of which one answers."""
    scaled = Scaled("gateway", PODS, current, decision(replicas, message, more.get("trouble")), error)
    return Report((scaled,), Seen(PODS, {naming.app_id("green"): 30}, whole=more.get("whole", True)))


def test_the_gateways_are_told_with_what_each_holds() -> None:
    told = scales(Scales(), report(), {}, NOW)
    assert told.gateway == {
        "replicas": 2,
        "ready": 1,
        "connections": 30,
        "pods": [
            {"name": "gateway-a", "ready": True, "connections": 30},
            {"name": "gateway-b", "ready": False, "connections": -1},
        ],
    }


def test_a_sentence_whose_numbers_alone_changed_waits_a_minute() -> None:
    first = scales(Scales(), report(message="1 of 9"), {}, NOW)
    assert scales(first, report(message="2 of 9"), {}, NOW + timedelta(seconds=59)) is first
    assert scales(first, report(message="2 of 9"), {}, NOW + timedelta(seconds=61)).entries[0]["message"] == "2 of 9"
    changed = scales(first, report(3), {}, NOW + timedelta(seconds=1))
    assert changed.entries[0]["desiredReplicas"] == 3


def test_a_step_is_an_event_and_keeps_its_time_also_over_a_restart() -> None:
    step = report(3, message="5,000 connections")
    assert rescales(step) == [("gateway: 2 to 3: 5,000 connections", Change("gateway.replicas", 2, 3))]
    told = scales(Scales(), step, {}, NOW)
    assert told.entries[0]["lastScaleTime"] == "2026-01-31T12:00:00Z"
    restarted = scales(Scales(), report(3, current=3), {"scaling": list(told.entries)}, NOW + timedelta(hours=1))
    assert restarted.entries[0]["lastScaleTime"] == "2026-01-31T12:00:00Z"
    assert rescales(report(3, current=3)) == []


def test_a_step_that_the_api_refused_is_none_and_says_why() -> None:
    refused = report(3, error="not allowed")
    assert rescales(refused) == []
    told = scales(Scales(), refused, {}, NOW)
    assert "lastScaleTime" not in told.entries[0]
    assert "not allowed" in told.entries[0]["message"]
    assert condition(told, 7)[0].status == "False"


def test_scaling_is_active_unless_something_is_wrong_that_does_not_pass() -> None:
    assert condition(scales(Scales(), Report(), {}, NOW), 7) == []
    assert condition(scales(Scales(), report(), {}, NOW), 7)[0].status == "True"
    passing = Trouble("RebalanceInProgress", "wait", blind=True, passing=True)
    assert condition(scales(Scales(), report(trouble=passing), {}, NOW), 7)[0].status == "True"
    silent = Trouble("GatewaySilent", "gateway-b says nothing")
    (told,) = condition(scales(Scales(), report(trouble=silent), {}, NOW), 7)
    assert (told.type, told.status, told.reason) == ("ScalingActive", "False", "GatewaySilent")
    assert told.message == "gateway: gateway-b says nothing"


def test_tenants_are_told_their_connections_seldom_and_only_when_they_changed() -> None:
    counts = Counts(told=-100.0)
    assert counted(counts, {"blue": 0, "green": 0}, report(), 0.0) == ["green"]
    assert counts.connections == {"blue": 0, "green": 30}
    assert counted(counts, {"blue": 0, "green": 0}, report(), 5.0) == []
    assert counted(counts, {"blue": 0, "green": 30}, report(), 11.0) == []
    assert counted(counts, {"blue": 7, "green": 30}, report(), 22.0) == ["blue"]
    crowd = {f"t{number}": 1 for number in range(10_000)}
    assert counted(counts, crowd, report(), 100.0) == []
    assert len(counted(counts, crowd, report(), 300.0)) == 10_000


def test_a_silent_gateway_leaves_the_tenants_connections_as_they_were_told() -> None:
    counts = Counts({"green": 7}, told=-100.0)
    assert counted(counts, {"green": 7}, report(whole=False), 0.0) == []
    assert counted(counts, {"green": 7}, Report((), Seen(Missing("away"))), 0.0) == []
    assert counts.connections == {"green": 7}


def test_what_was_seen_apart_is_told_together_once_each_load_was_looked_at() -> None:
    lag = Report((Scaled("relay", Missing("away")),))
    assert joined({Load.LAG: lag}) is None
    whole = joined({Load.LAG: lag, Load.CONNECTIONS: report()})
    assert whole
    assert [each.name for each in whole.scaled] == ["gateway", "relay"]
    assert whole.seen == report().seen


def test_a_step_is_told_once() -> None:
    stepped = report(3)
    assert rescales(stepped)
    assert not rescales(stepped.carried_out)
    assert stepped.carried_out.scaled[0].replicas == 3
    failed = report(3, error="refused")
    assert failed.carried_out == failed
