"""What the namespace backend's tests share: the operator's client, and the administrator who looks and meddles."""

import base64
import json
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import support

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Applied, Intent, Owner, Phase
from matrixhub.backends.namespace import client as client_module
from matrixhub.backends.namespace.client import Client
from matrixhub.backends.namespace.plan import Step
from matrixhub.backends.namespace.state import State
from matrixhub.errors import BackendError, Transient
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import BY_KIND, NAMESPACE, Manifest

PASSWORD = "a-password-of-more-than-32-characters"
POSTGRES = {"type": "postgresql", "host": "10.0.0.1", "username": "tenant_x", "password": PASSWORD}
REDIS = {"type": "redis", "host": "10.0.0.2", "username": "tenant-x", "password": PASSWORD}
OWNERS = [
    {"kind": "User", "name": "ns-head", "role": "admin"},
    {"kind": "User", "name": "ns-teacher", "role": "view"},
]
INSIDE = {
    "NetworkPolicy": "matrixhub",
    "LimitRange": "matrixhub",
    "ResourceQuota": "matrixhub",
    "RoleBinding": "matrixhub-admin",
    "Secret": "postgres",
}
HUB = "hub-of-the-tests"


class World:
    """The operator's client, and the cluster's administrator who looks and meddles."""

    def __init__(self, stand: Mapping[str, str], folder: Path) -> None:
        self.folder = folder
        self.operator = KubeApi(stand["MATRIXHUB_OPERATOR_KUBECONFIG"])
        self.admin = KubeApi(stand["KUBECONFIG"])
        self.kubeconfig = stand["KUBECONFIG"]
        self.address = yaml.safe_load(Path(self.kubeconfig).read_text(encoding="utf-8"))["clusters"][0]["cluster"][
            "server"
        ]
        self.cluster: RealtimeCluster = support.cluster(stand)
        self.client = Client(self.operator)
        self.used: set[str] = set()

    def intent(self, tenant: str, phase: Phase = Phase.ACTIVE, *, owner: Owner | None = None, **spec: Any) -> Intent:
        """A wish with two owners, a quota and two Secrets."""
        self.used.add(tenant)
        spec = {"owners": OWNERS, "compute": {"requests.cpu": "4", "pods": 5}} | spec
        wish = support.intent(tenant, self.cluster, phase, owner=owner or Owner(HUB, f"uid-{tenant}"), **spec)
        held = {"postgres": POSTGRES, "redis": REDIS} if wish.credential else {}
        return replace(wish, credential=None, secrets=held)

    def plans(self, *wishes: Intent) -> dict[str, tuple[Step, ...]]:
        """What is to be done for each, from what is there now."""
        seen = self.client.observe(wishes)
        plans = {}
        for wish in wishes:
            state = seen[wish.tenant.id]
            assert not isinstance(state, BackendError)
            plans[wish.tenant.id] = self.client.plan(self.client.desired(wish), state)
        return plans

    def round(self, *wishes: Intent) -> Mapping[str, Applied]:
        """One round, as the engine makes it."""
        return self.client.apply({tenant: plan for tenant, plan in self.plans(*wishes).items() if plan})

    def settle(self, *wishes: Intent) -> None:
        """Rounds until nothing is to be done, as the engine would; other errors than Transient are raised."""
        deadline = time.monotonic() + 40
        while True:
            try:
                applied = self.round(*wishes)
                errors: list[BackendError] = [each.error for each in applied.values() if each.error]
            except Transient as passing:
                applied, errors = {"": Applied(passing)}, [passing]
            if not applied:
                return
            for error in errors:
                if not isinstance(error, Transient):
                    raise error
            assert time.monotonic() < deadline, errors
            time.sleep(0.1 if errors else 0)

    def get(self, kind: str, name: str, tenant: str = "") -> Manifest | None:
        """What the administrator sees."""
        return self.admin.get(BY_KIND[kind], name, naming.namespace(tenant) if tenant else None)

    def have(self, kind: str, name: str, tenant: str = "") -> Manifest:
        """What the administrator sees, and must."""
        manifest = self.get(kind, name, tenant)
        assert manifest is not None, f"{kind} {name} is missing"
        return manifest

    def meddle(self, kind: str, name: str, tenant: str, patch: Manifest) -> None:
        """The administrator changes an object by hand (JSON merge patch)."""
        self.kubectl(tenant, "patch", kind, name, "--type=merge", "--patch", json.dumps(patch))

    def make(self, kind: str, name: str, tenant: str = "", **body: Any) -> None:
        """The administrator makes an object by hand."""
        metadata = {"name": name} | body.pop("metadata", {})
        manifest = {"apiVersion": BY_KIND[kind].api_version, "kind": kind, "metadata": metadata} | body
        self.kubectl(tenant, "create", "--filename=-", text=json.dumps(manifest))

    def kubectl(self, tenant: str, *words: str, text: str = "", check: bool = True) -> str:
        """What kubectl prints; run in the tenant's namespace if one is given."""
        place = [f"--namespace={naming.namespace(tenant)}"] if tenant else []
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", *place, *words]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=check).stdout.strip()

    def may(self, user: str, verb: str, what: str, *more: str) -> bool:
        """Whether the API server lets the user do it."""
        return self.kubectl("", "auth", "can-i", verb, what, f"--as={user}", *more, check=False) == "yes"

    def taken(self, name: str) -> str:
        """A tenant's id, new in each run, whose namespace somebody has just made with kubectl."""
        tenant = f"{name}-{secrets.token_hex(3)}"
        self.make("Namespace", naming.namespace(tenant))
        return tenant

    def powerless(self) -> KubeApi:
        """The API as somebody without any right."""
        token = self.kubectl("", "create", "token", "default", "--namespace=kube-public")
        return KubeApi(self.reached_by({"user": {"token": token}}))

    def reached_by(self, changed: Mapping[str, Mapping[str, str]]) -> str:
        """A kubeconfig like the administrator's, but for its `cluster` or `user`."""
        config = yaml.safe_load(Path(self.kubeconfig).read_text(encoding="utf-8"))
        config["clusters"][0]["cluster"] |= changed.get("cluster", {})
        config["users"][0]["user"] = changed.get("user", config["users"][0]["user"])
        file = self.folder / f"kubeconfig-{len(list(self.folder.iterdir()))}"
        file.write_text(json.dumps(config), encoding="utf-8")
        return str(file)

    def close(self) -> None:
        """Nothing is left of the tests; the namespaces are on their way out."""
        for tenant in self.used:
            self.admin.delete(NAMESPACE, naming.namespace(tenant))
            for kind in ("ClusterRole", "ClusterRoleBinding"):
                self.admin.delete(BY_KIND[kind], naming.cluster_role(tenant))
        self.client.close()


@pytest.fixture(scope="module")
def world(stand: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(stand, tmp_path_factory.mktemp("kubeconfigs"))
    yield world
    world.close()


@pytest.fixture(params=["by name", "by list"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few tenants are read one by one, many by lists: here the same few in either way."""
    monkeypatch.setattr(client_module, "FEW", 10**6 if request.param == "by name" else 0)
    monkeypatch.setattr(client_module, "SHARE", 10**6)


def decoded(secret: Manifest) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def empty(wish: Intent) -> State:
    """What is observed where there is nothing."""
    return State(wish.tenant.id, wish.owner)
