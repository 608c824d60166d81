"""From standings to the status of a Tenant and of a RealtimeCluster. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from matrixhub.api import conditions, naming
from matrixhub.api.conditions import Condition
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.api.values import timestamp
from matrixhub.backends.contract import Phase, Survey
from matrixhub.engine.outcome import Basis
from matrixhub.engine.scales import Scales
from matrixhub.engine.scales import condition as scaling_condition
from matrixhub.engine.standing import NAMESPACE, Drift, Entry, Standing, drifts
from matrixhub.errors import BackendError, Conflict, Rejected

CONDITION = {
    NAMESPACE: conditions.NAMESPACE_READY,
    "postgres": conditions.POSTGRES_READY,
    "redis": conditions.REDIS_READY,
    "kafka": conditions.KAFKA_READY,
    "objectstore": conditions.OBJECT_STORE_READY,
    "gateway": conditions.GATEWAY_READY,
    "relay": conditions.RELAY_READY,
}
"""The condition of each backend, in the order in which they are shown."""
NAMED = 10
"""Tenants that a message names."""
_DONE = {
    Phase.ACTIVE: ("Succeeded", "Ready"),
    Phase.SUSPENDED: ("Suspended", "Suspended: the data is untouched and every door is shut"),
    Phase.RETAINED: ("Retained", "Access is removed, the data is kept"),
    Phase.DELETED: ("Deleted", "Access and data are removed"),
}
NEVER_HELD = "this Tenant never had its share there, and what an earlier one of this name left there stays"


def _say(
    kind: str, status: Literal["True", "False", "Unknown"], reason: str, message: str, generation: int
) -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message, observed_generation=generation)


def tenant_status(
    entry: Entry,
    backends: Sequence[str],
    trouble: BackendError | None,
    now: datetime,
    missing: Mapping[str, BackendError] = MappingProxyType({}),
) -> dict[str, Any]:
    """The whole status of a Tenant.

    `trouble` is what keeps all backends from beginning, such as a missing cluster; `missing` what keeps one.
    """
    tenant = entry.tenant
    generation = tenant.metadata.generation
    told = [_condition(entry, name, trouble or missing.get(name)) for name in backends]
    standings = [entry.standings[name] for name in backends if name in entry.standings]
    summary = conditions.summarize(told, generation)
    if entry.deleting:
        summary = _terminating(summary, generation)
    merged = _merged(tenant.status, [summary, *stalled(summary, entry, standings, missing), *told], now)
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "namespace": naming.namespace(tenant.id),
        "message": summary.message,
        "conditions": [condition.dump() for condition in merged],
        "shares": sorted(entry.shares),
    }
    if clusters := {s.settled.cluster_generation for s in standings if s.settled}:
        status["observedClusterGeneration"] = min(clusters)
    if found := drifts(entry.standings):
        status["drift"] = [
            {"backend": drift.backend, "time": timestamp(drift.time), "message": drift.message} for drift in found
        ]
    return status


def stalled(
    summary: Condition, entry: Entry, standings: Iterable[Standing], missing: Collection[str] = ()
) -> list[Condition]:
    """`Stalled`, while nothing will change until a person acts; an older generation's error says nothing."""
    generation = entry.tenant.metadata.generation
    errors = [s.outcome.error for s in standings if s.outcome and s.outcome.basis.generation == generation]
    return _stuck(summary, errors, elsewhere=bool(entry.invalid or missing))


def _stuck(
    summary: Condition, found: Iterable[Survey | BackendError | None], *, elsewhere: bool = False
) -> list[Condition]:
    """`Stalled`, where one of the errors, or what is wrong `elsewhere`, waits for a person."""
    waits = elsewhere or any(isinstance(each, Rejected | Conflict) for each in found)
    return [conditions.stalled(summary)] if waits and summary.status == "False" else []


def _merged(status: Mapping[str, Any], new: Sequence[Condition], now: datetime) -> tuple[Condition, ...]:
    """The new conditions with their times kept; one that is no longer told goes."""
    types = {condition.type for condition in new}
    old = [condition for condition in conditions.parse(status) if condition.type in types]
    return conditions.merge(old, new, now)


def _terminating(summary: Condition, generation: int) -> Condition:
    message = "Waiting for the backends" if summary.status == "True" else f"Waiting: {summary.message}"
    return _say("Ready", "False", "Terminating", message, generation)


def _condition(entry: Entry, backend: str, trouble: BackendError | None) -> Condition:
    kind, generation = CONDITION[backend], entry.tenant.metadata.generation
    standing = entry.standings.get(backend, Standing())
    outcome = standing.outcome
    if entry.invalid:
        return _say(kind, "False", "InvalidSpec", entry.invalid, generation)
    if trouble:
        return _say(kind, "False", trouble.reason, trouble.message, generation)
    if outcome is None or outcome.basis.uid != entry.tenant.metadata.uid:
        before = "" if backend == NAMESPACE or entry.housed else " for the namespace, which holds the credentials"
        pending = _say(kind, "Unknown", "Pending", f"Waiting{before}", generation)
        return (_said_before(entry.tenant, kind) if standing.settled else None) or pending
    if outcome.error:
        error = outcome.error
        return _say(kind, "False", error.reason, error.message, outcome.basis.generation)
    if outcome.phase is not entry.phase:
        return _say(kind, "Unknown", "Pending", "Waiting", generation)
    reason, message = _DONE[outcome.phase]
    if outcome.phase is Phase.DELETED and backend not in entry.shares:
        message = f"Access is removed; {NEVER_HELD}"
    return _say(kind, "True", reason, message, outcome.basis.generation)


