"""What tests of several folders share."""

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.backends.contract import Credential, Intent, Owner, Phase

ROOT = Path(__file__).parents[1]

NOWHERE = {
    "PGHOST": "db",
    "PGPORT": "5432",
    "PGDATABASE": "hub",
    "REDIS_HOST": "redis",
    "REDIS_PORT": "6379",
    "KAFKA_BOOTSTRAP": "kafka:9092",
    "S3_ENDPOINT": "http://s3",
}
"""The endpoints of a stand that nobody brings up, for what is decided without one."""


def stand_variables() -> dict[str, str]:
    """The stand's endpoints and admin credentials; `python3 dev/stand up` brings it up."""
    file = Path(os.environ.get("MATRIXHUB_STAND", ROOT / ".stand")) / "env"
    words = shlex.split(file.read_text(encoding="utf-8"), comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)


def cluster(stand: Mapping[str, str], **redefined: Any) -> RealtimeCluster:
    """A RealtimeCluster over the stand's backends; a keyword replaces one backend's part of the spec."""
    spec: dict[str, Any] = {
        "postgres": {
            "host": stand["PGHOST"],
            "port": int(stand["PGPORT"]),
            "database": stand["PGDATABASE"],
            "sslMode": "disable",
            "adminSecretRef": {"name": "postgres-admin"},
        },
        "redis": {
            "nodes": [f"{stand['REDIS_HOST']}:{stand['REDIS_PORT']}"],
            "adminSecretRef": {"name": "redis-admin"},
        },
        "kafka": {
            "bootstrapServers": [stand["KAFKA_BOOTSTRAP"]],
            "securityProtocol": "SASL_PLAINTEXT",
            "adminSecretRef": {"name": "kafka-admin"},
            "replicationFactor": 1,
        },
        "objectStore": {
            "provider": "minio",
            "endpoint": stand["S3_ENDPOINT"],
            "adminSecretRef": {"name": "object-store-admin"},
        },
    }
    metadata = {"name": "main", "namespace": "matrixhub", "uid": "cluster-uid"}
    return RealtimeCluster.model_validate({"metadata": metadata, "spec": spec | redefined})


def intent(
    tenant_id: str,
    on: RealtimeCluster,
    phase: Phase = Phase.ACTIVE,
    *,
    password: str = "a-password-of-32-characters-0000",
    username: str | None = None,
    owner: Owner | None = None,
    held: bool = False,
    **spec: Any,
) -> Intent:
    """What is wanted for one tenant. Its uid is `uid-<id>` and the hub `hub` unless `owner` says otherwise.

    Access that is to go has no credential; `spec` is the Tenant's, in the YAML's names.
    """
    owner = owner or Owner("hub", f"uid-{tenant_id}")
    tenant = Tenant.model_validate(
        {
            "metadata": {"name": tenant_id, "uid": owner.uid},
            "spec": {"clusterRef": {"namespace": on.metadata.namespace, "name": on.metadata.name}} | spec,
        }
    )
    credential = Credential(username or naming.redis_user(tenant_id), password) if phase.living else None
    return Intent(tenant, on, phase, owner, credential, held=held)


def parts(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a structural schema with its path: `spec.kafka.topics[].domain`."""
    yield path.removeprefix("."), schema
    for name, each in schema.get("properties", {}).items():
        yield from parts(each, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from parts(schema[key], f"{path}[]")
