"""A RealtimeCluster's own life: it stays while Tenants live on it, and what it cannot do it says."""

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest
import redis
from tests.e2e.hub import Hub, stopped
from tests.patience import until

from demo.event import login, reader
from matrixhub.api import naming

from kafka.admin import KafkaAdminClient  # isort: skip  # after demo.event, which imports the driver without its warnings


@pytest.fixture
def lake(hub: Hub) -> dict[str, object]:
    """A RealtimeCluster of one's own, with the Redis of `main`."""
    spec = hub.get("realtimecluster", "main", "-n", "matrixhub")["spec"]
    made: dict[str, object] = {
        "apiVersion": "matrixhub.io/v1alpha1",
        "kind": "RealtimeCluster",
        "metadata": {"name": "lake", "namespace": "matrixhub"},
        "spec": {"redis": spec["redis"], "kafka": spec["kafka"]},
    }
    hub.apply(made)
    return made


def test_a_realtimecluster_is_not_torn_down_under_its_tenants(hub: Hub, lake: dict[str, object]) -> None:
    hub.apply({**hub.tenant("lake-shore"), "spec": {"clusterRef": {"namespace": "matrixhub", "name": "lake"}}})
    hub.ready("lake-shore")

    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--wait=false")

    until(lambda: hub.conditions("lake")["Ready"]["reason"] == "Terminating", 10, "the deletion waits and says so")
    assert "lake-shore" in hub.conditions("lake")["Ready"]["message"]
    hub.apply(
        {
            **hub.tenant("lake-shore"),
            "spec": {"clusterRef": {"namespace": "matrixhub", "name": "lake"}, "displayName": "served meanwhile"},
        }
    )
    hub.ready("lake-shore")
    hub.delete("lake-shore")
    until(lambda: not hub.exists("realtimecluster", "lake", "-n", "matrixhub"), 10, "it goes with its last Tenant")


def test_a_consumer_that_is_not_there_is_told_and_holds_up_nothing(hub: Hub, lake: dict[str, object]) -> None:
    consumer = {"name": "marks", "targetRef": {"name": "nobody"}, "consumerGroup": "marks", "topics": ["*.exams.*"]}
    hub.apply({**lake, "spec": {**lake["spec"], "consumers": [consumer]}})  # type: ignore[dict-item] # of JSON

    until(lambda: hub.conditions("lake").get("ScalingActive", {}).get("status") == "False", 15, "the condition")
    assert "there is no Deployment nobody" in hub.conditions("lake")["ScalingActive"]["message"]
    until(lambda: hub.conditions("lake")["Ready"]["status"] == "True", 15, "the backends are Ready all the same")
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--timeout=20s")


def shore(hub: Hub) -> dict[str, object]:
    """A Tenant on `lake`, whose data goes with it."""
    reference = {"namespace": "matrixhub", "name": "lake"}
    return {**hub.tenant("lake-shore"), "spec": {"clusterRef": reference, "deletionPolicy": "Delete"}}


def test_a_service_is_not_taken_out_under_the_tenants(hub: Hub, lake: dict[str, object]) -> None:
    hub.apply(shore(hub))
    hub.ready("lake-shore")
    until(lambda: hub.get("realtimecluster", "lake", "-n", "matrixhub")["status"]["tenants"] == 1, 5, "counted")
    drop = ("-n", "matrixhub", "patch", "realtimecluster", "lake", "--type=merge", "-p")

    with pytest.raises(AssertionError, match="have logins and data in redis: delete these Tenants first"):
        hub.kubectl(*drop, '{"spec": {"redis": null}}')
    hub.kubectl(*drop, '{"spec": {"redis": null, "abandoned": ["redis"]}}')

    until(lambda: not hub.condition("lake-shore", "RedisReady"), 15, "no longer spoken of")
    hub.ready("lake-shore")
    hub.delete("lake-shore")
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--timeout=20s")
    keeper = root(hub)
    assert "tenant-lake-shore" in keeper.acl_users(), "left as it was, as somebody said"
    keeper.acl_deluser("tenant-lake-shore")


def test_a_tenant_waits_for_the_service_where_it_has_its_share(hub: Hub, lake: dict[str, object]) -> None:
    """As when the RealtimeCluster was made anew without it: no rule of the API server can see that."""
    hub.apply(shore(hub))
    hub.ready("lake-shore")
    redis.Redis.from_url(hub.secret("lake-shore", "redis")["uri"]).set("tenant:lake-shore:pupil", "Ada")
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--wait=false")
    hub.kubectl(
        "-n", "matrixhub", "patch", "realtimecluster", "lake", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
    )
    until(lambda: not hub.exists("realtimecluster", "lake", "-n", "matrixhub"), 10, "torn away by force")
    hub.apply({**lake, "spec": {"kafka": lake["spec"]["kafka"]}})  # type: ignore[index] # of JSON

    until(lambda: hub.condition("lake-shore", "RedisReady").get("reason") == "ServiceMissing", 20, "said")
    hub.operator.kill()
    hub.kubectl("delete", "tenant", "lake-shore", "--wait=false")
    hub.operator.start()
    until(lambda: hub.condition("lake-shore", "KafkaReady").get("reason") == "Deleted", 30, "the rest goes on")
    until(lambda: "abandoned" in hub.condition("lake-shore")["message"], 20, "says what it waits for")
    assert hub.exists("namespace", "tenant-lake-shore")
    assert root(hub).exists("tenant:lake-shore:pupil")

    hub.apply(lake)
    until(lambda: not hub.exists("tenant", "lake-shore"), 60, "gone")
    assert not root(hub).exists("tenant:lake-shore:pupil")
    assert "tenant-lake-shore" not in root(hub).acl_users()
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--timeout=20s")


