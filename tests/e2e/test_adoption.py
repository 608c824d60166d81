"""What a Kubernetes cluster that is lost has marked is taken over, when a person says so."""

import json
import uuid
from typing import Any

import psycopg
from tests.e2e.hub import Hub
from tests.patience import until

TENANT = "adopt-a"
MAIN = ("-n", "matrixhub", "realtimecluster", "main")


def test_what_a_lost_cluster_marked_is_a_conflict_until_it_is_adopted(hub: Hub):
    lost = str(uuid.uuid4())
    hub.onboard(TENANT)
    secret = hub.secret(TENANT, "postgres")
    with psycopg.connect(**root(hub), autocommit=True) as postgres:
        postgres.execute("UPDATE matrixhub.tenant SET owner = %s WHERE id = %s", [f"{lost}/another-uid", TENANT])
        adopt(hub, str(uuid.uuid4()))  # a resync, which finds the mark of a cluster that nobody gave up
        until(lambda: hub.condition(TENANT, "PostgresReady")["reason"] == "Conflict", 20, "somebody else's")
        assert f"adoptFrom: {lost}" in hub.condition(TENANT, "PostgresReady")["message"]
        adopt(hub, lost)
        until(lambda: hub.condition(TENANT)["status"] == "True", 20, "adopted")
        adopt(hub, None)
        hub.ready(TENANT)
        [(owner,)] = postgres.execute("SELECT owner FROM matrixhub.tenant WHERE id = %s", [TENANT]).fetchall()
    here = hub.get("namespace", "kube-system")["metadata"]["uid"]
    assert owner == f"{here}/{hub.get('tenant', TENANT)['metadata']['uid']}"
    with psycopg.connect(secret["uri"]) as session:
        assert session.execute("SELECT current_user").fetchone() == (f"tenant_{TENANT}",)


def test_secrets_that_were_restored_before_their_tenant_keep_their_passwords(hub: Hub):
    lost, tenant, password = str(uuid.uuid4()), "adopt-b", "restored-from-a-backup-of-32-characters"
    mark = {
        "labels": {"app.kubernetes.io/managed-by": "matrixhub", "matrixhub.io/tenant": tenant},
        "annotations": {"matrixhub.io/owner": f"{lost}/another-uid"},
    }
    house = {"name": f"tenant-{tenant}", **mark}
    secret = {"name": "redis", "namespace": f"tenant-{tenant}", **mark}
    adopt(hub, lost)
    hub.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": house},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "servicebinding.io/redis",
            "metadata": secret,
            "stringData": {"username": f"tenant-{tenant}", "password": password},
        },
    )
    hub.onboard(tenant)
    adopt(hub, None)
    hub.ready(tenant)
    assert hub.secret(tenant, "redis")["password"] == password


def adopt(hub: Hub, former: str | None) -> None:
    hub.kubectl("patch", *MAIN, "--type=merge", "-p", json.dumps({"spec": {"adoptFrom": former}}))


def root(hub: Hub) -> dict[str, Any]:
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE", "password": "PGPASSWORD"}
    return {name: hub.env[variable] for name, variable in names.items()}
