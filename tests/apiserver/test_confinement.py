"""What a stolen token of the operator's can do, on a real API server: what the operator does, and nothing else."""

from typing import Any

import pytest
from tests.apiserver.thief import (
    LABEL,
    NOBODYS,
    OPERATOR,
    POD_SPEC,
    RBAC,
    READER,
    RESTRICTED,
    WORKLOAD,
    Place,
    changed,
    granted,
    path_of,
    theirs,
)

from matrixhub.api import naming
from matrixhub.kube.resources import NAMESPACE, Manifest


def strange(namespace: str) -> dict[str, Manifest]:
    """By kind, an object that is not the operator's: of each kind that its roles let it write."""
    return {
        "namespaces": theirs("Namespace", "v1", None),
        "secrets": theirs("Secret", "v1", namespace),
        "resourcequotas": theirs("ResourceQuota", "v1", namespace, spec={"hard": {"pods": "5"}}),
        "limitranges": theirs("LimitRange", "v1", namespace, spec={"limits": []}),
        "services": theirs("Service", "v1", namespace, spec={"ports": [{"port": 80}]}),
        "configmaps": theirs("ConfigMap", "v1", namespace),
        "serviceaccounts": theirs("ServiceAccount", "v1", namespace),
        "events": theirs("Event", "v1", namespace, involvedObject={"kind": "Pod", "namespace": namespace}),
        "pods": theirs("Pod", "v1", namespace, spec=POD_SPEC),
        "networking.k8s.io/networkpolicies": theirs(
            "NetworkPolicy", "networking.k8s.io/v1", namespace, spec={"podSelector": {}}
        ),
        "apps/deployments": theirs("Deployment", "apps/v1", namespace, spec={**WORKLOAD, "replicas": 0}),
        "policy/poddisruptionbudgets": theirs(
            "PodDisruptionBudget", "policy/v1", namespace, spec={"maxUnavailable": 0}
        ),
        "coordination.k8s.io/leases": theirs("Lease", "coordination.k8s.io/v1", "matrixhub-system", spec={}),
        f"{RBAC}/rolebindings": theirs("RoleBinding", f"{RBAC}/v1", namespace, roleRef=READER),
        f"{RBAC}/clusterroles": theirs("ClusterRole", f"{RBAC}/v1", None, rules=[]),
        f"{RBAC}/clusterrolebindings": theirs("ClusterRoleBinding", f"{RBAC}/v1", None, roleRef=READER),
    }


def test_what_the_operator_makes_is_granted(at: Place) -> None:
    kinds = {key.partition(" ")[0] for key in at.made}
    assert {"Namespace", "Secret", "Deployment", "Service", "ClusterRole", "RoleBinding", "NetworkPolicy"} <= kinds
    role = f"ClusterRole matrixhub:tenant:{at.tenant}"
    with at.there(at.of(role)):  # a binding to what is not there is refused anyway
        for key in (key for key in at.made if not key.startswith("Namespace") and key != role):
            for answer in (at.thief.create(at.of(key)), at.thief.apply(at.of(key))):
                assert answer.granted, f"{key}: {answer.message}"
        assert at.thief.apply(at.of(role)).granted
    assert at.thief.create(at.of(role)).granted


@pytest.mark.parametrize("what", sorted(set(strange("")) - {"pods"}))
@pytest.mark.parametrize("where", ["kube-system", "house", "inside"])
def test_nothing_else_is_made(at: Place, what: str, where: str) -> None:
    answer = at.thief.create(strange(getattr(at, where, where))[what])
    assert answer.confined, answer.message


def test_no_right_to_write_is_left_out(at: Place) -> None:
    """Each is tried on an object of somebody else's, beside a RealtimeCluster; the rest has a test of its own."""
    there, ours = strange(at.house), {f"matrixhub.io/{plural}" for plural in ("tenants", "realtimeclusters")}
    rest = {*ours, *(f"{each}/status" for each in ours), "apps/deployments/scale", "apps/statefulsets/scale"}
    assert granted().keys() == there.keys() | rest
    marks = {"labels": {LABEL: "main"}, "annotations": {naming.OWNER_ANNOTATION: "x/y"}}
    for what, verbs in granted().items():
        if what in rest or not verbs & {"patch", "delete"} or what == "coordination.k8s.io/leases":
            continue
        with at.there(there[what]):
            path = path_of(there[what])
            assert "patch" not in verbs or at.thief.patch(path, {"metadata": marks}).confined, what
            assert "delete" not in verbs or at.thief.delete(path).confined, what


