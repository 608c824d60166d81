"""The RealtimeClusters' half of the controller: each as it is seen, its workers, what they find, how it is scaled."""

import asyncio
import logging
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Protocol

from pydantic import ValidationError

from matrixhub import metrics
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.values import describe
from matrixhub.backends.contract import Survey
from matrixhub.backends.kafka.session import Session
from matrixhub.engine.chronicle import Chronicle
from matrixhub.engine.clearance import Clearance
from matrixhub.engine.composer import Composer
from matrixhub.engine.departure import Departure
from matrixhub.engine.desk import admin_of
from matrixhub.engine.events import News
from matrixhub.engine.registrar import Registrar
from matrixhub.engine.roster import Plane, Roster
from matrixhub.engine.scales import counted, rescales, scales
from matrixhub.engine.staff import Staff
from matrixhub.engine.status import Health
from matrixhub.errors import BackendError
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import Manifest
from matrixhub.scaling.loop import Scaler
from matrixhub.scaling.report import Load, Report

log = logging.getLogger(__name__)


class Tenancy(Protocol):
    """The Tenants' half."""

    def resettled(self, tenants: Collection[str], *, grown: bool) -> None:
        """Their RealtimeCluster has changed, has more backends than before (`grown`), or is there at last."""
        ...

    def orphaned(self, tenants: Collection[str]) -> None:
        """Their RealtimeCluster is gone."""
        ...

    def rebound(self, tenants: Collection[str]) -> None:
        """Their Secrets are to hold something else."""
        ...


