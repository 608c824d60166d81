"""AWS chooses its own access keys: they find their way from IAM into the tenant's Secret. `moto` stands for AWS."""

import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest
from tests.e2e.hub import Hub
from tests.patience import free_port, until

NAME = "aws-school"


@pytest.fixture
def aws(hub: Hub) -> Iterator[str]:
    """The URL of an AWS of our own, named by a RealtimeCluster `aws`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    secret = ["--from-literal=accessKey=anybody", "--from-literal=secretKey=anything"]
    hub.kubectl("-n", "matrixhub", "create", "secret", "generic", "aws-admin", *secret)
    store = {"provider": "aws", "endpoint": url, "iamEndpoint": url, "adminSecretRef": {"name": "aws-admin"}}
    hub.apply(
        {
            "apiVersion": "matrixhub.io/v1alpha1",
            "kind": "RealtimeCluster",
            "metadata": {"name": "aws", "namespace": "matrixhub"},
            "spec": {"objectStore": store},
        }
    )
    try:
        yield url
        hub.delete(NAME)
    finally:
        hub.kubectl("-n", "matrixhub", "delete", "realtimecluster/aws", "secret/aws-admin")
        process.terminate()
        process.wait(10)


def test_an_issued_key_reaches_the_secret_and_is_issued_once(hub: Hub, aws: str):
    hub.kubectl("-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=30s", "realtimecluster/aws")
    told = hub.get("-n", "matrixhub", "realtimecluster", "aws")["status"]["findings"]
    assert [finding["reason"] for finding in told] == ["QuotaNotEnforced"], "told, though nobody can mend it"
    hub.onboard(NAME, clusterRef={"namespace": "matrixhub", "name": "aws"})
    until(lambda: hub.exists("-n", f"tenant-{NAME}", "secret", "object-store"), 10, "the Secret")
    secret = hub.secret(NAME, "object-store")
    root = {"endpoint_url": aws, "region_name": "us-east-1"}
    iam = boto3.client("iam", aws_access_key_id="anybody", aws_secret_access_key="anything", **root)
    keys = iam.list_access_keys(UserName=f"tenant-{NAME}")["AccessKeyMetadata"]
    assert [key["AccessKeyId"] for key in keys] == [secret["accessKey"]]
    own = boto3.client("s3", aws_access_key_id=secret["accessKey"], aws_secret_access_key=secret["secretKey"], **root)
    own.put_object(Bucket=secret["bucket"], Key=f"{secret['prefix']}report.txt", Body=b"marks")
    hub.operator.kill()
    hub.operator.start()
    hub.kubectl("label", "tenant", NAME, "seen=yes")
    until(lambda: hub.exists("-n", f"tenant-{NAME}", "secret", "object-store"), 10)
    hub.ready(NAME)
    assert hub.secret(NAME, "object-store")["accessKey"] == secret["accessKey"]
