"""How clients of kafka-python are made. The only file that imports it."""

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from matrixhub.relay.settings import Kafka, Logins

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # importlib.resources.read_text, in kafka-python 3.0
    from kafka import KafkaConsumer, KafkaProducer  # type: ignore[import-untyped]  # the driver has no annotations
    from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener  # type: ignore[import-untyped]  # likewise
    from kafka.coordinator.assignors.abstract import AbstractPartitionAssignor  # type: ignore[import-untyped]  # likewise
    from kafka.errors import (  # type: ignore[import-untyped]  # likewise
        CorruptRecordError,
        KafkaError,
        MessageSizeTooLargeError,
        RecordListTooLargeError,
        TopicAuthorizationFailedError,
    )
    from kafka.net.compat import KafkaNetClient  # type: ignore[import-untyped]  # likewise
    from kafka.protocol.consumer.metadata import (  # type: ignore[import-untyped]  # likewise
        ConsumerProtocolAssignment,
        ConsumerProtocolSubscription,
    )
    from kafka.record.default_records import (  # type: ignore[import-untyped]  # likewise
        DefaultRecord,
        DefaultRecordBatch,
    )
    from kafka.record.util import decode_varint  # type: ignore[import-untyped]  # likewise
    from kafka.structs import OffsetAndMetadata, TopicPartition  # type: ignore[import-untyped]  # likewise

START_MILLISECONDS = 5000


def connection(place: Kafka, logins: Logins) -> dict[str, Any]:
    """What every client is told."""
    tls = place.tls.trust("spec.kafka.tls").context() if place.security_protocol == "SASL_SSL" else None
    return {
        "bootstrap_servers": list(place.bootstrap_servers),
        "client_id": "matrixhub-relay",
        "security_protocol": place.security_protocol,
        "ssl_context": tls,
        "sasl_mechanism": place.sasl_mechanism,
        "sasl_plain_username": logins.kafka_username,
        "sasl_plain_password": logins.kafka_password,
        "request_timeout_ms": 15_000,
        "reconnect_backoff_max_ms": 500,
    }


def opened(kind: Callable[..., Any], settings: Mapping[str, Any]) -> Any:
    """A client of this kind. One that cannot reach Kafka would leave its thread behind: it is ended here."""
    # Its debug lines hold the password, its warnings repeat what becomes our errors.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    networks: list[Any] = []

    def network(**options: Any) -> Any:
        networks.append(KafkaNetClient(**options))
        return networks[-1]

    try:
        return kind(**settings, bootstrap_timeout_ms=START_MILLISECONDS, kafka_client=network)
    except BaseException:  # whatever it is, it goes on from here; sockets must not stay open
        for made in networks:
            made.close()
        raise


def tune(consumer: Any, wait_milliseconds: int, look_milliseconds: int) -> None:
    """From its next fetch on the broker waits so long for records, and new topics are looked for so often."""
    # The driver takes both at construction alone, and reads them anew each time.
    consumer._fetcher.config["fetch_max_wait_ms"] = wait_milliseconds  # noqa: SLF001
    consumer._cluster.config["metadata_max_age_ms"] = look_milliseconds  # noqa: SLF001


def look_again(consumer: Any) -> None:
    """The consumer asks at once which topics there are, and no more at its next look."""
    # The driver does so itself over a topic that is gone, and not over one that is refused.
    consumer._cluster.request_update()  # noqa: SLF001


def read_through(consumer: Any, batches: Callable[[tuple[str, int], int, Any], Any]) -> None:
    """What the consumer finds in its fetches it reads from what `batches` makes of a partition's, from an offset on."""
    fetcher = consumer._fetcher  # noqa: SLF001
    records = fetcher.PartitionRecords

    def through(offset: int, at: Any, found: Any, **options: Any) -> Any:
        return records(offset, at, batches((at.topic, at.partition), offset, found), **options)

    # The driver looks the class up at each fetch, and asks what it is given for `next_batch` alone.
    fetcher.PartitionRecords = through


def position(consumer: Any, partition: tuple[str, int]) -> int | None:
    """Where the consumer's next fetch begins: behind all that it handed out, and what no consumer is handed."""
    # The driver's public word for it may wait for the broker.
    state = consumer._subscription.assignment.get(TopicPartition(*partition))  # noqa: SLF001
    return state.position.offset if state is not None and state.position is not None else None


def forget(consumer: Any) -> None:
    """The consumer has no partition, and joins until it is dealt some: those are read from their committed offsets on.

    kafka-python 3.0.12 keeps what it knows of a partition over any number of failed joins. Its position is beyond what
    was settled here, and before what another member settled in a generation that this one was not part of. And one that
    joins because its topics have changed takes the join for done once it is sent: if the poll ends before the group
    answers, nobody waits for the answer any more, and the group waits for this member until its session is over.
    """
    # The driver does the same to a member that leaves or is forgotten, and has no public word for it.
    consumer._subscription.assign_from_subscribed([])  # noqa: SLF001
    consumer._coordinator.request_rejoin()  # noqa: SLF001


__all__ = [
    "AbstractPartitionAssignor",
    "AsyncConsumerRebalanceListener",
    "ConsumerProtocolAssignment",
    "ConsumerProtocolSubscription",
    "CorruptRecordError",
    "DefaultRecord",
    "DefaultRecordBatch",
    "KafkaConsumer",
    "KafkaError",
    "KafkaProducer",
    "MessageSizeTooLargeError",
    "OffsetAndMetadata",
    "RecordListTooLargeError",
    "TopicAuthorizationFailedError",
    "TopicPartition",
    "connection",
    "decode_varint",
    "forget",
    "look_again",
    "opened",
    "position",
    "read_through",
    "tune",
]
