"""What a worker is handed: Secrets as people write them, and what the tenants' Secrets say of a backend."""

import base64
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.engine.stage import NoSecrets, kind

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.backends.contract import Credential, Intent, Owner, Phase
from matrixhub.engine.accounts import Accounts
from matrixhub.engine.desk import Credentials, HousingDesk, ServiceDesk
from matrixhub.engine.roster import Plane, Roster
from matrixhub.engine.standing import Entry
from matrixhub.engine.vault import Vault
from matrixhub.errors import Rejected
from matrixhub.kube.client import KubeApi
from matrixhub.main import kinds

AUTHORITY = "-----BEGIN CERTIFICATE-----"


class Shelf:
    """Secrets by name; counts how often one is taken down."""

    def __init__(self, **secrets: dict[str, bytes]) -> None:
        self.secrets, self.taken = secrets, 0

    def get(self, _: Any, name: str, namespace: str) -> dict[str, Any] | None:
        self.taken += 1
        if name not in self.secrets:
            return None
        return {"data": {key: base64.b64encode(value).decode() for key, value in self.secrets[name].items()}}


def binding(intent: Intent) -> dict[str, str]:
    """A Secret that says which authority is to be trusted."""
    return {"ca.crt": intent.ca}


def world(tenants: str = "ab", **tls: dict[str, str]) -> Roster:
    """Tenants on a RealtimeCluster whose Redis names its authority, and of TLS what else is said."""
    tls = {"caSecretRef": {"name": "authority"}} | tls
    section = {"nodes": ["r:6379"], "adminSecretRef": {"name": "admin"}, "tls": tls}
    cluster = RealtimeCluster.model_validate(
        {"metadata": {"name": "main", "namespace": "hub", "uid": "c", "generation": 1}, "spec": {"redis": section}}
    )
    base = kind("redis")
    told = replace(base, binding=binding)
    roster = Roster("hub", (told,), planes={"hub/main": Plane(cluster)})
    for name in tenants:
        metadata = {"name": name, "uid": name, "generation": 1, "finalizers": ["matrixhub.io/tenant"]}
        spec = {"clusterRef": {"namespace": "hub", "name": "main"}}
        roster.entries[name] = Entry(Tenant.model_validate({"metadata": metadata, "spec": spec}), Phase.ACTIVE)
    return roster


def housing(roster: Roster, shelf: Shelf, vault: Vault | None = None) -> HousingDesk:
    """The desk of the namespace backend."""
    api = cast("KubeApi", shelf)
    credentials = Credentials(vault or NoSecrets())
    return HousingDesk(lambda: cast("Any", None), roster, credentials, api, cast("Any", None))


def test_a_tenants_secret_names_the_authority_before_the_backend_was_ever_reached():
    shelf = Shelf(authority={"ca.crt": AUTHORITY.encode()})
    intents = housing(world(), shelf).intents("ab")
    assert {intent.secrets["redis"]["ca.crt"] for intent in intents.values()} == {AUTHORITY}
    assert shelf.taken == 1


def test_an_authority_that_is_missing_holds_up_no_namespace():
    intents = housing(world(), Shelf()).intents("ab")
    assert {intent.secrets["redis"]["ca.crt"] for intent in intents.values()} == {""}


class Restored(NoSecrets):
    """A vault with the Secret of a tenant that a lost hub had."""

    def read(self, owners: Any) -> dict[str, dict[str, Credential]]:
        return {tenant: {"redis": Credential(tenant, "restored")} for tenant, owner in owners.items() if owner.former}


def test_what_was_restored_takes_the_place_of_a_new_credential_once_its_hub_is_adopted():
    """The Tenant was applied first, and its Conflict told which hub that is."""
    credentials, redis, cluster = Credentials(Restored()), kind("redis"), world().planes["hub/main"].cluster
    credentials.read({"a": Owner("hub", "a")})
    new = credentials.ensure("a", redis, cluster)
    assert new
    assert new.password != "restored"
    credentials.read({"a": Owner("hub", "a", former="lost")})
    assert credentials.of("a", redis, cluster) == Credential("a", "restored")
    credentials.store("a", "redis", Credential("a", "issued since"))
    for former in ("lost", ""):
        credentials.read({"a": Owner("hub", "a", former=former)})
        assert credentials.of("a", redis, cluster) == Credential("a", "issued since")


ISSUED = Credential("AKIAIOSFODNN7EXAMPLE", "a-secret-key-of-forty-characters-of-AWS-")


