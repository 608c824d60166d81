"""MinIO, changed behind our back: drift is mended, strangers are left alone, a crash is healed, trouble is named."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from tests.backends.objectstore import RIGHTS, HttpWire, Root, converge, fetched, refused, round_of, s3
from tests.support import cluster, intent

from matrixhub.api import naming
from matrixhub.backends.contract import Intent, Owner, Phase
from matrixhub.backends.objectstore.client import Client
from matrixhub.backends.objectstore.state import State
from matrixhub.errors import BackendError, Conflict, Rejected, Unreachable

ID = "os-drift"
USER, BUCKET, KEY = naming.object_store_user(ID), naming.bucket("hub", ID), naming.object_prefix(ID) + "a"
SECRET = "the-secret-of-one-tenant-0123456789abcdef"


@pytest.fixture(scope="module")
def root(stand: Mapping[str, str]) -> Root:
    found = Root(stand)
    found.grant(stand["S3_ADMIN_ACCESS_KEY"], RIGHTS / "minio.json")
    return found


def admin(stand: Mapping[str, str]) -> dict[str, str]:
    return {"accessKey": stand["S3_ADMIN_ACCESS_KEY"], "secretKey": stand["S3_ADMIN_SECRET_KEY"]}


@pytest.fixture(scope="module")
def client(stand: Mapping[str, str], root: Root) -> Iterator[Client]:
    made = Client(cluster(stand), admin(stand))
    yield made
    made.close()


@pytest.fixture
def wish(stand: Mapping[str, str], root: Root) -> Iterator[Intent]:
    """A tenant that is wanted and not there yet."""
    root.forget(ID)
    yield intent(ID, cluster(stand), password=SECRET, objectStore={"storage": "1Gi"})
    root.forget(ID)


@pytest.fixture
def settled(wish: Intent, client: Client, root: Root) -> Intent:
    """The same, in place, with an object in its bucket."""
    converge(client, wish)
    s3(root.endpoint, USER, SECRET).put_object(Bucket=BUCKET, Key=KEY, Body=b"first")
    return wish


def publish(root: Root) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:GetObject"]}
    document = {"Version": "2012-10-17", "Statement": [statement | {"Resource": [f"arn:aws:s3:::{BUCKET}/*"]}]}
    root.s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(document))
    assert fetched(f"{root.endpoint}/{BUCKET}/{KEY}") == 200


def widen(root: Root) -> None:
    statement = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}
    root.admin.policy_add(USER, policy={"Version": "2012-10-17", "Statement": [statement]})
    assert s3(root.endpoint, USER, SECRET).get_bucket_policy_status(Bucket=BUCKET)


def expire_everything(root: Root) -> None:
    rule = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    root.s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]})


def remake_with_another_secret(root: Root) -> None:
    root.admin.user_remove(USER)
    root.admin.user_add(USER, "a-secret-that-a-stranger-knows")


def tag_and_lifecycle_lost(root: Root) -> None:
    root.s3.delete_bucket_tagging(Bucket=BUCKET)
    root.s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=root.s3.head_object(Bucket=BUCKET, Key=KEY)["VersionId"])
    root.s3.delete_bucket_lifecycle(Bucket=BUCKET)


DRIFT: dict[str, tuple[Callable[[Root], Any], str]] = {
    "public bucket policy": (publish, f"Removed the bucket policy of {BUCKET}"),
    "versioning suspended": (
        lambda root: root.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}),
        f"Enabled versioning of bucket {BUCKET}",
    ),
    "lifecycle removed": (
        lambda root: root.s3.delete_bucket_lifecycle(Bucket=BUCKET),
        f"Set the lifecycle of bucket {BUCKET}: old versions expire after 30 days",
    ),
    "lifecycle altered": (
        expire_everything,
        f"Set the lifecycle of bucket {BUCKET}: old versions expire after 30 days, dropped rule theirs",
    ),
    "encryption removed": (
        lambda root: root.s3.delete_bucket_encryption(Bucket=BUCKET),
        f"Set the default encryption of bucket {BUCKET} to AES256",
    ),
    "quota altered": (
        lambda root: root.admin.bucket_quota_set(BUCKET, 2**40),
        f"Set the quota of bucket {BUCKET} to 1073741824 bytes",
    ),
    "quota removed": (
        lambda root: root.admin.bucket_quota_clear(BUCKET),
        f"Set the quota of bucket {BUCKET} to 1073741824 bytes",
    ),
    "tags removed": (lambda root: root.s3.delete_bucket_tagging(Bucket=BUCKET), f"Marked bucket {BUCKET}"),
    "tags and lifecycle removed": (tag_and_lifecycle_lost, f"Marked bucket {BUCKET}"),
    "user policy altered": (widen, f"Set policy {USER}"),
    "user policy widened by another": (
        lambda root: root.admin.policy_set(f"{USER},readwrite", user=USER),
        f"Attached policy {USER} to user {USER}, took readwrite from it",
    ),
    "user in a group": (
        lambda root: root.admin.group_add("os-group", [USER]),  # type: ignore[arg-type]  # sent as the list it must be
        f"Took user {USER} out of os-group",
    ),
    "user disabled": (lambda root: root.admin.user_disable(USER), f"Enabled user {USER}"),
    "user removed": (lambda root: root.admin.user_remove(USER), f"Created user {USER}"),
    "user made anew by a stranger": (remake_with_another_secret, f"Set the secret key of user {USER}"),
}


@pytest.mark.parametrize("kind", DRIFT)
def test_drift_is_mended_and_told(settled: Intent, client: Client, root: Root, kind: str) -> None:
    break_it, sentence = DRIFT[kind]
    before = client.observe([settled])[ID]
    break_it(root)
    found = client.observe([settled])[ID]
    assert isinstance(found, State)
    assert sentence in [str(step) for step in client.plan(client.desired(settled), found)]
    converge(client, settled)
    assert client.observe([settled])[ID] == before
    assert s3(root.endpoint, USER, SECRET).list_object_versions(Bucket=BUCKET)["Name"] == BUCKET
    assert refused(s3(root.endpoint, USER, SECRET).get_bucket_policy, Bucket=BUCKET) == "AccessDenied"
    assert fetched(f"{root.endpoint}/{BUCKET}/{KEY}") == 403


def test_a_bucket_that_was_removed_is_made_again(settled: Intent, client: Client, root: Root) -> None:
    root.s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=root.s3.head_object(Bucket=BUCKET, Key=KEY)["VersionId"])
    root.s3.delete_bucket(Bucket=BUCKET)
    converge(client, settled)
    assert s3(root.endpoint, USER, SECRET).list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_tags_of_somebody_else_stay(settled: Intent, client: Client, root: Root) -> None:
    root.s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "cost", "Value": "school"}]})
    converge(client, settled)
    tags = {tag["Key"]: tag["Value"] for tag in root.s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]}
    assert tags["cost"] == "school"
    assert tags["matrixhub.io/owner"] == f"hub/uid-{ID}"


def changed(wish: Intent, **share: Any) -> Intent:
    return intent(ID, wish.cluster, password=SECRET, objectStore=share)


def test_a_changed_wish_is_carried_out(settled: Intent, client: Client, root: Root) -> None:
    converge(client, changed(settled, storage="2Gi", versioning=False, noncurrentExpirationDays=3))
    assert json.loads(root.admin.bucket_quota_get(BUCKET))["quota"] == 2**31
    assert root.s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Suspended"
    rule = root.s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"][0]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 3}
    converge(client, changed(settled))
    assert json.loads(root.admin.bucket_quota_get(BUCKET))["quota"] == 0


def lookalike_bucket(root: Root) -> None:
    root.s3.create_bucket(Bucket=BUCKET)
    root.s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"precious")


LOOKALIKES: dict[str, Callable[[Root], Any]] = {
    f"bucket {BUCKET}": lookalike_bucket,
    f"user {USER}": lambda root: root.admin.user_add(USER, "the-secret-of-somebody"),
    f"policy {USER}": lambda root: root.admin.policy_add(
        USER,
        policy={"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": ["admin:*"]}]},
    ),
}


@pytest.mark.parametrize("what", LOOKALIKES)
def test_what_somebody_else_made_is_a_conflict_and_survives_a_deletion(
    wish: Intent, client: Client, root: Root, what: str
) -> None:
    LOOKALIKES[what](root)
    before = client.observe([wish])[ID]
    with pytest.raises(Conflict, match=what) as conflict:
        round_of(client, wish)
    assert conflict.value.owner == "somebody else"
    converge(client, intent(ID, wish.cluster, Phase.RETAINED))
    converge(client, intent(ID, wish.cluster, Phase.DELETED))
    assert client.observe([wish])[ID] == before


def test_a_bucket_of_another_hub_is_a_conflict_that_names_it(settled: Intent, client: Client, root: Root) -> None:
    other = Owner("other-hub", "their-uid")
    with pytest.raises(Conflict) as conflict:
        round_of(client, intent(ID, settled.cluster, password=SECRET, owner=other))
    assert conflict.value.owner == f"hub/uid-{ID}"
    converge(client, intent(ID, settled.cluster, Phase.DELETED, owner=other))
    assert s3(root.endpoint, USER, SECRET).head_object(Bucket=BUCKET, Key=KEY)


def test_an_empty_bucket_that_appears_beside_a_marked_policy_is_taken_a_full_one_is_not(
    wish: Intent, client: Client, root: Root
) -> None:
    first = client.plan(client.desired(wish), _state(client, wish))[0]
    client.apply({ID: (first,)})
    lookalike_bucket(root)
    with pytest.raises(Conflict, match=BUCKET):
        round_of(client, wish)
    root.s3.delete_object(Bucket=BUCKET, Key=KEY)
    converge(client, wish)


def _state(client: Client, wish: Intent) -> State:
    found = client.observe([wish])[wish.tenant.id]
    assert isinstance(found, State)
    return found


@pytest.mark.parametrize("phase", [Phase.ACTIVE, Phase.SUSPENDED, Phase.RETAINED, Phase.DELETED])
def test_an_operator_killed_after_any_step_goes_on_from_there(
    wish: Intent, client: Client, root: Root, phase: Phase
) -> None:
    """From nothing to in place, and from in place to each other phase, stopped after each step in turn."""
    goal = wish if phase is Phase.ACTIVE else intent(ID, wish.cluster, phase, password=SECRET)
    done, steps = 0, 1
    while done < steps:
        root.forget(ID)
        if phase is not Phase.ACTIVE:
            converge(client, wish)
        plan = client.plan(client.desired(goal), _state(client, goal))
        steps = len(plan)
        assert client.apply({ID: plan[:done]})[ID].error is None
        converge(client, goal)
        done += 1
    assert steps > 1


def test_a_half_made_tenant_is_deleted_without_a_trace(wish: Intent, client: Client, root: Root) -> None:
    gone = intent(ID, wish.cluster, Phase.DELETED)
    plan = client.plan(client.desired(wish), _state(client, wish))
    for done in range(len(plan)):
        client.apply({ID: plan[:done]})
        converge(client, gone)
        assert not root.bucket_exists(BUCKET)
        assert not root.user_exists(USER)
        assert not root.policy_exists(USER)


def test_many_tenants_are_observed_in_three_requests_and_exactly_like_one(stand: Mapping[str, str], root: Root) -> None:
    ids = [f"os-many-{number}" for number in range(30)]
    with HttpWire(stand["S3_ENDPOINT"]) as wire:
        on = cluster(stand, objectStore=_through(wire))
        client = Client(on, admin(stand))
        try:
            wishes = [intent(tenant, on, password=SECRET) for tenant in ids]
            round_of(client, wishes[0])
            assert wire.requests == 3 + 9, "three to look, nine to make it (without a quota)"
            converge(client, *wishes[:20])
            wire.requests = 0
            many = client.observe(wishes)
            assert wire.requests == 3
            for wish in wishes:
                assert many[wish.tenant.id] == client.observe([wish])[wish.tenant.id]
            assert sum(state.bucket is not None for state in many.values() if isinstance(state, State)) == 20
            wire.requests = 0
            converge(client, *(intent(tenant, on, Phase.DELETED) for tenant in ids))
        finally:
            client.close()
            for tenant in ids:
                root.forget(tenant)


def test_one_tenants_trouble_is_only_in_its_own_result(wish: Intent, client: Client, root: Root) -> None:
    good = intent("os-good", wish.cluster, password=SECRET)
    found = client.observe([wish, good])
    plans = {}
    for one in (wish, good):
        state = found[one.tenant.id]
        assert isinstance(state, State)
        plans[one.tenant.id] = client.plan(client.desired(one), state)
    root.s3.create_bucket(Bucket=BUCKET)
    try:
        applied = client.apply(plans)
        error = applied[ID].error
        assert isinstance(error, BackendError)
        assert error.reason == "BucketAppeared"
        assert applied["os-good"].error is None
    finally:
        root.forget("os-good")


def _through(wire: HttpWire) -> dict[str, Any]:
    return {"provider": "minio", "endpoint": wire.url, "adminSecretRef": {"name": "object-store-admin"}}


def test_an_outage_is_unreachable_and_over_when_it_is_over(stand: Mapping[str, str], wish: Intent) -> None:
    with HttpWire(stand["S3_ENDPOINT"]) as wire:
        on = cluster(stand, objectStore=_through(wire))
        client, one = Client(on, admin(stand)), intent(ID, on, password=SECRET)
        many = [intent(f"os-away-{number}", on, password=SECRET) for number in range(15)]
        plan = client.plan(client.desired(one), _state(client, one))
        wire.cut()
        for call in (
            lambda: client.observe([one]),
            lambda: client.observe(many),
            lambda: client.observe(many * 2),
            lambda: client.apply({ID: plan}),
            client.prepare,
        ):
            with pytest.raises(Unreachable, match="does not answer"):
                call()
        wire.mend()
        converge(client, one)
        client.close()


def test_a_store_that_is_away_is_not_asked_for_every_tenant(stand: Mapping[str, str], root: Root) -> None:
    with HttpWire(stand["S3_ENDPOINT"]) as wire:
        on = cluster(stand, objectStore=_through(wire))
        client = Client(on, admin(stand))
        ids = [f"os-away-{number}" for number in range(200)]
        plans = {
            tenant: client.plan(client.desired(wish), State(tenant, wish.owner, "minio"))
            for tenant, wish in ((tenant, intent(tenant, on, password=SECRET)) for tenant in ids)
        }
        wire.cut()
        with pytest.raises(Unreachable):
            client.apply(plans)
        assert wire.refusals < 100
        client.close()


@pytest.mark.parametrize("key", ["accessKey", "secretKey"])
def test_a_wrong_admin_credential_is_named_by_its_secret(stand: Mapping[str, str], wish: Intent, key: str) -> None:
    client = Client(cluster(stand), admin(stand) | {key: "not-the-right-one"})
    for call in (client.prepare, lambda: client.observe([wish])):
        with pytest.raises(Rejected, match="Secret matrixhub/object-store-admin") as rejected:
            call()
        assert rejected.value.reason == "AuthenticationFailed"
        assert "not-the-right-one" not in rejected.value.message
        assert admin(stand)["secretKey"] not in rejected.value.message
    client.close()


@pytest.mark.parametrize("key", ["accessKey", "secretKey"])
def test_an_admin_secret_without_a_key_says_which(stand: Mapping[str, str], key: str) -> None:
    lacking = {name: value for name, value in admin(stand).items() if name != key}
    with pytest.raises(Rejected, match=f"has no `{key}`") as rejected:
        Client(cluster(stand), lacking).prepare()
    assert rejected.value.reason == "AdminSecretInvalid"


def test_an_admin_without_rights_is_told_what_to_grant(settled: Intent, root: Root) -> None:
    """The tenant's own credential stands in for an admin that was given too little."""
    client = Client(settled.cluster, {"accessKey": USER, "secretKey": SECRET})
    for call in (client.prepare, lambda: client.observe([settled])):
        with pytest.raises(Rejected, match=r"manifests/admin-rights/minio\.json") as rejected:
            call()
        assert rejected.value.reason == "PermissionDenied"
    client.close()


def test_the_admin_can_neither_read_nor_write_objects_nor_touch_other_buckets(
    settled: Intent, stand: Mapping[str, str], root: Root
) -> None:
    weak = s3(root.endpoint, stand["S3_ADMIN_ACCESS_KEY"], stand["S3_ADMIN_SECRET_KEY"])
    assert refused(weak.get_object, Bucket=BUCKET, Key=KEY) == "AccessDenied"
    assert refused(weak.put_object, Bucket=BUCKET, Key=KEY, Body=b"x") == "AccessDenied"
    assert refused(weak.put_bucket_policy, Bucket=BUCKET, Policy="{}") == "AccessDenied"
    assert refused(weak.create_bucket, Bucket="os-elsewhere") == "AccessDenied"
