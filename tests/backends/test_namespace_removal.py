"""What is in the way, what goes, and what fails, on a real API server with the operator's own weak rights."""

import base64
import time
from collections.abc import Mapping
from dataclasses import replace
from secrets import token_hex
from urllib.parse import urlsplit

import pytest
from tests.backends.namespace_world import (
    HUB,
    PASSWORD,
    POSTGRES,
    World,
    decoded,
    empty,
    reading,
    world,
)
from tests.patience import until
from tests.wire import Wire

from matrixhub import metrics
from matrixhub.api import naming
from matrixhub.backends.contract import Credential, Intent, Owner, Phase
from matrixhub.backends.namespace import client as client_module
from matrixhub.backends.namespace.client import Client
from matrixhub.backends.namespace.plan import Await
from matrixhub.backends.namespace.state import ORDER
from matrixhub.engine.vault import Vault
from matrixhub.errors import Conflict, Rejected, Transient, Unreachable
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import SECRET
from matrixhub.main import kinds

__all__ = ["reading", "world"]


@pytest.mark.usefixtures("reading")
def test_a_namespace_of_somebody_else_is_a_conflict(world: World) -> None:
    tenant = world.taken("ns-taken")
    wish = world.intent(tenant)
    with pytest.raises(Conflict, match=r"Namespace tenant-ns-taken-.* is in the way: kubectl-create made it") as caught:
        world.settle(wish)
    assert caught.value.owner == "kubectl-create"
    assert world.get("ClusterRole", naming.cluster_role(tenant)) is None
    world.settle(world.intent(tenant, Phase.RETAINED))
    world.settle(world.intent(tenant, Phase.DELETED))
    house = world.have("Namespace", naming.namespace(tenant))
    assert "deletionTimestamp" not in house["metadata"]
    assert naming.TENANT_LABEL not in house["metadata"]["labels"]


def test_a_namespace_of_another_hub_is_a_conflict_unless_it_was_retained(world: World) -> None:
    tenant = f"ns-restored-{token_hex(3)}"  # as an earlier run's would still be on its way out
    theirs = Owner("another-hub", "uid-1")
    world.settle(world.intent(tenant, owner=theirs))
    with pytest.raises(Conflict, match="another Matrix Hub") as caught:
        world.settle(world.intent(tenant))
    assert caught.value.owner == "another-hub/uid-1"
    world.settle(world.intent(tenant, Phase.DELETED))
    assert world.get("Secret", "postgres", tenant), "not ours to delete"
    world.settle(world.intent(tenant, Phase.RETAINED, owner=theirs))
    world.settle(world.intent(tenant))
    house = world.have("Namespace", naming.namespace(tenant))["metadata"]["annotations"]
    assert house[naming.OWNER_ANNOTATION] == f"{HUB}/uid-{tenant}"


def test_what_a_lost_hub_marked_is_adopted_where_the_cluster_says_so(world: World) -> None:
    tenant = f"ns-moved-{token_hex(3)}"
    world.settle(world.intent(tenant, owner=Owner("lost-hub", "uid-1")))
    world.settle(world.intent(tenant, owner=Owner(HUB, "uid-2", former="lost-hub")))
    for kind, name in (("Namespace", naming.namespace(tenant)), ("Secret", "postgres")):
        marks = (world.have(kind, name, tenant) if kind == "Secret" else world.have(kind, name))["metadata"][
            "annotations"
        ]
        assert marks[naming.OWNER_ANNOTATION] == f"{HUB}/uid-2"


