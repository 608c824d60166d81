"""What Kafka says of a consumer group: its members, and how far each partition has been read."""

import re
import time
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from matrixhub.backends.kafka import codes
from matrixhub.backends.kafka.session import Session, messages, metadata, protocol
from matrixhub.errors import BackendError
from matrixhub.scaling.samples import Group, GroupSample, Missing, PartitionSample

Partition = tuple[str, int]

_EARLIEST, _LATEST = -2, -1
_GONE = frozenset({codes.UNKNOWN_TOPIC_OR_PARTITION, codes.NOT_LEADER_OR_FOLLOWER})
"""The next look knows where the partition is, or that there is none."""


def look(session: Session, group: str, topics: re.Pattern[str], tenants: Container[str]) -> Group:
    """The group and all partitions of the tenants' topics; Missing when Kafka does not answer or refuses.

    Five requests, two of them once for each broker, however many tenants there are.
    """
    try:
        return _look(session, group, topics, tenants)
    except BackendError as error:
        return Missing(error.message)


def _look(session: Session, group: str, topics: re.Pattern[str], tenants: Container[str]) -> GroupSample:
    everything, found = session.send(
        [
            metadata.MetadataRequest(topics=None, min_version=1),
            metadata.FindCoordinatorRequest(key_type=codes.GROUP_COORDINATOR, coordinator_keys=[group], min_version=4),
        ]
    )
    coordinator = session.require(found.coordinators[0], f"finding the coordinator of group {group}").node_id
    [described, fetched] = session.send_to(
        [
            (
                messages.DescribeGroupsRequest(groups=[group], include_authorized_operations=False, max_version=5),
                coordinator,
            ),
            (_fetch(group), coordinator),
        ]
    )
    about = session.require(described.groups[0], f"describing group {group}")
    committed = _committed(session.require(fetched.groups[0], f"reading the offsets of group {group}"))
    leaders = {
        (topic.name, partition.partition_index): partition.leader_id
        for topic in everything.topics
        if topic.name and topics.fullmatch(topic.name) and topic.name.partition(".")[0] in tenants
        for partition in topic.partitions
    }
    ends = _offsets(session, leaders, _LATEST)
    behind = {partition: leaders[partition] for partition, end in ends.items() if end != committed.get(partition, 0)}
    starts = _offsets(session, behind, _EARLIEST)
    readers = _readers(about.members)
    return GroupSample(
        taken=time.monotonic(),
        state=about.group_state,
        members=len(about.members),
        partitions=tuple(
            PartitionSample(
                *partition, end, committed.get(partition), starts.get(partition, 0), readers.get(partition, "")
            )
            for partition, end in ends.items()
        ),
    )


def _fetch(group: str) -> Any:
    """Every offset that the group has committed. From version 10 on topics are named by ids alone."""
    wanted = protocol.OffsetFetchRequest.OffsetFetchRequestGroup(group_id=group, topics=None)
    return protocol.OffsetFetchRequest(groups=[wanted], require_stable=False, min_version=8, max_version=9)


def _committed(group: Any) -> dict[Partition, int]:
    """By partition, the offset that the group has committed last."""
    return {
        (topic.name, partition.partition_index): partition.committed_offset
        for topic in group.topics
        for partition in topic.partitions
        if partition.error_code == 0 and partition.committed_offset >= 0
    }


def _offsets(session: Session, leaders: Mapping[Partition, int], which: int) -> dict[Partition, int]:
    """By partition its first or next offset; one whose leader is just changing is left out."""
    by_leader: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for (topic, partition), leader in leaders.items():
        if leader >= 0:
            by_leader[leader][topic].append(partition)
    answers = session.send_to([(_list(topics, which), leader) for leader, topics in by_leader.items()])
    found = {}
    for answer in answers:
        for topic in answer.topics:
            for each in topic.partitions:
                if each.error_code not in _GONE:
                    session.require(each, f"reading the offsets of topic {topic.name}")
                    found[topic.name, each.partition_index] = each.offset
    return found


def _list(topics: Mapping[str, Sequence[int]], which: int) -> Any:
    request = protocol.ListOffsetsRequest
    named = [
        request.ListOffsetsTopic(
            name=topic,
            partitions=[
                request.ListOffsetsTopic.ListOffsetsPartition(partition_index=p, timestamp=which) for p in numbers
            ],
        )
        for topic, numbers in topics.items()
    ]
    return request(replica_id=-1, isolation_level=0, topics=named, min_version=1, max_version=9)


def _readers(members: Iterable[Any]) -> dict[Partition, str]:
    """By partition, the member that reads it; nothing of an assignment that cannot be read."""
    readers = {}
    for member in members:
        if not member.member_assignment:
            continue
        assignment = protocol.ConsumerProtocolAssignment.decode(member.member_assignment)
        for topic in assignment.assigned_partitions:
            for partition in topic.partitions:
                readers[topic.topic, partition] = member.member_id
    return readers
