"""The controller: watch events in, work for the workers out; outcomes in, writes out. Lives in the event loop.

What concerns RealtimeClusters is in `clusters`.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from matrixhub import metrics
from matrixhub.api import naming
from matrixhub.backends.contract import Backend, Phase, Survey
from matrixhub.engine.accounts import Accounts
from matrixhub.engine.census import Census
from matrixhub.engine.chronicle import Chronicle
from matrixhub.engine.clusters import Clusters
from matrixhub.engine.composer import Composer, repair, subject
from matrixhub.engine.desk import Credentials, HousingDesk, ServiceDesk
from matrixhub.engine.events import name_of
from matrixhub.engine.kinds import Kind
from matrixhub.engine.outcome import Outcome
from matrixhub.engine.queue import Priority
from matrixhub.engine.registrar import Registrar, Written
from matrixhub.engine.roster import Plane, Roster
from matrixhub.engine.sight import echoes, older, phase, read_tenant, wish
from matrixhub.engine.staff import Staff
from matrixhub.engine.standing import NAMESPACE, Drift, Entry, Standing, settled
from matrixhub.engine.status import standings_of
from matrixhub.engine.trail import NOTHING_MORE, Reporting, Trail
from matrixhub.engine.worker import Worker
from matrixhub.errors import BackendError
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import Manifest

HOUSING_RESYNC = 600.0
"""Seconds; the objects of a namespace are watched, so a resync is only the second line."""
HOUSING_BATCH = 25
"""Tenants per round of the namespace backend: nothing there is cheaper for many, and all other backends wait for it."""
MERGE_DELAY = 1.0
"""Seconds that a new Tenant's first status, or one with something wrong in it, waits to be written with more."""
LISTING_DELAY = 5.0
"""Seconds in which a Tenant's RealtimeCluster is listed, too, when the operator starts: until then it misses none."""
PROGRESS_DELAY = 10.0
"""The same while all is well and work is under way: in a crowd of new Tenants most are written once, at the end."""
CROWD_DELAY, CROWD_STATUSES = 60.0, 20
"""Seconds that either waits at most in a crowd, and how many of the crowd's are written a second: each costs the API
server 10 ms (docs/decisions/0011), and until the first it says of every condition itself that it is Unknown."""


