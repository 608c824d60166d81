"""The bare floor: each backend driven directly, alone, with the very calls that the operator makes."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from typing import Any

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.backends.contract import Backend, Credential, Intent, Owner, Phase
from matrixhub.backends.namespace.client import Client as NamespaceClient
from matrixhub.engine.kinds import Kind
from matrixhub.engine.worker import BATCH
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import REALTIME_CLUSTER, SECRET
from matrixhub.main import kinds

Clients = Mapping[str, Backend[Any, Any]]
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


def bare(api: KubeApi) -> list[Kind]:
    """The kinds that are driven without the operator."""
    return [kind for kind in kinds(api) if kind.name in BARE]


def clients(api: KubeApi) -> tuple[RealtimeCluster, Clients]:
    """A client of each backend of the RealtimeCluster `main`, with the operator's own weak rights."""
    found = api.get(REALTIME_CLUSTER, "main", "matrixhub")
    if found is None:
        raise SystemExit("RealtimeCluster matrixhub/main does not exist")
    cluster = RealtimeCluster.model_validate(found)
    made: dict[str, Backend[Any, Any]] = {"namespace": NamespaceClient(api)}
    for kind in bare(api):
        reference = kind.section(cluster).admin_secret_ref
        secret = api.get(SECRET, reference.name, "matrixhub") or {}
        admin = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        made[kind.name] = kind.client(cluster, admin, None)
    return cluster, made


def intents(
    known: Sequence[Kind], cluster: RealtimeCluster, names: Sequence[str], backend: str, phase: Phase
) -> list[Intent]:
    """What is wanted of the tenants in one backend."""
    wanted = []
    for name in names:
        body = tenant(name)
        body["metadata"]["uid"] = f"uid-{name}"
        owner, resource = Owner("bench", f"uid-{name}"), Tenant.model_validate(body)
        credentials = {kind.name: kind.credential(name) for kind in known}
        living = phase is Phase.ACTIVE
        secrets = _secrets(known, resource, cluster, owner, credentials) if backend == "namespace" and living else {}
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
    """Every intent is fulfilled, in batches of the size that the operator takes."""
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        observed = backend.observe(batch)
        plans = {i.tenant.id: backend.plan(backend.desired(i), observed[i.tenant.id]) for i in batch}
        applied = backend.apply({name: plan for name, plan in plans.items() if plan})
        errors = [result.error for result in applied.values() if result.error]
        if errors:
            raise errors[0]


def floor(known: Sequence[Kind], cluster: RealtimeCluster, backend: Backend[Any, Any], name: str, count: int) -> float:
    """Tenants per second of one backend alone; what was made is removed again."""
    names = [f"floor-{number:03d}" for number in range(count)]
    backend.prepare()
    wanted = intents(known, cluster, names, name, Phase.ACTIVE)
    began = time.monotonic()
    carry_out(backend, wanted)
    seconds = time.monotonic() - began
    if name != "namespace":
        carry_out(backend, intents(known, cluster, names, name, Phase.DELETED))
    return count / seconds
