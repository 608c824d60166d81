"""The stand that its own tests look at."""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.support import stand_variables

NAMESPACE = f"images-{secrets.token_hex(3)}"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


class House:
    """A namespace that admits restricted pods only, and the administrator who looks into it."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.environment = {**os.environ, **variables}

    def kubectl(self, *words: str, manifests: list[dict[str, Any]] | None = None) -> str:
        """What kubectl printed; fails with its complaint."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}) if manifests else None
        command = ["kubectl", "--kubeconfig", self.variables["KUBECONFIG"], *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def run(self, name: str, image: str, **container: Any) -> None:
        """The pod was admitted; its one container writes nowhere, and is nobody."""
        spec = {"name": name, "image": image, "imagePullPolicy": "Never", "securityContext": RESTRICTED, **container}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "serviceAccountName": "operator",
                "terminationGracePeriodSeconds": 1,
                "restartPolicy": "Never",
                "containers": [spec],
            },
        }
        self.kubectl("apply", "-f", "-", manifests=[pod])

    def serves_operator(self, name: str, image: str) -> None:
        """An operator from the image serves its metrics."""
        self._serves(name, image, "/metrics", 9090, MATRIXHUB_METRICS_PORT="9090")

    def serves_gateway(self, name: str, image: str) -> None:
        """A gateway from the image takes connections."""
        self._serves(name, image, "/live", 6001, HOST="0.0.0.0")

    def _serves(self, name: str, image: str, path: str, port: int, **environment: str) -> None:
        env = [{"name": key, "value": value} for key, value in environment.items()]
        self.run(name, image, env=env, readinessProbe={"httpGet": {"path": path, "port": port}, "periodSeconds": 1})
        self.wait(name, "{.status.conditions[?(@.type=='Ready')].status}", "True")

    def wait(self, name: str, path: str, value: str) -> None:
        """The pod's status came to have the value at the path; fails with the pod's log."""
        deadline = time.monotonic() + 60
        while (seen := self.kubectl("-n", NAMESPACE, "get", "pod", name, "-o", f"jsonpath={path}")) != value:
            if time.monotonic() > deadline:
                pytest.fail(f"{name}: {path} is {seen!r}\n{self.kubectl('-n', NAMESPACE, 'logs', name)}")
            time.sleep(0.2)

    def log(self, name: str) -> str:
        """What the pod printed."""
        return self.kubectl("-n", NAMESPACE, "logs", name)


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """The operator's ServiceAccount in it has the operator's rights; all of it is gone afterwards."""
    house = House(stand_variables())
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "matrixhub-operator"}
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": NAMESPACE}
    guard = {"pod-security.kubernetes.io/enforce": "restricted"}
    house.kubectl(
        "apply",
        "-f",
        "-",
        manifests=[
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": guard}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": NAMESPACE}},
            {**binding, "metadata": {"name": NAMESPACE}, "roleRef": role, "subjects": [subject]},
        ],
    )
    yield house
    house.kubectl("delete", "clusterrolebinding", NAMESPACE)
    house.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
