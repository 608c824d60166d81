"""Real Kafka clients for the tests: tenants with their own credentials, the super user, the backend."""

import itertools
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tests.support import cluster, intent

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Intent, Owner, Phase
from matrixhub.backends.kafka.client import Client
from matrixhub.backends.kafka.session import Session, metadata
from matrixhub.backends.kafka.state import State
from matrixhub.errors import Rejected

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # importlib.resources.read_text, in kafka-python 3.0
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
    from kafka.errors import RebalanceInProgressError

PATIENCE_MS = 10_000
EXAMS = {"domain": "exams", "events": ["started", "submitted"], "partitions": 2, "retention": "24h"}


def kafka_cluster(
    stand: Mapping[str, str], also: Mapping[str, Any] = MappingProxyType({}), **redefined: Any
) -> RealtimeCluster:
    """A RealtimeCluster over the stand's Kafka whose tenants get two topics of two partitions; `also` adds to its spec.

    A keyword replaces a part of the kafka section.
    """
    kafka = {
        "bootstrapServers": [stand["KAFKA_BOOTSTRAP"]],
        "securityProtocol": "SASL_PLAINTEXT",
        "adminSecretRef": {"name": "kafka-admin"},
        "replicationFactor": 1,
        "topics": [EXAMS],
    }
    return cluster(stand, kafka=kafka | redefined, **also)


@dataclass
class Login:
    """Somebody who logs in to Kafka; every client that is opened is closed with it."""

    cluster: RealtimeCluster
    username: str
    password: str = field(repr=False)
    _open: list[Any] = field(default_factory=list)

    def settings(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": list(self.cluster.spec.kafka.bootstrap_servers) if self.cluster.spec.kafka else [],
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "request_timeout_ms": PATIENCE_MS,
            "reconnect_backoff_max_ms": 200,
        }

    def producer(self, **settings: Any) -> Any:
        return self._kept(KafkaProducer(**self.settings(), max_block_ms=PATIENCE_MS, **settings))

    def consumer(self, *topics: str, **settings: Any) -> Any:
        consumer = self._kept(
            KafkaConsumer(**self.settings(), auto_offset_reset="earliest", session_timeout_ms=6000, **settings)
        )
        for topic in topics:
            # kafka-python 3.0 can hang in its group when it joins before it knows of the topic's partitions.
            consumer.partitions_for_topic(topic)
        if topics:
            consumer.subscribe(topics)
        return consumer

    def admin(self) -> Any:
        return self._kept(KafkaAdminClient(**self.settings(), bootstrap_timeout_ms=3000))

    def raw(self, request: Any) -> Any:
        """The answer to a request as it is, for what the driver's clients don't offer or would hide."""
        session = Session(self.cluster, {"username": self.username, "password": self.password})
        try:
            return session.send([request])[0]
        finally:
            session.close()

    def _kept(self, client: Any) -> Any:
        self._open.append(client)
        return client

    def close(self) -> None:
        while self._open:
            client = self._open.pop()
            if isinstance(client, KafkaConsumer):
                client.close(autocommit=False, timeout_ms=1000)
            elif isinstance(client, KafkaProducer):
                client.close(timeout=1)
            else:
                client.close()


def send(producer: Any, topic: str, value: bytes) -> None:
    """The record is in the topic, or the broker's refusal is raised."""
    producer.send(topic, value).get(timeout=PATIENCE_MS / 1000)


def commit(consumer: Any) -> None:
    """What was read is committed, as applications do it: a rebalance in between is waited for.

    One that kafka-python 3.0 does not come out of (seen on a busy machine) is ended by joining anew.
    """
    topics = consumer.subscription()
    for attempt in range(1, 100):
        try:
            consumer.commit()
        except RebalanceInProgressError:
            if attempt % 20 == 0:
                consumer.unsubscribe()
                consumer.subscribe(topics)
            consumer.poll(timeout_ms=200)
        else:
            return
    raise AssertionError("the group does not settle")


