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
from matrixhub.engine.standing import OBJECT_STORE, Entry
from matrixhub.scaling.lag import unread
from matrixhub.scaling.report import Report
from matrixhub.scaling.samples import GroupSample

EVERY = 2.0
"""Seconds between two counts..."""
SHARE = 100
"""...which take a hundredth of the time at most, however many Tenants there are."""

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
            began = time.monotonic()
            self.take(datetime.now(UTC))
            if self.per_tenant:
                reports = {key: plane.report for key, plane in self.roster.planes.items() if plane.report}
                events, lags = await asyncio.to_thread(streams, reports)
                metrics.TENANT_EVENTS.replace(events)
                metrics.TENANT_LAG.replace(lags)
            await asyncio.sleep(max(EVERY, SHARE * (time.monotonic() - began)))

    def take(self, now: datetime) -> None:
        """The metrics say how things stand `now`."""
        queues, clock = self.queues(), time.monotonic()
        metrics.QUEUE_DEPTH.replace({place: queue.depth for place, queue in queues.items()})
        metrics.QUEUE_AGE.replace({place: queue.oldest(clock) for place, queue in queues.items()})
        seen = [Seen.of(entry) for entry in self.roster.entries.values()]
        self._since = not_ready(seen, self._since, now)
        readiness: Counter[tuple[str, ...]] = Counter((each.cluster, each.ready, each.reason) for each in seen)
        metrics.TENANTS.replace(readiness)
        metrics.LONGEST_NOT_READY.replace(longest(seen, self._since, now))
        if self.per_tenant:
            self._each()

    def _each(self) -> None:
        """The series of each Tenant."""
        entries = self.roster.entries
        metrics.TENANT_INFO.replace(
            {(t, str(e.tenant.spec.cluster_ref), naming.app_id(t)): 1 for t, e in entries.items()}
        )
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
        stored, limits = storage(self.roster)
        metrics.TENANT_STORED.replace(stored)
        metrics.TENANT_STORED_LIMIT.replace(limits)


class Seen(NamedTuple):
    """What a Tenant's condition Ready says, as written last; Unknown and Pending before that."""

    tenant: str
    cluster: str
    ready: str
    reason: str
    since: str

    @classmethod
    def of(cls, entry: Entry) -> "Seen":
        """Of one Tenant."""
        tenant = entry.tenant
        said = next((each for each in tenant.status.get("conditions", ()) if each["type"] == "Ready"), _NOTHING)
        return cls(
            tenant.id,
            str(tenant.spec.cluster_ref),
            said.get("status", "Unknown"),
            said.get("reason", "Pending"),
            said.get("lastTransitionTime", ""),
        )


_NOTHING: Mapping[str, Any] = {}


def not_ready(seen: Iterable[Seen], known: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """By tenant, since when it has not been Ready: as known, else as its condition says, else from `now` on."""
    return {
        each.tenant: known.get(each.tenant) or (datetime.fromisoformat(each.since) if each.since else now)
        for each in seen
        if each.ready != "True"
    }


def longest(seen: Iterable[Seen], since: Mapping[str, datetime], now: datetime) -> dict[tuple[str, ...], float]:
    """By RealtimeCluster and reason, the seconds for which the Tenant that is longest not Ready has not been."""
    oldest: dict[tuple[str, ...], float] = {}
    for each in seen:
        if moment := since.get(each.tenant):
            place = each.cluster, each.reason
            oldest[place] = max(oldest.get(place, 0.0), (now - moment).total_seconds())
    return oldest


def storage(roster: Roster) -> tuple[Series, Series]:
    """By tenant, the bytes in its bucket, where the object store tells them; and of these, those that may be."""
    stored: dict[tuple[str, ...], float] = {}
    limits: dict[tuple[str, ...], float] = {}
    for tenant, entry in roster.entries.items():
        plane = roster.plane_of(entry)
        told = plane.stored if plane and OBJECT_STORE in entry.shares else {}
        backend = plane.cluster.spec.object_store if plane else None
        if backend and (size := told.get(naming.bucket(backend.bucket_prefix, tenant))) is not None:
            stored[tenant,] = size
            if (limit := entry.tenant.spec.object_store.storage) is not None:
                limits[tenant,] = limit
    return stored, limits


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