def test_an_object_of_somebody_else_inside_is_left_alone_and_hinders_nothing_else(world: World) -> None:
    wish = world.intent("ns-squat")
    world.settle(wish)
    for secret in ("postgres", "redis"):
        world.admin.delete(SECRET, secret, "tenant-ns-squat")
    world.make("Secret", "postgres", "ns-squat", stringData={"password": "theirs"})
    labels = {**naming.MANAGED_BY, naming.TENANT_LABEL: "ns-squat"}
    world.make("Secret", "redis", "ns-squat", stringData={"password": "theirs"}, metadata={"labels": labels})
    with pytest.raises(Conflict, match=r"Secret tenant-ns-squat/(postgres|redis) is in the way"):
        world.settle(world.intent("ns-squat", owners=[], compute={"pods": 1}))
    for secret in ("postgres", "redis"):
        assert decoded(world.have("Secret", secret, "ns-squat")) == {"password": "theirs"}
    assert not world.may("ns-head", "get", "pods", "--namespace=tenant-ns-squat"), "a lost role is not kept this way"
    assert world.have("ResourceQuota", "matrixhub", "ns-squat")["spec"]["hard"] == {"pods": "1"}
    world.settle(world.intent("ns-squat", Phase.RETAINED))
    assert decoded(world.have("Secret", "postgres", "ns-squat")) == {"password": "theirs"}


def test_a_cluster_role_of_somebody_else_is_a_conflict(world: World) -> None:
    wish = world.intent("ns-role")
    world.make("ClusterRole", naming.cluster_role("ns-role"), rules=[])
    with pytest.raises(Conflict, match="ClusterRole matrixhub:tenant:ns-role is in the way"):
        world.settle(wish)
    assert world.have("ClusterRole", naming.cluster_role("ns-role")).get("rules") in ([], None)
    assert world.have("Secret", "postgres", "ns-role")


def test_one_tenant_in_trouble_is_the_only_one(world: World) -> None:
    bad = world.taken("ns-bad")
    wishes = [world.intent(bad), world.intent("ns-good"), world.intent("ns-wrong", compute={"pods": "1.5"})]
    plans = {w.tenant.id: world.client.plan(world.client.desired(w), empty(w)) for w in wishes}
    applied = world.client.apply(plans)
    assert isinstance(applied[bad].error, Conflict)
    assert applied["ns-good"].error is None
    assert isinstance(applied["ns-wrong"].error, Rejected)
    assert applied["ns-wrong"].error.reason == "Invalid"
    assert "integer" in applied["ns-wrong"].error.message
    assert world.get("RoleBinding", "matrixhub-admin", "ns-wrong"), "what can be made is made"


def test_retained_keeps_the_namespace_and_takes_access(world: World) -> None:
    world.settle(world.intent("ns-kept"))
    uid = world.have("Namespace", "tenant-ns-kept")["metadata"]["uid"]
    world.make("Secret", "workload", "ns-kept", stringData={"a": "b"})
    world.meddle("Secret", "redis", "ns-kept", {"metadata": {"labels": None}})
    world.meddle("RoleBinding", "matrixhub-admin", "ns-kept", {"metadata": {"labels": None}})
    world.settle(world.intent("ns-kept", Phase.RETAINED))
    house = world.have("Namespace", "tenant-ns-kept")["metadata"]
    assert house["uid"] == uid
    assert house["annotations"]["matrixhub.io/retained"] == "true"
    for kind, name in (("Secret", "postgres"), ("Secret", "redis"), ("RoleBinding", "matrixhub-admin")):
        assert world.get(kind, name, "ns-kept") is None
    assert world.get("ClusterRole", naming.cluster_role("ns-kept")) is None
    assert not world.may("ns-head", "get", "pods", "--namespace=tenant-ns-kept")
    for kind in ("ResourceQuota", "NetworkPolicy", "LimitRange"):
        assert world.get(kind, "matrixhub", "ns-kept")
    assert world.get("Secret", "workload", "ns-kept")

    world.settle(world.intent("ns-kept", owner=Owner(HUB, "uid-of-the-next")))
    house = world.have("Namespace", "tenant-ns-kept")["metadata"]
    assert house["uid"] == uid
    assert house["annotations"][naming.OWNER_ANNOTATION] == f"{HUB}/uid-of-the-next"
    assert "matrixhub.io/retained" not in house["annotations"]
    assert world.get("Secret", "workload", "ns-kept")
    assert world.may("ns-head", "get", "pods", "--namespace=tenant-ns-kept")


