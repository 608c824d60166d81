"""Dead letters: records that can never become an event, kept by the tenant they belong to."""

import threading
from typing import Any

from matrixhub.api import naming
from matrixhub.errors import Unreachable
from matrixhub.relay.driver import KafkaError, KafkaProducer, connection, opened
from matrixhub.relay.events import tenant_of
from matrixhub.relay.lane import Bury
from matrixhub.relay.settings import Kafka, Logins

DEAD_LETTER_SECONDS = 5.0
"""How long Kafka may take for one."""

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

        Raises Unreachable when Kafka does not take it.
        """
        [record] = step.records
        headers = {
            "matrixhub-reason": step.poison.reason,
            "matrixhub-message": step.poison.message,
            "matrixhub-topic": record.topic,
            "matrixhub-partition": str(record.partition),
            "matrixhub-offset": str(record.offset),
        }
        topic = naming.dead_letters(tenant_of(record.topic))
        try:
            self.open()
            self._producer.send(
                topic, record.value, record.key, [(name, text.encode()) for name, text in headers.items()]
            ).get(timeout=DEAD_LETTER_SECONDS)
        except (KafkaError, OSError) as error:
            raise Unreachable(f"topic {topic} takes no record: {type(error).__name__}") from error

    def close(self) -> None:
        """The producer is closed."""
        if self._producer is not None:
            self._producer.close(timeout=1)
