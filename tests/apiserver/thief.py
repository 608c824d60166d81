"""Who has stolen the operator's token, on a real API server; and what the operator makes there."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from tests.patience import until
from tests.support import ROOT, cluster, intent, stand_variables

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Owner, ServiceAccount
from matrixhub.backends.gateway import workload as gateways
from matrixhub.backends.namespace.desired import desired
from matrixhub.backends.relay import workload as relays
from matrixhub.kube.manifests import owner_reference
from matrixhub.kube.resources import BY_KIND, NAMESPACE, Manifest, Resource

OPERATOR = "matrixhub-operator"
"""The user whose rights and confinement are those of manifests/admin-rights."""
MERGE = "application/merge-patch+json"
FORBIDDEN = 403
RBAC = "rbac.authorization.k8s.io"
LABEL, RESTRICTED = naming.CLUSTER_LABEL, "pod-security.kubernetes.io/enforce"
POD_SPEC: Manifest = {"containers": [{"name": "main", "image": "none"}], "nodeSelector": {"no": "where"}}
TEMPLATE: Manifest = {"metadata": {"labels": {"a": "b"}}, "spec": POD_SPEC}
WORKLOAD: Manifest = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
NOBODYS = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "none"}]
"""An owner that is not there: the garbage collector deletes what belongs to it."""
READER = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}
FENCES = "admissionregistration.k8s.io/v1"
KINDS = BY_KIND | {
    "Ingress": Resource("networking.k8s.io/v1", "Ingress", "ingresses"),
    "ValidatingAdmissionPolicy": Resource(
        FENCES, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False
    ),
    "ValidatingAdmissionPolicyBinding": Resource(
        FENCES, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", namespaced=False
    ),
}
"""The kinds that the operator knows, and what owners and platform engineers make beside them."""


def path_of(manifest: Manifest) -> str:
    """The path of the object that a manifest describes."""
    metadata = manifest["metadata"]
    return KINDS[manifest["kind"]].path(metadata["name"], metadata.get("namespace"))


@dataclass(frozen=True)
class Answer:
    """What the API server answered."""

    status: int
    message: str

    @property
    def granted(self) -> bool:
        """Whether it would have been done."""
        return self.status < 300

    @property
    def confined(self) -> bool:
        """Whether the confinement refused it, and nothing else did before."""
        return self.status == FORBIDDEN and f"ValidatingAdmissionPolicy '{OPERATOR}'" in self.message


class Asker:
    """Asks as an administrator, or as somebody else (`user`). Unless `really`, what is granted is not done."""

    def __init__(self, kubeconfig: str, user: str = "", *, really: bool = False) -> None:
        self._user, self._really = user, really
        self._configuration = client.Configuration()
        config.load_kube_config(kubeconfig, client_configuration=self._configuration)
        self._api = client.ApiClient(self._configuration)

    def get(self, path: str) -> Answer:
        """Whether it is there."""
        return self._ask("GET", path, None)

    def create(self, manifest: Manifest) -> Answer:
        """Of the object."""
        return self._ask("POST", path_of(manifest).rpartition("/")[0], manifest)

    def patch(self, path: str, patch: Manifest) -> Answer:
        """By a merge patch."""
        return self._ask("PATCH", path, patch, MERGE)

    def apply(self, manifest: Manifest) -> Answer:
        """By server-side apply."""
        query = f"?fieldManager={naming.FIELD_MANAGER}&force=true"
        return self._ask("PATCH", path_of(manifest) + query, manifest, "application/apply-patch+yaml")

    def delete(self, path: str) -> Answer:
        """Of the object."""
        return self._ask("DELETE", path, {})

    def _ask(self, method: str, path: str, body: Manifest | None, kind: str = "application/json") -> Answer:
        headers = {"Content-Type": kind, "Accept": "application/json"}
        if self._user:
            headers["Impersonate-User"] = self._user
        dry = "" if self._really else f"{'&' if '?' in path else '?'}dryRun=All"
        self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        payload: Any = body if kind.endswith("json") else json.dumps(body)
        try:
            answer = self._api.call_api(method, f"{self._configuration.host}{path}{dry}", headers, payload)
            status, text = answer.status, answer.read()
        except ApiException as error:
            status, text = error.status or 0, error.body or b"{}"
        return Answer(status, str(json.loads(text).get("message", "")))


def granted() -> dict[str, set[str]]:
    """By `group/resource` (the core group has no name), the verbs with which the operator's roles let it write."""
    found: dict[str, set[str]] = {}
    for role in yaml.safe_load_all((ROOT / "manifests/admin-rights/kubernetes.yaml").read_text(encoding="utf-8")):
        for rule in role.get("rules", ()):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    what = f"{group}/{resource}".removeprefix("/")
                    found.setdefault(what, set()).update({"create", "patch", "delete"} & set(rule["verbs"]))
    return {what: verbs for what, verbs in found.items() if verbs}