def root(hub: Hub) -> "redis.Redis":
    """Redis as its own administrator sees it."""
    port, password = int(hub.env["REDIS_PORT"]), hub.env["REDISCLI_AUTH"]
    return redis.Redis(hub.env["REDIS_HOST"], port, password=password, decode_responses=True)


RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What the namespace asks of a container."""


@contextlib.contextmanager
def reading(hub: Hub, tenant: str, group: str, topic: str) -> Iterator[None]:
    """A slow member of the tenant's group, which commits what it has read: 20 records, five times a second."""
    enough = threading.Event()

    def read() -> None:
        with reader(hub.env, tenant, group, topic) as consumer:
            while not enough.wait(0.2):
                if consumer.poll(timeout_ms=500, max_records=20):
                    consumer.commit()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def test_a_statefulset_that_consumes_grows_with_its_lag(hub: Hub, lake: dict[str, object]) -> None:
    tenant, group = "lake-marks", "lake-marks.marks"
    topic = f"{tenant}.exams.marked"
    labels = {"app": "marks"}
    hub.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "marks", "namespace": "matrixhub"},
            "spec": {
                "serviceName": "marks",
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "containers": [{"name": "marks", "image": "localhost/pause:1", "securityContext": RESTRICTED}]
                    },
                },
            },
        }
    )
    target = {"kind": "StatefulSet", "name": "marks"}
    consumer = {"name": "marks", "targetRef": target, "consumerGroup": group, "topics": [topic]}
    consumer |= {"maxReplicas": 3, "targetDrain": "10s"}
    hub.apply({**lake, "spec": {**lake["spec"], "consumers": [consumer]}})  # type: ignore[dict-item] # of JSON
    exams = {"domain": "exams", "events": ["marked"], "partitions": 3}
    at = {"clusterRef": {"namespace": "matrixhub", "name": "lake"}, "deletionPolicy": "Delete"}
    hub.apply({**hub.tenant(tenant), "spec": at | {"kafka": {"topics": [exams]}}})
    hub.ready(tenant)

    def grown() -> bool:
        wanted = hub.get("statefulset", "marks", "-n", "matrixhub")["spec"]["replicas"]
        assert wanted > 1, hub.get("realtimecluster", "lake", "-n", "matrixhub")["status"]["scaling"]
        return True

    with login(hub.env, tenant) as producer, reading(hub, tenant, group, topic):
        for _ in range(12_000):
            producer.send(topic, b"a mark")
        producer.flush(30)
        until(grown, 60, "it grows")
        until(lambda: hub.exists("pod", "marks-1", "-n", "matrixhub"), 15, "its next pod is made")

    (told,) = hub.get("realtimecluster", "lake", "-n", "matrixhub")["status"]["scaling"]
    assert told["name"] == "marks"
    assert "records wait" in told["message"]
    hub.kubectl("-n", "matrixhub", "delete", "statefulset", "marks")
    hub.delete(tenant)
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "lake", "--timeout=20s")


def in_redis(hub: Hub, user: str) -> bool:
    return user in root(hub).acl_users()


def in_postgres(hub: Hub, role: str) -> tuple[int, ...]:
    """Roles, schemas and registered rows of that name."""
    env = hub.env
    with psycopg.connect(host=env["PGHOST"], port=env["PGPORT"], dbname=env["PGDATABASE"], user=env["PGUSER"],
                         password=env["PGPASSWORD"]) as root:  # fmt: skip
        found = root.execute(
            "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = %(name)s),"
            " (SELECT count(*) FROM pg_namespace WHERE nspname = %(name)s),"
            " (SELECT count(*) FROM matrixhub.tenant WHERE role = %(name)s)",
            {"name": role},
        ).fetchone()
    assert found
    return tuple(map(int, found))


def in_kafka(hub: Hub, login: str) -> tuple[bool, bool]:
    """Whether there are a login and a consumer group of that name."""
    admin = KafkaAdminClient(
        bootstrap_servers=hub.env["KAFKA_BOOTSTRAP"],
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=hub.env["KAFKA_ROOT_USER"],
        sasl_plain_password=hub.env["KAFKA_ROOT_PASSWORD"],
    )
    with contextlib.closing(admin):
        logins = admin.describe_user_scram_credentials([login])
        groups = {group["group_id"] for group in admin.list_groups()}
    return bool(logins[login]["credential_infos"]), login in groups


