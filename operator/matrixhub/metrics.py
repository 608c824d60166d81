"""What the operator measures, by Prometheus conventions. Cardinality is bounded: no label holds a tenant.

The exceptions, `matrixhub_tenant_*`, are written only with `MATRIXHUB_TENANT_METRICS=true`.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from prometheus_client import (
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    Info,
    Metric,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from matrixhub import __version__

# Of no use but to say when a counter began, at the price of a series for each.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own


Values = TypeVar("Values", bound=tuple[str, ...])


class Sheet(Collector):
    """A family whose series are replaced all at once: what is gone leaves none behind."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        family: type[GaugeMetricFamily | CounterMetricFamily] = GaugeMetricFamily,
    ) -> None:
        self._about = (name, documentation)
        self._labels = tuple(labels)
        self._family = family
        self._series: Mapping[Any, float] = {}
        REGISTRY.register(self)

    def replace(self, series: Mapping[Values, float]) -> None:
        """The series, by their labels' values in the family's order, are these and no others."""
        self._series = series

    def collect(self) -> Iterable[Metric]:
        """The family as it now stands."""
        name, documentation = self._about
        family = self._family(name, documentation, labels=self._labels)
        for values, value in self._series.items():
            family.add_metric(values, value)
        return [family]


BUILD = Info("matrixhub_build", "The version that runs.")
BUILD.info({"version": __version__, "python_version": platform.python_version()})
LEADER = Gauge("matrixhub_leader", "1 while this process does the work, 0 while it stands by.")

