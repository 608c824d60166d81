"""What the operator keeps true in the real Kafka: drift, strangers' objects, retaining, deleting, half-done work."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from tests.backends.kafka_clients import (
    EXAMS,
    Hub,
    Login,
    can_log_in,
    commit,
    hub_on,
    kafka_cluster,
    read,
    secret,
    send,
)
from tests.patience import until

from matrixhub.backends.contract import Owner, Phase
from matrixhub.backends.kafka.session import messages
from matrixhub.errors import Conflict, Rejected, Transient

# After the import above, which knows how to import the driver without its warnings.
from kafka import TopicPartition  # isort: skip
from kafka.admin import UserScramCredentialDeletion, UserScramCredentialUpsertion  # isort: skip
from kafka.errors import TopicAuthorizationFailedError  # isort: skip

DRIFTER = "ka-drift"
TOPIC = f"{DRIFTER}.exams.started"
USER = f"tenant-{DRIFTER}"
SHOWN = "the broker shows what the controller has written"
SHARE = {"producerByteRate": "1Mi", "requestPercentage": 50, "storage": "1Gi"}


@pytest.fixture(scope="module")
def hub(stand: Mapping[str, str]) -> Iterator[Hub]:
    with hub_on(stand) as made:
        yield made


def configure(hub: Hub, topic: str, **configs: str) -> None:
    resource = messages.IncrementalAlterConfigsRequest.AlterConfigsResource
    entries = [
        resource.AlterableConfig(name=key.replace("_", "."), config_operation=0, value=value)
        for key, value in configs.items()
    ]
    request = messages.IncrementalAlterConfigsRequest(
        resources=[resource(resource_type=2, resource_name=topic, configs=entries)], validate_only=False
    )
    assert [result.error_code for result in hub.root.raw(request).responses] == [0]


def add_acl(hub: Hub, principal: str, name: str, operation: int = 3) -> None:
    entry = messages.CreateAclsRequest.AclCreation(2, name, 3, principal, "*", operation, 3)
    answer = hub.root.raw(messages.CreateAclsRequest(creations=[entry]))
    assert [result.error_code for result in answer.results] == [0]


def remove_acls(hub: Hub, principal: str | None, resource: int = 1, name: str | None = None) -> int:
    """How many there were."""
    match = messages.DeleteAclsRequest.DeleteAclsFilter(resource, name, 1, principal, None, 1, 1)
    [result] = hub.root.raw(messages.DeleteAclsRequest(filters=[match])).filter_results
    return len(result.matching_acls)


def acls(hub: Hub, principal: str | None = None, resource: int = 1, name: str | None = None) -> int:
    answer = hub.root.raw(messages.DescribeAclsRequest(resource, name, 1, principal, None, 1, 1))
    return sum(len(found.acls) for found in answer.resources)


def set_quota(hub: Hub, key: str, value: float | None, client: str | None = None) -> None:
    entry = messages.AlterClientQuotasRequest.EntryData
    entity = [entry.EntityData(entity_type="user", entity_name=USER)]
    if client:
        entity.append(entry.EntityData(entity_type="client-id", entity_name=client))
    op = entry.OpData(key=key, value=value or 0.0, remove=value is None)
    answer = hub.root.raw(
        messages.AlterClientQuotasRequest(entries=[entry(entity=entity, ops=[op])], validate_only=False)
    )
    assert [result.error_code for result in answer.entries] == [0]


def set_login(hub: Hub, mechanism: str, user: str = USER, password: str = "stolen", iterations: int = 4096) -> None:
    admin = hub.root.admin()
    result = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, mechanism, password, iterations)])
    assert result == {user: None}


def drop_login(hub: Hub, user: str = USER) -> None:
    hub.root.admin().alter_user_scram_credentials([UserScramCredentialDeletion(user, "SCRAM-SHA-512")])


DRIFT: dict[str, tuple[Callable[[Hub], object], list[str]]] = {
    "retention altered": (
        lambda hub: configure(hub, TOPIC, retention_ms="1"),
        [f"Set retention.ms to 86400000 on topic {TOPIC}"],
    ),
    "storage limit altered": (
        lambda hub: configure(hub, TOPIC, retention_bytes="-1"),
        [f"Set retention.bytes to 268435456 on topic {TOPIC}"],
    ),
    "a config of others' set": (lambda hub: configure(hub, TOPIC, min_insync_replicas="1"), []),
    "partitions added": (lambda hub: hub.root.admin().create_partitions({f"{DRIFTER}.exams.submitted": 5}), []),
    "topic deleted": (lambda hub: hub.root.admin().delete_topics([TOPIC]), [f"Created topic {TOPIC}"]),
    "ACL removed": (
        lambda hub: remove_acls(hub, f"User:{USER}", 3),
        [f"Set ACLs of {USER}: read on group {DRIFTER}.*"],
    ),
    "ACL added": (
        lambda hub: add_acl(hub, f"User:{USER}", "*"),
        [f"Removed ACLs of {USER}: read on topic *"],
    ),
    "an administrator let in": (lambda hub: add_acl(hub, "User:auditor", TOPIC), []),
    "quota altered": (
        lambda hub: set_quota(hub, "producer_byte_rate", 1e9),
        [f"Set producer_byte_rate to 1048576 in the client quotas of {USER}"],
    ),
    "quota removed": (
        lambda hub: set_quota(hub, "request_percentage", None),
        [f"Set request_percentage to 50 in the client quotas of {USER}"],
    ),
    "quota of one client added": (
        lambda hub: set_quota(hub, "producer_byte_rate", 1e9, client="bulk"),
        [f"Removed producer_byte_rate of client bulk in the client quotas of {USER}"],
    ),
    "login removed": (drop_login, [f"Set the SCRAM-SHA-512 login of {USER}"]),
    "password changed": (
        lambda hub: set_login(hub, "SCRAM-SHA-512"),
        [f"Set the SCRAM-SHA-512 login of {USER}"],
    ),
    "second login added": (
        lambda hub: set_login(hub, "SCRAM-SHA-256"),
        [f"Removed the SCRAM-SHA-256 login of {USER}"],
    ),
}


@pytest.mark.parametrize("drift", DRIFT)
def test_drift_is_repaired_and_told(hub: Hub, drift: str) -> None:
    wish = hub.intent(DRIFTER, kafka=SHARE)
    hub.converge(wish)
    alter, expected = DRIFT[drift]
    before = hub.observe(wish)
    alter(hub)
    if expected:
        until(lambda: hub.observe(wish) != before, 10, SHOWN)
    assert hub.converge(wish) == expected
    assert can_log_in(hub.login(DRIFTER))
    remove_acls(hub, "User:auditor")


def from_the_start(who: Login, topic: str) -> Any:
    """A consumer of all partitions, in no group."""
    consumer = who.consumer()
    consumer.assign([TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)])
    consumer.seek_to_beginning()
    return consumer


def test_a_look_alike_topic_is_a_conflict_and_is_never_touched(hub: Hub) -> None:
    topic = "ka-alike.exams.started"
    hub.root.admin().create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    send(hub.root.producer(), topic, b"theirs")
    with pytest.raises(Conflict, match=f"already has a topic {topic}, which Matrix Hub did not make"):
        hub.steps(hub.intent("ka-alike"))
    for phase in (Phase.RETAINED, Phase.DELETED):
        assert hub.converge(hub.intent("ka-alike", phase)) == []
    assert read(from_the_start(hub.root, topic)) == [b"theirs"]
    hub.root.close()
    hub.root.admin().delete_topics([topic])
    until(lambda: not hub.observe(hub.intent("ka-alike")).topics, 10, SHOWN)
    hub.converge(hub.intent("ka-alike"))


def test_a_look_alike_beside_a_tenants_topics_stays_when_the_tenant_goes(hub: Hub) -> None:
    stranger = "ka-beside.theirs"
    hub.converge(hub.intent("ka-beside"))
    hub.root.admin().create_topics({stranger: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    hub.converge(hub.intent("ka-beside", Phase.DELETED))
    assert [name for name in hub.root.admin().list_topics() if name.startswith("ka-beside.")] == [stranger]
    hub.root.admin().delete_topics([stranger])


def test_a_look_alike_user_is_a_conflict_and_is_never_touched(hub: Hub) -> None:
    set_login(hub, "SCRAM-SHA-512", "tenant-ka-person", secret("ka-person"))
    wish = hub.intent("ka-person")
    until(lambda: hub.observe(wish).logins, 10, SHOWN)
    with pytest.raises(Conflict, match="a SCRAM login for user tenant-ka-person, which Matrix Hub did not make"):
        hub.steps(wish)
    assert hub.converge(hub.intent("ka-person", Phase.DELETED)) == []
    assert can_log_in(hub.login("ka-person"))
    drop_login(hub, "tenant-ka-person")


def test_another_hubs_tenant_is_a_conflict_that_names_it(hub: Hub) -> None:
    theirs = Owner("other-hub", "their-uid")
    hub.converge(hub.intent("ka-taken", owner=theirs))
    with pytest.raises(Conflict) as caught:
        hub.steps(hub.intent("ka-taken"))
    assert caught.value.owner == "other-hub/their-uid"
    assert hub.converge(hub.intent("ka-taken", Phase.DELETED)) == []
    assert can_log_in(hub.login("ka-taken"))


def test_what_a_lost_hub_marked_is_adopted_where_the_cluster_says_so(hub: Hub) -> None:
    tenant = "ka-moved"
    hub.converge(hub.intent(tenant, kafka=SHARE))
    send(hub.login(tenant).producer(), f"{tenant}.exams.started", b"kept")
    hub.converge(hub.intent(tenant, owner=Owner("new-hub", "a-new-uid", former="hub")))
    assert read(hub.login(tenant).consumer(f"{tenant}.exams.started", group_id=f"{tenant}.again")) == [b"kept"]
    with pytest.raises(Conflict, match="adoptFrom: new-hub"):
        hub.steps(hub.intent(tenant))


@pytest.mark.parametrize("owner", [Owner("hub", "a-new-uid"), Owner("other-hub", "a-new-uid")])
def test_what_was_retained_is_shut_and_adopted_again(hub: Hub, owner: Owner) -> None:
    tenant = f"ka-keep-{owner.hub}"
    hub.converge(hub.intent(tenant, kafka=SHARE))
    login = hub.login(tenant)
    send(login.producer(), f"{tenant}.exams.started", b"kept")
    hub.converge(hub.intent(tenant, Phase.RETAINED))
    assert not can_log_in(login)
    assert acls(hub, f"User:tenant-{tenant}") == 0
    assert hub.observe(hub.intent(tenant)).quotas == frozenset()
    hub.converge(hub.intent(tenant, owner=owner))
    assert read(login.consumer(f"{tenant}.exams.started", group_id=f"{tenant}.again")) == [b"kept"]
    login.close()


def test_a_deleted_tenant_leaves_nothing_behind(hub: Hub) -> None:
    tenant = "ka-gone"
    hub.converge(hub.intent(tenant, kafka=SHARE | {"topics": [{"domain": "own", "events": ["thing"]}]}))
    login = hub.login(tenant)
    send(login.producer(), f"{tenant}.own.thing", b"x")
    consumer = login.consumer(f"{tenant}.own.thing", group_id=f"{tenant}.app")
    assert read(consumer) == [b"x"]
    commit(consumer)
    login.close()
    hub.converge(hub.intent(tenant, kafka=SHARE))
    names = {topic.name for topic in hub.observe(hub.intent(tenant)).topics}
    assert f"{tenant}.own.thing" in names, "a topic that the spec names no more stays as long as the tenant does"
    done = hub.converge(hub.intent(tenant, Phase.DELETED))
    assert f"Deleted topics {tenant}.exams.started, {tenant}.exams.submitted, {tenant}.own.thing" in done
    assert f"Deleted consumer group {tenant}.app" in done
    left = hub.observe(hub.intent(tenant, Phase.DELETED))
    assert not any((left.user_claims, left.topic_claims, left.topics, left.logins, left.acls, left.quotas, left.groups))
    assert acls(hub, name=f"tenant-{tenant}") == acls(hub, name=f"{tenant}.") == 0
    assert not [name for name in hub.root.admin().list_topics() if name.startswith(f"{tenant}.")]
    assert hub.converge(hub.intent(tenant, Phase.DELETED)) == []


def test_a_group_that_is_still_in_use_holds_the_deletion_up_and_is_named(hub: Hub) -> None:
    tenant = "ka-busy"
    wish = hub.intent(tenant)
    hub.converge(wish)
    login = hub.login(tenant)
    consumer = login.consumer(f"{tenant}.exams.started", group_id=f"{tenant}.app")
    send(login.producer(), f"{tenant}.exams.started", b"x")
    assert read(consumer) == [b"x"]
    gone = hub.intent(tenant, Phase.DELETED)
    error = hub.client.apply({tenant: hub.steps(gone)})[tenant].error
    assert isinstance(error, Transient)
    assert error.reason == "GroupInUse"
    assert f"{tenant}.app" in error.message
    state = hub.observe(gone)
    assert state.user_claims, "the mark goes last"
    assert not state.topics


def test_work_that_was_cut_off_anywhere_is_finished_by_the_next_pass(hub: Hub) -> None:
    whole = hub.steps(hub.intent("ka-cut-0"))
    wishes = [hub.intent(f"ka-cut-{length}", kafka=SHARE) for length in range(len(whole) + 1)]
    for length, wish in enumerate(wishes):
        applied = hub.client.apply({wish.tenant.id: hub.steps(wish)[:length]})
        assert applied[wish.tenant.id].error is None
    hub.converge(*wishes)
    for wish in wishes:
        assert can_log_in(hub.login(wish.tenant.id))


@pytest.mark.parametrize("phase", [Phase.SUSPENDED, Phase.RETAINED, Phase.DELETED])
def test_a_half_made_tenant_can_be_shut_and_removed(hub: Hub, phase: Phase) -> None:
    tenants = [f"ka-half-{phase.value.lower()}-{length}" for length in range(6)]
    for length, tenant in enumerate(tenants):
        hub.client.apply({tenant: hub.steps(hub.intent(tenant, kafka=SHARE))[:length]})
    shut = [hub.intent(tenant, phase, kafka=SHARE) for tenant in tenants]
    hub.converge(*shut)
    assert not can_log_in(hub.login(tenants[-1]))
    assert not [login for wish in shut for login in hub.observe(wish).logins]


def test_removal_that_was_cut_off_anywhere_is_finished_by_the_next_pass(hub: Hub) -> None:
    tenants = [f"ka-end-{length}" for length in range(7)]
    hub.converge(*[hub.intent(tenant, kafka=SHARE) for tenant in tenants])
    for length, tenant in enumerate(tenants):
        hub.client.apply({tenant: hub.steps(hub.intent(tenant, Phase.DELETED))[:length]})
    hub.converge(*[hub.intent(tenant, Phase.DELETED) for tenant in tenants])
    assert not [name for name in hub.root.admin().list_topics() if name.startswith("ka-end-")]
    assert sum(acls(hub, name=f"tenant-{tenant}") for tenant in tenants) == 0


def test_a_changed_password_lets_in_the_new_one_only(hub: Hub) -> None:
    hub.converge(hub.intent("ka-turn"))
    assert "Set the SCRAM-SHA-512 login of tenant-ka-turn" in hub.converge(hub.intent("ka-turn", password="n" * 32))
    assert can_log_in(hub.login("ka-turn", "n" * 32))
    assert not can_log_in(hub.login("ka-turn"))


def test_partitions_grow_and_never_shrink(hub: Hub) -> None:
    def wish(partitions: int, rate: str) -> Any:
        on = kafka_cluster(hub.stand, topics=[EXAMS | {"partitions": partitions}])
        return hub.intent("ka-grow", on=on, kafka={"producerByteRate": rate})

    hub.converge(wish(1, "1Mi"))
    assert "Grew topic ka-grow.exams.started from 1 to 3 partitions" in hub.converge(wish(3, "1Mi"))
    applied = hub.client.apply({"ka-grow": hub.steps(wish(2, "2Mi"))})["ka-grow"]
    assert isinstance(applied.error, Rejected)
    assert applied.error.reason == "PartitionsCannotShrink"
    assert "topic ka-grow.exams.started has 3 partitions and cannot go down to 2" in applied.error.message
    assert {quota.value for quota in hub.observe(wish(2, "2Mi")).quotas} == {2 * 1024**2}


def test_one_tenants_failure_is_its_own(hub: Hub) -> None:
    many = hub.intent("ka-three", on=kafka_cluster(hub.stand, replicationFactor=3))
    good = hub.intent("ka-one")
    applied = hub.client.apply({"ka-three": hub.steps(many), "ka-one": hub.steps(good)})
    assert applied["ka-one"].error is None
    error = applied["ka-three"].error
    assert isinstance(error, Rejected)
    assert error.reason == "NotEnoughBrokers"
    assert "3 replicas" in error.message
    assert hub.steps(good) == ()


def test_many_tenants_are_read_and_written_together(hub: Hub) -> None:
    wishes = [hub.intent(f"ka-many-{number}", kafka=SHARE) for number in range(30)]
    hub.attempt(*wishes)
    states = hub.client.observe(wishes)
    one_by_one = {wish.tenant.id: hub.observe(wish) for wish in wishes[:3]}
    assert {tenant: states[tenant] for tenant in one_by_one} == one_by_one
    assert not [step for wish in wishes for step in hub.client.plan(hub.client.desired(wish), states[wish.tenant.id])]
    hub.attempt(*[hub.intent(wish.tenant.id, Phase.DELETED) for wish in wishes])


def test_the_operators_admin_reads_and_writes_nobodys_records(hub: Hub) -> None:
    hub.converge(hub.intent("ka-private"))
    with pytest.raises(TopicAuthorizationFailedError):
        send(hub.admin.producer(enable_idempotence=False), "ka-private.exams.started", b"from the admin")
    send(hub.login("ka-private").producer(), "ka-private.exams.started", b"private")
    assert read(from_the_start(hub.login("ka-private"), "ka-private.exams.started")) == [b"private"]
    with pytest.raises(TopicAuthorizationFailedError):
        read(from_the_start(hub.admin, "ka-private.exams.started"))
    hub.admin.close()
