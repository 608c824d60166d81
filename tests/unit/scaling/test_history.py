import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrixhub.scaling.history import ROUNDS, UNSEEN, Tally, Window, smoothed
from matrixhub.scaling.loop import LONGEST, interval

looks = st.lists(st.tuples(st.floats(1, 20), st.integers(1, 30)), min_size=1, max_size=60)


@given(looks)
def test_a_window_knows_the_highest_of_its_length_and_is_no_longer_than_the_numbers_are_many(
    steps: list[tuple[float, int]],
) -> None:
    window, now, seen = Window(), 0.0, []
    for seconds, replicas in steps:
        now += seconds
        seen.append((now, replicas))
        window = window.after(replicas, now, 100)
        assert window.highest is not None
        assert window.highest.replicas == max(n for at, n in seen if at > now - 100)
        assert len(window.peaks) <= len({n for _, n in seen})


def test_a_watch_begins_anew_after_a_time_without_a_look() -> None:
    window = Window().after(3, 0, 300).after(3, UNSEEN, 300)
    assert window.watched(UNSEEN) == UNSEEN
    late = 2 * UNSEEN + 1
    assert window.after(3, late, 300).watched(late) == 0


@given(st.floats(0, 100), st.floats(0, 3600), st.lists(st.floats(0, 1), min_size=1))
def test_a_watch_is_unbroken_however_seldom_the_loop_looks(took: float, length: float, late: list[float]) -> None:
    """One workload is looked at after the other, some earlier than last time and some later."""
    every, window, now = interval(took), Window(), 0.0
    for rounds, share in enumerate(itertools.cycle(late)):
        now = rounds * every + share * (took + 1)
        window = window.after(1, now, length, every)
        if rounds * every > length + took + 1:
            break
    assert window.watched(now) >= length
    silent = now + ROUNDS * LONGEST + 1
    assert window.after(1, silent, length, every).watched(silent) == 0


def test_nothing_is_watched_before_the_first_look() -> None:
    assert Window().watched(1000) == 0
    assert Window().highest is None


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=60), st.floats(1, 60))
def test_at_the_busiest_rate_all_that_arrived_is_read_with_the_slack(arrived: list[int], slack: float) -> None:
    """Reading begins with each stretch, so what is left at the end is read within the slack."""
    tally = Tally()
    rates = []
    for look, records in enumerate(arrived):
        tally = tally.after(records if look else 0, 5.0 * look, 300)
        rates.append(tally.busiest(slack))
    waiting = worst = 0.0
    for records in arrived[1:]:
        waiting = max(0.0, waiting + records - 5 * max(rates))
        worst = max(worst, waiting)
    assert worst <= max(rates) * slack + 1e-6


def test_a_steady_stream_is_busy_as_it_is_and_forgotten_after_the_window() -> None:
    tally = Tally()
    for look in range(61):
        tally = tally.after(500 if look else 0, 5.0 * look, 300)
    assert tally.busiest(0.001) == pytest.approx(100, rel=0.01)
    assert tally.after(0, 601, 300).busiest(0.001) == 0


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0.1, 1000))
def test_an_average_moves_towards_what_is_seen_and_never_beyond(mean: float, rate: float, seconds: float) -> None:
    after = smoothed(mean, rate, seconds, 20)
    assert min(mean, rate) - 1e-6 <= after <= max(mean, rate) + 1e-6


def test_a_rate_is_believed_after_three_times_its_averaging_time() -> None:
    assert 0.94 < smoothed(0, 1, 60, 20) < 0.96
