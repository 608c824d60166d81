"""The relay's own user on the real Kafka: reads what tenants produce, writes their dead letters, and nothing else."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest
from tests.backends.kafka_clients import EXAMS, Hub, Login, can_log_in, commit, hub_on, kafka_cluster, read, send

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Owner, Phase, ServiceAccount, Survey
from matrixhub.backends.kafka.client import Client
from matrixhub.backends.kafka.session import messages
from matrixhub.errors import Transient

# After the import above, which knows how to import the driver without its warnings.
from kafka.admin import NewTopic, UserScramCredentialDeletion, UserScramCredentialUpsertion  # isort: skip
from kafka.errors import (  # isort: skip
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

PASSWORD = "relay-password-0123456789abcdefghij"
ONE, OTHER = "re-one", "re-other"


def with_relay(stand: Mapping[str, str], name: str = "re-main") -> RealtimeCluster:
    """A RealtimeCluster with a relay (and the gateway that it needs)."""
    relay = {"routes": [{"topics": "*.exams.*", "channel": "{domain}.{event}"}]}
    made = kafka_cluster(stand, {"gateway": {"image": "gateway"}, "relay": relay})
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"name": name})})


def account(cluster: RealtimeCluster, password: str = PASSWORD, hub: str = "hub") -> ServiceAccount:
    return ServiceAccount(Owner(hub, cluster.metadata.uid), naming.relay(cluster.key), password)


@pytest.fixture(scope="module")
def hub(stand: Mapping[str, str]) -> Iterator[Hub]:
    with hub_on(stand) as made:
        made.cluster = with_relay(stand)
        made.client.close()
        made.client = prepared(made)
        made.converge(made.intent(ONE), made.intent(OTHER))
        yield made
        forget(made)


def prepared(hub: Hub, password: str = PASSWORD) -> Client:
    admin = {"username": hub.admin.username, "password": hub.admin.password}
    client = Client(hub.cluster, admin, account(hub.cluster, password))
    client.prepare()
    return client


def forget(hub: Hub) -> None:
    """The relay's user is gone, for the next run of these tests."""
    login = naming.relay(hub.cluster.key)
    remove_acls(hub, f"User:{login}")
    match = messages.DeleteAclsRequest.DeleteAclsFilter(7, login, 3, None, None, 1, 1)
    hub.root.raw(messages.DeleteAclsRequest(filters=[match]))
    hub.root.admin().alter_user_scram_credentials([UserScramCredentialDeletion(login, "SCRAM-SHA-512")])


def remove_acls(hub: Hub, principal: str) -> None:
    match = messages.DeleteAclsRequest.DeleteAclsFilter(1, None, 1, principal, None, 1, 1)
    hub.root.raw(messages.DeleteAclsRequest(filters=[match]))


@pytest.fixture
def relay(hub: Hub) -> Iterator[Login]:
    login = Login(hub.cluster, naming.relay(hub.cluster.key), PASSWORD)
    yield login
    login.close()


def test_the_relay_reads_every_tenant_in_its_own_group_and_commits(hub: Hub, relay: Login) -> None:
    for tenant in (ONE, OTHER):
        send(hub.login(tenant).producer(), f"{tenant}.exams.started", tenant.encode())
    consumer = relay.consumer(f"{ONE}.exams.started", f"{OTHER}.exams.started", group_id=relay.username)
    assert sorted(read(consumer, 2)) == [ONE.encode(), OTHER.encode()]
    commit(consumer)


def test_the_relay_writes_dead_letters_and_the_tenant_alone_reads_them(hub: Hub, relay: Login) -> None:
    send(relay.producer(enable_idempotence=False), naming.dead_letters(ONE), b"poison")
    consumer = hub.login(ONE).consumer(naming.dead_letters(ONE), group_id=f"{ONE}.readers")
    assert read(consumer) == [b"poison"]
    stranger = hub.login(OTHER)
    assert stranger.consumer().partitions_for_topic(naming.dead_letters(ONE)) == set()
    with pytest.raises((TopicAuthorizationFailedError, KafkaTimeoutError)):
        send(stranger.producer(enable_idempotence=False), naming.dead_letters(ONE), b"forged")


