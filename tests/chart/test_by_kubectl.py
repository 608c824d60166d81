"""Installed and taken away again by kubectl alone, as docs/operations.md shows."""

import secrets
from collections.abc import Iterator

import pytest
import yaml
from tests.chart.release import Release
from tests.e2e.hub import Hub
from tests.support import ROOT

from chart import NAMESPACE

KEPT = {"CustomResourceDefinition"}
"""What other tests need. Users keep them, too, if they want to keep their Tenants."""
RIGHTS = ("kubernetes", "confinement")


def plain(hub: Hub, name: str) -> str:
    """The manifests with an image that the node has."""
    text = (ROOT / "manifests" / name).read_text(encoding="utf-8")
    return text.replace("matrixhub:0.1.0", hub.env["MATRIXHUB_IMAGE"])


@pytest.fixture
def whole(release: Release) -> Iterator[Hub]:
    """The release's hub; what the operator outside the cluster may do in the same namespace is as before afterwards."""
    yield release.hub
    release.hub.kubectl("apply", *(f"--filename={ROOT}/manifests/admin-rights/{name}.yaml" for name in RIGHTS))


def test_the_plain_manifests_work_and_go_and_leave_nothing_that_waits(whole: Hub) -> None:
    hub, tenant = whole, f"plain-{secrets.token_hex(2)}"
    hub.kubectl("apply", "-f", "-", text=plain(hub, "install.yaml"))
    hub.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/matrixhub", "--timeout=90s")
    hub.onboard(tenant)
    relay = hub.get("deployment", "main-relay", "-n", "matrixhub")["spec"]["template"]["spec"]
    assert [container["image"] for container in relay["containers"]] == [hub.env["MATRIXHUB_IMAGE"]]
    assert hub.get("realtimecluster", "main", "-n", "matrixhub")["metadata"]["finalizers"]
    hub.delete(tenant)

    hub.kubectl("apply", "-f", "-", text=plain(hub, "uninstall/release.yaml"))
    hub.kubectl("-n", NAMESPACE, "wait", "--for=condition=Complete", "--timeout=90s", "job/matrixhub-release")
    assert "finalizers" not in hub.get("realtimecluster", "main", "-n", "matrixhub")["metadata"]

    hub.kubectl("delete", "-f", "-", text=plain(hub, "uninstall/release.yaml"))
    manifests = yaml.safe_load_all(plain(hub, "install.yaml"))
    rest = yaml.safe_dump_all(each for each in manifests if each and each["kind"] not in KEPT)
    hub.kubectl("delete", "--timeout=60s", "-f", "-", text=rest)
    assert not hub.exists("namespace", NAMESPACE)
