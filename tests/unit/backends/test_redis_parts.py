from dataclasses import replace

import pytest
from tests.support import intent

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Owner, Phase
from matrixhub.backends.redis import acl
from matrixhub.backends.redis.commands import ALLOWED, Vocabulary
from matrixhub.backends.redis.desired import binding, desired
from matrixhub.backends.redis.state import TENANT_COMMANDS, Account
from matrixhub.backends.redis.topology import Member, members_of_cluster, members_of_sentinel
from matrixhub.errors import Rejected

SMALL = Vocabulary(
    {
        "read": ["get", "keys", "object|encoding"],
        "write": ["set"],
        "slow": ["client", "client|id", "client|kill", "select", "object"],
    }
)
ME = Owner("hub", "uid")


def redis_cluster(**spec: object) -> RealtimeCluster:
    redis = {"nodes": ["redis-0:6379", "redis-1:6380"], "adminSecretRef": {"name": "redis-admin"}} | spec
    return RealtimeCluster.model_validate(
        {"metadata": {"name": "main", "namespace": "matrixhub"}, "spec": {"redis": redis}}
    )


@pytest.mark.parametrize(
    ("rules", "granted"),
    [
        ("-@all +get +set", {"get", "set"}),
        ("+get -@all", set()),
        ("-@all +@read -keys", {"get", "object|encoding"}),
        ("-@all +client -client|kill", {"client", "client|id"}),
        ("-@all +client|id", {"client|id"}),
        ("-@all +select|0", {"select|0"}),
        ("+@all -@slow -@read", {"set"}),
        ("-@all +gone.command", {"gone.command"}),
    ],
)
def test_rules_are_evaluated_in_order(rules: str, granted: set[str]) -> None:
    assert SMALL.evaluate(rules.split()) == granted


def test_rules_compare_by_what_they_allow_not_by_how_they_are_written() -> None:
    wanted = frozenset({"get", "set", "unknown-to-this-server"})
    assert SMALL.compare("-@all +@read -keys -object +@write", wanted) == TENANT_COMMANDS
    assert SMALL.compare("-@all +set", wanted) == TENANT_COMMANDS | {"-get"}
    assert SMALL.compare("-@all +get +set +keys", wanted) == TENANT_COMMANDS | {"+keys"}
    assert SMALL.compare("-@all", wanted) == frozenset()


def test_a_user_of_other_servers_words_is_the_same_account() -> None:
    reply = {
        "flags": ["on", "sanitize-payload"],
        "passwords": ["c" * 64],
        "commands": "-@all +@read +@write -keys -object",
        "keys": "~tenant:a:*",
        "channels": "&tenant:a:*",
        "selectors": [["commands", "-@all", "keys", "~matrixhub:owner:hub/uid", "channels", ""]],
    }
    account = acl.account(reply, SMALL, frozenset({"get", "set"}))
    assert account == Account(
        owner=ME,
        enabled=True,
        passwords=frozenset({"c" * 64}),
        keys=frozenset({"~tenant:a:*"}),
        channels=frozenset({"&tenant:a:*"}),
        commands=TENANT_COMMANDS,
    )


@pytest.mark.parametrize(
    "selector",
    [
        ["commands", "-@all +get", "keys", "~matrixhub:owner:hub/uid", "channels", ""],
        ["commands", "-@all", "keys", "~matrixhub:owner:hub/uid ~*", "channels", "&*"],
        ["commands", "-@all", "keys", "~matrixhub:owner:nonsense", "channels", ""],
        ["commands", "-@all", "keys", "~*", "channels", ""],
    ],
)
def test_a_selector_that_grants_or_says_something_else_is_no_mark(selector: list[str]) -> None:
    reply = {
        "flags": ["off"], "passwords": [], "commands": "-@all", "keys": "", "channels": "", "selectors": [selector]
    }  # fmt: skip
    account = acl.account(reply, SMALL, frozenset())
    assert account.owner is None
    assert len(account.selectors) == 1


def test_two_marks_are_none() -> None:
    marks = [["commands", "-@all", "keys", f"~matrixhub:owner:{hub}/u", "channels", ""] for hub in "ab"]
    reply = {"flags": ["on"], "passwords": [], "commands": "-@all", "keys": "", "channels": "", "selectors": marks}
    assert acl.account(reply, SMALL, frozenset()).owner is None


def test_names_no_command_that_a_server_must_keep_from_tenants() -> None:
    keyspace_wide = {"keys", "scan", "randomkey", "dbsize", "flushall", "flushdb", "swapdb", "move", "copy", "select"}
    others = {"monitor", "config", "acl", "debug", "migrate", "restore", "client", "client|tracking", "info", "fcall"}
    assert not ALLOWED & (keyspace_wide | others)


