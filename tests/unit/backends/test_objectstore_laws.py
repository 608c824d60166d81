"""The laws of every backend, for the object store: drawn states, drawn drift, strangers, and a crash at every step."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import NOWHERE, cluster, intent

from matrixhub.backends.contract import Intent, Mark, Owner, Phase
from matrixhub.backends.objectstore import actions
from matrixhub.backends.objectstore.desired import ISSUED, desired, fingerprint
from matrixhub.backends.objectstore.plan import fresh, plan
from matrixhub.backends.objectstore.state import Bucket, Policy, State, User
from matrixhub.errors import Conflict

STAND = NOWHERE | {"S3_ENDPOINT": "https://s3.example.org"}
US, BEFORE, ELSEWHERE = Owner("hub", "now"), Owner("hub", "before"), Owner("other-hub", "now")
STORES = {
    "minio": cluster(STAND),
    "aws": cluster(STAND, objectStore={"provider": "aws", "adminSecretRef": {"name": "aws"}}),
}
NAME, BUCKET = "tenant-green", "hub-green"
ACCESS = (Phase.ACTIVE, Phase.SUSPENDED)
AWAY = (Phase.RETAINED, Phase.DELETED)
marks = st.sampled_from(
    [None, Mark(US), Mark(US, retained=True), Mark(BEFORE), Mark(ELSEWHERE, retained=True), Mark(ELSEWHERE)]
)


@st.composite
def intents(draw: st.DrawFn, phases: tuple[Phase, ...] = tuple(Phase), provider: str | None = None) -> Intent:
    store = STORES[provider or draw(st.sampled_from(sorted(STORES)))]
    share = {
        "storage": draw(st.sampled_from([None, "1", "1Gi"])),
        "versioning": draw(st.booleans()),
        "noncurrentExpirationDays": draw(st.integers(1, 60)),
    }
    password = draw(st.sampled_from(["p" * 32, "q" * 32]))
    return intent("green", store, draw(st.sampled_from(phases)), owner=US, password=password, objectStore=share)


@st.composite
def buckets(draw: st.DrawFn, provider: str, wish: Intent) -> Bucket:
    mark = draw(marks)
    known = fingerprint(wish.credential) if wish.credential else "fingerprint"
    return Bucket(
        name=BUCKET,
        mark=mark,
        tenant=draw(st.sampled_from(["green", "green", "green", "other"])) if mark else "",
        credential=draw(st.sampled_from(["", "stale", known, ISSUED])) if mark else "",
        versioning=draw(st.booleans()),
        encryption=draw(st.sampled_from(["", "AES256", "aws:kms"])),
        expiration=draw(st.sampled_from([0, 1, 30])),
        quota=draw(st.sampled_from([0, 1, 2**30])) if provider == "minio" else 0,
        policy=draw(st.booleans()),
        blocked=provider == "minio" or draw(st.booleans()),
        strange_rules=draw(st.sampled_from([(), ("theirs",)])),
        claimable=bool(mark) or draw(st.booleans()),
        tags=(("cost", "school"),),
    )


@st.composite
def worlds(draw: st.DrawFn, wish: Intent) -> State:
    """Anything that could be found, also what no operator would leave."""
    store = wish.cluster.spec.object_store
    assert store
    minio = store.provider == "minio"
    policy = Policy(draw(marks) if minio else None, draw(st.sampled_from(["[]", '[{"Effect": "Allow"}]'])))
    user = User(
        mark=None if minio else draw(marks),
        enabled=draw(st.booleans()),
        policies=draw(st.sampled_from([(), (NAME,), ("readwrite", NAME)] if minio else [(), ("arn:admin",)])),
        groups=draw(st.sampled_from([(), ("admins",)])),
        key=minio or draw(st.booleans()),
        strange_keys=() if minio else draw(st.sampled_from([(), ("AKIA1",)])),
    )
    found_user = draw(st.none() | st.just(user))
    found_policy = draw(st.none() | st.just(policy)) if minio or found_user else None
    bucket = draw(st.none() | buckets(store.provider, wish))
    return State("green", US, store.provider, bucket, found_policy, found_user)


def drawn(data: st.DataObject, phases: tuple[Phase, ...] = tuple(Phase)) -> tuple[State, State]:
    wish = data.draw(intents(phases))
    return desired(wish), data.draw(worlds(wish))


def strange_bucket(found: State) -> bool:
    """Whether there is a bucket that is not the tenant's: marked for another, or for nobody without being announced."""
    bucket = found.bucket
    if bucket is None:
        return False
    if bucket.mark:
        return not (bucket.mark.admits(US) and bucket.tenant == "green")
    return not (bucket.claimable and (found.policy or found.user))


