"""A tenant's life on the stand's Redis, with the operator's own weak rights."""

from collections.abc import Iterator, Mapping

import pytest
import redis
from tests.backends.redis_server import RIGHTS, converge, login, redis_cluster, step
from tests.patience import free_port
from tests.support import cluster, intent

from matrixhub.backends.contract import Intent, Owner, Phase
from matrixhub.backends.redis.client import Client
from matrixhub.backends.redis.node import Node
from matrixhub.backends.redis.state import State
from matrixhub.errors import Conflict, Rejected, Unreachable

DIGEST_OF_OTHER = "0" * 64


@pytest.fixture(scope="module")
def admin(stand: Mapping[str, str]) -> dict[str, str]:
    return {"username": stand["REDIS_ADMIN_USER"], "password": stand["REDIS_ADMIN_PASSWORD"]}


@pytest.fixture
def root(stand: Mapping[str, str]) -> Iterator["redis.Redis"]:
    with redis.Redis(
        host=stand["REDIS_HOST"],
        port=int(stand["REDIS_PORT"]),
        password=stand["REDISCLI_AUTH"],
        decode_responses=True,
    ) as connection:
        _clean(connection)
        yield connection
        _clean(connection)


def _clean(connection: "redis.Redis") -> None:
    for user in connection.acl_users():
        if user.startswith("tenant-re-"):
            connection.acl_deluser(user)
    for key in connection.scan_iter("tenant:re-*"):
        connection.unlink(key)


@pytest.fixture
def client(stand: Mapping[str, str], admin: dict[str, str], root: "redis.Redis") -> Iterator[Client]:
    client = Client(cluster(stand), admin)
    yield client
    client.close()


@pytest.fixture
def app(stand: Mapping[str, str]) -> Iterator["Apps"]:
    apps = Apps(stand)
    yield apps
    apps.close()


class Apps:
    """Logs tenants' applications in."""

    def __init__(self, stand: Mapping[str, str]) -> None:
        self._stand = stand
        self._open: list[redis.Redis] = []

    def __call__(self, who: Intent, protocol: int = 3) -> "redis.Redis":
        options = {"host": self._stand["REDIS_HOST"], "protocol": protocol}
        self._open.append(login(int(self._stand["REDIS_PORT"]), who, **options))
        return self._open[-1]

    def close(self) -> None:
        for connection in self._open:
            connection.close()


@pytest.fixture
def green(stand: Mapping[str, str]) -> Intent:
    return intent("re-green", cluster(stand))


def again(who: Intent, phase: Phase, owner: Owner | None = None) -> Intent:
    return intent(who.tenant.id, who.cluster, phase, owner=owner or who.owner)


def test_the_admin_of_the_stand_is_as_weak_as_documented(
    client: Client, root: "redis.Redis", admin: dict[str, str]
) -> None:
    client.prepare()
    rules = [*RIGHTS[RIGHTS.index("-@all") + 1 :]]
    found = root.acl_getuser(admin["username"])
    assert found is not None
    assert sorted(found["commands"]) == sorted(rules)
    assert (found["keys"], found["channels"]) == (["~tenant:*"], [])


def test_a_new_tenant_is_served(client: Client, app: Apps, green: Intent) -> None:
    assert converge(client, green) == ["Created ACL user tenant-re-green"]
    assert app(green).set("tenant:re-green:a", "1")


def test_the_secret_alone_lets_an_application_in(client: Client, green: Intent) -> None:
    converge(client, green)
    told = client.binding(green)
    with redis.Redis.from_url(told["uri"], decode_responses=True) as application:
        application.set(told["prefix"] + "a", "1")
        assert application.get(told["prefix"] + "a") == "1"
    with redis.Redis(
        host=told["host"], port=int(told["port"]), username=told["username"], password=told["password"]
    ) as application:
        assert application.ping()