@pytest.mark.parametrize("before", [Phase.RETAINED, Phase.ACTIVE])
def test_a_namespace_does_not_go_with_a_tenant_that_never_had_it(world: World, before: Phase) -> None:
    tenant = f"ns-heirless-{before.value.lower()}"
    world.settle(world.intent(tenant))
    world.settle(world.intent(tenant, before))
    world.make("Secret", "workload", tenant, stringData={"a": "b"})
    world.settle(world.intent(tenant, Phase.DELETED, owner=Owner(HUB, "uid-of-the-next")))
    assert "deletionTimestamp" not in world.have("Namespace", naming.namespace(tenant))["metadata"]
    assert world.get("Secret", "workload", tenant)
    for kind in ("ResourceQuota", "NetworkPolicy", "LimitRange"):
        assert world.get(kind, "matrixhub", tenant), "what guards the workloads that stay"
    for kind, name in (("Secret", "postgres"), ("RoleBinding", "matrixhub-admin")):
        assert world.get(kind, name, tenant) is None, "the door is shut all the same"


def test_a_secret_planted_in_a_retained_namespace_is_nobodys_credential(world: World) -> None:
    world.settle(world.intent("ns-planted"))
    world.settle(world.intent("ns-planted", Phase.RETAINED))
    metadata = {
        "labels": {**naming.MANAGED_BY, naming.TENANT_LABEL: "ns-planted"},
        "annotations": {naming.OWNER_ANNOTATION: f"{HUB}/uid-ns-planted"},
    }
    planted = {"username": "tenant_ns-planted", "password": "known-to-the-former-owner-of-this-namespace"}
    world.make("Secret", "postgres", "ns-planted", stringData=planted, metadata=metadata)
    assert read(world, "ns-planted", Owner(HUB, "uid-ns-planted")) == {}


def test_what_an_earlier_tenant_left_without_a_word_is_no_credential_of_the_next(world: World) -> None:
    """It went while no operator ran, so nothing says that it is gone; even a Secret marked for the next is not its."""
    world.settle(world.intent("ns-left"))
    heir = Owner(HUB, "uid-of-the-next")
    mark = {"metadata": {"annotations": {naming.OWNER_ANNOTATION: str(heir)}}}
    world.meddle("Secret", "redis", "ns-left", mark)
    assert read(world, "ns-left", heir) == {}
    assert set(read(world, "ns-left", Owner("new-hub", "any", former=HUB))) == {"postgres", "redis"}, "restored"
    new = {"password": "made-for-the-next-and-for-nobody-else"}
    world.settle(replace(world.intent("ns-left", owner=heir), secrets={"postgres": {**POSTGRES, **new}}))
    assert read(world, "ns-left", heir)["postgres"].password == new["password"]


def read(world: World, tenant: str, owner: Owner) -> Mapping[str, Credential]:
    """What the vault finds, be it asked about few tenants or many."""
    vault = Vault(world.operator, (kind for kind in kinds(world.operator) if kind.name in ("postgres", "redis")))
    many = {f"ns-none-{n}": owner for n in range(30)}
    one, among = vault.read({tenant: owner}), vault.read({tenant: owner, **many})
    assert one == among
    return one.get(tenant, {})


def test_a_retained_namespace_is_taken_over_once_no_planted_secret_is_left(world: World) -> None:
    tenant = f"ns-guarded-{token_hex(3)}"  # as an earlier run's would still be on its way out
    world.settle(world.intent(tenant))
    world.settle(world.intent(tenant, Phase.RETAINED))
    metadata = {
        "labels": {**naming.MANAGED_BY, naming.TENANT_LABEL: tenant},
        "annotations": {naming.OWNER_ANNOTATION: f"{HUB}/uid-{tenant}"},
        "finalizers": ["example.org/hold"],
    }
    planted = {"username": "x", "password": "known-to-the-former-owner-of-this-namespace"}
    world.make("Secret", "postgres", tenant, stringData=planted, metadata=metadata, immutable=True)
    heir = world.intent(tenant, owner=Owner(HUB, "uid-of-the-next"))
    (applied,) = world.round(heir).values()
    assert applied.error is not None
    assert "matrixhub.io/retained" in world.have("Namespace", naming.namespace(tenant))["metadata"]["annotations"]
    world.meddle("Secret", "postgres", tenant, {"metadata": {"finalizers": None}})
    world.settle(heir)
    assert decoded(world.have("Secret", "postgres", tenant))["password"] == PASSWORD
    assert "matrixhub.io/retained" not in world.have("Namespace", naming.namespace(tenant))["metadata"]["annotations"]


