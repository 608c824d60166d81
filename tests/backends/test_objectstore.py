"""MinIO as tenants see it: what is their own works, what is another's does not; the phases of a tenant's life."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.backends.objectstore import RIGHTS, HttpWire, Root, converge, fetched, minio_admin, refused, round_of, s3
from tests.patience import until
from tests.support import cluster, intent

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Owner, Phase
from matrixhub.backends.objectstore import client as objectstore
from matrixhub.backends.objectstore.client import Client
from matrixhub.errors import Conflict, Transient

PASSWORD = "the-secret-of-one-tenant-0123456789abcdef"
OWN, OTHER = "os-own", "os-other"


@pytest.fixture(scope="module")
def root(stand: Mapping[str, str]) -> Iterator[Root]:
    found = Root(stand)
    found.grant(stand["S3_ADMIN_ACCESS_KEY"], RIGHTS / "minio.json")
    with found.counting():
        yield found


@pytest.fixture(scope="module")
def hub(stand: Mapping[str, str]) -> RealtimeCluster:
    return cluster(stand)


@pytest.fixture(scope="module")
def client(stand: Mapping[str, str], hub: RealtimeCluster, root: Root) -> Iterator[Client]:
    made = Client(hub, admin(stand))
    yield made
    made.close()


@pytest.fixture
def two(client: Client, hub: RealtimeCluster, root: Root) -> Iterator[None]:
    """Two tenants, each with an object."""
    converge(client, *(intent(tenant, hub, password=PASSWORD + tenant) for tenant in (OWN, OTHER)))
    for tenant in (OWN, OTHER):
        own(root, tenant).put_object(Bucket=bucket(tenant), Key=key(tenant), Body=b"first")
    yield
    root.forget(OWN)
    root.forget(OTHER)


@pytest.fixture
def tenant(root: Root) -> Iterator[str]:
    """An id, whose traces are removed afterwards."""
    yield "os-one"
    root.forget("os-one")


def bucket(tenant: str) -> str:
    return naming.bucket("hub", tenant)


def key(tenant: str, name: str = "a.txt") -> str:
    return naming.object_prefix(tenant) + name


def own(root: Root, tenant: str) -> Any:
    """S3 with the tenant's credential, by plain boto3."""
    return s3(root.endpoint, naming.object_store_user(tenant), PASSWORD + tenant)


def test_a_tenant_writes_reads_lists_and_deletes_its_objects(two: None, root: Root) -> None:
    mine = own(root, OWN)
    mine.put_object(Bucket=bucket(OWN), Key=key(OWN), Body=b"second")
    mine.copy_object(Bucket=bucket(OWN), Key=key(OWN, "b.txt"), CopySource=f"{bucket(OWN)}/{key(OWN)}")
    assert mine.get_object(Bucket=bucket(OWN), Key=key(OWN, "b.txt"))["Body"].read() == b"second"
    assert mine.head_object(Bucket=bucket(OWN), Key=key(OWN))["ServerSideEncryption"] == "AES256"
    listed = mine.list_objects_v2(Bucket=bucket(OWN), Prefix=naming.object_prefix(OWN))["Contents"]
    assert [item["Key"] for item in listed] == [key(OWN), key(OWN, "b.txt")]
    mine.head_bucket(Bucket=bucket(OWN))
    mine.delete_object(Bucket=bucket(OWN), Key=key(OWN))
    assert mine.list_objects_v2(Bucket=bucket(OWN))["KeyCount"] == 1


