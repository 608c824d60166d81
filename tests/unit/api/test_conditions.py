from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.draws import maps

from matrixhub.api import conditions
from matrixhub.api.conditions import BACKEND_TYPES, Condition, merge, parse, stalled, summarize

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)

moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone
generations = st.integers(1, 3)
TOLD = {
    type_: [
        Condition(type=type_, status=status, reason=reason, message=message, observed_generation=generation)
        for status in ("True", "False", "Unknown")
        for reason in ("Succeeded", "Suspended", "Unreachable", "Progressing")
        for message in ("", "since noon", "seit Mittag: äöü")
        for generation in (1, 2, 3)
    ]
    for type_ in BACKEND_TYPES
}
sets = maps(TOLD).map(lambda told: tuple(told.values()))


def condition(
    type_: str, status: str = "True", reason: str = "Succeeded", message: str = "Ready", generation: int = 1
) -> Condition:
    return Condition.model_validate(
        {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
        }
    )


READY_ALL = tuple(condition(type_) for type_ in BACKEND_TYPES)


def but(*changed: Condition) -> tuple[Condition, ...]:
    """All backends ready, but for these."""
    return tuple(next((each for each in changed if each.type == ready.type), ready) for ready in READY_ALL)


@given(sets, sets, moments, moments)
def test_merging_the_same_again_changes_nothing(
    old: tuple[Condition, ...], new: tuple[Condition, ...], now: datetime, later: datetime
) -> None:
    merged = merge(merge((), old, now), new, now)
    assert merge(merged, new, later) == merged
    assert merge(merged, merged, later) == merged


@given(sets, st.permutations(BACKEND_TYPES), moments)
def test_the_order_depends_on_the_types_alone(new: tuple[Condition, ...], order: list[str], now: datetime) -> None:
    shuffled = sorted(new, key=lambda each: order.index(each.type))
    assert merge((), shuffled, now) == merge((), new, now)


@given(sets, sets, moments, moments)
def test_the_time_moves_only_with_the_status(
    old: tuple[Condition, ...], new: tuple[Condition, ...], now: datetime, later: datetime
) -> None:
    before = {each.type: each for each in merge((), old, now)}
    for each in merge(tuple(before.values()), new, later):
        earlier = before.get(each.type)
        if earlier and earlier.status == each.status:
            assert each.last_transition_time == earlier.last_transition_time
        else:
            assert each.last_transition_time == later.replace(microsecond=0)


@given(sets, sets, moments)
def test_merging_says_what_is_new_and_keeps_what_is_not_spoken_of(
    old: tuple[Condition, ...], new: tuple[Condition, ...], now: datetime
) -> None:
    merged = {each.type: each for each in merge(merge((), old, now), new, now)}
    assert merged.keys() == {each.type for each in (*old, *new)}
    for each in new:
        assert merged[each.type].model_copy(update={"last_transition_time": None}) == each


@given(sets, moments)
def test_what_is_written_to_a_status_is_read_back(new: tuple[Condition, ...], now: datetime) -> None:
    merged = merge((), new, now)
    assert parse({"conditions": [each.dump() for each in merged]}) == merged


def test_ready_comes_first_and_strangers_last() -> None:
    mixed = [condition(type_) for type_ in ("Zebra", "KafkaReady", "Ready", "Stalled", "PostgresReady", "Ape")]
    assert [each.type for each in merge((), mixed, NOW)] == [
        "Ready",
        "Stalled",
        "PostgresReady",
        "KafkaReady",
        "Ape",
        "Zebra",
    ]


def test_a_condition_is_written_as_the_api_conventions_say() -> None:
    (written,) = merge((), [condition("RedisReady", generation=4)], NOW)
    assert written.dump() == {
        "type": "RedisReady",
        "status": "True",
        "reason": "Succeeded",
        "message": "Ready",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
        "observedGeneration": 4,
    }


def test_a_status_that_was_never_written_has_no_conditions() -> None:
    assert parse({}) == ()
    assert parse({"conditions": None}) == ()


@given(sets, generations)
def test_ready_is_true_only_if_every_backend_is_so_for_this_generation(
    backends: tuple[Condition, ...], generation: int
) -> None:
    summary = summarize(backends, generation)
    fulfilled = all(each.status == "True" and each.observed_generation == generation for each in backends)
    assert (summary.status == "True") == (fulfilled and bool(backends))
    assert summary.type == "Ready"
    assert summary.observed_generation == generation


@given(sets, generations)
def test_a_summary_that_is_told_beside_the_backends_is_not_summed_up_again(
    backends: tuple[Condition, ...], generation: int
) -> None:
    summary = summarize(backends, generation)
    assert summarize((summary, stalled(summary), *backends), generation) == summary


