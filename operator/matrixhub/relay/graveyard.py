"""Dead letters: records that can never become an event, kept by the tenant they belong to."""

import threading
from typing import Any

from matrixhub.api import naming
from matrixhub.errors import Unreachable
from matrixhub.relay.driver import (
    KafkaError,
    KafkaProducer,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    connection,
    opened,
)
from matrixhub.relay.events import tenant_of
from matrixhub.relay.lane import Bury
from matrixhub.relay.settings import Kafka, Logins

DEAD_LETTER_SECONDS = 5.0
"""How long Kafka may take for one."""

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
"""What the producer, or the broker, says of a record that with its headers is longer than theirs may be."""

Headers = list[tuple[str, bytes]]

PRODUCER = {
    "acks": "all",
    "enable_idempotence": False,
    "max_block_ms": DEAD_LETTER_SECONDS * 1000,
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}


class Graveyard:
    """Writes dead letters. Its producer is made for the first of them; safe to share between threads."""

    def __init__(self, place: Kafka, logins: Logins) -> None:
        self._settings = {**connection(place, logins), **PRODUCER}
        self._producer: Any = None
        self._alone = threading.Lock()

    def open(self) -> None:
        """The producer exists."""
        with self._alone:
            if self._producer is None:
                self._producer = opened(KafkaProducer, self._settings)

    def bury(self, step: Bury) -> None:
        """The record is in its tenant's dead-letter topic, as it was, with the reason and where it came from.

        Without key and value where it is too large for that. Raises Unreachable when Kafka does not take it.
        """
        [record] = step.records
        topic = naming.dead_letters(tenant_of(record.topic))
        try:
            self.open()
            try:
                self._write(topic, _headers(step), record.key, record.value)
            except TOO_LARGE:
                self._write(topic, _headers(step, "; the record itself is too large for a dead letter"))
        except (KafkaError, OSError) as error:
            raise Unreachable(f"topic {topic} takes no record: {type(error).__name__}") from error

    def _write(self, topic: str, headers: Headers, key: bytes | None = None, value: bytes | None = None) -> None:
        # kafka-python 3.0.12 sends no record that has neither.
        value = b"" if key is None and value is None else value
        self._producer.send(topic, value, key, headers).get(timeout=DEAD_LETTER_SECONDS)

    def close(self) -> None:
        """The producer is closed."""
        if self._producer is not None:
            self._producer.close(timeout=1)


def _headers(step: Bury, addition: str = "") -> Headers:
    [record] = step.records
    told = {
        "reason": step.poison.reason,
        "message": step.poison.message + addition,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
    }
    return [(f"matrixhub-{name}", str(what).encode()) for name, what in told.items()]
