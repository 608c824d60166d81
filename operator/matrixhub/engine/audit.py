"""The audit trail's records: who changed what, when, from what to what. Pure; no secret is ever in one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from matrixhub.api import naming

ABSENT = object()
"""The value of a field that is not set."""


class Change(NamedTuple):
    """A field by its path, such as `spec.redis.memory`, and its values; None where it was not, or is no longer, set."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Record:
    """One change of anything. What does not apply is empty."""

    time: datetime
    reason: str
    """One CamelCase word, that of the Event where there is one."""
    message: str
    """A sentence."""
    cluster: str = ""
    """The RealtimeCluster's `namespace/name`."""
    tenant: str = ""
    backend: str = ""
    manager: str = ""
    """The field manager whose change this is, or is a consequence of."""
    generation: int = 0
    """Of the Tenant or RealtimeCluster, as the change was made or carried out."""
    changes: tuple[Change, ...] = ()
    seconds: float = 0.0
    """How long it took to carry out, with all else that was carried out in the same round."""
    event: str = ""
    """The name of the Kubernetes Event that tells of it."""
    warning: bool = False
    """Whether somebody may have to act."""

    def about(self) -> dict[str, Any]:
        """All but time and message, for a line of the log; only what applies."""
        said: dict[str, Any] = {
            "reason": self.reason,
            "tenant": self.tenant,
            "cluster": self.cluster,
            "backend": self.backend,
            "manager": self.manager,
            "generation": self.generation,
            "changes": [{"field": c.field, "from": c.before, "to": c.after} for c in self.changes],
            "seconds": round(self.seconds, 3),
            "event": self.event,
        }
        return {name: value for name, value in said.items() if value}

    def dump(self) -> dict[str, Any]:
        """The whole record, for JSON."""
        moment = self.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"time": moment, "message": self.message, **self.about()}


def changes(before: Any, after: Any, path: str = "spec") -> tuple[Change, ...]:
    """What differs between two manifests' parts, each field by itself and a list as a whole."""
    return tuple(_differences(before, after, path))


def _differences(before: Any, after: Any, path: str) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from _differences(before.get(name, ABSENT), after.get(name, ABSENT), f"{path}.{name}")
    elif before != after:
        yield Change(path, None if before is ABSENT else before, None if after is ABSENT else after)


def manager(metadata: Mapping[str, Any], paths: Iterable[str] = ()) -> str:
    """The field manager that changed an object last; of one with many, the last that set any of these fields.

    Another than ourselves; "" where nobody else ever wrote it. Times are whole seconds, so of two managers within
    one the fields decide.
    """
    entries = [
        entry
        for entry in metadata.get("managedFields") or ()
        if not entry.get("subresource") and entry.get("manager") not in (naming.FIELD_MANAGER, naming.SCALER)
    ]
    wanted = [path.split(".") for path in paths]
    owners = [entry for entry in entries if any(_owns(entry.get("fieldsV1") or {}, path) for path in wanted)]
    latest: Mapping[str, Any] = max(owners or entries, key=lambda entry: str(entry.get("time", "")), default={})
    return str(latest.get("manager", ""))


def _owns(fields: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether the fields of a manager (a FieldsV1) hold the path, or a whole that it is in."""
    for name in path:
        if f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
        if not fields:
            return True
    return True


def of_event(event: Mapping[str, Any], cluster: str, now: datetime) -> Record | None:
    """What an Event about a condition records; None for one that tells of a change which has its own record."""
    warning = event["type"] == "Warning"
    if not warning and event["reason"] != "Recovered":
        return None
    about = event["involvedObject"]
    return Record(
        time=now,
        reason=event["reason"],
        message=event["message"],
        tenant=about["name"] if about["kind"] == "Tenant" else "",
        cluster=cluster,
        event=event["metadata"]["name"],
        warning=warning,
    )
