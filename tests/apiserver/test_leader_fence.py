"""The leader's fence of the chart, in a real API server: who does not hold the Lease writes nothing."""

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.patience import until
from tests.support import ROOT, stand_variables

from matrixhub.errors import Transient
from matrixhub.kube.client import KubeApi
from matrixhub.kube.lease import Lease
from matrixhub.kube.resources import NAMESPACE, Manifest

TEMPLATE = ROOT / "helm" / "matrixhub" / "templates" / "leader-fence.yaml"
LEASE = "matrixhub-operator"


def rendered(namespace: str) -> list[Manifest]:
    """The template for a release in the namespace, whose full name is the namespace's and whose account `hub`."""
    text = TEMPLATE.read_text(encoding="utf-8")
    text = re.sub(r"{{- /\*.*?\*/ -}}\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"{{- include .* nindent 4 }}", "{}", text)
    for word, value in {
        ".Release.Namespace": namespace,
        'include "matrixhub.fullname" .': namespace,
        'include "matrixhub.serviceAccountName" .': "hub",
        'include "matrixhub.leaseName" .': LEASE,
    }.items():
        text = text.replace(f"{{{{ {word} }}}}", value)
    assert "{{" not in text
    return list(yaml.safe_load_all(text))


class House:
    """A namespace with an operator's account, two pods of it that never run, and the fence."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kubeconfig = folder, stand_variables()["KUBECONFIG"]
        self.admin = KubeApi(self.kubeconfig)
        self.namespace = f"fence-{secrets.token_hex(3)}"
        subject = {"kind": "ServiceAccount", "name": "hub", "namespace": self.namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "hub", "namespace": self.namespace}},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": self.namespace},
                "roleRef": role,
                "subjects": [subject],
            },
            *(self._pod(name) for name in "ab"),
            *rendered(self.namespace),
        )
        self.leases = {pod: Lease(self.api(pod), self.namespace, LEASE, pod) for pod in "ab"}

    def _pod(self, name: str) -> Manifest:
        spec = {
            "serviceAccountName": "hub",
            "nodeSelector": {"nowhere": "true"},
            "containers": [{"name": "main", "image": "none"}],
        }
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def kubectl(self, *words: str, text: str = "") -> str:
        command = ["kubectl", "--kubeconfig", self.kubeconfig, *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def apply(self, *manifests: Manifest) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        self.kubectl("apply", "--server-side", "-f", "-", text=text)

    def api(self, pod: str = "") -> KubeApi:
        """The API as the operator in a pod, or with its token and no pod at all."""
        bound = []
        if pod:
            uid = self.kubectl("get", "pod", pod, "-n", self.namespace, "-o", "jsonpath={.metadata.uid}")
            bound = ["--bound-object-kind=Pod", f"--bound-object-name={pod}", f"--bound-object-uid={uid}"]
        token = self.kubectl("create", "token", "hub", "-n", self.namespace, *bound)
        config = yaml.safe_load(Path(self.kubeconfig).read_text(encoding="utf-8"))
        config["users"][0]["user"] = {"token": token}
        file = self.folder / f"kubeconfig-{pod}"
        file.write_text(json.dumps(config), encoding="utf-8")
        return KubeApi(str(file))

    def writes(self, api: KubeApi) -> bool:
        """Whether the API server lets it write a ConfigMap."""
        try:
            api.apply(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "word", "namespace": self.namespace},
                    "data": {"word": secrets.token_hex(4)},
                }
            )
        except Transient as refused:
            if "does not hold the Lease matrixhub-operator" not in refused.message:
                raise
            return False
        return True

    def until(self, api: KubeApi, *, writes: bool) -> float:
        """The seconds until the API server lets it write, or does so no more."""
        return until(lambda: self.writes(api) is writes, 20)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """On a fresh API server: one that saw such a policy go has lost sight of all Leases (kubernetes#130887)."""
    subprocess.run(["python3", str(ROOT / "dev" / "stand"), "restart", "kube-apiserver"], check=True)
    made = House(tmp_path)
    yield made
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        made.kubectl("delete", kind, f"{made.namespace}-leader")
    made.kubectl("delete", "clusterrolebinding", made.namespace)
    made.admin.delete(NAMESPACE, made.namespace)


def test_who_held_the_lease_and_holds_it_no_more_writes_nothing(house: House):
    first, second = house.api("a"), house.api("b")
    assert house.writes(first), "without a Lease nobody is fenced out: others write, too"
    held = house.leases["a"].hold(None)
    assert house.writes(first)

    held = house.leases["b"].hold(held)
    shut = house.until(first, writes=False)
    assert house.writes(second)
    assert house.writes(house.admin)
    assert house.writes(house.api()), "a developer's token is bound to no pod"
    assert held.transitions == 1

    held = house.leases["a"].hold(held)
    opened = house.until(first, writes=True)
    house.until(second, writes=False)
    sys.stdout.write(f"the old leader was shut out within {shut:.3f} s, one that leads again let in {opened:.3f} s\n")
    assert opened < 2

    house.leases["a"].release(held)
    house.until(first, writes=False)
    assert not house.writes(second)
