"""How many Tenants are Ready, and how long the queues are: counted now and then, for the metrics."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from matrixhub import metrics
from matrixhub.api import naming
from matrixhub.engine.queue import KeyedQueue
from matrixhub.engine.roster import Roster
from matrixhub.engine.standing import Entry
from matrixhub.scaling.lag import unread
from matrixhub.scaling.report import Report
from matrixhub.scaling.samples import GroupSample

EVERY = 10.0
"""Seconds between two counts; 10,000 Tenants take some 20 ms of the event loop."""

Series = Mapping[tuple[str, ...], float]


class Place(NamedTuple):
    """A backend's queue; the namespace backend serves every RealtimeCluster, so its `cluster` is empty."""

    cluster: str
    backend: str


@dataclass
class Census:
    """Runs until cancelled; `per_tenant` adds the series that grow with the Tenants."""

    roster: Roster
    queues: Callable[[], Mapping[Place, KeyedQueue]]
    per_tenant: bool = False
    _since: dict[str, datetime] = field(default_factory=dict)
    """Since when each Tenant that is not Ready has not been."""

    async def run(self) -> None:
        """Never returns."""
        while True:
            self.take(datetime.now(UTC))
            if self.per_tenant:
                reports = {key: plane.report for key, plane in self.roster.planes.items() if plane.report}
                events, lags = await asyncio.to_thread(streams, reports)
                metrics.TENANT_EVENTS.replace(events)
                metrics.TENANT_LAG.replace(lags)
            await asyncio.sleep(EVERY)

    def take(self, now: datetime) -> None:
        """The metrics say how things stand `now`."""
        queues, clock = self.queues(), time.monotonic()
        metrics.QUEUE_DEPTH.replace({place: len(queue.waiting()) for place, queue in queues.items()})
        metrics.QUEUE_AGE.replace({place: queue.oldest(clock) for place, queue in queues.items()})
        entries = self.roster.entries
        self._since = not_ready(entries.values(), self._since, now)
        readiness: Counter[tuple[str, ...]] = Counter(
            (cluster_of(each), *ready(each.tenant.status)) for each in entries.values()
        )
        metrics.TENANTS.replace(readiness)
        metrics.LONGEST_NOT_READY.replace(longest(entries, self._since, now))
        if self.per_tenant:
            self._each()

    def _each(self) -> None:
        """The series of each Tenant."""
        entries = self.roster.entries
        metrics.TENANT_INFO.replace({(t, cluster_of(each), naming.app_id(t)): 1 for t, each in entries.items()})
        metrics.TENANT_READY.replace(
            {
                (tenant, condition["type"]): condition["status"] == "True"
                for tenant, each in entries.items()
                for condition in each.tenant.status.get("conditions", ())
            }
        )
        connections = {(t,): each.tenant.status.get("connections", 0) for t, each in entries.items()}
        metrics.TENANT_CONNECTIONS.replace(connections)
        metrics.TENANT_CONNECTIONS_LIMIT.replace(
            {(t,): each.tenant.spec.gateway.max_connections for t, each in entries.items()}
        )


def cluster_of(entry: Entry) -> str:
    """The RealtimeCluster that the Tenant names."""
    return str(entry.tenant.spec.cluster_ref)


def ready(status: Mapping[str, Any]) -> tuple[str, str]:
    """Status and reason of the condition Ready, as written last."""
    condition = _ready(status)
    return str(condition.get("status", "Unknown")), str(condition.get("reason", "Pending"))


def not_ready(entries: Iterable[Entry], known: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """By tenant, since when it has not been Ready: as known, else as its condition says, else from `now` on."""
    found = {}
    for entry in entries:
        tenant, condition = entry.tenant.id, _ready(entry.tenant.status)
        if condition.get("status") != "True":
            moment = condition.get("lastTransitionTime")
            found[tenant] = known.get(tenant) or (datetime.fromisoformat(moment) if moment else now)
    return found


def longest(entries: Mapping[str, Entry], since: Mapping[str, datetime], now: datetime) -> dict[tuple[str, ...], float]:
    """By RealtimeCluster and reason, the seconds for which the Tenant that is longest not Ready has not been."""
    oldest: dict[tuple[str, ...], float] = {}
    for tenant, moment in since.items():
        place = cluster_of(entries[tenant]), ready(entries[tenant].tenant.status)[1]
        oldest[place] = max(oldest.get(place, 0.0), (now - moment).total_seconds())
    return oldest


def streams(reports: Mapping[str, Report]) -> tuple[Series, Series]:
    """By tenant and domain, the records ever written; and by group that reads them, those that wait."""
    ends: dict[tuple[str, int], int] = {}
    lags: dict[tuple[str, ...], float] = defaultdict(float)
    for cluster, report in reports.items():
        for each in report.scaled:
            if not isinstance(each.sample, GroupSample):
                continue
            for part in each.sample.partitions:
                tenant, domain, _ = part.topic.split(".", 2)
                lags[tenant, domain, cluster, each.name] += unread(part)
                ends[part.topic, part.partition] = max(ends.get((part.topic, part.partition), 0), part.end)
    events: dict[tuple[str, ...], float] = defaultdict(float)
    for (topic, _), end in ends.items():
        tenant, domain, _ = topic.split(".", 2)
        events[tenant, domain] += end
    return events, lags


def _ready(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), {})
