"""Gateways that gave up on Redis are deleted, so that their Deployment makes others.

sockudo 5.2.0 asks no more once Redis refused its login for some 3 s, as one does that was restarted and lost its
users: the gateway answers, is not ready, and never will be. No probe can tell that from a Redis that is away for all
(docs/decisions/0012), but who can log in to Redis as the gateways do can.
"""

import ssl
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import urllib3

from matrixhub.api import naming
from matrixhub.api.dataplane import WEBSOCKET_PORT
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.values import bracketed
from matrixhub.backends.gateway.desired import CANARY, section
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import POD, Manifest

EVERY = 5.0
"""Seconds between two looks while a gateway is not ready."""
PATIENCE = 20.0
"""Seconds for which a gateway refuses while Redis lets its login in. One that finds it again by itself took 5 at most,
16 on a machine with ten times the work that it has processors for (measured)."""
TIMEOUT = urllib3.Timeout(connect=0.5, read=1.0)
"""Seconds; one that gave up answers within milliseconds, one that has too much to do does not, and is left alone."""
THREADS = 8


class Recreation:
    """Remembers which gateways refuse, and since when. `lets_in` says whether their stores let gateways in now."""

    def __init__(self, api: KubeApi, cluster: RealtimeCluster, lets_in: Callable[[], bool]) -> None:
        self._api = api
        self._cluster = cluster
        self._lets_in = lets_in
        self._since: dict[str, float] = {}
        self._next_look = 0.0
        self._done: list[str] = []
        self._unready = True
        # Nothing secret is told or believed: a number is asked for, whatever certificate the gateway has.
        self._http = urllib3.PoolManager(retries=False, timeout=TIMEOUT, cert_reqs=ssl.CERT_NONE, assert_hostname=False)

    def survey(self) -> tuple[str, ...]:
        """Looks whether there are such gateways; a sentence for each that was deleted since this was last called."""
        self._unready = True
        self.look()
        done, self._done = tuple(self._done), []
        return done

    def look(self) -> None:
        """Those that refused for long enough are deleted. Asks nobody while all are ready or it has just asked."""
        now = time.monotonic()
        if not self._unready or now < self._next_look:
            return
        self._next_look = now + EVERY
        labels = naming.selector(naming.workload_labels("gateway", self._cluster.metadata.name))
        pods = unready(self._api.list(POD, self._cluster.metadata.namespace, labels))
        self._unready = bool(pods)
        refusing = self._refusing(pods) if pods and self._lets_in() else []
        self._since = {_uid(pod): self._since.get(_uid(pod), now) for pod in refusing}
        for pod in refusing:
            if now - self._since[_uid(pod)] >= PATIENCE:
                self._delete(pod["metadata"])

    def _refusing(self, pods: list[Manifest]) -> list[Manifest]:
        with ThreadPoolExecutor(THREADS) as threads:
            return [pod for pod, refuses in zip(pods, threads.map(self._refuses, pods), strict=True) if refuses]

    def _refuses(self, pod: Manifest) -> bool:
        """Whether the gateway says at once that a store is away."""
        host = bracketed(pod["status"]["podIP"])
        scheme = "https" if section(self._cluster).tls else "http"
        try:
            answer = self._http.request("GET", f"{scheme}://{host}:{WEBSOCKET_PORT}/up/{CANARY}")
        except (urllib3.exceptions.HTTPError, OSError):
            return False
        return answer.status == HTTPStatus.SERVICE_UNAVAILABLE

    def _delete(self, metadata: Manifest) -> None:
        name, namespace = metadata["name"], metadata["namespace"]
        self._api.delete(POD, name, namespace, metadata["uid"])
        self._since.pop(metadata["uid"])
        self._done.append(f"deleted Pod {namespace}/{name}, which gave up on Redis though Redis lets gateways in")


def unready(pods: Iterable[Manifest]) -> list[Manifest]:
    """The gateways that were ready once and are not now. Pure.

    One that never was is started anew by its startup probe; one whose node is silent says nothing.
    """
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and _started(pod) and _is_unready(pod)]


def _started(pod: Manifest) -> bool:
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and any(each.get("started") for each in status.get("containerStatuses") or ())


def _is_unready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any((each["type"], each["status"]) == ("Ready", "False") for each in conditions)


def _uid(pod: Manifest) -> str:
    return str(pod["metadata"]["uid"])