def test_a_tenant_gets_back_what_it_overwrote_and_deleted_but_cannot_destroy_it(two: None, root: Root) -> None:
    mine = own(root, OWN)
    mine.put_object(Bucket=bucket(OWN), Key=key(OWN), Body=b"second")
    mine.delete_object(Bucket=bucket(OWN), Key=key(OWN))
    versions = mine.list_object_versions(Bucket=bucket(OWN))["Versions"]
    oldest = versions[-1]["VersionId"]
    assert mine.get_object(Bucket=bucket(OWN), Key=key(OWN), VersionId=oldest)["Body"].read() == b"first"
    assert refused(mine.delete_object, Bucket=bucket(OWN), Key=key(OWN), VersionId=oldest) == "AccessDenied"
    many = {"Objects": [{"Key": key(OWN), "VersionId": oldest}]}
    assert mine.delete_objects(Bucket=bucket(OWN), Delete=many)["Errors"][0]["Code"] == "AccessDenied"
    assert len(mine.list_object_versions(Bucket=bucket(OWN))["Versions"]) == len(versions)


def test_a_tenant_uploads_in_parts_and_gives_up_an_upload(two: None, root: Root) -> None:
    mine, where = own(root, OWN), {"Bucket": bucket(OWN), "Key": key(OWN, "large")}
    upload = mine.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number, body in ((1, b"x" * (5 << 20)), (2, b"end")):
        part = mine.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    mine.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    assert mine.head_object(**where)["ContentLength"] == (5 << 20) + 3
    given_up = mine.create_multipart_upload(**where)["UploadId"]
    mine.list_multipart_uploads(Bucket=bucket(OWN))
    mine.abort_multipart_upload(**where, UploadId=given_up)


def test_presigned_urls_carry_the_tenants_rights_and_no_more(two: None, root: Root) -> None:
    mine = own(root, OWN)

    def presigned(call: str, tenant: str) -> str:
        return str(mine.generate_presigned_url(call, {"Bucket": bucket(tenant), "Key": key(tenant)}, ExpiresIn=60))

    assert fetched(presigned("get_object", OWN)) == 200
    assert fetched(presigned("put_object", OWN), "PUT", b"by url") == 200
    assert fetched(presigned("get_object", OTHER)) == 403
    assert fetched(presigned("put_object", OTHER), "PUT", b"by url") == 403
    assert fetched(presigned("get_object", OWN).split("?")[0]) == 403


OBJECT_ATTACKS = {
    "get_object": {},
    "head_object": {},
    "put_object": {"Body": b"x"},
    "delete_object": {},
    "get_object_tagging": {},
    "get_object_acl": {},
    "create_multipart_upload": {},
}
BUCKET_ATTACKS = {
    "head_bucket": {},
    "list_objects_v2": {},
    "list_object_versions": {},
    "list_multipart_uploads": {},
    "get_bucket_location": {},
    "get_bucket_tagging": {},
    "get_bucket_policy": {},
}
CHANGES = {
    "put_bucket_policy": {
        "Policy": '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ["*"]}, '
        f'"Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::{bucket(OWN)}/*"]}}]}}'
    },
    "delete_bucket_policy": {},
    "put_bucket_versioning": {"VersioningConfiguration": {"Status": "Suspended"}},
    "put_bucket_lifecycle_configuration": {
        "LifecycleConfiguration": {
            "Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
        }
    },
    "delete_bucket_lifecycle": {},
    "put_bucket_tagging": {"Tagging": {"TagSet": [{"Key": "matrixhub.io/owner", "Value": "me/me"}]}},
    "delete_bucket_tagging": {},
    "delete_bucket_encryption": {},
    "delete_bucket": {},
    "get_bucket_tagging": {},
}


@pytest.mark.parametrize("call", OBJECT_ATTACKS)
def test_the_other_tenants_object_is_out_of_reach(two: None, root: Root, call: str) -> None:
    where = {"Bucket": bucket(OTHER), "Key": key(OTHER)}
    assert refused(getattr(own(root, OWN), call), **where, **OBJECT_ATTACKS[call]) in ("AccessDenied", "403")


@pytest.mark.parametrize("call", BUCKET_ATTACKS)
def test_the_other_tenants_bucket_is_out_of_reach(two: None, root: Root, call: str) -> None:
    assert refused(getattr(own(root, OWN), call), Bucket=bucket(OTHER)) in ("AccessDenied", "403")


