"""The steps of a plan: each says what is true once it is done, and prints as a sentence without secrets. Pure."""

import json
from dataclasses import dataclass, field
from typing import Any

from matrixhub.backends.contract import Mark


@dataclass(frozen=True)
class SetPolicy:
    """The user's rights are those of `document`, and carry the mark where they can."""

    name: str
    document: str
    mark: Mark | None

    def __str__(self) -> str:
        return f"Set policy {self.name}"

    def statements(self) -> list[dict[str, Any]]:
        """The policy's statements."""
        found: list[dict[str, Any]] = json.loads(self.document)
        return found


@dataclass(frozen=True)
class RemovePolicy:
    """The user's rights are gone."""

    name: str

    def __str__(self) -> str:
        return f"Removed policy {self.name}"


@dataclass(frozen=True)
class CreateUser:
    """The user exists: enabled and with the credential's secret (MinIO), or with the mark in its tags (AWS)."""

    name: str
    mark: Mark | None
    secret: str = field(repr=False)

    def __str__(self) -> str:
        return f"Created user {self.name}"


@dataclass(frozen=True)
class SetSecret:
    """The user, which exists, is enabled and has the credential's secret (MinIO)."""

    name: str
    secret: str = field(repr=False)

    def __str__(self) -> str:
        return f"Set the secret key of user {self.name}"


@dataclass(frozen=True)
class RevokeTokens:
    """No temporary token works that the user got for itself so far (MinIO)."""

    name: str

    def __str__(self) -> str:
        return f"Revoked the temporary tokens of user {self.name}"


@dataclass(frozen=True)
class MarkUser:
    """The user's tags carry the mark (AWS)."""

    name: str
    mark: Mark | None

    def __str__(self) -> str:
        return f"Marked user {self.name}"


@dataclass(frozen=True)
class SetPolicies:
    """These policies and no others are attached to the user."""

    name: str
    policies: tuple[str, ...]
    strange: tuple[str, ...]

    def __str__(self) -> str:
        taken = f", took {', '.join(self.strange)} from it" if self.strange else ""
        return f"Attached policy {', '.join(self.policies) or self.name} to user {self.name}{taken}"


@dataclass(frozen=True)
class LeaveGroups:
    """The user is in none of these groups."""

    name: str
    groups: tuple[str, ...]

    def __str__(self) -> str:
        return f"Took user {self.name} out of {', '.join(self.groups)}"


@dataclass(frozen=True)
class DeleteKeys:
    """These access keys of the user are gone (AWS)."""

    name: str
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return f"Deleted {len(self.keys)} access key(s) of user {self.name} that its Secret does not hold"


@dataclass(frozen=True)
class IssueKey:
    """The user has a new access key, active, and its tags the fingerprint of it (AWS)."""

    name: str

    def __str__(self) -> str:
        return f"Issued an access key for user {self.name}"


@dataclass(frozen=True)
class EnableUser:
    """The user can log in."""

    name: str

    def __str__(self) -> str:
        return f"Enabled user {self.name}"


@dataclass(frozen=True)
class DisableUser:
    """The user cannot log in."""

    name: str

    def __str__(self) -> str:
        return f"Disabled user {self.name}"


@dataclass(frozen=True)
class RemoveUser:
    """The user is gone, with its keys and tokens."""

    name: str

    def __str__(self) -> str:
        return f"Removed user {self.name}"


@dataclass(frozen=True)
class CreateBucket:
    """The bucket exists."""

    name: str

    def __str__(self) -> str:
        return f"Created bucket {self.name}"


@dataclass(frozen=True)
class TagBucket:
    """The bucket's tags are ours, and `others`."""

    name: str
    mark: Mark | None
    tenant: str
    credential: str = field(repr=False)
    others: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"Marked bucket {self.name}" + (" as retained" if self.mark and self.mark.retained else "")


@dataclass(frozen=True)
class RemoveBucketPolicy:
    """The bucket has no policy of its own."""

    name: str

    def __str__(self) -> str:
        return f"Removed the bucket policy of {self.name}"


@dataclass(frozen=True)
class BlockPublicAccess:
    """No policy and no ACL can open the bucket to the public (AWS)."""

    name: str

    def __str__(self) -> str:
        return f"Blocked public access to bucket {self.name}"


@dataclass(frozen=True)
class SetVersioning:
    """Versions are kept, or no longer."""

    name: str
    on: bool

    def __str__(self) -> str:
        return f"{'Enabled' if self.on else 'Suspended'} versioning of bucket {self.name}"


@dataclass(frozen=True)
class SetEncryption:
    """New objects are encrypted by default."""

    name: str
    algorithm: str

    def __str__(self) -> str:
        return f"Set the default encryption of bucket {self.name} to {self.algorithm}"


@dataclass(frozen=True)
class SetLifecycle:
    """The bucket's lifecycle is our one rule: versions go `days` after they were replaced."""

    name: str
    days: int
    strange: tuple[str, ...] = ()

    def __str__(self) -> str:
        dropped = f", dropped rule {', '.join(self.strange)}" if self.strange else ""
        return f"Set the lifecycle of bucket {self.name}: old versions expire after {self.days} days{dropped}"


@dataclass(frozen=True)
class SetQuota:
    """The bucket takes at most `limit` bytes; any number when 0."""

    name: str
    limit: int

    def __str__(self) -> str:
        if not self.limit:
            return f"Removed the quota of bucket {self.name}"
        return f"Set the quota of bucket {self.name} to {self.limit} bytes"


@dataclass(frozen=True)
class EmptyBucket:
    """No object, version, delete marker or unfinished upload is left in the bucket."""

    name: str

    def __str__(self) -> str:
        return f"Removed every object of bucket {self.name}"


@dataclass(frozen=True)
class DeleteBucket:
    """The bucket is gone."""

    name: str

    def __str__(self) -> str:
        return f"Deleted bucket {self.name}"


BucketAction = (
    CreateBucket
    | TagBucket
    | RemoveBucketPolicy
    | BlockPublicAccess
    | SetVersioning
    | SetEncryption
    | SetLifecycle
    | EmptyBucket
    | DeleteBucket
)
"""What both providers do through S3's own API."""

AccessAction = (
    SetPolicy
    | RemovePolicy
    | CreateUser
    | SetSecret
    | RevokeTokens
    | MarkUser
    | SetPolicies
    | LeaveGroups
    | DeleteKeys
    | IssueKey
    | EnableUser
    | DisableUser
    | RemoveUser
    | SetQuota
)
"""What each provider does through an API of its own."""

Action = BucketAction | AccessAction