@dataclass(frozen=True)
class Place:
    """A tenant's namespace, a RealtimeCluster's (`house`), and by `Kind name` what the operator makes in both."""

    admin: Asker
    thief: Asker
    tenant: str
    house: str
    made: Mapping[str, Manifest]

    @property
    def inside(self) -> str:
        """The tenant's namespace."""
        return naming.namespace(self.tenant)

    def of(self, key: str) -> Manifest:
        """A copy of one of them."""
        copy: Manifest = json.loads(json.dumps(self.made[key]))
        return copy

    @contextmanager
    def there(self, *manifests: Manifest) -> Iterator[None]:
        """These objects are there inside the block, made by somebody else; without an owner that is not there."""
        with ExitStack() as stack:
            for manifest in manifests:
                metadata = {key: value for key, value in manifest["metadata"].items() if key != "ownerReferences"}
                answer = self.admin.create({**manifest, "metadata": metadata})
                assert answer.granted, answer.message
                stack.callback(self.admin.delete, path_of(manifest))
            yield

    def has_from_before(self, manifest: Manifest) -> None:
        """The object is in the tenant's namespace, made while that was nobody's; the policies may not see it yet."""
        path = NAMESPACE.path(self.inside)
        assert self.admin.patch(path, {"metadata": {"labels": {naming.TENANT_LABEL: None}}}).granted
        until(lambda: self.admin.create(manifest).granted, 10, "the policy sees a namespace that is no tenant's")
        assert self.admin.patch(path, {"metadata": {"labels": {naming.TENANT_LABEL: self.tenant}}}).granted


@contextmanager
def place() -> Iterator[Place]:
    """Both namespaces are there inside the block, and gone after it."""
    kubeconfig, word = stand_variables()["KUBECONFIG"], secrets.token_hex(3)
    admin, thief = Asker(kubeconfig, really=True), Asker(kubeconfig, OPERATOR)
    house, tenant = f"house-{word}", f"thief-{word}"
    made = {f"{each['kind']} {each['metadata']['name']}": each for each in [*_run(house), *_share(tenant, house)]}
    at = Place(admin, thief, tenant, house, made)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": house}}
    with at.there(namespace, at.of(f"Namespace {at.inside}")):
        account = f"/api/v1/namespaces/{house}/serviceaccounts/default"
        until(lambda: admin.get(account).granted, 20, "pods can be made: their account is there")
        yield at


def _cluster(house: str) -> RealtimeCluster:
    on = cluster(
        stand_variables(),
        gateway={
            "image": "gateway:1",
            "tls": {"secretName": "gateway-tls"},
            "imagePullSecrets": [{"name": "registry"}],
        },
        relay={"image": "relay:1", "routes": [{"topics": "*.exams.*", "channel": "exams"}]},
    )
    return on.model_copy(update={"metadata": on.metadata.model_copy(update={"namespace": house})})


def _run(house: str) -> list[Manifest]:
    """Gateways, relay and their accounts, of the RealtimeCluster `main`."""
    on = _cluster(house)
    account = ServiceAccount(Owner("hub", "uid"), "gateway-login", "a-password-of-32-characters-0000")
    metadata = {
        "name": naming.accounts_secret("main"),
        "namespace": house,
        "labels": {**naming.MANAGED_BY, naming.CLUSTER_LABEL: "main"},
        "ownerReferences": [owner_reference(on)],
    }
    accounts = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": {}}
    run = [*gateways.manifests(on, account, ()), *relays.manifests(on, "relay:1", "gateway:80", ())]
    return [accounts, *run]


def _share(tenant: str, house: str) -> list[Manifest]:
    """The tenant's namespace and what is in it."""
    owners = [{"kind": "Group", "name": "owners", "role": role} for role in ("admin", "edit", "view")]
    wanted = intent(tenant, _cluster(house), owners=owners, compute={"pods": "5"})
    held = {
        name: {"type": "redis", "password": "x"} for name in ("postgres", "redis", "kafka", "object-store", "gateway")
    }
    return [json.loads(each.manifest) for each in desired(replace(wanted, secrets=held)).objects]


def theirs(kind: str, api_version: str, namespace: str | None, name: str = "theirs", **body: Any) -> Manifest:
    """An object of somebody else's."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def edited_by(user: str, namespace: str) -> Manifest:
    """The RoleBinding with which an owner has `edit` in a tenant's namespace."""
    role, subject = READER | {"name": "edit"}, {"apiGroup": RBAC, "kind": "User", "name": user}
    return theirs("RoleBinding", f"{RBAC}/v1", namespace, roleRef=role, subjects=[subject])


def changed(manifest: Manifest, path: str, value: Any) -> Manifest:
    """The manifest with the value at this path, whose steps are parted by slashes; a number is a place in a list."""
    *steps, last = path.split("/")
    part: Any = manifest
    for step in steps:
        part = part[int(step)] if isinstance(part, list) else part.setdefault(step, {})
    part[int(last) if isinstance(part, list) else last] = value
    return manifest