def can_log_in(login: Login) -> bool:
    """Whether Kafka takes the password."""
    try:
        login.raw(metadata.MetadataRequest(topics=[]))
    except Rejected as error:
        if error.reason == "AuthenticationFailed":
            return False
        raise
    return True


def read(consumer: Any, count: int = 1) -> list[bytes]:
    """The next records' values, at least `count` of them unless time runs out."""
    values: list[bytes] = []
    for _ in range(50):
        batches = consumer.poll(timeout_ms=200)
        values += [record.value for record in itertools.chain.from_iterable(batches.values())]
        if len(values) >= count:
            break
    return values


class Hub:
    """The backend under test, and the tenants that it made: they are deleted at the end."""

    def __init__(self, stand: Mapping[str, str]) -> None:
        self.stand = stand
        self.cluster = kafka_cluster(stand)
        self.root = Login(self.cluster, stand["KAFKA_ROOT_USER"], stand["KAFKA_ROOT_PASSWORD"])
        self.admin = Login(self.cluster, stand["KAFKA_ADMIN_USER"], stand["KAFKA_ADMIN_PASSWORD"])
        self.client = Client(self.cluster, {"username": self.admin.username, "password": self.admin.password})
        self._seen: dict[tuple[str, Owner], Intent] = {}
        self._logins: list[Login] = []

    def intent(self, tenant: str, phase: Phase = Phase.ACTIVE, **more: Any) -> Intent:
        wish = intent(
            tenant, more.pop("on", self.cluster), phase, password=more.pop("password", secret(tenant)), **more
        )
        self._seen[tenant, wish.owner] = wish
        return wish

    def login(self, tenant: str, password: str | None = None) -> Login:
        login = Login(self.cluster, f"tenant-{tenant}", password or secret(tenant))
        self._logins.append(login)
        return login

    def observe(self, wish: Intent) -> State:
        state = self.client.observe([wish])[wish.tenant.id]
        assert isinstance(state, State)
        return state

    def steps(self, wish: Intent) -> tuple[Any, ...]:
        return self.client.plan(self.client.desired(wish), self.observe(wish))

    def converge(self, *wishes: Intent) -> list[str]:
        """What was done, in sentences; afterwards nothing is left to do."""
        done = self.attempt(*wishes)
        for wish in wishes:
            assert self.steps(wish) == ()
        return done

    def attempt(self, *wishes: Intent) -> list[str]:
        """One pass over all of them at once, which must not fail."""
        states = self.client.observe(wishes)
        plans = {}
        for wish in wishes:
            state = states[wish.tenant.id]
            assert isinstance(state, State)
            plans[wish.tenant.id] = self.client.plan(self.client.desired(wish), state)
        for tenant, applied in self.client.apply(plans).items():
            assert applied.error is None, (tenant, applied.error)
        return [str(step) for steps in plans.values() for step in steps]

    def close(self) -> None:
        """All tenants are gone; a group that its consumers could not leave ends after their session timeout."""
        for login in self._logins:
            login.close()
        deadline = time.monotonic() + 30
        for tenant, owner in self._seen:
            wish = intent(tenant, self.cluster, Phase.DELETED, owner=owner)
            while True:
                error = self.client.apply({tenant: self.steps(wish)})[tenant].error
                if error is None:
                    break
                assert error.reason == "GroupInUse", error
                assert time.monotonic() < deadline, error
                time.sleep(0.5)
        self.client.close()
        self.admin.close()
        self.root.close()


def secret(tenant: str) -> str:
    """The tenant's password in these tests."""
    return f"password-of-{tenant}-0123456789abcdef"


@contextmanager
def hub_on(stand: Mapping[str, str]) -> Iterator[Hub]:
    hub = Hub(stand)
    try:
        yield hub
    finally:
        hub.close()