def strange_access(found: State) -> bool:
    """Whether there is a user or policy that is not the tenant's: marked for another, or for nobody and unknown."""
    if not (found.user or found.policy):
        return False
    mark = found.policy.mark if found.policy and found.provider == "minio" else found.user and found.user.mark
    if mark:
        return not mark.admits(US)
    return not (found.bucket and found.bucket.mark and found.bucket.credential)


def apply_to(world: State, steps: tuple[actions.Action, ...]) -> State:
    """The world after the steps, as the stores behave."""
    for step in steps:
        world = _on_bucket(world, step) if isinstance(step, actions.BucketAction) else _on_access(world, step)
    return world


def _on_bucket(world: State, step: actions.BucketAction) -> State:
    bucket = world.bucket
    if isinstance(step, actions.CreateBucket):
        assert bucket is None
        return replace(world, bucket=fresh(step.name, world.provider))
    assert bucket is not None
    match step:
        case actions.TagBucket():
            bucket = replace(
                bucket,
                mark=step.mark,
                tenant=step.tenant,
                credential=step.credential,
                claimable=True,
                tags=step.others,
            )
        case actions.RemoveBucketPolicy():
            bucket = replace(bucket, policy=False)
        case actions.BlockPublicAccess():
            bucket = replace(bucket, blocked=True)
        case actions.SetVersioning():
            bucket = replace(bucket, versioning=step.on)
        case actions.SetEncryption():
            bucket = replace(bucket, encryption=step.algorithm)
        case actions.SetLifecycle():
            bucket = replace(bucket, expiration=step.days, strange_rules=())
        case actions.EmptyBucket():
            bucket = replace(bucket, claimable=True)
        case actions.DeleteBucket():
            bucket = None
    return replace(world, bucket=bucket)


def _on_access(world: State, step: actions.AccessAction) -> State:
    minio, user = world.provider == "minio", world.user
    match step:
        case actions.SetQuota():
            assert world.bucket
            world = replace(world, bucket=replace(world.bucket, quota=step.limit))
        case actions.SetPolicy():
            assert minio or user, "an inline policy needs its user"
            world = replace(world, policy=Policy(step.mark, step.document))
        case actions.RemovePolicy():
            world = replace(world, policy=None)
        case actions.CreateUser():
            assert user is None
            world = replace(world, user=User(step.mark, enabled=minio, policies=(), key=minio))
        case actions.RemoveUser():
            world = replace(world, user=None, policy=world.policy if minio else None)
        case actions.RevokeTokens():
            pass
        case _:
            assert user is not None
            world = replace(world, user=_on_user(world, user, step))
    return world


def _on_user(world: State, user: User, step: actions.AccessAction) -> User:
    changes: dict[str, Any] = {}
    match step:
        case actions.SetSecret() | actions.EnableUser():
            changes = {"enabled": True}
        case actions.DisableUser():
            changes = {"enabled": False}
        case actions.MarkUser():
            changes = {"mark": step.mark}
        case actions.SetPolicies():
            assert world.provider == "aws" or user.enabled, "MinIO attaches policies to enabled users only"
            changes = {"policies": step.policies}
        case actions.LeaveGroups():
            changes = {"groups": tuple(group for group in user.groups if group not in step.groups)}
        case actions.DeleteKeys():
            changes = {"strange_keys": tuple(key for key in user.strange_keys if key not in step.keys)}
        case actions.IssueKey():
            assert not user.strange_keys, "IAM allows two keys"
            changes = {"key": True, "enabled": True}
    assert changes, step
    return replace(user, **changes)


