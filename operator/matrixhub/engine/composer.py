"""What is to be written of our resources now: the difference between what is known and what they say."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from matrixhub.api import conditions, naming
from matrixhub.api.values import Metadata
from matrixhub.backends.contract import Phase
from matrixhub.engine.events import News, Subject, event, name_of
from matrixhub.engine.parting import Parting, parting
from matrixhub.engine.registrar import Writes
from matrixhub.engine.roster import Plane, Roster
from matrixhub.engine.standing import Drift, Entry
from matrixhub.engine.status import NEVER_HELD, cluster_status, tenant_status
from matrixhub.kube.finalizer import without
from matrixhub.kube.resources import Manifest

OPTIONAL = frozenset({"drift", "observedClusterGeneration"})
"""Fields of a status that may be absent; one that was told and no longer is must go."""


class Composer:
    """Composes from the roster; holds what is to be told once of a RealtimeCluster."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._news: dict[str, list[News]] = {}

    def repaired(self, plane: Plane, backend: str, sentences: Iterable[str], now: datetime) -> str:
        """The next write of the RealtimeCluster comes with an Event about what was changed in the shared part.

        Its name is answered.
        """
        return self.tell(plane, News("Changed", f"{backend}: {'; '.join(sentences)}", now))

    def tell(self, plane: Plane, news: News) -> str:
        """The next write of the RealtimeCluster comes with this Event, whose name is answered."""
        self._news.setdefault(plane.cluster.key, []).append(news)
        return name_of(_subject_of(plane), news)

    def told(self, writes: Writes) -> None:
        """These writes were made: what they told of a RealtimeCluster is told no more."""
        names = {each["metadata"]["name"] for each in writes.events}
        if (news := self._news.get(writes.cluster)) and (plane := self._roster.planes.get(writes.cluster)):
            self._news[writes.cluster] = [each for each in news if name_of(_subject_of(plane), each) not in names]

    def forget(self, cluster: str) -> None:
        """The RealtimeCluster is gone."""
        self._news.pop(cluster, None)

    def compose(self, key: str) -> Writes:
        """What is to be written of the resource `Kind/name` or `Kind/namespace/name`; nothing once it is gone."""
        kind, _, name = key.partition("/")
        return self._tenant(name) if kind == "Tenant" else self._cluster(name)

    def _tenant(self, name: str) -> Writes:
        entry = self._roster.entries.get(name)
        if entry is None:
            return Writes()
        metadata = entry.tenant.metadata
        now = datetime.now(UTC)
        identity = {"name": name, "uid": metadata.uid}
        held = naming.FINALIZER in metadata.finalizers
        if entry.deleting and (not held or self._finished(entry)):
            return self._farewell(entry, now) if held else Writes()
        if not held and not entry.invalid and self._roster.plane_of(entry):
            # Not before there is a RealtimeCluster: a Tenant for which nothing was made can be deleted at once.
            return Writes(_manifest("Tenant", {**identity, "finalizers": [naming.FINALIZER]}))
        backends, missing = self._roster.backends(entry), self._roster.missing(entry)
        status = tenant_status(entry, backends, self._roster.obstacle(entry), now, missing)
        plane = self._roster.plane_of(entry)
        if plane and plane.cluster.spec.gateway:
            # Told from the first status on, so that a count that finds none writes nothing.
            shown = entry.tenant.status.get("connections", 0)
            status["connections"] = plane.counts.connections.get(name, shown)
        return Writes(
            status=_manifest("Tenant", identity, status) if differs(status, entry.tenant.status) else None,
            events=_events(
                subject(entry),
                _repairs(entry.tenant.status, status),
                entry.tenant.status,
                status,
                now,
            ),
            cluster=str(entry.tenant.spec.cluster_ref),
        )

    def _finished(self, entry: Entry) -> bool:
        plane = self._roster.plane_of(entry)
        return plane is not None and not self._roster.missing(entry) and not self._roster.turn(entry, plane)

    def _farewell(self, entry: Entry, now: datetime) -> Writes:
        """The Tenant goes; what it was not allowed to take with it is told."""
        fleeting = {kind.name for kind in self._roster.kinds if not kind.keeps}
        backends = [name for name in self._roster.backends(entry) if name not in entry.shares | fleeting]
        told: tuple[Manifest, ...] = ()
        if entry.phase is Phase.DELETED and backends:
            told = (event(subject(entry), News("DataKept", f"{', '.join(backends)}: {NEVER_HELD}", now)),)
        farewell = _without_ours("Tenant", entry.tenant.metadata, naming.FINALIZER)
        return Writes(farewell=farewell, events=told, cluster=str(entry.tenant.spec.cluster_ref))

    def _cluster(self, key: str) -> Writes:
        plane = self._roster.planes.get(key)
        if plane is None:
            return Writes()
        metadata = plane.cluster.metadata
        now = datetime.now(UTC)
        identity = {"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid}
        residents = self._roster.residents(key)
        if metadata.deletion_timestamp is not None and not plane.held:
            return Writes()
        kinds = self._roster.services(plane)
        parted = parting(plane, kinds, now) if plane.leaving else Parting()
        news = [*self._news.get(key, [])]
        if plane.leaving and not parted.waiting:
            news += [News("AccountLeft", left, now, "Warning") for left in parted.left]
            told = tuple(event(_subject_of(plane), each) for each in news)
            farewell = _without_ours("RealtimeCluster", metadata, naming.CLUSTER_FINALIZER)
            return Writes(farewell=farewell, events=told, cluster=key)
        finalizer = None
        if not plane.held:
            finalizer = _manifest("RealtimeCluster", {**identity, "finalizers": [naming.CLUSTER_FINALIZER]})
        services = [kind.name for kind in kinds]
        before = plane.cluster.status
        status = cluster_status(plane.cluster, services, plane.health, residents, plane.scales, now, parted.waiting)
        return Writes(
            finalizer=finalizer,
            status=_manifest("RealtimeCluster", identity, status) if differs(status, before) else None,
            events=_events(_subject_of(plane), news, before, status, now),
            cluster=key,
        )


def subject(entry: Entry) -> Subject:
    """The Tenant, for Events about it."""
    return Subject("Tenant", entry.tenant.id, "", entry.tenant.metadata.uid)


def repair(drift: Drift) -> News:
    """What the Event about a drift says."""
    return News("DriftRepaired", f"{drift.backend}: {drift.message}", drift.time)


def _subject_of(plane: Plane) -> Subject:
    metadata = plane.cluster.metadata
    return Subject("RealtimeCluster", metadata.name, metadata.namespace, metadata.uid)


def differs(status: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Whether a write would change what we own of a status; the order of conditions doesn't count."""
    if any(name in live and name not in status for name in OPTIONAL):
        return True
    return any(_comparable(name, value) != _comparable(name, live.get(name)) for name, value in status.items())


def _comparable(name: str, value: Any) -> Any:
    if name != "conditions":
        return value or None if isinstance(value, list) else value
    return {condition["type"]: condition for condition in value or []}


def _manifest(kind: str, metadata: Mapping[str, Any], status: Mapping[str, Any] | None = None) -> Manifest:
    manifest: Manifest = {"apiVersion": naming.API_VERSION, "kind": kind, "metadata": dict(metadata)}
    return manifest if status is None else {**manifest, "status": dict(status)}


def _without_ours(kind: str, metadata: Metadata, finalizer: str) -> Manifest:
    """The merge patch with which the resource goes, as far as it is for us to say."""
    gone = without(finalizer, metadata.finalizers, uid=metadata.uid, version=metadata.resource_version)
    name = {"name": metadata.name} | ({"namespace": metadata.namespace} if metadata.namespace else {})
    return _manifest(kind, {**name, **gone})


def _repairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[News]:
    """The drifts that a status tells for the first time."""
    known = before.get("drift") or []
    return [
        repair(Drift(each["backend"], datetime.fromisoformat(each["time"]), each["message"]))
        for each in after.get("drift", [])
        if each not in known
    ]


def _events(
    about: Subject, news: list[News], before: Mapping[str, Any], after: Mapping[str, Any], now: datetime
) -> tuple[Manifest, ...]:
    told = list(news)
    known = {condition.type: condition for condition in conditions.parse(before)}
    for condition in conditions.parse(after):
        past = known.get(condition.type)
        reasons = {condition.reason, past.reason if past else ""}
        if condition.type in (conditions.READY, conditions.STALLED) or (
            about.kind == "Tenant" and "Unreachable" in reasons
        ):
            # The RealtimeCluster tells of an outage once, not each of ten thousand Tenants.
            continue
        if condition.status == "False" and (past is None or (past.status, past.reason) != ("False", condition.reason)):
            told.append(News(condition.reason, f"{condition.type}: {condition.message}", now, "Warning"))
        elif condition.status == "True" and past and past.status == "False":
            told.append(News("Recovered", f"{condition.type}: {condition.message}", now))
    return tuple(event(about, each) for each in told)
