"""What a stolen token of the operator's can change of what is there, and what a tenant's owners can."""

import pytest
from tests.apiserver.thief import (
    FORBIDDEN,
    LABEL,
    NOBODYS,
    POD_SPEC,
    RBAC,
    READER,
    RESTRICTED,
    WORKLOAD,
    Answer,
    Asker,
    Place,
    changed,
    edited_by,
    path_of,
    theirs,
)
from tests.patience import until
from tests.support import stand_variables

from matrixhub.api import naming
from matrixhub.kube.resources import LIMIT_RANGE, NAMESPACE, RESOURCE_QUOTA, Manifest

NOT_FOUND = 404


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_no_workload_is_scaled_to_nothing_and_none_of_the_systems_at_all(at: Place, kind: str) -> None:
    spec = {**WORKLOAD, "replicas": 0} | ({"serviceName": "x"} if kind == "StatefulSet" else {})
    ours, systems = (theirs(kind, "apps/v1", where, spec=spec) for where in (at.house, "kube-system"))

    def sized(workload: Manifest, replicas: int) -> Answer:
        return at.thief.patch(f"{path_of(workload)}/scale", {"spec": {"replicas": replicas}})

    with at.there(ours, systems):
        assert sized(ours, 2).granted
        assert sized(ours, 0).confined
        assert sized(ours, 1001).confined
        assert sized(systems, 1).confined


def test_of_a_pod_it_writes_what_its_end_would_cost(at: Place) -> None:
    pod = theirs("Pod", "v1", at.house, spec=POD_SPEC)
    pod["metadata"] |= {"labels": {LABEL: "main"}, "annotations": {"a": "b"}}
    with at.there(pod):
        cost = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "5"}}}
        assert at.thief.patch(path_of(pod), cost).granted
        for patch in (
            {"metadata": {"annotations": {"a": "c"}}},
            {"metadata": {"annotations": {"other": "c"}}},
            {"metadata": {"labels": {"other": "c"}}},
            {"metadata": {"ownerReferences": NOBODYS}},
            {"spec": {"activeDeadlineSeconds": 1}},
        ):
            assert at.thief.patch(path_of(pod), patch).confined, patch


def test_it_deletes_no_pod_but_gateways_of_realtimeclusters(at: Place) -> None:
    def pod(name: str, **labels: str) -> Manifest:
        made = theirs("Pod", "v1", at.house, name, spec=POD_SPEC)
        made["metadata"]["labels"] = labels
        return made

    part = "app.kubernetes.io/name"
    gateway = pod("gateway", **{part: "gateway", LABEL: "main"})
    relay, somebodys = pod("relay", **{part: "relay", LABEL: "main"}), pod("somebodys", **{part: "gateway"})
    with at.there(gateway, relay, somebodys):
        assert at.thief.delete(path_of(gateway)).granted
        assert at.thief.delete(path_of(relay)).confined
        assert at.thief.delete(path_of(somebodys)).confined


def test_what_a_person_added_stays_and_hinders_nothing(at: Place) -> None:
    service, account = at.of("Service main-gateway"), at.of("ServiceAccount main-gateway")
    identity = {"cloud.example/role": "gateway"}
    added = changed(service, "spec/externalIPs", ["192.0.2.7"]), changed(account, "metadata/annotations", identity)
    with at.there(*added):
        assert at.thief.apply(at.of("Service main-gateway")).granted
        assert at.thief.apply(at.of("ServiceAccount main-gateway")).granted
        assert at.thief.patch(path_of(service), {"spec": {"externalIPs": ["192.0.2.8"]}}).confined
        assert at.thief.patch(path_of(service), {"metadata": {"ownerReferences": NOBODYS}}).confined
        other = {"metadata": {"annotations": {"cloud.example/role": "admin"}}}
        assert at.thief.patch(path_of(account), other).confined


@pytest.mark.parametrize("key", ["Secret main-accounts", "ConfigMap main-relay", "Deployment main-relay"])
def test_what_has_the_right_name_and_no_label_is_not_taken_over(at: Place, key: str) -> None:
    found = at.of(key)
    found["metadata"] = {"name": found["metadata"]["name"], "namespace": at.house}
    with at.there(found):
        assert at.thief.apply(at.of(key)).confined
        assert at.thief.delete(path_of(found)).confined


def test_of_a_tenant_it_writes_status_and_finalizer(at: Place, crds: None) -> None:
    spec: Manifest = {"clusterRef": {"namespace": at.house, "name": "none"}}
    tenant = {"apiVersion": naming.API_VERSION, "kind": "Tenant", "metadata": {"name": at.tenant}, "spec": spec}
    assert not at.thief.create(tenant).granted
    assert not at.thief.apply(tenant).granted
    path = path_of(tenant)
    with at.there(tenant):
        assert at.thief.patch(path, {"metadata": {"finalizers": [naming.FINALIZER]}}).granted
        assert at.thief.patch(f"{path}/status", {"status": {"message": "x"}}).granted
        for patch in (
            {"spec": {"deletionPolicy": "Delete"}},
            {"metadata": {"labels": {"a": "b"}}},
            {"metadata": {"annotations": {"a": "b"}}},
            {"metadata": {"finalizers": ["example.org/other"]}},
            {"metadata": {"ownerReferences": NOBODYS}},
        ):
            assert at.thief.patch(path, patch).confined, patch


