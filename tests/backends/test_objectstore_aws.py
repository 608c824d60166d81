"""The AWS provider, against moto's server: the shape of S3's and IAM's API, and policies being evaluated.

moto evaluates S3 calls against their real resource, IAM calls against `*`, and lets inactive keys in.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from tests.backends.objectstore import RIGHTS, HttpWire, converge, refused, round_of, s3
from tests.support import NOWHERE, cluster, intent

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Applied, Credential, Intent, Owner, Phase
from matrixhub.backends.objectstore import actions
from matrixhub.backends.objectstore.client import Client
from matrixhub.backends.objectstore.state import State
from matrixhub.errors import Conflict, Rejected, Unreachable

ID = "os-aws"
USER, BUCKET, KEY = naming.object_store_user(ID), naming.bucket("hub", ID), naming.object_prefix(ID) + "a"


class Moto:
    """moto's server, with policies evaluated except `as_root`."""

    def __init__(self, url: str) -> None:
        self.url = url
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        root = boto3.Session(aws_access_key_id="root", aws_secret_access_key="root", region_name="us-east-1")
        self.s3 = root.client("s3", endpoint_url=url, config=config)
        self.iam = root.client("iam", endpoint_url=url, config=config)
        self.admin: dict[str, str] = {}

    def _evaluate(self, after: str) -> None:
        urllib3.request("POST", f"{self.url}/moto-api/reset-auth", body=after)

    @contextmanager
    def as_root(self) -> Iterator[None]:
        """Nothing is evaluated for a while."""
        self._evaluate("inf")
        try:
            yield
        finally:
            self._evaluate("0")

    def settle(self) -> None:
        """The operator's admin exists, with the rights of its file."""
        rights = json.loads((RIGHTS / "aws.json").read_text(encoding="utf-8"))
        for statement in rights["Statement"]:
            if statement["Action"][0].startswith("iam:"):
                statement["Resource"] = "*"  # what moto takes the resource of an IAM call to be
            if "s3:DeleteObject" in statement["Action"]:
                statement["Resource"].append("arn:aws:s3:::hub-*")  # and that of a deletion of many
        with self.as_root():
            self.iam.create_user(UserName="matrixhub")
            self.iam.put_user_policy(UserName="matrixhub", PolicyName="hub", PolicyDocument=json.dumps(rights))
            key = self.iam.create_access_key(UserName="matrixhub")["AccessKey"]
        self.admin = {"accessKey": key["AccessKeyId"], "secretKey": key["SecretAccessKey"]}

    def forget(self) -> None:
        """No tenant is left, however it was made."""
        with self.as_root():
            for bucket in self.s3.list_buckets()["Buckets"]:
                page = self.s3.list_object_versions(Bucket=bucket["Name"])
                for item in page.get("Versions", []) + page.get("DeleteMarkers", []):
                    self.s3.delete_object(Bucket=bucket["Name"], Key=item["Key"], VersionId=item["VersionId"])
                self.s3.delete_bucket_tagging(Bucket=bucket["Name"])  # moto hands them to the next of that name
                self.s3.delete_bucket(Bucket=bucket["Name"])
            for user in self.iam.list_users()["Users"]:
                if user["UserName"] != "matrixhub":
                    self._forget_user(user["UserName"])

    def _forget_user(self, name: str) -> None:
        for key in self.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            self.iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for policy in self.iam.list_user_policies(UserName=name)["PolicyNames"]:
            self.iam.delete_user_policy(UserName=name, PolicyName=policy)
        self.iam.delete_user(UserName=name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            moto = Moto(_url(log, process))
            moto.settle()
            yield moto
        finally:
            process.terminate()


def _url(log: Path, process: "subprocess.Popen[bytes]") -> str:
    """Where the server listens, once it says so."""
    for _ in range(300):
        said = log.read_text(encoding="utf-8")
        if "Running on http" in said:
            return said.partition("Running on ")[2].split()[0]
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
    raise AssertionError(f"moto did not start: {log.read_text(encoding='utf-8')}")


@pytest.fixture
def moto(server: Moto) -> Iterator[Moto]:
    yield server
    server.forget()


def on(url: str) -> RealtimeCluster:
    store = {"provider": "aws", "endpoint": url, "iamEndpoint": url, "adminSecretRef": {"name": "aws-admin"}}
    return cluster(NOWHERE, objectStore=store)


@pytest.fixture(scope="module")
def client(server: Moto) -> Iterator[Client]:
    made = Client(on(server.url), server.admin)
    yield made
    made.close()


def wanted(
    moto: Moto, credential: Credential | None, phase: Phase = Phase.ACTIVE, tenant: str = ID, **more: Any
) -> Intent:
    return replace(intent(tenant, on(moto.url), phase, **more), credential=credential)


def onboarded(client: Client, moto: Moto, tenant: str = ID) -> Credential:
    """The tenant is in place; returns what the engine would keep in its Secret."""
    applied = round_of(client, wanted(moto, None, tenant=tenant))[tenant]
    assert applied == Applied(issued=applied.issued)
    assert applied.issued
    converge(client, wanted(moto, applied.issued, tenant=tenant))
    return applied.issued


def own(moto: Moto, credential: Credential) -> Any:
    return s3(moto.url, credential.username, credential.password)


def keys(moto: Moto) -> Mapping[str, str]:
    """The user's access keys, with their status."""
    with moto.as_root():
        found = moto.iam.list_access_keys(UserName=USER)["AccessKeyMetadata"]
    return {key["AccessKeyId"]: key["Status"] for key in found}


def steps(client: Client, wish: Intent) -> Sequence[actions.Action]:
    found = client.observe([wish])[wish.tenant.id]
    assert isinstance(found, State)
    return client.plan(client.desired(wish), found)


def test_the_store_answers_and_says_that_it_has_no_quota(client: Client) -> None:
    survey = client.prepare()
    assert [finding.reason for finding in survey.findings] == ["QuotaNotEnforced"]


def test_a_key_is_issued_once_and_then_kept(client: Client, moto: Moto) -> None:
    credential = onboarded(client, moto)
    assert keys(moto) == {credential.username: "Active"}
    assert round_of(client, wanted(moto, credential))[ID] == Applied()
    assert credential.password not in repr(Applied(issued=credential))


def test_the_bucket_is_as_it_should_be(client: Client, moto: Moto) -> None:
    onboarded(client, moto)
    with moto.as_root():
        assert moto.s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
        blocks = moto.s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
        rules = moto.s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
        tags = moto.iam.list_user_tags(UserName=USER)["Tags"]
    assert all(blocks.values())
    assert len(blocks) == 4
    assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert {"Key": "matrixhub.io/owner", "Value": f"hub/uid-{ID}"} in tags


def test_own_objects_work_and_others_do_not(client: Client, moto: Moto) -> None:
    mine, theirs = own(moto, onboarded(client, moto)), own(moto, onboarded(client, moto, "os-other"))
    there, key = naming.bucket("hub", "os-other"), naming.object_prefix("os-other") + "a"
    mine.put_object(Bucket=BUCKET, Key=KEY, Body=b"mine")
    theirs.put_object(Bucket=there, Key=key, Body=b"theirs")
    assert mine.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"mine"
    assert mine.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1
    for call, more in (("get_object", {}), ("put_object", {"Body": b"x"}), ("delete_object", {})):
        assert refused(getattr(mine, call), Bucket=there, Key=key, **more) == "AccessDenied"
    assert refused(mine.list_objects_v2, Bucket=there) == "AccessDenied"
    assert refused(mine.put_object, Bucket=BUCKET, Key="outside", Body=b"x") == "AccessDenied"
    assert refused(mine.list_buckets) == "AccessDenied"
    assert refused(mine.delete_bucket, Bucket=BUCKET) == "AccessDenied"
    assert (
        refused(mine.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
        == "AccessDenied"
    )


def test_a_tenant_has_no_iam(client: Client, moto: Moto) -> None:
    credential = onboarded(client, moto)
    iam = boto3.client(
        "iam",
        endpoint_url=moto.url,
        aws_access_key_id=credential.username,
        aws_secret_access_key=credential.password,
        region_name="us-east-1",
    )
    assert refused(iam.create_access_key, UserName=USER) == "AccessDenied"
    assert refused(iam.put_user_policy, UserName=USER, PolicyName="x", PolicyDocument="{}") == "AccessDenied"


def test_suspended_the_key_is_inactive_and_everything_is_denied(client: Client, moto: Moto) -> None:
    credential = onboarded(client, moto)
    own(moto, credential).put_object(Bucket=BUCKET, Key=KEY, Body=b"mine")
    converge(client, wanted(moto, credential, Phase.SUSPENDED))
    assert keys(moto) == {credential.username: "Inactive"}
    assert refused(own(moto, credential).get_object, Bucket=BUCKET, Key=KEY) == "AccessDenied"
    converge(client, wanted(moto, credential))
    assert keys(moto) == {credential.username: "Active"}
    assert own(moto, credential).get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"mine"


def test_retained_data_is_adopted_with_a_new_key(client: Client, moto: Moto) -> None:
    credential = onboarded(client, moto)
    own(moto, credential).put_object(Bucket=BUCKET, Key=KEY, Body=b"mine")
    converge(client, wanted(moto, None, Phase.RETAINED))
    assert refused(own(moto, credential).get_object, Bucket=BUCKET, Key=KEY) == "InvalidAccessKeyId"
    with moto.as_root():
        assert USER not in [user["UserName"] for user in moto.iam.list_users()["Users"]]
    heir = wanted(moto, None, owner=Owner("hub", "the-next"))
    issued = round_of(client, heir)[ID].issued
    assert issued
    converge(client, replace(heir, credential=issued))
    assert own(moto, issued).get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"mine"


def test_deleted_nothing_is_left(client: Client, moto: Moto) -> None:
    mine = own(moto, onboarded(client, moto))
    for body in (b"1", b"2"):
        mine.put_object(Bucket=BUCKET, Key=KEY, Body=body)
    mine.delete_object(Bucket=BUCKET, Key=KEY)
    mine.create_multipart_upload(Bucket=BUCKET, Key=KEY)
    gone = wanted(moto, None, Phase.DELETED)
    plan = steps(client, gone)
    client.apply({ID: plan[: plan.index(actions.DeleteBucket(BUCKET))]})
    with moto.as_root():
        assert not moto.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
        assert not moto.s3.list_object_versions(Bucket=BUCKET).get("Versions")
    converge(client, gone)
    with moto.as_root():
        assert moto.s3.list_buckets()["Buckets"] == []
        assert [user["UserName"] for user in moto.iam.list_users()["Users"]] == ["matrixhub"]
    converge(client, wanted(moto, None, Phase.DELETED))


def join_group(moto: Moto) -> None:
    moto.iam.create_group(GroupName="admins")
    moto.iam.add_user_to_group(UserName=USER, GroupName="admins")


def managed_policy(moto: Moto) -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn = moto.iam.create_policy(PolicyName="everything", PolicyDocument=document)["Policy"]["Arn"]
    moto.iam.attach_user_policy(UserName=USER, PolicyArn=arn)
    moto.iam.put_user_policy(UserName=USER, PolicyName="more", PolicyDocument=document)


def public_policy(moto: Moto) -> None:
    moto.s3.delete_public_access_block(Bucket=BUCKET)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    moto.s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


DRIFT: dict[str, Any] = {
    "public policy and no block": public_policy,
    "versioning": lambda moto: moto.s3.put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}
    ),
    "encryption": lambda moto: moto.s3.delete_bucket_encryption(Bucket=BUCKET),
    "lifecycle": lambda moto: moto.s3.delete_bucket_lifecycle(Bucket=BUCKET),
    "tags": lambda moto: moto.s3.delete_bucket_tagging(Bucket=BUCKET),
    "user policy": lambda moto: moto.iam.delete_user_policy(UserName=USER, PolicyName=USER),
    "more policies": managed_policy,
    "group": join_group,
    "user mark": lambda moto: moto.iam.untag_user(UserName=USER, TagKeys=["matrixhub.io/owner"]),
}


