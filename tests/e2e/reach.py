"""Who reaches whom: pods that take connections, and what is tried from inside of them; the stand's firewall."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.hub import Hub

PORT = 8080
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


Places = Mapping[str, tuple[str, int]]
"""By name, an address and a TCP port."""


@dataclass(frozen=True)
class Pod:
    """A pod that is ready."""

    namespace: str
    name: str
    address: str


def listening(namespace: str, name: str) -> dict[str, Any]:
    """The manifest of a pod that takes connections on `PORT`, and may run in a tenant's namespace."""
    command = ["nc", "-ll", "-p", str(PORT), "-e", "hostname"]
    return running(namespace, name, {"command": command, "securityContext": RESTRICTED})


def running(namespace: str, name: str, *containers: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a pod with these containers, of busybox where no other image is named."""
    common = {"image": "localhost/busybox:1", "imagePullPolicy": "Never"}
    filled = [{"name": f"{name}-{number}", **common, **each} for number, each in enumerate(containers)]
    spec = {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": filled}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def policy(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """A NetworkPolicy for every pod of the namespace."""
    metadata = {"name": name, "namespace": namespace}
    body = {"podSelector": {}, "policyTypes": [each.title() for each in spec], **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": body}


def started(hub: Hub, *manifests: dict[str, Any]) -> list[Pod]:
    """The pods are ready, in the order of their manifests."""
    hub.apply(*manifests)
    made = [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in manifests]
    for space in {space for space, _ in made}:
        names = [f"pod/{name}" for where, name in made if where == space]
        hub.kubectl("wait", "-n", space, "--for=condition=Ready", "--timeout=60s", *names)
    return [Pod(space, name, hub.get("pod", name, "-n", space)["status"]["podIP"]) for space, name in made]


def reached(hub: Hub, pod: Pod, places: Places) -> set[str]:
    """The names of the places that took the pod's connection within 2 s; all are tried at once."""
    each = "(nc -w 2 {} {} </dev/null >/dev/null 2>&1 && echo {}) &"
    script = "\n".join(each.format(host, port, name) for name, (host, port) in places.items())
    told = hub.kubectl("exec", "-n", pod.namespace, pod.name, "--", "timeout", "5", "sh", "-c", f"{script}\nwait")
    return set(told.split())


def resolves(hub: Hub, pod: Pod, server: str) -> bool:
    """Whether a server of names, whatever it knows, answers the pod by UDP."""
    asking = f"timeout 2 nslookup -type=a nobody.example.org {server} 2>&1 || true"
    return "NXDOMAIN" in hub.kubectl("exec", "-n", pod.namespace, pod.name, "--", "sh", "-c", asking)


@contextlib.contextmanager
def enforced(hub: Hub) -> Iterator[None]:
    """NetworkPolicies bind inside the block."""
    hub.stand("start", "kube-router")
    try:
        yield
    finally:
        hub.stand("stop", "kube-router")


def removed(hub: Hub, *manifests: dict[str, Any]) -> None:
    """The objects are on their way out."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    hub.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", text=text)
