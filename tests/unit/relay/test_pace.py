"""Looks for new topics: near while it is quiet, further apart while topics come and come."""

import pytest

from matrixhub.relay.pace import CROWDED, FIRST, PER_TOPIC, Pace


def test_a_single_new_topic_is_followed_by_a_look_as_soon_as_before() -> None:
    pace = Pace()
    pace.dealt(10, 0.0)
    pace.dealt(11, 100.0)
    assert pace.every(100.0) == FIRST


def test_while_every_look_finds_topics_they_are_further_and_further_apart_up_to_a_limit() -> None:
    pace, now, gaps = Pace(), 0.0, []
    for topics in range(10, 60, 10):
        pace.dealt(topics, now)
        gaps.append(pace.every(now))
        now += gaps[-1]
    assert gaps == [FIRST, 2 * FIRST, 4 * FIRST, CROWDED, CROWDED]


def test_a_look_that_finds_nothing_brings_them_near_again() -> None:
    pace = Pace()
    for now in (0.0, 3.0, 9.0):
        pace.dealt(10, now)
    assert pace.every(9.0) == CROWDED
    assert pace.every(9.0 + 2 * CROWDED - 0.1) == CROWDED
    assert pace.every(9.0 + 2 * CROWDED) == FIRST


@pytest.mark.parametrize("topics", [50_000, 200_000])
def test_with_a_great_many_topics_looks_stay_a_small_part_of_the_time(topics: int) -> None:
    pace = Pace()
    for now in (0.0, 1.0, 2.0):
        pace.dealt(topics, now)
        assert pace.every(now) >= PER_TOPIC * topics
