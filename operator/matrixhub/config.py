"""What can be set from outside, read from the environment in one place."""

import os
import secrets
import socket
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """Settings of one operator process."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    log_format: str = Field(default="text", pattern="^(text|json)$")
    """`text` or `json`."""
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """Of the operator's own lines."""
    resync_seconds: float = Field(default=45.0, gt=0)
    """How often each backend is looked at as a whole: drift there is repaired within this time and a round's own."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Where Prometheus metrics are served on all addresses; 0 serves none."""
    health_port: int = Field(default=0, ge=0, le=65535)
    """Where `/healthz` and `/readyz` are served on all addresses; 0 serves none."""
    watch_check_seconds: float = Field(default=60.0, gt=0)
    """How often the watch is compared with what the API server lists, and how long it may lag behind."""
    watch_silence_seconds: float = Field(default=70.0, gt=0)
    """A watch that brought nothing for so long is opened anew; servers send a bookmark every minute."""

    tenant_metrics: bool = False
    """Whether there are series for each Tenant: some 30 of them. MinIO is asked for one list more at each resync."""
    audit_topic: str = Field(default="", pattern=r"^(matrixhub\.[a-z0-9._-]{1,200})?$")
    """Topic of each RealtimeCluster's Kafka for audit records, such as `matrixhub.audit.changes`; empty writes none.

    No tenant is named `matrixhub`, so no tenant's rights reach a topic that begins so.
    """

    lease_namespace: str = ""
    """Where the Lease is by which one of several operators leads; empty for a single one, which always does."""
    lease_name: str = "matrixhub-operator"
    """The Lease's name."""
    identity: str = Field(default_factory=lambda: f"{socket.gethostname()}_{secrets.token_hex(4)}", min_length=1)
    """The holder of the Lease; in a cluster the pod's name, which the API server's fence knows it by."""
    image: str = ""
    """The operator's own image: relays run it too, where their RealtimeCluster names none."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Config":
        """Each field from `MATRIXHUB_<FIELD>`; raises ValidationError for a value that cannot be used."""
        names = {field: f"MATRIXHUB_{field.upper()}" for field in cls.model_fields}
        return cls.model_validate({f: environment[name] for f, name in names.items() if name in environment})