DRIFT = {
    "removed": ("ACL DELUSER tenant-re-green", "Created ACL user tenant-re-green"),
    "off": ("ACL SETUSER tenant-re-green off", "switched it on"),
    "no password": ("ACL SETUSER tenant-re-green nopass", "asked for a password again, set its password"),
    "other password": (f"ACL SETUSER tenant-re-green resetpass #{DIGEST_OF_OTHER}", "set its password"),
    "second password": (f"ACL SETUSER tenant-re-green #{DIGEST_OF_OTHER}", "set its password"),
    "extra keys": ("ACL SETUSER tenant-re-green %R~tenant:re-blue:*", "took back key pattern %R~tenant:re-blue:*"),
    "all keys": ("ACL SETUSER tenant-re-green allkeys", "took back key pattern ~*"),
    "no keys": ("ACL SETUSER tenant-re-green resetkeys", "gave back key pattern ~tenant:re-green:*"),
    "extra channel": ("ACL SETUSER tenant-re-green &news", "took back channel pattern &news"),
    "no channel": ("ACL SETUSER tenant-re-green resetchannels", "gave back channel pattern &tenant:re-green:*"),
    "extra command": ("ACL SETUSER tenant-re-green +keys", "took back commands keys"),
    "extra subcommand": ("ACL SETUSER tenant-re-green +client|kill", "took back commands client|kill"),
    "first argument": ("ACL SETUSER tenant-re-green +select|0", "took back commands select|0"),
    "all commands": ("ACL SETUSER tenant-re-green +@all", "took back commands acl"),
    "fewer commands": ("ACL SETUSER tenant-re-green -get", "gave back commands get"),
    "no commands": ("ACL SETUSER tenant-re-green -@all", "gave back its commands"),
    "extra selector": ("ACL SETUSER tenant-re-green (~* +@all)", "took back selector (~* +@all)"),
}


@pytest.mark.parametrize("drift", DRIFT)
def test_drift_is_seen_said_and_repaired(
    drift: str, client: Client, app: Apps, root: "redis.Redis", green: Intent
) -> None:
    converge(client, green)
    before = root.execute_command("ACL LIST")
    command, sentence = DRIFT[drift]
    verb, name, rest = (*command.split(" ", 2), "")[:3]
    root.execute_command(verb, name, *(rest.split(" ", 1) if "(" in rest else rest.split()))
    (said,) = converge(client, green)
    assert sentence in said
    assert sorted(root.execute_command("ACL LIST")) == sorted(before)
    assert app(green).set("tenant:re-green:a", "1")


def test_what_was_won_while_the_user_allowed_too_much_is_lost_again(
    client: Client, app: Apps, root: "redis.Redis", green: Intent
) -> None:
    """A connection in MONITOR, in another database or with key tracking keeps it, whatever its ACL says later."""
    converge(client, green)
    root.execute_command("ACL SETUSER", "tenant-re-green", "+select", "+monitor")
    intruder = app(green)
    with intruder.client() as connection:
        connection.execute_command("SELECT", 5)
        converge(client, green)
        assert connection.connection is not None
        connection.connection.send_command("GET", "tenant:re-green:a")
        with pytest.raises(redis.ConnectionError):
            connection.connection.read_response()


def test_a_user_that_only_lacks_something_keeps_its_connections(
    client: Client, app: Apps, root: "redis.Redis", green: Intent
) -> None:
    converge(client, green)
    application = app(green)
    mine = application.client_id()
    root.execute_command("ACL SETUSER", "tenant-re-green", "-get")
    converge(client, green)
    assert application.client_id() == mine


def test_a_new_password_ends_the_sessions_of_the_old(client: Client, app: Apps, green: Intent) -> None:
    converge(client, green)
    old = app(green)
    before = old.client_id()
    renewed = intent("re-green", green.cluster, password="another-password-of-32-characters")
    converge(client, renewed)
    with pytest.raises(redis.AuthenticationError):
        old.client_id()
    assert app(renewed).client_id() > before


def test_a_user_without_our_mark_is_never_touched(client: Client, root: "redis.Redis", green: Intent) -> None:
    root.execute_command("ACL SETUSER", "tenant-re-green", "on", ">theirs", "~tenant:re-green:*", "+get")
    root.set("tenant:re-green:a", "theirs")
    before = root.execute_command("ACL LIST")
    for phase in (Phase.ACTIVE, Phase.SUSPENDED):
        wanted = again(green, phase)
        observed = client.observe([wanted])["re-green"]
        assert isinstance(observed, State)
        with pytest.raises(Conflict, match="tenant-re-green exists on redis without a mark") as conflict:
            client.plan(client.desired(wanted), observed)
        assert conflict.value.owner == "unknown"
    for phase in (Phase.RETAINED, Phase.DELETED):
        assert step(client, [again(green, phase)])[1] == {"re-green": []}
    assert root.execute_command("ACL LIST") == before
    assert root.get("tenant:re-green:a") == "theirs"


