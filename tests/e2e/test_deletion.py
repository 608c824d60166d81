"""Deletion keeps or removes, waits for what is down and says so, and never touches what is not ours."""

import base64

import psycopg
import pytest
import redis
from tests.e2e import admins
from tests.e2e.hub import Hub, stopped
from tests.patience import until


def client(hub: Hub, tenant: str) -> redis.Redis:
    """Redis as the tenant's application sees it."""
    return redis.Redis.from_url(hub.secret(tenant, "redis")["uri"], decode_responses=True)


def test_retain_keeps_the_data_and_a_new_tenant_adopts_it(hub: Hub):
    hub.onboard("del-retain", deletionPolicy="Retain")
    client(hub, "del-retain").set("tenant:del-retain:pupil", "Ada")
    old = hub.secret("del-retain", "redis")
    hub.kubectl("-n", "tenant-del-retain", "create", "configmap", "theirs", "--from-literal=a=b")
    hub.delete("del-retain")
    assert not hub.exists("-n", "tenant-del-retain", "secret", "redis")
    assert hub.exists("-n", "tenant-del-retain", "configmap", "theirs")
    try:
        redis.Redis.from_url(old["uri"]).ping()
        raise AssertionError("the old credential still opens the door")
    except redis.AuthenticationError:
        pass
    hub.onboard("del-retain")
    assert client(hub, "del-retain").get("tenant:del-retain:pupil") == "Ada"
    assert hub.exists("-n", "tenant-del-retain", "configmap", "theirs")


def test_what_an_earlier_tenant_left_is_not_taken_by_one_that_never_had_it(hub: Hub):
    hub.onboard("del-heir", deletionPolicy="Retain")
    with psycopg.connect(hub.secret("del-heir", "postgres")["uri"], autocommit=True) as session:
        session.execute("insert into schools (name, city, founded) values ('School', 'Town', 1900)")
    hub.delete("del-heir")
    with stopped(hub, "postgres"):
        hub.apply(hub.tenant("del-heir"))
        until(lambda: hub.condition("del-heir", "KafkaReady").get("status") == "True", 30, "the others go on")
        hub.kubectl("delete", "tenant", "del-heir", "--wait=false")
    until(lambda: not hub.exists("tenant", "del-heir"), 60, "gone")
    reasons = dict(hub.events("del-heir"))
    assert reasons["DataKept"].startswith("postgres: this Tenant never had its share there")
    hub.onboard("del-heir")
    with psycopg.connect(hub.secret("del-heir", "postgres")["uri"]) as session:
        assert session.execute("select city from schools").fetchall() == [("Town",)]