@pytest.mark.parametrize("kind", DRIFT)
def test_drift_is_mended(client: Client, moto: Moto, kind: str) -> None:
    wish = wanted(moto, onboarded(client, moto))
    before = client.observe([wish])[ID]
    with moto.as_root():
        DRIFT[kind](moto)
    assert client.observe([wish])[ID] != before
    converge(client, wish)
    assert client.observe([wish])[ID] == before


def test_an_inactive_key_is_activated_and_a_strange_one_deleted(client: Client, moto: Moto) -> None:
    credential = onboarded(client, moto)
    with moto.as_root():
        moto.iam.update_access_key(UserName=USER, AccessKeyId=credential.username, Status="Inactive")
        moto.iam.create_access_key(UserName=USER)
    converge(client, wanted(moto, credential))
    assert keys(moto) == {credential.username: "Active"}


@pytest.mark.parametrize("known", ["lost", "altered"])
def test_a_key_that_the_secret_does_not_hold_is_replaced(client: Client, moto: Moto, known: str) -> None:
    """The operator was killed before it stored the key, or somebody changed the Secret."""
    credential = onboarded(client, moto)
    held = None if known == "lost" else replace(credential, password="x" * 40)
    issued = round_of(client, wanted(moto, held))[ID].issued
    assert issued
    assert keys(moto) == {issued.username: "Active"}
    converge(client, wanted(moto, issued))


