"""The steps from what exists to what should. Pure.

The order is the safety of it. The mark is written first (MinIO: the policy whose id is the mark; AWS: the
user with the mark in its tags), the bucket and its tags after it, so that whatever a crash leaves behind
is recognised. When a door is shut it is shut first; when data goes, the last mark goes last.
"""

from collections.abc import Iterator

from matrixhub.api import naming
from matrixhub.backends.contract import Mark
from matrixhub.backends.objectstore.actions import (
    Action,
    BlockPublicAccess,
    CreateBucket,
    CreateUser,
    DeleteBucket,
    DeleteKeys,
    DisableUser,
    EmptyBucket,
    EnableUser,
    IssueKey,
    LeaveGroups,
    MarkUser,
    RemoveBucketPolicy,
    RemovePolicy,
    RemoveUser,
    RevokeTokens,
    SetEncryption,
    SetLifecycle,
    SetPolicies,
    SetPolicy,
    SetQuota,
    SetSecret,
    SetVersioning,
    TagBucket,
)
from matrixhub.backends.objectstore.state import Bucket, Policy, State, User
from matrixhub.errors import Conflict


def plan(desired: State, observed: State) -> tuple[Action, ...]:
    """The steps that make `observed` into `desired`, in the order they must be done.

    Raises `Conflict` when something under the tenant's names is not the tenant's. Where the tenant is to
    go, what is not its own is left alone instead: a deletion does not hang on it.
    """
    if desired.policy is None or desired.user is None or desired.bucket is None:
        return tuple(_leave(desired, observed))
    _refuse_strangers(desired, observed)
    identity = _minio_identity if desired.provider == "minio" else _aws_identity
    return (
        *identity(desired.policy, desired.user, desired.bucket.credential, observed),
        *_bucket(desired.bucket, observed.bucket, desired.provider),
    )


def _minio_identity(policy: Policy, wanted: User, credential: str, observed: State) -> Iterator[Action]:
    """Policy (the mark), user, attachment. A policy can only be attached to an enabled user."""
    name = naming.object_store_user(observed.tenant)
    user, known = observed.user, observed.bucket.credential if observed.bucket else ""
    if observed.policy != policy:
        yield SetPolicy(name, policy.document, policy.mark)
    enabled = True
    if user is None:
        yield CreateUser(name, None, wanted.secret)
    elif known != credential or user.policies != wanted.policies:
        yield SetSecret(name, wanted.secret)  # without its policy it may have been made anew, with another secret
        if known and known != credential:
            yield RevokeTokens(name)
    else:
        enabled = user.enabled
    yield from _attachments(name, wanted, user)
    if enabled != wanted.enabled:
        yield EnableUser(name) if wanted.enabled else DisableUser(name)


def _aws_identity(policy: Policy, wanted: User, _credential: str, observed: State) -> Iterator[Action]:
    """User (its tags are the mark), inline policy, access key."""
    name, user = naming.object_store_user(observed.tenant), observed.user
    if user is None:
        yield CreateUser(name, wanted.mark, wanted.secret)
    elif user.mark != wanted.mark:
        yield MarkUser(name, wanted.mark)
    if observed.policy != policy:
        yield SetPolicy(name, policy.document, policy.mark)
    if user:
        yield from _attachments(name, wanted, user)
    if user and user.strange_keys:
        yield DeleteKeys(name, user.strange_keys)
    enabled = user.enabled if user else False
    if user is None or not user.key:
        yield IssueKey(name)
        enabled = True
    if enabled != wanted.enabled:
        yield EnableUser(name) if wanted.enabled else DisableUser(name)


def _attachments(name: str, wanted: User, user: User | None) -> Iterator[Action]:
    have = user.policies if user else ()
    if have != wanted.policies:
        yield SetPolicies(name, wanted.policies, tuple(item for item in have if item not in wanted.policies))
    if user and user.groups:
        yield LeaveGroups(name, user.groups)


def _bucket(wanted: Bucket, found: Bucket | None, provider: str) -> Iterator[Action]:
    name = wanted.name
    if found is None:
        yield CreateBucket(name)
        found = fresh(name, provider)
    yield from _tags(wanted, found)
    if found.policy:
        yield RemoveBucketPolicy(name)
    if not found.blocked:
        yield BlockPublicAccess(name)
    if found.versioning != wanted.versioning:
        yield SetVersioning(name, wanted.versioning)
    if found.encryption != wanted.encryption:
        yield SetEncryption(name, wanted.encryption)
    if found.quota != wanted.quota:
        yield SetQuota(name, wanted.quota)
    if (found.expiration, found.strange_rules) != (wanted.expiration, wanted.strange_rules):
        yield SetLifecycle(name, wanted.expiration, found.strange_rules)


