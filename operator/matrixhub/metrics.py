"""What the operator counts, by Prometheus conventions. Cardinality is bounded: no label holds a tenant."""

from prometheus_client import Counter, Gauge, Histogram

KUBERNETES_REQUESTS = Counter("matrixhub_kubernetes_requests_total", "Requests to the Kubernetes API.", ["verb"])
BACKEND_CALLS = Counter(
    "matrixhub_backend_calls_total", "Calls of a backend's observe, apply and prepare.", ["backend", "call"]
)
BACKEND_REQUESTS = Counter(
    "matrixhub_backend_requests_total", "Round trips to a backend's servers, retries not counted.", ["backend"]
)
RECONCILES = Counter("matrixhub_reconciles_total", "Tenants reconciled.", ["backend", "result"])
RECONCILE_SECONDS = Histogram(
    "matrixhub_reconcile_batch_duration_seconds", "Time to reconcile one batch of tenants.", ["backend"]
)
DRIFT_REPAIRED = Counter("matrixhub_drift_repaired_total", "Changes made by others that were undone.", ["backend"])
STATUS_WRITES = Counter("matrixhub_status_writes_total", "Writes of a status.", ["kind"])
QUEUE_LENGTH = Gauge("matrixhub_queue_length", "Tenants waiting in a backend's queue.", ["cluster", "backend"])
SCALING_REPLICAS = Gauge("matrixhub_scaling_replicas", "Replicas that there are.", ["cluster", "workload"])
SCALING_DESIRED = Gauge("matrixhub_scaling_desired_replicas", "Replicas as decided.", ["cluster", "workload"])
SCALING_WANTED = Gauge(
    "matrixhub_scaling_wanted_replicas", "Replicas that the load alone asks for.", ["cluster", "workload"]
)
SCALING_TROUBLE = Gauge(
    "matrixhub_scaling_trouble", "1 while what is decided from cannot be trusted.", ["cluster", "workload"]
)
SCALING_STEPS = Counter(
    "matrixhub_scaling_steps_total", "Changes of a number of replicas.", ["cluster", "workload", "direction"]
)
GATEWAY_CONNECTIONS = Gauge("matrixhub_gateway_connections", "Sockets on all gateways that answer.", ["cluster"])
CONSUMER_LAG = Gauge("matrixhub_consumer_lag_records", "Records that wait for a group.", ["cluster", "workload"])
BACKEND_UP = Gauge("matrixhub_backend_up", "1 while the backend answers.", ["cluster", "backend"])
