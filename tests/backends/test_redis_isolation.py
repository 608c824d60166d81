"""Own keys and channels work, others' do not: every command of the real server, and attacks by a real client."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from tests.backends.redis_server import ADMIN, ADMIN_PASSWORD, SECRET, Server, converge, login, redis_cluster
from tests.support import intent

from matrixhub.backends.redis.client import Client
from matrixhub.backends.redis.commands import ALLOWED

OWN, OTHER = "tenant:re-green:k", "tenant:re-blue:k"

REFUSED = r"permission|denied|executing the script can't|not allowed from script"

# What touches no key and no channel. Whatever is not here has to be scoped by one: a command that is
# allowed some day and is neither fails the walk below.
UNSCOPED = {
    "acl|whoami": "its own name",
    "auth": "needs another's password",
    "client|getname": "its own connection",
    "client|id": "its own connection",
    "client|info": "its own connection",
    "client|reply": "its own connection",
    "client|setinfo": "its own connection",
    "client|setname": "its own connection",
    "command": "facts of the version",
    "command|count": "facts of the version",
    "command|docs": "facts of the version",
    "command|getkeys": "computes on its arguments",
    "command|getkeysandflags": "computes on its arguments",
    "command|help": "facts of the version",
    "command|info": "facts of the version",
    "command|list": "facts of the version",
    "discard": "its own transaction",
    "echo": "its argument",
    "exec": "its own transaction; each command in it was checked",
    "hello": "its own connection",
    "multi": "its own transaction",
    "ping": "nothing",
    "quit": "its own connection",
    "reset": "its own connection",
    "script|exists": "whether a text of known hash was loaded",
    "script|load": "adds to a cache by hash; running it is checked",
    "time": "the clock",
    "unwatch": "its own transaction",
    "punsubscribe": "its own subscriptions",
    "sunsubscribe": "its own subscriptions",
    "unsubscribe": "its own subscriptions",
}
CHANNELS = {"psubscribe", "publish", "spublish", "ssubscribe", "subscribe"}
# Redis runs these for anybody, logged in or not.
ALWAYS = {"auth", "hello", "quit", "reset"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # As open as a server can be: what is refused is refused by the ACL alone.
    options = ("acl-pubsub-default allchannels", "enable-debug-command yes", "enable-module-command yes")
    with Server(tmp_path_factory.mktemp("redis"), *options) as server:
        client = Client(redis_cluster(server.address), SECRET)
        cluster = redis_cluster(server.address)
        converge(client, intent("re-green", cluster), intent("re-blue", cluster))
        client.close()
        yield server


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def green(server: Server, request: pytest.FixtureRequest) -> Iterator["redis.Redis"]:
    with login(server.port, intent("re-green", redis_cluster(server.address)), protocol=request.param) as tenant:
        yield tenant


@pytest.fixture
def blue(server: Server) -> Iterator["redis.Redis"]:
    with login(server.port, intent("re-blue", redis_cluster(server.address))) as tenant:
        yield tenant


@pytest.fixture
def root(server: Server) -> Iterator["redis.Redis"]:
    with server.root() as connection:
        connection.flushall()
        yield connection


def every_command(root: "redis.Redis") -> dict[str, dict[str, Any]]:
    """Each command and subcommand, with its arity and key specifications."""
    found: dict[str, dict[str, Any]] = {}
    for name, about in root.execute_command("COMMAND").items():
        found[name] = about
        for sub in about["subcommands"]:
            found[sub[0]] = {"arity": sub[1], "key_specifications": [_readable(spec) for spec in sub[8]]}
    return found


def _readable(spec: Any) -> Any:
    if isinstance(spec, list) and spec and isinstance(spec[0], str) and len(spec) % 2 == 0:
        return {spec[i]: _readable(spec[i + 1]) for i in range(0, len(spec), 2)}
    return spec


def words(name: str, about: dict[str, Any]) -> list[str]:
    """The shortest call that has enough arguments."""
    command = name.split("|")
    return command + ["1"] * (abs(about["arity"]) - len(command))


def keyed_calls(name: str, about: dict[str, Any], key: str) -> Iterator[list[str]]:
    """For each place where the command takes a key, a call with this key there and own keys elsewhere."""
    specs = [spec for spec in about["key_specifications"] if spec["begin_search"]["type"] != "unknown"]
    for aim in specs:
        call = words(name, about)
        for spec in sorted(specs, key=lambda one: one["begin_search"]["type"] == "keyword"):
            value = key if spec is aim else OWN
            search = spec["begin_search"]
            if search["type"] == "keyword":
                if spec is not aim and name != "xread":
                    continue
                call += [search["spec"]["keyword"], value, "0"]
                if name == "xreadgroup":
                    call[1:4] = ["GROUP", "g", "c"]
                continue
            place, keys = search["spec"]["index"], spec["find_keys"]
            fill = ["1", value] if keys["type"] == "keynum" else [value]
            call += ["1"] * (place + len(fill) - len(call))
            call[place : place + len(fill)] = fill
            if keys["type"] == "range" and keys["spec"]["lastkey"] != 0:
                last = keys["spec"]["lastkey"]
                end = len(call) + last + 1 if last < 0 else place + last + 1
                call += ["1"] * (end - len(call))
                call[place + 1 : end] = [OWN] * (end - place - 1)
        yield call


def test_every_command_is_scoped_or_refused(server: Server, root: "redis.Redis") -> None:
    """Refused: NOPERM to a real connection. Allowed: with the other's key or channel refused, wherever it stands."""
    tenant = login(server.port, intent("re-green", redis_cluster(server.address)), protocol=2)
    commands = every_command(root)
    assert len(commands) > 350
    refused, scoped = [], []
    for name, about in sorted(commands.items()):
        if name in ALLOWED or (name.startswith("command|")) or name in ALWAYS:
            calls = list(keyed_calls(name, about, OTHER)) if name not in UNSCOPED and name not in CHANNELS else []
            for call in calls:
                answer = root.execute_command("ACL DRYRUN", "tenant-re-green", *call)
                assert f"access the '{OTHER}' key" in str(answer), f"{call}: {answer}"
                scoped.append(name)
            assert calls or name in UNSCOPED or name in CHANNELS, f"{name} is neither scoped nor known to be harmless"
            continue
        with pytest.raises(redis.ResponseError) as refusal:
            tenant.execute_command(*words(name, about))
        if not str(refusal.value).startswith(("unknown subcommand", "wrong number of arguments")):
            assert isinstance(refusal.value, redis.exceptions.NoPermissionError), f"{name}: {refusal.value}"
        if not about.get("subcommands"):  # a container alone does nothing
            answer = root.execute_command("ACL DRYRUN", "tenant-re-green", *words(name, about))
            assert "has no permissions to run" in str(answer), f"{name}: {answer}"
        refused.append(name)
    tenant.close()
    assert len(set(scoped)) > 150
    assert len(refused) > 100


