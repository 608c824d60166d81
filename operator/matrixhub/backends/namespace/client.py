"""Reads and writes the tenants' Kubernetes objects; the only file here that talks to the API server."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from matrixhub.api import naming
from matrixhub.backends.contract import Applied, Intent, Phase, Survey
from matrixhub.backends.namespace import desired as wishes
from matrixhub.backends.namespace import plan as steps
from matrixhub.backends.namespace.plan import Await, Change, Create, Refuse, Remove, Step
from matrixhub.backends.namespace.state import ORDER, Object, State, arranged, found, names
from matrixhub.errors import BackendError, Conflict, Rejected, Transient, Unreachable
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import NAMESPACE, Manifest, Resource

PATIENCE = 1.0
"""Seconds in which the API server's admission sees what was just written."""
THREADS = 16
"""Requests under way at once, as many as the API's client keeps connections."""
FEW = 20
"""Tenants that are read one by one (8 requests each) however many others there are."""
SHARE = 20
"""Reading one tenant by itself costs as much as this many in a list of all, measured."""
NOT_MARKED = "named tenant-* and marked as its own"
"""The words of the chart's confinement. Where the mark was just put back, the API server sees it a moment later."""
REMEDY = "apply manifests/admin-rights/kubernetes.yaml"

T = TypeVar("T")
R = TypeVar("R")


class Client:
    """The namespace backend, one for all RealtimeClusters; constructing it makes no request."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="namespace-request")
        self._known = 0

    def prepare(self) -> Survey:
        """The API server answers; there is nothing to set up."""
        return Survey(version=self._api.version())

    def observe(self, intents: Sequence[Intent]) -> Mapping[str, State | BackendError]:
        """What exists of each tenant. Raises Unreachable, or Rejected when a kind may not be read.

        One by one, or all by list, whichever costs less. A deleted Tenant that leaves its namespace is always
        read one by one, labels or no labels: what is missed there is never looked at again.
        """
        closely = [each for each in intents if each.phase is Phase.RETAINED]
        others = [each for each in intents if each.phase is not Phase.RETAINED]
        if len(others) <= FEW or len(others) * SHARE <= self._known:
            closely, others = [*closely, *others], []
        states = self._read_all(others) if others else {}
        return {**states, **dict(self._each(self._read_one, closely))}

    def desired(self, intent: Intent) -> State:
        """What should exist."""
        return wishes.desired(intent)

    def plan(self, desired: State, observed: State) -> tuple[Step, ...]:
        """The steps from observed to desired."""
        return steps.plan(desired, observed)

    def apply(self, plans: Mapping[str, tuple[Step, ...]]) -> Mapping[str, Applied]:
        """Each plan is carried out in its order, several tenants at once; raises Unreachable when no one was served."""
        applied: dict[str, Applied] = dict(self._each(self._carry_out, list(plans.items())))
        errors = [each.error for each in applied.values()]
        if errors and all(isinstance(error, Unreachable) for error in errors):
            raise Unreachable(errors[0].message if errors[0] else "")
        return applied

    def binding(self, intent: Intent) -> Mapping[str, str]:
        """Nothing: a namespace needs no credential of ours."""
        return wishes.binding(intent)

    def close(self) -> None:
        """The threads are gone."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        return list(self._pool.map(function, items))

    def _read_one(self, intent: Intent) -> tuple[str, State]:
        """The tenant's objects: by name, or by list where a kind has several names."""
        tenant, inside = intent.tenant.id, naming.namespace(intent.tenant.id)
        selector = "" if intent.phase is Phase.RETAINED else naming.MANAGED_BY_SELECTOR
        house = self._get(NAMESPACE, inside)
        manifests = [house] if house else []
        for resource in ORDER[1:]:
            known = names(tenant)[resource.kind]
            if resource.namespaced and not house:
                continue
            if len(known) > 1:
                manifests += [
                    each for each in self._list(resource, inside, selector) if each["metadata"]["name"] in known
                ]
            elif manifest := self._get(resource, known[0], inside):
                manifests.append(manifest)
        objects = arranged([found(each, tenant, intent.owner) for each in manifests])
        return tenant, State(tenant, intent.owner, objects, terminating=_terminating(house) if house else None)

    def _read_all(self, intents: Sequence[Intent]) -> dict[str, State]:
        """The tenants' objects from one list of each kind: of all namespaces, and of what carries our label.

        A namespace is found whatever its labels; another object without them is found when its making is refused.
        """
        insides = {naming.namespace(each.tenant.id): each for each in intents}
        roles = {naming.cluster_role(each.tenant.id): each for each in intents}
        lists = self._each(lambda kind: self._read_kind(kind, insides if _is_inside(kind) else roles), ORDER)
        objects: dict[str, list[Object]] = defaultdict(list)
        leaving: dict[str, str] = {}
        for one in lists:
            leaving.update(one.leaving)
            for tenant, each in one.objects:
                objects[tenant].append(each)
        return {
            tenant: State(tenant, owner, arranged(objects[tenant]), terminating=leaving.get(tenant))
            for tenant, owner in ((each.tenant.id, each.owner) for each in intents)
        }

    def _read_kind(self, resource: Resource, places: Mapping[str, Intent]) -> "_Listed":
        """Of one kind the objects at `places` (namespace, or name of a cluster-wide object, to intent)."""
        listed, known = _Listed(), 0
        for manifest in self._list(resource, None, "" if resource is NAMESPACE else naming.MANAGED_BY_SELECTOR):
            metadata = manifest["metadata"]
            known += metadata["name"].startswith(naming.namespace(""))
            intent = places.get(metadata.get("namespace") or metadata["name"])
            if intent is None or metadata["name"] not in names(intent.tenant.id)[resource.kind]:
                continue
            tenant = intent.tenant.id
            listed.objects.append((tenant, found(manifest, tenant, intent.owner)))
            if resource is NAMESPACE and (rest := _terminating(manifest)) is not None:
                listed.leaving[tenant] = rest
        if resource is NAMESPACE:
            self._known = known
        return listed

    def _carry_out(self, item: tuple[str, tuple[Step, ...]]) -> tuple[str, Applied]:
        """All steps are tried, so that one in trouble hinders no other, but for those that need the Namespace.

        A Namespace is not taken over while a Secret in it is not as it should be.
        """
        tenant, plan = item
        first: BackendError | None = None
        guarded = False
        for step in plan:
            if guarded and steps.takes_over(step):
                continue
            try:
                self._take(tenant, step)
            except BackendError as error:
                first = first or error
                guarded = guarded or (isinstance(step, Create | Change | Remove) and step.kind == "Secret")
                whole = isinstance(step, Create) and step.object.kind == "Namespace"
                if whole or isinstance(error, Unreachable):
                    break
        return tenant, Applied(error=first)

    def _take(self, tenant: str, step: Step) -> None:
        if isinstance(step, Create):
            self._create(tenant, step.object)
        elif isinstance(step, Change):
            each = step.object
            self._write(lambda: self._api.patch(each.resource, each.name, each.namespace, json.loads(step.patch)))
        elif isinstance(step, Remove):
            each = step.object
            self._write(lambda: self._api.delete(each.resource, each.name, each.namespace, each.uid))
        elif isinstance(step, Await):
            self._see_gone(step.namespace)
        elif isinstance(step, Refuse):
            raise Conflict(step.message, step.owner)

    def _create(self, tenant: str, wanted: Object) -> None:
        """The object is made, or what a list by label did not show is put right; raises Conflict if it is not ours."""
        try:
            self._write(lambda: self._api.create(json.loads(wanted.manifest)))
        except _Changed:
            manifest = self._get(wanted.resource, wanted.name, wanted.namespace)
            if manifest is None or wanted.mark is None:
                raise
            owner = wanted.mark.owner
            there = found({"kind": wanted.kind, **manifest}, tenant, owner)
            for step in steps.settle(owner, wanted, there, None):
                if isinstance(step, Create):
                    self._write(lambda: self._api.create(json.loads(wanted.manifest)))
                else:
                    self._take(tenant, step)

    def _see_gone(self, namespace: str) -> None:
        if manifest := self._get(NAMESPACE, namespace):
            rest = _remains(manifest)
            message = f"namespace {namespace} is terminating" + (f": {rest}" if rest else "")
            raise Transient("Deleting", message)

    def _get(self, resource: Resource, name: str, namespace: str | None = None) -> Manifest | None:
        try:
            manifest = self._api.get(resource, name, namespace)
        except Rejected as error:
            raise _explained(error) from None
        return {"kind": resource.kind, **manifest} if manifest else None

    def _list(self, resource: Resource, namespace: str | None, selector: str) -> Iterable[Manifest]:
        try:
            yield from self._api.list(resource, namespace, selector)
        except Rejected as error:
            raise _explained(error) from None

    def _write(self, request: Callable[[], object]) -> None:
        try:
            request()
        except Conflict as error:
            raise _Changed("ChangedMeanwhile", error.message) from None
        except Rejected as error:
            raise _explained(error) from None


