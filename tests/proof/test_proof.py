"""Installed from the chart, used as a GitOps pipeline and schools would, and hurt in every part: nothing is lost."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.chart.release import CHART, NAMESPACE, Release
from tests.e2e.hub import Hub, Operator, objects
from tests.patience import until
from tests.proof.shares import shares
from tests.proof.traffic import School, Traffic

from demo import cluster as demo
from demo.samples import filled
from stand.cache import build
from stand.recipes import HELM

TENANTS = ("greenwood", "hillcrest", "riverside")
PATIENCE = 90
BACKENDS = ("postgres", "redis", "kafka", "minio")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The sample platform's database, and the operator in two pods of the chart; no Tenant yet."""
    build([HELM])
    env = demo.environment()
    demo.without_operator()
    demo.load(env, "schema.sql")
    everywhere = Hub(
        env, Operator(env, tmp_path_factory.mktemp("operator") / "operator.log")
    )  # it runs in pods instead
    for namespace in (NAMESPACE, "matrixhub"):
        everywhere.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    release = Release(everywhere)
    release.install(CHART, "--take-ownership")
    yield everywhere
    release.uninstall()
    everywhere.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")


@pytest.fixture(scope="module")
def platform(hub: Hub) -> Iterator[Hub]:
    """The samples, applied twice, and Ready; they go with their data."""
    apply_samples(hub)
    ready(hub)
    yield hub
    for tenant in TENANTS:
        hub.kubectl("patch", "tenant", tenant, "--type=merge", "-p", '{"spec":{"deletionPolicy":"Delete"}}')
    hub.delete(*TENANTS)
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "main", "--timeout=60s")


def samples(hub: Hub) -> str:
    """The manifests, as one text."""
    names = ("admin-secrets.yaml", "realtimecluster.yaml", "tenants.yaml")
    return "\n---\n".join(filled(name, hub.env) for name in names)


def apply_samples(hub: Hub) -> None:
    """Applied as a pipeline does, on the server's side."""
    hub.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-", text=samples(hub))


def ready(hub: Hub) -> None:
    """All Tenants and the RealtimeCluster are."""
    hub.ready(*TENANTS, timeout=PATIENCE)
    hub.kubectl("-n", "matrixhub", "wait", "--for=condition=Ready", f"--timeout={PATIENCE}s", "realtimecluster/main")


def owned(hub: Hub) -> set[tuple[str, str, str]]:
    """Kind, name and uid of what the tenants have in Kubernetes."""
    kinds = "secrets,resourcequotas,limitranges,networkpolicies,rolebindings"
    found = [hub.get(kinds, "-n", f"tenant-{tenant}")["items"] for tenant in TENANTS]
    return {(item["kind"], item["metadata"]["name"], item["metadata"]["uid"]) for items in found for item in items}


def shelf(hub: Hub, tenant: str) -> tuple[Any, dict[str, str]]:
    """The tenant's own client, and where its one object is."""
    held = hub.secret(tenant, "object-store")
    return objects(held), {"Bucket": held["bucket"], "Key": held["prefix"] + "report.txt"}


def enrol(hub: Hub, tenant: str) -> None:
    """The tenant's own login has written who it is."""
    with psycopg.connect(hub.secret(tenant, "postgres")["uri"]) as connection:
        connection.execute(
            "INSERT INTO schools (name, city, founded) VALUES (%s, 'Town', 1900)"
            " ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name",
            [tenant],
        )


def schools_seen(hub: Hub, tenant: str) -> list[tuple[str, str]]:
    """Id and name of every school that the tenant's own login sees."""
    with psycopg.connect(hub.secret(tenant, "postgres")["uri"]) as connection:
        return connection.execute("SELECT tenant_id, name FROM schools").fetchall()


def school(hub: Hub, tenant: str) -> School:
    """The tenant with what its services and browsers know."""
    origins = hub.get("tenant", tenant)["spec"]["gateway"].get("allowedOrigins") or [None]
    return School(tenant, hub.secret(tenant, "gateway")["PUSHER_APP_KEY"], origins[0])


