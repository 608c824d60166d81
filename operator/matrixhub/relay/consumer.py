"""A member of the relay's consumer group: records in, offsets out."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matrixhub.errors import Unreachable
from matrixhub.relay.assignor import Assignor
from matrixhub.relay.batches import Batches, Reading, Unreadable
from matrixhub.relay.driver import (
    AsyncConsumerRebalanceListener,
    KafkaConsumer,
    KafkaError,
    OffsetAndMetadata,
    TopicAuthorizationFailedError,
    TopicPartition,
    connection,
    forget,
    look_again,
    opened,
    position,
    read_through,
    tune,
)
from matrixhub.relay.events import Record
from matrixhub.relay.flow import Orders
from matrixhub.relay.lane import Partition
from matrixhub.relay.pace import FIRST, Pace
from matrixhub.relay.settings import Kafka, Logins

LOG = logging.getLogger(__name__)

TURN_MILLISECONDS, RESTING_MILLISECONDS = 100, 500
"""How long one turn waits for records: what was decided meanwhile is done after it. At rest nothing is, and each
wait goes through every partition, here and in the broker: with 800 of them and 100 ms it took 39 % of a core, with
500 ms 14 % (measured)."""
COMMIT_MILLISECONDS = 2000
LEAVE_MILLISECONDS = 3000
JOIN_SECONDS = 12.0
"""How long a member waits for its group: the end of a dead one's session, and two more. Then it begins anew, because
kafka-python 3.0.12 was seen to wait for ever; `forget` mends the one reason that was found."""


CONSUMER = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 500,
    "max_poll_interval_ms": 60_000,
    "metadata_max_age_ms": int(1000 * FIRST),
    "fetch_max_wait_ms": TURN_MILLISECONDS,
    "fetch_max_bytes": 1024**2,
    "max_partition_fetch_bytes": 256 * 1024,
    "max_poll_records": 10_000_000,
    "allow_auto_create_topics": False,
    "exclude_internal_topics": True,
    "metrics_enabled": False,
}
"""A killed relay's partitions are another's after `session_timeout_ms`; a new topic is found within
`metadata_max_age_ms`; a rebalance takes as long as the slowest member needs to hear of it, `heartbeat_interval_ms`.
A poll takes all that was fetched, however many records, and bytes are the bound (a larger record still comes, alone):
of a batch of which a poll took a part, kafka-python 3.0.12 never gives out the rest once its partition was paused and
resumed (`Fetcher.fetched_records` looks for parked batches only before the first)."""


@dataclass(frozen=True)
class Turn:
    """What one turn brought: records by partition, in order, and whether the offsets were committed.

    `reached`: by partition of which something was read, the offset before which all of its records were brought.
    """

    records: Mapping[Partition, Sequence[Record]] = field(default_factory=dict)
    reached: Mapping[Partition, int] = field(default_factory=dict)
    committed: bool = False


class Membership:
    """Who is told of partitions that come and go, in a thread of the driver's; `revoked` answers where to go on."""

    def __init__(
        self,
        assigned: Callable[[frozenset[Partition]], None],
        revoked: Callable[[frozenset[Partition]], Mapping[Partition, int]],
    ) -> None:
        self.assigned = assigned
        self.revoked = revoked


