"""Own data works and others' doesn't, with nothing but the Secrets of the tenants' namespaces and the real clients.

Each backend's own suite in tests/backends attacks much harder; here the operator itself has handed out the keys.
"""

from typing import Any

import psycopg
import pytest
import redis
from botocore.exceptions import ClientError
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from tests.e2e.hub import Hub, objects
from tests.patience import until

OURS, THEIRS = "own-green", "own-greenwood"
"""One name begins with the other: a prefix that matched too much would show."""
TOPIC = "user-actions.login"


def test_each_backend_opens_to_its_own_and_to_nobody_else(hub: Hub):
    for name in (OURS, THEIRS):
        hub.apply(hub.tenant(name))
    hub.ready(OURS, THEIRS)
    rows(hub)
    keys(hub)
    events(hub)
    files(hub)


def rows(hub: Hub) -> None:
    """Tables: each tenant sees and changes its own rows, without ever naming itself."""
    with (
        psycopg.connect(hub.secret(OURS, "postgres")["uri"], autocommit=True) as ours,
        psycopg.connect(hub.secret(THEIRS, "postgres")["uri"], autocommit=True) as theirs,
    ):
        for session in (ours, theirs):
            session.execute("insert into schools (name, city, founded) values ('School', 'Town', 1900)")
        assert ours.execute("select tenant_id from schools").fetchall() == [(OURS,)]
        assert ours.execute("update schools set city = 'Elsewhere'").rowcount == 1
        assert ours.execute("delete from schools where tenant_id = %s", [THEIRS]).rowcount == 0
        assert theirs.execute("select tenant_id, city from schools").fetchall() == [(THEIRS, "Town")]
        for attack in (
            f"insert into schools values ('{THEIRS}', 'Fake', 'Town', 1900)",
            f'set role "tenant_{THEIRS}"',
            "truncate schools",
            "alter table schools disable row level security",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ours.execute(attack)


def keys(hub: Hub) -> None:
    """Keys and channels: below the own prefix, and nowhere else."""
    ours = redis.Redis.from_url(hub.secret(OURS, "redis")["uri"], decode_responses=True)
    theirs = redis.Redis.from_url(hub.secret(THEIRS, "redis")["uri"], decode_responses=True)
    own, other = hub.secret(OURS, "redis")["prefix"], hub.secret(THEIRS, "redis")["prefix"]
    theirs.set(f"{other}pupil", "Ada")
    with ours.pipeline() as transaction:
        transaction.set(f"{own}pupil", "Alan").get(f"{own}pupil")
        assert transaction.execute() == [True, "Alan"]
    for forbidden in (("GET", f"{other}pupil"), ("SET", f"{other}pupil", "x"), ("KEYS", "*"), ("FLUSHALL",)):
        with pytest.raises(redis.exceptions.NoPermissionError):
            ours.execute_command(*forbidden)
    with pytest.raises(redis.exceptions.NoPermissionError):
        ours.publish(f"{other}news", "x")
    assert theirs.get(f"{other}pupil") == "Ada"


def settings(secret: dict[str, str]) -> dict[str, str]:
    """How a Kafka client logs in with a tenant's Secret."""
    return {
        "bootstrap_servers": secret["bootstrapServers"],
        "security_protocol": secret["securityProtocol"],
        "sasl_mechanism": secret["saslMechanism"],
        "sasl_plain_username": secret["username"],
        "sasl_plain_password": secret["password"],
    }


def events(hub: Hub) -> None:
    """Topics and groups: the own prefix, and no other."""
    ours, theirs = hub.secret(OURS, "kafka"), hub.secret(THEIRS, "kafka")
    producer = KafkaProducer(**settings(ours))
    producer.send(f"{OURS}.{TOPIC}", b"hello").get(10)
    with pytest.raises(TopicAuthorizationFailedError):
        producer.send(f"{THEIRS}.{TOPIC}", b"mine").get(10)
    producer.close()
    own = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 15000, "group_id": f"{OURS}.app"}
    consumer = KafkaConsumer(f"{OURS}.{TOPIC}", **settings(ours), **own)
    assert next(iter(consumer)).value == b"hello"
    consumer.close()
    stranger = KafkaConsumer(f"{THEIRS}.{TOPIC}", **settings(theirs), **own)
    with pytest.raises(GroupAuthorizationFailedError):
        next(iter(stranger))
    stranger.close(autocommit=False)