def test_a_realtimecluster_is_led_to_no_other_host(at: Place, crds: None) -> None:
    spec: Manifest = {"redis": {"nodes": ["redis:6379"], "adminSecretRef": {"name": "redis-admin"}}}
    metadata = {"name": "main", "namespace": at.house}
    cluster = {"apiVersion": naming.API_VERSION, "kind": "RealtimeCluster", "metadata": metadata, "spec": spec}
    with at.there(cluster):
        assert at.thief.patch(path_of(cluster), {"metadata": {"finalizers": [naming.CLUSTER_FINALIZER]}}).granted
        assert at.thief.patch(path_of(cluster), {"spec": {"redis": {"nodes": ["evil:6379"]}}}).confined
        assert at.thief.patch(path_of(cluster), {"metadata": {"ownerReferences": NOBODYS}}).confined


def test_gateways_and_relays_are_admitted_where_restricted_is_enforced(at: Place) -> None:
    strict = f"{at.house}-strict"
    namespace = theirs("Namespace", "v1", None, strict)
    accounts = [
        changed(at.of(f"ServiceAccount main-{run}"), "metadata/namespace", strict) for run in ("gateway", "relay")
    ]
    with at.there(changed(namespace, "metadata/labels", {RESTRICTED: "restricted"}), *accounts):
        for run in ("gateway", "relay"):
            spec = at.of(f"Deployment main-{run}")["spec"]["template"]["spec"]
            with at.there(theirs("Pod", "v1", strict, spec=spec | {"nodeSelector": {"no": "where"}})):
                pass
        lax = theirs("Pod", "v1", strict, spec=POD_SPEC | {"serviceAccountName": "main-relay"})
        assert "violates PodSecurity" in at.admin.create(lax).message


def test_a_tenants_admin_writes_no_tenant_and_runs_no_realtimecluster(at: Place, crds: None) -> None:
    subject = {"apiGroup": RBAC, "kind": "User", "name": "head"}
    admin = {"roleRef": READER | {"name": "admin"}, "subjects": [subject]}
    head = Asker(stand_variables()["KUBECONFIG"], "head")
    spec: Manifest = {"redis": {"nodes": ["redis:6379"], "adminSecretRef": {"name": "redis-admin"}}}
    with at.there(theirs("RoleBinding", f"{RBAC}/v1", at.inside, **admin)):
        assert head.create(theirs("ConfigMap", "v1", at.inside)).granted, "it is admin there"
        assert head.create(theirs("RealtimeCluster", naming.API_VERSION, at.inside, spec=spec)).status == FORBIDDEN
        mark = {"metadata": {"annotations": {naming.OWNER_ANNOTATION: "x/y"}}}
        assert head.patch(NAMESPACE.path(at.inside), mark).status == FORBIDDEN
        for kind, resource in (("ResourceQuota", RESOURCE_QUOTA), ("LimitRange", LIMIT_RANGE)):
            assert head.create(at.of(f"{kind} matrixhub")).status == FORBIDDEN
            assert head.delete(resource.path("matrixhub", at.inside)).status == FORBIDDEN


def test_no_tenants_service_takes_the_traffic_of_an_address(at: Place) -> None:
    """Every node would lead there what is meant for that address, such as the admin's login at a Redis."""
    kubeconfig, backend = stand_variables()["KUBECONFIG"], "192.0.2.7"
    owner = Asker(kubeconfig, "editor", really=True)
    spec: Manifest = {"ports": [{"port": 6379}], "selector": {"app": "theirs"}}
    plain = theirs("Service", "v1", at.inside, spec=spec)
    wishes: list[Manifest] = [{"externalIPs": [backend]}, {"type": "LoadBalancer", "loadBalancerIP": backend}]
    with at.there(edited_by("editor", at.inside)):
        assert owner.create(plain).granted
        assert owner.patch(path_of(plain), {"spec": {"type": "LoadBalancer"}}).granted
        for wish in wishes:
            taking = theirs("Service", "v1", at.inside, "taking", spec=spec | wish)
            for asker in (owner, at.admin):
                for answer in (asker.create(taking), asker.patch(path_of(plain), {"spec": wish})):
                    assert answer.status == FORBIDDEN
                    assert f"leave out spec.{list(wish)[-1]}" in answer.message
            assert at.admin.get(path_of(taking)).status == NOT_FOUND
            elsewhere = theirs("Service", "v1", at.house, "taking", spec=spec | wish)
            with at.there(elsewhere):  # what is no tenant's is not ours to forbid
                pass
        assert owner.delete(path_of(plain)).granted


def test_a_tenants_service_keeps_the_address_that_it_had(at: Place) -> None:
    """Or nothing of it could be changed any more once the policy is there."""
    spec: Manifest = {"ports": [{"port": 80}], "externalIPs": ["192.0.2.7", "192.0.2.8"]}
    service = theirs("Service", "v1", at.inside, "older", spec=spec)
    at.has_from_before(service)
    path, more = path_of(service), {"spec": {"externalIPs": ["192.0.2.7", "192.0.2.9"]}}
    asking = Asker(stand_variables()["KUBECONFIG"])
    until(lambda: asking.patch(path, more).status == FORBIDDEN, 10, "it sees the tenant's again")
    assert at.admin.patch(path, {"metadata": {"labels": {"a": "b"}}}).granted
    assert at.admin.patch(path, {"spec": {"externalIPs": ["192.0.2.8"]}}).granted
    assert at.admin.patch(path, {"spec": {"externalIPs": ["192.0.2.7", "192.0.2.8"]}}).status == FORBIDDEN
    assert at.admin.delete(path).granted
