"""What the object store's tests share: plain S3, the root's view, rounds of an engine, a wire that can be cut."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin
from tests.support import ROOT
from tests.wire import Wire

from matrixhub.api import naming
from matrixhub.backends.contract import Applied, Intent
from matrixhub.backends.objectstore.client import Client
from matrixhub.errors import BackendError

RIGHTS = ROOT / "manifests" / "admin-rights"


def s3(endpoint: str, key: str, secret: str, token: str | None = None) -> Any:
    """Plain boto3, as an application uses it, that gives up at the first refusal."""
    config = Config(
        retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=10, s3={"addressing_style": "path"}
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        region_name="us-east-1",
        config=config,
    )


def minio_admin(endpoint: str, key: str, secret: str) -> MinioAdmin:
    """MinIO's admin API as that user."""
    pool = urllib3.PoolManager(retries=False, timeout=10)
    return MinioAdmin(
        endpoint=endpoint.split("://")[1], credentials=StaticProvider(key, secret), secure=False, http_client=pool
    )


def refused(call: Any, *arguments: Any, **keywords: Any) -> str:
    """The code with which the store refuses the call; fails when it does not refuse."""
    try:
        answer = call(*arguments, **keywords)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except MinioAdminException as error:
        return str(json.loads(str(error).partition("Body: ")[2])["Code"])
    raise AssertionError(f"it was let: {answer}")


def fetched(url: str, method: str = "GET", body: bytes | None = None) -> int:
    """The HTTP status of a request without credentials of its own, such as one to a presigned URL."""
    return urllib3.request(method, url, body=body, retries=False, timeout=10).status


def round_of(client: Client, *intents: Intent) -> Mapping[str, Applied]:
    """One round of the engine: observe, plan, apply. Raises what observing or planning says."""
    found = client.observe(intents)
    plans = {}
    for intent in intents:
        state = found[intent.tenant.id]
        if isinstance(state, BackendError):
            raise state
        plans[intent.tenant.id] = client.plan(client.desired(intent), state)
    return client.apply(plans)


def converge(client: Client, *intents: Intent) -> None:
    """After one round all is as desired; fails on any error."""
    for applied in round_of(client, *intents).values():
        if applied.error:
            raise applied.error
    found = client.observe(intents)
    for intent in intents:
        state = found[intent.tenant.id]
        assert not isinstance(state, BackendError), state
        assert client.plan(client.desired(intent), state) == ()


def _found(ask: Any, name: str) -> bool:
    with _maybe_gone():
        ask(name)
        return True
    return False


@contextmanager
def _maybe_gone() -> Iterator[None]:
    """What is asked for may not be there; every other refusal is raised."""
    try:
        yield
    except MinioAdminException as error:
        if "XMinioAdminNoSuch" not in str(error):
            raise
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise


class Root:
    """MinIO's root: looks at what is there, breaks it, and cleans up."""

    def __init__(self, stand: Mapping[str, str]) -> None:
        key, secret = stand["AWS_ACCESS_KEY_ID"], stand["AWS_SECRET_ACCESS_KEY"]
        self.endpoint = stand["S3_ENDPOINT"]
        self.s3 = s3(self.endpoint, key, secret)
        self.admin = minio_admin(self.endpoint, key, secret)

    def grant(self, name: str, file: Path) -> None:
        """The admin user of that name has the rights in the file, and those only."""
        self.admin.policy_add(name, policy_file=file)
        self.admin.policy_set(name, user=name)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """MinIO's scanner counts every second; it does every minute otherwise, and the first time within one."""
        self.admin.config_set("scanner", {"speed": "fastest"})
        try:
            yield
        finally:
            self.admin.config_set("scanner", {"speed": "default"})

    def bucket_exists(self, name: str) -> bool:
        """Whether there is such a bucket."""
        return name in {bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]}

    def user_exists(self, name: str) -> bool:
        """Whether there is such a user."""
        return _found(self.admin.user_info, name)

    def policy_exists(self, name: str) -> bool:
        """Whether there is such a policy."""
        return _found(self.admin.policy_info, name)

    def forget(self, tenant: str) -> None:
        """Nothing under the tenant's names is left, whoever made it."""
        user, bucket = naming.object_store_user(tenant), naming.bucket("hub", tenant)
        with _maybe_gone():
            self.admin.user_remove(user)
        with _maybe_gone():
            self.admin.policy_remove(user)
        with _maybe_gone():
            self.admin.group_remove("os-group")
        with _maybe_gone():
            while found := [
                {"Key": item["Key"], "VersionId": item["VersionId"]}
                for page in [self.s3.list_object_versions(Bucket=bucket)]
                for item in page.get("Versions", []) + page.get("DeleteMarkers", [])
            ]:
                self.s3.delete_objects(Bucket=bucket, Delete={"Objects": found})
            self.s3.delete_bucket(Bucket=bucket)


class HttpWire(Wire):
    """A wire to the endpoint that counts the requests."""

    def __init__(self, endpoint: str) -> None:
        host, port = endpoint.split("://")[1].split(":")
        super().__init__(host, int(port), self._count)
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests = 0

    def _count(self, sent: bytes) -> None:
        self.requests += sent.count(b" HTTP/1.1\r\n")