def test_no_copy_reads_or_writes_across(two: None, root: Root) -> None:
    mine = own(root, OWN)
    theirs, ours = f"{bucket(OTHER)}/{key(OTHER)}", f"{bucket(OWN)}/{key(OWN)}"
    assert refused(mine.copy_object, Bucket=bucket(OWN), Key=key(OWN), CopySource=theirs) == "AccessDenied"
    assert refused(mine.copy_object, Bucket=bucket(OTHER), Key=key(OTHER), CopySource=ours) == "AccessDenied"
    many = {"Objects": [{"Key": key(OTHER)}]}
    assert mine.delete_objects(Bucket=bucket(OTHER), Delete=many)["Errors"][0]["Code"] == "AccessDenied"
    assert own(root, OTHER).get_object(Bucket=bucket(OTHER), Key=key(OTHER))["Body"].read() == b"first"


def test_the_list_of_buckets_shows_its_own_alone_and_none_can_be_made(two: None, root: Root) -> None:
    mine = own(root, OWN)
    assert [item["Name"] for item in mine.list_buckets()["Buckets"]] == [bucket(OWN)]
    assert refused(mine.create_bucket, Bucket="hub-os-mine-too") == "AccessDenied"


@pytest.mark.parametrize("call", CHANGES)
def test_a_tenant_changes_nothing_about_its_bucket(two: None, root: Root, call: str) -> None:
    assert refused(getattr(own(root, OWN), call), Bucket=bucket(OWN), **CHANGES[call]) == "AccessDenied"


def test_a_tenant_writes_nothing_outside_its_prefix(two: None, root: Root) -> None:
    mine = own(root, OWN)
    for name in ("a.txt", "tenant/os-other/files/a.txt", f"tenant/{OWN}/file", f"tenant/{OWN}/files/../x"):
        assert refused(mine.put_object, Bucket=bucket(OWN), Key=name, Body=b"x") in (
            "AccessDenied",
            "XMinioInvalidResourceName",
            "XMinioInvalidObjectName",
        )


def test_a_tenant_has_no_admin_api_not_even_for_itself(two: None, root: Root) -> None:
    name = naming.object_store_user(OWN)
    mine = minio_admin(root.endpoint, name, PASSWORD + OWN)
    assert refused(mine.user_list) == "AccessDenied"
    assert refused(mine.user_add, name, "another-secret-of-mine") == "AccessDenied"
    assert refused(mine.user_enable, naming.object_store_user(OTHER)) == "AccessDenied"
    assert refused(mine.policy_set, "consoleAdmin", user=name) == "AccessDenied"
    assert refused(mine.bucket_quota_clear, bucket(OWN)) == "AccessDenied"
    assert refused(mine.add_service_account, access_key="os-side-door", secret_key="side-door-secret") == "AccessDenied"


def test_an_object_larger_than_the_quota_is_refused(
    client: Client, hub: RealtimeCluster, root: Root, tenant: str
) -> None:
    converge(client, intent(tenant, hub, password=PASSWORD + tenant, objectStore={"storage": "1Mi"}))
    mine = own(root, tenant)
    mine.put_object(Bucket=bucket(tenant), Key=key(tenant), Body=b"x" * 1000)
    code = refused(mine.put_object, Bucket=bucket(tenant), Key=key(tenant), Body=b"x" * (1 << 20))
    assert code == "XMinioAdminBucketQuotaExceeded"


def assume_role(root: Root, tenant: str) -> Any:
    """S3 with a temporary token that the tenant got itself: MinIO gives one to every user."""
    sts = boto3.client(
        "sts",
        endpoint_url=root.endpoint,
        aws_access_key_id=naming.object_store_user(tenant),
        aws_secret_access_key=PASSWORD + tenant,
        region_name="us-east-1",
    )
    got = sts.assume_role(RoleArn="arn:aws:iam::1:role/any", RoleSessionName="any", DurationSeconds=3600)["Credentials"]
    return s3(root.endpoint, got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])


