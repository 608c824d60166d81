"""The gateways' ACL user: what it may do and what not, after a restart, and when others change it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from tests.backends.redis_server import SECRET, Server, converge, login, redis_cluster
from tests.backends.test_redis_isolation import every_command, words
from tests.patience import until
from tests.support import intent

from matrixhub.backends.contract import Owner, ServiceAccount, Survey
from matrixhub.backends.redis.client import Client
from matrixhub.backends.redis.commands import ALLOWED, GATEWAY

NAME = "gateway-0a1b2c3d"
ACCOUNT = ServiceAccount(Owner("hub", "uid-main"), NAME, "the-gateways-password-of-32-chars")

LEAVING = replace(ACCOUNT, password="", leaving=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, "acl-pubsub-default allchannels") as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = Client(redis_cluster(server.address), SECRET, ACCOUNT)
    client.prepare()
    yield client
    client.close()


def gateway(server: Server) -> "redis.Redis":
    return redis.Redis(port=server.port, username=NAME, password=ACCOUNT.password, decode_responses=True)


def works(server: Server) -> bool:
    try:
        with gateway(server) as user:
            return bool(user.ping())
    except redis.AuthenticationError:
        return False


def test_it_is_made_once_and_told_once(server: Server) -> None:
    client = Client(redis_cluster(server.address), SECRET, ACCOUNT)
    assert client.prepare().repaired == (f"Created ACL user {NAME} on {server.address}",)
    assert client.prepare().repaired == ()
    assert works(server)
    client.close()


def test_without_gateways_there_is_no_user(server: Server) -> None:
    client = Client(redis_cluster(server.address), SECRET)
    client.prepare()
    client.pulse()
    assert [user for user in server.root().acl_users() if user.startswith("gateway")] == []
    client.close()


def test_it_reaches_its_own_prefix_and_no_tenant(server: Server, client: Client) -> None:
    green = intent("rs-green", redis_cluster(server.address))
    converge(client, green)
    with login(server.port, green) as tenant, gateway(server) as user:
        tenant.set("tenant:rs-green:k", "theirs")
        user.execute_command("SETEX", f"{NAME}:cache:k", 60, "ours")
        assert user.get(f"{NAME}:cache:k") == "ours"
        heard = user.pubsub()
        heard.subscribe(f"{NAME}:#broadcast")
        assert heard.get_message(timeout=2)
        assert user.publish(f"{NAME}:#broadcast", "x") == 1
        for attack in (
            ("GET", "tenant:rs-green:k"),
            ("SET", "tenant:rs-green:k", "x"),
            ("DEL", "tenant:rs-green:k"),
            ("EVAL", "return redis.call('get', KEYS[1])", "1", "tenant:rs-green:k"),
            ("PUBLISH", "tenant:rs-green:c", "x"),
            ("SUBSCRIBE", "tenant:rs-green:c"),
            ("SCAN", "0"),
            ("KEYS", "*"),
            ("ACL", "LIST"),
            ("CONFIG", "GET", "*"),
            ("FLUSHALL",),
            ("CLIENT", "KILL", "USER", "tenant-rs-green"),
            ("PSUBSCRIBE", "*"),
        ):
            with pytest.raises(redis.ResponseError, match=r"permission|NOPERM|not allowed"):
                user.execute_command(*attack)


def test_a_tenant_reaches_nothing_of_the_gateways(server: Server, client: Client) -> None:
    green = intent("rs-green", redis_cluster(server.address))
    converge(client, green)
    with gateway(server) as user:
        user.set(f"{NAME}:cache:app", "an app's last event", ex=60)
    with login(server.port, green) as tenant:
        for attack in (
            ("GET", f"{NAME}:cache:app"),
            ("EVAL", "return redis.call('get', KEYS[1])", "1", f"{NAME}:cache:app"),
            ("PUBLISH", f"{NAME}:#broadcast", "forged"),
            ("SUBSCRIBE", f"{NAME}:#broadcast"),
            ("PSUBSCRIBE", "gateway-*"),
        ):
            with pytest.raises(redis.ResponseError, match=r"permission|NOPERM|not allowed"):
                tenant.execute_command(*attack)


def test_no_command_is_granted_beyond_the_list(server: Server, client: Client) -> None:
    """Every command of the server, tried as the gateways' user by the server itself."""
    root = server.root()
    granted = set()
    for name, about in every_command(root).items():
        if about.get("subcommands"):  # a container alone does nothing
            continue
        answer = str(root.execute_command("ACL DRYRUN", NAME, *words(name, about)))
        if "has no permissions to run" not in answer:
            granted.add(name)
    always = {"auth", "hello", "quit", "reset"}
    assert granted - always <= GATEWAY
    assert GATEWAY - granted <= always | {"client|setinfo"}
    assert {"pubsub|numsub", "role"} == GATEWAY - ALLOWED