def test_another_hubs_tenant_is_a_conflict_that_names_it(client: Client, root: "redis.Redis", green: Intent) -> None:
    theirs = again(green, Phase.ACTIVE, Owner("other-hub", "uid-9"))
    converge(client, theirs)
    before = root.execute_command("ACL LIST")
    observed = client.observe([green])["re-green"]
    assert isinstance(observed, State)
    with pytest.raises(Conflict, match="other-hub") as conflict:
        client.plan(client.desired(green), observed)
    assert conflict.value.owner == "other-hub/uid-9"
    assert step(client, [again(green, Phase.DELETED)])[1] == {"re-green": []}
    assert root.execute_command("ACL LIST") == before


def test_a_recreated_tenant_takes_its_predecessors_user_over(
    client: Client, root: "redis.Redis", green: Intent
) -> None:
    converge(client, green)
    heir = again(green, Phase.ACTIVE, Owner("hub", "uid-of-the-next"))
    assert converge(client, heir) == ["Adopted ACL user tenant-re-green"]
    assert "~matrixhub:owner:hub/uid-of-the-next" in str(root.execute_command("ACL LIST"))


def test_what_a_lost_hub_marked_is_adopted_where_the_cluster_says_so(
    client: Client, app: Apps, root: "redis.Redis", green: Intent
) -> None:
    converge(client, green)
    root.set("tenant:re-green:a", "kept")
    heir = again(green, Phase.ACTIVE, Owner("new-hub", "uid-1", former=green.owner.hub))
    assert converge(client, heir) == ["Adopted ACL user tenant-re-green"]
    assert app(heir).get("tenant:re-green:a") == "kept"
    observed = client.observe([green])["re-green"]
    assert isinstance(observed, State)
    with pytest.raises(Conflict, match="adoptFrom: new-hub"):
        client.plan(client.desired(green), observed)


def test_suspension_shuts_every_door_and_keeps_the_data(
    client: Client, app: Apps, root: "redis.Redis", green: Intent
) -> None:
    converge(client, green)
    session = app(green)
    session.set("tenant:re-green:a", "1")
    subscriber = app(green).pubsub()
    subscriber.subscribe("tenant:re-green:news")
    assert subscriber.get_message(timeout=1) is not None
    assert converge(client, again(green, Phase.SUSPENDED)) == [
        "Switched ACL user tenant-re-green off and ended its connections"
    ]
    assert not [one for one in root.client_list() if one["user"] == "tenant-re-green"]
    with pytest.raises(redis.AuthenticationError):
        session.get("tenant:re-green:a")
    assert root.get("tenant:re-green:a") == "1"
    subscriber.close()
    assert converge(client, green) == ["Switched ACL user tenant-re-green on"]
    assert app(green).get("tenant:re-green:a") == "1"


def test_a_suspended_tenant_that_somebody_switches_on_is_switched_off_again(
    client: Client, app: Apps, root: "redis.Redis", green: Intent
) -> None:
    converge(client, again(green, Phase.SUSPENDED))
    root.execute_command("ACL SETUSER", "tenant-re-green", "on", "nopass", "~*", "+@all")
    intruder = app(green)
    intruder.ping()
    converge(client, again(green, Phase.SUSPENDED))
    assert not [one for one in root.client_list() if one["user"] == "tenant-re-green"]


def test_retained_data_outlives_the_user_and_is_adopted(
    client: Client, app: Apps, root: "redis.Redis", green: Intent
) -> None:
    converge(client, green)
    session = app(green)
    session.set("tenant:re-green:a", "kept")
    assert converge(client, again(green, Phase.RETAINED)) == ["Removed ACL user tenant-re-green"]
    assert "tenant-re-green" not in root.acl_users()
    with pytest.raises(redis.AuthenticationError):
        session.get("tenant:re-green:a")
    heir = again(green, Phase.ACTIVE, Owner("hub", "uid-of-the-next"))
    converge(client, heir)
    assert app(heir).get("tenant:re-green:a") == "kept"


