import base64
import re
from typing import Any, cast

import pytest

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Owner
from matrixhub.engine.vault import credentials, new_login
from matrixhub.kube.client import KubeApi
from matrixhub.main import kinds

PASSWORD = "a-password-of-more-than-32-characters"
KINDS = {kind.secret_name: kind for kind in kinds(cast(KubeApi, None)) if kind.shared_out}
ISSUED = "AKIAIOSFODNN7EXAMPLE"
GREEN = {"green": Owner("hub", "uid")}


def secret(tenant: str = "green", name: str = "postgres", **redefined: Any) -> dict[str, Any]:
    data = {"username": "tenant_green", "password": PASSWORD} | redefined.pop("data", {})
    metadata = {
        "name": name,
        "namespace": naming.namespace(tenant),
        "labels": {**naming.MANAGED_BY, naming.TENANT_LABEL: tenant},
        "annotations": {naming.OWNER_ANNOTATION: "hub/uid"},
    }
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"metadata": metadata | redefined, "data": encoded}


def test_what_is_ours_is_read_by_tenant_and_backend() -> None:
    found = credentials([secret(), named("redis", "tenant-green"), secret("blue")], GREEN, KINDS)
    assert set(found) == {"green"}
    assert set(found["green"]) == {"postgres", "redis"}
    assert found["green"]["postgres"].username == "tenant_green"
    assert found["green"]["postgres"].password == PASSWORD
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize(
    "strange",
    [
        {"annotations": {}},
        {"annotations": {naming.OWNER_ANNOTATION: "somebody"}},
        {"annotations": {naming.OWNER_ANNOTATION: "hub/an-earlier-tenant"}},
        {"annotations": {naming.OWNER_ANNOTATION: "lost/uid"}},
        {"labels": {}},
        {"namespace": "default"},
        {"namespace": naming.namespace("blue")},
        {"name": "my-postgres"},
        {"data": {"password": "short"}},
        {"data": {"password": "x" * 31}},
        {"data": {"password": f"{PASSWORD}'; drop table"}},
        {"data": {"password": f"{PASSWORD}\n"}},
    ],
    ids=str,
)
def test_what_is_not_ours_or_no_password_is_not_read(strange: dict[str, Any]) -> None:
    assert credentials([secret(**strange)], GREEN, KINDS) == {}


@pytest.mark.parametrize("name", KINDS)
def test_what_was_made_is_believed(name: str) -> None:
    """And nothing else: an owner can write any name into a Secret whose mark stays."""
    logins = KINDS[name].logins(on("minio"))
    assert logins.new
    made = logins.new("green").username
    assert logins.ours("green", made)
    for strange in ("", "x" * 300, f"{made}\0", f"{made}\n", f"{made}x", made[1:], f"{made}-blue", ISSUED):
        assert not logins.ours("green", strange)


def test_an_access_key_that_aws_issued_is_believed_and_no_name_of_ours() -> None:
    logins = KINDS["object-store"].logins(on("aws"))
    assert logins.new is None
    assert logins.ours("green", ISSUED)
    assert logins.ours("green", "LSIAQAAAAAAVNCBMPNSG")
    assert not logins.ours("green", "tenant-green")


def on(provider: str) -> RealtimeCluster:
    """A RealtimeCluster with an object store."""
    store = {"provider": provider, "endpoint": "http://store:9000", "adminSecretRef": {"name": "store"}}
    return RealtimeCluster.model_validate(
        {"metadata": {"name": "main", "namespace": "hub", "uid": "c", "generation": 1}, "spec": {"objectStore": store}}
    )


def named(name: str, username: str) -> dict[str, Any]:
    return secret(name=name, data={"username": username})


def test_what_a_lost_hub_marked_is_read_where_it_is_adopted() -> None:
    restored = secret(annotations={naming.OWNER_ANNOTATION: "lost/an-earlier-tenant"})
    found = credentials([restored], {"green": Owner("hub", "uid", former="lost")}, KINDS)
    assert found["green"]["postgres"].password == PASSWORD


def test_a_secret_without_its_keys_is_not_read() -> None:
    for data in ({}, None, {"username": "eA=="}, {"username": "eA==", "password": "not base64"}):
        assert credentials([secret() | {"data": data}], GREEN, KINDS) == {}


def test_a_new_password_is_long_random_and_safe_in_a_uri_and_on_a_command_line() -> None:
    made = [new_login("tenant_green") for _ in range(500)]
    assert len({each.password for each in made}) == 500
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{42}", each.password) for each in made)
    assert made[0].username == "tenant_green"