def test_a_suspended_tenant_finds_every_door_shut_and_its_data_when_it_comes_back(
    two: None, client: Client, hub: RealtimeCluster, root: Root
) -> None:
    mine, token = own(root, OWN), assume_role(root, OWN)
    url = mine.generate_presigned_url("get_object", {"Bucket": bucket(OWN), "Key": key(OWN)})
    assert token.list_objects_v2(Bucket=bucket(OWN))["KeyCount"] == 1
    converge(client, intent(OWN, hub, Phase.SUSPENDED, password=PASSWORD + OWN))
    assert refused(mine.list_objects_v2, Bucket=bucket(OWN)) == "InvalidAccessKeyId"
    assert refused(token.list_objects_v2, Bucket=bucket(OWN)) == "AccessDenied"
    assert fetched(url) == 403
    assert own(root, OTHER).list_objects_v2(Bucket=bucket(OTHER))["KeyCount"] == 1
    converge(client, intent(OWN, hub, password=PASSWORD + OWN))
    assert mine.get_object(Bucket=bucket(OWN), Key=key(OWN))["Body"].read() == b"first"


def test_a_tenant_that_begins_suspended_has_everything_but_access(
    client: Client, hub: RealtimeCluster, root: Root, tenant: str
) -> None:
    converge(client, intent(tenant, hub, Phase.SUSPENDED, password=PASSWORD + tenant))
    assert refused(own(root, tenant).list_objects_v2, Bucket=bucket(tenant)) == "InvalidAccessKeyId"
    converge(client, intent(tenant, hub, password=PASSWORD + tenant))
    assert own(root, tenant).list_objects_v2(Bucket=bucket(tenant))["KeyCount"] == 0


def test_a_replaced_secret_shuts_out_the_old_one_and_the_tokens_made_with_it(
    two: None, client: Client, hub: RealtimeCluster, root: Root
) -> None:
    mine, token = own(root, OWN), assume_role(root, OWN)
    converge(client, intent(OWN, hub, password="a-new-secret-of-some-32-characters"))
    assert refused(mine.list_objects_v2, Bucket=bucket(OWN)) == "SignatureDoesNotMatch"
    assert refused(token.list_objects_v2, Bucket=bucket(OWN)) == "InvalidAccessKeyId"
    new = s3(root.endpoint, naming.object_store_user(OWN), "a-new-secret-of-some-32-characters")
    assert new.list_objects_v2(Bucket=bucket(OWN))["KeyCount"] == 1


def test_what_is_retained_is_kept_without_access_and_adopted_by_the_next_tenant_of_that_name(
    two: None, client: Client, hub: RealtimeCluster, root: Root
) -> None:
    mine, token = own(root, OWN), assume_role(root, OWN)
    converge(client, intent(OWN, hub, Phase.RETAINED))
    assert refused(mine.list_objects_v2, Bucket=bucket(OWN)) == "InvalidAccessKeyId"
    assert refused(token.list_objects_v2, Bucket=bucket(OWN)) == "InvalidAccessKeyId"
    assert not root.user_exists(naming.object_store_user(OWN))
    assert not root.policy_exists(naming.object_store_user(OWN))
    tags = {tag["Key"]: tag["Value"] for tag in root.s3.get_bucket_tagging(Bucket=bucket(OWN))["TagSet"]}
    assert tags["matrixhub.io/retained"] == "true"
    converge(client, intent(OWN, hub, password=PASSWORD + OWN, owner=Owner("hub", "the-next")))
    assert refused(token.list_objects_v2, Bucket=bucket(OWN)) == "InvalidAccessKeyId"
    assert own(root, OWN).get_object(Bucket=bucket(OWN), Key=key(OWN))["Body"].read() == b"first"
    tags = {tag["Key"]: tag["Value"] for tag in root.s3.get_bucket_tagging(Bucket=bucket(OWN))["TagSet"]}
    assert tags["matrixhub.io/owner"] == "hub/the-next"
    assert "matrixhub.io/retained" not in tags


