"""An operator that is uninstalled leaves nothing that waits for it, and everything that the tenants have."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.e2e.hub import Hub
from tests.patience import until

MATRIXHUB = Path(sys.executable).with_name("matrixhub")
SYSTEM = "matrixhub-system"
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "hub", "namespace": SYSTEM},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "hub"}},
        "template": {
            "metadata": {"labels": {"app": "hub"}},
            "spec": {
                "nodeSelector": {"nowhere": "true"},
                "containers": [{"name": "main", "image": "localhost/pause:1"}],
            },
        },
    },
}
LEASE = ("lease", "matrixhub-operator", "-n", SYSTEM)


@pytest.fixture
def installed(hub: Hub) -> Iterator[None]:
    """An operator that leads, and the Deployment that it would be of in a cluster."""
    hub.operator.kill()
    hub.kubectl("delete", *LEASE, "--ignore-not-found")
    hub.apply(DEPLOYMENT)
    hub.operator.env["MATRIXHUB_LEASE_NAMESPACE"] = SYSTEM
    hub.operator.start()
    yield
    hub.operator.kill()
    del hub.operator.env["MATRIXHUB_LEASE_NAMESPACE"]
    hub.kubectl("delete", "deployment", "hub", "-n", SYSTEM)


def release(hub: Hub) -> "subprocess.Popen[str]":
    env = {**hub.env, "MATRIXHUB_IDENTITY": "the-hook"}  # not the operator, which is confined: it scales no operators
    words = [str(MATRIXHUB), "release", f"--namespace={SYSTEM}", "--deployment=hub"]
    return subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True)


def waiting(hub: Hub) -> list[str]:
    """What waits for the operator when it is deleted."""
    found = hub.get("tenants,realtimeclusters", "-A")["items"]
    return [body["metadata"]["name"] for body in found if body["metadata"].get("finalizers")]


def test_nothing_waits_for_an_operator_that_is_gone(hub: Hub, installed: None):
    hub.onboard("kept", deletionPolicy="Retain")
    hub.onboard("dropped")
    uri = hub.secret("kept", "postgres")["uri"]
    late = hub.tenant("late")
    late["metadata"]["finalizers"] = ["matrixhub.io/tenant", "else.io/others"]
    hub.operator.kill()
    hub.kubectl("delete", "tenant", "dropped", "--wait=false")
    hub.apply(late)
    assert {"kept", "dropped", "late", "main"} <= set(waiting(hub))

    hook = release(hub)
    said = hook.communicate(timeout=60)[1]
    assert hook.returncode == 0, said
    assert "Scaled Deployment matrixhub-system/hub from 2 to 0" in said
    assert "Tenant dropped was being deleted: what it has on its backends stays" in said
    assert not hub.exists("tenant", "dropped")
    assert waiting(hub) == ["late"], "another's finalizer is another's"
    assert hub.get("tenant", "late")["metadata"]["finalizers"] == ["else.io/others"]
    assert not hub.get(*LEASE)["spec"].get("holderIdentity")
    with psycopg.connect(uri) as connection:
        assert connection.execute("select current_user").fetchone() == ("tenant_kept",), "access stays as it was"
    hub.kubectl("patch", "tenant", "late", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')

    hub.operator.start()
    hub.onboard("dropped")  # adopts what was left, so that it can go with it
    hub.kubectl("patch", "tenant", "kept", "--type=merge", "-p", '{"spec": {"deletionPolicy": "Delete"}}')
    hub.delete("kept", "dropped", "late")


def test_an_operator_that_still_leads_is_waited_for(hub: Hub, installed: None):
    until(lambda: "main" in waiting(hub) and hub.get(*LEASE)["spec"].get("holderIdentity"), 60, "the operator leads")
    hook = release(hub)
    until(lambda: hub.get("deployment", "hub", "-n", SYSTEM)["spec"]["replicas"] == 0, 20)
    assert hook.poll() is None, "it renews its Lease"
    assert "main" in waiting(hub)
    assert hub.operator.stop() == 0
    said = hook.communicate(timeout=60)[1]
    assert hook.returncode == 0, said
    assert waiting(hub) == []

    again = release(hub)
    assert "Released 0 Tenants and 0 RealtimeClusters" in again.communicate(timeout=60)[1]
    assert again.returncode == 0
