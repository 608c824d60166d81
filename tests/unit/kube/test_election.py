"""Who leads, decided from what the Lease says and since when."""

from hypothesis import given
from hypothesis import strategies as st

from matrixhub.kube.election import (
    DEADLINE,
    DURATION,
    FORMER,
    LOOK,
    RETRY,
    Record,
    Sight,
    Step,
    decide,
    former,
    held,
    in_time,
    seen,
)


def record(holder: str = "other", renewed: str = "2026-01-01T00:00:00Z", duration: float = DURATION) -> Record:
    return Record(holder, duration, acquired="", renewed=renewed, transitions=1, version="1")


def test_a_lease_that_is_not_there_is_made_also_when_it_was_deleted_under_a_leader():
    for leads in (False, True):
        assert decide("me", Sight(None, 0.0), 0.0, leads=leads) is Step.HOLD


def test_a_restarted_pod_goes_on_at_once():
    assert decide("me", Sight(record("me"), 0.0), 0.0, leads=False) is Step.HOLD


def test_a_standby_waits_for_as_long_as_the_holder_promised():
    sight = Sight(record(duration=15.0), since=100.0)
    assert decide("me", sight, 114.9, leads=False) is Step.WAIT
    assert decide("me", sight, 115.0, leads=False) is Step.HOLD


def test_a_released_lease_is_taken_at_once():
    assert decide("me", Sight(record(holder=""), since=100.0), 100.0, leads=False) is Step.HOLD


def test_a_leader_that_finds_another_holder_or_none_steps_down():
    for holder in ("other", ""):
        assert decide("me", Sight(record(holder), 0.0), 99.0, leads=True) is Step.STEP_DOWN


def test_only_a_change_of_what_the_lease_says_counts():
    first = seen(None, record(renewed="a"), 1.0)
    annotated = Record("other", DURATION, acquired="", renewed="a", transitions=1, version="2")
    again = seen(first, annotated, 5.0)
    assert again.since == 1.0
    assert again.record.version == "2", "a write is guarded by the version that is there now"
    assert seen(again, record(renewed="b"), 6.0).since == 6.0


@given(stamp=st.text(), now=st.floats(0, 1e9), waited=st.floats(0, DURATION, exclude_max=True))
def test_no_holder_is_judged_by_the_clock_of_its_machine(stamp: str, now: float, waited: float):
    sight = seen(None, record(renewed=stamp), now)
    if now + waited - now < DURATION:
        assert decide("me", sight, now + waited, leads=False) is Step.WAIT


@given(silent=st.floats(0, 60), skew=st.floats(0, LOOK))
def test_a_leader_that_may_still_write_has_no_successor(silent: float, skew: float):
    """The leader counts from before its renewal was sent, a standby from after it saw it."""
    taken_over = decide("b", Sight(record("a"), since=skew), silent, leads=False) is Step.HOLD
    assert not (taken_over and in_time(0.0, silent))


def test_a_renewal_may_fail_and_be_tried_again_before_the_deadline():
    assert RETRY + 2 * LOOK < DEADLINE < DURATION


def test_a_renewal_changes_the_time_alone_and_a_takeover_is_counted():
    first = held(None, "a", "1")
    assert first == Record("a", DURATION, acquired="1", renewed="1", transitions=0)
    assert held(first, "a", "2") == Record("a", DURATION, acquired="1", renewed="2", transitions=0)
    assert held(first, "b", "3") == Record("b", DURATION, acquired="3", renewed="3", transitions=1, former=("a",))


def test_whoever_held_the_lease_before_is_named_and_nobody_twice_or_while_holding_it():
    second = Record("b", DURATION, acquired="", renewed="", transitions=1, former=("a",))
    assert former(second, "c") == ("a", "b")
    assert former(second, "b") == ("a",)
    assert former(second, "a") == ("b",)
    assert former(second, "") == ("a", "b")


def test_only_the_latest_former_holders_are_named():
    names = tuple(f"pod-{number}" for number in range(20))
    assert former(Record("last", DURATION, "", "", 0, names), "next") == (*names[-FORMER + 1 :], "last")
