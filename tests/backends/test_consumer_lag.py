"""What the scaler reads of consumer groups on the real broker: lag as it is, and trouble as trouble."""

from collections.abc import Iterator, Mapping

import pytest
from tests.backends.kafka_clients import Hub, Login, commit, hub_on, read, send

from matrixhub.backends.kafka.session import Session
from matrixhub.scaling.lag import unread
from matrixhub.scaling.samples import GroupSample, Missing
from matrixhub.scaling.sources.groups import look
from matrixhub.scaling.workloads import pattern

# The hub's import comes first: it knows how to import the driver without its warnings.
from kafka import OffsetAndMetadata, TopicPartition  # isort: skip

LAKE = "lag-lake"
TOPIC, GROUP = f"{LAKE}.exams.started", f"{LAKE}.marking"
STARTED = pattern(["*.exams.started"])


@pytest.fixture(scope="module")
def hub(stand: Mapping[str, str]) -> Iterator[Hub]:
    with hub_on(stand) as made:
        made.converge(made.intent(LAKE))
        yield made


@pytest.fixture
def lake(hub: Hub) -> Iterator[Login]:
    login = hub.login(LAKE)
    yield login
    login.close()


@pytest.fixture
def session(hub: Hub) -> Iterator[Session]:
    """The operator's own, with its weak rights."""
    made = Session(hub.cluster, {"username": hub.admin.username, "password": hub.admin.password})
    yield made
    made.close()


def seen(session: Session, group: str = GROUP) -> GroupSample:
    """The group, with the partitions of this test's tenant alone."""
    sample = look(session, group, STARTED, {LAKE})
    assert isinstance(sample, GroupSample), sample
    return sample


def test_a_group_at_work_is_seen_with_its_members_and_what_waits(lake: Login, session: Session) -> None:
    producer = lake.producer()
    for number in range(10):
        send(producer, TOPIC, f"exam {number}".encode())
    consumer = lake.consumer(TOPIC, group_id=GROUP, enable_auto_commit=False, max_poll_records=4)
    assert len(read(consumer, 4)) >= 4
    commit(consumer)

    sample = seen(session)

    assert (sample.state, sample.members) == ("Stable", 1)
    assert {each.partition for each in sample.partitions} == {0, 1}
    assert len({each.member for each in sample.partitions}) == 1
    assert all(each.member for each in sample.partitions)
    assert sum(each.end for each in sample.partitions) == 10
    committed = [consumer.committed(TopicPartition(TOPIC, each.partition)) or 0 for each in sample.partitions]
    assert sum(map(unread, sample.partitions)) == sum(
        each.end - offset
        for each, offset in zip(sample.partitions, committed, strict=True)
        if each.committed is not None
    )


def test_a_group_that_left_is_seen_with_what_it_left_unread(lake: Login, session: Session) -> None:
    consumer = lake.consumer(group_id=GROUP, enable_auto_commit=False)
    consumer.assign([TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)])
    consumer.commit({TopicPartition(TOPIC, p): OffsetAndMetadata(0, "", -1) for p in (0, 1)})
    consumer.close()
    send(lake.producer(), TOPIC, b"late")

    sample = seen(session)

    assert (sample.state, sample.members) == ("Empty", 0)
    assert sum(map(unread, sample.partitions)) == sum(each.end for each in sample.partitions) > 0


def test_a_group_that_nobody_knows_has_committed_nothing(lake: Login, session: Session) -> None:
    send(lake.producer(), TOPIC, b"exam")
    sample = seen(session, f"{LAKE}.nobody")
    assert (sample.state, sample.members) == ("Dead", 0)
    assert [each.committed for each in sample.partitions] == [None, None]
    assert sum(each.end for each in sample.partitions) > 0


def test_what_belongs_to_tenants_of_another_realtimecluster_is_not_counted(hub: Hub, session: Session) -> None:
    sample = look(session, GROUP, STARTED, {"somebody-else"})
    assert isinstance(sample, GroupSample)
    assert sample.partitions == ()


def test_a_wrong_password_is_missing_metrics_and_says_what_to_do(hub: Hub) -> None:
    session = Session(hub.cluster, {"username": hub.admin.username, "password": "wrong"})
    sample = look(session, GROUP, STARTED, {LAKE})
    assert isinstance(sample, Missing)
    assert "put the right `username` and `password` there" in sample.message
