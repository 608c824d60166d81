from dataclasses import replace

import pytest

from matrixhub.scaling.lag import read, unread
from matrixhub.scaling.samples import GroupSample, PartitionSample


def group(*partitions: PartitionSample, now: float = 0.0, members: int = 2, state: str = "Stable") -> GroupSample:
    return GroupSample(now, state, members, partitions)


def part(number: int, end: int, committed: int | None, **more: object) -> PartitionSample:
    return replace(PartitionSample("t", number, end, committed), **more)


@pytest.mark.parametrize(
    ("partition", "expected"),
    [
        (part(0, 100, 40), 60),
        (part(0, 100, None), 0),
        (part(0, 100, 40, start=70), 30),
        (part(0, 100, 100), 0),
    ],
)
def test_what_waits_is_what_is_still_held_and_was_not_committed(partition: PartitionSample, expected: int) -> None:
    assert unread(partition) == expected


def test_two_looks_say_what_arrived_and_what_was_consumed() -> None:
    reading = read(group(part(0, 150, 90), part(1, 50, 50), now=10), group(part(0, 100, 40), part(1, 20, 10)))
    assert (reading.seconds, reading.produced, reading.consumed, reading.unread) == (10, 80, 90, 60)


def test_one_look_says_no_rate() -> None:
    reading = read(group(part(0, 150, 90)), None)
    assert (reading.first, reading.seconds, reading.produced, reading.unread) == (True, 0, 0, 60)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (part(0, 100, 50), part(0, 100, 120)),
        (part(0, 100, 50), part(0, 100, 20)),
        (part(0, 100, 50), part(0, 10, 5)),
    ],
    ids=["beyond the end", "backwards", "topic made anew"],
)
def test_offsets_that_make_no_sense_are_counted_and_left_out(before: PartitionSample, now: PartitionSample) -> None:
    reading = read(group(now, part(1, 30, 20), now=5), group(before, part(1, 20, 10)))
    assert (reading.reset, reading.unread, reading.produced, reading.consumed) == (1, 10, 10, 10)


def test_partitions_come_and_go_without_a_rate() -> None:
    reading = read(group(part(1, 500, 0), now=5), group(part(0, 20, 10)))
    assert (reading.new, reading.gone, reading.produced, reading.unread) == (1, 1, 0, 500)


def test_only_records_without_a_commit_are_odd() -> None:
    assert read(group(part(0, 0, None), part(1, 9, None, start=9)), None).uncommitted == 0
    assert read(group(part(0, 9, None)), None).uncommitted == 1


def test_workers_are_the_members_that_never_ran_out_and_only_what_they_consumed_is_their_work() -> None:
    before = group(*(part(p, 10_000, 0, member=f"m{p % 3}") for p in range(6)), members=3)
    now = group(*(part(p, 10_000, 500 if p % 3 else 10_000, member=f"m{p % 3}") for p in range(6)), now=5, members=3)
    reading = read(now, before)
    assert (reading.workers, reading.worked, reading.consumed) == (2, 2000, 22_000)


def test_workers_are_no_more_than_members_when_nobody_says_who_reads_what() -> None:
    before = group(*(part(p, 1000, 0) for p in range(6)))
    assert read(group(*(part(p, 1000, 50) for p in range(6)), now=5), before).workers == 2


@pytest.mark.parametrize("change", [{"state": "PreparingRebalance"}, {"members": 3}])
def test_nobody_worked_all_the_time_when_the_group_changed(change: dict[str, object]) -> None:
    before = group(part(0, 1000, 0))
    assert read(replace(group(part(0, 1000, 50), now=5), **change), before).workers == 0


def test_what_waits_for_the_next_commit_is_not_being_behind() -> None:
    keeping_up = read(group(part(0, 2000, 1500), now=5), group(part(0, 1500, 1000)))
    assert keeping_up.workers == 0 or not keeping_up.behind(10)
    behind = read(group(part(0, 9000, 1500), now=5), group(part(0, 8500, 1000)))
    assert behind.behind(10)
