"""Tells the audit trail what happens to Tenants and RealtimeClusters, and who made it happen."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from matrixhub.engine import audit
from matrixhub.engine.audit import Change, Record
from matrixhub.engine.outcome import Outcome
from matrixhub.engine.trail import Trail
from matrixhub.kube.resources import Manifest

UNSEEN = -1
"""The generation that a status is born with."""


class _Known(NamedTuple):
    """What was last told of a resource; its spec as JSON, which takes a fraction of the room."""

    uid: str
    generation: int
    deleting: bool
    spec: str
    manager: str


class Chronicle:
    """Remembers what it told of each resource, by `Tenant/name` or `RealtimeCluster/namespace/name`."""

    def __init__(self, trail: Trail) -> None:
        self.trail = trail
        self._known: dict[str, _Known] = {}
        self._touched: dict[str, str] = {}

    def seen(self, kind: str, body: Manifest) -> None:
        """The resource says this: what is new in it is told, once, with the manager that wrote it."""
        metadata, spec = body["metadata"], body.get("spec") or {}
        key = _key(kind, metadata)
        before = self._known.get(key)
        if before and before.uid != metadata["uid"]:
            before = None
        generation, deleting = metadata.get("generation", 0), "deletionTimestamp" in metadata
        if before and (before.generation, before.deleting) == (generation, deleting):
            return
        changes = audit.changes(json.loads(before.spec), spec) if before else ()
        manager = audit.manager(metadata, [change.field for change in changes]) or (before.manager if before else "")
        self._known[key] = _Known(metadata["uid"], generation, deleting, json.dumps(spec), manager)
        told = {"manager": manager, "generation": generation, **_place(kind, metadata, spec)}
        if before and changes:
            sentence = f"was changed: {', '.join(change.field for change in changes)}"
            self._tell(f"{kind}Changed", f"{kind} {metadata['name']} {sentence}", changes=changes, **told)
        elif before is None and (first := _first(kind, body)):
            self._tell(first.reason, first.message, changes=first.changes, **told)
        if deleting and not (before and before.deleting):
            # Who deletes an object is written nowhere on it.
            self._tell(f"{kind}Deleted", _farewell(kind, metadata["name"], spec), **told | {"manager": ""})

    def gone(self, kind: str, key: str, cluster: str) -> None:
        """The resource no longer exists."""
        self._touched.pop(key, None)
        if self._known.pop(f"{kind}/{key}", None):
            tenant = key if kind == "Tenant" else ""
            self._tell(f"{kind}Gone", f"{kind} {key.rpartition('/')[2]} is gone", cluster=cluster, tenant=tenant)

    def touched(self, tenant: str, manager: str) -> None:
        """Somebody changed an object of the tenant's namespace share."""
        self._touched[tenant] = manager

    def carried_out(self, outcome: Outcome, cluster: str, *, drift: bool, event: str) -> None:
        """What was done for a tenant: by the wish of its Tenant's last manager, or against the one who drifted."""
        known = self._known.get(f"Tenant/{outcome.tenant}")
        manager = known.manager if known else ""
        if drift:
            manager = self._touched.pop(outcome.tenant, "") if outcome.backend == "namespace" else ""
        for action in outcome.actions:
            self._tell(
                "DriftRepaired" if drift else "Reconciled",
                f"Repaired drift: {action}" if drift else action,
                tenant=outcome.tenant,
                cluster=cluster,
                backend=outcome.backend,
                manager=manager,
                generation=outcome.basis.generation,
                seconds=outcome.seconds,
                event=event,
            )

    def repaired(self, cluster: str, backend: str, sentence: str, event: str) -> None:
        """Something was changed in the shared part of a backend."""
        self._tell("Changed", sentence, cluster=cluster, backend=backend, event=event)

    def rescaled(self, cluster: str, sentence: str, change: Change, event: str) -> None:
        """A number of replicas was changed."""
        self._tell("SuccessfulRescale", sentence, cluster=cluster, changes=(change,), event=event)

    def _tell(self, reason: str, message: str, **about: Any) -> None:
        self.trail.add(Record(time=datetime.now(UTC), reason=reason, message=message, **about))


class _First(NamedTuple):
    reason: str
    message: str
    changes: tuple[Change, ...] = ()


def _first(kind: str, body: Manifest) -> _First | None:
    """What is to be told of a resource that was never seen before; nothing if it says that we know it as it is."""
    name, generation = body["metadata"]["name"], body["metadata"].get("generation", 0)
    observed = (body.get("status") or {}).get("observedGeneration", UNSEEN)
    if observed == UNSEEN:
        return _First(f"{kind}Created", f"{kind} {name} was created", (Change("spec", None, body.get("spec") or {}),))
    if observed < generation:
        message = f"{kind} {name} was changed since generation {observed}, while nobody watched"
        return _First(f"{kind}Changed", message)
    return None


def _key(kind: str, metadata: Mapping[str, Any]) -> str:
    return "/".join(filter(None, (kind, metadata.get("namespace"), metadata["name"])))


def _place(kind: str, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, str]:
    """Which tenant and RealtimeCluster it is about."""
    if kind != "Tenant":
        return {"cluster": f"{metadata['namespace']}/{metadata['name']}"}
    reference = spec.get("clusterRef") or {}
    return {"tenant": metadata["name"], "cluster": f"{reference.get('namespace')}/{reference.get('name')}"}


def _farewell(kind: str, name: str, spec: Mapping[str, Any]) -> str:
    if kind != "Tenant":
        return f"{kind} {name} is being deleted"
    data = "deleted too" if spec.get("deletionPolicy") == "Delete" else "kept"
    return f"{kind} {name} is being deleted: its data is {data}"
