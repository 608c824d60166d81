"""Named examples of what a tenant is to have in Kubernetes."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.support import NOWHERE, cluster, intent

from matrixhub.backends.contract import Intent, Mark, Owner
from matrixhub.backends.namespace.desired import binding, desired
from matrixhub.backends.namespace.state import Object, found
from matrixhub.errors import Rejected

STAND = NOWHERE | {
    "PGHOST": "10.0.0.1",
    "REDIS_HOST": "redis.cache.svc",
    "KAFKA_BOOTSTRAP": "kafka.example.org:9092",
    "S3_ENDPOINT": "https://s3.example.org",
}


def wish(stand: dict[str, str] | None = None, **spec: Any) -> Intent:
    return intent("green", cluster(STAND | (stand or {})), owner=Owner("hub", "uid"), **spec)


def one(of: Intent, kind: str) -> dict[str, Any]:
    (each,) = (each for each in desired(of).objects if each.kind == kind)
    manifest: dict[str, Any] = json.loads(each.manifest)
    return manifest


def seen(of: Intent, kind: str, **changed: Any) -> tuple[Object, Object]:
    """The object as it is wanted, and as it is found when the server shows it with these fields changed."""
    (wanted,) = (each for each in desired(of).objects if each.kind == kind)
    manifest = json.loads(wanted.manifest)
    return wanted, found({**manifest, **changed}, "green", of.owner)


def egress(of: Intent) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = one(of, "NetworkPolicy")["spec"]["egress"]
    return rules


def test_a_backend_given_by_address_is_reached_at_that_address_only() -> None:
    port = [{"protocol": "TCP", "port": 5432}]
    assert {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": port} in egress(wish())
    assert {"to": [{"ipBlock": {"cidr": "fd00::1/128"}}], "ports": port} in egress(wish({"PGHOST": "fd00::1"}))


def test_a_backend_given_by_service_is_reached_in_its_namespace() -> None:
    there = {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "cache"}}}]}
    for host in ("redis.cache.svc", "redis.cache.svc.cluster.local", "redis.cache.svc."):
        assert there in egress(wish({"REDIS_HOST": host}))


def test_a_redis_cluster_given_by_service_is_reached_at_the_ports_that_are_named_and_not_at_its_bus() -> None:
    nodes = ["redis.cache.svc:6379", "redis.cache.svc:6380", "10.0.0.7:7000", "redis.example.org:7001"]
    on = cluster(STAND, redis={"mode": "cluster", "nodes": nodes, "adminSecretRef": {"name": "r"}})
    there = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "cache"}}}
    ways = [rule for rule in egress(intent("green", on)) if rule not in egress(wish())]
    assert sorted(ways, key=lambda way: int(way["ports"][0]["port"])) == [
        {"to": [there], "ports": [{"protocol": "TCP", "port": 6379}]},
        {"to": [there], "ports": [{"protocol": "TCP", "port": 6380}]},
        {"to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}], "ports": [{"protocol": "TCP", "port": 7000}]},
        {"ports": [{"protocol": "TCP", "port": 7001}]},
    ]


def test_a_backend_given_by_another_name_is_reached_at_its_port() -> None:
    assert {"ports": [{"protocol": "TCP", "port": 9092}]} in egress(wish())
    assert {"ports": [{"protocol": "TCP", "port": 443}]} in egress(wish())


def test_port_80_is_open_to_every_address_but_those_that_give_away_a_machines_credentials() -> None:
    (rule,) = (each for each in egress(wish({"S3_ENDPOINT": "http://s3.example.org"})) if each not in egress(wish()))
    assert rule["ports"] == [{"protocol": "TCP", "port": 80}]
    blocks = [each["ipBlock"] for each in rule["to"] if "ipBlock" in each]
    assert {block["cidr"]: "169.254.0.0/16" in block["except"] for block in blocks} == {
        "0.0.0.0/0": True,
        "::/0": False,
    }
    assert {"namespaceSelector": {}} in rule["to"], "an address block may not mean pods"


def test_gateways_are_reached_where_the_tenant_is_told_to_find_them() -> None:
    """By the Service's name: at the pods of the cluster's own gateways, and not where they tell their metrics."""
    for url, port in (("http://10.0.0.9:30080", 30080), ("https://10.0.0.9", 443)):
        on = cluster(STAND, gateway={"image": "sockudo:5.2.0", "publicUrl": url})
        there = {"to": [{"ipBlock": {"cidr": "10.0.0.9/32"}}], "ports": [{"protocol": "TCP", "port": port}]}
        assert there in egress(intent("green", on))
    near = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "matrixhub"}}}
    ours = {"matchLabels": {"app.kubernetes.io/name": "gateway", "app.kubernetes.io/instance": "main"}}
    way = {"to": [{**near, "podSelector": ours}], "ports": [{"protocol": "TCP", "port": 6001}]}
    rules = egress(intent("green", cluster(STAND, gateway={"image": "sockudo:5.2.0"})))
    assert [rule for rule in rules if rule not in egress(wish())] == [way]


def test_nothing_else_may_be_reached() -> None:
    rules = egress(wish())
    assert all(rule.get("to") or rule.get("ports") for rule in rules), "an empty rule would allow everything"
    assert len(rules) == 6
    spec = one(wish(), "NetworkPolicy")["spec"]
    assert spec["podSelector"] == {}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    near = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "matrixhub"}}}
    assert spec["ingress"] == [{"from": [{"podSelector": {}}, near]}]


def test_sentinels_may_name_any_master() -> None:
    redis = {"mode": "sentinel", "nodes": ["10.0.0.7:26379"], "adminSecretRef": {"name": "r"}}
    on = cluster(STAND, redis=redis)
    rules = egress(intent("green", on))
    assert {"ports": [{"protocol": "TCP", "port": 6379}]} in rules
    assert {"to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}], "ports": [{"protocol": "TCP", "port": 26379}]} in rules


@pytest.mark.parametrize("address", ["kafka", "kafka:port", "kafka:99999", "[::1:9092"])
def test_an_address_without_a_sensible_port_is_refused_with_a_sentence(address: str) -> None:
    with pytest.raises(Rejected, match="write host:port") as caught:
        desired(wish({"KAFKA_BOOTSTRAP": address}))
    assert caught.value.reason == "InvalidEndpoint"


def test_limits_are_only_set_where_the_quota_counts_them() -> None:
    def limit(**compute: str) -> dict[str, Any]:
        quota = {name.replace("_", "."): quantity for name, quantity in compute.items()}
        limits = one(wish(compute=quota), "LimitRange")
        (only,) = limits["spec"]["limits"]
        return {key: set(value) for key, value in only.items() if key != "type"}

    assert limit() == {"defaultRequest": {"cpu", "memory"}}
    assert limit(requests_cpu="1") == {"defaultRequest": {"cpu", "memory"}}
    assert limit(limits_memory="1Gi") == {"defaultRequest": {"cpu", "memory"}, "default": {"memory"}}
    storage = {"requests.ephemeral-storage": "1Gi"}
    (only,) = one(wish(compute=storage), "LimitRange")["spec"]["limits"]
    assert "ephemeral-storage" in only["defaultRequest"], "or no pod would be admitted under such a quota"


def test_what_the_server_shows_in_another_spelling_is_no_drift() -> None:
    of = wish(compute={"requests.memory": "1024Mi", "requests.cpu": 4, "limits.cpu": "0.5", "pods": "1e1"})
    hard = {"requests.memory": "1Gi", "requests.cpu": "4", "limits.cpu": "500m", "pods": "10"}
    wanted, there = seen(of, "ResourceQuota", spec={"hard": hard}, status={"hard": hard, "used": {}})
    assert there == wanted


def test_what_was_added_to_our_fields_is_drift() -> None:
    of = wish(compute={"pods": 1}, owners=[{"kind": "User", "name": "head", "role": "view"}])
    for kind, changed in (
        ("ResourceQuota", {"spec": {"hard": {"pods": "1", "secrets": "9"}}}),
        ("ResourceQuota", {"spec": {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}}),
        ("RoleBinding", {"subjects": [{"kind": "User", "name": "mallory"}]}),
        ("ClusterRole", {"aggregationRule": {"clusterRoleSelectors": [{}]}}),
    ):
        wanted, there = seen(of, kind, **changed)
        assert there != wanted, changed


def test_a_secret_is_known_by_its_hash_only() -> None:
    of = replace(wish(), secrets={"redis": {"type": "redis", "password": "tell-nobody-0123456789-0123456789"}})
    wanted, there = seen(of, "Secret")
    assert there == wanted
    assert "tell-nobody" not in repr(wanted) + wanted.content
    data = {"type": "cmVkaXM=", "password": base64.b64encode(b"other").decode()}
    wanted, there = seen(of, "Secret", data=data)
    assert there != wanted


@pytest.mark.parametrize(
    ("annotations", "manager", "ours"),
    [({}, "matrixhub", True), ({"matrixhub.io/owner": "?"}, "matrixhub", True), ({}, "kubectl", False)],
    ids=str,
)
def test_a_removed_mark_is_known_from_the_servers_record(
    annotations: dict[str, str], manager: str, ours: object
) -> None:
    of = wish()
    metadata = one(of, "NetworkPolicy")["metadata"] | {"annotations": annotations}
    wanted, there = seen(of, "NetworkPolicy", metadata=metadata | {"managedFields": [{"manager": manager}]})
    assert there != wanted
    assert there.mark == (Mark(of.owner) if ours else None)


def test_another_hubs_mark_counts_whoever_wrote_the_object() -> None:
    marked = {"annotations": {"matrixhub.io/owner": "other/uid"}, "managedFields": [{"manager": "matrixhub"}]}
    _, there = seen(wish(), "NetworkPolicy", metadata=one(wish(), "NetworkPolicy")["metadata"] | marked)
    assert there.mark == Mark(Owner("other", "uid"))


def test_tenants_share_what_is_equal_in_memory() -> None:
    on = cluster(STAND)
    first, second = (desired(intent(name, on, compute={"pods": 3})) for name in ("green", "blue"))
    for kind in ("Namespace", "NetworkPolicy", "LimitRange", "ResourceQuota"):
        contents = [each.content for state in (first, second) for each in state.objects if each.kind == kind]
        assert contents[0] is contents[1]


def test_there_is_no_binding() -> None:
    assert binding(wish()) == {}