def test_what_a_lost_hub_marked_is_adopted_where_the_cluster_says_so(
    two: None, client: Client, hub: RealtimeCluster, root: Root
) -> None:
    heir = Owner("new-hub", "the-next", former="hub")
    converge(client, intent(OWN, hub, password=PASSWORD + OWN, owner=heir))
    assert own(root, OWN).get_object(Bucket=bucket(OWN), Key=key(OWN))["Body"].read() == b"first"
    tags = {tag["Key"]: tag["Value"] for tag in root.s3.get_bucket_tagging(Bucket=bucket(OWN))["TagSet"]}
    assert tags["matrixhub.io/owner"] == "new-hub/the-next"
    with pytest.raises(Conflict, match="adoptFrom: new-hub"):
        converge(client, intent(OWN, hub))
    converge(client, intent(OWN, hub, password=PASSWORD + OWN, owner=Owner("hub", "back", former="new-hub")))


def test_what_is_retained_outlives_the_deletion_of_a_tenant_that_never_adopted_it(
    two: None, client: Client, hub: RealtimeCluster, root: Root
) -> None:
    converge(client, intent(OWN, hub, Phase.RETAINED))
    converge(client, intent(OWN, hub, Phase.DELETED, owner=Owner("hub", "the-next")))
    assert root.s3.get_object(Bucket=bucket(OWN), Key=key(OWN))["Body"].read() == b"first"


@pytest.mark.parametrize("phase", [Phase.RETAINED, Phase.DELETED])
def test_the_door_that_an_earlier_tenant_left_open_is_shut_and_its_data_stays(
    two: None, client: Client, hub: RealtimeCluster, root: Root, phase: Phase
) -> None:
    """Its end was missed, and the next of its name goes before the store was ever there for it."""
    mine, token = own(root, OWN), assume_role(root, OWN)
    converge(client, intent(OWN, hub, phase, owner=Owner("hub", "the-next")))
    assert refused(mine.list_objects_v2, Bucket=bucket(OWN)) == "InvalidAccessKeyId"
    assert refused(token.list_objects_v2, Bucket=bucket(OWN)) == "InvalidAccessKeyId"
    assert not root.user_exists(naming.object_store_user(OWN))
    assert not root.policy_exists(naming.object_store_user(OWN))
    assert root.s3.get_object(Bucket=bucket(OWN), Key=key(OWN))["Body"].read() == b"first"
    tags = {tag["Key"]: tag["Value"] for tag in root.s3.get_bucket_tagging(Bucket=bucket(OWN))["TagSet"]}
    assert tags["matrixhub.io/owner"] == f"hub/uid-{OWN}"
    converge(client, intent(OWN, hub, password=PASSWORD + OWN, owner=Owner("hub", "the-third")))
    assert own(root, OWN).get_object(Bucket=bucket(OWN), Key=key(OWN))["Body"].read() == b"first"


def test_deletion_takes_versions_markers_and_uploads_and_leaves_nothing(
    two: None, client: Client, hub: RealtimeCluster, root: Root
) -> None:
    mine = own(root, OWN)
    mine.put_object(Bucket=bucket(OWN), Key=key(OWN), Body=b"second")
    mine.delete_object(Bucket=bucket(OWN), Key=key(OWN))
    mine.create_multipart_upload(Bucket=bucket(OWN), Key=key(OWN, "never finished"))
    for strange in ("\x01", "\x1f/\ufffe", "a\rb\nc\t", "a+b %2F&<>", "\U0001f600"):
        mine.put_object(Bucket=bucket(OWN), Key=key(OWN, strange), Body=b"whose name no XML can carry, or nearly")
    root.s3.put_object(Bucket=bucket(OWN), Key="outside of the prefix", Body=b"x")
    converge(client, intent(OWN, hub, Phase.DELETED))
    assert not root.bucket_exists(bucket(OWN))
    assert not root.user_exists(naming.object_store_user(OWN))
    assert not root.policy_exists(naming.object_store_user(OWN))
    assert own(root, OTHER).list_objects_v2(Bucket=bucket(OTHER))["KeyCount"] == 1
    converge(client, intent(OWN, hub, Phase.DELETED))