def test_it_is_back_with_the_first_pulse_after_a_restart(server: Server, client: Client) -> None:
    server.restart()
    assert not works(server)
    until(lambda: client.pulse() and works(server), 15)
    assert client.prepare().repaired == (f"Created ACL user {NAME} on {server.address}",)


def test_drift_is_repaired_and_told(server: Server, client: Client) -> None:
    root = server.root()
    root.execute_command("ACL", "SETUSER", NAME, "~*", "+@all", "nopass")
    client.pulse()
    told = client.prepare().repaired
    assert len(told) == 1
    assert told[0].startswith(f"Repaired ACL user {NAME}")
    assert root.acl_getuser(NAME)["keys"] == [f"~{NAME}:*"]
    root.execute_command("ACL", "SETUSER", NAME, "off", "resetkeys")
    client.pulse()
    assert works(server)


def test_a_changed_password_ends_who_had_the_old(server: Server, client: Client) -> None:
    with gateway(server) as old:
        old.ping()
        changed = ServiceAccount(ACCOUNT.owner, NAME, "another-password-of-32-characters")
        again = Client(redis_cluster(server.address), SECRET, changed)
        again.prepare()
        again.close()
        with pytest.raises(redis.RedisError):
            old.ping()


def test_a_user_of_that_name_without_our_mark_is_told_and_left_alone(server: Server) -> None:
    root = server.root()
    root.execute_command("ACL", "SETUSER", NAME, "on", ">mine", "~*", "+@all")
    before = root.acl_getuser(NAME)
    client = Client(redis_cluster(server.address), SECRET, ACCOUNT)
    findings = client.prepare().findings
    assert [finding.reason for finding in findings] == ["Conflict"]
    assert NAME in findings[0].message
    assert root.acl_getuser(NAME) == before
    client.close()


def left(*servers: Server, account: ServiceAccount = LEAVING) -> Survey:
    """What a client tells that is to see the account out."""
    client = Client(redis_cluster(*(server.address for server in servers)), SECRET, account)
    survey = client.prepare()
    client.close()
    return survey


def test_a_user_that_leaves_is_gone_and_so_are_its_connections(server: Server, client: Client) -> None:
    green = intent("rs-green", redis_cluster(server.address))
    converge(client, green)
    with gateway(server) as user, login(server.port, green) as tenant:
        user.ping()
        survey = left(server)
        assert (survey.vacated, survey.repaired) == (True, (f"Removed ACL user {NAME} on {server.address}",))
        with pytest.raises(redis.RedisError):
            user.ping()
        assert tenant.ping()
    assert NAME not in server.root().acl_users()
    assert (left(server).vacated, left(server).repaired) == (True, ())


def test_a_user_that_left_does_not_come_back_with_the_acl_file(tmp_path: Path) -> None:
    with Server(tmp_path, aclfile=True) as server:
        client = Client(redis_cluster(server.address), SECRET, ACCOUNT)
        client.prepare()
        client.prepare()
        client.close()
        server.restart()
        until(lambda: works(server), 15)
        assert left(server).vacated
        server.restart()
        until(lambda: server.root().ping(), 15)
        assert not works(server)


def test_another_hubs_user_and_one_without_a_mark_stay(server: Server, client: Client) -> None:
    assert left(server, account=replace(LEAVING, owner=Owner("another-hub", "uid-main"))).vacated
    assert works(server)
    root = server.root()
    root.execute_command("ACL", "DELUSER", NAME)
    root.execute_command("ACL", "SETUSER", NAME, "on", ">mine", "~*", "+@all")
    before = root.acl_getuser(NAME)
    survey = left(server)
    assert (survey.vacated, survey.repaired) == (True, ())
    assert root.acl_getuser(NAME) == before


def test_it_has_not_left_before_it_has_left_every_node(tmp_path: Path, server: Server, client: Client) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with Server(other) as second:
        both = Client(redis_cluster(server.address, second.address), SECRET, ACCOUNT)
        both.prepare()
        both.close()
        second.stop()
        survey = left(server, second)
        assert not survey.vacated
        assert any(second.address in finding.message for finding in survey.findings)
        assert not works(server)
        second.start()
        assert left(server, second).vacated
