"""The Kubernetes objects of one tenant, as they should be and as they are: the same type for both.

Of an object only that is kept which this operator decides: its mark, and the fields named in `FIELDS`. A label,
an annotation or a default that somebody else added is therefore no drift; a subject, a rule or a key that was
added to a field of ours is. Everything is found by name (`names`): a copy of one of our objects under another
name is never taken for ours, whatever its labels say.
"""

import hashlib
import json
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from functools import lru_cache
from sys import intern
from typing import Any

from matrixhub.api import naming
from matrixhub.api.values import parse_quantity
from matrixhub.backends.contract import Mark, Owner
from matrixhub.kube.resources import (
    BY_KIND,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    RESOURCE_QUOTA,
    ROLE_BINDING,
    SECRET,
    Manifest,
    Resource,
)

ORDER = (
    NAMESPACE,
    NETWORK_POLICY,
    LIMIT_RANGE,
    SECRET,
    RESOURCE_QUOTA,
    ROLE_BINDING,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
)
"""The kinds in the order in which they are made, and from the end in which they are removed.

Doors open last and shut first. The quota comes after the Secrets: a quota on Secrets refuses them until the
quota controller has counted (`status unknown for quota`).
"""

SECRETS = ("postgres", "redis", "kafka", "object-store", "gateway")
"""Every name a Secret of ours may have."""
ROLES = ("admin", "edit", "view")
"""The ClusterRoles of Kubernetes that owners are bound to."""

DISPLAY_NAME_ANNOTATION = f"{naming.GROUP}/display-name"
POD_SECURITY = "pod-security.kubernetes.io/"

FIELDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "Namespace": (),
    "NetworkPolicy": (("spec", "podSelector"), ("spec", "policyTypes"), ("spec", "ingress"), ("spec", "egress")),
    "LimitRange": (("spec", "limits"),),
    "Secret": (("type",), ("data",), ("immutable",)),
    "ResourceQuota": (("spec", "hard"), ("spec", "scopes"), ("spec", "scopeSelector")),
    "RoleBinding": (("subjects",), ("roleRef",)),
    "ClusterRole": (("rules",), ("aggregationRule",)),
    "ClusterRoleBinding": (("subjects",), ("roleRef",)),
}
"""What is ours in each kind, beside the mark; of the Namespace its Pod Security labels and display name."""

DIGEST = 16
"""Hexadecimal digits kept of the SHA-256 of a Secret's value: 64 bits, enough to see a change."""


@dataclass(frozen=True, slots=True)
class Object:
    """One object: `content` is the canonical JSON of our fields, Secrets hashed; `mark` is None when it is not ours.

    `labelled` says whether it carries our mark and the labels by which it is listed. `uid` and `maker` (who wrote
    it first) are known of what was found, `manifest` (JSON, with the Secret's values) of what is wanted.
    """

    kind: str
    namespace: str
    name: str
    content: str
    mark: Mark | None
    labelled: bool = True
    uid: str = field(default="", compare=False)
    maker: str = field(default="", compare=False)
    manifest: str = field(default="", compare=False, repr=False)

    @property
    def resource(self) -> Resource:
        """Where objects of this kind live."""
        return BY_KIND[self.kind]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class State:
    """All objects of one tenant, in `ORDER`; equal when nothing is to be done.

    `retained` (desired only): what there is stays, and nothing is made where there is no Namespace.
    `terminating` (observed only): the Namespace is being deleted, and what it still waits for.
    """

    tenant: str
    owner: Owner
    objects: tuple[Object, ...] = ()
    retained: bool = False
    terminating: str | None = None


def names(tenant: str) -> dict[str, tuple[str, ...]]:
    """By kind, every name that an object of the tenant may have."""
    cluster_wide = (naming.cluster_role(tenant),)
    return {
        "Namespace": (naming.namespace(tenant),),
        "NetworkPolicy": ("matrixhub",),
        "LimitRange": ("matrixhub",),
        "Secret": SECRETS,
        "ResourceQuota": ("matrixhub",),
        "RoleBinding": tuple(f"matrixhub-{role}" for role in ROLES),
        "ClusterRole": cluster_wide,
        "ClusterRoleBinding": cluster_wide,
    }