def test_suspended_changes_nothing_here(world: World) -> None:
    world.settle(world.intent("ns-paused"))
    assert world.plans(world.intent("ns-paused", Phase.SUSPENDED)) == {"ns-paused": ()}


def test_deleted_is_done_when_the_namespace_is_really_gone(world: World) -> None:
    world.settle(world.intent("ns-gone"))
    world.make("Secret", "held", "ns-gone", metadata={"finalizers": ["example.org/hold"]})
    gone = world.intent("ns-gone", Phase.DELETED)
    (applied,) = world.round(gone).values()
    assert isinstance(applied.error, Transient)
    assert applied.error.reason == "Deleting"
    assert applied.error.retry_after is None, "the watch tells of its end; looks grow rarer"
    until(lambda: says_what_it_waits_for(world, gone), 10)
    with pytest.raises(Transient, match="tenant-ns-gone is being deleted"):
        world.round(world.intent("ns-gone"))
    world.meddle("Secret", "held", "ns-gone", {"metadata": {"finalizers": None}})
    world.settle(gone)
    assert world.get("Namespace", "tenant-ns-gone") is None
    assert world.get("ClusterRole", naming.cluster_role("ns-gone")) is None
    assert world.get("ClusterRoleBinding", naming.cluster_role("ns-gone")) is None


def says_what_it_waits_for(world: World, gone: Intent) -> bool:
    (applied,) = world.round(gone).values()
    assert applied.error
    return "example.org/hold" in applied.error.message


def test_removal_works_when_nothing_exists(world: World) -> None:
    for phase in (Phase.RETAINED, Phase.DELETED):
        assert world.plans(world.intent("ns-never", phase)) == {"ns-never": ()}
    assert world.get("Namespace", "tenant-ns-never") is None


def test_a_namespace_without_its_marks_is_still_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.settle(world.intent("ns-bare"))
    world.meddle("Namespace", "tenant-ns-bare", "", {"metadata": {"labels": None, "annotations": None}})
    gone = world.intent("ns-bare", Phase.DELETED)
    with monkeypatch.context() as by_list:
        by_list.setattr(client_module, "FEW", 0)
        by_list.setattr(client_module, "SHARE", 10**6)
        assert any(isinstance(step, Await) for step in world.plans(gone)["ns-bare"])
    world.settle(gone)
    assert world.get("Namespace", "tenant-ns-bare") is None


def test_every_half_made_state_converges(world: World) -> None:
    """Killed after each step in turn: what follows makes it whole, or takes all of it away."""
    wish = world.intent("ns-half-0")
    count = len(world.client.plan(world.client.desired(wish), empty(wish)))
    assert count >= 9
    halves = [world.intent(f"ns-half-{done}") for done in range(count)]
    plans = world.plans(*halves)
    for done, half in enumerate(halves):
        (result,) = world.client.apply({half.tenant.id: plans[half.tenant.id][:done]}).values()
        assert result.error is None
    world.settle(*halves[::2])
    assert all(plan == () for plan in world.plans(*halves[::2]).values())
    assert all(world.get("Secret", "postgres", half.tenant.id) for half in halves[::2])
    world.settle(*(world.intent(half.tenant.id, Phase.RETAINED) for half in halves[1::2]))
    assert world.get("Namespace", "tenant-ns-half-3")
    assert not any(world.get("Secret", "postgres", half.tenant.id) for half in halves[1::2])
    world.settle(*(world.intent(half.tenant.id, Phase.DELETED) for half in halves[1:5]))
    assert not any(world.get("Namespace", naming.namespace(half.tenant.id)) for half in halves[1:5])