def test_all_ready_is_ready() -> None:
    summary = summarize(READY_ALL, 1)
    assert (summary.status, summary.reason, summary.message) == (
        "True",
        "Succeeded",
        "All backends are ready",
    )


def test_the_first_thing_wrong_is_told_in_words() -> None:
    down = condition("RedisReady", "False", "Unreachable", "redis at redis:6379 does not answer")
    summary = summarize(but(down), 1)
    assert (summary.status, summary.reason) == ("False", "Unreachable")
    assert summary.message == "Redis: Unreachable: redis at redis:6379 does not answer"

    taken = condition("ObjectStoreReady", "False", "Conflict", "bucket hub-greenwood is somebody else's")
    assert summarize(but(down, taken), 1).message == f"{summary.message} (and 1 more)"


def test_something_wrong_is_told_before_something_under_way() -> None:
    waiting = condition("PostgresReady", "Unknown", "Pending", "Waiting")
    down = condition("KafkaReady", "False", "Unreachable", "kafka does not answer")
    assert summarize(but(waiting, down), 1).reason == "Unreachable"


@pytest.mark.parametrize(
    "waiting",
    [
        condition("KafkaReady", "Unknown", "Pending", "Waiting", generation=2),
        condition("KafkaReady", "True", generation=1),
        condition("KafkaReady", "False", "Rejected", "what the old spec asked for is impossible", generation=1),
    ],
)
def test_while_work_is_under_way_ready_is_unknown_and_says_what_is_awaited(waiting: Condition) -> None:
    rest = [condition(type_, generation=2) for type_ in BACKEND_TYPES if type_ != "KafkaReady"]
    summary = summarize((*rest, waiting), 2)
    assert (summary.status, summary.reason, summary.message) == (
        "Unknown",
        "Progressing",
        "Waiting for Kafka",
    )


def test_a_suspended_tenant_is_ready_and_says_that_it_is_suspended() -> None:
    summary = summarize([condition(type_, reason="Suspended") for type_ in BACKEND_TYPES], 1)
    assert (summary.status, summary.reason) == ("True", "Suspended")
    assert summary.message.startswith("Suspended: ")


def test_without_any_backend_work_has_not_begun() -> None:
    summary = summarize((), 1)
    assert (summary.status, summary.message) == ("Unknown", "Work has not begun")


# How kstatus (Flux, Argo CD through it) and kubectl wait read a status, in their own order:
# sigs.k8s.io/cli-utils/pkg/kstatus/status/generic.go, k8s.io/kubectl/pkg/cmd/wait/condition.go.


def kstatus(status: dict[str, object], generation: int) -> str:
    if status["observedGeneration"] != generation:
        return "InProgress"
    by_type = {each.type: each.status for each in parse(status)}
    if by_type.get("Reconciling") == "True":
        return "InProgress"
    if by_type.get("Stalled") == "True":
        return "Failed"
    return "Current" if by_type.get("Ready", "True") == "True" else "InProgress"


def status_of(backends: tuple[Condition, ...], *, waits_for_a_person: bool = False) -> dict[str, object]:
    summary = summarize(backends, 1)
    more = [stalled(summary)] if waits_for_a_person else []
    return {
        "observedGeneration": 1,
        "conditions": [each.dump() for each in merge((), [summary, *more, *backends], NOW)],
    }


def test_kstatus_waits_while_it_may_pass_and_fails_when_a_person_must_act() -> None:
    down = but(condition("RedisReady", "False", "Unreachable", "redis does not answer"))
    assert kstatus(status_of(READY_ALL), 1) == "Current"
    assert kstatus(status_of(READY_ALL), 2) == "InProgress"
    assert (
        kstatus(status_of(tuple(condition(type_, "Unknown", "Pending") for type_ in BACKEND_TYPES)), 1) == "InProgress"
    )
    assert kstatus(status_of(down), 1) == "InProgress"
    assert kstatus(status_of(down, waits_for_a_person=True), 1) == "Failed"


def test_stalled_says_what_ready_says_and_has_its_own_time() -> None:
    summary = summarize(but(condition("KafkaReady", "False", "Conflict", "topic is somebody else's")), 1)
    (ready, stall) = merge(merge((), [summary], NOW), [stalled(summary)], LATER)
    assert (stall.status, stall.reason, stall.message) == ("True", ready.reason, ready.message)
    assert (ready.last_transition_time, stall.last_transition_time) == (
        NOW.replace(microsecond=0),
        LATER.replace(microsecond=0),
    )


def test_names_of_types_are_the_designs() -> None:
    assert BACKEND_TYPES == (
        "NamespaceReady",
        "PostgresReady",
        "RedisReady",
        "KafkaReady",
        "ObjectStoreReady",
        "GatewayReady",
    )
    assert (conditions.READY, conditions.STALLED) == ("Ready", "Stalled")
