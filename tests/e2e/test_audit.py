"""The audit trail says who changed what, from what to what: in the log, and on a topic that tenants cannot read."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import TopicAuthorizationFailedError
from tests.e2e.hub import Hub, stopped
from tests.e2e.test_drift import retention
from tests.e2e.told import TOPIC, administrator, lines, operators_page, records, value
from tests.patience import until

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.kafka.reads import describe_topics
from matrixhub.backends.kafka.session import Session

NAME = f"audited-{secrets.token_hex(3)}"
"""The topic outlives the stand: another name each time."""
SPACE = f"tenant-{NAME}"


def manifest(hub: Hub, rate: str) -> dict[str, Any]:
    made = hub.tenant(NAME, compute={"pods": "10"}, kafka={"producerByteRate": rate})
    hub.tenants.remove(NAME)
    return made


@pytest.fixture(scope="module")
def audited(hub: Hub) -> Iterator[Hub]:
    """A Tenant that was applied by one manager, changed by another, and drifted by a third."""
    drifted = value(operators_page(), "matrixhub_drift_repaired_total", backend="namespace", kind="ResourceQuota")
    hub.apply(manifest(hub, "1Mi"))
    hub.ready(NAME)
    words = ("apply", "--server-side", "--force-conflicts", "--field-manager=argocd", "-f", "-")
    hub.kubectl(*words, text=json.dumps(manifest(hub, "2Mi")))
    hub.ready(NAME)
    quota = hub.get("resourcequota", "-n", SPACE)["items"][0]["metadata"]["name"]
    patch = ("--type=merge", "--field-manager=somebody", "-p", '{"spec":{"hard":{"pods":"999"}}}')
    hub.kubectl("-n", SPACE, "patch", "resourcequota", quota, *patch)
    until(lambda: lines(hub, tenant=NAME, reason="DriftRepaired"), 10, "the drift is told")
    after = value(operators_page(), "matrixhub_drift_repaired_total", backend="namespace", kind="ResourceQuota")
    assert after == drifted + 1
    yield hub
    hub.tenants.append(NAME)
    hub.dismiss()


def one(hub: Hub, **about: object) -> dict[str, Any]:
    (line,) = lines(hub, tenant=NAME, **about)
    return line


def test_the_log_says_who_created_a_tenant_and_as_what(audited: Hub):
    line = one(audited, reason="TenantCreated")
    assert (line["manager"], line["generation"], line["cluster"]) == ("gitops", 1, "matrixhub/main")
    (change,) = line["changes"]
    assert (change["field"], change["from"]) == ("spec", None)
    assert change["to"]["kafka"]["producerByteRate"] == "1Mi"


def test_the_log_says_who_changed_it_from_what_to_what_and_what_that_did(audited: Hub):
    line = one(audited, reason="TenantChanged")
    assert (line["manager"], line["generation"]) == ("argocd", 2)
    assert line["changes"] == [{"field": "spec.kafka.producerByteRate", "from": "1Mi", "to": "2Mi"}]
    done = lines(audited, tenant=NAME, backend="kafka", reason="Reconciled", generation=2)
    assert done
    assert {each["manager"] for each in done} == {"argocd"}
    assert all(each["seconds"] > 0 for each in done)
    first = lines(audited, tenant=NAME, reason="Reconciled", generation=1)
    assert {each["manager"] for each in first} == {"gitops"}
    assert {each["backend"] for each in first} == {
        "namespace",
        "postgres",
        "redis",
        "kafka",
        "objectstore",
        "gateway",
    }


def test_the_log_says_who_drifted_and_names_the_event_that_tells_of_it(audited: Hub):
    line = one(audited, reason="DriftRepaired")
    assert (line["manager"], line["backend"]) == ("somebody", "namespace")
    assert "ResourceQuota" in line["message"]
    until(lambda: audited.exists("event", line["event"], "-n", "default"), 10, "the Event")
    event = audited.get("event", line["event"], "-n", "default")
    assert (event["reason"], event["involvedObject"]["name"]) == ("DriftRepaired", NAME)


def test_the_topic_has_what_the_log_has(audited: Hub):
    reasons = {"TenantCreated", "TenantChanged", "DriftRepaired", "Reconciled"}
    said = [each for each in lines(audited, tenant=NAME) if each.get("reason") in reasons]

    def written() -> list[dict[str, Any]]:
        return [each for key, each in records(audited) if key == NAME and each["reason"] in reasons]

    until(lambda: len(written()) >= len(said), 20, "every record is on the topic")
    ours = ("message", "manager", "generation", "changes", "event")
    assert [{k: each.get(k) for k in ours} for each in written()] == [{k: each.get(k) for k in ours} for each in said]


def test_what_is_written_is_counted_and_nothing_was_dropped(audited: Hub):
    text = operators_page()
    assert value(text, "matrixhub_audit_records_total", cluster="matrixhub/main") > 0
    assert value(text, "matrixhub_audit_records_dropped_total", cluster="matrixhub/main") == 0


def test_the_topic_is_kept_for_a_year(audited: Hub):
    client = KafkaAdminClient(**administrator(audited))
    try:
        assert retention(client, TOPIC) == str(365 * 24 * 3600 * 1000)
    finally:
        client.close()


def test_a_tenant_cannot_read_the_topic(audited: Hub):
    cluster = RealtimeCluster.model_validate(audited.get("realtimecluster", "main", "-n", "matrixhub"))
    session = Session(cluster, audited.secret(NAME, "kafka"))
    try:
        own, trail = describe_topics(session, [f"{NAME}.institution.updates", TOPIC])
    finally:
        session.close()
    assert (own.name, own.error_code) == (f"{NAME}.institution.updates", 0)
    # Whoever may read or write a topic may also describe it.
    assert (trail.name, trail.error_code) == (TOPIC, TopicAuthorizationFailedError.errno)


def test_work_goes_on_while_kafka_is_away_and_nothing_is_lost(audited: Hub):
    changed = manifest(audited, "2Mi")
    changed["spec"]["compute"] = {"pods": "11"}
    with stopped(audited, "kafka"):
        audited.apply(changed)

        def limited() -> bool:
            quotas = audited.get("resourcequota", "-n", SPACE)["items"]
            return [quota["spec"]["hard"]["pods"] for quota in quotas] == ["11"]

        until(limited, 10, "the namespace's quota, with Kafka away")

    def told() -> bool:
        changes = [each.get("changes", []) for key, each in records(audited) if key == NAME]
        return [{"field": "spec.compute.pods", "from": "10", "to": "11"}] in changes

    until(told, 40, "the record of what happened meanwhile")
