"""A tenant on the real Kafka, with its own credentials: what is its own works, everything else is refused."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.backends.kafka_clients import Hub, Login, can_log_in, commit, hub_on, read, send

from matrixhub.backends.contract import Phase
from matrixhub.backends.kafka.session import messages

# The hub's import comes first: it knows how to import the driver without its warnings.
from kafka import OffsetAndMetadata, TopicPartition  # isort: skip
from kafka.errors import (  # isort: skip
    AuthorizationError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
)

TOPIC_REFUSED, GROUP_REFUSED, CLUSTER_REFUSED = 29, 30, 31
GREEN, GREENWOOD = "ka-green", "ka-greenwood"
TOPIC, OTHERS = f"{GREEN}.exams.started", f"{GREENWOOD}.exams.started"


@pytest.fixture(scope="module")
def hub(stand: Mapping[str, str]) -> Iterator[Hub]:
    with hub_on(stand) as made:
        made.converge(made.intent(GREEN), made.intent(GREENWOOD))
        yield made


@pytest.fixture
def green(hub: Hub) -> Iterator[Login]:
    login = hub.login(GREEN)
    yield login
    login.close()


@pytest.fixture
def greenwood(hub: Hub) -> Iterator[Login]:
    login = hub.login(GREENWOOD)
    yield login
    login.close()


def test_records_are_produced_and_consumed_in_a_group(green: Login) -> None:
    send(green.producer(enable_idempotence=True), TOPIC, b"exam")
    consumer = green.consumer(TOPIC, group_id=f"{GREEN}.marking", enable_auto_commit=False)
    assert b"exam" in read(consumer)
    commit(consumer)
    assert consumer.committed(TopicPartition(TOPIC, 0)) is not None or consumer.committed(TopicPartition(TOPIC, 1))


def test_transactions_commit_and_abort(green: Login) -> None:
    producer = green.producer(transactional_id=f"{GREEN}.results")
    producer.init_transactions()
    producer.begin_transaction()
    send(producer, f"{GREEN}.exams.submitted", b"aborted")
    producer.abort_transaction()
    producer.begin_transaction()
    send(producer, f"{GREEN}.exams.submitted", b"committed")
    producer.commit_transaction()
    consumer = green.consumer(f"{GREEN}.exams.submitted", group_id=f"{GREEN}.tx", isolation_level="read_committed")
    assert read(consumer) == [b"committed"]


@pytest.mark.parametrize(("mine", "theirs"), [(GREEN, GREENWOOD), (GREENWOOD, GREEN)])
def test_nothing_of_another_tenants_can_be_written(hub: Hub, mine: str, theirs: str) -> None:
    login = hub.login(mine)
    for topic in (f"{theirs}.exams.started", f"{theirs}.exams.made-up", "strange"):
        with pytest.raises(TopicAuthorizationFailedError):
            send(login.producer(), topic, b"forged")
    login.close()


@pytest.mark.parametrize(("mine", "theirs"), [(GREEN, GREENWOOD), (GREENWOOD, GREEN)])
def test_nothing_of_another_tenants_can_be_read(hub: Hub, mine: str, theirs: str) -> None:
    owner, thief = hub.login(theirs), hub.login(mine)
    topic = f"{theirs}.exams.started"
    send(owner.producer(), topic, b"secret")
    consumer = thief.consumer()
    consumer.assign([TopicPartition(topic, 0), TopicPartition(topic, 1)])
    with pytest.raises(TopicAuthorizationFailedError):
        consumer.end_offsets([TopicPartition(topic, 0)])
    assert read_quickly(consumer) == []
    grouped = thief.consumer(topic, group_id=f"{mine}.thief")
    assert read_quickly(grouped) == []
    own = owner.consumer(topic, group_id=f"{theirs}.owner")
    assert b"secret" in read(own)
    owner.close()
    thief.close()


def read_quickly(consumer: Any) -> list[bytes]:
    """What comes within a second; a refusal counts as nothing."""
    try:
        batches = [consumer.poll(timeout_ms=250) for _ in range(4)]
    except AuthorizationError:
        return []
    return [record.value for batch in batches for records in batch.values() for record in records]


def test_another_tenants_group_cannot_be_joined(green: Login) -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        green.consumer(TOPIC, group_id=f"{GREENWOOD}.marking").poll(timeout_ms=5000)


def test_another_tenants_transactional_id_cannot_be_used(green: Login) -> None:
    with pytest.raises(TransactionalIdAuthorizationFailedError):
        green.producer(transactional_id=f"{GREENWOOD}.results").init_transactions()


def test_a_tenant_sees_its_own_topics_and_groups_only(green: Login, greenwood: Login) -> None:
    for login, tenant in ((green, GREEN), (greenwood, GREENWOOD)):
        send(login.producer(), f"{tenant}.exams.started", b"seen")
        assert read(login.consumer(f"{tenant}.exams.started", group_id=f"{tenant}.seen"))
    assert set(green.admin().list_topics()) == {TOPIC, f"{GREEN}.exams.submitted"}
    groups = {group["group_id"] for group in green.admin().list_groups()}
    assert f"{GREEN}.seen" in groups
    assert not [group for group in groups if not group.startswith(f"{GREEN}.")]


@pytest.mark.parametrize("prefix", [GREEN, GREENWOOD])
def test_topics_are_neither_made_nor_grown_nor_altered_nor_deleted_by_a_tenant(green: Login, prefix: str) -> None:
    admin, topic = green.admin(), f"{prefix}.exams.started"
    with pytest.raises(TopicAuthorizationFailedError):
        admin.create_topics({f"{prefix}.exams.new": {"num_partitions": 1, "replication_factor": 1}})
    with pytest.raises(TopicAuthorizationFailedError):
        admin.delete_topics([topic])
    with pytest.raises(TopicAuthorizationFailedError):
        admin.create_partitions({topic: 9})
    altered = green.raw(_configs(topic, "retention.ms", "1"))
    assert [result.error_code for result in altered.responses] == [TOPIC_REFUSED]


def _configs(topic: str, key: str, value: str) -> Any:
    resource = messages.IncrementalAlterConfigsRequest.AlterConfigsResource
    config = resource.AlterableConfig(name=key, config_operation=0, value=value)
    return messages.IncrementalAlterConfigsRequest(
        resources=[resource(resource_type=2, resource_name=topic, configs=[config])], validate_only=False
    )


def test_a_tenant_reads_the_configs_of_its_own_topics_only(green: Login) -> None:
    resource = messages.DescribeConfigsRequest.DescribeConfigsResource
    answer = green.raw(
        messages.DescribeConfigsRequest(
            resources=[
                resource(resource_type=2, resource_name=topic, configuration_keys=None) for topic in (TOPIC, OTHERS)
            ]
        )
    )
    assert {result.resource_name: result.error_code for result in answer.results} == {TOPIC: 0, OTHERS: TOPIC_REFUSED}


def test_a_tenant_cannot_give_itself_or_others_anything(green: Login) -> None:
    acl = messages.CreateAclsRequest.AclCreation(2, "*", 3, f"User:tenant-{GREEN}", "*", 2, 3)
    assert [r.error_code for r in green.raw(messages.CreateAclsRequest(creations=[acl])).results] == [CLUSTER_REFUSED]
    everything = messages.DeleteAclsRequest.DeleteAclsFilter(1, None, 1, None, None, 1, 1)
    removed = green.raw(messages.DeleteAclsRequest(filters=[everything]))
    assert [result.error_code for result in removed.filter_results] == [CLUSTER_REFUSED]
    assert green.raw(messages.DescribeAclsRequest(1, None, 1, None, None, 1, 1)).error_code == CLUSTER_REFUSED


def test_a_tenant_changes_neither_its_login_nor_its_quota(green: Login) -> None:
    upsertion = messages.AlterUserScramCredentialsRequest.ScramCredentialUpsertion
    new = upsertion(name=f"tenant-{GREENWOOD}", mechanism=2, iterations=4096, salt=b"salt", salted_password=b"x" * 64)
    answer = green.raw(messages.AlterUserScramCredentialsRequest(deletions=[], upsertions=[new]))
    assert [result.error_code for result in answer.results] == [CLUSTER_REFUSED]
    described = messages.DescribeUserScramCredentialsRequest(users=[(f"tenant-{GREENWOOD}",)])
    assert green.raw(described).error_code == CLUSTER_REFUSED
    entry = messages.AlterClientQuotasRequest.EntryData
    more = entry(
        entity=[entry.EntityData(entity_type="user", entity_name=f"tenant-{GREEN}")],
        ops=[entry.OpData(key="producer_byte_rate", value=1e9, remove=False)],
    )
    answer = green.raw(messages.AlterClientQuotasRequest(entries=[more], validate_only=False))
    assert [result.error_code for result in answer.entries] == [CLUSTER_REFUSED]


def test_a_tenant_deletes_no_group_and_no_records(green: Login) -> None:
    for group in (f"{GREEN}.marking", f"{GREENWOOD}.marking"):
        answer = green.raw(messages.DeleteGroupsRequest(groups_names=[group]))
        assert [result.error_code for result in answer.results] == [GROUP_REFUSED]
    with pytest.raises(TopicAuthorizationFailedError):
        green.admin().delete_records({TopicPartition(TOPIC, 0): -1})


def test_nobody_logs_in_as_a_mark(hub: Hub) -> None:
    for name in (f"hub/uid-{GREEN}/user/x", f"MatrixHub:hub/uid-{GREEN}/user/x"):
        assert not can_log_in(Login(hub.cluster, name, "x" * 32))


def test_producing_faster_than_the_quota_is_slowed_down(hub: Hub) -> None:
    hub.converge(hub.intent("ka-slow", kafka={"producerByteRate": "64Ki"}))
    assert throttled(hub, "ka-slow") > 0
    assert throttled(hub, GREEN) == 0


def throttled(hub: Hub, tenant: str) -> float:
    """Milliseconds for which the broker slowed the tenant down at most, when it produced 768 kB."""
    login = hub.login(tenant)
    producer = login.producer(batch_size=32 * 1024, compression_type=None)
    for future in [producer.send(f"{tenant}.exams.started", b"x" * 24_000, partition=0) for _ in range(32)]:
        future.get(timeout=30)
    slowed = float(producer.metrics()["producer-metrics"]["throttle-time-max"])
    login.close()
    return slowed


def test_a_suspended_tenant_is_refused_also_on_open_connections_and_finds_its_data_again(hub: Hub) -> None:
    tenant = "ka-shut"
    topic = f"{tenant}.exams.started"
    hub.converge(hub.intent(tenant))
    login = hub.login(tenant)
    producer, consumer = login.producer(), login.consumer(topic, group_id=f"{tenant}.app")
    send(producer, topic, b"before")
    assert read(consumer) == [b"before"]
    hub.converge(hub.intent(tenant, Phase.SUSPENDED))
    with pytest.raises((TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
        send(producer, topic, b"from the suspended")
    with pytest.raises(TopicAuthorizationFailedError):
        consumer.end_offsets([TopicPartition(topic, 0)])
    with pytest.raises(GroupAuthorizationFailedError):
        consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(1, "", -1)})
    send(hub.root.producer(), topic, b"while suspended")
    assert read_quickly(consumer) == []
    login.close()
    assert not can_log_in(login)
    hub.converge(hub.intent(tenant))
    send(login.producer(), topic, b"after")
    found = read(login.consumer(topic, group_id=f"{tenant}.again"), 3)
    assert sorted(found) == [b"after", b"before", b"while suspended"]
    login.close()


def test_what_the_binding_says_is_what_a_client_needs(hub: Hub) -> None:
    held = hub.client.binding(hub.intent(GREEN))
    login = Login(hub.cluster, held["username"], held["password"])
    assert held["username"] == f"tenant-{GREEN}"
    for topic in held["topics"].split(","):
        assert topic.startswith(held["topicPrefix"])
        send(login.producer(), topic, b"bound")
    login.close()