def test_an_operator_killed_after_any_step_goes_on_from_there(client: Client, moto: Moto) -> None:
    total = len(steps(client, wanted(moto, None)))
    for done in range(total):
        tenant = f"os-aws-{done}"
        plan = steps(client, wanted(moto, None, tenant=tenant))
        client.apply({tenant: plan[:done]})
        onboarded(client, moto, tenant)
        with moto.as_root():
            assert len(moto.iam.list_access_keys(UserName=naming.object_store_user(tenant))["AccessKeyMetadata"]) == 1
    assert total == 9


def test_lookalikes_are_conflicts_and_survive_a_deletion(client: Client, moto: Moto) -> None:
    wish = wanted(moto, None)
    with moto.as_root():
        moto.s3.create_bucket(Bucket=BUCKET)
        moto.s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"precious")
    with pytest.raises(Conflict, match=BUCKET):
        round_of(client, wish)
    with moto.as_root():
        moto.s3.delete_object(Bucket=BUCKET, Key=KEY)
        moto.s3.delete_bucket(Bucket=BUCKET)
        moto.iam.create_user(UserName=USER)
    with pytest.raises(Conflict, match=USER):
        round_of(client, wish)
    converge(client, wanted(moto, None, Phase.DELETED))
    with moto.as_root():
        assert moto.iam.get_user(UserName=USER)


