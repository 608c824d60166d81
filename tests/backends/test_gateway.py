"""The gateways' backend against a real Postgres and a real API server, with the operator's own weak rights.

The gateways themselves, and clients on them, are tried in tests/e2e.
"""

import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.backends.postgres_world import World, world
from tests.patience import until
from tests.support import ROOT, cluster, intent

from matrixhub import metrics
from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Applied, Credential, Intent, Owner, Phase, ServiceAccount
from matrixhub.backends.gateway.client import Client
from matrixhub.backends.postgres.client import Client as Postgres
from matrixhub.engine.vault import new_app
from matrixhub.errors import Conflict, Rejected, Transient
from matrixhub.kube.client import KubeApi

__all__ = ["world"]

PASSWORD = "the-gateways-password-of-32-chars"


class Gateways:
    """A RealtimeCluster in a namespace of its own, over the world's database."""

    def __init__(self, world: World, stand: Mapping[str, str]) -> None:
        self.world = world
        self.namespace = f"gateways-{secrets.token_hex(4)}"
        self._kubeconfig = stand["KUBECONFIG"]
        self.api = KubeApi(stand["MATRIXHUB_OPERATOR_KUBECONFIG"])
        self.kubectl("create", "namespace", self.namespace)
        self._uid = self._make_cluster()
        self.cluster = self.described()
        self.account = ServiceAccount(Owner("hub", self._uid), naming.gateway(self.cluster.key), PASSWORD)
        self.client = Client(self.cluster, self.account, self.api, new_app)
        self.table = sql.Identifier(self.account.login, "applications")

    def described(self, **gateway: Any) -> RealtimeCluster:
        spec = {"image": "localhost/nothing:1.2", "imagePullPolicy": "Never"} | gateway
        postgres = self.world.cluster.spec.postgres
        assert postgres is not None
        made = cluster(self.world.stand, postgres=postgres.model_dump(mode="json", by_alias=True), gateway=spec)
        metadata = made.metadata.model_copy(update={"namespace": self.namespace, "uid": self._uid})
        return made.model_copy(update={"metadata": metadata})

    def _make_cluster(self) -> str:
        """The owner of all objects: without one, the garbage collector would take them. Its uid."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))
        manifest = {
            "apiVersion": naming.API_VERSION,
            "kind": "RealtimeCluster",
            "metadata": {"name": "main", "namespace": self.namespace},
            "spec": {"redis": {"nodes": ["nowhere:1"], "adminSecretRef": {"name": "none"}}},
        }
        self.kubectl("create", "-f", "-", text=json.dumps(manifest))
        uid: str = self.get("realtimecluster", "main")["metadata"]["uid"]
        return uid

    def make_tenant(self, name: str, cluster: str) -> None:
        """The API server knows the Tenant; nobody works for it."""
        manifest = {
            "apiVersion": naming.API_VERSION,
            "kind": "Tenant",
            "metadata": {"name": name},
            "spec": {"clusterRef": {"namespace": self.namespace, "name": cluster}},
        }
        self.kubectl("create", "-f", "-", text=json.dumps(manifest))

    def kubectl(self, *words: str, text: str | None = None) -> str:
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self._kubeconfig, *words],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, kind: str, name: str) -> Any:
        return json.loads(self.kubectl("-n", self.namespace, "get", kind, name, "-o", "json"))

    def give_account(self) -> None:
        postgres = Postgres(self.world.cluster, self.world.secret, self.account)
        assert postgres.prepare().findings == ()
        postgres.close()

    def wish(self, tenant: str, phase: Phase = Phase.ACTIVE, key: str = "", **share: Any) -> Intent:
        made = intent(tenant, self.cluster, phase, gateway=share)
        credential = Credential(key or f"key-of-{tenant}", f"secret-of-{tenant}".ljust(43, "x"))
        return replace(made, credential=credential if made.credential else None)

    def step(self, *wishes: Intent) -> tuple[dict[str, list[str]], Mapping[str, Applied]]:
        observed = self.client.observe(wishes)
        plans = {}
        for each in wishes:
            state = observed[each.tenant.id]
            assert not isinstance(state, Exception)
            plans[each.tenant.id] = self.client.plan(self.client.desired(each), state)
        return {name: [str(action) for action in plan] for name, plan in plans.items()}, self.client.apply(plans)

    def converge(self, *wishes: Intent) -> list[str]:
        told, applied = self.step(*wishes)
        assert all(each.error is None for each in applied.values()), applied
        assert not any(self.step(*wishes)[0].values())
        return [sentence for each in told.values() for sentence in each]

    def rows(self) -> dict[str, dict[str, Any]]:
        cursor = self.world.root.cursor(row_factory=psycopg.rows.dict_row)
        cursor.execute(sql.SQL("SELECT * FROM {}").format(self.table))
        return {row["id"]: row for row in cursor}

    def execute(self, text: str, *values: object) -> None:
        self.world.root.execute(sql.SQL(text).format(table=self.table), values)  # type: ignore[arg-type] # of the tests

    def close(self) -> None:
        self.client.close()
        self.kubectl("delete", "namespace", self.namespace, "--wait=false")
        login = self.account.login
        self.world.root.execute(f'DROP SCHEMA IF EXISTS "{login}" CASCADE')
        if self.world.root.execute("SELECT FROM pg_roles WHERE rolname = %s", [login]).fetchone() is not None:
            self.world.admin.execute(f'REVOKE CONNECT ON DATABASE "{self.world.database}" FROM "{login}"')
            self.world.root.execute(f'DROP ROLE "{login}"')


@pytest.fixture(scope="module")
def bare(world: World, stand: Mapping[str, str]) -> Iterator[Gateways]:
    made = Gateways(world, stand)
    yield made
    made.close()


@pytest.fixture
def gateways(bare: Gateways) -> Gateways:
    bare.give_account()
    bare.client.prepare()
    return bare


def test_until_postgres_has_made_the_account_it_waits(bare: Gateways) -> None:
    with pytest.raises(Transient) as waiting:
        bare.client.prepare()
    assert waiting.value.reason == "AccountPending"
    assert PASSWORD not in waiting.value.message


def test_an_app_comes_changes_is_locked_and_goes(gateways: Gateways) -> None:
    identity = naming.app_id("gw-green")
    assert gateways.converge(gateways.wish("gw-green")) == [f"Created app {identity} of tenant gw-green"]
    row = gateways.rows()[identity]
    assert (row["key"], row["enabled"], row["max_connections"]) == ("key-of-gw-green", True, 500)
    assert (row["policy"], row["allowed_origins"]) == (None, None)

    share = {"maxConnections": 7, "allowedOrigins": ["https://b.example.org", "*.a.example.org"]}
    gateways.converge(gateways.wish("gw-green", **share))
    row = gateways.rows()[identity]
    assert row["max_connections"] == 7
    assert row["allowed_origins"] == ["*.a.example.org", "https://b.example.org"]

    gateways.converge(gateways.wish("gw-green", Phase.SUSPENDED))
    row = gateways.rows()[identity]
    assert row["enabled"] is False
    assert "secret-of-gw-green" not in row["secret"]

    gateways.converge(gateways.wish("gw-green"))
    assert gateways.rows()[identity]["secret"].startswith("secret-of-gw-green")
    assert gateways.converge(gateways.wish("gw-green", Phase.RETAINED)) == [
        f"Removed app {identity} of tenant gw-green"
    ]
    assert identity not in gateways.rows()


def test_no_two_locked_apps_share_a_secret(gateways: Gateways) -> None:
    gateways.converge(*(gateways.wish(f"gw-{n}", Phase.SUSPENDED) for n in range(3)))
    locked = {gateways.rows()[naming.app_id(f"gw-{n}")]["secret"] for n in range(3)}
    assert len(locked) == 3
    gateways.converge(*(gateways.wish(f"gw-{n}", Phase.DELETED) for n in range(3)))


DRIFT = (
    "UPDATE {table} SET max_connections = 0 WHERE id = %s",
    "UPDATE {table} SET enabled = false WHERE id = %s",
    "UPDATE {table} SET secret = 'mine' WHERE id = %s",
    "UPDATE {table} SET key = 'mine' WHERE id = %s",
    "UPDATE {table} SET policy = '{{}}' WHERE id = %s",
    'UPDATE {table} SET webhooks = \'[{{"url": "https://evil.example.org"}}]\' WHERE id = %s',
    "UPDATE {table} SET allowed_origins = '5' WHERE id = %s",
    "UPDATE {table} SET max_event_payload_in_kb = NULL WHERE id = %s",
    "DELETE FROM {table} WHERE id = %s",
)


@pytest.mark.parametrize("change", DRIFT)
def test_a_change_by_hand_is_put_right(gateways: Gateways, change: str) -> None:
    identity, wish = naming.app_id("gw-drift"), gateways.wish("gw-drift")
    gateways.converge(wish)
    before = gateways.rows()[identity]
    gateways.execute(change, identity)
    assert len(gateways.converge(wish)) == 1
    after = gateways.rows()[identity]
    times = ("created_at", "updated_at")
    assert {k: v for k, v in after.items() if k not in times} == {k: v for k, v in before.items() if k not in times}


def test_a_hundred_tenants_cost_one_question_and_one_answer(gateways: Gateways) -> None:
    wishes = [gateways.wish(f"gw-many-{n}") for n in range(100)]
    requests = metrics.BACKEND_REQUESTS.labels(backend="postgres")._value  # noqa: SLF001 - there is no other way to read it
    before = requests.get()
    gateways.step(*wishes)
    assert requests.get() - before <= 4  # each of the two asks first whether its connection lives
    assert {naming.app_id(f"gw-many-{n}") for n in range(100)} <= gateways.rows().keys()
    gateways.converge(*(gateways.wish(f"gw-many-{n}", Phase.DELETED) for n in range(100)))
    assert not {naming.app_id(f"gw-many-{n}") for n in range(100)} & gateways.rows().keys()


@pytest.fixture
def first(gateways: Gateways) -> Iterator[str]:
    """The key of an app that is there; what else is made is taken away."""
    gateways.converge(gateways.wish("gw-first", key="the-same-key"))
    yield "the-same-key"
    assert gateways.rows()[naming.app_id("gw-first")]["key"] == "the-same-key"
    gateways.converge(*(gateways.wish(name, Phase.DELETED) for name in ("gw-first", "gw-second", "gw-third")))


def test_whose_key_is_anothers_gets_a_new_one(gateways: Gateways, first: str) -> None:
    wish = gateways.wish("gw-second", key=first)
    _, applied = gateways.step(wish, gateways.wish("gw-third"))
    assert applied["gw-third"] == Applied()
    assert naming.app_id("gw-third") in gateways.rows()
    issued, row = applied["gw-second"].issued, gateways.rows()[naming.app_id("gw-second")]
    assert issued is not None
    assert applied["gw-second"].error is None
    assert (row["key"], row["secret"], row["enabled"]) == (issued.username, issued.password, True)
    assert gateways.converge(replace(wish, credential=issued)) == [], "what the Secret will say is what is there"


def test_anothers_key_keeps_no_limit_from_being_lowered(gateways: Gateways, first: str) -> None:
    gateways.converge(gateways.wish("gw-second"))
    gateways.step(gateways.wish("gw-second", key=first, maxConnections=7))
    row = gateways.rows()[naming.app_id("gw-second")]
    assert row["max_connections"] == 7
    assert row["key"] not in (first, "key-of-gw-second")


def test_anothers_key_keeps_no_app_from_being_locked(gateways: Gateways, first: str) -> None:
    gateways.converge(gateways.wish("gw-second"))
    gateways.converge(gateways.wish("gw-second", Phase.SUSPENDED, key=first, maxConnections=7))
    row = gateways.rows()[naming.app_id("gw-second")]
    assert (row["enabled"], row["max_connections"], row["key"]) == (False, 7, "key-of-gw-second")
    assert "secret-of-gw-second" not in row["secret"]


def test_an_app_that_comes_locked_with_anothers_key_has_a_new_one(gateways: Gateways, first: str) -> None:
    _, applied = gateways.step(gateways.wish("gw-second", Phase.SUSPENDED, key=first))
    issued, row = applied["gw-second"].issued, gateways.rows()[naming.app_id("gw-second")]
    assert issued is not None
    assert (row["key"], row["enabled"]) == (issued.username, False)
    assert issued.password not in row["secret"]


def test_the_app_that_probes_ask_for_is_there_and_comes_back(gateways: Gateways) -> None:
    canary = gateways.rows()["1"]
    assert canary["enabled"] is True
    gateways.execute("UPDATE {table} SET enabled = false WHERE id = %s", "1")
    assert gateways.client.prepare().repaired == ("Set the app that the gateways' probes ask for",)
    assert gateways.rows()["1"]["enabled"] is True
    assert gateways.client.prepare().repaired == ()


def test_gateways_that_are_put_back_have_no_apps_of_tenants_that_went_meanwhile(
    gateways: Gateways,
) -> None:
    stays, goes, elsewhere = (f"{gateways.namespace}-{name}" for name in ("stays", "goes", "elsewhere"))
    gateways.make_tenant(stays, "main")
    gateways.make_tenant(elsewhere, "another")
    try:
        gateways.converge(*map(gateways.wish, (stays, goes, elsewhere)))
        before, left = gateways.rows(), ("1", naming.app_id(stays))
        with closing(Client(gateways.cluster, gateways.account, gateways.api, new_app)) as returned:
            gone = f"Removed apps whose Tenants are gone: {len(before.keys() - left)}"
            assert returned.prepare().repaired == (gone,)
            assert returned.prepare().repaired == ()
        assert before.keys() >= {naming.app_id(goes), naming.app_id(elsewhere)}
        assert gateways.rows() == {identity: before[identity] for identity in left}
    finally:
        gateways.kubectl("delete", "tenant", stays, elsewhere)
        gateways.converge(*(gateways.wish(name, Phase.DELETED) for name in (stays, goes, elsewhere)))


def test_apps_of_tenants_that_went_do_not_come_back_with_a_backup(gateways: Gateways) -> None:
    """A server that was restored has cut its sessions."""
    stays, went = (f"{gateways.namespace}-{name}" for name in ("stays", "went"))
    gateways.make_tenant(stays, "main")
    try:
        gateways.converge(*map(gateways.wish, (stays, went)))
        before, left = gateways.rows(), ("1", naming.app_id(stays))
        assert gateways.client.prepare().repaired == (), "nobody lists all Tenants at each resync"
        gateways.world.root.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", [gateways.account.login]
        )
        gone = f"Removed apps whose Tenants are gone: {len(before.keys() - left)}"
        assert gateways.client.prepare().repaired == (gone,)
        assert naming.app_id(went) in before
        assert gateways.rows() == {identity: before[identity] for identity in left}
    finally:
        gateways.kubectl("delete", "tenant", stays)
        gateways.converge(*(gateways.wish(name, Phase.DELETED) for name in (stays, went)))


def test_the_workload_stands_and_its_drift_is_repaired(gateways: Gateways) -> None:
    before = gateways.get("deployment", "main-gateway")["spec"]["template"]
    names = ("deployment", "service", "configmap", "serviceaccount", "poddisruptionbudget")
    assert all(gateways.get(kind, "main-gateway") for kind in names)
    assert gateways.get("service", "main-gateway-metrics")["spec"]["clusterIP"] == "None"

    space = ("-n", gateways.namespace)
    gateways.kubectl(*space, "set", "env", "deployment/main-gateway", "ADAPTER_DRIVER=local")
    gateways.kubectl(*space, "delete", "configmap", "main-gateway")
    told = gateways.client.prepare().repaired
    assert sorted(told) == [
        f"changed Deployment {gateways.namespace}/main-gateway",
        f"created ConfigMap {gateways.namespace}/main-gateway",
    ]
    assert gateways.get("deployment", "main-gateway")["spec"]["template"] == before
    assert gateways.client.prepare().repaired == ()


def test_the_number_of_gateways_is_not_ours_to_set(gateways: Gateways) -> None:
    gateways.kubectl("-n", gateways.namespace, "scale", "deployment/main-gateway", "--replicas=3")
    assert gateways.client.prepare().repaired == ()
    assert gateways.get("deployment", "main-gateway")["spec"]["replicas"] == 3


def test_somebody_elses_deployment_of_that_name_is_left_alone(gateways: Gateways) -> None:
    space = ("-n", gateways.namespace)
    gateways.kubectl(*space, "delete", "deployment", "main-gateway")
    gateways.kubectl(*space, "create", "deployment", "main-gateway", "--image=localhost/theirs:1", "--replicas=0")
    with pytest.raises(Conflict, match="is not Matrix Hub's"):
        gateways.client.prepare()
    image = gateways.get("deployment", "main-gateway")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "localhost/theirs:1"
    gateways.kubectl(*space, "delete", "deployment", "main-gateway")


def test_a_missing_certificate_is_told_with_where_it_is_named(gateways: Gateways) -> None:
    client = Client(gateways.described(tls={"secretName": "gateway-tls"}), gateways.account, gateways.api, new_app)
    told = [finding.message for finding in client.prepare().findings if finding.reason == "SecretMissing"]
    place = f"Secret {gateways.namespace}/gateway-tls (spec.gateway.tls)"
    assert told == [f"{place} does not exist: pods cannot start until it is there"]
    gateways.kubectl("-n", gateways.namespace, "create", "secret", "generic", "gateway-tls", "--from-literal=tls.crt=x")
    told = [finding.message for finding in client.prepare().findings if finding.reason == "SecretMissing"]
    assert "has no `tls.key`" in told[0]
    client.close()


def test_a_quota_in_the_way_is_told_in_kubernetes_own_words(gateways: Gateways) -> None:
    space = ("-n", gateways.namespace)
    gateways.kubectl(*space, "create", "quota", "none", "--hard=pods=0")
    gateways.kubectl(*space, "delete", "deployment", "main-gateway", "--ignore-not-found")

    def told() -> str:
        return " ".join(finding.message for finding in gateways.client.prepare().findings)

    until(lambda: "exceeded quota: none" in told(), 15)
    assert "0 of 2 pods are ready" in told()
    gateways.kubectl(*space, "delete", "quota", "none")


def test_an_image_that_is_not_there_is_told_with_the_kubelets_words(gateways: Gateways) -> None:
    gateways.kubectl("-n", gateways.namespace, "delete", "deployment", "main-gateway", "--ignore-not-found")

    def told() -> str:
        return " ".join(finding.message for finding in gateways.client.prepare().findings)

    until(lambda: "ErrImageNeverPull" in told(), 30)
    assert "0 of 2 pods are ready: ErrImageNeverPull" in (said := told())
    assert "localhost/nothing:1.2" in said


def test_a_database_that_is_away_is_told_as_such(gateways: Gateways) -> None:
    elsewhere = gateways.described()
    postgres = elsewhere.spec.postgres
    assert postgres is not None
    spec = elsewhere.spec.model_copy(update={"postgres": postgres.model_copy(update={"port": 1})})
    client = Client(elsewhere.model_copy(update={"spec": spec}), gateways.account, gateways.api, new_app)
    with pytest.raises(Transient) as away:
        client.observe([gateways.wish("gw-green")])
    assert away.value.reason == "Unreachable"
    client.close()


def test_a_redis_cluster_is_refused_before_anything_is_made(gateways: Gateways) -> None:
    spec = gateways.cluster.spec.model_copy(
        update={
            "redis": gateways.cluster.spec.redis and gateways.cluster.spec.redis.model_copy(update={"mode": "cluster"})
        }
    )
    client = Client(gateways.cluster.model_copy(update={"spec": spec}), gateways.account, gateways.api, new_app)
    with pytest.raises(Rejected) as refused:
        client.prepare()
    assert refused.value.reason == "RedisModeUnsupported"
