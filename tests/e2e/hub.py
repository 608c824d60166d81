"""What a platform engineer has at hand, and the operator as its own process with its own weak rights."""

import base64
import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from tests.e2e.looks import Looks
from tests.patience import free_port, until
from tests.programs import Program

CHECKOUT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "MATRIXHUB_LOG_FORMAT": "json",
    "MATRIXHUB_METRICS_PORT": str(free_port()),
    "MATRIXHUB_TENANT_METRICS": "true",
    "MATRIXHUB_AUDIT_TOPIC": "matrixhub.audit.changes",
}
"""All that an operator can be asked to tell, it tells in these tests."""


@dataclass
class Operator:
    """The operator's process, which a test may kill and start again."""

    env: dict[str, str]
    log: Path
    process: Program | None = None

    def start(self) -> None:
        """The process runs."""
        env = {**SETTINGS, **self.env, "KUBECONFIG": self.env["MATRIXHUB_OPERATOR_KUBECONFIG"]}
        self.process = Program([], env, self.log)

    def kill(self) -> None:
        """The process is gone, on the spot."""
        if self.process:
            self.process.kill()
            self.process = None

    def stop(self) -> int:
        """The exit status after SIGTERM."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=20)
        self.process = None
        return status


@dataclass
class Hub:
    """What a platform engineer has at hand: kubectl, the backends' own clients, and patience."""

    env: dict[str, str]
    operator: Operator
    tenants: list[str] = field(default_factory=list)
    leaving: set[str] = field(default_factory=set)
    """Tenants of tests that are over: a namespace takes 5 s and more to go, and no other test is about them."""

    def kubectl(self, *words: str, text: str | None = None) -> str:
        """What kubectl printed; fails with its complaint."""
        done = subprocess.run(
            ["kubectl", *words], env=self.env, input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"kubectl {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    @cached_property
    def _looks(self) -> Looks:
        return Looks(self.env["KUBECONFIG"])

    def get(self, *words: str) -> Any:
        """The object or list that `kubectl get` prints."""
        return self._looks.get(*words)

    def exists(self, *words: str) -> bool:
        """Whether the object exists."""
        return self._looks.exists(*words)

    def apply(self, *manifests: dict[str, Any]) -> None:
        """The manifests are applied as a pipeline would."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        self.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-", text=text)

    def tenant(self, name: str, **spec: Any) -> dict[str, Any]:
        """The manifest of a Tenant of this test's cluster, which is removed at the test's end."""
        self.tenants.append(name)
        return {
            "apiVersion": "matrixhub.io/v1alpha1",
            "kind": "Tenant",
            "metadata": {"name": name},
            "spec": {"clusterRef": {"namespace": "matrixhub", "name": "main"}, "deletionPolicy": "Delete", **spec},
        }

    def onboard(self, name: str, **spec: Any) -> None:
        """The Tenant is applied and Ready."""
        self.apply(self.tenant(name, **spec))
        self.ready(name)

    def ready(self, *names: str, timeout: int = 60) -> None:
        """The Tenants are Ready for the generation they have now."""
        until(lambda: all(is_current(self.get("tenant", name)) for name in names), timeout, f"{names} are Ready")

    def condition(self, name: str, kind: str = "Ready") -> dict[str, Any]:
        """One condition of a Tenant; empty while there is none."""
        conditions = self.get("tenant", name).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def conditions(self, cluster: str) -> dict[str, dict[str, str]]:
        """The conditions of a RealtimeCluster by type."""
        found = self.get("realtimecluster", cluster, "-n", "matrixhub").get("status", {})
        return {condition["type"]: condition for condition in found.get("conditions", [])}

    def secret(self, tenant: str, name: str) -> dict[str, str]:
        """What the tenant's applications find in one of their Secrets."""
        held = self.get("secret", name, "-n", f"tenant-{tenant}")["data"]
        return {key: base64.b64decode(value).decode() for key, value in held.items()}

    def pods(self, component: str, cluster: str = "main") -> dict[str, str]:
        """By name, the addresses of a RealtimeCluster's pods that are ready and stay."""
        selector = f"app.kubernetes.io/name={component},app.kubernetes.io/instance={cluster}"
        found = self.get("pods", "-n", "matrixhub", "-l", selector)["items"]
        staying = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in staying if is_ready(pod)}

    def events(self, tenant: str) -> list[tuple[str, str]]:
        """Reason and message of every Event about a Tenant."""
        found = self.get(
            "events", "-n", "default", "--field-selector", f"involvedObject.kind=Tenant,involvedObject.name={tenant}"
        )
        return [(event["reason"], event["message"]) for event in found["items"]]

    def stand(self, *words: str) -> None:
        """The stand's verb is done."""
        done = subprocess.run(
            ["python3", str(CHECKOUT / "dev" / "stand"), *words],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def dismiss(self) -> None:
        """This test's Tenants are on their way out."""
        if self.tenants:
            self.kubectl("delete", "tenant", *self.tenants, "--ignore-not-found", "--wait=false")
        self.leaving.update(self.tenants)
        self.tenants.clear()

    def delete(self, *names: str) -> None:
        """The Tenants are gone."""
        if names:
            self.kubectl("delete", "tenant", *names, "--ignore-not-found", "--timeout=120s")


def is_ready(found: dict[str, Any]) -> bool:
    """Whether the pod takes connections; whether the Tenant has its share."""
    conditions = found.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def is_current(tenant: dict[str, Any]) -> bool:
    """Whether it is Ready for the generation that it has now."""
    return is_ready(tenant) and tenant["status"].get("observedGeneration") == tenant["metadata"]["generation"]


def objects(held: Mapping[str, str], **options: Any) -> Any:
    """An S3 client that is logged in with what a tenant's Secret `object-store` holds."""
    return boto3.client(
        "s3",
        endpoint_url=held["endpoint"],
        region_name=held["region"],
        aws_access_key_id=held["accessKey"],
        aws_secret_access_key=held["secretKey"],
        **options,
    )


@contextlib.contextmanager
def stopped(hub: Hub, part: str) -> Iterator[None]:
    """One part of the stand is down inside the block."""
    hub.stand("stop", part)
    try:
        yield
    finally:
        hub.stand("start", part)
