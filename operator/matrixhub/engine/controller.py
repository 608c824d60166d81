"""The controller: watch events in, work for the workers out; outcomes in, writes out. Lives in the event loop."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from matrixhub import metrics
from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import ClusterRef, Tenant, TenantSpec
from matrixhub.api.values import Metadata, describe
from matrixhub.backends.contract import Backend, Phase, Survey
from matrixhub.engine.composer import Composer
from matrixhub.engine.desk import Credentials, HousingDesk, ServiceDesk
from matrixhub.engine.kinds import Kind
from matrixhub.engine.outcome import Outcome
from matrixhub.engine.queue import Priority
from matrixhub.engine.registrar import Registrar, Written
from matrixhub.engine.roster import Plane, Roster
from matrixhub.engine.standing import NAMESPACE, Entry, Standing, settled, turn
from matrixhub.engine.status import Health, standings_of
from matrixhub.engine.worker import Worker
from matrixhub.errors import BackendError
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import Manifest

log = logging.getLogger(__name__)

HOUSING_RESYNC = 600.0
"""Seconds; the objects of a namespace are watched, so a resync is only the second line."""
MERGE_DELAY = 1.0
"""Seconds that a status with something wrong in it waits for more outcomes, to be written with them."""
PROGRESS_DELAY = 5.0
"""The same while all is well and work is under way: in a crowd of new Tenants most are written once, at the end."""


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
    ) -> None:
        self.roster = Roster(hub, kinds)
        self._api = api
        self._resync = resync
        self._credentials = credentials
        self._composer = Composer(self.roster)
        self.registrar = Registrar(api, self._composer.compose, self._written)
        self._housing = Worker(NAMESPACE, HousingDesk(housing, self.roster, credentials, self), HOUSING_RESYNC)
        self._workers: dict[tuple[str, str], Worker] = {}
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Never returns; cancelling ends every worker."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.registrar.run())
                group.create_task(self._housing.run())
        finally:
            for task in self._running.values():
                task.cancel()

    def tenant_seen(self, body: Manifest, *, initial: bool) -> None:
        """A Tenant exists as described; `initial` when it was listed at start, not changed just now."""
        tenant, invalid = _read_tenant(body)
        entry = self.roster.entries.get(tenant.id)
        if entry and _older(tenant, entry.tenant):
            return
        changed = entry is None or _wish(entry.tenant) != _wish(tenant)
        if entry is None or entry.tenant.metadata.uid != tenant.metadata.uid:
            entry = Entry(tenant, _phase(tenant), standings_of(tenant.status, tenant.metadata.uid))
            self.roster.entries[tenant.id] = entry
        entry.tenant, entry.phase, entry.invalid = tenant, _phase(tenant), invalid
        entry.begun = entry.begun and not changed
        self._begin(entry, Priority.RESYNC if initial else Priority.LIVE)
        self.registrar.add(f"Tenant/{tenant.id}")

    def tenant_gone(self, name: str, uid: str) -> None:
        """The Tenant no longer exists."""
        entry = self.roster.entries.get(name)
        if entry is None or entry.tenant.metadata.uid != uid:
            return
        del self.roster.entries[name]
        self._credentials.forget(name)
        self.registrar.forget(f"Tenant/{name}")
        self._count_anew(str(entry.tenant.spec.cluster_ref))

    def cluster_seen(self, body: Manifest) -> None:
        """A RealtimeCluster exists as described: its workers run, with fresh clients if its spec has changed."""
        try:
            cluster = RealtimeCluster.model_validate(body)
        except ValidationError as error:
            log.error("RealtimeCluster %s cannot be read: %s", body["metadata"]["name"], describe(error))  # noqa: TRY400 - a user's mistake, no stack
            return
        plane = self.roster.planes.get(cluster.key)
        changed = plane is None or plane.cluster.metadata.generation != cluster.metadata.generation
        if plane is None:
            plane = self.roster.planes[cluster.key] = Plane(cluster)
        plane.cluster = cluster
        if changed:
            self._staff(plane)
        self.registrar.add(f"RealtimeCluster/{cluster.key}")

    def cluster_gone(self, key: str) -> None:
        """The RealtimeCluster no longer exists: its workers end, its Tenants say so."""
        self.roster.planes.pop(key, None)
        for worker_key in [worker_key for worker_key in self._workers if worker_key[0] == key]:
            self._dismiss(worker_key)
        self.registrar.forget(f"RealtimeCluster/{key}")
        for tenant in self.roster.members(key):
            self.registrar.add(f"Tenant/{tenant}")

    def owned_changed(self, tenant: str) -> None:
        """An object of the tenant's namespace share is not as we last wrote it."""
        if tenant in self.roster.entries:
            self._housing.add(tenant)

    def report(self, outcome: Outcome) -> None:
        """An outcome is known: the tenant's standing changes, and whoever waited for it begins."""
        entry = self.roster.entries.get(outcome.tenant)
        if entry is None or entry.tenant.metadata.uid != outcome.basis.uid:
            return
        plane = self.roster.plane_of(entry)
        before = entry.standings.get(outcome.backend, Standing())
        after = entry.standings[outcome.backend] = before.after(outcome, datetime.now(UTC))
        self._log(outcome, drift=after.drift is not before.drift)
        if outcome.issued:
            self._credentials.store(outcome.tenant, outcome.backend, outcome.issued)
            self._housing.add(outcome.tenant)
        if plane is None:
            return
        basis = self.roster.basis(entry, plane)
        if outcome.error is None and (outcome.backend == NAMESPACE or entry.deleting):
            known = before.settled == outcome.basis and not outcome.actions
            was_housed, entry.housed = entry.housed, entry.housed or outcome.backend == NAMESPACE
            if entry.deleting or not was_housed:
                self._advance(entry, Priority.RESYNC if known else Priority.LIVE, skip=NAMESPACE)
        over = settled(entry, self.roster.backends(entry), basis) or entry.deleting
        delay = 0.0 if over else MERGE_DELAY if outcome.error else PROGRESS_DELAY
        self.registrar.add(f"Tenant/{outcome.tenant}", delay=delay)

    def surveyed(self, cluster: str, backend: str, survey: Survey | BackendError) -> None:
        """The shared part of a backend was looked at, or the backend is in trouble."""
        plane = self.roster.planes.get(cluster)
        if plane is None:
            return
        before = plane.health.get(backend)
        up = isinstance(survey, Survey)
        metrics.BACKEND_UP.labels(cluster=cluster, backend=backend).set(up)
        since = before.since if before and before.reachable == up else datetime.now(UTC)
        version = survey.version if isinstance(survey, Survey) else before.version if before else ""
        plane.health[backend] = Health(survey, since, version)
        if isinstance(survey, Survey) and survey.repaired:
            self._composer.repaired(cluster, backend, survey.repaired)
        if plane.authorities.get(backend, "") != plane.bound.get(backend, ""):
            plane.bound = dict(plane.authorities)
            for tenant in self.roster.members(cluster):
                self._housing.add(tenant, Priority.RESYNC)
        self.registrar.add(f"RealtimeCluster/{cluster}")

    def _admitted(self, entry: Entry) -> bool:
        """Nothing is made for a Tenant before its finalizer is in place."""
        return not entry.invalid and (entry.deleting or naming.FINALIZER in entry.tenant.metadata.finalizers)

    def _begin(self, entry: Entry, priority: Priority) -> None:
        """The work on this wish begins, once, as soon as it may: seen in the watch or in the answer to our write."""
        if not entry.begun and self._admitted(entry):
            entry.begun = True
            self._advance(entry, priority)
            self._count_anew(str(entry.tenant.spec.cluster_ref))

    def _advance(self, entry: Entry, priority: Priority, skip: str = "") -> None:
        """The backends whose turn it is have the tenant in their queue."""
        plane = self.roster.plane_of(entry)
        if plane is None:
            return
        services = tuple(kind.name for kind in self.roster.services(plane))
        for name in turn(entry, services, self.roster.basis(entry, plane)):
            if name == NAMESPACE:
                if skip != NAMESPACE or entry.deleting:
                    self._housing.add(entry.tenant.id, priority)
            elif worker := self._workers.get((plane.cluster.key, name)):
                worker.add(entry.tenant.id, priority)

    def _staff(self, plane: Plane) -> None:
        """One worker for each backend of the plane, none for one it no longer has; every tenant is looked at."""
        key = plane.cluster.key
        wanted = {(key, kind.name): kind for kind in self.roster.services(plane)}
        for worker_key in [k for k in self._workers if k[0] == key and k not in wanted]:
            self._dismiss(worker_key)
        for worker_key, kind in wanted.items():
            if worker := self._workers.get(worker_key):
                worker.reconnect()
                continue
            desk = ServiceDesk(kind, key, self.roster, self._credentials, self._api, self)
            worker = self._workers[worker_key] = Worker(kind.name, desk, self._resync)
            self._running[worker_key] = asyncio.create_task(worker.run())
        for tenant in self.roster.members(key):
            entry = self.roster.entries[tenant]
            if self._admitted(entry):
                self._advance(entry, Priority.RESYNC)
            self.registrar.add(f"Tenant/{tenant}")

    def _dismiss(self, worker_key: tuple[str, str]) -> None:
        del self._workers[worker_key]
        self._running.pop(worker_key).cancel()

    def _written(self, written: Written) -> None:
        """What the API server answered is newer than what was seen: nobody waits for the watch to say so."""
        kind, _, key = written.key.partition("/")
        if kind != "Tenant" or key not in self.roster.entries:
            return
        entry = self.roster.entries[key]
        if written.finalizer and entry.deleting:
            self.tenant_gone(key, entry.tenant.metadata.uid)
            return
        tenant, _ = _read_tenant(written.resource)
        if tenant.metadata.uid != entry.tenant.metadata.uid or _older(tenant, entry.tenant):
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

    def _count_anew(self, cluster: str) -> None:
        if cluster in self.roster.planes:
            self.registrar.add(f"RealtimeCluster/{cluster}", delay=MERGE_DELAY)

    def _log(self, outcome: Outcome, *, drift: bool) -> None:
        extra = {"tenant": outcome.tenant, "backend": outcome.backend, "seconds": round(outcome.seconds, 3)}
        if drift:
            metrics.DRIFT_REPAIRED.labels(backend=outcome.backend).inc()
            self._composer.drifted(outcome)
        for action in outcome.actions:
            log.info("%s%s", "Repaired drift: " if drift else "", action, extra=extra)


