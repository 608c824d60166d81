"""A release from its installation to its end, with Tenants on it."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.chart.release import NAMESPACE, PREVIOUS_DESCRIPTION, Release, packaged
from tests.e2e.hub import Hub

KEEPS, LEAVES = (f"{word}-{secrets.token_hex(2)}" for word in ("keeps", "leaves"))


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(tmp_path_factory.mktemp("previous"), "0.0.9")


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(tmp_path_factory.mktemp("current"), "0.1.0")


def store(hub: Hub, tenant: str) -> "redis.Redis[str]":
    """What an application of the tenant's opens."""
    binding = hub.secret(tenant, "redis")
    return redis.Redis(
        host=binding["host"],
        port=int(binding["port"]),
        username=binding["username"],
        password=binding["password"],
        decode_responses=True,
    )


def seen(hub: Hub, tenant: str) -> dict[str, Any]:
    """What must not change under a tenant because of what is done to the operator."""
    found = hub.get("tenant", tenant)
    return {
        "uid": found["metadata"]["uid"],
        "standing": {
            each["type"]: (each["status"], each["lastTransitionTime"]) for each in found["status"]["conditions"]
        },
        "namespace": hub.get("namespace", f"tenant-{tenant}")["metadata"]["uid"],
        "secret": hub.get("secret", "postgres", "-n", f"tenant-{tenant}")["data"],
        "data": store(hub, tenant).get(f"tenant:{tenant}:exam"),
    }


def described(hub: Hub) -> str:
    version = hub.get("crd", "tenants.matrixhub.io")["spec"]["versions"][0]
    return str(version["schema"]["openAPIV3Schema"]["description"])


def test_tenants_live_on_through_upgrade_and_rollback(release: Release, previous: Path, current: Path) -> None:
    hub = release.hub
    release.install(previous, "--take-ownership", "--set", "log.level=DEBUG")  # of resources that other tests applied
    assert [status["ready"] for pod in release.pods() for status in pod["status"]["containerStatuses"]] == [True, True]
    assert described(hub) == PREVIOUS_DESCRIPTION

    hub.kubectl("-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=60s", "realtimecluster/main")
    hub.apply(hub.tenant(KEEPS), hub.tenant(LEAVES))
    hub.ready(KEEPS, LEAVES)
    for tenant in (KEEPS, LEAVES):
        store(hub, tenant).set(f"tenant:{tenant}:exam", "passed")
    before = seen(hub, KEEPS)
    pods = {pod["metadata"]["uid"] for pod in release.pods()}

    release.install(current, "--set", "resyncSeconds=20")
    assert not pods & {pod["metadata"]["uid"] for pod in release.pods()}
    assert described(hub) != PREVIOUS_DESCRIPTION
    _works(hub, LEAVES, 30)
    assert seen(hub, KEEPS) == before

    release.helm("rollback", "matrixhub", "1", "--wait", "--timeout", "90s")
    assert described(hub) == PREVIOUS_DESCRIPTION
    _works(hub, LEAVES, 20)
    assert seen(hub, KEEPS) == before
    assert sum(status["restartCount"] for pod in release.pods() for status in pod["status"]["containerStatuses"]) == 0


def _works(hub: Hub, tenant: str, connections: int) -> None:
    """The operator that runs now does what the Tenant says next."""
    patch = f'{{"spec": {{"postgres": {{"connectionLimit": {connections}}}}}}}'
    hub.kubectl("patch", "tenant", tenant, "--type=merge", "-p", patch)
    hub.ready(tenant)


def test_an_uninstall_leaves_the_tenants_and_nothing_that_waits(release: Release, current: Path) -> None:
    hub = release.hub
    before = seen(hub, KEEPS)
    release.uninstall()

    rest = ["deployment", "job", "serviceaccount", "role", "rolebinding", "networkpolicy", "poddisruptionbudget"]
    ours = hub.kubectl("get", ",".join(rest), "-n", NAMESPACE, "-l", "app.kubernetes.io/name=matrixhub", "-o", "name")
    wide = ["clusterrole", "clusterrolebinding", "validatingadmissionpolicy", "validatingadmissionpolicybinding"]
    ours += hub.kubectl("get", ",".join(wide), "-l", "app.kubernetes.io/name=matrixhub", "-o", "name")
    assert ours == ""
    for kind in ("tenants", "realtimeclusters"):
        assert not [each for each in hub.get(kind, "-A")["items"] if each["metadata"].get("finalizers")]
    assert seen(hub, KEEPS) == before

    hub.kubectl("delete", "tenant", LEAVES, "--timeout=10s")
    assert store(hub, LEAVES).get(f"tenant:{LEAVES}:exam") == "passed"

    release.install(current)
    hub.apply(hub.tenant(LEAVES))
    hub.ready(LEAVES)
    _works(hub, LEAVES, 30)
    assert seen(hub, KEEPS) == before
    assert store(hub, LEAVES).get(f"tenant:{LEAVES}:exam") == "passed"


def test_whoever_is_the_operators_account_makes_no_token_of_another(release: Release) -> None:
    hub, labels = release.hub, {"matrixhub.io/realtimecluster": "main"}
    metadata = {
        "name": "main-accounts",
        "labels": labels,
        "annotations": {"kubernetes.io/service-account.name": "default"},
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": metadata}
    thief = f"--as=system:serviceaccount:{NAMESPACE}:matrixhub"
    for namespace in ("kube-system", "matrixhub", NAMESPACE):
        with pytest.raises(
            AssertionError, match=r"ValidatingAdmissionPolicy 'matrixhub' .* a RealtimeCluster's accounts"
        ):
            hub.kubectl("create", "-n", namespace, "--dry-run=server", thief, "-f", "-", text=json.dumps(secret))
