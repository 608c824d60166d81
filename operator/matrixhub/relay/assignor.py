"""Who of the relay's group is dealt which partitions. Pure."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matrixhub.relay.driver import (
    AbstractPartitionAssignor,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)


class Assignor(AbstractPartitionAssignor):  # type: ignore[misc]  # the driver has no annotations
    """Deals partitions out one by one, as if every member knew of every topic that its pattern fits.

    Members know of a new topic at different moments, and their patterns differ while relays with other routes take
    over. The driver's own assignor of this name fails where topics differ (kafka-python 3.0.12: KeyError), and a member
    that is dealt a topic outside of its pattern refuses all that it was dealt and joins again, without end.
    """

    name = "roundrobin"
    """What members have to agree on: with relays of before patterns were told, too."""
    version = 0

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def metadata(self, topics: Iterable[str]) -> Any:
        """What the group's leader is told of this member: the topics that it knows of, and its pattern."""
        return ConsumerProtocolSubscription(self.version, list(topics), self._pattern.encode())

    def assign(self, cluster: Any, members: Sequence[Any]) -> dict[str, Any]:
        """By member, its partitions. One that told no pattern gets of what it knows."""
        known = {topic for member in members for topic in member.metadata.topics}
        patterns = {told for member in members if (told := member.metadata.user_data)}
        fitting = {told: set(filter(re.compile(told.decode()).match, known)) for told in patterns}
        wanted = {m.member_id: fitting.get(m.metadata.user_data, set(m.metadata.topics)) for m in members}
        asked_for = set().union(*wanted.values())
        shares = _dealt({topic: cluster.partitions_for_topic(topic) or () for topic in asked_for}, wanted)
        return {m: ConsumerProtocolAssignment(self.version, sorted(shares[m].items()), b"") for m in wanted}

    def on_assignment(self, assignment: Any, generation: int) -> None:
        """Nothing is remembered."""


def _dealt(
    partitions: Mapping[str, Iterable[int]], wanted: Mapping[str, set[str]]
) -> Mapping[str, Mapping[str, list[int]]]:
    """By member and topic, the numbers of its partitions: each goes to the next member that wants its topic."""
    shares: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    turns = itertools.cycle(sorted(wanted))
    for topic in sorted(partitions):
        for number in sorted(partitions[topic]):
            member = next(each for each in turns if topic in wanted[each])
            shares[member][topic].append(number)
    return shares