def _said_before(tenant: Tenant, kind: str) -> Condition | None:
    """What a former process found of this generation: it stands until this one has looked, or all would flap."""
    said = (condition for condition in conditions.parse(tenant.status) if condition.type == kind)
    wanted = ("True", tenant.metadata.generation)
    return next((each for each in said if (each.status, each.observed_generation) == wanted), None)


def standings_of(status: Mapping[str, Any], uid: str) -> dict[str, Standing]:
    """What a status read at start tells: which wishes were already fulfilled, and the last drifts."""
    cluster_generation: int | None = status.get("observedClusterGeneration")
    drift = {
        item["backend"]: Drift(item["backend"], _moment(item["time"]), item["message"])
        for item in status.get("drift", [])
    }
    known = {condition.type: condition for condition in conditions.parse(status)}
    standings = {}
    for backend, kind in CONDITION.items():
        condition = known.get(kind)
        basis = None
        if condition is not None and condition.status == "True" and cluster_generation is not None:
            basis = Basis(uid, condition.observed_generation, cluster_generation)
        standings[backend] = Standing(settled=basis, drift=drift.get(backend))
    return standings


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Health:
    """The last survey of one backend of a RealtimeCluster, or what is wrong with it, and since when."""

    survey: Survey | BackendError
    since: datetime
    version: str = ""
    generation: int = 0
    """The generation of the RealtimeCluster with which it was looked at."""

    @property
    def reachable(self) -> bool:
        """Whether the backend can be worked with."""
        return isinstance(self.survey, Survey)


def cluster_status(
    cluster: RealtimeCluster,
    backends: Sequence[str],
    health: Mapping[str, Health],
    tenants: Sequence[str],
    scales: Scales,
    now: datetime,
    leaving: Sequence[str] = (),
) -> dict[str, Any]:
    """The whole status of a RealtimeCluster on which `tenants` live; `leaving` is what it takes along at its end."""
    generation = cluster.metadata.generation
    told = [_cluster_condition(name, health.get(name), generation) for name in backends]
    summary = conditions.summarize(told, generation)
    if cluster.metadata.deletion_timestamp is not None:
        summary = _say("Ready", "False", "Terminating", _still_there(tenants, leaving), generation)
    known = {name: health[name] for name in backends if name in health}
    found = [each.survey for each in known.values() if each.generation == generation]
    new = [summary, *_stuck(summary, found), *told, *scaling_condition(scales, generation)]
    merged = _merged(cluster.status, new, now)
    gateway = {"gateway": dict(scales.gateway)} if scales.gateway else {}
    return {
        **gateway,
        "scaling": [dict(entry) for entry in scales.entries],
        "observedGeneration": generation,
        "message": summary.message,
        "tenants": len(tenants),
        "conditions": [condition.dump() for condition in merged],
        "backends": [
            {"name": name, "reachable": each.reachable, "since": timestamp(each.since), "version": each.version}
            for name, each in known.items()
        ],
        "findings": [
            {"backend": name, "reason": finding.reason, "message": finding.message}
            for name, each in known.items()
            if isinstance(each.survey, Survey)
            for finding in each.survey.findings
        ],
    }


def _still_there(tenants: Sequence[str], leaving: Sequence[str]) -> str:
    if not tenants:
        last = f", or remove the finalizer {naming.CLUSTER_FINALIZER} to leave it there" if leaving else ""
        return f"Removing what is its own: {'; '.join(leaving) or 'under way'}{last}"
    few, more = tenants[:NAMED], len(tenants) - NAMED
    names = ", ".join(few) + (f" and {more} more" if more > 0 else "")
    return (
        f"Waiting for the Tenants that live on it: {names}: delete them first, each keeps or loses its data as it says"
    )


def label(backend: str) -> str:
    """The backend's name as conditions have it, such as `ObjectStore`."""
    return CONDITION[backend].removesuffix("Ready")


def _cluster_condition(backend: str, health: Health | None, generation: int) -> Condition:
    kind = CONDITION[backend]
    if health is None:
        return _say(kind, "Unknown", "Pending", "Waiting", generation)
    if isinstance(health.survey, BackendError):
        return _say(kind, "False", health.survey.reason, health.survey.message, generation)
    if findings := [finding for finding in health.survey.findings if finding.mendable]:
        more = f" (and {len(findings) - 1} more: see status.findings)" if len(findings) > 1 else ""
        message = findings[0].message + more
        return _say(kind, "False", findings[0].reason, message, generation)
    return _say(kind, "True", "Succeeded", "Ready", generation)