class Consumer(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # the driver has no annotations
    """A member of the relay's group. It connects at its first turn, and anew after an error that it cannot mend.

    `turn` and `close` are called from one thread.
    """

    def __init__(self, place: Kafka, logins: Logins, topics: str, membership: Membership) -> None:
        own = {"group_id": place.group, "partition_assignment_strategy": [Assignor(topics)]}
        self._settings = {**connection(place, logins), **CONSUMER, **own}
        self._topics = topics
        self._membership = membership
        self._client: Any = None
        self._out_since: float | None = None
        self._pace = Pace()
        self._reading = Reading()
        self._begun: dict[Partition, int] = {}
        """Where this turn's reading of each partition began."""
        self.settled = False
        """Whether its group has taken this member in: a rebalance is everyday work, and ends within `JOIN_SECONDS`."""

    def turn(self, orders: Orders, offsets: Mapping[Partition, int], *, resting: bool = False) -> Turn:
        """Orders are carried out and offsets committed; then what has come, or comes soon, is brought.

        `resting`: there is nothing else to do until something comes. Raises Unreachable when Kafka does not answer, or
        no more to this member: the next turn begins anew.
        """
        try:
            if self._client is None:
                self._client = opened(KafkaConsumer, self._settings)
                read_through(self._client, self._found)
                self._client.subscribe(pattern=self._topics, listener=self)
                self._out_since = time.monotonic()
            self._obey(orders)
            committed = self._commit(offsets)
            wait = RESTING_MILLISECONDS if resting else TURN_MILLISECONDS
            tune(self._client, wait, int(1000 * self._pace.every(time.monotonic())))
            self._reading.begin()
            self._begun.clear()
            fetched = self._polled(wait)
        except (KafkaError, OSError) as error:
            self.close()
            raise Unreachable(f"kafka does not answer: {type(error).__name__}: {error}") from error
        self._begin_anew_when_forgotten()
        records = {_pair(at): [_record(found) for found in batch] for at, batch in fetched.items()}
        return Turn(records, self._reached(), committed)

    def _polled(self, wait: int) -> Mapping[Any, Sequence[Any]]:
        """What has come. Of a topic that is refused nothing does any more, until the group deals out its partitions.

        A Tenant that is deleted loses the relay's rights first; a look at the topics then leads to that rebalance.
        """
        try:
            return dict(self._client.poll(timeout_ms=wait))
        except TopicAuthorizationFailedError as error:  # raised only when the poll has nothing to hand out
            refused = error.args[0] if error.args else ()
            LOG.info("Is refused %s", ", ".join(sorted(refused)) or "a topic")
            self._out_since = self._out_since or time.monotonic()
            self._client.pause(*(at for at in self._client.assignment() if at.topic in refused))
            look_again(self._client)
            return {}

    def _found(self, partition: Partition, offset: int, found: Any) -> Batches:
        self._begun.setdefault(partition, offset)
        return self._reading.batches(partition, found)

    def _reached(self) -> dict[Partition, int]:
        """Also of partitions that brought no record: a transaction's marker, and what it took back, takes offsets."""
        ends = {partition: position(self._client, partition) for partition in self._begun}
        return {at: end for at, end in ends.items() if end is not None and end != self._begun[at]}

    def _begin_anew_when_forgotten(self) -> None:
        """The member has not waited long for its group to deal out the partitions. Raises Unreachable when it has."""
        if self._out_since is not None and time.monotonic() - self._out_since > JOIN_SECONDS:
            self.close()
            raise Unreachable(f"kafka's group has dealt this relay no partitions for {JOIN_SECONDS:.0f} s")

    def _obey(self, orders: Orders) -> None:
        if orders == Orders():
            return
        mine = {_pair(at): at for at in self._client.assignment() or ()}
        if pause := [mine[partition] for partition in orders.pause if partition in mine]:
            self._client.pause(*pause)
        for partition, offset in orders.rewind.items():
            if partition in mine:
                self._client.seek(mine[partition], offset)
        if resume := [mine[partition] for partition in orders.resume if partition in mine]:
            self._client.resume(*resume)

    def _commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Whether Kafka has them; if not they are committed at another turn, or their records come again."""
        if not offsets:
            return False
        try:
            self._client.commit(_committable(offsets), timeout_ms=COMMIT_MILLISECONDS)
        except KafkaError as error:
            LOG.info("Offsets were not committed: %s", type(error).__name__)
            return False
        return True

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """What can still be settled is, and is committed before the group goes on."""
        self._out_since = self._out_since or time.monotonic()
        offsets = self._membership.revoked(frozenset(_pair(at) for at in revoked))
        if self._client is None:
            return
        if offsets:
            try:
                await self._client.commit_async(_committable(offsets))
            except KafkaError as error:
                LOG.info("Offsets were not committed before a rebalance: %s", type(error).__name__)
        forget(self._client)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """The partitions are this member's, from their committed offsets on."""
        self._pace.dealt(len(self._client.subscription() or ()), time.monotonic())
        self._out_since, self.settled = None, True
        self._membership.assigned(frozenset(_pair(at) for at in assigned))

    async def on_partitions_lost(self, lost: Iterable[Any]) -> None:
        """The partitions are somebody else's by now: nothing may be committed."""
        self._out_since = self._out_since or time.monotonic()
        self._membership.revoked(frozenset(_pair(at) for at in lost))

    def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Whether Kafka has the offsets."""
        return self._client is not None and self._commit(offsets)

    def close(self) -> None:
        """This member has left the group, if Kafka still answers."""
        client, self._client, self.settled = self._client, None, False
        if client is not None:
            try:
                client.close(autocommit=False, timeout_ms=LEAVE_MILLISECONDS)
            except (KafkaError, OSError, RuntimeError) as error:
                LOG.info("Left Kafka without a word: %s", error)


def _pair(at: Any) -> Partition:
    return at.topic, at.partition


def _record(found: Any) -> Record:
    unread = isinstance(found.value, Unreadable)
    value, why = (None, found.value.decode(errors="replace")) if unread else (found.value, "")
    return Record(found.topic, found.partition, found.offset, found.key, value, found.timestamp / 1000, why)


def _committable(offsets: Mapping[Partition, int]) -> dict[Any, Any]:
    return {TopicPartition(*partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
