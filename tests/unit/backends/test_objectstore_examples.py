"""Named examples of what should exist in the object store, and of reading what does."""

import json
from dataclasses import replace

import pytest
from tests.support import NOWHERE, cluster, intent

from matrixhub.backends.contract import Mark, Owner
from matrixhub.backends.objectstore import actions
from matrixhub.backends.objectstore.desired import binding, desired, lifecycle_rule, read_lifecycle, rights
from matrixhub.backends.objectstore.plan import plan
from matrixhub.backends.objectstore.state import State, canonical
from matrixhub.errors import Conflict, Rejected

STAND = NOWHERE | {"S3_ENDPOINT": "http://10.1.2.3:9000"}
MINIO = cluster(STAND)
AWS = cluster(STAND, objectStore={"provider": "aws", "region": "eu-west-1", "adminSecretRef": {"name": "aws"}})


def test_the_steps_of_a_new_tenant_on_minio_mark_first_and_read_as_sentences() -> None:
    wish = intent("green", MINIO, objectStore={"storage": "1Gi"})
    steps = plan(desired(wish), State("green", wish.owner, "minio"))
    assert [str(step) for step in steps] == [
        "Set policy tenant-green",
        "Created user tenant-green",
        "Attached policy tenant-green to user tenant-green",
        "Created bucket hub-green",
        "Marked bucket hub-green",
        "Enabled versioning of bucket hub-green",
        "Set the default encryption of bucket hub-green to AES256",
        "Set the quota of bucket hub-green to 1073741824 bytes",
        "Set the lifecycle of bucket hub-green: old versions expire after 30 days",
    ]


def test_the_steps_of_a_new_tenant_on_aws_mark_the_user_first() -> None:
    wish = replace(intent("green", AWS), credential=None)
    steps = plan(desired(wish), State("green", wish.owner, "aws"))
    assert isinstance(steps[0], actions.CreateUser)
    assert steps[0].mark == Mark(wish.owner)
    assert actions.IssueKey("tenant-green") in steps


def test_aws_promises_no_quota() -> None:
    bucket = desired(intent("green", AWS, objectStore={"storage": "1Gi"})).bucket
    assert bucket
    assert bucket.quota == 0


def test_minio_without_a_credential_waits_for_one() -> None:
    with pytest.raises(Rejected, match="no credential"):
        desired(replace(intent("green", MINIO), credential=None))


def test_buckets_of_two_clusters_whose_prefixes_begin_alike_are_told_apart() -> None:
    """Prefix `hub` with tenant `a-b`, and prefix `hub-a` with tenant `b`: one bucket name, one hub."""
    other = cluster(
        STAND,
        objectStore={"provider": "minio", "bucketPrefix": "hub-a", "adminSecretRef": {"name": "x"}},
    )
    there = desired(intent("a-b", MINIO))
    wish = desired(intent("b", other))
    assert there.bucket
    assert wish.bucket
    assert there.bucket.name == wish.bucket.name
    with pytest.raises(Conflict) as conflict:
        plan(wish, State("b", wish.owner, "minio", bucket=there.bucket))
    assert conflict.value.owner == "a-b"


def test_a_conflict_names_the_hub_that_holds_the_bucket() -> None:
    wish = desired(intent("green", MINIO))
    theirs = desired(intent("green", MINIO, owner=Owner("other-hub", "u1")))
    with pytest.raises(Conflict) as conflict:
        plan(wish, theirs)
    assert conflict.value.owner == "other-hub/u1"


def test_the_rights_reach_the_tenants_prefix_and_nothing_else() -> None:
    store = MINIO.spec.object_store
    assert store
    resources = [item for statement in rights("green", store)["Statement"] for item in statement.get("Resource", [])]
    assert {item.removeprefix("arn:aws:s3:::").split("/")[0] for item in resources} == {"hub-green"}


def test_a_replaced_secret_ends_the_tokens_made_with_the_old_one() -> None:
    before, after = (desired(intent("green", MINIO, password=secret * 32)) for secret in "pq")
    steps = [type(step) for step in plan(after, before)]
    assert steps == [actions.SetSecret, actions.RevokeTokens, actions.TagBucket]


def test_a_lost_tag_is_written_again_without_a_moment_without_user() -> None:
    want = desired(intent("green", MINIO))
    assert want.bucket
    found = replace(want, bucket=replace(want.bucket, mark=None, tenant="", credential=""))
    assert [type(step) for step in plan(want, found)] == [actions.SetSecret, actions.TagBucket]


@pytest.mark.parametrize("provider", ["minio", "aws"])
def test_our_lifecycle_rule_is_known_again_and_an_altered_one_is_not(provider: str) -> None:
    rule = lifecycle_rule(provider, 30)
    assert read_lifecycle(provider, [rule]) == (30, ())
    assert read_lifecycle(provider, [rule | {"Status": "Disabled"}]) == (0, ())
    assert read_lifecycle(provider, [rule | {"Filter": {"Prefix": "a/"}}]) == (0, ())
    assert read_lifecycle(provider, [rule, {"ID": "theirs"}]) == (30, ("theirs",))


def test_a_policy_is_equal_however_its_lists_are_ordered_or_collapsed() -> None:
    one = {"Version": "x", "ID": "m", "Statement": {"Effect": "Allow", "Action": "s3:Get", "Resource": ["b", "a"]}}
    two = {"Statement": [{"Resource": ["a", "b"], "Sid": "", "Action": ["s3:Get"], "Effect": "Allow"}]}
    assert canonical(one) == canonical(two)
    assert canonical(one) != canonical({"Statement": [{"Effect": "Deny", "Action": "s3:Get", "Resource": ["a", "b"]}]})
    assert canonical({"Statement": json.loads(canonical(one))}) == canonical(one)


def test_the_binding_says_where_and_with_what() -> None:
    told = binding(intent("green", MINIO, password="s" * 32))
    assert told == {
        "type": "s3",
        "provider": "minio",
        "endpoint": "http://10.1.2.3:9000",
        "host": "10.1.2.3",
        "port": "9000",
        "region": "us-east-1",
        "bucket": "hub-green",
        "prefix": "tenant/green/files/",
        "uri": "s3://hub-green/tenant/green/files/",
        "username": "tenant-green",
        "password": "s" * 32,
        "accessKey": "tenant-green",
        "secretKey": "s" * 32,
    }


def test_the_binding_on_aws_knows_the_regions_endpoint_and_waits_for_the_key() -> None:
    told = binding(intent("green", AWS))
    assert told["endpoint"] == "https://s3.eu-west-1.amazonaws.com"
    assert told["port"] == "443"
    assert binding(replace(intent("green", AWS), credential=None)) == {}