KUBERNETES_REQUESTS = Counter("matrixhub_kubernetes_requests_total", "Requests to the Kubernetes API.", ["verb"])
BACKEND_CALLS = Counter(
    "matrixhub_backend_calls_total", "Calls of a backend's observe, apply and prepare.", ["backend", "call"]
)
BACKEND_REQUESTS = Counter(
    "matrixhub_backend_requests_total", "Round trips to a backend's servers, retries not counted.", ["backend"]
)
BACKEND_UP = Gauge("matrixhub_backend_up", "1 while the backend answers.", ["cluster", "backend"])
RECONCILES = Counter(
    "matrixhub_reconciles_total", "Tenants reconciled: Succeeded, or the reason why not.", ["backend", "result"]
)
RECONCILE_SECONDS = Histogram(
    "matrixhub_reconcile_batch_duration_seconds",
    "Time to reconcile one batch of tenants: Succeeded, or Failed for one of them at least.",
    ["backend", "result"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
DRIFT_REPAIRED = Counter(
    "matrixhub_drift_repaired_total", "Changes made by others that were undone.", ["backend", "kind"]
)
STATUS_WRITES = Counter("matrixhub_status_writes_total", "Writes of a status.", ["kind"])
QUEUE_DEPTH = Sheet("matrixhub_queue_depth", "Tenants that wait for a backend.", ["cluster", "backend"])
QUEUE_AGE = Sheet(
    "matrixhub_queue_oldest_key_age_seconds",
    "How long the oldest of the tenants that a backend could work on has waited, or been worked on.",
    ["cluster", "backend"],
)

TENANTS = Sheet("matrixhub_tenants", "Tenants by their condition Ready.", ["cluster", "ready", "reason"])
LONGEST_NOT_READY = Sheet(
    "matrixhub_tenants_longest_not_ready_seconds",
    "For how long the Tenant that is longest not Ready has not been.",
    ["cluster", "reason"],
)

SCALING_REPLICAS = Gauge("matrixhub_scaling_replicas", "Replicas that there are.", ["cluster", "workload"])
SCALING_DESIRED = Gauge("matrixhub_scaling_desired_replicas", "Replicas as decided.", ["cluster", "workload"])
SCALING_WANTED = Gauge(
    "matrixhub_scaling_wanted_replicas", "Replicas that the load alone asks for.", ["cluster", "workload"]
)
SCALING_MINIMUM = Gauge("matrixhub_scaling_min_replicas", "The fewest replicas allowed.", ["cluster", "workload"])
SCALING_MAXIMUM = Gauge("matrixhub_scaling_max_replicas", "The most replicas allowed.", ["cluster", "workload"])
SCALING_TROUBLE = Gauge(
    "matrixhub_scaling_trouble", "1 while what is decided from cannot be trusted.", ["cluster", "workload"]
)
SCALING_DECISIONS = Counter(
    "matrixhub_scaling_decisions_total", "Decisions on a number of replicas.", ["cluster", "workload", "reason"]
)
SCALING_STEPS = Counter(
    "matrixhub_scaling_steps_total", "Changes of a number of replicas.", ["cluster", "workload", "direction"]
)
GATEWAY_CONNECTIONS = Gauge("matrixhub_gateway_connections", "Sockets on all gateways that answer.", ["cluster"])
GATEWAY_CAPACITY = Gauge(
    "matrixhub_gateway_connections_capacity", "Sockets that the gateways there are may hold.", ["cluster"]
)
CONSUMER_LAG = Gauge("matrixhub_consumer_lag_records", "Records that wait for a group.", ["cluster", "workload"])

AUDIT_RECORDS = Counter("matrixhub_audit_records_total", "Audit records written to Kafka.", ["cluster"])
AUDIT_DROPPED = Counter(
    "matrixhub_audit_records_dropped_total", "Audit records that Kafka did not take in time.", ["cluster"]
)

TENANT_INFO = Sheet(
    "matrixhub_tenant_info", "1 for each Tenant; joins its id with its app's.", ["tenant", "cluster", "app_id"]
)
TENANT_READY = Sheet("matrixhub_tenant_ready", "1 while the condition is True.", ["tenant", "condition"])
TENANT_CONNECTIONS = Sheet("matrixhub_tenant_connections", "The Tenant's sockets on the gateways.", ["tenant"])
TENANT_CONNECTIONS_LIMIT = Sheet(
    "matrixhub_tenant_connections_limit", "Sockets that the Tenant may have on the gateways.", ["tenant"]
)
TENANT_STORED = Sheet(
    "matrixhub_tenant_objectstore_bytes",
    "Bytes in the Tenant's bucket, all versions, as MinIO last counted.",
    ["tenant"],
)
TENANT_STORED_LIMIT = Sheet(
    "matrixhub_tenant_objectstore_limit_bytes", "Bytes that the Tenant may have in its bucket.", ["tenant"]
)
TENANT_EVENTS = Sheet(
    "matrixhub_tenant_events",
    "Records written to the Tenant's topics of a domain that the relay or a consumer reads.",
    ["tenant", "domain"],
    CounterMetricFamily,
)
TENANT_LAG = Sheet(
    "matrixhub_tenant_lag_records",
    "Records of the Tenant's topics of a domain that wait for a group.",
    ["tenant", "domain", "cluster", "workload"],
)

_OF_WORKLOADS = (
    SCALING_REPLICAS,
    SCALING_DESIRED,
    SCALING_WANTED,
    SCALING_MINIMUM,
    SCALING_MAXIMUM,
    SCALING_TROUBLE,
    SCALING_DECISIONS,
    SCALING_STEPS,
    CONSUMER_LAG,
)
_OF_GATEWAYS = (GATEWAY_CONNECTIONS, GATEWAY_CAPACITY)
_OF_CLUSTERS = (*_OF_WORKLOADS, *_OF_GATEWAYS, BACKEND_UP, AUDIT_RECORDS, AUDIT_DROPPED)


def forget(cluster: str) -> None:
    """The RealtimeCluster `namespace/name` has no series any more."""
    _forget(_OF_CLUSTERS, cluster=cluster)


def forget_workload(cluster: str, workload: str) -> None:
    """The workload that the RealtimeCluster scaled has no series any more."""
    _forget(_OF_WORKLOADS, cluster=cluster, workload=workload)


def forget_gateways(cluster: str) -> None:
    """The sockets on the RealtimeCluster's gateways have no series any more."""
    _forget(_OF_GATEWAYS, cluster=cluster)


def _forget(families: Iterable[Counter | Gauge], **labels: str) -> None:
    for family in families:
        family.remove_by_labels(labels)
