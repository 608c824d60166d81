"""Who is dealt which partitions while members of one group want different topics."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from matrixhub.relay.assignor import Assignor

# After the import above, which knows how to import the driver without its warnings.
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor  # isort: skip

NEWS, EXAMS = [f"{tenant}.news.posted" for tenant in "abc"], [f"{tenant}.exams.marked" for tenant in "abc"]
BOTH = r"(?:[^.]+\.news\.[^.]+$)|(?:[^.]+\.exams\.[^.]+$)"
NARROW = r"(?:[^.]+\.news\.[^.]+$)"


class Known:
    """What the group's leader knows: three partitions of each topic."""

    @staticmethod
    def partitions_for_topic(_: str) -> set[int]:
        return {0, 1, 2}


def member(name: str, topics: Sequence[str], assignor: Any) -> Any:
    """A member as the group's leader sees it: what it was told has been through the wire."""
    told = assignor.metadata(topics)
    return SimpleNamespace(member_id=name, group_instance_id=None, metadata=type(told).decode(told.encode()))


def dealt(leader: Any, *members: Any) -> dict[str, dict[str, list[int]]]:
    """By member and topic, the partitions."""
    return {
        name: {topic: list(numbers) for topic, numbers in assignment.assigned_partitions}
        for name, assignment in leader.assign(Known, members).items()
    }


def covered(shares: dict[str, dict[str, list[int]]]) -> list[tuple[str, int]]:
    return sorted(
        (topic, number) for share in shares.values() for topic, numbers in share.items() for number in numbers
    )


def all_of(topics: Sequence[str]) -> list[tuple[str, int]]:
    return sorted((topic, number) for topic in topics for number in range(3))


@pytest.mark.parametrize("leader", [BOTH, NARROW])
def test_nobody_is_dealt_a_topic_outside_of_its_pattern_and_every_topic_is_dealt(leader: str) -> None:
    wide, narrow = Assignor(BOTH), Assignor(NARROW)
    shares = dealt(Assignor(leader), member("wide", NEWS + EXAMS, wide), member("narrow", NEWS, narrow))
    assert set(shares["narrow"]) <= set(NEWS)
    assert shares["narrow"]
    assert covered(shares) == all_of(NEWS + EXAMS)


def test_who_has_not_heard_of_a_topic_yet_is_dealt_its_share_as_well() -> None:
    one = Assignor(BOTH)
    shares = dealt(one, member("first", NEWS, one), member("second", NEWS[:1], one))
    assert [sum(map(len, share.values())) for share in shares.values()] in ([5, 4], [4, 5])
    assert covered(shares) == all_of(NEWS)


def test_who_tells_no_pattern_is_dealt_what_it_names() -> None:
    """A relay of before patterns were told."""
    one = Assignor(BOTH)
    shares = dealt(one, member("new", NEWS, one), member("old", NEWS[:1], RoundRobinPartitionAssignor()))
    assert set(shares["old"]) == {NEWS[0]}
    assert covered(shares) == all_of(NEWS)


def test_a_topic_that_fits_nobodys_pattern_is_dealt_to_nobody() -> None:
    one = Assignor(NARROW)
    assert covered(dealt(one, member("one", NEWS + EXAMS, one))) == all_of(NEWS)