class Clusters:
    """Appoints the workers, and tells the Tenants' half what concerns them."""

    def __init__(
        self,
        api: KubeApi,
        roster: Roster,
        staff: Staff,
        composer: Composer,
        chronicle: Chronicle,
        registrar: Registrar,
        tenancy: Tenancy,
    ) -> None:
        self._api = api
        self._roster = roster
        self._staff = staff
        self._composer = composer
        self._chronicle = chronicle
        self._registrar = registrar
        self._tenancy = tenancy
        self._scaler = Scaler(api, self._kafka, roster.phases, self._scaled)
        self._clearance = Clearance(api, self._runs)
        self._departure = Departure(api, self._deserted, self.leave)

    def run(self, group: asyncio.TaskGroup) -> None:
        """What works beside the workers runs in the group."""
        for each in (self._scaler, self._clearance, self._departure):
            group.create_task(each.run())

    def seen(self, body: Manifest) -> None:
        """A RealtimeCluster exists as described: its workers run, with fresh clients if its spec has changed."""
        try:
            cluster = RealtimeCluster.model_validate(body)
        except ValidationError as error:
            log.error("RealtimeCluster %s cannot be read: %s", body["metadata"]["name"], describe(error))  # noqa: TRY400 - a user's mistake, no stack
            return
        plane = self._roster.planes.get(cluster.key)
        if plane and plane.cluster.metadata.uid != cluster.metadata.uid:
            self.gone(cluster.key, plane.cluster.metadata.uid)
            plane = None
        if plane is None:
            self._staff.housing.look()  # so that it, too, hears soon whether the Kubernetes API is well
        plane = plane or self._roster.planes.setdefault(cluster.key, Plane(cluster))
        plane.cluster = cluster
        self._chronicle.trail.watch(cluster)
        self._chronicle.seen("RealtimeCluster", body)
        self.consider(cluster.key)

    def gone(self, key: str, uid: str) -> None:
        """The RealtimeCluster no longer exists: its workers end, its Tenants say so."""
        plane = self._roster.planes.get(key)
        if plane is None or plane.cluster.metadata.uid != uid:
            return
        del self._roster.planes[key]
        self._scaler.forget(key)
        self._chronicle.gone("RealtimeCluster", key, key)
        self._chronicle.trail.forget(key)
        metrics.forget(key)
        self._staff.appoint(key, ())
        self._registrar.forget(f"RealtimeCluster/{key}")
        self._composer.forget(key)
        self._tenancy.orphaned(self._roster.members(key))

    def consider(self, key: str, delay: float = 0.0) -> None:
        """The RealtimeCluster has changed, or a Tenant came to it or left it; its status follows after the delay.

        Once it is deleted and nobody lives on it, it leaves, unless somebody comes after all.
        """
        if (plane := self._roster.planes.get(key)) is None:
            return
        if self._roster.deserted(plane):
            if plane.held and not plane.leaving:
                self._departure.add(key)
        else:
            self._scaler.watch(plane.cluster)
            if plane.leaving or plane.settled != plane.cluster.metadata.generation:
                plane.leaving = False
                self._settle(plane)
        self._registrar.add(f"RealtimeCluster/{key}", delay)

    def leave(self, key: str, accounts: bool) -> None:  # noqa: FBT001 - the departure's word
        """Nobody lives on the RealtimeCluster, which is deleted: what it runs goes, and its accounts if it has any."""
        plane = self._roster.planes[key]
        plane.leaving, plane.accounts = True, accounts
        self._scaler.forget(key)
        plane.health.clear()  # what was found before says nothing of what is left
        self._settle(plane)
        self._registrar.add(f"RealtimeCluster/{key}")

    def workload_changed(self, key: str, *, accounts: bool) -> None:
        """An object of a RealtimeCluster is not as last written (its `accounts`?), or its pods came or went."""
        plane = self._roster.planes.get(key)
        for kind in self._roster.services(plane) if plane else ():
            worker = self._staff.worker(key, kind.name)
            if worker and accounts and kind.account:
                worker.reconnect()
            elif worker and kind.runs:
                worker.look()

    def surveyed(self, key: str, backend: str, survey: Survey | BackendError) -> None:
        """The shared part of a backend was looked at, or the backend is in trouble."""
        plane = self._roster.planes.get(key)
        if plane is None:
            return
        before = plane.health.get(backend)
        up = isinstance(survey, Survey)
        metrics.BACKEND_UP.labels(cluster=key, backend=backend).set(up)
        since = before.since if before and before.reachable == up else datetime.now(UTC)
        version = survey.version if isinstance(survey, Survey) else before.version if before else ""
        plane.health[backend] = Health(survey, since, version, plane.settled)
        if isinstance(survey, Survey) and survey.repaired:
            event = self._composer.repaired(plane, backend, survey.repaired, datetime.now(UTC))
            for sentence in survey.repaired:
                self._chronicle.repaired(key, backend, sentence, event)
        authority = plane.authorities.get(backend, "")
        if plane.bound.get(backend, authority) != authority:
            plane.bound[backend] = authority
            self._tenancy.rebound(self._roster.members(key))
        self._registrar.add(f"RealtimeCluster/{key}")

    def _settle(self, plane: Plane) -> None:
        """Each backend of the plane is worked on, and none that it no longer has; every tenant is looked at."""
        key, services = plane.cluster.key, self._roster.services(plane)
        plane.settled = plane.cluster.metadata.generation
        grown = self._staff.appoint(key, services)
        for kind in self._roster.kinds:
            if kind not in services:
                plane.health.pop(kind.name, None)
                if kind.runs:
                    self._clearance.add(key, kind.name)
        self._tenancy.resettled(self._roster.members(key), grown=grown)

    def _scaled(self, key: str, load: Load, report: Report) -> None:
        """A load of a RealtimeCluster was looked at and decided upon."""
        plane = self._roster.planes.get(key)
        if plane is None:
            return
        for sentence, change in rescales(report):
            event = self._composer.tell(plane, News("SuccessfulRescale", sentence, datetime.now(UTC)))
            self._chronicle.rescaled(key, sentence, change, event)
        plane.looks[load] = report
        whole = plane.report
        if whole is None:
            return
        plane.looks[load] = report.carried_out
        before = plane.scales
        plane.scales = scales(before, whole, plane.cluster.status, datetime.now(UTC))
        if plane.scales is not before:
            self._registrar.add(f"RealtimeCluster/{key}")
        shown = {t: self._roster.entries[t].tenant.status.get("connections", 0) for t in self._roster.members(key)}
        for tenant in counted(plane.counts, shown, whole, time.monotonic()):
            self._registrar.add(f"Tenant/{tenant}")

    def _kafka(self, cluster: RealtimeCluster) -> Session:
        """A session with the RealtimeCluster's Kafka, its credentials just read. Raises BackendError."""
        return Session(cluster, admin_of(self._api, cluster, cluster.spec.kafka))

    def _runs(self, key: str, component: str) -> bool:
        """Whether this is the component's worker's business, or nobody's any more: its objects go with their owner."""
        return self._staff.worker(key, component) is not None or key not in self._roster.planes

    def _deserted(self, key: str) -> bool:
        plane = self._roster.planes.get(key)
        return plane is not None and plane.held and self._roster.deserted(plane)
