"""What a RealtimeCluster that leaves waits for, and what it leaves behind. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from matrixhub.api import naming
from matrixhub.backends.contract import Survey
from matrixhub.engine.kinds import Kind
from matrixhub.engine.roster import Plane
from matrixhub.engine.status import Health, label

PATIENCE = timedelta(seconds=60)
"""How long after the deletion an admin Secret that is missing is waited for, as when a whole namespace is deleted.

Without it nobody can take the account away. What it leaves opens no door: its password goes with the RealtimeCluster.
"""
MISSING = "SecretNotFound"


@dataclass(frozen=True)
class Parting:
    """Sentences: what is still to be removed, and what will not be."""

    waiting: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def parting(plane: Plane, services: Iterable[Kind], now: datetime) -> Parting:
    """How far the RealtimeCluster is with taking its accounts along; done once nothing is waited for.

    One that never had any waits for no backend, reachable or not.
    """
    waiting, left = [], []
    late = now - datetime.fromisoformat(plane.cluster.metadata.deletion_timestamp or "") >= PATIENCE
    for kind in services:
        if not kind.account or not (plane.accounts or getattr(plane.cluster.spec, kind.account)):
            continue
        health, login = plane.health.get(kind.name), naming.service_login(kind.account, plane.cluster.key)
        if late and _reason(health) == MISSING:
            left.append(f"{login} stays in {label(kind.name)}, whose admin Secret is missing")
        elif told := _told(health):
            waiting.append(f"{login} in {label(kind.name)}{told}")
    return Parting(tuple(waiting), tuple(left))


def _reason(health: Health | None) -> str:
    return "" if health is None or isinstance(health.survey, Survey) else health.survey.reason


def _told(health: Health | None) -> str:
    """Why the account is still there, behind a colon; empty once it is not."""
    if health is None:
        return ": under way"
    if not isinstance(health.survey, Survey):
        return f": {health.survey.reason}: {health.survey.message}"
    if health.survey.vacated:
        return ""
    return f": {health.survey.findings[0].message}" if health.survey.findings else ": under way"