def test_a_realtimecluster_takes_along_what_it_had_on_the_backends_also_one_that_was_down(hub: Hub) -> None:
    main = hub.get("realtimecluster", "main", "-n", "matrixhub")["spec"]
    spec = {name: main[name] for name in ("postgres", "redis", "kafka", "autoscaling")}
    small = {"minReplicas": 1, "maxReplicas": 1}
    made = {
        "apiVersion": "matrixhub.io/v1alpha1",
        "kind": "RealtimeCluster",
        "metadata": {"name": "pond", "namespace": "matrixhub"},
        "spec": spec | {"gateway": main["gateway"] | small, "relay": main["relay"] | small},
    }
    gateway, relay = naming.gateway("matrixhub/pond"), naming.relay("matrixhub/pond")
    hub.apply(made)
    hub.kubectl("-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=90s", "realtimecluster/pond")
    until(lambda: in_kafka(hub, relay) == (True, True), 30, "the relay is in its group")
    assert (in_redis(hub, gateway), in_postgres(hub, gateway)) == (True, (1, 1, 1))

    with stopped(hub, "postgres"):
        hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "pond", "--wait=false")
        until(lambda: not in_redis(hub, gateway), 15, "Redis is left at once")
        until(
            lambda: f"{gateway} in Postgres: Unreachable" in hub.conditions("pond")["Ready"]["message"], 30, "it waits"
        )
        assert hub.conditions("pond")["Ready"]["reason"] == "Terminating"
        until(lambda: in_kafka(hub, relay) == (False, False), 60, "Kafka, once the relay has ended")
        assert in_kafka(hub, naming.relay("matrixhub/main")) == (True, True)
    until(lambda: not hub.exists("realtimecluster", "pond", "-n", "matrixhub"), 30, "it goes")
    assert in_postgres(hub, gateway) == (0, 0, 0)
    assert in_postgres(hub, naming.gateway("matrixhub/main")) == (1, 1, 1)
    assert in_redis(hub, naming.gateway("matrixhub/main"))
    remembered = [root(hub).ttl(key) for key in root(hub).scan_iter(f"{gateway}:*")]
    assert -1 not in remembered, "what gateways kept in Redis expires by itself"


def test_without_its_admin_secret_a_realtimecluster_says_what_would_stay_and_goes_once_it_is_back(hub: Hub) -> None:
    secret = hub.get("secret", "redis-admin", "-n", "matrixhub")
    own = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "puddle-admin", "namespace": "matrixhub"}}
    own |= {"data": secret["data"]}
    spec = hub.get("realtimecluster", "main", "-n", "matrixhub")["spec"]
    hub.apply(
        own,
        {
            "apiVersion": "matrixhub.io/v1alpha1",
            "kind": "RealtimeCluster",
            "metadata": {"name": "puddle", "namespace": "matrixhub"},
            "spec": {
                "redis": spec["redis"] | {"adminSecretRef": {"name": "puddle-admin"}},
                **{name: spec[name] for name in ("postgres", "autoscaling")},
                "gateway": spec["gateway"] | {"minReplicas": 1, "maxReplicas": 1},
            },
        },
    )
    hub.kubectl("-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=60s", "realtimecluster/puddle")
    gateway = naming.gateway("matrixhub/puddle")
    assert in_redis(hub, gateway)
    hub.kubectl("-n", "matrixhub", "delete", "secret", "puddle-admin")
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "puddle", "--wait=false")
    until(lambda: "puddle-admin does not exist" in hub.conditions("puddle")["Ready"]["message"], 15, "it says so")
    assert naming.CLUSTER_FINALIZER in hub.conditions("puddle")["Ready"]["message"]
    hub.apply(own)
    until(lambda: not hub.exists("realtimecluster", "puddle", "-n", "matrixhub"), 15, "it goes")
    assert (in_redis(hub, gateway), in_postgres(hub, gateway)) == (False, (0, 0, 0))
    hub.kubectl("-n", "matrixhub", "delete", "secret", "puddle-admin")


def test_a_realtimecluster_that_never_reached_its_backend_and_ran_nothing_goes_at_once(hub: Hub) -> None:
    backend = {"nodes": ["127.0.0.1:1"], "adminSecretRef": {"name": "redis-admin"}}
    hub.apply(
        {
            "apiVersion": "matrixhub.io/v1alpha1",
            "kind": "RealtimeCluster",
            "metadata": {"name": "mirage", "namespace": "matrixhub"},
            "spec": {"redis": backend},
        }
    )
    until(lambda: hub.conditions("mirage").get("RedisReady", {}).get("reason") == "Unreachable", 10, "it says so")
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "mirage", "--timeout=10s")