def test_deletion_removes_user_and_keys_and_nobody_elses(
    client: Client, app: Apps, root: "redis.Redis", green: Intent
) -> None:
    near = intent("re-green2", green.cluster)
    converge(client, green, near)
    with app(green).pipeline(transaction=False) as pipe:
        for number in range(3000):
            pipe.set(f"tenant:re-green:{number}", number)
        pipe.execute()
    app(near).set("tenant:re-green2:a", "1")
    root.set("tenant:re-greenish", "1")
    root.set(b"tenant:re-green:\xff\xfe", "a name that is no text")
    assert converge(client, again(green, Phase.DELETED)) == [
        "Switched ACL user tenant-re-green off",
        "Removed the keys under tenant:re-green:",
        "Removed ACL user tenant-re-green",
    ]
    assert not root.exists(b"tenant:re-green:\xff\xfe")
    assert set(root.scan_iter("tenant:re-*")) == {"tenant:re-green2:a", "tenant:re-greenish"}, "SCAN may name one twice"
    assert app(near).get("tenant:re-green2:a") == "1"


def test_what_an_earlier_tenant_left_does_not_go_with_one_that_never_had_it(
    client: Client, root: "redis.Redis", green: Intent
) -> None:
    converge(client, green)
    root.set("tenant:re-green:a", "kept")
    later = again(green, Phase.DELETED, Owner("hub", "uid-of-the-next"))
    converge(client, later)
    assert "tenant-re-green" not in root.acl_users(), "the door is shut all the same"
    assert root.get("tenant:re-green:a") == "kept"
    converge(client, later)
    assert root.get("tenant:re-green:a") == "kept"


def test_several_tenants_keys_go_in_one_pass(client: Client, root: "redis.Redis", green: Intent) -> None:
    tenants = [intent(f"re-many{number}", green.cluster, Phase.DELETED, held=True) for number in range(10)]
    with root.pipeline(transaction=False) as pipe:
        for tenant in tenants:
            for number in range(200):
                pipe.set(f"tenant:{tenant.tenant.id}:{number}", number)
        pipe.set("tenant:re-stays:a", 1)
        pipe.execute()
    keys = root.dbsize()
    root.config_resetstat()
    converge(client, *tenants)
    scans = root.info("commandstats")["cmdstat_scan"]["calls"]
    assert scans <= 2 + keys // 500, "one pass serves all ten"
    assert set(root.scan_iter("tenant:re-*")) == {"tenant:re-stays:a"}


def test_removal_is_done_when_nothing_exists(client: Client, green: Intent) -> None:
    assert converge(client, again(green, Phase.RETAINED)) == []
    assert converge(client, again(green, Phase.DELETED)) == []


def test_who_held_the_prefix_takes_its_keys_also_when_redis_has_forgotten_the_user(
    client: Client, root: "redis.Redis", green: Intent
) -> None:
    root.set("tenant:re-green:a", "1")
    gone = intent("re-green", green.cluster, Phase.DELETED, held=True)
    assert converge(client, gone) == ["Removed the keys under tenant:re-green:"]
    assert not root.exists("tenant:re-green:a")


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_a_deletion_that_was_cut_off_is_finished_by_the_next_operator(
    done: int, stand: Mapping[str, str], admin: dict[str, str], client: Client, root: "redis.Redis", green: Intent
) -> None:
    converge(client, green)
    root.set("tenant:re-green:a", "1")
    gone = again(green, Phase.DELETED)
    observed = client.observe([gone])["re-green"]
    assert isinstance(observed, State)
    actions = client.plan(client.desired(gone), observed)
    assert len(actions) == 3
    client.apply({"re-green": actions[:done]})
    successor = Client(cluster(stand), admin)
    converge(successor, gone)
    successor.close()
    assert "tenant-re-green" not in root.acl_users()
    assert not root.exists("tenant:re-green:a")