class _Changed(Transient):
    """Somebody made, replaced or removed the object since it was read."""


@dataclass
class _Listed:
    """What the list of one kind showed: objects by tenant, and the Namespaces that are being deleted."""

    objects: list[tuple[str, Object]] = field(default_factory=list)
    leaving: dict[str, str] = field(default_factory=dict)


def _is_inside(resource: Resource) -> bool:
    """Whether objects of this kind are found by the tenant's namespace."""
    return resource.namespaced or resource is NAMESPACE


def _terminating(namespace: Manifest) -> str | None:
    """What a Namespace that is being deleted still waits for, or None when nobody deletes it."""
    return _remains(namespace) if namespace["metadata"].get("deletionTimestamp") else None


def _remains(namespace: Manifest) -> str:
    """What a terminating Namespace still waits for, in the namespace controller's words."""
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    return "; ".join(each["message"] for each in conditions if each.get("status") == "True")


def _explained(error: Rejected) -> BackendError:
    """A refusal with what to do about it; what passes by itself as Transient."""
    if error.reason == "NotFound":
        return _Changed("ChangedMeanwhile", error.message)
    if error.reason != "PermissionDenied":
        return error
    if "being terminated" in error.message:
        return Transient("NamespaceTerminating", error.message)
    if NOT_MARKED in error.message or "status unknown for quota" in error.message:
        return Transient("MarkNotSeen" if NOT_MARKED in error.message else "QuotaNotCounted", error.message, PATIENCE)
    if "exceeded quota" in error.message:
        return Rejected("QuotaExceeded", f"{error.message}: raise it in spec.compute, or remove what is too much")
    return Rejected("PermissionDenied", f"{error.message}: {REMEDY}")
