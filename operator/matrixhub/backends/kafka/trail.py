"""Audit records on a topic of the RealtimeCluster's own Kafka: at least once, in order, and waited for by nobody."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, Full, Queue
from typing import Any

from matrixhub import metrics
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.kafka.desired import section
from matrixhub.backends.kafka.produce import Item, write
from matrixhub.backends.kafka.requests import NewTopic
from matrixhub.backends.kafka.session import Session
from matrixhub.backends.kafka.state import Topic
from matrixhub.errors import BackendError, Transient

log = logging.getLogger(__name__)

RETENTION_DAYS = 365
CONFIGS = frozenset({("cleanup.policy", "delete"), ("retention.ms", str(RETENTION_DAYS * 24 * 3600 * 1000))})
"""Of a topic that is made here; one that was there before is left as it is."""
WAITING = 10_000
"""Records that wait while Kafka is away, some 5 MB; what comes then is dropped, and counted."""
LARGEST, BATCH_BYTES = 256 * 1024, 512 * 1024
"""Bytes of a record and of all in one request; brokers take 1 MB."""
IDLE, PAUSE = 0.5, 5.0
"""Seconds between two looks for records, and until a Kafka that took none is tried again."""


class Writer:
    """Writes in a thread of its own, from now on; `admin` reads the admin's credentials and may raise BackendError."""

    def __init__(self, topic: str, cluster: RealtimeCluster, admin: Callable[[], Mapping[str, str]]) -> None:
        # One partition: all records in order.
        self._topic = NewTopic(Topic(topic, 1, CONFIGS), section(cluster).replication_factor)
        self._cluster = cluster
        self._admin = admin
        self._queue: Queue[Item] = Queue(WAITING)
        self._held: Item | None = None
        self._closing = threading.Event()
        self._session: Session | None = None
        self._away = False
        # Held from here on: an increase is seen only of what was there before, and none brings a forgotten series back.
        self._kept = metrics.AUDIT_RECORDS.labels(cluster=cluster.key)
        self._dropped = metrics.AUDIT_DROPPED.labels(cluster=cluster.key)
        threading.Thread(target=self._run, name=f"audit-{cluster.key}", daemon=True).start()

    def put(self, record: Mapping[str, Any]) -> None:
        """The record waits to be written, or is dropped because too many do."""
        key = str(record.get("tenant") or self._cluster.key)
        item = Item(int(time.time() * 1000), key.encode(), json.dumps(record, default=str).encode())
        if len(item.value) > LARGEST:
            return self._drop(1)
        try:
            self._queue.put_nowait(item)
        except Full:
            self._drop(1)

    def close(self) -> None:
        """The thread ends after one more try to write what waits."""
        self._closing.set()

    def _run(self) -> None:
        while not (self._closing.is_set() and self._queue.empty() and self._held is None):
            items = self._gathered()
            while items and (pause := self._written(items)):
                if self._closing.wait(pause):
                    self._drop(len(items) + self._queue.qsize())
                    return self._disconnect()
        return self._disconnect()

    def _gathered(self) -> list[Item]:
        """What waits, up to a batch; empty when nothing came for a while."""
        items, size = [], 0
        try:
            item = self._held or self._queue.get(timeout=IDLE)
            self._held = None
            while size + len(item.value) <= BATCH_BYTES:
                items.append(item)
                size += len(item.value)
                item = self._queue.get_nowait()
            self._held = item
        except Empty:
            pass
        return items

    def _written(self, items: list[Item]) -> float:
        """0 once Kafka has them all, else the seconds until another try. An outage is told once, and its end."""
        try:
            self._session = self._session or Session(self._cluster, self._admin())
            write(self._session, self._topic, items)
        except BackendError as error:
            again = error.retry_after if isinstance(error, Transient) else None
            return again or self._lost(error.message)
        except Exception:  # the thread goes on: what is told later must not be lost to one bug
            log.exception("Failed to write audit records")
            return self._lost("see above")
        if self._away:
            log.info("Audit records are written again", extra={"cluster": self._cluster.key})
        self._away = False
        self._kept.inc(len(items))
        return 0.0

    def _lost(self, why: str) -> float:
        if not self._away:
            log.warning("Audit records wait: %s", why, extra={"cluster": self._cluster.key})
        self._away = True
        self._disconnect()
        return PAUSE

    def _drop(self, records: int) -> None:
        self._dropped.inc(records)

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
