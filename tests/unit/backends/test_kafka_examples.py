"""What a tenant gets in Kafka, and what it is told, in named examples."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.support import intent

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Intent, Mark, Owner, Phase
from matrixhub.backends.kafka import actions
from matrixhub.backends.kafka.desired import binding, desired, iterations
from matrixhub.backends.kafka.plan import plan, settle
from matrixhub.backends.kafka.state import Acl, Quota, Scram, State, Topic, TopicClaim, UserClaim
from matrixhub.errors import Conflict, Rejected

PASSWORD = "a-password-of-32-characters-0000"


def cluster(*topics: Mapping[str, Any], **redefined: Any) -> RealtimeCluster:
    kafka = {
        "bootstrapServers": ["kafka-0:9093", "kafka-1:9093"],
        "adminSecretRef": {"name": "kafka-admin"},
        "replicationFactor": 3,
        "topics": list(topics),
    }
    metadata = {"name": "main", "namespace": "matrixhub"}
    return RealtimeCluster.model_validate({"metadata": metadata, "spec": {"kafka": kafka | redefined}})


USAGE = {"domain": "usage", "events": ["login", "activity"], "partitions": 2, "retention": "24h"}


def green(phase: Phase = Phase.ACTIVE, *topics: Mapping[str, Any], **kafka: Any) -> Intent:
    return intent("green", cluster(USAGE), phase, password=PASSWORD, kafka={"topics": list(topics), **kafka})


def made(wish: Intent) -> State:
    """What is there once the wish was carried out."""
    wanted = desired(wish)
    return settle(wanted, replace(wanted, user_claims=frozenset(), topic_claims=frozenset(), topics=frozenset()))


def configs(state: State) -> dict[str, dict[str, str]]:
    return {topic.name: dict(topic.configs) for topic in state.topics}


def test_a_tenant_has_the_clusters_topics_and_its_own() -> None:
    exams = {"domain": "exams", "events": ["started"], "partitions": 3, "retention": "168h"}
    state = desired(green(Phase.ACTIVE, exams))
    assert {(topic.name, topic.partitions) for topic in state.topics} == {
        ("green.usage.login", 2),
        ("green.usage.activity", 2),
        ("green.exams.started", 3),
    }
    assert configs(state)["green.exams.started"] == {"retention.ms": "604800000"}
    assert configs(state)["green.usage.login"] == {"retention.ms": "86400000"}


def test_the_tenants_own_entry_wins_over_the_clusters() -> None:
    state = desired(green(Phase.ACTIVE, {"domain": "usage", "events": ["login"], "partitions": 6, "retention": "1h"}))
    partitions = {topic.name: topic.partitions for topic in state.topics}
    assert partitions == {"green.usage.login": 6, "green.usage.activity": 2}
    assert configs(state)["green.usage.login"] == {"retention.ms": "3600000"}


def test_storage_is_shared_out_over_all_partitions_and_no_segment_is_more_than_a_quarter_of_its_share() -> None:
    state = desired(green(storage="4Gi"))
    assert configs(state)["green.usage.login"] == {
        "retention.ms": "86400000",
        "retention.bytes": str(1024**3),
        "segment.bytes": str(256 * 1024**2),
    }
    assert configs(desired(green(storage="4Mi")))["green.usage.login"]["segment.bytes"] == str(16 * 1024**2)
    assert configs(desired(green(storage="4Ti")))["green.usage.login"]["segment.bytes"] == str(1024**3)


def test_quotas_are_those_of_the_spec() -> None:
    state = desired(green(producerByteRate="1Mi", requestPercentage=50))
    assert state.quotas == {Quota("producer_byte_rate", 1048576.0), Quota("request_percentage", 50.0)}


def test_a_tenant_may_create_alter_and_delete_nothing() -> None:
    allowed = {(acl.resource, acl.name, acl.pattern, acl.operation) for acl in desired(green()).acls}
    assert allowed == {
        ("topic", "green.", "prefixed", "read"),
        ("topic", "green.", "prefixed", "write"),
        ("topic", "green.", "prefixed", "describe-configs"),
        ("group", "green.", "prefixed", "read"),
        ("transactional-id", "green.", "prefixed", "write"),
        ("cluster", "kafka-cluster", "literal", "idempotent-write"),
    }


def test_a_suspended_tenant_is_denied_and_cannot_log_in_and_keeps_its_topics() -> None:
    before = made(green(producerByteRate="1Mi"))
    wanted = desired(green(Phase.SUSPENDED, producerByteRate="1Mi"))
    after = settle(wanted, before)
    assert after.topics == before.topics
    assert after.quotas == before.quotas
    assert not after.logins
    assert {acl.permission for acl in after.acls} == {"deny"}
    kinds = [type(step) for step in plan(wanted, before)]
    assert kinds.index(actions.AddAcls) < kinds.index(actions.RemoveAcls) < kinds.index(actions.DropLogins)


def test_a_resumed_tenant_is_let_in_last() -> None:
    suspended = settle(desired(green(Phase.SUSPENDED)), made(green()))
    steps = plan(desired(green()), suspended)
    assert [type(step) for step in steps] == [
        actions.WriteMarks,
        actions.RemoveAcls,
        actions.SetLogin,
        actions.AddAcls,
        actions.RemoveMarks,
    ]


def test_the_iteration_count_tells_passwords_apart_and_never_is_the_default_of_kafkas_tools() -> None:
    counts = {iterations(f"password-{number}") for number in range(3000)}
    assert min(counts) == 4097
    assert max(counts) == 5120
    assert len(counts) > 900


def test_a_changed_password_is_set_even_where_its_iteration_count_is_the_same() -> None:
    other = next(f"x{n}" for n in range(100_000) if iterations(f"x{n}") == iterations(PASSWORD))
    wanted = desired(intent("green", cluster(USAGE), password=other))
    steps = plan(wanted, made(green()))
    assert actions.SetLogin("tenant-green", "SCRAM-SHA-512", iterations(other), other) in steps


def test_a_login_that_somebody_else_set_is_set_again_and_others_are_removed() -> None:
    found = replace(made(green()), logins=frozenset({Scram("SCRAM-SHA-512", 4096), Scram("SCRAM-SHA-256", 4096)}))
    assert [str(step) for step in plan(desired(green()), found)] == [
        "Removed the SCRAM-SHA-256 login of tenant-green",
        "Set the SCRAM-SHA-512 login of tenant-green",
    ]


def test_an_acl_that_widens_the_tenants_user_goes() -> None:
    found = made(green())
    found = replace(found, acls=found.acls | {Acl("topic", "greenwood.", "prefixed", "read")})
    assert [str(step) for step in plan(desired(green()), found)] == [
        "Removed ACLs of tenant-green: read on topic greenwood.*"
    ]


def test_fewer_partitions_are_refused_and_the_rest_is_done() -> None:
    found = made(green())
    fewer = {"domain": "usage", "events": ["login"], "partitions": 1, "retention": "1h"}
    *steps, refusal = plan(desired(green(Phase.ACTIVE, fewer, producerByteRate="1Mi")), found)
    assert {str(step) for step in steps} == {
        "Set producer_byte_rate to 1048576 in the client quotas of tenant-green",
        "Set retention.ms to 3600000 on topic green.usage.login",
    }
    assert isinstance(refusal, actions.Refuse)
    assert refusal.reason == "PartitionsCannotShrink"
    assert "topic green.usage.login has 2 partitions and cannot go down to 1" in refusal.message


def test_where_all_is_done_but_what_kafka_refuses_there_is_no_work_left() -> None:
    fewer = {"domain": "usage", "events": ["login"], "partitions": 1}
    wish = desired(green(Phase.ACTIVE, fewer))
    with pytest.raises(Rejected, match="has 2 partitions and cannot go down to 1") as refusal:
        plan(wish, settle(wish, made(green())))
    assert refusal.value.reason == "PartitionsCannotShrink"


def test_partitions_that_somebody_added_by_hand_are_welcome() -> None:
    found = made(green())
    [login] = [topic for topic in found.topics if topic.name == "green.usage.login"]
    found = replace(found, topics=found.topics - {login} | {replace(login, partitions=9)})
    assert plan(desired(green()), found) == ()


def test_a_topic_that_the_spec_names_no_more_stays_until_the_tenant_is_deleted() -> None:
    exams = {"domain": "exams", "events": ["started"]}
    found = made(green(Phase.ACTIVE, exams))
    assert plan(desired(green()), found) == ()
    [deleted] = [s for s in plan(desired(green(Phase.DELETED)), found) if isinstance(s, actions.DeleteTopics)]
    assert deleted.topics == ("green.exams.started", "green.usage.activity", "green.usage.login")


def test_a_topic_that_was_deleted_by_hand_is_made_again() -> None:
    found = made(green())
    found = replace(found, topics=frozenset(topic for topic in found.topics if topic.name != "green.usage.login"))
    assert [str(step) for step in plan(desired(green()), found)] == ["Created topic green.usage.login"]


def test_a_topic_without_our_mark_is_a_conflict_and_is_left_alone_by_removal() -> None:
    stranger = Topic("green.usage.login", 1, frozenset())
    found = replace(State("green", Owner("hub", "uid-green"), Phase.ACTIVE, 3), topics=frozenset({stranger}))
    with pytest.raises(Conflict, match=r"already has a topic green\.usage\.login, which Matrix Hub did not make"):
        plan(desired(green()), found)
    assert plan(desired(green(Phase.DELETED)), found) == ()
    assert plan(desired(green(Phase.RETAINED)), found) == ()


def test_a_user_without_our_mark_is_a_conflict() -> None:
    found = State("green", Owner("hub", "uid-green"), Phase.ACTIVE, 3, logins=frozenset({Scram("SCRAM-SHA-512", 4096)}))
    with pytest.raises(Conflict, match="a SCRAM login for user tenant-green, which Matrix Hub did not make"):
        plan(desired(green()), found)
    assert plan(desired(green(Phase.DELETED)), found) == ()


def test_a_conflict_names_the_owner() -> None:
    theirs = Mark(Owner("other-hub", "their-uid"))
    found = replace(made(green()), user_claims=frozenset({UserClaim(theirs, "")}))
    with pytest.raises(Conflict) as caught:
        plan(desired(green()), found)
    assert caught.value.owner == "other-hub/their-uid"
    assert "user tenant-green in Kafka belongs to another Matrix Hub (other-hub/their-uid)" in caught.value.message


def test_retained_topics_are_adopted_also_by_another_hub() -> None:
    retained = settle(desired(green(Phase.RETAINED)), made(green()))
    assert {claim.mark.retained for claim in retained.topic_claims} == {True}
    assert retained == replace(
        State("green", Owner("hub", "uid-green"), Phase.RETAINED, 3),
        topics=retained.topics,
        topic_claims=retained.topic_claims,
    )
    wish = intent("green", cluster(USAGE), password=PASSWORD, owner=Owner("other-hub", "new-uid"))
    assert settle(desired(wish), retained).topic_claims == desired(wish).topic_claims
    assert not [step for step in plan(desired(wish), retained) if isinstance(step, actions.CreateTopics)]


def test_what_an_earlier_tenant_retained_is_not_deleted_with_a_later_one_that_never_took_it() -> None:
    retained = settle(desired(green(Phase.RETAINED)), made(green()))
    later = intent("green", cluster(USAGE), Phase.DELETED, owner=Owner("hub", "later-uid"))
    assert plan(desired(later), retained) == ()


def test_a_mark_without_its_topic_is_removed_with_the_tenant() -> None:
    claim = TopicClaim(Mark(Owner("hub", "uid-green")), "green.usage.login", 2)
    half = replace(State("green", claim.mark.owner, Phase.DELETED, 3), topic_claims=frozenset({claim}))
    assert [type(step) for step in plan(desired(green(Phase.DELETED)), half)] == [actions.RemoveMarks]


def test_an_active_tenant_without_credential_is_refused() -> None:
    with pytest.raises(Rejected, match="no password yet for Kafka user tenant-green") as refused:
        desired(replace(green(), credential=None))
    assert refused.value.reason == "CredentialMissing"


def test_the_binding_holds_what_a_client_needs() -> None:
    held = binding(green())
    assert held["type"] == "kafka"
    assert held["bootstrapServers"] == "kafka-0:9093,kafka-1:9093"
    assert (held["host"], held["port"]) == ("kafka-0", "9093")
    assert (held["securityProtocol"], held["saslMechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert held["password"] == PASSWORD
    assert f'password="{PASSWORD}";' in held["saslJaasConfig"]
    assert held["topics"] == "green.usage.activity,green.usage.login"
    assert {held[key] for key in ("topicPrefix", "groupPrefix", "transactionalIdPrefix")} == {"green."}
    assert "ca.crt" not in held
    assert binding(replace(green(), ca="PEM"))["ca.crt"] == "PEM"
    assert binding(green(Phase.RETAINED)) == {}