def arranged(objects: list[Object]) -> tuple[Object, ...]:
    """The objects in `ORDER`, those of one kind by name."""
    position = {resource.kind: index for index, resource in enumerate(ORDER)}
    return tuple(sorted(objects, key=lambda each: (position[each.kind], each.name)))


def found(manifest: Manifest, tenant: str, owner: Owner) -> Object:
    """The object that the API server showed, `owner` being the tenant's.

    One whose mark was removed by hand is still ours while the server's record (`managedFields`) says that this
    operator has written it; it then counts as not labelled, so that mark and labels are put back.
    """
    metadata = manifest["metadata"]
    labels = metadata.get("labels") or {}
    writers = sorted(metadata.get("managedFields") or (), key=lambda entry: str(entry.get("time", "")))
    annotations = metadata.get("annotations") or {}
    mark = _mark(annotations.get(naming.OWNER_ANNOTATION, ""), annotations.get(naming.RETAINED_ANNOTATION, ""))
    written = any(entry.get("manager") == naming.FIELD_MANAGER for entry in writers)
    return Object(
        kind=manifest["kind"],
        namespace=intern(metadata.get("namespace", "")),
        name=intern(metadata["name"]),
        content=content(manifest),
        mark=Mark(owner) if mark is None and written else mark,
        labelled=mark is not None and identity(tenant).items() <= labels.items(),
        uid=metadata.get("uid", ""),
        maker=intern(writers[0].get("manager", "")) if writers else "",
    )


def identity(tenant: str) -> dict[str, str]:
    """The labels that every object of the tenant carries."""
    return {**naming.MANAGED_BY, naming.TENANT_LABEL: tenant}


def content(manifest: Manifest) -> str:
    """The canonical JSON of the fields that are ours: equal for objects that mean the same.

    Equal strings are one object in memory: most tenants have the same limits, labels and network policy.
    """
    kept: dict[str, Any] = {}
    for path in FIELDS[manifest["kind"]]:
        inner, outer = manifest, kept
        for step in path[:-1]:
            inner, outer = inner.get(step) or {}, outer.setdefault(step, {})
        if inner.get(path[-1]):
            outer[path[-1]] = inner[path[-1]]
    if manifest["kind"] == "Namespace":
        kept = _namespace_content(manifest["metadata"])
    if manifest["kind"] == "Secret":
        kept["data"] = {key: _digest(value) for key, value in kept.get("data", {}).items()}
    if manifest["kind"] == "ResourceQuota":
        kept["spec"]["hard"] = _canonical(kept["spec"].get("hard", {}))
    if manifest["kind"] == "LimitRange":
        kept["spec"]["limits"] = [_canonical_limits(each) for each in kept["spec"].get("limits", ())]
    return intern(json.dumps(kept, sort_keys=True, separators=(",", ":")))


@lru_cache(maxsize=1 << 14)
def _mark(text: str, retained: str) -> Mark | None:
    """The mark that these annotations make; a tenant's dozen objects share one."""
    try:
        return Mark(Owner.parse(text), retained == "true")
    except ValueError:
        return None


def _namespace_content(metadata: dict[str, Any]) -> dict[str, Any]:
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return {
        "metadata": {
            "annotations": {key: value for key, value in annotations.items() if key == DISPLAY_NAME_ANNOTATION},
            "labels": {key: value for key, value in labels.items() if key.startswith(POD_SECURITY)},
        }
    }


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:DIGEST]


def _canonical(quantities: dict[str, str | int]) -> dict[str, str]:
    """By name the plain decimal number: `1024Mi` and `1Gi` are equal, `4` and `"4"` too."""
    return {name: format(_plain(parse_quantity(text)), "f") for name, text in quantities.items()}


def _plain(number: Decimal) -> Decimal:
    """Rounded up to a billionth, as the API server does."""
    whole = number.to_integral_value()
    return whole if number == whole else number.quantize(Decimal("1e-9"), ROUND_UP).normalize()


def _canonical_limits(limit: dict[str, Any]) -> dict[str, Any]:
    return {key: _canonical(value) if isinstance(value, dict) else value for key, value in limit.items()}