def test_deleting_a_large_bucket_comes_back_to_say_how_far_it_is(
    two: None, client: Client, hub: RealtimeCluster, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = own(root, OWN)
    for number in range(30):
        mine.put_object(Bucket=bucket(OWN), Key=key(OWN, str(number)), Body=b"x")
    monkeypatch.setattr(objectstore, "DELETING_SECONDS", 0)
    monkeypatch.setattr("matrixhub.backends.objectstore.buckets.PAGE", 20)
    error = round_of(client, intent(OWN, hub, Phase.DELETED))[OWN].error
    assert isinstance(error, Transient)
    assert error.message == f"bucket {bucket(OWN)} is being emptied: 20 objects removed just now"
    assert error.retry_after == 1
    assert refused(mine.list_objects_v2, Bucket=bucket(OWN)) == "InvalidAccessKeyId"
    assert len(root.s3.list_objects_v2(Bucket=bucket(OWN))["Contents"]) == 11
    monkeypatch.undo()
    converge(client, intent(OWN, hub, Phase.DELETED))
    assert not root.bucket_exists(bucket(OWN))


def asked(stand: Mapping[str, str], *, metered: bool) -> int:
    """The requests of a look at the store as a whole."""
    with HttpWire(stand["S3_ENDPOINT"]) as wire:
        store = {"provider": "minio", "endpoint": wire.url, "adminSecretRef": {"name": "object-store-admin"}}
        client = Client(cluster(stand, objectStore=store), admin(stand), metered=metered)
        client.prepare()
        before = wire.requests
        client.prepare()
        client.close()
        return wire.requests - before


def admin(stand: Mapping[str, str]) -> dict[str, str]:
    return {"accessKey": stand["S3_ADMIN_ACCESS_KEY"], "secretKey": stand["S3_ADMIN_SECRET_KEY"]}


def test_what_all_tenants_store_is_told_by_one_request_more(
    two: None, stand: Mapping[str, str], hub: RealtimeCluster, client: Client, root: Root
) -> None:
    own(root, OWN).put_object(Bucket=bucket(OWN), Key=key(OWN), Body=b"x" * 5000)
    wanted = {bucket(OWN): len(b"first") + 5000, bucket(OTHER): len(b"first")}
    with contextlib.closing(Client(hub, admin(stand), metered=True)) as metered:
        until(lambda: metered.prepare().stored.items() >= wanted.items(), 100, "all versions are counted")
        stored = metered.prepare().stored
    assert all(name.startswith("hub-") for name in stored)
    assert client.prepare().stored == {}, "not asked for"
    assert asked(stand, metered=True) == asked(stand, metered=False) + 1


def test_an_admin_who_may_not_ask_what_is_stored_is_told_so_and_does_all_else(
    stand: Mapping[str, str], hub: RealtimeCluster, root: Root, tmp_path: Path
) -> None:
    rights = json.loads((RIGHTS / "minio.json").read_text())
    rights["Statement"][-1]["Action"].remove("admin:DataUsageInfo")
    (tmp_path / "poor.json").write_text(json.dumps(rights))
    root.admin.user_add("os-poor-admin", PASSWORD)
    root.grant("os-poor-admin", tmp_path / "poor.json")
    poor = Client(hub, {"accessKey": "os-poor-admin", "secretKey": PASSWORD}, metered=True)
    survey = poor.prepare()
    poor.close()
    root.admin.user_remove("os-poor-admin")
    root.admin.policy_remove("os-poor-admin")
    assert [finding.reason for finding in survey.findings] == ["PermissionDenied"]
    assert "datausageinfo" in survey.findings[0].message
    assert "manifests/admin-rights/minio.json" in survey.findings[0].message
    assert survey.stored == {}
