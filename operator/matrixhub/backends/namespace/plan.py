"""From the objects as they are to the objects as they should be. Pure."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from matrixhub.api import naming
from matrixhub.backends.contract import Mark, Owner
from matrixhub.backends.namespace.state import Object, State
from matrixhub.errors import Conflict, Transient

IMMUTABLE: dict[str, tuple[str, ...]] = {
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "Secret": ("type", "immutable"),
    "ResourceQuota": ("spec.scopes", "spec.scopeSelector"),
    "ClusterRole": ("aggregationRule",),
}
"""Fields that nobody may change, or (the last) only a cluster-admin: what differs there is removed and made again."""

GUARDS = ("Namespace", "NetworkPolicy", "LimitRange", "ResourceQuota")
"""What stays around workloads that stay."""


@dataclass(frozen=True)
class Create:
    """The object is made; nothing of that name may be there."""

    object: Object

    def __str__(self) -> str:
        return f"Created {self.object}"

    @property
    def kind(self) -> str:
        """The object's."""
        return self.object.kind


@dataclass(frozen=True)
class Change:
    """The object of this `uid` is put right by a JSON merge patch: our fields, and null for what is too much."""

    object: Object
    uid: str
    fields: tuple[str, ...]
    patch: str = field(repr=False)

    def __str__(self) -> str:
        return f"Set {', '.join(self.fields)} of {self.object}"

    @property
    def kind(self) -> str:
        """The object's."""
        return self.object.kind


@dataclass(frozen=True)
class Remove:
    """The object of this uid is deleted; a Namespace with all that is in it."""

    object: Object

    def __str__(self) -> str:
        return f"Deleted {self.object}" + (" with all in it" if self.object.kind == "Namespace" else "")

    @property
    def kind(self) -> str:
        """The object's."""
        return self.object.kind


@dataclass(frozen=True)
class Await:
    """The Namespace is really gone; until then the step fails with `Transient`."""

    namespace: str

    def __str__(self) -> str:
        return f"Saw the last of Namespace {self.namespace}"


@dataclass(frozen=True)
class Refuse:
    """What else was to be done is done; this object in the way is not ours, and the step fails with `Conflict`."""

    message: str
    owner: str

    def __str__(self) -> str:
        return "Left an object of somebody else alone"


Step = Create | Change | Remove | Await | Refuse


def plan(desired: State, observed: State) -> tuple[Step, ...]:
    """The steps, doors first when they shut and last when they open; ends with Refuse for what is in the way.

    Raises Conflict when the Namespace is somebody else's or nothing but the conflict is left to say, and
    Transient while a Namespace that is needed is still being deleted. An object in the way hinders nothing
    else: otherwise an owner could keep a lost role by putting one there.
    """
    house = next((each for each in observed.objects if each.kind == "Namespace"), None)
    if desired.retained or not desired.objects:
        return _departure(desired, observed, house)
    if house is not None and (refusal := _refusal(desired.owner, house, house.mark)):
        raise Conflict(refusal.message, refusal.owner)
    if observed.terminating is not None:
        raise Transient("NamespaceTerminating", _terminating(naming.namespace(desired.tenant), observed))
    steps, refusals = _toward(desired, observed, house.mark if house else None)
    if house is not None and house.mark is not None and (house.mark.retained or house.mark.owner != desired.owner):
        # Taken over last: until then no Secret in it counts as a credential (engine/vault.py), whoever put it there.
        steps.sort(key=takes_over)
    if refusals and not steps:
        raise Conflict(refusals[0].message, refusals[0].owner)
    return (*steps, *refusals)


def _departure(desired: State, observed: State, house: Object | None) -> tuple[Step, ...]:
    """Access goes, and the Namespace too unless it is retained; what is not ours is left alone.

    A Namespace that an earlier Tenant left and this one never took over stays, with what guards it.
    """
    mine = house is not None and _admits(desired.owner, house.mark, house.mark)
    own = house is not None and house.mark is not None and house.mark.ends_with(desired.owner)
    settled = State(desired.tenant, desired.owner)
    if desired.retained and mine and observed.terminating is None:
        settled = desired
    elif mine and not own and not desired.retained:
        settled = replace(settled, objects=tuple(each for each in observed.objects if each.kind in GUARDS))
    steps, _ = _toward(settled, observed, house.mark if house else None)
    if not own or house is None or desired.retained:
        return tuple(steps)
    outside = [step for step in steps if not (isinstance(step, Remove) and step.object.namespace)]
    if observed.terminating is not None:
        outside = [step for step in outside if not (isinstance(step, Remove) and step.object is house)]
    return (*outside, Await(house.name))