def test_a_bucket_name_that_is_anothers_is_told(client: Client, moto: Moto) -> None:
    with moto.as_root():
        moto.s3.create_bucket(Bucket=BUCKET)
        statement = {
            "Effect": "Deny",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        moto.iam.put_user_policy(UserName="matrixhub", PolicyName="not-ours", PolicyDocument=document)
    try:
        with pytest.raises(Rejected, match="another account") as rejected:
            round_of(client, wanted(moto, None))
        assert rejected.value.reason == "BucketNameTaken"
        converge(client, wanted(moto, None, Phase.DELETED))
    finally:
        with moto.as_root():
            assert moto.s3.head_bucket(Bucket=BUCKET)
            moto.iam.delete_user_policy(UserName="matrixhub", PolicyName="not-ours")


@pytest.mark.parametrize("key", ["accessKey", "secretKey"])
def test_a_wrong_admin_credential_is_named_by_its_secret(moto: Moto, key: str) -> None:
    wrong = Client(on(moto.url), moto.admin | {key: "AKIANOTTHERIGHTONE00"})
    with pytest.raises(Rejected, match="Secret matrixhub/aws-admin") as rejected:
        wrong.prepare()
    assert rejected.value.reason == "AuthenticationFailed"
    wrong.close()


def test_an_admin_without_rights_is_told_what_to_grant(client: Client, moto: Moto) -> None:
    credential = onboarded(client, moto)
    poor = Client(on(moto.url), {"accessKey": credential.username, "secretKey": credential.password})
    with pytest.raises(Rejected, match=r"manifests/admin-rights/aws\.json") as rejected:
        poor.prepare()
    assert rejected.value.reason == "PermissionDenied"
    poor.close()


def test_an_outage_is_unreachable_and_over_when_it_is_over(moto: Moto) -> None:
    with HttpWire(moto.url) as wire:
        client = Client(on(wire.url), moto.admin)
        wire.cut()
        with pytest.raises(Unreachable, match="does not answer"):
            client.observe([wanted(moto, None)])
        wire.mend()
        onboarded(client, moto)
        client.close()