@given(intents())
def test_what_is_as_desired_needs_nothing(wish: Intent) -> None:
    assert plan(desired(wish), desired(wish)) == ()


@given(st.data())
def test_a_plan_makes_what_is_found_into_what_is_desired(data: st.DataObject) -> None:
    want, found = drawn(data, ACCESS)
    if strange_bucket(found) or strange_access(found):
        return
    assert apply_to(found, plan(want, found)) == want


@given(st.data())
def test_a_crash_after_any_step_is_healed_by_the_next_plan(data: st.DataObject) -> None:
    want, found = drawn(data, ACCESS)
    if strange_bucket(found) or strange_access(found):
        return
    steps = plan(want, found)
    for done in range(len(steps)):
        left = apply_to(found, steps[:done])
        assert apply_to(left, plan(want, left)) == want


@given(st.data())
def test_a_deletion_that_begins_anywhere_in_a_creation_leaves_nothing_of_it(data: st.DataObject) -> None:
    wish = data.draw(intents(ACCESS))
    nothing = State("green", US, desired(wish).provider)
    steps = plan(desired(wish), nothing)
    left = apply_to(nothing, steps[: data.draw(st.integers(0, len(steps)))])
    gone = desired(replace(wish, phase=Phase.DELETED, credential=None))
    removal = plan(gone, left)
    for done in range(len(removal) + 1):
        half = apply_to(left, removal[:done])
        assert apply_to(half, plan(gone, half)) == nothing


@given(st.data())
def test_leaving_ends_and_keeps_the_data_if_that_is_wished(data: st.DataObject) -> None:
    want, found = drawn(data, AWAY)
    left = apply_to(found, plan(want, found))
    assert plan(want, left) == ()
    kept = found.bucket and (want.bucket is not None or not found.bucket.mark or found.bucket.mark.owner != US)
    if kept and found.bucket and (found.bucket.mark or not found.bucket.claimable):
        assert left.bucket is not None


@given(st.data())
def test_leaving_shuts_every_door_that_this_hub_has_opened(data: st.DataObject) -> None:
    """Also one that an earlier Tenant of that name left open: that loses nothing."""
    want, found = drawn(data, AWAY)
    policy, user, bucket = found.policy, found.user, found.bucket
    mark = (policy.mark if policy else None) or (user.mark if user else None)
    vouched = bucket.mark if bucket and bucket.tenant == "green" and bucket.credential else None
    left = apply_to(found, plan(want, found))
    if (door := mark or vouched) and door.owner.hub == US.hub:
        assert (left.user, left.policy) == (None, None)
    else:
        assert (left.user, left.policy) == (user, policy)


@given(st.data())
def test_a_bucket_that_is_not_the_tenants_is_never_touched(data: st.DataObject) -> None:
    want, found = drawn(data)
    if not strange_bucket(found):
        return
    if want.user:
        with pytest.raises(Conflict):
            plan(want, found)
    else:
        assert not any(isinstance(step, actions.BucketAction) for step in plan(want, found))


@given(st.data())
def test_a_user_or_policy_that_is_not_the_tenants_is_never_touched(data: st.DataObject) -> None:
    want, found = drawn(data)
    if not strange_access(found):
        return
    if want.user:
        with pytest.raises(Conflict):
            plan(want, found)
    else:
        touching = (
            step for step in plan(want, found) if not isinstance(step, (actions.BucketAction, actions.SetQuota))
        )
        assert list(touching) == []


@given(intents(provider="minio"))
def test_no_step_and_no_state_shows_a_secret(wish: Intent) -> None:
    want = desired(wish)
    shown = repr(want)
    for step in plan(want, State("green", US, "minio")):
        shown += repr(step) + str(step)
    assert "p" * 32 not in shown
    assert "q" * 32 not in shown