def test_a_deletion_that_becomes_a_retention_midway_spares_what_is_left(
    client: Client, root: "redis.Redis", green: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixhub.backends.redis.client.SWEEP_SECONDS", 0.0)
    blue = intent("re-blue", green.cluster)
    converge(client, green, blue)
    root.mset({"tenant:re-green:a": "1", "tenant:re-blue:a": "1"})
    for gone in (green, blue):
        outcome = step(client, [again(gone, Phase.DELETED)])[0][gone.tenant.id]
        assert outcome.error is not None
        assert outcome.error.reason == "RemovingKeys"
    assert {"tenant-re-green", "tenant-re-blue"} <= set(root.acl_users()), "the mark stays until the keys are gone"
    converge(client, again(green, Phase.RETAINED))
    monkeypatch.setattr("matrixhub.backends.redis.client.SWEEP_SECONDS", 5.0)
    converge(client, again(blue, Phase.DELETED))
    assert set(root.scan_iter("tenant:re-*")) == {"tenant:re-green:a"}


def test_tenants_that_are_deleted_in_turns_do_not_undo_each_others_progress(
    client: Client, root: "redis.Redis", green: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixhub.backends.redis.client.SWEEP_SECONDS", 0.002)
    monkeypatch.setattr("matrixhub.backends.redis.sweep.SCAN_COUNT", 10)
    gone = [intent(f"re-turn{number}", green.cluster, Phase.DELETED, held=True) for number in range(2)]
    with root.pipeline(transaction=False) as pipe:
        for number in range(500):
            for one in gone:
                pipe.set(f"tenant:{one.tenant.id}:{number}", number)
        pipe.execute()
    for _ in range(1000):
        outcomes = [step(client, [one])[0][one.tenant.id].error for one in gone]
        if outcomes == [None, None]:
            break
    assert outcomes == [None, None]
    assert list(root.scan_iter("tenant:re-*")) == []


def test_a_batch_costs_round_trips_by_the_batch(
    client: Client, root: "redis.Redis", green: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = [intent(f"re-batch{number}", green.cluster) for number in range(100)]
    client.observe(tenants[:1])
    calls: list[int] = []
    ask = Node.call
    monkeypatch.setattr(Node, "call", lambda node, commands: calls.append(len(commands)) or ask(node, commands))
    step(client, tenants)
    assert len(calls) <= 10, f"100 tenants took {len(calls)} round trips"
    calls.clear()
    assert not any(step(client, tenants)[1].values())
    assert len(calls) <= 7
    assert len([user for user in root.acl_users() if user.startswith("tenant-re-batch")]) == 100


def test_the_wrong_password_is_said_where_to_put_right(
    stand: Mapping[str, str], admin: dict[str, str], green: Intent
) -> None:
    client = Client(cluster(stand), admin | {"password": "not-the-password"})
    for attempt in (client.prepare, client.pulse, lambda: client.observe([green])):
        with pytest.raises(Rejected, match="Secret matrixhub/redis-admin") as refusal:
            attempt()
        assert refusal.value.reason == "AuthenticationFailed"
        assert "not-the-password" not in str(refusal.value)


@pytest.mark.parametrize("key", ["username", "password"])
def test_a_secret_without_a_key_is_said(key: str, stand: Mapping[str, str], admin: dict[str, str]) -> None:
    client = Client(cluster(stand), {name: value for name, value in admin.items() if name != key})
    with pytest.raises(Rejected, match=f"Secret matrixhub/redis-admin has no key `{key}`") as refusal:
        client.prepare()
    assert refusal.value.reason == "AdminSecretInvalid"


def test_nobody_there_is_said_and_soon(green: Intent) -> None:
    port = free_port()
    client = Client(redis_cluster(f"127.0.0.1:{port}"), {"username": "matrixhub", "password": "x"})
    for attempt in (client.prepare, client.pulse, lambda: client.observe([green])):
        with pytest.raises(Unreachable, match=f"redis at 127.0.0.1:{port} does not answer"):
            attempt()
    unknown = Client(redis_cluster("no-such-host.invalid:6379"), {"username": "matrixhub", "password": "x"})
    with pytest.raises(Unreachable, match=r"no-such-host\.invalid"):
        unknown.prepare()


def test_no_secret_is_printed(client: Client, green: Intent, admin: dict[str, str]) -> None:
    state = client.observe([green])["re-green"]
    assert isinstance(state, State)
    text = f"{client!r} {client.plan(client.desired(green), state)!r} {client.desired(green)!r}"
    assert green.credential is not None
    assert admin["password"] not in text
    assert green.credential.password not in text
