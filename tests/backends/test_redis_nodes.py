"""Servers that stop, restart, replicate, cluster and keep ACL files: private ones, for others share the stand's."""

import os
import re
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.sentinel import Sentinel
from tests.backends.redis_server import (
    ADMIN,
    ADMIN_PASSWORD,
    ROOT_PASSWORD,
    SECRET,
    SENTINEL_RIGHTS,
    Server,
    converge,
    login,
    redis_cluster,
    step,
)
from tests.certificates import Authority
from tests.patience import free_port, until
from tests.support import ROOT, intent

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Phase
from matrixhub.backends.redis.client import Client
from matrixhub.backends.redis.commands import ALLOWED, SENTINEL_POWERS
from matrixhub.backends.redis.state import EVERY_NODE, State
from matrixhub.errors import Rejected, Transient, Unreachable
from stand.recipes import program


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server


def users(server: Server) -> list[str]:
    with server.root() as root:
        return sorted(user for user in root.acl_users() if user.startswith("tenant-"))


def test_after_an_outage_the_next_call_succeeds(server: Server) -> None:
    cluster = redis_cluster(server.address)
    client = Client(cluster, SECRET)
    green = intent("green", cluster)
    converge(client, green)
    server.stop()
    begin = time.monotonic()
    with pytest.raises(Unreachable, match=f"redis at {server.address} does not answer"):
        client.observe([green])
    with pytest.raises(Unreachable):
        client.apply(
            {
                "green": client.plan(
                    client.desired(green), replace(client.desired(green), accounts=((EVERY_NODE, None),))
                )
            }
        )
    assert time.monotonic() - begin < 1
    server.start()
    assert converge(client, green) == ["Created ACL user tenant-green"]
    client.close()


def test_a_restart_is_noticed_by_the_pulse(server: Server) -> None:
    cluster = redis_cluster(server.address)
    client = Client(cluster, SECRET)
    green = intent("green", cluster)
    converge(client, green)
    before = client.pulse()
    assert client.pulse() == before
    server.restart()
    assert users(server) == []
    assert client.pulse() != before
    converge(client, green)
    assert users(server) == ["tenant-green"]
    client.close()


