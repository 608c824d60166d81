"""What others alter or remove is back, Kubernetes objects within 5 s and the rest within 60 s, and it is told."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import redis
from botocore.exceptions import ClientError
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    KafkaAdminClient,
    ResourcePatternFilter,
    ResourceType,
)
from tests.e2e import admins
from tests.e2e.hub import Hub
from tests.patience import until

NAME = "drift"
SPEC = {
    "compute": {"pods": "10"},
    "kafka": {"producerByteRate": "1Mi", "topics": [{"domain": "exams", "events": ["started"]}]},
    "objectStore": {"storage": "1Gi"},
    "owners": [{"kind": "Group", "name": "drift-admins", "role": "admin"}],
}


@pytest.fixture(scope="module")
def tenant(hub: Hub) -> Iterator[str]:
    """A Tenant that is Ready, the same for all of these tests."""
    hub.onboard(NAME, **SPEC)
    hub.tenants.clear()
    yield NAME
    hub.tenants.append(NAME)
    hub.dismiss()


@contextlib.contextmanager
def never_written_to(hub: Hub, name: str) -> Iterator[None]:
    """Meanwhile, for a resync of every backend and many a look at its servers at least, nobody writes it."""
    before, began = hub.get("tenant", name)["metadata"]["resourceVersion"], time.monotonic()
    yield
    time.sleep(max(0.0, 55 - (time.monotonic() - began)))
    assert hub.get("tenant", name)["metadata"]["resourceVersion"] == before


def test_kubernetes_objects_are_back_within_5_seconds(hub: Hub, tenant: str):
    space = f"tenant-{tenant}"
    password = hub.secret(tenant, "postgres")["password"]
    kinds = {kind: hub.get(kind, "-n", space)["items"] for kind in ("resourcequota", "networkpolicy", "rolebinding")}
    quota, policy, binding = (items[0]["metadata"]["name"] for items in kinds.values())

    hub.kubectl("-n", space, "delete", "secret", "postgres")
    until(lambda: hub.exists("-n", space, "secret", "postgres"), 5)
    assert hub.secret(tenant, "postgres")["password"] == password
    hub.kubectl("-n", space, "patch", "secret", "redis", "--type=merge", "-p", '{"stringData":{"password":"mine"}}')
    until(lambda: hub.secret(tenant, "redis")["password"] != "mine", 5)
    hub.kubectl("-n", space, "patch", "resourcequota", quota, "--type=merge", "-p", '{"spec":{"hard":{"pods":"999"}}}')
    until(lambda: hub.get("resourcequota", quota, "-n", space)["spec"]["hard"]["pods"] == "10", 5)
    hub.kubectl("-n", space, "delete", "networkpolicy", policy)
    until(lambda: hub.exists("-n", space, "networkpolicy", policy), 5)
    hub.kubectl("-n", space, "delete", "rolebinding", binding)
    until(lambda: hub.exists("-n", space, "rolebinding", binding), 5)
    hub.kubectl("label", "namespace", space, "pod-security.kubernetes.io/enforce=privileged", "--overwrite")
    until(
        lambda: hub.get("namespace", space)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted",
        5,
    )
    until(lambda: any(reason == "DriftRepaired" for reason, _ in hub.events(tenant)), 10, "an Event")
    drift = hub.get("tenant", tenant)["status"]["drift"]
    assert [each["backend"] for each in drift] == ["namespace"]
    assert drift[0]["time"]


def test_backends_are_repaired_within_60_seconds_and_a_tenant_that_nobody_touched_is_never_written_to(
    hub: Hub, tenant: str
):
    hub.onboard("drift-idle")
    time.sleep(3)
    with never_written_to(hub, "drift-idle"):
        repaired_by_resyncs(hub, tenant)


def repaired_by_resyncs(hub: Hub, tenant: str) -> None:
    """Each backend, changed by another administrator, is as it was within 60 s, and it is told."""
    checks: dict[str, Callable[[], object]] = {}
    s3 = admins.s3(hub)
    bucket = hub.secret(tenant, "object-store")["bucket"]
    root = admins.redis_root(hub)
    topic = f"{tenant}.exams.started"
    with admins.postgres(hub) as database, admins.kafka(hub) as broker:
        # Postgres: the role's attributes, its membership, and the guard of a table
        role = f"tenant_{tenant}"
        database.execute("drop table if exists public.drift_notes")
        database.execute(f"set role {hub.env['PG_ADMIN_USER']}")
        database.execute("create table public.drift_notes (tenant_id text not null, body text)")
        database.execute("reset role")
        database.execute(f'alter role "{role}" connection limit 999 createdb')
        checks["role attribute"] = lambda: database.execute(
            "select 1 from pg_roles where rolname = %s and rolconnlimit = 20 and not rolcreatedb", [role]
        ).fetchone()
        checks["new table"] = lambda: guarded(database, "drift_notes")
        # Redis: the ACL user
        root.execute_command("ACL", "SETUSER", f"tenant-{tenant}", "+@all", "~*", "nopass")
        checks["ACL user"] = lambda: root.acl_getuser(f"tenant-{tenant}")["keys"] == [f"~tenant:{tenant}:*"]
        # Kafka: a topic's config and an ACL
        broker.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "1000"})])
        checks["topic's config"] = lambda: retention(broker, topic) == str(168 * 3600 * 1000)
        everything = ResourcePatternFilter(ResourceType.TOPIC, f"{tenant}.", ACLResourcePatternType.PREFIXED)
        ours = ACLFilter(f"User:tenant-{tenant}", "*", ACLOperation.ANY, ACLPermissionType.ANY, everything)
        before = acls(broker, ours)
        assert before
        broker.delete_acls([ours])
        checks["ACL"] = lambda: acls(broker, ours) == before
        # S3: policy, versioning, lifecycle
        s3.put_bucket_policy(Bucket=bucket, Policy=PUBLIC.replace("BUCKET", bucket))
        checks["bucket's policy"] = lambda: not has_policy(s3, bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
        checks["versioning"] = lambda: s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"
        s3.delete_bucket_lifecycle(Bucket=bucket)
        checks["lifecycle"] = lambda: lifecycle(s3, bucket)
        changed = time.monotonic()
        for what, repaired in checks.items():  # one minute for all of them together
            until(repaired, 60 - (time.monotonic() - changed), what)
        until(lambda: len(hub.get("tenant", tenant)["status"].get("drift", [])) >= 4, 10, "told for each backend")
        for backend in ("postgres", "redis", "kafka", "objectstore"):
            until(lambda backend=backend: backend in repairs(hub, tenant), 10, f"an Event tells of {backend}")
        # The shared part: FORCE, a policy, a grant of the table that was found
        database.execute("alter table public.drift_notes no force row level security")
        (policy,) = database.execute(
            "select policyname from pg_policies where tablename = 'drift_notes' limit 1"
        ).fetchone()
        database.execute(f'drop policy "{policy}" on public.drift_notes')
        database.execute("revoke all on public.drift_notes from matrixhub_tenants")
        until(lambda: guarded(database, "drift_notes"), 60, "FORCE, policy and grant")
        database.execute("drop table public.drift_notes")


def test_a_restarted_redis_serves_everybody_again_within_5_seconds(hub: Hub, tenant: str):
    hub.stand("restart", "redis")
    uri = hub.secret(tenant, "redis")["uri"]

    def served() -> bool:
        try:
            return bool(redis.Redis.from_url(uri).ping())
        except redis.RedisError:
            return False

    until(served, 5)


PUBLIC = """{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},
"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::BUCKET/*"]}]}"""


def guarded(database: psycopg.Connection, table: str) -> bool:
    """Whether a table is forced under row-level security, with a restrictive and a permissive policy and grants."""
    forced = database.execute(
        "select relrowsecurity and relforcerowsecurity from pg_class where relname = %s", [table]
    ).fetchone()
    policies = {
        kind for (kind,) in database.execute("select permissive from pg_policies where tablename = %s", [table])
    }
    granted = database.execute(
        "select has_table_privilege('matrixhub_tenants', %s::regclass, 'select, insert, update, delete')",
        [f"public.{table}"],
    ).fetchone()
    return forced == (True,) and policies == {"PERMISSIVE", "RESTRICTIVE"} and granted == (True,)


def repairs(hub: Hub, tenant: str) -> str:
    """What Events say was repaired."""
    return " ".join(message for reason, message in hub.events(tenant) if reason == "DriftRepaired")


def acls(broker: KafkaAdminClient, wanted: ACLFilter) -> set[str]:
    """Those that the filter fits, in words."""
    found, _ = broker.describe_acls(wanted)
    return {str(acl) for acl in found}


def retention(broker: KafkaAdminClient, topic: str) -> str | None:
    """retention.ms of a topic."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    described = broker.describe_configs([resource], config_filter="all")
    return find(described, "retention.ms")


def find(tree: object, key: str) -> str | None:
    """The value of a configuration entry, wherever the driver puts it."""
    if isinstance(tree, dict):
        if key in tree:
            entry = tree[key]
            return str(entry["value"] if isinstance(entry, dict) else entry)
        return next((found for value in tree.values() if (found := find(value, key))), None)
    if isinstance(tree, list | tuple):
        return next((found for value in tree if (found := find(value, key))), None)
    return None


def has_policy(s3: Any, bucket: str) -> bool:
    """Whether the bucket has a policy of its own."""
    return has(lambda: s3.get_bucket_policy(Bucket=bucket)["Policy"], "NoSuchBucketPolicy")


def lifecycle(s3: Any, bucket: str) -> bool:
    """Whether the bucket has lifecycle rules."""
    return has(lambda: s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"], "NoSuchLifecycleConfiguration")


def has(ask: Callable[[], object], missing: str) -> bool:
    """Whether S3 answers with something, or with the code that there is nothing."""
    try:
        return bool(ask())
    except ClientError as error:
        if error.response["Error"]["Code"] != missing:
            raise
        return False
