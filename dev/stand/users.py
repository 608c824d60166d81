"""The users of the cluster: a token each, and a kubeconfig that holds it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from stand import pki
from stand.state import Stand, private

NODE = "stand"


@dataclass(frozen=True)
class User:
    """Who shows which secret as a token, and where that user's kubeconfig is."""

    name: str
    secret: str
    kubeconfig: str
    group: str = ""


ADMIN = User("admin", "token-admin", "kubeconfig", "system:masters")
OPERATOR = User("matrixhub-operator", "token-operator", "operator.kubeconfig")
CONTROLLERS = User("system:kube-controller-manager", "token-controllers", "kubeconfigs/controllers")
SCHEDULER = User("system:kube-scheduler", "token-scheduler", "kubeconfigs/scheduler")
KUBELET = User(f"system:node:{NODE}", "token-kubelet", "kubeconfigs/kubelet", "system:nodes")
PROXY = User("system:kube-proxy", "token-proxy", "kubeconfigs/proxy")

USERS = (ADMIN, OPERATOR, CONTROLLERS, SCHEDULER, KUBELET, PROXY)


def url(stand: Stand) -> str:
    """Where the API server is, for this machine and for pods."""
    return f"https://{stand.host}:{stand.port('apiserver')}"


def token_file(stand: Stand) -> Path:
    """The API server's list of tokens."""
    lines = [
        f"{stand.secrets[user.secret]},{user.name},{user.name}" + (f",{user.group}" if user.group else "")
        for user in USERS
    ]
    return private(stand.folder("kube-apiserver") / "tokens.csv", "\n".join(lines) + "\n")


def kubeconfig(stand: Stand, user: User) -> Path:
    """The user's kubeconfig. It carries all it needs, so that it may be copied elsewhere. JSON is YAML."""
    authority = base64.b64encode(pki.authority(stand).read_bytes()).decode()
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "stand",
        "clusters": [{"name": "stand", "cluster": {"server": url(stand), "certificate-authority-data": authority}}],
        "users": [{"name": user.name, "user": {"token": stand.secrets[user.secret]}}],
        "contexts": [{"name": "stand", "context": {"cluster": "stand", "user": user.name}}],
    }
    return private(stand.state / user.kubeconfig, json.dumps(text, indent=1) + "\n")