def test_commands_with_own_keys_are_allowed(server: Server, root: "redis.Redis") -> None:
    for name, about in every_command(root).items():
        if name in ALLOWED:
            for call in itertools.islice(keyed_calls(name, about, OWN), 3):
                assert root.execute_command("ACL DRYRUN", "tenant-re-green", *call) == "OK", call


def test_what_the_list_names_exists_here_or_is_newer(root: "redis.Redis") -> None:
    newer = {"client|setinfo"} | {
        name for name in ALLOWED if name.startswith(("hexp", "hpexp", "hpersist", "hpttl", "httl", "hget", "hset"))
    }
    assert ALLOWED - set(every_command(root)) <= newer


def test_own_work_of_every_kind(green: "redis.Redis", root: "redis.Redis") -> None:
    green.set(OWN, "1", ex=100)
    assert green.get(OWN) == "1"
    assert green.mget([OWN, OWN + "2"]) == ["1", None]
    green.hset(OWN + ":h", mapping={"a": "1"})
    assert list(green.hscan_iter(OWN + ":h")) == [("a", "1")]
    green.zadd(OWN + ":z", {"a": 1.0})
    green.geoadd(OWN + ":g", (13.0, 38.0, "p"))
    green.pfadd(OWN + ":p", "a")
    green.lpush(OWN + ":l", "2", "1")
    assert green.sort(OWN + ":l", store=OWN + ":s") == 2
    popped = green.blpop([OWN + ":l"], timeout=1)
    assert popped is not None
    assert list(popped) == [OWN + ":l", "1"]
    assert green.object("encoding", OWN) == "int"
    assert green.acl_whoami() == "tenant-re-green"


