"""What a tenant gets on a real API server, with the operator's own weak rights, and that it stays that way."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.backends.namespace_world import (
    HUB,
    INSIDE,
    OWNERS,
    POSTGRES,
    World,
    decoded,
    reading,
    world,
)
from tests.patience import until

from demo import cluster as demo
from matrixhub.api import naming
from matrixhub.backends.contract import Phase
from matrixhub.errors import BackendError, Rejected
from matrixhub.kube.resources import BY_KIND, Manifest

__all__ = ["reading", "world"]


@pytest.fixture(scope="module", autouse=True)
def resources(stand: Mapping[str, str]) -> None:
    """What a person may do to a Tenant is only known of a kind that exists."""
    demo.install(stand)


def test_a_tenant_gets_its_namespace_with_everything_in_it(world: World) -> None:
    world.settle(world.intent("ns-new", displayName="Greenwood High"))
    house = world.have("Namespace", "tenant-ns-new")["metadata"]
    assert house["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert house["labels"][naming.TENANT_LABEL] == "ns-new"
    assert house["annotations"][naming.OWNER_ANNOTATION] == f"{HUB}/uid-ns-new"
    assert house["annotations"]["matrixhub.io/display-name"] == "Greenwood High"
    assert "ownerReferences" not in house, "or garbage collection would take the data with the Tenant"
    assert world.have("ResourceQuota", "matrixhub", "ns-new")["spec"]["hard"] == {"requests.cpu": "4", "pods": "5"}
    secret = world.have("Secret", "postgres", "ns-new")
    assert secret["type"] == "servicebinding.io/postgresql"
    assert decoded(secret) == POSTGRES
    assert world.plans(world.intent("ns-new", displayName="Greenwood High")) == {"ns-new": ()}


def test_owners_have_their_role_and_see_their_own_tenant_only(world: World) -> None:
    world.settle(world.intent("ns-roles"), world.intent("ns-next", owners=[]))
    inside, next_door = "--namespace=tenant-ns-roles", "--namespace=tenant-ns-next"
    assert world.may("ns-head", "create", "deployments", inside)
    assert world.may("ns-head", "get", "secrets", inside)
    assert world.may("ns-teacher", "get", "pods", inside)
    assert not world.may("ns-teacher", "create", "deployments", inside)
    assert not world.may("ns-teacher", "get", "secrets", inside)
    assert not world.may("ns-head", "get", "pods", next_door)
    assert not world.may("ns-head", "patch", "resourcequotas", inside)
    for user in ("ns-head", "ns-teacher"):
        assert world.may(user, "get", "tenants.matrixhub.io/ns-roles")
        assert not world.may(user, "get", "tenants.matrixhub.io/ns-next")
        assert not world.may(user, "patch", "tenants.matrixhub.io/ns-roles")


def test_an_owner_who_is_no_longer_one_loses_role_and_sight(world: World) -> None:
    world.settle(world.intent("ns-leaver"))
    world.settle(world.intent("ns-leaver", owners=OWNERS[1:]))
    assert not world.may("ns-head", "get", "pods", "--namespace=tenant-ns-leaver")
    assert not world.may("ns-head", "get", "tenants.matrixhub.io/ns-leaver")
    assert world.may("ns-teacher", "get", "pods", "--namespace=tenant-ns-leaver")
    world.settle(world.intent("ns-leaver", owners=[]))
    assert world.get("ClusterRole", naming.cluster_role("ns-leaver")) is None
    assert world.get("ClusterRoleBinding", naming.cluster_role("ns-leaver")) is None


def test_pods_are_confined_by_pod_security_quota_and_limits(world: World) -> None:
    quota = {"requests.cpu": "100m", "limits.memory": "256Mi", "pods": 5}
    world.settle(world.intent("ns-pods", compute=quota))
    pod = {
        "containers": [
            {
                "name": "app",
                "image": "none.example/app",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "automountServiceAccountToken": False,
    }
    until(lambda: is_let_in(world, "ns-pods", "first", pod), 10)
    with pytest.raises(Rejected, match="exceeded quota"):
        post_pod(world, "ns-pods", "second", pod)
    with pytest.raises(Rejected, match="violates PodSecurity"):
        post_pod(world, "ns-pods", "root", {**pod, "hostNetwork": True, "securityContext": {}})


def post_pod(world: World, tenant: str, name: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": naming.namespace(tenant)}
    return world.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def is_let_in(world: World, tenant: str, name: str, spec: Manifest) -> bool:
    """Whether the pod is made by now: controllers count quotas and make service accounts when they come to it."""
    try:
        return bool(post_pod(world, tenant, name, spec))
    except BackendError as error:
        raise AssertionError(error.message) from error


DRIFT: dict[str, tuple[str, str, Manifest]] = {
    "quota raised": ("ResourceQuota", "matrixhub", {"spec": {"hard": {"requests.cpu": "400"}}}),
    "quota entry removed": ("ResourceQuota", "matrixhub", {"spec": {"hard": {"pods": None}}}),
    "quota entry added": ("ResourceQuota", "matrixhub", {"spec": {"hard": {"configmaps": "7"}}}),
    "limit changed": ("LimitRange", "matrixhub", {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "9"}}]}}),
    "ingress opened": ("NetworkPolicy", "matrixhub", {"spec": {"ingress": [{}]}}),
    "egress opened": ("NetworkPolicy", "matrixhub", {"spec": {"egress": [{}]}}),
    "only some pods": ("NetworkPolicy", "matrixhub", {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}),
    "subject added": (
        "RoleBinding",
        "matrixhub-admin",
        {"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}]},
    ),
    "password changed": ("Secret", "postgres", {"data": {"password": "aGFja2Vk"}}),
    "key removed": ("Secret", "postgres", {"data": {"host": None}}),
    "key added": ("Secret", "postgres", {"data": {"sslmode": "ZGlzYWJsZQ=="}}),
    "made immutable": ("Secret", "postgres", {"immutable": True, "data": {"password": "aGFja2Vk"}}),
    "label removed": ("Secret", "redis", {"metadata": {"labels": {naming.TENANT_LABEL: None}}}),
    "manager's label removed": ("RoleBinding", "matrixhub-view", {"metadata": {"labels": None}}),
    "mark removed": ("NetworkPolicy", "matrixhub", {"metadata": {"annotations": None}, "spec": {"egress": [{}]}}),
    "namespace's mark removed": ("Namespace", "tenant-ns-drift", {"metadata": {"annotations": None}}),
    "pod security lowered": (
        "Namespace",
        "tenant-ns-drift",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
    ),
    "pod security pinned": (
        "Namespace",
        "tenant-ns-drift",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce-version": "v1.1"}}},
    ),
    "namespace's labels removed": (
        "Namespace",
        "tenant-ns-drift",
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": None, naming.TENANT_LABEL: None}}},
    ),
    "rule added": (
        "ClusterRole",
        "matrixhub:tenant:ns-drift",
        {"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]},
    ),
    "rules aggregated": (
        "ClusterRole",
        "matrixhub:tenant:ns-drift",
        {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"none": "such"}}]}},
    ),
    "reader added": (
        "ClusterRoleBinding",
        "matrixhub:tenant:ns-drift",
        {"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}]},
    ),
}


def meaning(manifest: Manifest) -> Manifest:
    """The object without what the server keeps about it."""
    kept = {key: value for key, value in manifest.items() if key not in ("status", "apiVersion", "kind")}
    return kept | {"metadata": {key: manifest["metadata"].get(key) for key in ("labels", "annotations")}}


@pytest.mark.parametrize("case", DRIFT)
@pytest.mark.usefixtures("reading")
def test_a_change_by_hand_is_put_right(world: World, case: str) -> None:
    kind, name, patch = DRIFT[case]
    wish = world.intent("ns-drift")
    world.settle(wish)
    tenant = "ns-drift" if BY_KIND[kind].namespaced else ""
    before = meaning(world.have(kind, name, tenant))
    world.meddle(kind, name, tenant, patch)
    assert meaning(world.have(kind, name, tenant)) != before
    assert world.plans(wish)["ns-drift"], "the drift is seen"
    world.settle(wish)
    assert meaning(world.have(kind, name, tenant)) == before


@pytest.mark.parametrize("kind", INSIDE)
def test_what_was_removed_by_hand_is_made_again(world: World, kind: str) -> None:
    wish = world.intent("ns-drift")
    world.settle(wish)
    before = meaning(world.have(kind, INSIDE[kind], "ns-drift"))
    world.admin.delete(BY_KIND[kind], INSIDE[kind], "tenant-ns-drift")
    assert [str(step) for step in world.plans(wish)["ns-drift"]] == [f"Created {kind} tenant-ns-drift/{INSIDE[kind]}"]
    world.settle(wish)
    assert meaning(world.have(kind, INSIDE[kind], "ns-drift")) == before


def test_a_binding_turned_into_another_role_is_replaced(world: World) -> None:
    wish = world.intent("ns-drift")
    world.settle(wish)
    binding = world.have("RoleBinding", "matrixhub-view", "ns-drift")
    world.admin.delete(BY_KIND["RoleBinding"], "matrixhub-view", "tenant-ns-drift")
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    metadata = {key: binding["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    world.make(
        "RoleBinding", "matrixhub-view", "ns-drift", metadata=metadata, subjects=binding["subjects"], roleRef=role
    )
    assert world.may("ns-teacher", "delete", "secrets", "--namespace=tenant-ns-drift")
    world.settle(wish)
    assert not world.may("ns-teacher", "delete", "secrets", "--namespace=tenant-ns-drift")


def test_what_others_add_beside_our_fields_stays(world: World) -> None:
    wish = world.intent("ns-guests")
    world.settle(wish)
    world.meddle("Namespace", "tenant-ns-guests", "", {"metadata": {"labels": {"team": "green"}}})
    world.meddle("Secret", "redis", "ns-guests", {"metadata": {"annotations": {"reloader": "yes"}}})
    copy = world.have("Secret", "postgres", "ns-guests")["metadata"]
    kept = {key: copy[key] for key in ("labels", "annotations")}
    world.make("Secret", "my-postgres", "ns-guests", metadata=kept, stringData={"a": "b"})
    world.make("NetworkPolicy", "open", "ns-guests", spec={"podSelector": {}, "ingress": [{}]})
    assert world.plans(wish) == {"ns-guests": ()}
    world.settle(world.intent("ns-guests", Phase.RETAINED))
    assert world.get("Secret", "my-postgres", "ns-guests"), "a copy under another name is not ours"
    assert world.have("Namespace", "tenant-ns-guests")["metadata"]["labels"]["team"] == "green"


def test_quantities_are_compared_by_value(world: World) -> None:
    world.settle(world.intent("ns-units", compute={"requests.memory": "1024Mi", "requests.cpu": 4, "pods": "1e1"}))
    for same in ("1Gi", "1073741824", 1073741824, "1048576Ki"):
        wish = world.intent("ns-units", compute={"requests.memory": same, "requests.cpu": "4000m", "pods": 10})
        assert world.plans(wish) == {"ns-units": ()}
    assert world.plans(world.intent("ns-units", compute={"requests.memory": "1G"}))["ns-units"]


def test_without_compute_there_is_no_quota(world: World) -> None:
    world.settle(world.intent("ns-free", compute={"pods": 1}))
    world.settle(world.intent("ns-free", compute={}))
    assert world.get("ResourceQuota", "matrixhub", "ns-free") is None


def test_a_quota_on_secrets_leaves_room_for_ours(world: World) -> None:
    world.settle(world.intent("ns-tight", compute={"secrets": 2, "count/secrets": 2}))
    assert world.get("Secret", "redis", "ns-tight")


def test_a_quota_too_small_for_our_secrets_is_said(world: World) -> None:
    tight = {"secrets": "1"}
    wish = world.intent("ns-tighter", compute=tight)
    world.settle(replace(wish, secrets={"postgres": POSTGRES}))
    hard = {"status": {"hard": tight}}
    until(lambda: same_status(world, hard), 10)
    (applied,) = world.round(wish).values()
    assert isinstance(applied.error, Rejected)
    assert applied.error.reason == "QuotaExceeded"
    assert "spec.compute" in applied.error.message


def same_status(world: World, wanted: Manifest) -> bool:
    status = world.have("ResourceQuota", "matrixhub", "ns-tighter").get("status") or {}
    return bool(status.get("hard") == wanted["status"]["hard"])
