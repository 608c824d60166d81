"""Conditions of a status: what each says, how they are kept over time, and what they sum up to. Pure.

They follow the API conventions, so that `kubectl wait`, kstatus (Flux) and Argo CD read them alike: all are
present from the first write (`Unknown`), each carries the generation it speaks of, and `Stalled` stands there
only while nothing will change until a person acts.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from matrixhub.api.values import Model

READY = "Ready"
STALLED = "Stalled"
NAMESPACE_READY = "NamespaceReady"
POSTGRES_READY = "PostgresReady"
REDIS_READY = "RedisReady"
KAFKA_READY = "KafkaReady"
OBJECT_STORE_READY = "ObjectStoreReady"
GATEWAY_READY = "GatewayReady"
RELAY_READY = "RelayReady"
"""Of a RealtimeCluster alone: tenants have no share of the relay."""
SCALING_ACTIVE = "ScalingActive"
"""Of a RealtimeCluster alone, with the meaning that a HorizontalPodAutoscaler gives it: metrics can be read."""
BACKEND_TYPES = (NAMESPACE_READY, POSTGRES_READY, REDIS_READY, KAFKA_READY, OBJECT_STORE_READY, GATEWAY_READY)
"""One for each backend, in the order in which a person reads them."""

PROGRESSING = "Progressing"
"""Reason while work is under way."""
SUCCEEDED = "Succeeded"
"""Reason of a condition that is True as usual."""
SUSPENDED = "Suspended"
"""Reason of a condition that is True because every door is shut, as asked for."""

_ORDER = {type_: index for index, type_ in enumerate((READY, STALLED, *BACKEND_TYPES, RELAY_READY, SCALING_ACTIVE))}


class Condition(Model):
    """One statement about a resource."""

    type: str
    """What the statement is about."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: str
    """Why, as one CamelCase word for programs."""
    message: str = ""
    """Why, and what to do about it, in words."""
    last_transition_time: datetime | None = None
    """When `status` last changed."""
    observed_generation: int = 0
    """The generation of the spec that the statement speaks of."""

    def dump(self) -> dict[str, Any]:
        """The condition as it stands in a status."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def parse(status: Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions of a status as read from the API server."""
    return tuple(Condition.model_validate(each) for each in status.get("conditions") or ())


def merge(old: Sequence[Condition], new: Sequence[Condition], now: datetime) -> tuple[Condition, ...]:
    """`old` with those of `new` in place of their namesakes, in an order that depends on the types alone.

    A condition whose status is unchanged keeps its `last_transition_time`; another gets `now`, in seconds.
    A type that `new` doesn't name stays as it is.
    """
    merged = {each.type: each for each in old}
    for each in new:
        before = merged.get(each.type)
        same = before is not None and before.status == each.status
        since = before.last_transition_time if before and same else None
        merged[each.type] = each.model_copy(update={"last_transition_time": since or now.replace(microsecond=0)})
    return tuple(sorted(merged.values(), key=lambda each: (_ORDER.get(each.type, len(_ORDER)), each.type)))


def summarize(conditions: Sequence[Condition], generation: int) -> Condition:
    """`Ready`, summing up the backends' conditions.

    `True` only if each of them is `True` and speaks of `generation`. `False` with reason and words of the
    first that is `False`; `Unknown` while work is under way, or one speaks of an older generation.
    """
    backends = [each for each in conditions if each.type.endswith(READY) and each.type != READY]
    current = [each for each in backends if each.observed_generation == generation]
    failed = [each for each in current if each.status == "False"]
    waiting = [each for each in backends if each.status == "Unknown" or each not in current]
    if failed:
        return _ready("False", failed[0].reason, _words(failed), generation)
    if waiting or not backends:
        return _ready("Unknown", PROGRESSING, _progress(waiting), generation)
    if any(each.reason == SUSPENDED for each in backends):
        return _ready("True", SUSPENDED, "Suspended: data is untouched, every door is shut", generation)
    return _ready("True", SUCCEEDED, "All backends are ready", generation)


def stalled(ready: Condition) -> Condition:
    """`Stalled`, for a resource whose `Ready` will not change until a person acts: for kstatus it has failed.

    Write it while what is wrong is a `Rejected` or a `Conflict`, and leave it out otherwise.
    """
    return ready.model_copy(update={"type": STALLED, "status": "True", "last_transition_time": None})


def _ready(status: Literal["True", "False", "Unknown"], reason: str, message: str, generation: int) -> Condition:
    return Condition(type=READY, status=status, reason=reason, message=message, observed_generation=generation)


def _words(failed: Sequence[Condition]) -> str:
    first = failed[0]
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{_label(first)}: {first.reason}: {first.message}{more}"


def _progress(waiting: Sequence[Condition]) -> str:
    return f"Waiting for {', '.join(_label(each) for each in waiting)}" if waiting else "Work has not begun"


def _label(condition: Condition) -> str:
    return condition.type.removesuffix(READY)