def test_a_stale_plan_never_hits_an_object_that_was_made_since(world: World) -> None:
    wish = world.intent("ns-stale")
    world.settle(wish)
    world.meddle("Secret", "postgres", "ns-stale", {"data": {"password": "aGFja2Vk"}})
    stale = {**world.plans(wish), "ns-none": ()}
    removal = world.plans(world.intent("ns-stale", Phase.RETAINED))
    world.admin.delete(SECRET, "postgres", "tenant-ns-stale")
    world.make("Secret", "postgres", "ns-stale", stringData={"password": "theirs"})
    for plan in (stale, {"ns-stale": removal["ns-stale"]}):
        error = world.client.apply(plan)["ns-stale"].error
        assert isinstance(error, Transient)
        assert decoded(world.have("Secret", "postgres", "ns-stale")) == {"password": "theirs"}


def test_the_vault_reads_what_the_namespace_holds(world: World) -> None:
    world.settle(world.intent("ns-vault"), world.intent("ns-vaulted"))
    held = read(world, "ns-vault", Owner(HUB, "uid-ns-vault"))
    assert held["postgres"].username == "tenant_x"
    assert held["redis"].password == PASSWORD


def test_a_missing_right_is_named_with_its_remedy(world: World) -> None:
    with pytest.raises(Rejected, match=r"cannot get resource.*admin-rights/kubernetes.yaml") as caught:
        Client(world.powerless()).observe([world.intent("ns-weak")])
    assert caught.value.reason == "PermissionDenied"


def test_an_api_server_that_is_away_is_unreachable_and_found_again(world: World) -> None:
    server, wish = urlsplit(world.address), world.intent("ns-wire")
    with Wire(server.hostname or "", server.port or 443) as wire:
        near = {"server": f"https://127.0.0.1:{wire.port}", "tls-server-name": server.hostname or ""}
        client = Client(KubeApi(world.reached_by({"cluster": near})))
        plan = client.plan(client.desired(wish), empty(wish))
        assert client.observe([wish])
        wire.cut()
        started = time.monotonic()
        for call in (lambda: client.observe([wish]), lambda: client.apply({"ns-wire": plan}), client.prepare):
            with pytest.raises(Unreachable, match="does not answer"):
                call()
        assert time.monotonic() - started < 15
        wire.mend()
        assert client.prepare().version.startswith("v1.")
        assert client.apply({"ns-wire": plan})["ns-wire"].error is None
        client.close()


def test_no_secret_in_any_sentence(world: World) -> None:
    wish = world.intent("ns-quiet", compute={"pods": "1.5"})
    plans = world.plans(wish)
    applied = world.client.apply(plans)
    shown = repr(plans) + repr(applied) + "".join(str(step) for step in plans["ns-quiet"])
    assert PASSWORD not in shown
    assert base64.b64encode(PASSWORD.encode()).decode() not in shown


def requests() -> float:
    return sum(
        sample.value
        for metric in metrics.KUBERNETES_REQUESTS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


def test_reading_many_costs_requests_by_kind_not_by_tenant(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FEW", 10)
    monkeypatch.setattr(client_module, "SHARE", 10**6)
    wishes = [world.intent(f"ns-many-{n}") for n in range(11)]
    world.settle(*wishes)
    pages = -(-len(list(world.admin.list(SECRET, labels=naming.MANAGED_BY_SELECTOR))) // SECRET.page)
    before = requests()
    seen = world.client.observe(wishes)
    assert requests() - before == len(ORDER) - 1 + pages, "one page of each kind, and the Secrets' own"
    assert pages < len(wishes)
    assert all(seen[wish.tenant.id] == world.client.desired(wish) for wish in wishes)
