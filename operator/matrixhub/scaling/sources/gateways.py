"""What each gateway says of itself, read from its metrics: sockets in all, and of each app."""

import re
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import urllib3

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.values import bracketed
from matrixhub.backends.gateway.settings import METRICS_PORT
from matrixhub.errors import BackendError
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import POD, Manifest
from matrixhub.scaling.report import Seen
from matrixhub.scaling.samples import GatewaySample, Missing

THREADS = 16
TIMEOUT = urllib3.Timeout(connect=1.0, read=2.0)
"""Seconds; a gateway answers within milliseconds."""
_LINE = re.compile(
    r'^(sockudo_connected|sockudo_new_connections_total)\{[^}]*app_id="([^"]*)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE
)


class GatewaySource:
    """Asks the gateways' pods by their addresses. Safe to share between threads."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._http = urllib3.PoolManager(num_pools=256, maxsize=1, retries=False, timeout=TIMEOUT)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="gateway-metrics")

    def look(self, cluster: RealtimeCluster) -> Seen:
        """A sample of each gateway that has not ended nor is deleted: one list of pods, one request to each."""
        name, spec = naming.gateway_workload(cluster.metadata.name), cluster.spec.gateway
        limit = spec.connections_per_replica if spec else 0
        selector = naming.selector(naming.workload_labels("gateway", cluster.metadata.name))
        try:
            pods = list(self._api.list(POD, cluster.metadata.namespace, selector))
        except BackendError as error:
            return Seen(Missing(f"the pods of {name} cannot be listed: {error.message}"))
        staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and not has_ended(pod)]
        texts = self._threads.map(self._metrics, staying)
        apps: Counter[str] = Counter()
        samples, whole = [], True
        for pod, text in zip(staying, texts, strict=True):
            sample, held = read(pod, text, time.monotonic())
            samples.append(sample)
            apps.update(held)
            whole = whole and (text is not None or not is_running(pod))
        return Seen(tuple(samples), apps, whole, limit)

    def _metrics(self, pod: Manifest) -> str | None:
        """The text of the pod's metrics, or None when it does not answer."""
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            return None
        try:
            answer = self._http.request("GET", f"http://{bracketed(address)}:{METRICS_PORT}/metrics")
        except (urllib3.exceptions.HTTPError, OSError):
            return None
        return answer.data.decode(errors="replace") if answer.status == HTTPStatus.OK else None


def read(pod: Manifest, text: str | None, now: float) -> tuple[GatewaySample, dict[str, int]]:
    """The sample of a pod whose metrics say `text`, and the sockets of each app on it. Pure."""
    name, ready = pod["metadata"]["name"], is_ready(pod)
    if text is None:
        return GatewaySample(name, ready, now, None), {}
    held: dict[str, int] = {}
    connects = 0
    for metric, app, value in _LINE.findall(text):
        if metric == "sockudo_connected":
            held[app] = held.get(app, 0) + int(float(value))
        else:
            connects += int(float(value))
    return GatewaySample(name, ready, now, sum(held.values()), connects), held


def has_ended(pod: Manifest) -> bool:
    """Whether the pod will never run again: evicted, or its node is lost. It may lie there for days."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_running(pod: Manifest) -> bool:
    """Whether there may be sockets on the pod."""
    containers: Iterable[Manifest] = (pod.get("status") or {}).get("containerStatuses") or ()
    return any("running" in (each.get("state") or {}) for each in containers)


def is_ready(pod: Manifest) -> bool:
    """Whether the pod takes connections."""
    conditions: Iterable[Manifest] = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
