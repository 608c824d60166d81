"""What exists, or should exist, of one tenant in the object store. Pure.

MinIO and AWS differ in where the user's mark, rights and secret live; a field that a provider does not
have holds the same value in the desired and in the observed state, so it never makes a plan.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matrixhub.backends.contract import Mark, Owner


@dataclass(frozen=True)
class Bucket:
    """The tenant's bucket and everything about it that we keep in step."""

    name: str
    mark: Mark | None
    """From the tags; None when they are not there."""
    tenant: str
    """The tenant's id, from the tags."""
    credential: str
    """From the tags: what the user's secret was last set to (a fingerprint; on AWS the word `issued`), empty
    without access."""
    versioning: bool
    encryption: str
    """The default encryption's algorithm; empty without one."""
    expiration: int
    """Days after which our lifecycle rule ends an old version; 0 when the rule is not there as we write it."""
    quota: int
    """Bytes; 0 without a quota. Always 0 on AWS."""
    policy: bool
    """Whether somebody put a bucket policy there: we never do."""
    blocked: bool
    """Whether public access is blocked. Always True on MinIO, where only a bucket policy can open a bucket."""
    strange_rules: tuple[str, ...] = ()
    """Ids of other lifecycle rules: each could end a tenant's data, so there are none."""
    claimable: bool = True
    """Whether an unmarked bucket can be one that we made: it is empty, or carries our lifecycle rule."""
    tags: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """Somebody else's tags on it: kept when ours are written."""


@dataclass(frozen=True)
class Policy:
    """The rights of the tenant's user: a canned policy on MinIO, the user's inline policy on AWS."""

    mark: Mark | None
    """MinIO: from the policy's id. Always None on AWS."""
    document: str
    """In the form of `canonical`."""


@dataclass(frozen=True)
class User:
    """The tenant's user."""

    mark: Mark | None
    """AWS: from the user's tags. Always None on MinIO, where users carry nothing: the policy is their mark."""
    enabled: bool
    """Whether it can log in; on AWS whether the access key of the tenant's Secret is active."""
    policies: tuple[str, ...]
    """Further policies attached to it; on MinIO this includes its own."""
    groups: tuple[str, ...] = ()
    """Groups it is in: each could widen its rights, so there are none."""
    key: bool = True
    """AWS: whether it holds the access key of the tenant's Secret. Always True on MinIO."""
    strange_keys: tuple[str, ...] = ()
    """AWS: ids of other access keys."""
    secret: str = field(default="", repr=False, compare=False)
    """Desired state on MinIO only: what a plan gives the user. It cannot be read back."""


@dataclass(frozen=True)
class State:
    """One tenant's share. `tenant` and `owner` say for whom it is wished, or was looked at."""

    tenant: str
    owner: Owner
    provider: str
    """`minio` or `aws`."""
    bucket: Bucket | None = None
    policy: Policy | None = None
    user: User | None = None


def flat(value: object, path: str = "") -> tuple[str, ...]:
    """A nested structure as sorted `path=text` lines, so that XML and JSON forms of one rule are equal."""
    if isinstance(value, Mapping):
        lines = [line for key, item in value.items() for line in flat(item, f"{path}/{key}" if path else key)]
    elif isinstance(value, (list, tuple)):
        lines = [line for item in value for line in flat(item, path)]
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value or "")
        lines = [f"{path}={text}"] if text else []
    return tuple(sorted(lines))


def canonical(document: Mapping[str, Any]) -> str:
    """A policy's statements as JSON in one order: what two stores write differently but mean alike is equal.

    The policy's id is left out: it is the mark.
    """
    statements = document.get("Statement", [])
    if isinstance(statements, Mapping):
        statements = [statements]
    texts = sorted(json.dumps(_ordered(item), sort_keys=True) for item in statements)
    return f"[{', '.join(texts)}]"


def _ordered(value: object) -> object:
    if isinstance(value, Mapping):
        single = ("Effect", "Sid")
        return {
            key: item if key in single else _ordered([item] if isinstance(item, str) else item)
            for key, item in value.items()
            if item not in ("", [], {})
        }
    if isinstance(value, list):
        return sorted(str(item) for item in value)
    return str(value)