def takes_over(step: Step) -> bool:
    """Whether the step changes the Namespace itself, and with it whose it is."""
    return isinstance(step, Change) and step.kind == "Namespace"


def _toward(desired: State, observed: State, house: Mark | None) -> tuple[list[Step], list[Refuse]]:
    """Removals in the reverse of the order of making, then what is made or changed, and what is in the way."""
    wanted = {_key(each): each for each in desired.objects}
    there = {_key(each): each for each in observed.objects}
    steps: list[Step] = [
        Remove(each)
        for each in reversed(observed.objects)
        if _key(each) not in wanted and _admits(desired.owner, each.mark, house)
    ]
    refusals: list[Refuse] = []
    for key, each in wanted.items():
        for step in settle(desired.owner, each, there.get(key), house):
            if isinstance(step, Refuse):
                refusals.append(step)
            else:
                steps.append(step)
    return steps, refusals


def settle(owner: Owner, wanted: Object, found: Object | None, house: Mark | None) -> tuple[Step, ...]:
    """The steps for one object; `house` is the mark of the Namespace around it, which admits what is in it."""
    if found is None:
        return (Create(wanted),)
    if found == wanted:
        return ()
    if refusal := _refusal(owner, found, house):
        return (refusal,)
    target, current = json.loads(wanted.content), json.loads(found.content)
    fields = tuple(_differences(target, current))
    if any(name.startswith(IMMUTABLE.get(wanted.kind, ())) for name in fields):
        return (Remove(found), Create(wanted))
    if found.mark != wanted.mark:
        fields += ("the owner's mark",)
    if not found.labelled:
        fields += ("mark and labels",)
    return (Change(wanted, found.uid, fields, _patch(wanted, found, target, current)),)


def _key(each: Object) -> tuple[str, str]:
    return each.kind, each.name


def _admits(owner: Owner, mark: Mark | None, house: Mark | None) -> bool:
    """Whether the owner may take the object over: by its own mark, or with the retained Namespace it lies in."""
    if mark is None:
        return False
    return mark.admits(owner) or (house is not None and house.retained and house.owner == mark.owner)


def _refusal(owner: Owner, found: Object, house: Mark | None) -> Refuse | None:
    if _admits(owner, found.mark, house):
        return None
    if found.mark is not None:
        return Refuse(f"{found} belongs to {found.mark.owner.elsewhere}", str(found.mark.owner))
    maker = found.maker or "somebody"
    return Refuse(f"{found} is in the way: {maker} made it, not Matrix Hub; delete it, or rename the Tenant", maker)


def _terminating(namespace: str, observed: State) -> str:
    rest = f": {observed.terminating}" if observed.terminating else ""
    return f"namespace {namespace} is being deleted and is made again once it is gone{rest}"


def _differences(wanted: dict[str, Any], found: dict[str, Any], prefix: str = "") -> list[str]:
    """The paths at which two contents differ, lists taken as a whole."""
    paths: list[str] = []
    for key in sorted(wanted.keys() | found.keys()):
        mine, theirs = wanted.get(key), found.get(key)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            paths += _differences(mine, theirs, f"{prefix}{key}.")
        elif mine != theirs:
            paths.append(f"{prefix}{key}")
    return paths


def _patch(wanted: Object, found: Object, target: dict[str, Any], current: dict[str, Any]) -> str:
    """A JSON merge patch (RFC 7396), for this object only: all of ours as wanted, and null for what is too much."""
    body = _with_nulls(json.loads(wanted.manifest or "{}"), target, current)
    metadata = body.setdefault("metadata", {})
    metadata["uid"] = found.uid
    if found.mark is not None and found.mark.retained and not (wanted.mark and wanted.mark.retained):
        metadata.setdefault("annotations", {})[naming.RETAINED_ANNOTATION] = None
    return json.dumps(body)


def _with_nulls(body: dict[str, Any], target: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    result = dict(body)
    for key, value in current.items():
        if key not in target:
            result[key] = None
        elif isinstance(value, dict) and isinstance(target[key], dict):
            result[key] = _with_nulls(result.get(key, {}), target[key], value)
    return result