class Controller:
    """Knows everything, does nothing itself: workers act on backends, the registrar writes our resources."""

    def __init__(
        self,
        *,
        hub: str,
        kinds: tuple[Kind, ...],
        housing: Callable[[], Backend[Any, Any]],
        credentials: Credentials,
        api: KubeApi,
        resync: float,
        reporting: Reporting = NOTHING_MORE,
    ) -> None:
        self.roster = Roster(hub, kinds)
        self._api = api
        self._resync = resync
        self._credentials = credentials
        self._accounts = Accounts(api, hub)
        self._composer = Composer(self.roster)
        self._trail = Trail(reporting.sink)
        self._chronicle = Chronicle(self._trail)
        self.registrar = Registrar(api, self._trail, self._composer.compose, self._composer.told, self._written)
        desk = HousingDesk(housing, self.roster, credentials, api, self)
        self._housing = Worker(NAMESPACE, desk, HOUSING_RESYNC, HOUSING_BATCH, api.fence)
        self._group = asyncio.TaskGroup()
        self._staff = Staff(self._group, self._housing, self._hire)
        self.clusters = Clusters(api, self.roster, self._staff, self._composer, self._chronicle, self.registrar, self)
        self._census = Census(self.roster, self._staff.queues, reporting.tenant_metrics)

    async def run(self) -> None:
        """Never returns; cancelling ends every worker, and a task that fails ends all of it, which is noticed."""
        metrics.LEADER.set(1)
        try:
            async with self._group as group:
                group.create_task(self.registrar.run())
                group.create_task(self._housing.run())
                group.create_task(self._census.run())
                self.clusters.run(group)
        finally:
            metrics.LEADER.set(0)
            self._trail.close()

    def tenant_seen(self, body: Manifest, *, initial: bool) -> None:
        """A Tenant exists as described; `initial` when it was listed at start, not changed just now."""
        entry = self.roster.entries.get(body["metadata"]["name"])
        if entry and echoes(body, entry.tenant):
            return
        tenant, invalid = read_tenant(body)
        if entry and older(tenant, entry.tenant):
            return
        self._chronicle.seen("Tenant", body)
        changed = entry is None or wish(entry.tenant) != wish(tenant)
        if entry is None or entry.tenant.metadata.uid != tenant.metadata.uid:
            self._credentials.forget(tenant.id)
            plane = self.roster.planes.get(str(tenant.spec.cluster_ref))
            adopting = plane is None or plane.cluster.spec.adopt_from
            if not initial and not adopting and naming.FINALIZER not in tenant.metadata.finalizers:
                self._credentials.begin(tenant.id)
            shares = set(tenant.status.get("shares", ()))
            entry = Entry(tenant, phase(tenant), standings_of(tenant.status, tenant.metadata.uid), shares=shares)
            self.roster.entries[tenant.id] = entry
            self._count_anew(entry)
        entry.tenant, entry.phase, entry.invalid = tenant, phase(tenant), invalid
        entry.begun = entry.begun and not changed
        self._begin(entry, Priority.RESYNC if initial else Priority.LIVE)
        urgent = changed or naming.FINALIZER not in tenant.metadata.finalizers
        orphaned = initial and self.roster.plane_of(entry) is None
        delay = LISTING_DELAY if orphaned else 0.0 if urgent else PROGRESS_DELAY
        self.registrar.add(f"Tenant/{tenant.id}", delay=delay)

    def tenant_gone(self, name: str, uid: str) -> None:
        """The Tenant no longer exists."""
        entry = self.roster.entries.get(name)
        if entry is None or entry.tenant.metadata.uid != uid:
            return
        del self.roster.entries[name]
        self._chronicle.gone("Tenant", name, str(entry.tenant.spec.cluster_ref))
        self._credentials.forget(name)
        self.registrar.forget(f"Tenant/{name}")
        self._count_anew(entry)

    def gone(self, uid: str) -> None:
        """The Tenant or RealtimeCluster of that uid no longer exists."""
        for name in [name for name, entry in self.roster.entries.items() if entry.tenant.metadata.uid == uid]:
            self.tenant_gone(name, uid)
        for key in [key for key, plane in self.roster.planes.items() if plane.cluster.metadata.uid == uid]:
            self.clusters.gone(key, uid)

    def owned_changed(self, tenant: str, manager: str = "", *, ended: bool = False) -> None:
        """An object of the tenant's namespace share is not as we last wrote it, `manager` did that if it is known.

        `ended`: the Namespace itself is gone. Where it is to go, nothing else says anything.
        """
        entry = self.roster.entries.get(tenant)
        if entry and (ended or entry.phase is not Phase.DELETED):
            self._chronicle.touched(tenant, manager)
            self._housing.add(tenant)

    def report(self, outcome: Outcome) -> None:
        """An outcome is known: the tenant's standing changes, and whoever waited for it begins."""
        entry = self.roster.entries.get(outcome.tenant)
        if entry is None or entry.tenant.metadata.uid != outcome.basis.uid:
            return
        plane = self.roster.plane_of(entry)
        before = entry.standings.get(outcome.backend, Standing())
        known = before.settled == outcome.basis and not outcome.actions
        if outcome.issued:
            self._credentials.store(outcome.tenant, outcome.backend, outcome.issued)
        if outcome.error is None and outcome.phase.living:
            entry.shares.add(outcome.backend)
        if plane is None or (known and not outcome.error and before.fulfils(outcome.basis, outcome.phase)):
            return
        after = entry.standings[outcome.backend] = before.after(outcome, datetime.now(UTC))
        self._record(entry, outcome, after.drift if after.drift is not before.drift else None)
        if outcome.issued:
            self._rehouse(entry, Priority.LIVE)
        basis = self.roster.basis(entry, plane)
        self._follow(entry, plane, outcome, Priority.RESYNC if known else Priority.LIVE)
        over = settled(entry, self.roster.backends(entry), basis) or entry.deleting
        delay = 0.0 if over else MERGE_DELAY if outcome.error else crowded(PROGRESS_DELAY, self.registrar.backlog)
        self.registrar.add(f"Tenant/{outcome.tenant}", delay=delay)

    def surveyed(self, cluster: str, backend: str, survey: Survey | BackendError) -> None:
        """The shared part of a backend was looked at, or the backend is in trouble."""
        self.clusters.surveyed(cluster, backend, survey)

    def resettled(self, tenants: Collection[str], *, grown: bool) -> None:
        """Their RealtimeCluster has changed, has more backends than before (`grown`), or is there at last."""
        for tenant in tenants:
            entry = self.roster.entries[tenant]
            # The Secret of a backend that is new, or another service now, has to be there before that backend begins.
            entry.begun, entry.housed = False, entry.housed and not grown and self._complete(entry)
            self._begin(entry, Priority.RESYNC)
            self.registrar.add(f"Tenant/{tenant}")

    def orphaned(self, tenants: Collection[str]) -> None:
        """Their RealtimeCluster is gone."""
        for tenant in tenants:
            self.roster.entries[tenant].unsettle()
            self.registrar.add(f"Tenant/{tenant}")

    def rebound(self, tenants: Collection[str]) -> None:
        """Their Secrets are to hold something else."""
        for tenant in tenants:
            self._rehouse(self.roster.entries[tenant], Priority.RESYNC)

    def _begin(self, entry: Entry, priority: Priority) -> None:
        """The work on this wish begins, once, as soon as it may: seen in the watch or in the answer to our write."""
        if not entry.begun and entry.admitted and self.roster.plane_of(entry):
            entry.begun = True
            self._advance(entry, priority)
            self.registrar.add(f"Tenant/{entry.tenant.id}", delay=crowded(MERGE_DELAY, self.registrar.backlog))
            self._count_anew(entry)

    def _advance(self, entry: Entry, priority: Priority, skip: str = "") -> None:
        """The backends whose turn it is have the tenant in their queue."""
        plane = self.roster.plane_of(entry)
        for name in self.roster.turn(entry, plane) if plane else ():
            worker = self._staff.worker(str(entry.tenant.spec.cluster_ref), name)
            if worker and name != skip:
                worker.add(entry.tenant.id, priority)

    def _follow(self, entry: Entry, plane: Plane, outcome: Outcome, priority: Priority) -> None:
        """Whoever waited for this answer begins: for the credentials, or to be the last."""
        if entry.deleting:
            if outcome.error is None and self.roster.turn(entry, plane) == (NAMESPACE,):
                self._housing.add(entry.tenant.id, priority)
        elif outcome.backend == NAMESPACE and not entry.housed and outcome.basis == self.roster.basis(entry, plane):
            entry.housed = outcome.error is None or self._unhindered(entry)
            if entry.housed:
                self._advance(entry, priority, skip=NAMESPACE)

    def _unhindered(self, entry: Entry) -> bool:
        """Whether the others begin though the namespace is not as it should be: an owner can keep it from being so.

        Doors are shut and limits kept all the same, once the credentials are known. Only where nothing can be open
        yet nothing is made.
        """
        open_yet = NAMESPACE in entry.shares or entry.phase is Phase.SUSPENDED
        return open_yet and self._complete(entry)

    def _complete(self, entry: Entry) -> bool:
        """Whether the tenant has credentials for each backend of its RealtimeCluster, but for those that issue them."""
        plane = self.roster.plane_of(entry)
        return plane is not None and self._credentials.complete(
            entry.tenant.id, self.roster.shares(plane), plane.cluster
        )

    def _rehouse(self, entry: Entry, priority: Priority) -> None:
        """The tenant's Secrets are to hold something else, which is our own doing and no drift."""
        standing = entry.standings.get(NAMESPACE, Standing())
        entry.standings[NAMESPACE] = replace(standing, settled=None)
        self._housing.add(entry.tenant.id, priority)

    def _hire(self, kind: Kind, cluster: str) -> Worker:
        """A worker of the kind for the RealtimeCluster, which does not run yet."""
        desk = ServiceDesk(kind, cluster, self.roster, self._credentials, self._accounts, self._api, self)
        return Worker(kind.name, desk, self._resync, fence=self._api.fence)

    def _written(self, written: Written) -> None:
        """What the API server answered is newer than what was seen: nobody waits for the watch to say so."""
        kind, _, key = written.key.partition("/")
        if kind != "Tenant" or key not in self.roster.entries:
            return
        entry = self.roster.entries[key]
        tenant, _ = read_tenant(written.resource)
        if tenant.metadata.uid != entry.tenant.metadata.uid or older(tenant, entry.tenant):
            return
        if tenant.metadata.deletion_timestamp and naming.FINALIZER not in tenant.metadata.finalizers:
            self.tenant_gone(key, tenant.metadata.uid)
            return
        entry.tenant = entry.tenant.model_copy(
            update={
                "status": tenant.status,
                "metadata": entry.tenant.metadata.model_copy(
                    update={
                        "finalizers": tenant.metadata.finalizers,
                        "resource_version": tenant.metadata.resource_version,
                    }
                ),
            }
        )
        self._begin(entry, Priority.LIVE)

    def _count_anew(self, entry: Entry) -> None:
        self.clusters.consider(str(entry.tenant.spec.cluster_ref), MERGE_DELAY)

    def _record(self, entry: Entry, outcome: Outcome, drift: Drift | None) -> None:
        """What was done is in the audit trail; `drift` is what it put right, where it was that."""
        event = name_of(subject(entry), repair(drift)) if drift else ""
        if drift:
            for kind in outcome.kinds:
                metrics.DRIFT_REPAIRED.labels(backend=outcome.backend, kind=kind).inc()
        cluster = str(entry.tenant.spec.cluster_ref)
        self._chronicle.carried_out(outcome, cluster, drift=drift is not None, event=event)


def crowded(delay: float, backlog: int) -> float:
    """Seconds until a status that says no more than that all is well so far, with so many resources to be written."""
    return max(delay, min(CROWD_DELAY, backlog / CROWD_STATUSES))