def _read_tenant(body: Manifest) -> tuple[Tenant, str]:
    """The Tenant, and what is wrong with it; one that cannot be parsed keeps its metadata alone."""
    try:
        return Tenant.model_validate(body), ""
    except ValidationError as error:
        metadata = Metadata.model_validate(body["metadata"])
        spec = TenantSpec(cluster_ref=ClusterRef(namespace="", name=""))
        return Tenant(metadata=metadata, spec=spec, status=body.get("status") or {}), describe(error)


def _wish(tenant: Tenant) -> tuple[str, int, bool]:
    metadata = tenant.metadata
    return metadata.uid, metadata.generation, metadata.deletion_timestamp is not None


def _phase(tenant: Tenant) -> Phase:
    spec = tenant.spec
    if tenant.metadata.deletion_timestamp is not None:
        return Phase.DELETED if spec.deletion_policy == "Delete" else Phase.RETAINED
    return Phase.SUSPENDED if spec.suspended else Phase.ACTIVE


def _older(tenant: Tenant, known: Tenant) -> bool:
    """Whether the watch delivers what a write of ours has overtaken (versions are ordered: KEP-5504)."""
    if tenant.metadata.uid != known.metadata.uid:
        return False
    return int(tenant.metadata.resource_version or 0) < int(known.metadata.resource_version or 0)