def test_a_server_that_hangs_holds_nobody_for_long(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrixhub.backends.redis.node.REQUEST_TIMEOUT", 1.0)
    cluster = redis_cluster(server.address)
    client = Client(cluster, SECRET)
    client.pulse()
    with server.root() as root:
        sleeper = threading.Thread(target=lambda: root.execute_command("EVAL", "while true do end", 0))
        root.config_set("busy-reply-threshold", 300)
        killer = server.root()
        killer.ping()
        monkeypatch.setattr(threading, "excepthook", lambda _: None)
        sleeper.start()
        time.sleep(0.5)
        with pytest.raises(Transient, match="script that does not end") as busy:
            client.pulse()
        assert busy.value.reason == "Busy"
        killer.execute_command("SCRIPT KILL")
        killer.close()
        sleeper.join()
    assert client.pulse()
    client.close()


def test_an_open_default_user_is_found(server: Server) -> None:
    client = Client(redis_cluster(server.address), SECRET)
    assert client.prepare().findings == ()
    with server.root() as root:
        assert client.prepare().version == root.info("server")["redis_version"]
    with server.root() as root:
        root.execute_command("ACL SETUSER default nopass")
        (finding,) = client.prepare().findings
    assert finding.reason == "DefaultUserOpen"
    client.close()


def test_scripts_are_withheld_where_the_server_does_not_keep_them_apart(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand's server does; the probe that would find otherwise is made to."""
    cluster = redis_cluster(server.address)
    green = intent("green", cluster)
    fine = Client(cluster, SECRET)
    converge(fine, green)
    with login(server.port, green) as tenant:
        assert tenant.eval("return 1", 0) == 1
    monkeypatch.setattr("matrixhub.backends.redis.node.PROBE", "return 1")
    wary = Client(cluster, SECRET)
    (finding,) = wary.prepare().findings
    assert finding.reason == "ScriptsWithheld"
    assert "eval" in converge(wary, green)[0]
    with login(server.port, green) as tenant:
        assert tenant.set("tenant:green:a", "1")
        for words in (("EVAL", "return 1", 0), ("EVALSHA_RO", "0" * 40, 0), ("SCRIPT", "LOAD", "return 1")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                tenant.execute_command(*words)
    fine.close()
    wary.close()


@pytest.mark.parametrize("right", ["eval", "acl|setuser", "acl|deluser", "client|kill", "unlink", "scan"])
def test_a_missing_right_is_said_with_what_grants_it(right: str, server: Server) -> None:
    client = Client(redis_cluster(server.address), SECRET)
    with server.root() as root:
        root.execute_command(f"ACL SETUSER {ADMIN} -{right}")
        with pytest.raises(Rejected) as refusal:
            client.prepare()
        assert refusal.value.reason == "PermissionDenied"
        assert refusal.value.message.endswith(f"ACL SETUSER {ADMIN} +{right}")
    client.close()


def test_a_missing_right_is_said_when_it_is_met(server: Server) -> None:
    cluster = redis_cluster(server.address)
    client = Client(cluster, SECRET)
    with server.root() as root:
        root.execute_command(f"ACL SETUSER {ADMIN} -acl|setuser")
    with pytest.raises(Rejected) as refusal:
        step(client, [intent("green", cluster)])
    assert refusal.value.reason == "PermissionDenied"
    assert refusal.value.message.endswith(f"ACL SETUSER {ADMIN} +acl|setuser")
    client.close()


def test_keys_that_the_operator_may_not_remove_are_said(server: Server) -> None:
    cluster = redis_cluster(server.address)
    client = Client(cluster, SECRET)
    with server.root() as root:
        root.execute_command(f"ACL SETUSER {ADMIN} resetkeys")
        root.set("tenant:green:a", 1)
    for attempt in (client.prepare, lambda: step(client, [intent("green", cluster, Phase.DELETED, held=True)])):
        with pytest.raises(Rejected) as refusal:
            attempt()
        assert refusal.value.message.endswith(f"ACL SETUSER {ADMIN} ~tenant:*")
    client.close()


def test_tls_is_verified_by_the_authority_of_the_secret(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {cert} -days 1 -subj /CN=redis"
    subprocess.run([*words.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    port = free_port()
    options = (f"tls-port {port}", f"tls-cert-file {cert}", f"tls-key-file {key}", "tls-auth-clients no")
    with Server(tmp_path, *options, f"tls-ca-cert-file {cert}"):
        cluster = redis_cluster(f"127.0.0.1:{port}", tls={"enabled": True})
        client = Client(cluster, SECRET | {"ca.crt": cert.read_text()})
        green = replace(intent("green", cluster), ca=cert.read_text())
        converge(client, green)
        told = client.binding(green)
        with redis.Redis.from_url(told["uri"], ssl_ca_data=told["ca.crt"]) as application:
            assert application.set("tenant:green:a", "1")
        with pytest.raises(Rejected, match="caSecretRef") as refusal:
            Client(cluster, SECRET).prepare()
        assert refusal.value.reason == "CertificateUntrusted"
        client.close()


def test_what_was_shut_stays_shut_when_the_server_reads_its_acl_file(tmp_path: Path) -> None:
    with Server(tmp_path, aclfile=True) as server:
        cluster = redis_cluster(server.address)
        client = Client(cluster, SECRET)
        green, blue = intent("green", cluster), intent("blue", cluster)
        converge(client, green, blue)
        client.prepare()
        server.restart()
        assert users(server) == ["tenant-blue", "tenant-green"]
        assert converge(client, green, blue) == [], "nothing to repair: the file brought them back"
        converge(client, intent("green", cluster, Phase.RETAINED), intent("blue", cluster, Phase.SUSPENDED))
        # A server that was slow to save is not asked again at once: the next pulse does it.
        file = tmp_path / str(server.port) / "users.acl"
        until(lambda: client.pulse() and "tenant-green" not in file.read_text(), 15)
        server.restart()
        assert users(server) == ["tenant-blue"]
        with login(server.port, blue) as blocked, pytest.raises(redis.AuthenticationError):
            blocked.ping()
        client.close()


def test_a_restart_amid_the_removal_of_keys_begins_the_search_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixhub.backends.redis.client.SWEEP_SECONDS", 0.005)
    monkeypatch.setattr("matrixhub.backends.redis.sweep.SCAN_COUNT", 10)
    with Server(tmp_path, "appendonly yes", "appendfsync always") as server:
        cluster = redis_cluster(server.address)
        client = Client(cluster, SECRET)
        gone = intent("green", cluster, Phase.DELETED, held=True)
        with server.root() as root:
            root.mset({f"tenant:green:{number}": number for number in range(2000)})
            assert step(client, [gone])[0]["green"].error is not None
            assert 0 < root.dbsize() < 2000
        server.restart()
        monkeypatch.setattr("matrixhub.backends.redis.client.SWEEP_SECONDS", 10)
        converge(client, gone)
        with server.root() as root:
            assert root.dbsize() == 0
        client.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    with Server(tmp_path) as master, Server(tmp_path, f"replicaof 127.0.0.1 {master.port}") as replica:
        yield master, replica


def test_every_listed_node_gets_the_user(pair: tuple[Server, Server]) -> None:
    master, replica = pair
    cluster = redis_cluster(master.address, replica.address)
    client = Client(cluster, SECRET)
    green = intent("green", cluster)
    assert converge(client, green) == ["Created ACL user tenant-green"]
    with replica.root() as root:
        root.execute_command("ACL SETUSER tenant-green +keys")
    assert converge(client, green) == [f"Repaired ACL user tenant-green: took back commands keys on {replica.address}"]
    before = client.pulse()
    replica.restart()
    assert client.pulse() != before
    assert converge(client, green) == [f"Created ACL user tenant-green on {replica.address}"]
    with login(master.port, green) as writer, login(replica.port, green) as reader:
        writer.set("tenant:green:a", "1")
        until(lambda: reader.get("tenant:green:a") == "1", 15)
    converge(client, intent("green", cluster, Phase.DELETED))
    assert users(master) == users(replica) == []
    with master.root() as root:
        assert root.dbsize() == 0
    client.close()


def test_a_silent_node_delays_its_own_part_only(pair: tuple[Server, Server]) -> None:
    master, replica = pair
    cluster = redis_cluster(master.address, replica.address)
    client = Client(cluster, SECRET)
    green = intent("green", cluster)
    replica.stop()
    outcome = step(client, [green])[0]["green"]
    assert isinstance(outcome.error, Transient)
    assert replica.address in outcome.error.message
    assert users(master) == ["tenant-green"], "the node that answers is served"
    assert "NodeUnreachable" in [finding.reason for finding in client.prepare().findings]
    client.close()


@pytest.fixture
def sentinels(pair: tuple[Server, Server], tmp_path: Path) -> Iterator[RealtimeCluster]:
    """One sentinel, that lets strangers do what the documentation says and nothing else."""
    with Server(tmp_path, f"user default {SENTINEL_RIGHTS}", *watching(pair[0], quorum=1), sentinel=True) as sentinel:
        with sentinel.root() as asked:
            until(lambda: len(asked.sentinel_slaves("hub")) == 1, 15)
        yield redis_cluster("127.0.0.1:1", sentinel.address, mode="sentinel", masterName="hub")


def watching(master: Server, quorum: int) -> tuple[str, ...]:
    return (
        f"sentinel monitor hub 127.0.0.1 {master.port} {quorum}",
        f"sentinel auth-pass hub {ROOT_PASSWORD}",
        "sentinel down-after-milliseconds hub 1000",
        "sentinel failover-timeout hub 3000",
    )


def test_master_and_replicas_are_found_through_sentinels(
    pair: tuple[Server, Server], sentinels: RealtimeCluster
) -> None:
    master, replica = pair
    client = Client(sentinels, SECRET)
    green = intent("green", sentinels)
    assert converge(client, green) == ["Created ACL user tenant-green"]
    assert users(master) == users(replica) == ["tenant-green"]

    replica.stop()
    blue = intent("blue", sentinels)
    assert converge(client, blue) == ["Created ACL user tenant-blue"]
    gone = intent("green", sentinels, Phase.RETAINED)
    outcome = step(client, [gone])[0]["green"]
    assert outcome.error is not None, "what is to be shut has to be shut on the replica too"
    assert replica.address in outcome.error.message
    assert users(master) == ["tenant-blue"]
    before = client.pulse()
    replica.start()
    time.sleep(0.1)
    until(lambda: client.pulse() != before, 10)
    converge(client, gone, blue)
    assert users(master) == users(replica) == ["tenant-blue"]
    client.close()


def test_a_failover_is_followed(pair: tuple[Server, Server], sentinels: RealtimeCluster) -> None:
    master, replica = pair
    client = Client(sentinels, SECRET)
    green = intent("green", sentinels)
    converge(client, green)
    with login(master.port, green) as writer:
        writer.set("tenant:green:a", "1")
    with replica.root() as root:
        until(lambda: root.dbsize() == 1, 15)
        master.stop()
        until(lambda: root.role()[0] == "master", 20)
    with login(replica.port, green) as writer:
        assert writer.set("tenant:green:b", "1")
    master.start()
    until(lambda: client.pulse().count("=") == 2, 15)
    converge(client, intent("green", sentinels, Phase.DELETED))
    with replica.root() as root:
        assert root.dbsize() == 0
    client.close()


def test_sentinels_that_strangers_can_turn_are_found_until_they_are_confined(
    pair: tuple[Server, Server], tmp_path: Path
) -> None:
    """By what docs/operations.md has an administrator type; they still agree on a failover, and clients follow it."""
    master, replica = pair
    options = watching(master, quorum=2)
    with Server(tmp_path, *options, sentinel=True) as one, Server(tmp_path, *options, sentinel=True) as two:
        client = Client(redis_cluster(one.address, two.address, mode="sentinel", masterName="hub"), SECRET)
        told = client.prepare().findings
        assert [finding.reason for finding in told] == ["SentinelOpen"] * 2
        assert [one.address in told[0].message, two.address in told[1].message] == [True, True]
        assert "sentinel|monitor, sentinel|remove" in told[0].message
        with one.root() as stranger:
            (hub,) = stranger.sentinel_masters().values()
            assert (hub["name"], hub["port"], hub["quorum"]) == ("hub", master.port, 2), "asking changed nothing"
            assert stranger.acl_users() == ["default"]

        for commands in typed():
            for sentinel in (one, two):
                line = commands.replace("-p 26379", f"-p {sentinel.port}").replace(
                    "redis-cli", str(program("redis-cli"))
                )
                subprocess.run(["bash", "-ec", line], cwd=ROOT, env={**os.environ, "PASSWORD": "of-peers"}, check=True)
        assert client.prepare().findings == ()
        for sentinel in (one, two):
            sentinel.restart()
        assert client.prepare().findings == ()
        with one.root() as stranger:
            for words in SENTINEL_POWERS.values():
                with pytest.raises(redis.exceptions.NoPermissionError):
                    stranger.execute_command(*words)

        green = intent("green", redis_cluster(one.address, two.address, mode="sentinel", masterName="hub"))
        converge(client, green)
        assert green.credential is not None
        login = {"username": green.credential.username, "password": green.credential.password}
        application = Sentinel([("127.0.0.1", one.port), ("127.0.0.1", two.port)]).master_for("hub", **login)
        until(lambda: peers(one) == peers(two) == 1, 15)
        assert application.set("tenant:green:a", "1")
        with replica.root() as root:
            until(lambda: root.dbsize() == 1, 15)
            master.stop()
            until(lambda: root.role()[0] == "master", 30)
        until(lambda: follows(application), 15)
        client.close()


def typed() -> list[str]:
    """What the page has for sentinels, without the prompts: for each in turn, and then for each again."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("**Redis Sentinel**")[2]
    blocks = re.findall(r"```console\n(.*?)```", page.partition("**Kafka**")[0], re.DOTALL)
    return [re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in blocks]


def peers(sentinel: Server) -> int:
    """How many others that answer it the sentinel knows of."""
    with sentinel.root() as asked:
        return sum(not other["is_disconnected"] for other in asked.sentinel_sentinels("hub"))


def follows(application: "redis.Redis") -> bool:
    try:
        return bool(application.set("tenant:green:b", "1"))
    except redis.ConnectionError:
        return False


def test_a_sentinel_that_asks_for_a_password_is_open_to_no_stranger(
    pair: tuple[Server, Server], tmp_path: Path
) -> None:
    with Server(tmp_path, *watching(pair[0], quorum=1), sentinel=True) as sentinel, sentinel.root() as root:
        root.execute_command("ACL SETUSER", ADMIN, "on", f">{ADMIN_PASSWORD}", "+sentinel|master", "+sentinel|replicas")
        root.execute_command("ACL SETUSER default resetpass >another")
        client = Client(redis_cluster(sentinel.address, mode="sentinel", masterName="hub"), SECRET)
        assert client.prepare().findings == ()
        client.close()


def test_an_unknown_master_name_is_said(sentinels: RealtimeCluster) -> None:
    assert sentinels.spec.redis is not None
    wrong = redis_cluster(*sentinels.spec.redis.nodes, mode="sentinel", masterName="other")
    with pytest.raises(Rejected, match="masterName") as refusal:
        Client(wrong, SECRET).prepare()
    assert refusal.value.reason == "MasterUnknown"


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[list[Server]]:
    options = ("cluster-enabled yes", "cluster-node-timeout 2000")
    with Server(tmp_path, *options) as a, Server(tmp_path, *options) as b, Server(tmp_path, *options) as c:
        servers = [a, b, c]
        for number, server in enumerate(servers):
            with server.root() as root:
                root.execute_command(
                    "CLUSTER ADDSLOTSRANGE", number * 5461, 16383 if number == 2 else number * 5461 + 5460
                )
                if server is not a:
                    root.execute_command("CLUSTER MEET", "127.0.0.1", a.port)
        for server in servers:
            with server.root() as root:
                until(lambda asked=root: asked.cluster("INFO")["cluster_state"] == "ok", 15)
        yield servers


def test_a_cluster_is_served_on_all_its_nodes(trio: list[Server]) -> None:
    cluster = redis_cluster("127.0.0.1:1", trio[1].address, mode="cluster")
    client = Client(cluster, SECRET)
    green = intent("green", cluster)
    client.prepare()
    assert converge(client, green) == ["Created ACL user tenant-green"]
    assert [users(server) for server in trio] == [["tenant-green"]] * 3
    assert green.credential is not None
    application = RedisCluster(
        startup_nodes=[ClusterNode("127.0.0.1", trio[0].port)],
        username=green.credential.username,
        password=green.credential.password,
        decode_responses=True,
    )
    for number in range(300):
        application.set(f"tenant:green:{number}", number)
    assert application.get("tenant:green:7") == "7"
    with pytest.raises(redis.exceptions.NoPermissionError):
        application.get("tenant:blue:7")
    application.close()
    with trio[0].root() as root:
        assert root.dbsize() > 50
        with login(trio[0].port, green) as direct:
            for wide in ("COUNTKEYSINSLOT 1", "GETKEYSINSLOT 1 10", "INFO", "LINKS", "RESET", "FAILOVER"):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    direct.execute_command("CLUSTER", *wide.split())
    trio[2].restart()
    assert converge(client, green) == [f"Created ACL user tenant-green on {trio[2].address}"]
    until(lambda: not step(client, [intent("green", cluster, Phase.DELETED)])[0]["green"].error, 15)
    for server in trio:
        with server.root() as root:
            assert root.dbsize() == 0
    client.close()


@pytest.fixture
def ear() -> Iterator[tuple[int, list[bytes]]]:
    """A port where somebody listens who is no Redis, and what was said to him."""
    heard: list[bytes] = []

    class Listens(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard.append(self.request.recv(1000))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Listens) as listener:
        threading.Thread(target=listener.serve_forever, args=(0.05,)).start()
        yield listener.server_address[1], heard
        listener.shutdown()


def knows(server: Server, address: str) -> bool:
    with server.root() as root:
        node = root.execute_command("CLUSTER NODES").get(address)
    return node is not None and "handshake" not in node["flags"]


def joined(server: Server, trio: list[Server], address: str) -> None:
    """By the bus, which asks nobody who he is: all know the server by this address."""
    with server.root() as root:
        root.execute_command("CLUSTER MEET", "127.0.0.1", trio[0].port)
    until(lambda: all(knows(each, address) for each in trio), 15)


def test_who_joins_a_cluster_by_its_bus_is_sent_no_login(
    trio: list[Server], tmp_path: Path, ear: tuple[int, list[bytes]]
) -> None:
    cluster = redis_cluster(trio[0].address, mode="cluster")
    client = Client(cluster, SECRET)
    port, heard = ear
    named = f"127.0.0.1:{port}"
    options = ("cluster-enabled yes", "cluster-node-timeout 2000", f"cluster-announce-port {port}")
    with Server(tmp_path, *options) as stranger:
        joined(stranger, trio, named)
        client.pulse()
        converge(client, intent("green", cluster))
        assert [users(server) for server in trio] == [["tenant-green"]] * 3, "what is to be open waits for nobody"
        (finding,) = (each for each in client.prepare().findings if named in each.message)
        assert finding.reason == "NodeUnproven"
        shut = intent("green", cluster, Phase.SUSPENDED)
        error = step(client, [shut])[0]["green"].error
        assert error is not None, "it may be a node that held slots, and has the user still"
        assert f"redis at {named}" in error.message
        with stranger.root() as root:
            name = root.execute_command("CLUSTER MYID")
    assert heard == []
    for server in trio:
        with server.root() as root:
            root.execute_command("CLUSTER FORGET", name)
    converge(client, shut)
    client.close()


def test_a_bus_that_takes_anybody_is_found_until_it_is_closed(trio: list[Server], tmp_path: Path) -> None:
    client = Client(redis_cluster(trio[0].address, mode="cluster"), SECRET)
    (finding,) = client.prepare().findings
    assert finding.reason == "ClusterBusOpen"
    assert all(f"127.0.0.1:{server.port + 10_000}" in finding.message for server in trio)
    assert client.prepare().findings == (finding,), "being tried does the nodes no harm"
    client.close()

    authority = Authority(tmp_path)
    certificate, key = authority.issue("node", "IP:127.0.0.1")
    files = (f"tls-cert-file {certificate}", f"tls-key-file {key}", f"tls-ca-cert-file {authority.certificate}")
    for version in ("TLSv1.2", "TLSv1.3"):
        options = ("cluster-enabled yes", "tls-cluster yes", f"tls-protocols {version}", *files)
        with Server(tmp_path, *options) as alone:
            client = Client(redis_cluster(alone.address, mode="cluster"), SECRET)
            assert client.prepare().findings == (), "without a certificate of the authority nobody gets in"
            client.close()
    with Server(tmp_path, "cluster-enabled yes", f"cluster-announce-bus-port {free_port()}") as alone:
        client = Client(redis_cluster(alone.address, mode="cluster"), SECRET)
        assert client.prepare().findings == (), "no connection comes about, as behind a network policy"
        client.close()


def test_a_new_node_of_a_cluster_is_served_once_it_holds_slots_or_is_named(trio: list[Server], tmp_path: Path) -> None:
    options = ("cluster-enabled yes", "cluster-node-timeout 2000")
    cluster = redis_cluster(trio[0].address, mode="cluster")
    client = Client(cluster, SECRET)
    green = intent("green", cluster)
    with Server(tmp_path, *options) as fourth, Server(tmp_path, *options) as replica:
        for server in (fourth, replica):
            joined(server, trio, server.address)
        converge(client, green)
        assert users(fourth) == users(replica) == []
        naming = Client(redis_cluster(trio[0].address, fourth.address, mode="cluster"), SECRET)
        assert converge(naming, green) == [f"Created ACL user tenant-green on {fourth.address}"]
        naming.close()

        before = client.pulse()
        with trio[0].root() as root, fourth.root() as new, replica.root() as copy:
            first, its = root.execute_command("CLUSTER MYID"), new.execute_command("CLUSTER MYID")
            new.execute_command("CLUSTER SETSLOT 0 IMPORTING", first)
            root.execute_command("CLUSTER SETSLOT 0 MIGRATING", its)
            for server in (new, root):
                server.execute_command("CLUSTER SETSLOT 0 NODE", its)
            copy.execute_command("CLUSTER REPLICATE", first)
        until(lambda: all(server.address in client.pulse() for server in (fourth, replica)), 15)
        assert client.pulse() != before
        assert converge(client, green) == [f"Created ACL user tenant-green on {replica.address}"]
    client.close()


def test_a_master_that_lost_its_slots_while_it_was_away_is_waited_for_by_what_is_to_be_shut(
    trio: list[Server], tmp_path: Path
) -> None:
    lost, asked = trio[0], trio[1]
    cluster = redis_cluster(asked.address, mode="cluster")
    client = Client(cluster, SECRET)
    with Server(tmp_path, "cluster-enabled yes", "cluster-node-timeout 2000") as replica, replica.root() as heir:
        joined(replica, trio, replica.address)
        with lost.root() as root:
            heir.execute_command("CLUSTER REPLICATE", root.execute_command("CLUSTER MYID"))
        until(lambda: heir.info("replication")["master_link_status"] == "up", 15)
        until(lambda: client.pulse().count("=") == 4, 15, "the node that is asked knows it for a replica")
        converge(client, intent("green", cluster))
        lost.stop()
        until(lambda: heir.role()[0] == "master", 30)
        until(lambda: "NodeUnproven" in [each.reason for each in client.prepare().findings], 15)
        converge(client, intent("blue", cluster))
        shut = intent("green", cluster, Phase.RETAINED)
        error = step(client, [shut])[0]["green"].error
        assert error is not None, "it comes back with the users of its ACL file"
        assert lost.address in error.message
        lost.start()
        until(lambda: client.pulse().count("=") == 4, 15)
        converge(client, shut, intent("blue", cluster))
        assert [users(server) for server in (*trio, replica)] == [["tenant-blue"]] * 4
    client.close()


def test_cluster_mode_on_a_single_server_is_said(server: Server) -> None:
    with pytest.raises(Rejected, match="mode") as refusal:
        Client(redis_cluster(server.address, mode="cluster"), SECRET).prepare()
    assert refusal.value.reason == "NotACluster"


def test_a_look_of_the_users_rules_survives_what_servers_make_of_them(server: Server) -> None:
    """However Redis writes the rules down, what it allows is compared: here, each single command taken away."""
    cluster = redis_cluster(server.address)
    client = Client(cluster, SECRET)
    green = intent("green", cluster)
    converge(client, green)
    with server.root() as root:
        known = set(root.execute_command("ACL CAT", "slow")) | set(root.execute_command("ACL CAT", "fast"))
        for name in sorted((ALLOWED & known) - {"auth", "hello"})[::7]:
            root.execute_command("ACL SETUSER", "tenant-green", f"-{name}")
            observed = client.observe([green])["green"]
            assert isinstance(observed, State)
            (action,) = client.plan(client.desired(green), observed)
            assert f"gave back commands {name}" in str(action)
            root.execute_command("ACL SETUSER", "tenant-green", f"+{name}")
            assert not step(client, [green])[1]["green"]
        others = [name for name in known - ALLOWED if not name.startswith("command|")]
        for name in sorted(others)[::5]:
            root.execute_command("ACL SETUSER", "tenant-green", f"+{name}")
            (sentence,) = step(client, [green])[1]["green"]
            assert "took back commands " in sentence
    client.close()
