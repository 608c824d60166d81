"""The bare floor: each backend driven directly, alone, with the very calls that the operator makes."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from demo import cluster as demo
from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.backends.contract import Backend, Credential, Intent, Owner, Phase
from matrixhub.backends.namespace.client import Client as NamespaceClient
from matrixhub.engine.kinds import Kind
from matrixhub.engine.worker import BATCH
from matrixhub.errors import Transient, Unreachable
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import NAMESPACE as NAMESPACES
from matrixhub.kube.resources import REALTIME_CLUSTER, SECRET
from matrixhub.main import kinds

NAMESPACE = "namespace"
TURNS = 50
"""Rounds after which a batch is given up; deleting rows gives way after 5 s of each."""
BARE = ("postgres", "redis", "kafka", "objectstore")
"""The backends that are driven without the operator, beside the namespace."""


def tenant(name: str) -> dict[str, Any]:
    """The Tenant that is onboarded in every measurement."""
    return {
        "apiVersion": "matrixhub.io/v1alpha1",
        "kind": "Tenant",
        "metadata": {"name": name},
        "spec": {
            "clusterRef": {"namespace": "matrixhub", "name": "main"},
            "deletionPolicy": "Delete",
            "kafka": {"producerByteRate": "1Mi", "consumerByteRate": "2Mi"},
            "objectStore": {"storage": "1Gi"},
            "compute": {"pods": "50", "requests.cpu": "4"},
        },
    }


class Floor:
    """One backend of the RealtimeCluster `main`, driven with the operator's own weak rights, and what it made removed.

    Nothing of an earlier one is there once it is constructed, not even of one that was cut off.
    """

    def __init__(self, api: KubeApi, name: str, count: int) -> None:
        found = api.get(REALTIME_CLUSTER, "main", "matrixhub")
        if found is None:
            raise SystemExit("RealtimeCluster matrixhub/main does not exist")
        self._api, self._name, self._cluster = api, name, RealtimeCluster.model_validate(found)
        self._tenants = [f"floor-{number:03d}" for number in range(count)]
        self._kinds = [kind for kind in kinds(api) if kind.name in BARE]
        self._backend = self._client(api)
        self._backend.prepare()
        self.remove()
        self._wanted = self._intents(Phase.ACTIVE)

    def measure(self) -> float:
        """Tenants per second; what was made is removed again."""
        began = time.monotonic()
        self.make()
        seconds = time.monotonic() - began
        self.remove()
        self._backend.close()
        return len(self._tenants) / seconds

    def make(self) -> None:
        """Every tenant has its share."""
        carry_out(self._backend, self._wanted)

    def remove(self) -> None:
        """No tenant has one."""
        if self._name != NAMESPACE:
            return carry_out(self._backend, self._intents(Phase.DELETED))
        names = {naming.namespace(tenant) for tenant in self._tenants}
        # To the end: a namespace that is going costs the API server more than one that is made.
        if there := [name for body in self._api.list(NAMESPACES) if (name := body["metadata"]["name"]) in names]:
            demo.kubectl(os.environ, "delete", "namespace", *there)
        return None

    def _client(self, api: KubeApi) -> Backend[Any, Any]:
        if self._name == NAMESPACE:
            return NamespaceClient(api)
        kind = next(kind for kind in self._kinds if kind.name == self._name)
        secret = api.get(SECRET, kind.section(self._cluster).admin_secret_ref.name, "matrixhub") or {}
        admin = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        return kind.client(self._cluster, admin, None)

    def _intents(self, phase: Phase) -> list[Intent]:
        return intents(self._kinds, self._cluster, self._tenants, self._name, phase)


def intents(
    known: Sequence[Kind], cluster: RealtimeCluster, names: Sequence[str], backend: str, phase: Phase
) -> list[Intent]:
    """What is wanted of the tenants in one backend."""
    wanted = []
    for name in names:
        body = tenant(name)
        body["metadata"]["uid"] = f"uid-{name}"
        owner, resource = Owner("bench", f"uid-{name}"), Tenant.model_validate(body)
        credentials = {kind.name: new(name) for kind in known if (new := kind.logins(cluster).new)}
        living = phase is Phase.ACTIVE
        secrets = _secrets(known, resource, cluster, owner, credentials) if backend == NAMESPACE and living else {}
        credential = credentials.get(backend) if living else None
        wanted.append(Intent(resource, cluster, phase, owner, credential, secrets=secrets))
    return wanted


def _secrets(
    known: Sequence[Kind],
    resource: Tenant,
    cluster: RealtimeCluster,
    owner: Owner,
    credentials: Mapping[str, Credential],
) -> dict[str, Mapping[str, str]]:
    return {
        kind.secret_name: kind.binding(Intent(resource, cluster, Phase.ACTIVE, owner, credentials[kind.name]))
        for kind in known
    }


def carry_out(backend: Backend[Any, Any], wanted: Sequence[Intent]) -> None:
    """Every intent is fulfilled, in batches of the size that the operator takes; what takes several turns gets them."""
    waiting = list(wanted)
    for _ in range(TURNS):
        batches = [waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH)]
        waiting = [intent for batch in batches for intent in _turn(backend, batch)]
        if not waiting:
            return
    raise SystemExit(f"{len(waiting)} tenants such as {waiting[0].tenant.id} are not done after {TURNS} turns")


def _turn(backend: Backend[Any, Any], batch: Sequence[Intent]) -> list[Intent]:
    """Those that need another turn, such as a deletion that gives way to others."""
    observed = backend.observe(batch)
    plans = {i.tenant.id: backend.plan(backend.desired(i), observed[i.tenant.id]) for i in batch}
    applied = backend.apply({name: plan for name, plan in plans.items() if plan})
    errors = {name: result.error for name, result in applied.items() if result.error}
    for error in errors.values():
        if isinstance(error, Unreachable) or not isinstance(error, Transient):
            raise error
    return [intent for intent in batch if intent.tenant.id in errors]
