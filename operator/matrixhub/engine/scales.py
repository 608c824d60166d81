"""What is told of scaling: on the RealtimeCluster, on its Tenants, and as Events. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from matrixhub.api import conditions, naming
from matrixhub.api.conditions import Condition
from matrixhub.api.values import timestamp
from matrixhub.engine.audit import Change
from matrixhub.scaling.report import Report, Scaled
from matrixhub.scaling.samples import Missing

REFRESH = timedelta(seconds=60)
"""How long a sentence whose numbers alone have changed stays as it is: a status is no stream of measurements."""
COUNT_EVERY, COUNTED_PER_SECOND = 10.0, 50
"""Seconds between two counts of a Tenant's connections, at least; with many Tenants so that so many change a second."""
SHOWN_PODS = 100


@dataclass(frozen=True)
class Scales:
    """What a RealtimeCluster's status says of scaling, and when it was last made to say so."""

    entries: tuple[Mapping[str, Any], ...] = ()
    gateway: Mapping[str, Any] | None = None
    condition: tuple[str, str, str] | None = None
    """Status, reason and message of `ScalingActive`; None where nothing is scaled."""
    told: datetime | None = None


@dataclass
class Counts:
    """The Tenants' connections as last told."""

    connections: dict[str, int] = field(default_factory=dict)
    told: float = 0.0


def scales(before: Scales, report: Report, known: Mapping[str, Any], now: datetime) -> Scales:
    """What is to be told now; the same as before while nothing but numbers in sentences differ, for a while.

    `known` is the status as last read: an operator that has just started keeps the times in it.
    """
    former = {entry["name"]: entry for entry in before.entries or known.get("scaling") or ()}
    entries = tuple(_entry(each, former.get(each.name), now) for each in report.scaled)
    new = Scales(entries, _gateway(report), _condition(report), now)
    fresh = before.told is not None and now - before.told < REFRESH
    return before if fresh and _essence(new) == _essence(before) else new


def condition(told: Scales, generation: int) -> list[Condition]:
    """`ScalingActive`, where something is scaled."""
    if told.condition is None:
        return []
    status, reason, message = told.condition
    return [
        Condition.model_validate(
            {
                "type": conditions.SCALING_ACTIVE,
                "status": status,
                "reason": reason,
                "message": message,
                "observedGeneration": generation,
            }
        )
    ]


def rescales(report: Report) -> list[tuple[str, Change]]:
    """A sentence for each number that was changed, and from what to what."""
    return [
        (
            f"{each.name}: {each.replicas} to {each.decision.replicas}: {each.decision.message}",
            Change(f"{each.name}.replicas", each.replicas, each.decision.replicas),
        )
        for each in report.scaled
        if each.stepped and each.decision
    ]


def counted(counts: Counts, shown: Mapping[str, int], report: Report, now: float) -> list[str]:
    """The tenants whose connections are other than `shown`; `counts` holds them. None while a gateway is silent."""
    every = max(COUNT_EVERY, len(shown) / COUNTED_PER_SECOND)
    if report.seen is None or not report.seen.whole or now - counts.told < every:
        return []
    counts.told = now
    counts.connections = {tenant: report.seen.apps.get(naming.app_id(tenant), 0) for tenant in shown}
    return [tenant for tenant, number in counts.connections.items() if shown[tenant] != number]


def _entry(scaled: Scaled, former: Mapping[str, Any] | None, now: datetime) -> Mapping[str, Any]:
    decision = scaled.decision
    desired, reason = (decision.replicas, decision.reason) if decision else (scaled.replicas, "ScaleFailed")
    entry = {
        "name": scaled.name,
        "replicas": scaled.replicas,
        "desiredReplicas": desired,
        "reason": reason,
        "message": _sentence(scaled),
    }
    if scaled.stepped:
        entry["lastScaleTime"] = timestamp(now)
    elif former and "lastScaleTime" in former:
        entry["lastScaleTime"] = former["lastScaleTime"]
    return entry


def _sentence(scaled: Scaled) -> str:
    message, trouble = scaled.decision.message if scaled.decision else "", scaled.trouble
    if trouble is None or trouble.message in message:
        return message
    return f"{message} ({trouble.message})" if message else trouble.message


def _gateway(report: Report) -> Mapping[str, Any] | None:
    if report.seen is None:
        return None
    replicas = next((each.replicas for each in report.scaled if each.name == "gateway"), 0)
    samples = () if isinstance(report.seen.samples, Missing) else report.seen.samples
    fullest = sorted(samples, key=lambda s: (-(s.connections or 0), s.pod))[:SHOWN_PODS]
    return {
        "replicas": replicas,
        "ready": sum(sample.ready for sample in samples),
        "connections": report.seen.connections,
        "pods": [
            {"name": s.pod, "ready": s.ready, "connections": -1 if s.connections is None else s.connections}
            for s in sorted(fullest, key=lambda s: s.pod)
        ],
    }


def _condition(report: Report) -> tuple[str, str, str] | None:
    if not report.scaled:
        return None
    troubled = [(each.name, each.trouble) for each in report.scaled if each.trouble and not each.trouble.passing]
    if not troubled:
        return "True", "ValidMetrics", "All that is decided from can be read"
    name, trouble = troubled[0]
    return "False", trouble.reason, f"{name}: {trouble.message}"


def _essence(told: Scales) -> Any:
    """All but the sentences."""
    entries = [{key: value for key, value in each.items() if key != "message"} for each in told.entries]
    return entries, told.gateway, told.condition and told.condition[:2]