def fresh(name: str, provider: str) -> Bucket:
    """A bucket as its creation leaves it, with no more assumed than either provider promises."""
    return Bucket(
        name=name,
        mark=None,
        tenant="",
        credential="",
        versioning=False,
        encryption="",
        expiration=0,
        quota=0,
        policy=False,
        blocked=provider == "minio",
    )


def _tags(wanted: Bucket, found: Bucket) -> Iterator[Action]:
    if (found.mark, found.tenant, found.credential) != (wanted.mark, wanted.tenant, wanted.credential):
        yield TagBucket(wanted.name, wanted.mark, wanted.tenant, wanted.credential, found.tags)


def _refuse_strangers(desired: State, observed: State) -> None:
    """Raises `Conflict` when something under the tenant's names is another's, or nobody's that we know."""
    name, bucket, access = naming.object_store_user(desired.tenant), observed.bucket, _access_mark(observed)
    for what, mark in ((f"user {name}", access), (bucket and f"bucket {bucket.name}", bucket and bucket.mark)):
        if mark and not mark.admits(desired.owner):
            raise Conflict(
                f"{what} belongs to {mark.owner.elsewhere}",
                str(mark.owner),
            )
    if bucket and bucket.mark and bucket.tenant != desired.tenant:
        raise Conflict(
            f"bucket {bucket.name} belongs to tenant {bucket.tenant or '(unnamed)'}: choose bucketPrefixes of which "
            "none begins with another",
            bucket.tenant,
        )
    strangers = []
    if bucket and not bucket.mark and not (access and bucket.claimable):
        strangers.append(f"bucket {bucket.name}")
    if not access and not (bucket and bucket.mark and bucket.credential):
        strangers += [f"policy {name}"] * (observed.policy is not None) + [f"user {name}"] * (observed.user is not None)
    if strangers:
        raise Conflict(f"{strangers[0]} exists and was not made by Matrix Hub: rename or remove it", "somebody else")


def _access_mark(observed: State) -> Mark | None:
    """The mark on the tenant's access: MinIO's policy id, AWS's user tags."""
    policy = observed.policy.mark if observed.policy else None
    return policy or (observed.user.mark if observed.user else None)


def _leave(desired: State, observed: State) -> Iterator[Action]:
    """Access goes first; then the bucket is marked as retained, or goes too; the mark of access goes last.

    Access goes also where an earlier Tenant of that name left it open; its bucket stays.
    """
    name, bucket, access = naming.object_store_user(desired.tenant), observed.bucket, _access_mark(observed)
    named = bucket if bucket and bucket.tenant == desired.tenant else None
    bucket_own = bool(named and _own(desired, named.mark))
    door = access or (named.mark if named and named.credential else None)
    ours = door is not None and door.owner.hub == desired.owner.hub
    user, policy = (observed.user, observed.policy) if ours else (None, None)
    if user and user.enabled:
        yield DisableUser(name)
    if user and user.strange_keys:
        yield DeleteKeys(name, user.strange_keys)
    if policy and observed.provider == "aws":
        yield RemovePolicy(name)  # ends what session tokens may still do; the mark is the user's
    if bucket and (bucket_own or (not bucket.mark and bucket.claimable and _own(desired, access))):
        yield from _part(desired.bucket, bucket)
    if user:
        yield RemoveUser(name)
    if policy and observed.provider == "minio":
        yield RemovePolicy(name)


def _own(desired: State, mark: Mark | None) -> bool:
    """Whether this Tenant made it: not even a predecessor's data is removed."""
    return mark is not None and mark.ends_with(desired.owner)


def _part(wanted: Bucket | None, found: Bucket) -> Iterator[Action]:
    """The bucket is kept for a Tenant of that name to come, or goes."""
    if wanted is None:
        yield EmptyBucket(found.name)
        yield DeleteBucket(found.name)
        return
    yield from _tags(wanted, found)
    if found.policy:
        yield RemoveBucketPolicy(found.name)
    if found.quota:
        yield SetQuota(found.name, 0)
