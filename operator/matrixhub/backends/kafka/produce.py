"""Records to one topic, and how it is made where there is none. The session's own connection carries them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from matrixhub.backends.kafka import codes, requests
from matrixhub.backends.kafka.reads import describe_topics
from matrixhub.backends.kafka.session import MemoryRecordsBuilder, Session, murmur2, producer
from matrixhub.errors import Transient

MAGIC, PLAIN = 2, 0
ACKNOWLEDGED_BY_ALL, WAIT_MILLISECONDS = -1, 5000
NAMES = 12
"""The last version of the request that names topics; later ones know them by id."""


class Item(NamedTuple):
    """A record that is to be written; its time is in milliseconds since 1970."""

    time: int
    key: bytes
    value: bytes


def write(session: Session, new: requests.NewTopic, items: Sequence[Item]) -> None:
    """All in-sync replicas of the topic have the records, those of one key in order, perhaps more than once.

    Where there is no topic of that name it is made. Raises BackendError.
    """
    name, leaders = new.topic.name, _leaders(session, new)
    by_partition: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        by_partition[partition(item.key, len(leaders))].append(item)
    pairs = [(_request(name, index, own), leaders[index]) for index, own in by_partition.items()]
    for answer in session.send_to(pairs):
        session.require(answer.responses[0].partition_responses[0], f"writing to topic {name}")


def partition(key: bytes, partitions: int) -> int:
    """The partition in which Kafka's own clients put the key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def batch(items: Iterable[Item]) -> bytes:
    """The records as one batch."""
    builder = MemoryRecordsBuilder(MAGIC, PLAIN, batch_size=2**31 - 1)
    for item in items:
        builder.append(timestamp=item.time, key=item.key, value=item.value)
    builder.close()
    return bytes(builder.buffer())


def _request(topic: str, index: int, items: Sequence[Item]) -> Any:
    data = producer.ProduceRequest.TopicProduceData
    return producer.ProduceRequest(
        transactional_id=None,
        acks=ACKNOWLEDGED_BY_ALL,
        timeout_ms=WAIT_MILLISECONDS,
        topic_data=[data(name=topic, partition_data=[data.PartitionProduceData(index=index, records=batch(items))])],
        max_version=NAMES,
    )


def _leaders(session: Session, new: requests.NewTopic) -> dict[int, int]:
    """By partition, the broker that leads it."""
    name = new.topic.name
    [found] = describe_topics(session, [name])
    if found.error_code == codes.UNKNOWN_TOPIC_OR_PARTITION:
        [answer] = session.send([requests.CREATE_TOPICS.request([new])])
        if answer.topics[0].error_code != codes.TOPIC_ALREADY_EXISTS:
            session.require(answer.topics[0], requests.CREATE_TOPICS.doing(new))
        raise Transient("TopicsNotReady", f"topic {name} was just made", 0.5)
    session.require(found, f"describing topic {name}")
    leaders = {each.partition_index: each.leader_id for each in found.partitions}
    if min(leaders.values()) < 0:
        raise Transient("TopicsNotReady", f"topic {name} has a partition without a leader", 0.5)
    return leaders