def files(hub: Hub) -> None:
    """Objects: the own bucket, and no other; nobody else's is listed."""
    ours, theirs = hub.secret(OURS, "object-store"), hub.secret(THEIRS, "object-store")
    s3 = objects(ours)
    s3.put_object(Bucket=ours["bucket"], Key=f"{ours['prefix']}report.txt", Body=b"marks")
    assert s3.get_object(Bucket=ours["bucket"], Key=f"{ours['prefix']}report.txt")["Body"].read() == b"marks"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=theirs["bucket"], Key=f"{theirs['prefix']}report.txt", Body=b"mine")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.list_objects_v2(Bucket=theirs["bucket"])
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} <= {ours["bucket"]}


def test_an_owner_who_puts_a_secret_in_the_way_keeps_no_door_open(hub: Hub):
    hub.onboard("own-stubborn")
    files, uri = hub.secret("own-stubborn", "object-store"), hub.secret("own-stubborn", "postgres")["uri"]
    objects(files).list_objects_v2(Bucket=files["bucket"])
    hub.operator.kill()  # the next one finds the Secret and has never seen another
    hub.kubectl("-n", "tenant-own-stubborn", "delete", "secret", "redis")
    hub.kubectl("-n", "tenant-own-stubborn", "create", "secret", "generic", "redis", "--from-literal=a=b")
    hub.operator.start()
    until(lambda: hub.condition("own-stubborn", "NamespaceReady")["reason"] == "Conflict", 30, "in the way")
    hub.apply(hub.tenant("own-stubborn", suspended=True))
    for backend in ("Postgres", "Redis", "Kafka", "ObjectStore", "Gateway"):
        until(lambda kind=f"{backend}Ready": shut(hub.condition("own-stubborn", kind)), 30, f"{backend} is shut")
    with pytest.raises(psycopg.OperationalError, match=r"authentication failed|not permitted to log in"):
        psycopg.connect(uri)
    with pytest.raises(ClientError):
        objects(files).list_objects_v2(Bucket=files["bucket"])
    assert "delete it" in hub.condition("own-stubborn")["message"]
    hub.kubectl("-n", "tenant-own-stubborn", "delete", "secret", "redis")
    hub.apply(hub.tenant("own-stubborn"))
    hub.ready("own-stubborn")
    assert redis.Redis.from_url(hub.secret("own-stubborn", "redis")["uri"]).ping()


def shut(condition: dict[str, Any]) -> bool:
    """Whether it is as wanted of a Tenant that was edited once."""
    return (condition["status"], condition["observedGeneration"]) == ("True", 2)


def test_a_suspended_tenant_finds_every_door_shut_and_its_data_afterwards(hub: Hub):
    hub.onboard("own-closed")
    secret = hub.secret("own-closed", "redis")
    redis.Redis.from_url(secret["uri"]).set(f"{secret['prefix']}pupil", "Ada")
    hub.apply(hub.tenant("own-closed", suspended=True))
    hub.ready("own-closed")
    assert hub.condition("own-closed")["reason"] == "Suspended"
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis.from_url(secret["uri"]).ping()
    with pytest.raises(psycopg.OperationalError, match=r"authentication failed|not permitted to log in"):
        psycopg.connect(hub.secret("own-closed", "postgres")["uri"])
    hub.apply(hub.tenant("own-closed", suspended=False))
    hub.ready("own-closed")
    assert redis.Redis.from_url(secret["uri"]).get(f"{secret['prefix']}pupil") == b"Ada"