class Issued(NoSecrets):
    """A vault with the Secrets of tenants that AWS has issued access keys for."""

    def read(self, owners: Any) -> dict[str, dict[str, Credential]]:
        return {tenant: {"objectstore": ISSUED} for tenant in owners}


def objects(provider: str) -> Plane:
    """A RealtimeCluster whose tenants keep objects with this provider."""
    store = {"provider": provider, "endpoint": "http://store:9000", "adminSecretRef": {"name": "admin"}}
    metadata = {"name": "main", "namespace": "hub", "uid": "c", "generation": 1}
    return Plane(RealtimeCluster.model_validate({"metadata": metadata, "spec": {"objectStore": store}}))


@pytest.mark.parametrize("restarted", [False, True])
def test_another_provider_of_objects_gives_each_tenant_a_login_of_its_own(*, restarted: bool):
    roster, shelf, key = world("a"), Shelf(), ("username", "password")
    roster.kinds = [each for each in kinds(cast("KubeApi", shelf)) if each.name == "objectstore"]

    def secret(provider: str, desk: HousingDesk) -> tuple[str, ...]:
        roster.planes["hub/main"] = objects(provider)
        told = desk.intents("a")["a"].secrets.get("object-store", {})
        return tuple(told[each] for each in key if told)

    desk = housing(roster, shelf, Issued())
    assert secret("aws", desk) == (ISSUED.username, ISSUED.password)
    desk = housing(roster, shelf, Issued()) if restarted else desk
    made = secret("minio", desk)
    assert made[0] == "tenant-a"
    assert made[1] != ISSUED.password
    assert secret("minio", desk) == made
    assert secret("aws", desk) == (), "it has issued none yet"


def service(roster: Roster, shelf: Shelf) -> ServiceDesk:
    """The desk of Redis."""
    api = cast("KubeApi", shelf)
    accounts = Accounts(api, "hub")
    return ServiceDesk(roster.kinds[0], "hub/main", roster, Credentials(NoSecrets()), accounts, api, cast("Any", None))


def test_bytes_in_an_admin_secret_that_are_no_text_hurt_nobody():
    shelf = Shelf(admin={"password": b"secret", "keystore.p12": b"\xff\xfe\x00"}, authority={"ca.crt": b"pem"})
    roster = world()
    assert service(roster, shelf).connect()
    assert roster.planes["hub/main"].authorities == {"redis": "pem"}


def test_the_secrets_that_tls_names_are_the_only_source_of_certificates():
    admin = {"password": b"p", "ca.crt": b"stale", "tls.key": b"stale"}
    shelf = Shelf(admin=admin, authority={"ca.crt": b"pem"}, client={"tls.crt": b"crt", "tls.key": b"key"})
    without, shown = service(world(), shelf), service(world(clientCertSecretRef={"name": "client"}), shelf)
    for desk in (without, shown):
        desk.connect()
    assert without.held == {"password": "p", "ca.crt": "pem"}
    assert shown.held == {"password": "p", "ca.crt": "pem", "tls.crt": "crt", "tls.key": "key"}


def test_a_desk_shows_none_of_the_secrets_that_it_holds():
    client = {"tls.crt": b"crt", "tls.key": b"the-private-key"}
    shelf = Shelf(admin={"password": b"the-password"}, authority={"ca.crt": b"pem"}, client=client)
    desk = service(world(clientCertSecretRef={"name": "client"}), shelf)
    desk.connect()
    for secret in ("the-password", "the-private-key"):
        assert secret in desk.held.values()
        assert secret not in repr(desk)


def test_a_secret_that_was_rotated_is_noticed():
    shelf = Shelf(admin={"password": b"old"}, authority={"ca.crt": b"old"})
    desk = service(world(), shelf)
    desk.connect()
    assert not desk.renewed()
    shelf.secrets["authority"] = {"ca.crt": b"old and new"}
    assert desk.renewed()
    desk.connect()
    assert not desk.renewed()
    del shelf.secrets["admin"]
    assert desk.renewed(), "the client that is made now says which is missing"


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [({}, "SecretNotFound"), ({"admin": {}}, "SecretNotFound"), ({"admin": {}, "authority": {}}, "SecretInvalid")],
)
def test_a_secret_or_a_key_that_is_missing_is_named(secrets: dict[str, dict[str, bytes]], reason: str):
    with pytest.raises(Rejected) as error:
        service(world(), Shelf(**secrets)).connect()
    assert error.value.reason == reason
    assert "hub/" in error.value.message
