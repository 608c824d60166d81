"""The audit trail: every record is a line of the log, and goes to the RealtimeCluster's sink where there is one."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.engine.audit import Record

log = logging.getLogger("matrixhub.audit")

EARLY = 1000
"""Records that are kept until their RealtimeCluster is seen: at a start its Tenants may be seen before it."""


class Sink(Protocol):
    """Takes records; never waits, never fails."""

    def put(self, record: dict[str, Any]) -> None:
        """The record will be written, or counted as dropped."""
        ...

    def close(self) -> None:
        """Nothing more is written than what is under way."""
        ...


@dataclass(frozen=True)
class Reporting:
    """What is told beyond the log, and the metrics that there always are."""

    sink: Callable[[RealtimeCluster], Sink] | None = None
    """Makes what takes a RealtimeCluster's audit records."""
    tenant_metrics: bool = False
    """Whether there are series for each Tenant."""


NOTHING_MORE = Reporting()


class Trail:
    """For all threads. `open_sink` makes the sink of a RealtimeCluster, None where records go to the log alone."""

    def __init__(self, open_sink: Callable[[RealtimeCluster], Sink] | None = None) -> None:
        self._open_sink = open_sink
        self._clusters: dict[str, RealtimeCluster] = {}
        self._sinks: dict[str, Sink] = {}
        self._early: deque[Record] = deque(maxlen=EARLY)

    def watch(self, cluster: RealtimeCluster) -> None:
        """The RealtimeCluster's records go to where it now says."""
        before = self._clusters.get(cluster.key)
        if self._open_sink is None or (before and before.spec.kafka == cluster.spec.kafka):
            return
        self.forget(cluster.key)
        if cluster.spec.kafka is not None:
            self._clusters[cluster.key] = cluster
            sink = self._sinks[cluster.key] = self._open_sink(cluster)
            for record in [each for each in self._early if each.cluster == cluster.key]:
                self._early.remove(record)
                sink.put(record.dump())

    def forget(self, key: str) -> None:
        """The RealtimeCluster is gone."""
        self._clusters.pop(key, None)
        if sink := self._sinks.pop(key, None):
            sink.close()

    def close(self) -> None:
        """No RealtimeCluster has a sink any more."""
        for key in list(self._sinks):
            self.forget(key)

    def add(self, record: Record) -> None:
        """The record is in the log, and on its way to its RealtimeCluster's sink."""
        level = logging.WARNING if record.warning else logging.INFO
        log.log(level, "%s", record.message, extra=record.about())
        if sink := self._sinks.get(record.cluster):
            sink.put(record.dump())
        elif self._open_sink:
            self._early.append(record)