def test_a_right_that_is_added_to_the_roles_stays_without_effect(at: Place) -> None:
    body = {
        "roleRef": READER | {"name": "cluster-admin"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": OPERATOR}],
    }
    pod = theirs("Pod", "v1", at.house, spec=POD_SPEC)
    with at.there(theirs("ClusterRoleBinding", f"{RBAC}/v1", None, f"thief-{at.house}", **body)):
        assert at.thief.create(pod).confined
        assert at.thief.create(
            theirs("StatefulSet", "apps/v1", at.house, spec=WORKLOAD | {"serviceName": "x"})
        ).confined
        with at.there(pod):
            assert at.thief.delete(path_of(pod)).confined


POD_AT = "spec/template/spec"
CONTAINER = f"{POD_AT}/containers/0/securityContext"
HOST_PATH = {"name": "config", "hostPath": {"path": "/"}}
TOKEN = {"name": "config", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
UNCONFINED = {"type": "Unconfined"}
APPARMOR = "container.apparmor.security.beta.kubernetes.io/relay"
ATTACKS = [
    ("Deployment main-relay", f"{POD_AT}/hostNetwork", True, "share nothing"),
    ("Deployment main-relay", f"{POD_AT}/hostPID", True, "share nothing"),
    ("Deployment main-relay", f"{POD_AT}/hostIPC", True, "share nothing"),
    ("Deployment main-relay", f"{POD_AT}/volumes/0", HOST_PATH, "share nothing"),
    ("Deployment main-relay", f"{POD_AT}/volumes/0", TOKEN, "share nothing"),
    ("Deployment main-relay", f"{POD_AT}/nodeName", "node", "share nothing"),
    ("Deployment main-relay", f"{POD_AT}/priorityClassName", "system-node-critical", "share nothing"),
    ("Deployment main-relay", f"{POD_AT}/serviceAccountName", "default", "ServiceAccount of their own"),
    ("Deployment main-relay", f"{POD_AT}/automountServiceAccountToken", True, "no token"),
    ("Deployment main-relay", f"{POD_AT}/securityContext/runAsNonRoot", False, "restricted"),
    ("Deployment main-relay", f"{POD_AT}/securityContext/seccompProfile", UNCONFINED, "restricted"),
    ("Deployment main-relay", CONTAINER, {"privileged": True}, "restricted"),
    ("Deployment main-relay", f"{CONTAINER}/allowPrivilegeEscalation", True, "restricted"),
    ("Deployment main-relay", f"{CONTAINER}/runAsUser", 0, "restricted"),
    ("Deployment main-relay", f"{CONTAINER}/runAsNonRoot", False, "restricted"),
    ("Deployment main-relay", f"{CONTAINER}/seccompProfile", UNCONFINED, "restricted"),
    ("Deployment main-relay", f"{CONTAINER}/capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "restricted"),
    ("Deployment main-relay", f"{CONTAINER}/capabilities", {}, "restricted"),
    ("Deployment main-relay", f"{CONTAINER}/seLinuxOptions", {"type": "spc_t"}, "restricted"),
    ("Deployment main-relay", f"{CONTAINER}/appArmorProfile", UNCONFINED, "restricted"),
    ("Deployment main-relay", f"{CONTAINER}/windowsOptions", {"hostProcess": False}, "restricted"),
    ("Deployment main-relay", f"{POD_AT}/securityContext/seLinuxOptions", {"type": "spc_t"}, "restricted"),
    ("Deployment main-relay", f"{POD_AT}/securityContext/appArmorProfile", UNCONFINED, "restricted"),
    ("Deployment main-relay", f"{POD_AT}/securityContext/sysctls", [{"name": "a.b", "value": "1"}], "restricted"),
    ("Deployment main-relay", "spec/template/metadata/annotations", {APPARMOR: "unconfined"}, "restricted"),
    ("Deployment main-relay", f"{POD_AT}/containers/0/ports/0/hostPort", 22, "restricted"),
    ("Deployment main-relay", f"{POD_AT}/initContainers", [{"name": "a", "image": "b"}], "restricted"),
    ("Deployment main-relay", "metadata/name", "kube-proxy", "named after it"),
    ("Deployment main-relay", "metadata/labels", {LABEL: "other"}, "named after it"),
    ("Service main-gateway", "metadata/name", "kubernetes", "named after it"),
    ("Service main-gateway", "spec/externalIPs", ["10.0.0.1"], "takes no address"),
    ("Service main-gateway", "spec/loadBalancerIP", "10.0.0.1", "takes no address"),
    ("Service main-gateway", "spec/selector", {"app": "theirs"}, "lead to gateways"),
    ("ServiceAccount main-relay", "metadata/annotations", {"eks.amazonaws.com/role-arn": "x"}, "identity"),
    ("ServiceAccount main-relay", "automountServiceAccountToken", True, "without a token"),
    ("PodDisruptionBudget main-relay", "spec/selector", {}, "disruption budgets"),
    ("ConfigMap main-relay", "metadata/name", "extension-apiserver-authentication", "named after it"),
    ("Secret main-accounts", "type", "kubernetes.io/service-account-token", "a type"),
    ("Secret main-accounts", "metadata/name", "postgres-admin", "a type"),
    ("Secret redis", "type", "kubernetes.io/service-account-token", "a type"),
    ("Secret redis", "metadata/name", "theirs", "a type"),
    ("RoleBinding matrixhub-view", "roleRef/name", "admin", "bindings matrixhub-*"),
    ("RoleBinding matrixhub-admin", "metadata/name", "theirs", "bindings matrixhub-*"),
    ("NetworkPolicy matrixhub", "metadata/name", "theirs", "network policy named matrixhub"),
    ("NetworkPolicy matrixhub", "metadata/ownerReferences", NOBODYS, "owners"),
    ("Secret redis", "metadata/ownerReferences", NOBODYS, "owners"),
    ("Secret main-accounts", "metadata/ownerReferences/0/name", "other", "owners"),
    ("Deployment main-relay", "metadata/ownerReferences", NOBODYS, "owners"),
]


@pytest.mark.parametrize(("key", "path", "value", "says"), ATTACKS, ids=lambda each: str(each)[:60])
def test_what_it_makes_is_made_in_no_other_way(at: Place, key: str, path: str, value: Any, says: str) -> None:
    manifest = at.of(key)
    if path == "type":  # the token controller then fills in the token of this account
        changed(manifest, "metadata/annotations", {"kubernetes.io/service-account.name": "default"})
    answer = at.thief.create(changed(manifest, path, value))
    assert answer.confined, answer.message
    assert says in answer.message


@pytest.mark.parametrize("where", ["kube-system", "matrixhub-system", "inside"])
def test_nothing_runs_in_the_systems_namespaces_or_a_tenants(at: Place, where: str) -> None:
    for key in (key for key in at.made if " main-" in key):
        answer = at.thief.create(changed(at.of(key), "metadata/namespace", getattr(at, where, where)))
        assert answer.confined, f"{key}: {answer.message}"


def test_a_namespace_that_is_only_called_like_a_tenants_is_not_one(at: Place) -> None:
    """It may be anybody's: the mark tells, and nobody puts it on what he finds."""
    name = f"tenant-{at.house}"
    with at.there(theirs("Namespace", "v1", None, name)):
        for key in ("Secret redis", "RoleBinding matrixhub-admin", "NetworkPolicy matrixhub", "LimitRange matrixhub"):
            answer = at.thief.create(changed(at.of(key), "metadata/namespace", name))
            assert answer.confined, f"{key}: {answer.message}"
        marks = {"annotations": {naming.OWNER_ANNOTATION: "x/y"}, "labels": {RESTRICTED: "restricted"}}
        assert "marked as its own" in at.thief.patch(NAMESPACE.path(name), {"metadata": marks}).message
        assert "marked as its own" in at.thief.delete(NAMESPACE.path(name)).message


def test_a_tenants_namespace_stays_restricted(at: Place) -> None:
    path = NAMESPACE.path(at.inside)
    assert at.thief.patch(path, {"metadata": {"labels": {"x": "y"}}}).granted
    for level in ("privileged", "baseline", None):
        assert at.thief.patch(path, {"metadata": {"labels": {RESTRICTED: level}}}).confined
    version = f"{RESTRICTED}-version"
    assert at.thief.patch(path, {"metadata": {"labels": {version: "latest"}}}).granted
    assert at.thief.patch(path, {"metadata": {"labels": {version: "v1.0"}}}).confined
    assert at.thief.patch(path, {"metadata": {"ownerReferences": NOBODYS}}).confined
    unmarked = at.of(f"Namespace {at.inside}")
    unmarked["metadata"] |= {"name": "tenant-none", "annotations": {}}
    assert at.thief.create(unmarked).confined


@pytest.mark.parametrize(
    "wider",
    [
        {"apiGroups": [""], "resources": ["secrets"]},
        {"resources": ["realtimeclusters"]},
        {"resourceNames": []},
        {"resourceNames": ["other"]},
        {"verbs": ["get", "patch"]},
    ],
    ids=str,
)
def test_a_role_that_it_makes_lets_read_one_tenant_and_no_more(at: Place, wider: Manifest) -> None:
    """Kubernetes itself lets it pass on all that it has, the reading of every Secret first of all."""
    role = at.of(f"ClusterRole matrixhub:tenant:{at.tenant}")
    (rule,) = role["rules"]
    answer = at.thief.create({**role, "rules": [rule | wider]})
    assert answer.confined, answer.message


def test_a_binding_that_it_makes_leads_to_the_role_of_its_name(at: Place) -> None:
    binding = at.of(f"ClusterRoleBinding matrixhub:tenant:{at.tenant}")
    assert at.thief.create(changed(binding, "roleRef/name", "view")).confined