def test_a_credential_planted_while_nobody_was_there_is_not_the_next_tenants(hub: Hub):
    hub.onboard("del-plant", deletionPolicy="Retain")
    secret = hub.get("-n", "tenant-del-plant", "secret", "redis")
    hub.delete("del-plant")
    kept = {key: secret["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    hub.apply({**{key: secret[key] for key in ("apiVersion", "kind", "type", "data")}, "metadata": kept})
    hub.operator.kill()
    hub.apply(hub.tenant("del-plant"))
    hub.operator.start()
    hub.ready("del-plant")
    known = base64.b64decode(secret["data"]["password"]).decode()
    assert hub.secret("del-plant", "redis")["password"] != known
    assert client(hub, "del-plant").ping()


def test_a_credential_of_a_tenant_that_went_without_a_word_is_not_the_next_ones(hub: Hub):
    """Nobody was there when the first one went, nor when another institution's of that name came."""
    hub.onboard("del-silent")
    old = hub.secret("del-silent", "redis")
    client(hub, "del-silent").ping()
    hub.operator.kill()
    hub.kubectl("patch", "tenant", "del-silent", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    hub.delete("del-silent")
    hub.apply(hub.tenant("del-silent"))
    hub.operator.start()
    hub.ready("del-silent")
    assert hub.secret("del-silent", "redis")["password"] != old["password"]
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(old["uri"]).ping()
    assert client(hub, "del-silent").ping()


def test_delete_removes_everything(hub: Hub):
    hub.onboard("del-all")
    client(hub, "del-all").set("tenant:del-all:pupil", "Ada")
    hub.delete("del-all")
    assert not hub.exists("namespace", "tenant-del-all")
    root = admins.redis_root(hub)
    assert root.exists("tenant:del-all:pupil") == 0
    assert b"tenant-del-all" not in b" ".join(name.encode() for name in root.acl_users())


def test_the_finalizer_waits_for_a_backend_that_is_down_and_says_for_what(hub: Hub):
    hub.onboard("del-wait")
    with stopped(hub, "kafka"):
        hub.kubectl("delete", "tenant", "del-wait", "--wait=false")
        until(lambda: "Kafka" in hub.condition("del-wait").get("message", ""), 30, "says for what it waits")
        assert hub.condition("del-wait")["reason"] == "Terminating"
        assert hub.exists("namespace", "tenant-del-wait")
    until(lambda: not hub.exists("tenant", "del-wait"), 60, "gone")
    assert not hub.exists("namespace", "tenant-del-wait")


def test_a_tenant_that_is_deleted_at_once_leaves_nothing(hub: Hub):
    hub.apply(hub.tenant("del-hasty"))
    hub.delete("del-hasty")
    until(lambda: not hub.exists("namespace", "tenant-del-hasty"), 60, "gone")


def test_what_a_backup_brought_back_with_its_finalizer_goes_like_anything_else(hub: Hub):
    """`kubectl get -o yaml` shows the finalizer, and whoever applies that owns the field, alone or as well."""
    pond = hub.get("realtimecluster", "main", "-n", "matrixhub")
    pond = {key: pond[key] for key in ("apiVersion", "kind")} | {"spec": {"redis": pond["spec"]["redis"]}}
    pond["metadata"] = {"name": "del-pond", "namespace": "matrixhub", "finalizers": ["matrixhub.io/realtimecluster"]}
    reference = {"namespace": "matrixhub", "name": "del-pond"}
    restored = hub.tenant("del-restored", clusterRef=reference)
    restored["metadata"]["finalizers"] = ["matrixhub.io/tenant", "else.io/others"]
    hub.apply(pond, restored)
    hub.onboard("del-exported", clusterRef=reference)
    exported = hub.tenant("del-exported", clusterRef=reference)
    exported["metadata"]["finalizers"] = hub.get("tenant", "del-exported")["metadata"]["finalizers"]
    hub.apply(exported)
    hub.ready("del-restored", "del-exported")
    hub.kubectl("delete", "tenant", "del-restored", "del-exported", "--wait=false")
    until(lambda: not hub.exists("tenant", "del-exported"), 30, "gone")
    until(lambda: finalizers(hub, "del-restored") == ["else.io/others"], 30, "another's finalizer is another's")
    assert not hub.exists("namespace", "tenant-del-restored")
    hub.kubectl("patch", "tenant", "del-restored", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "del-pond", "--timeout=20s")


def finalizers(hub: Hub, tenant: str) -> list[str]:
    found: list[str] = hub.get("tenant", tenant)["metadata"]["finalizers"]
    return found


def test_a_look_alike_namespace_is_not_touched_and_its_tenant_says_conflict(hub: Hub):
    hub.kubectl("create", "namespace", "tenant-del-alike")
    try:
        hub.apply(hub.tenant("del-alike"))
        until(lambda: hub.condition("del-alike", "NamespaceReady").get("reason") == "Conflict", 20, "Conflict")
        assert "tenant-del-alike" in hub.condition("del-alike")["message"]
        hub.delete("del-alike")
        assert hub.exists("namespace", "tenant-del-alike")
    finally:
        hub.kubectl("delete", "namespace", "tenant-del-alike")


def test_look_alikes_in_a_backend_are_a_conflict_of_that_backend_alone(hub: Hub):
    root = admins.redis_root(hub)
    root.execute_command("ACL", "SETUSER", "tenant-del-user", "on", ">somebody-elses", "~*", "+@read")
    try:
        hub.apply(hub.tenant("del-user"))
        until(lambda: hub.condition("del-user", "RedisReady").get("reason") == "Conflict", 20, "Conflict")
        until(lambda: hub.condition("del-user", "PostgresReady").get("status") == "True", 20, "the others go on")
        assert "tenant-del-user" in hub.condition("del-user", "RedisReady")["message"]
        hub.delete("del-user")
        assert root.acl_getuser("tenant-del-user")["keys"] == ["~*"]
    finally:
        root.acl_deluser("tenant-del-user")