def leader(hub: Hub) -> str:
    """The pod that holds the operator's Lease."""
    holder: str = hub.get("lease", "matrixhub-operator", "-n", NAMESPACE)["spec"]["holderIdentity"]
    return holder


def kill(hub: Hub, namespace: str, pod: str) -> None:
    """The pod is gone, on the spot."""
    hub.kubectl("-n", namespace, "delete", "pod", pod, "--grace-period=0", "--force")


def test_a_pipeline_that_applies_again_changes_nothing(platform: Hub) -> None:
    before = {tenant: platform.get("tenant", tenant)["metadata"]["generation"] for tenant in TENANTS}
    apply_samples(platform)
    difference = subprocess.run(
        ["kubectl", "diff", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-"],
        input=samples(platform),
        env=platform.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert difference.returncode == 0, difference.stdout + difference.stderr
    assert before == {tenant: platform.get("tenant", tenant)["metadata"]["generation"] for tenant in TENANTS}


def test_hurt_in_every_part_nothing_is_lost(platform: Hub) -> None:
    before = owned(platform), shares(platform)
    for tenant in TENANTS:
        enrol(platform, tenant)
        client, place = shelf(platform, tenant)
        with contextlib.closing(client):
            client.put_object(**place, Body=tenant.encode())
    schools = [school(platform, tenant) for tenant in TENANTS]
    traffic = Traffic(
        platform.env, schools, lambda: {f"{address}:6001" for address in platform.pods("gateway").values()}
    )
    traffic.start()
    try:
        until(traffic.flows, 60, "events reach the browsers")
        hurt(platform, traffic)
        traffic.stop_producing()
        until(lambda: not any(each.missing for each in schools), PATIENCE, "every event was shown")
    finally:
        traffic.end()
    told = {each.name: (len(each.taken), len(each.missing), each.refused) for each in schools}
    sys.stdout.write(f"events produced, lost, not taken by Kafka: {told}\n")

    ready(platform)
    assert (owned(platform), shares(platform)) == before
    for tenant in TENANTS:
        assert schools_seen(platform, tenant) == [(tenant, tenant)]
        client, place = shelf(platform, tenant)
        with contextlib.closing(client):
            assert client.get_object(**place)["Body"].read() == tenant.encode()


def restarts(hub: Hub) -> dict[str, int]:
    """Of each of the operator's two pods, once the kubelet tells of it."""
    found = hub.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=operator")["items"]
    told = {pod["metadata"]["name"]: pod["status"].get("containerStatuses") for pod in found}
    return {name: containers[0]["restartCount"] for name, containers in told.items() if containers}


def hurt(hub: Hub, traffic: Traffic) -> None:
    """Each part in turn is killed or restarted; after each, all is Ready again and events flow."""
    blows = {
        "the leading operator is killed": lambda: kill(hub, NAMESPACE, leader(hub)),
        "a gateway is killed": lambda: kill(hub, "matrixhub", min(hub.pods("gateway"))),
        "a relay is killed": lambda: kill(hub, "matrixhub", min(hub.pods("relay"))),
        **{f"{part} restarts": lambda part=part: hub.stand("restart", part) for part in BACKENDS},
    }
    for what, blow in blows.items():
        began = time.monotonic()
        blow()
        seconds = until(traffic.flows, PATIENCE, f"events flow again after {what}")
        until(lambda: len(hub.pods("gateway")) >= 2 and len(hub.pods("relay")) >= 1, PATIENCE, "all pods are back")
        ready(hub)
        until(lambda: list(restarts(hub).values()) == [0, 0], PATIENCE, "two operators, and none has been restarted")
        sys.stdout.write(
            f"{what}: events flow after {seconds:.1f} s, all Ready after {time.monotonic() - began:.1f} s\n"
        )