def test_members_of_a_cluster_are_read_from_its_own_table() -> None:
    text = (
        "aa 10.0.0.1:7000@17000,redis-0.example myself,master - 0 0 1 connected 0-5460\n"
        "bb 10.0.0.2:7000@17000 slave,fail aa 0 0 1 disconnected\n"
        "cc :0@0 master,noaddr - 0 0 0 disconnected\n"
        "dd 10.0.0.9:7000@17000 handshake - 0 0 0 connected\n"
        "ee :7001@17001,,shard-id=1 master - 0 0 0 connected 5461-16383\n"
    )
    assert members_of_cluster(text, "seed") == (
        Member("10.0.0.2", 7000, replica=True, bus=17000),
        Member("redis-0.example", 7000, bus=17000),
        Member("seed", 7001, bus=17001),
    )


def test_a_node_of_a_cluster_that_only_it_vouches_for_is_unproven() -> None:
    lines = (
        "aa 10.0.0.1:7000@17000 myself,master - 0 0 1 connected [7->-bb] [8-<-bb]",
        "bb 10.0.0.2:7000@17000 master - 0 0 1 connected 0-16383",
        "cc 10.0.0.3:7000@17000 slave bb 0 0 1 connected",
        "dd 10.0.0.4:7000@17000 master - 0 0 1 connected",
        "ee 10.0.0.5:7000@17000 slave dd 0 0 1 connected",
        "ff 10.0.0.6:7000@17000,redis-5.example master,fail - 0 0 1 disconnected",
        "gg 10.0.0.2:7000@17000 master - 0 0 1 connected",
    )
    unproven = {"10.0.0.4", "10.0.0.5", "redis-5.example"}
    for order in (lines, lines[::-1]):
        members = members_of_cluster("\n".join(order), "seed")
        assert {member.host for member in members if member.unproven} == unproven
        assert len(members) == 6, "an address counts once, as what proves more"
        members = members_of_cluster("\n".join(order), "seed", {("redis-5.example", 7000), ("10.0.0.4", 7001)})
        assert {member.host for member in members if member.unproven} == {"10.0.0.4", "10.0.0.5"}


def test_members_behind_a_sentinel_include_those_it_believes_down() -> None:
    master = ["name", "mymaster", "ip", "10.0.0.1", "port", "6379", "flags", "master"]
    replicas = [["ip", "10.0.0.3", "port", "6379", "flags", "s_down,slave"], ["ip", "10.0.0.2", "port", "6379"]]
    assert members_of_sentinel(master, replicas) == (
        Member("10.0.0.1", 6379),
        Member("10.0.0.2", 6379, replica=True),
        Member("10.0.0.3", 6379, replica=True),
    )


def test_an_active_tenant_without_credential_is_refused() -> None:
    wanted = intent("greenwood", redis_cluster(), Phase.RETAINED)
    broken = replace(wanted, phase=Phase.ACTIVE)
    with pytest.raises(Rejected, match="no password yet for Redis user tenant-greenwood") as refused:
        desired(broken)
    assert refused.value.reason == "CredentialMissing"


def test_the_binding_tells_all_that_an_application_needs() -> None:
    assert binding(intent("greenwood", redis_cluster(), password="p@ss/word")) == {
        "type": "redis",
        "provider": "matrixhub",
        "host": "redis-0",
        "port": "6379",
        "username": "tenant-greenwood",
        "password": "p@ss/word",
        "prefix": "tenant:greenwood:",
        "ssl": "false",
        "uri": "redis://tenant-greenwood:p%40ss%2Fword@redis-0:6379",
    }


def test_the_binding_speaks_of_tls_sentinels_and_clusters() -> None:
    tls = binding(replace(intent("a", redis_cluster(tls={"enabled": True})), ca="PEM"))
    assert (tls["ssl"], tls["ca.crt"]) == ("true", "PEM")
    assert tls["uri"].startswith("rediss://tenant-a:")
    sentinel = binding(intent("a", redis_cluster(mode="sentinel", masterName="hub")))
    assert (sentinel["sentinel.master"], sentinel["sentinel.nodes"]) == ("hub", "redis-0:6379,redis-1:6380")
    cluster = binding(intent("a", redis_cluster(mode="cluster")))
    assert cluster["cluster.nodes"] == "redis-0:6379,redis-1:6380"
    assert binding(intent("a", redis_cluster(), Phase.DELETED)) == {}
