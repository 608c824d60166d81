"""The objects that the relay runs as, and that its program understands what they tell it."""

import json
from typing import Any

import pytest
from tests.support import NOWHERE, cluster

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.relay.workload import manifests, mounted
from matrixhub.errors import Rejected
from matrixhub.relay.settings import Logins, Settings

ROUTES = [
    {"topics": "*.institution.*", "channel": "{domain}.{event}"},
    {"topics": "*.*.*", "channel": "private-{key}", "event": "{domain}-{event}"},
]
TLS = {"tls": {"caSecretRef": {"name": "ca"}, "clientCertSecretRef": {"name": "client"}}}


def hub(*, gateway: dict[str, Any] | None = None, relay: dict[str, Any] | None = None, **spec: Any) -> RealtimeCluster:
    parts = {"gateway": {"image": "gateway"} | (gateway or {}), "relay": {"routes": ROUTES} | (relay or {})}
    return cluster(NOWHERE, **parts, **spec)


def secured() -> RealtimeCluster:
    kafka = {"bootstrapServers": ["kafka:9093"], "adminSecretRef": {"name": "a"}, **TLS}
    postgres = {"host": "db", "database": "hub", "adminSecretRef": {"name": "a"}, **TLS}
    return hub(gateway={"tls": {"secretName": "gateway-tls"}}, kafka=kafka, postgres=postgres)


def objects(on: RealtimeCluster, *seals: str, address: str = "10.0.0.7:80") -> dict[str, Any]:
    return {each["kind"]: each for each in manifests(on, "localhost/matrixhub:1", address, seals)}


def settings(on: RealtimeCluster) -> Settings:
    return Settings.model_validate_json(objects(on)["ConfigMap"]["data"]["relay.json"])


def template(on: RealtimeCluster, *seals: str, **more: str) -> Any:
    return objects(on, *seals, **more)["Deployment"]["spec"]["template"]


def container(on: RealtimeCluster) -> Any:
    (only,) = template(on)["spec"]["containers"]
    return only


def test_every_object_is_owned_labelled_and_beside_the_cluster() -> None:
    made = objects(hub())
    assert sorted(made) == ["ConfigMap", "Deployment", "PodDisruptionBudget", "ServiceAccount"]
    for each in made.values():
        metadata = each["metadata"]
        assert (metadata["name"], metadata["namespace"]) == ("main-relay", "matrixhub")
        assert metadata["labels"][naming.CLUSTER_LABEL] == "main"
        assert metadata["ownerReferences"][0]["uid"] == "cluster-uid"
    assert "replicas" not in made["Deployment"]["spec"]


def test_the_image_is_pulled_with_the_secrets_that_are_named() -> None:
    pulled = template(hub(relay={"imagePullSecrets": [{"name": "registry"}]}))["spec"]
    assert pulled["imagePullSecrets"] == [{"name": "registry"}]
    assert "imagePullSecrets" not in template(hub())["spec"]


def test_the_program_understands_its_settings() -> None:
    told = settings(hub())
    assert [route.model_dump(by_alias=True) for route in told.routes] == [
        {"topics": "*.institution.*", "channel": "{domain}.{event}", "event": "{event}"},
        {"topics": "*.*.*", "channel": "private-{key}", "event": "{domain}-{event}"},
    ]
    assert told.kafka.bootstrap_servers == ("kafka:9092",)
    assert told.kafka.group == naming.relay("matrixhub/main")
    assert told.apps.schema_name == naming.gateway("matrixhub/main")
    assert (told.gateway.url, told.gateway.certificate_file, told.kafka.tls.ca_file) == ("http://10.0.0.7:80", "", "")


def test_what_it_trusts_is_mounted_where_its_settings_say() -> None:
    on = secured()
    told = settings(on)
    trusted = [(each.ca_file, each.certificate_file, each.key_file) for each in (told.kafka.tls, told.apps.tls)]
    files = [*trusted[0], *trusted[1], told.gateway.certificate_file]
    mounts = {each["name"]: each["mountPath"] for each in container(on)["volumeMounts"]}
    volumes = {each["name"]: each.get("secret") for each in template(on)["spec"]["volumes"]}
    assert files == [f"{mounts[each.name]}/{key}" for each in mounted(on) for key in each.keys]
    assert told.gateway.url == "https://10.0.0.7:80"
    assert volumes["gateway-certificate"]["items"] == [{"key": "tls.crt", "path": "tls.crt"}]
    assert "tls.key" not in json.dumps(volumes["gateway-certificate"])


def test_its_logins_come_from_the_accounts_secret_under_the_names_that_it_reads() -> None:
    taken = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container(hub())["env"] if "valueFrom" in each}
    assert {reference["name"] for reference in taken.values()} == {"main-accounts"}
    logins = Logins.from_environment({name: reference["key"] for name, reference in taken.items()})
    assert logins.model_dump() == {
        "kafka_username": "relay-login",
        "kafka_password": "relay-password",
        "apps_username": "gateway-login",
        "apps_password": "gateway-password",
    }
    assert "password" not in repr(logins).replace("_password", "")


def test_pods_are_confined_and_have_time_to_end() -> None:
    pod = template(hub())["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    security = container(hub())["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod["terminationGracePeriodSeconds"] > settings(hub()).grace_seconds
    assert container(hub())["resources"]["limits"]


@pytest.mark.parametrize(
    "changed",
    [
        template(hub(), "another password"),
        template(hub(relay={"routes": ROUTES[:1]}), "password"),
        template(hub(), "password", address="10.0.0.8:80"),
    ],
)
def test_pods_follow_what_they_read_at_their_start(changed: Any) -> None:
    before = template(hub(), "password")
    assert template(hub(), "password") == before
    assert changed["metadata"]["annotations"] != before["metadata"]["annotations"]


def test_a_relay_without_what_it_works_between_is_refused() -> None:
    alone = hub()
    spec = alone.spec.model_copy(update={"gateway": None})
    with pytest.raises(Rejected, match="needs kafka, gateway and postgres"):
        manifests(alone.model_copy(update={"spec": spec}), "image", "10.0.0.7:80", ())