ATTACKS: dict[str, tuple[Callable[[Login], object], tuple[type[Exception], ...]]] = {
    "writes a tenant's topic": (
        lambda relay: send(relay.producer(enable_idempotence=False), f"{ONE}.exams.started", b"forged"),
        (TopicAuthorizationFailedError,),
    ),
    "reads in a tenant's group": (
        lambda relay: read(relay.consumer(f"{ONE}.exams.started", group_id=f"{ONE}.app")),
        (GroupAuthorizationFailedError,),
    ),
    "makes a topic": (
        lambda relay: relay.admin().create_topics([NewTopic(f"{ONE}.exams.more", 1, 1)]),
        (TopicAuthorizationFailedError, ClusterAuthorizationFailedError),
    ),
    "deletes a topic": (
        lambda relay: relay.admin().delete_topics([f"{ONE}.exams.started"]),
        (TopicAuthorizationFailedError,),
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_relay_can_do_nothing_else(relay: Login, attack: str) -> None:
    doing, refusals = ATTACKS[attack]
    with pytest.raises(refusals):
        doing(relay)


def test_the_relay_sets_nobodys_login(hub: Hub, relay: Login) -> None:
    stolen = UserScramCredentialUpsertion(f"tenant-{ONE}", "SCRAM-SHA-512", "stolen", 4096)
    [refusal] = relay.admin().alter_user_scram_credentials([stolen]).values()
    assert refusal
    assert not can_log_in(hub.login(ONE, "stolen"))
    assert can_log_in(hub.login(ONE))


def test_the_topic_for_dead_letters_is_made_with_the_others_and_kept_as_long(hub: Hub) -> None:
    topics = {topic.name: (topic.partitions, dict(topic.configs)) for topic in hub.observe(hub.intent(ONE)).topics}
    assert topics[naming.dead_letters(ONE)] == (1, {"retention.ms": "604800000"})
    assert hub.client.binding(hub.intent(ONE))["topics"].split(",") == sorted(topics)


DRIFT: dict[str, Callable[[Hub, str], object]] = {
    "the login": lambda hub, login: hub.root.admin().alter_user_scram_credentials(
        [UserScramCredentialDeletion(login, "SCRAM-SHA-512")]
    ),
    "another password": lambda hub, login: hub.root.admin().alter_user_scram_credentials(
        [UserScramCredentialUpsertion(login, "SCRAM-SHA-512", "stolen", 4096)]
    ),
    "a right too many": lambda hub, login: add_acl(hub, login, "*", operation=4),
}


def add_acl(hub: Hub, user: str, topic: str, operation: int) -> None:
    entry = messages.CreateAclsRequest.AclCreation(2, topic, 3, f"User:{user}", "*", operation, 3)
    assert [found.error_code for found in hub.root.raw(messages.CreateAclsRequest(creations=[entry])).results] == [0]


@pytest.mark.parametrize("drift", DRIFT)
def test_drift_of_the_relays_user_is_repaired_and_told(hub: Hub, relay: Login, drift: str) -> None:
    assert hub.client.prepare().repaired == ()
    DRIFT[drift](hub, relay.username)
    survey = until_repaired(hub)
    assert relay.username in survey.repaired[0]
    assert PASSWORD not in str(survey)
    assert can_log_in(relay)
    assert not can_log_in(replace(relay, password="stolen"))
    assert hub.client.prepare().repaired == ()


def until_repaired(hub: Hub) -> Survey:
    """The broker shows a change a moment after it was made."""
    for _ in range(50):
        survey = hub.client.prepare()
        if survey.repaired:
            return survey
    raise AssertionError("the drift was not seen")


def test_rights_at_dead_letters_that_were_lost_come_back_with_the_tenant(hub: Hub, relay: Login) -> None:
    remove_acls(hub, f"User:{relay.username}")
    until_repaired(hub)
    assert hub.converge(hub.intent(ONE)) == [
        f"Set ACLs of {relay.username}: read on topic {ONE}.*, write on topic {naming.dead_letters(ONE)}",
    ]
    many = [hub.intent(ONE), hub.intent(OTHER)]
    hub.converge(*many)
    assert hub.client.prepare().repaired == ()
    send(relay.producer(enable_idempotence=False), naming.dead_letters(OTHER), b"poison")


def test_a_relay_does_not_see_tenants_of_another_realtimecluster(hub: Hub, relay: Login) -> None:
    stranger = hub.intent("re-elsewhere", on=with_relay(hub.stand, "re-second"))
    hub.converge(stranger)
    assert f"{ONE}.exams.started" in relay.consumer().topics()
    assert not [topic for topic in relay.consumer().topics() if topic.startswith("re-elsewhere")]


def test_a_new_password_holds_and_the_old_one_no_more(hub: Hub, relay: Login) -> None:
    renewed = "relay-password-renewed-0123456789ab"
    prepared(hub, renewed).close()
    assert can_log_in(replace(relay, password=renewed))
    assert not can_log_in(relay)
    prepared(hub).close()
    assert can_log_in(relay)


def test_a_tenant_that_goes_takes_its_dead_letters_rights_along(hub: Hub, relay: Login) -> None:
    hub.converge(hub.intent("re-gone"))
    hub.converge(hub.intent("re-gone", Phase.DELETED))
    answer = hub.root.raw(messages.DescribeAclsRequest(2, naming.dead_letters("re-gone"), 3, None, None, 1, 1))
    assert not answer.resources


@pytest.mark.parametrize("phase", [Phase.ACTIVE, Phase.SUSPENDED, Phase.RETAINED, Phase.DELETED])
def test_a_relay_that_is_out_of_the_spec_has_no_rights_at_topics_once_it_is_back(hub: Hub, phase: Phase) -> None:
    tenant, login = f"re-out-{phase.name.lower()}", naming.relay(hub.cluster.key)
    hub.converge(hub.intent(tenant))
    assert topics_of(hub, login) >= {f"{tenant}.", naming.dead_letters(tenant)}
    without = hub.cluster.model_copy(update={"spec": hub.cluster.spec.model_copy(update={"relay": None})})
    hub.converge(hub.intent(tenant, phase, on=without))
    assert not {name for name in topics_of(hub, login) if name.startswith(f"{tenant}.")}
    assert f"{ONE}." in topics_of(hub, login), "others keep what they let the relay do"


def test_a_relay_keeps_no_rights_at_topics_of_tenants_that_went_while_nobody_looked(hub: Hub) -> None:
    login = naming.relay(hub.cluster.key)
    hub.converge(hub.intent("re-went"))
    others = topics_of(hub, login) - {"re-went.", naming.dead_letters("re-went")}
    there = {name.partition(".")[0] for name in others}
    admin = {"username": hub.admin.username, "password": hub.admin.password}
    client = Client(hub.cluster, admin, account(hub.cluster), lambda: there)
    try:
        (told,) = client.prepare().repaired
        assert "re-went.*" in told
        assert topics_of(hub, login) == others
        assert client.prepare().repaired == ()
    finally:
        client.close()


def topics_of(hub: Hub, login: str) -> set[str]:
    """The topics, by name or prefix, at which the login has a right."""
    have = messages.DescribeAclsRequest(2, None, 1, f"User:{login}", None, 1, 1)
    return {resource.resource_name for resource in hub.root.raw(have).resources}


def test_a_login_that_is_not_ours_is_told_and_never_touched(hub: Hub, stand: Mapping[str, str]) -> None:
    cluster = with_relay(stand, "re-taken")
    login = naming.relay(cluster.key)
    hub.root.admin().alter_user_scram_credentials(
        [UserScramCredentialUpsertion(login, "SCRAM-SHA-512", "somebody's", 4096)]
    )
    client = Client(cluster, {"username": hub.admin.username, "password": hub.admin.password}, account(cluster))
    try:
        [finding] = client.prepare().findings
        assert finding.reason == "Conflict"
        assert login in finding.message
        assert "Tenant" not in finding.message
        assert can_log_in(Login(cluster, login, "somebody's"))
    finally:
        client.close()
        hub.root.admin().alter_user_scram_credentials([UserScramCredentialDeletion(login, "SCRAM-SHA-512")])


def leaves(hub: Hub, cluster: RealtimeCluster, of: str = "hub") -> Survey:
    """What a client tells that is to see the relay's account out."""
    admin = {"username": hub.admin.username, "password": hub.admin.password}
    client = Client(cluster, admin, replace(account(cluster, "", of), leaving=True))
    try:
        return client.prepare()
    finally:
        client.close()


def groups(hub: Hub) -> set[str]:
    return {group["group_id"] for group in hub.root.admin().list_groups()}


def acls_of(hub: Hub, login: str) -> int:
    """How many ACLs the login has, and how many marks there are for it."""
    have = hub.root.raw(messages.DescribeAclsRequest(1, None, 1, f"User:{login}", None, 1, 1)).resources
    marks = hub.root.raw(messages.DescribeAclsRequest(7, login, 3, None, None, 1, 1)).resources
    return len(have) + len(marks)


def test_a_login_that_leaves_takes_its_rights_and_its_group_along_once_nobody_reads(hub: Hub) -> None:
    cluster = with_relay(hub.stand, "re-leaving")
    login = naming.relay(cluster.key)
    made = Client(cluster, {"username": hub.admin.username, "password": hub.admin.password}, account(cluster))
    made.prepare()
    made.close()
    add_acl(hub, login, f"{ONE}.exams.started", operation=3)
    relay = Login(cluster, login, PASSWORD)
    send(hub.login(ONE).producer(), f"{ONE}.exams.started", b"event")
    consumer = relay.consumer(f"{ONE}.exams.started", group_id=login)
    read(consumer, 1)
    commit(consumer)
    assert login in groups(hub)

    with pytest.raises(Transient, match=login) as in_use:
        leaves(hub, cluster)
    assert in_use.value.reason == "GroupInUse"
    relay.close()
    survey = leaves(hub, cluster)
    assert survey.vacated
    assert f"Deleted consumer group {login}" in survey.repaired
    assert login not in groups(hub)
    assert acls_of(hub, login) == 0
    assert not can_log_in(Login(cluster, login, PASSWORD))
    again = leaves(hub, cluster)
    assert (again.vacated, again.repaired) == (True, ())
    assert can_log_in(Login(hub.cluster, naming.relay(hub.cluster.key), PASSWORD)), "the other relay's stays"


def test_a_login_that_is_not_ours_outlives_the_realtimecluster(hub: Hub, relay: Login) -> None:
    assert leaves(hub, hub.cluster, of="another-hub").repaired == ()
    assert can_log_in(relay)
    cluster = with_relay(hub.stand, "re-alike")
    login = naming.relay(cluster.key)
    mine = [UserScramCredentialUpsertion(login, "SCRAM-SHA-512", "somebody's", 4096)]
    hub.root.admin().alter_user_scram_credentials(mine)
    try:
        survey = leaves(hub, cluster)
        assert (survey.vacated, survey.repaired) == (True, ())
        assert can_log_in(Login(cluster, login, "somebody's"))
    finally:
        hub.root.admin().alter_user_scram_credentials([UserScramCredentialDeletion(login, "SCRAM-SHA-512")])


def test_without_a_relay_there_are_no_dead_letters(stand: Mapping[str, str]) -> None:
    with hub_on(stand) as plain:
        names = {topic.name for topic in plain.client.desired(plain.intent("re-plain")).topics}
    assert names == {f"re-plain.{EXAMS['domain']}.{event}" for event in EXAMS["events"]}