def test_scripts_transactions_streams_and_channels(green: "redis.Redis", root: "redis.Redis") -> None:
    script = green.register_script("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])")
    assert script(keys=[OWN], args=["x"]) == "x"
    with green.pipeline() as pipe:
        pipe.watch(OWN)
        pipe.multi()
        pipe.incr(OWN + ":n")
        assert pipe.execute() == [1]
    green.xadd(OWN + ":x", {"a": "1"})
    green.xgroup_create(OWN + ":x", "g", id="0")
    assert green.xreadgroup("g", "c", {OWN + ":x": ">"})
    with green.pubsub() as channels:
        channels.subscribe("tenant:re-green:news")
        channels.psubscribe("tenant:re-green:*")
        for _ in range(2):
            assert channels.get_message(timeout=2) is not None
        green.publish("tenant:re-green:news", "hello")
        kinds = {message["type"] for _ in range(2) if (message := channels.get_message(timeout=2))}
        assert kinds == {"message", "pmessage"}


def call(*parts: str | int) -> Callable[["redis.Redis"], Any]:
    return lambda tenant: tenant.execute_command(*parts)


ATTACKS = {
    "read": call("GET", OTHER),
    "many": call("MGET", OWN, OTHER),
    "write many": call("MSET", OWN, 1, OTHER, 1),
    "delete": call("UNLINK", OTHER),
    "no prefix": call("SET", "free", 1),
    "prefix alone": call("SET", "tenant:re-green", 1),
    "longer id": call("SET", "tenant:re-green2:k", 1),
    "glob": call("GET", "tenant:re-*:k"),
    "mark": call("GET", "matrixhub:owner:hub/uid-re-green"),
    "script, declared": call("EVAL", "return redis.call('GET', KEYS[1])", 1, OTHER),
    "script, undeclared": call("EVAL", "return redis.call('GET', ARGV[1])", 0, OTHER),
    "script, built": call("EVAL", "return redis.call('GET', 'tenant:re-' .. 'blue:k')", 0),
    "script, read only": call("EVAL_RO", "return redis.call('GET', ARGV[1])", 0, OTHER),
    "script, write": call("EVAL", "return redis.call('SET', ARGV[1], 'x')", 0, OTHER),
    "script, all keys": call("EVAL", "return redis.call('KEYS', '*')", 0),
    "script, scan": call("EVAL", "return redis.call('SCAN', '0')", 0),
    "script, select": call("EVAL", "return redis.call('SELECT', '1')", 0),
    "script, acl": call("EVAL", "return redis.call('ACL', 'LIST')", 0),
    "script, publish": call("EVAL", "return redis.call('PUBLISH', ARGV[1], 'x')", 0, "tenant:re-blue:news"),
    "script, flush": call("EVAL", "return redis.call('FLUSHALL')", 0),
    "sort by": call("SORT", OWN, "BY", "tenant:re-blue:*"),
    "sort get": call("SORT", OWN, "GET", "tenant:re-blue:*"),
    "sort get, read only": call("SORT_RO", OWN, "GET", "tenant:re-blue:*"),
    "sort store": call("SORT", OWN, "STORE", OTHER),
    "sort other": call("SORT", OTHER),
    "georadius store": call("GEORADIUS", OWN, 1, 1, 1, "km", "STORE", OTHER),
    "georadius storedist": call("GEORADIUS", OWN, 1, 1, 1, "km", "STOREDIST", OTHER),
    "georadius two stores": call("GEORADIUS", OWN, 1, 1, 1, "km", "STORE", OTHER, "STORE", OWN),
    "georadius two stores, the other last": call("GEORADIUS", OWN, 1, 1, 1, "km", "STORE", OWN, "STORE", OTHER),
    "georadius two stores, no source": call(
        "GEORADIUS", "tenant:re-green:none", 1, 1, 1, "km", "STORE", OWN, "STORE", OTHER
    ),
    "georadiusbymember store": call("GEORADIUSBYMEMBER", OWN, "m", 1, "km", "STORE", OTHER),
    "geosearchstore": call("GEOSEARCHSTORE", OTHER, OWN, "FROMLONLAT", 1, 1, "BYRADIUS", 1, "km"),
    "xread": call("XREAD", "STREAMS", OWN, OTHER, "0", "0"),
    "xreadgroup": call("XREADGROUP", "GROUP", "g", "c", "STREAMS", OTHER, ">"),
    "xreadgroup, named streams": call("XREADGROUP", "GROUP", "STREAMS", "c", "STREAMS", OTHER, ">"),
    "xgroup": call("XGROUP", "CREATE", OTHER, "g", "0"),
    "bitop": call("BITOP", "OR", OTHER, OWN),
    "bitop source": call("BITOP", "OR", OWN, OTHER),
    "rename away": call("RENAME", OTHER, OWN),
    "rename over": call("RENAME", OWN, OTHER),
    "copy": call("COPY", OWN, OTHER),
    "copy to another database": call("COPY", OWN, OWN, "DB", 1),
    "move": call("MOVE", OWN, 1),
    "lmove": call("LMOVE", OWN, OTHER, "LEFT", "LEFT"),
    "blmpop": call("BLMPOP", 0.1, 2, OWN, OTHER, "LEFT"),
    "zunionstore": call("ZUNIONSTORE", OWN, 2, OWN, OTHER),
    "sinterstore": call("SINTERSTORE", OTHER, OWN),
    "pfmerge": call("PFMERGE", OWN, OTHER),
    "lcs": call("LCS", OWN, OTHER),
    "object": call("OBJECT", "ENCODING", OTHER),
    "memory": call("MEMORY", "USAGE", OTHER),
    "exists": call("EXISTS", OTHER),
    "type": call("TYPE", OTHER),
    "touch": call("TOUCH", OTHER),
    "watch": call("WATCH", OTHER),
    "dump": call("DUMP", OTHER),
    "migrate": call("MIGRATE", "127.0.0.1", 1, "", 0, 100, "KEYS", OTHER),
    "scan": call("SCAN", 0),
    "keys": call("KEYS", "tenant:re-green:*"),
    "random key": call("RANDOMKEY"),
    "size": call("DBSIZE"),
    "another database": call("SELECT", 1),
    "publish": call("PUBLISH", "tenant:re-blue:news", "x"),
    "publish, sharded": call("SPUBLISH", "tenant:re-blue:news", "x"),
    "channels": call("PUBSUB", "CHANNELS"),
    "subscribers": call("PUBSUB", "NUMSUB", "tenant:re-blue:news"),
    "tracking": call("CLIENT", "TRACKING", "ON", "BCAST"),
    "clients": call("CLIENT", "LIST"),
    "kill": call("CLIENT", "KILL", "USER", "tenant-re-blue"),
    "no evict": call("CLIENT", "NO-EVICT", "ON"),
    "function": call("FUNCTION", "LIST"),
    "fcall": call("FCALL", "f", 0),
    "script flush": call("SCRIPT", "FLUSH"),
    "acl": call("ACL", "LIST"),
    "own acl": call("ACL", "SETUSER", "tenant-re-green", "+@all"),
    "config": call("CONFIG", "GET", "*"),
    "info": call("INFO"),
    "slow log": call("SLOWLOG", "GET"),
    "latency": call("LATENCY", "LATEST"),
    "monitor": call("MONITOR"),
    "replicate": call("REPLICAOF", "NO", "ONE"),
    "sync": call("PSYNC", "?", -1),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused(attack: str, green: "redis.Redis", blue: "redis.Redis", root: "redis.Redis") -> None:
    blue.set(OTHER, "secret")
    green.set(OWN, "1")
    with pytest.raises(redis.ResponseError, match=REFUSED) as refusal:
        ATTACKS[attack](green)
    assert "secret" not in str(refusal.value)
    assert blue.get(OTHER) == "secret"
    assert sorted(root.keys()) == sorted([OTHER, OWN])


@pytest.mark.parametrize(
    "subscription",
    [
        ("SUBSCRIBE", "tenant:re-blue:news"),
        ("SUBSCRIBE", "__keyspace@0__:tenant:re-blue:k"),
        ("SUBSCRIBE", "__keyevent@0__:set"),
        ("SUBSCRIBE", "__redis__:invalidate"),
        ("SSUBSCRIBE", "tenant:re-blue:news"),
        ("PSUBSCRIBE", "*"),
        ("PSUBSCRIBE", "tenant:*"),
        ("PSUBSCRIBE", "tenant:re-blue:*"),
        ("PSUBSCRIBE", "tenant:re-green:news*"),
        ("PSUBSCRIBE", "tenant:re-green:*", "tenant:re-blue:*"),
    ],
    ids=" ".join,
)
def test_channels_of_others_are_refused(subscription: tuple[str, ...], green: "redis.Redis") -> None:
    with green.client() as connection, pytest.raises(redis.exceptions.NoPermissionError):
        connection.execute_command(*subscription)


def test_a_transaction_does_not_smuggle(green: "redis.Redis", blue: "redis.Redis", root: "redis.Redis") -> None:
    blue.set(OTHER, "secret")
    with green.client() as connection:
        connection.execute_command("MULTI")
        with pytest.raises(redis.exceptions.NoPermissionError):
            connection.execute_command("GET", OTHER)
        with pytest.raises(redis.exceptions.ExecAbortError):
            connection.execute_command("EXEC")


def test_a_script_that_another_tenant_loaded_runs_with_the_callers_rights(
    green: "redis.Redis", blue: "redis.Redis", root: "redis.Redis"
) -> None:
    blue.set(OTHER, "secret")
    digest = blue.script_load("return redis.call('GET', 'tenant:re-blue:k')")
    assert blue.evalsha(digest, 0) == "secret"
    with pytest.raises(redis.ResponseError, match=REFUSED):
        green.evalsha(digest, 0)


@pytest.mark.parametrize(
    "script",
    [
        "getmetatable('').__index = function() return function() return 'stolen' end end return 1",
        "string.upper = function() return 'stolen' end return 1",
        "redis.call = function() return 'stolen' end return 1",
        "rawset(_G, 'planted', 1) return 1",
        "cjson.encode = nil return 1",
    ],
)
def test_a_script_leaves_nothing_in_the_interpreter_that_tenants_share(script: str, green: "redis.Redis") -> None:
    """Where the server would let it (CVE-2025-46818), tenants get no scripts at all."""
    with pytest.raises(redis.ResponseError, match=r"readonly table|no permissions to run"):
        green.eval(script, 0)


def test_reset_drops_the_login_and_gives_no_other(green: "redis.Redis") -> None:
    with green.client() as connection:
        assert connection.connection is not None
        for words, expected in ((("RESET",), "RESET"), (("ACL", "WHOAMI"), None)):
            connection.connection.send_command(*words)
            if expected is None:
                with pytest.raises(redis.AuthenticationError):
                    connection.connection.read_response()
            else:
                assert connection.connection.read_response() == expected


def test_the_mark_grants_nothing(root: "redis.Redis") -> None:
    root.execute_command("ACL", "SETUSER", "tenant-re-mark", "reset", "resetchannels", "on", "-@all",
                         "(~matrixhub:owner:hub/uid resetchannels -@all)")  # fmt: skip
    try:
        for name, about in every_command(root).items():
            if name.partition("|")[0] not in ALWAYS:
                for own in keyed_calls(name, about, "matrixhub:owner:hub/uid"):
                    answer = root.execute_command("ACL DRYRUN", "tenant-re-mark", *own)
                    assert "has no permissions to run" in answer, f"{own}: {answer}"
        assert "matrixhub:owner:hub/uid" in str(root.execute_command("ACL GETUSER", "tenant-re-mark"))
    finally:
        root.acl_deluser("tenant-re-mark")


def test_the_operators_own_user_reads_no_tenants_data(server: Server, root: "redis.Redis") -> None:
    admin = redis.Redis(port=server.port, username=ADMIN, password=ADMIN_PASSWORD, decode_responses=True)
    for attempt in (("GET", OTHER), ("SET", OTHER, 1), ("UNLINK", "elsewhere"), ("KEYS", "*"), ("CONFIG", "GET", "*")):
        with pytest.raises(redis.exceptions.NoPermissionError):
            admin.execute_command(*attempt)
    admin.close()
