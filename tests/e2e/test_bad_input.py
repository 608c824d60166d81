"""A mistake gets a condition with a reason and a sentence that says what to do; no secret is ever told."""

import base64
import json

from tests.e2e.hub import Hub
from tests.e2e.told import operators_page, records
from tests.patience import until


def cluster(hub: Hub, name: str, **backends: object) -> dict[str, object]:
    """A RealtimeCluster of one's own, made of parts of `main`."""
    spec = hub.get("realtimecluster", "main", "-n", "matrixhub")["spec"]
    return {
        "apiVersion": "matrixhub.io/v1alpha1",
        "kind": "RealtimeCluster",
        "metadata": {"name": name, "namespace": "matrixhub"},
        "spec": {section: {**spec[section], **changes} for section, changes in backends.items()},  # type: ignore[dict-item] # of JSON
    }


def test_a_missing_cluster_is_named_and_its_creation_is_noticed(hub: Hub):
    reference = {"namespace": "matrixhub", "name": "bad-later"}
    hub.apply(hub.tenant("bad-cluster", clusterRef=reference))
    until(lambda: hub.condition("bad-cluster").get("reason") == "ClusterNotFound", 10)
    assert "matrixhub/bad-later" in hub.condition("bad-cluster")["message"]
    hub.apply(cluster(hub, "bad-later", redis={}))
    try:
        hub.ready("bad-cluster")
        hub.delete("bad-cluster")
    finally:
        hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "bad-later")


def test_a_missing_secret_a_missing_key_and_a_wrong_password_are_told_then_forgiven(hub: Hub):
    hub.apply(cluster(hub, "bad-secret", redis={"adminSecretRef": {"name": "bad-redis"}}))
    reference = {"namespace": "matrixhub", "name": "bad-secret"}
    hub.apply(hub.tenant("bad-secret", clusterRef=reference))

    def told(reason: str, word: str) -> None:
        until(lambda: hub.condition("bad-secret", "RedisReady").get("reason") == reason, 20, reason)
        until(lambda: word in hub.condition("bad-secret", "RedisReady")["message"], 20, word)

    def secret(**data: str) -> None:
        hub.kubectl("-n", "matrixhub", "delete", "secret", "bad-redis", "--ignore-not-found")
        literals = [f"--from-literal={key}={value}" for key, value in data.items()]
        hub.kubectl("-n", "matrixhub", "create", "secret", "generic", "bad-redis", *literals)

    try:
        told("SecretNotFound", "matrixhub/bad-redis")
        secret(username=hub.env["REDIS_ADMIN_USER"])
        told("AdminSecretInvalid", "password")
        secret(username=hub.env["REDIS_ADMIN_USER"], password="not-the-password-at-all")
        told("AuthenticationFailed", "bad-redis")
        secret(username=hub.env["REDIS_ADMIN_USER"], password=hub.env["REDIS_ADMIN_PASSWORD"])
        hub.ready("bad-secret")
        hub.delete("bad-secret")
    finally:
        hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", "bad-secret")
        hub.kubectl("-n", "matrixhub", "delete", "secret", "bad-redis", "--ignore-not-found")


def test_fewer_partitions_are_refused_in_words_and_the_rest_goes_on(hub: Hub):
    topics = [{"domain": "exams", "events": ["started"], "partitions": 3}]
    hub.onboard("bad-shrink", kafka={"topics": topics})
    topics[0]["partitions"] = 1
    hub.apply(hub.tenant("bad-shrink", kafka={"topics": topics}, redis={"memory": "1Mi"}))
    until(lambda: hub.condition("bad-shrink", "KafkaReady").get("reason") == "PartitionsCannotShrink", 20)
    assert "bad-shrink.exams.started" in hub.condition("bad-shrink", "KafkaReady")["message"]
    assert hub.condition("bad-shrink", "RedisReady")["status"] == "True"


def test_no_secret_is_in_any_log_event_or_status(hub: Hub):
    hub.onboard("bad-leak")
    hub.kubectl("-n", "tenant-bad-leak", "delete", "secret", "redis")
    until(lambda: hub.exists("-n", "tenant-bad-leak", "secret", "redis"), 5)
    names = ("postgres", "redis", "kafka", "object-store", "gateway")
    secrets = [hub.secret("bad-leak", name)["password"] for name in names]
    secrets.append(hub.secret("bad-leak", "gateway")["PUSHER_ENCRYPTION_MASTER_KEY_BASE64"])
    accounts = hub.get("secret", "main-accounts", "-n", "matrixhub")["data"]
    secrets += [base64.b64decode(accounts[f"{role}-password"]).decode() for role in ("gateway", "relay")]
    secrets += [hub.env[name] for name in ("PG_ADMIN_PASSWORD", "REDIS_ADMIN_PASSWORD", "KAFKA_ADMIN_PASSWORD")]
    secrets.append(hub.env["S3_ADMIN_SECRET_KEY"])
    told = hub.operator.log.read_text()
    told += json.dumps(hub.get("events", "-A"))
    told += json.dumps(hub.get("tenants")) + json.dumps(hub.get("realtimeclusters", "-A"))
    told += json.dumps(records(hub)) + operators_page()
    assert '"tenant": "bad-leak"' in told
    assert not [secret for secret in secrets if secret in told]


def test_a_users_mistake_never_shows_a_stack(hub: Hub):
    assert "Traceback" not in hub.operator.log.read_text()
