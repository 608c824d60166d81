"""The objects that gateways run as: confined, one at a time, and followed by every change of what they read."""

import json
import tomllib
from typing import Any

import pytest
from tests.support import NOWHERE, cluster, intent

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Credential, Intent, Owner, Phase, ServiceAccount
from matrixhub.backends.gateway.desired import binding, stores
from matrixhub.backends.gateway.workload import manifests, mounted
from matrixhub.errors import Rejected

IMAGE = "example.org/sockudo:5.2.0"
PASSWORD = "a-password-of-the-gateways-of-43-characters"


def hub(gateway: dict[str, Any] | None = None, **backends: Any) -> RealtimeCluster:
    return cluster(NOWHERE, gateway={"image": IMAGE} | (gateway or {}), **backends)


def account(password: str = PASSWORD) -> ServiceAccount:
    return ServiceAccount(Owner("hub", "cluster-uid"), "gateway-0a1b2c3d", password)


def objects(on: RealtimeCluster, *mounts: str, password: str = PASSWORD) -> dict[tuple[str, str], Any]:
    made = manifests(on, account(password), mounts)
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


def deployment(on: RealtimeCluster, *mounts: str, password: str = PASSWORD) -> Any:
    return objects(on, *mounts, password=password)["Deployment", "main-gateway"]


def template(on: RealtimeCluster, *mounts: str, password: str = PASSWORD) -> Any:
    return deployment(on, *mounts, password=password)["spec"]["template"]


def container(on: RealtimeCluster) -> Any:
    (only,) = template(on)["spec"]["containers"]
    return only


def variables(on: RealtimeCluster) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(on)["env"] if "value" in each}


def settings(on: RealtimeCluster) -> Any:
    return tomllib.loads(objects(on)["ConfigMap", "main-gateway"]["data"]["config.toml"])


def test_every_object_is_owned_labelled_and_beside_the_cluster() -> None:
    made = objects(hub())
    assert sorted(kind for kind, _ in made) == [
        *("ConfigMap", "Deployment", "PodDisruptionBudget", "Service", "Service", "ServiceAccount")
    ]
    for each in made.values():
        metadata = each["metadata"]
        assert metadata["namespace"] == "matrixhub"
        assert metadata["ownerReferences"][0]["uid"] == "cluster-uid"
        assert metadata["labels"]["matrixhub.io/realtimecluster"] == "main"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "matrixhub"


def test_no_secret_stands_in_any_object() -> None:
    assert PASSWORD not in json.dumps(list(objects(hub()).values()))


def test_the_number_of_gateways_is_left_to_the_scaler() -> None:
    assert "replicas" not in deployment(hub())["spec"]


def test_pods_are_confined() -> None:
    pod = template(hub())["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    confined = container(hub())["securityContext"]
    assert confined["readOnlyRootFilesystem"] is True
    assert confined["allowPrivilegeEscalation"] is False
    assert confined["capabilities"] == {"drop": ["ALL"]}


def test_one_gateway_is_replaced_at_a_time_and_has_time_to_leave() -> None:
    spec = deployment(hub())["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["minReadySeconds"] > 0
    leave = container(hub())["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = int(variables(hub())["SHUTDOWN_GRACE_PERIOD"])
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > leave + drain


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((hub(), ()), (hub(postgres={"host": "other", "database": "hub", "adminSecretRef": {"name": "a"}}), ())),
        ((hub(), ()), (hub({"connectionsPerReplica": 7}), ())),
        ((hub(), ("old certificate",)), (hub(), ("new certificate",))),
    ],
)
def test_a_change_of_what_pods_read_replaces_them(
    before: tuple[RealtimeCluster, tuple[str, ...]], after: tuple[RealtimeCluster, tuple[str, ...]]
) -> None:
    assert template(before[0], *before[1]) == template(before[0], *before[1])
    assert template(before[0], *before[1]) != template(after[0], *after[1])


def test_a_new_password_replaces_pods() -> None:
    assert template(hub()) != template(hub(), password=PASSWORD[::-1])


def test_the_drivers_are_named_so_that_nothing_falls_back() -> None:
    told = variables(hub())
    assert told["ADAPTER_FALLBACK_TO_LOCAL"] == "false"
    assert (told["ADAPTER_DRIVER"], told["APP_MANAGER_DRIVER"], told["CACHE_DRIVER"]) == ("redis", "postgres", "redis")
    assert settings(hub())["app_manager"] == {"driver": "pgsql", "cache": {"enabled": False}}
    login = told["DATABASE_REDIS_USERNAME"]
    assert settings(hub())["adapter"]["redis"]["prefix"].startswith(f"{login}:")
    assert settings(hub())["cache"]["redis"]["prefix"].startswith(f"{login}:")
    assert settings(hub())["database"]["postgres"]["table_name"] == f'"{login}".applications'


def test_sentinels_are_told_in_the_file() -> None:
    redis = {
        "mode": "sentinel",
        "nodes": ["s1:26379", "[fd00::1]:26380"],
        "masterName": "hub",
        "adminSecretRef": {"name": "redis-admin"},
    }
    found = settings(hub(redis=redis))["database"]["redis"]
    assert found["name"] == "hub"
    assert found["sentinels"] == [{"host": "s1", "port": 26379}, {"host": "fd00::1", "port": 26380}]
    assert "DATABASE_REDIS_HOST" not in variables(hub(redis=redis))


def test_a_redis_cluster_is_refused_with_what_to_do() -> None:
    redis = {"mode": "cluster", "nodes": ["r:6379"], "adminSecretRef": {"name": "redis-admin"}}
    with pytest.raises(Rejected, match="standalone or sentinel"):
        stores(hub(redis=redis))


def test_authorities_and_certificates_are_mounted_and_told() -> None:
    on = hub(
        {"tls": {"secretName": "gateway-tls"}},
        postgres={
            "host": "db",
            "database": "hub",
            "adminSecretRef": {"name": "a"},
            "tls": {"caSecretRef": {"name": "postgres-ca"}, "clientCertSecretRef": {"name": "postgres-mtls"}},
        },
        redis={
            "nodes": ["redis:6379"],
            "adminSecretRef": {"name": "a"},
            "tls": {"caSecretRef": {"name": "redis-ca"}, "clientCertSecretRef": {"name": "redis-mtls"}},
        },
    )
    assert {each.secret: each.keys for each in mounted(on)} == {
        "postgres-ca": ("ca.crt",),
        "postgres-mtls": ("tls.crt", "tls.key"),
        "redis-ca": ("ca.crt",),
        "redis-mtls": ("tls.crt", "tls.key"),
        "gateway-tls": ("tls.crt", "tls.key"),
    }
    paths = {each["name"]: each["mountPath"] for each in container(on)["volumeMounts"]}
    secrets = {
        each["secret"]["secretName"]: paths[each["name"]]
        for each in template(on)["spec"]["volumes"]
        if "secret" in each
    }
    told = variables(on)
    assert told["PGSSLMODE"] == "verify-full"
    assert told["PGSSLROOTCERT"] == secrets["postgres-ca"] + "/ca.crt"
    assert told["PGSSLCERT"] == secrets["postgres-mtls"] + "/tls.crt"
    assert told["PGSSLKEY"] == secrets["postgres-mtls"] + "/tls.key"
    assert told["DATABASE_REDIS_MASTER_TLS_ENABLED"] == "true"
    assert told["DATABASE_REDIS_MASTER_TLS_CLIENT_CERT_PATH"] == secrets["redis-mtls"] + "/tls.crt"
    assert told["DATABASE_REDIS_MASTER_TLS_CLIENT_KEY_PATH"] == secrets["redis-mtls"] + "/tls.key"
    assert told["DATABASE_REDIS_MASTER_TLS_CA_PATH"] == secrets["redis-ca"] + "/ca.crt"
    assert told["SSL_CERT_PATH"] == secrets["gateway-tls"] + "/tls.crt"
    assert container(on)["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert objects(on)["Service", "main-gateway"]["spec"]["ports"][0]["port"] == 443


def test_what_the_spec_says_of_pods_and_service_is_in_them() -> None:
    on = hub(
        {
            "annotations": {"team": "realtime"},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "gateways", "operator": "Exists"}],
            "topologySpreadConstraints": [{"maxSkew": 2}],
            "service": {"type": "LoadBalancer", "annotations": {"lb": "internal"}},
            "imagePullPolicy": "Always",
            "resources": {"requests": {"cpu": 1}, "limits": {"cpu": 2}},
        }
    )
    pod = template(on)["spec"]
    assert template(on)["metadata"]["annotations"]["team"] == "realtime"
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert pod["tolerations"] == [{"key": "gateways", "operator": "Exists"}]
    assert pod["topologySpreadConstraints"] == [{"maxSkew": 2}]
    service = objects(on)["Service", "main-gateway"]
    assert (service["spec"]["type"], service["metadata"]["annotations"]) == ("LoadBalancer", {"lb": "internal"})
    assert container(on)["imagePullPolicy"] == "Always"
    assert container(on)["resources"] == {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}


def bound(on: RealtimeCluster, phase: Phase = Phase.ACTIVE) -> dict[str, str]:
    made = intent("greenwood", on, phase)
    credential = Credential("the-key", "the-secret", "bWFzdGVy") if made.credential else None
    return dict(binding(Intent(made.tenant, on, phase, made.owner, credential)))


def test_the_tenants_secret_speaks_service_binding_and_pushers_own_names() -> None:
    told = bound(hub())
    assert (told["type"], told["provider"]) == ("pusher", "sockudo")
    assert (told["host"], told["port"]) == ("main-gateway.matrixhub.svc", "80")
    assert (told["username"], told["password"]) == (told["PUSHER_APP_KEY"], told["PUSHER_APP_SECRET"])
    assert told["PUSHER_APP_ID"].isdecimal()
    assert told["PUSHER_ENCRYPTION_MASTER_KEY_BASE64"] == "bWFzdGVy"
    assert told["uri"].endswith(f"/apps/{told['PUSHER_APP_ID']}")
    assert bound(hub(), Phase.DELETED) == {}


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        ({"publicUrl": "https://ws.example.org"}, ("https", "ws.example.org", "443")),
        ({"publicUrl": "http://10.0.0.1:30080"}, ("http", "10.0.0.1", "30080")),
        ({"tls": {"secretName": "t"}}, ("https", "main-gateway.matrixhub.svc", "443")),
    ],
)
def test_where_the_gateways_are_found(gateway: dict[str, Any], expected: tuple[str, str, str]) -> None:
    told = bound(hub(gateway))
    assert (told["PUSHER_SCHEME"], told["PUSHER_HOST"], told["PUSHER_PORT"]) == expected
