"""What tenants and RealtimeClusters own in Kubernetes: a change of it by somebody else is told to the controller.

Kopf is not asked for these: see docs/decisions/0007.
"""

import asyncio
import contextlib
import hashlib
import json
import threading
from functools import partial
from typing import NamedTuple

from matrixhub.api import naming
from matrixhub.engine.audit import manager
from matrixhub.engine.controller import Controller
from matrixhub.kube.client import KubeApi
from matrixhub.kube.follow import follow
from matrixhub.kube.resources import NAMESPACE, OWNED, WORKLOAD, Manifest

ECHO_DELAY = 0.1
"""Seconds that an event waits, so that the answer to our own write has been noted before."""
WATCHED = frozenset(resource.kind for resource in (*OWNED, *WORKLOAD))


class _Said(NamedTuple):
    """What an object says, and in which version; versions are ordered (KEP-5504)."""

    version: int
    digest: bytes


class Echoes:
    """Tells a change by somebody else from the echo of our own write, by what the object says. For all threads."""

    def __init__(self) -> None:
        self._known: dict[str, _Said] = {}
        self._lock = threading.Lock()

    def note(self, body: Manifest) -> None:
        """The object, as answered to our write, is known; only what is watched is, or it would never be forgotten."""
        if body.get("kind") in WATCHED:
            self._take(body["metadata"]["uid"], _said(body))

    def expects(self, body: Manifest, *, listed: bool) -> bool:
        """Whether the object says what is known already. What is first seen in a list is, from now on."""
        uid, said = body["metadata"]["uid"], _said(body)
        before = self._known.get(uid)
        expected = listed if before is None else before.digest == said.digest
        if expected:
            self._take(uid, said)
        return expected

    def fresh(self, body: Manifest) -> bool:
        """Whether the object says something not known yet; from now on it is. A version that is past says nothing."""
        said = _said(body)
        before = self._take(body["metadata"]["uid"], said)
        return before is None or (before.digest != said.digest and before.version <= said.version)

    def forget(self, body: Manifest) -> None:
        """The object is gone."""
        self._known.pop(body["metadata"]["uid"], None)

    def _take(self, uid: str, said: _Said) -> _Said | None:
        """What was known before; from now on what was said last is."""
        with self._lock:
            before = self._known.get(uid)
            if before is None or before.version <= said.version:
                self._known[uid] = said
        return before


def tenant_of(metadata: Manifest) -> str:
    """The tenant whose share the object is in, by its place: its labels may be what was changed."""
    place: str = metadata.get("namespace") or metadata["name"]
    return place.removeprefix(naming.namespace("")).removeprefix(naming.cluster_role(""))


class Guard:
    """Watches every kind that is owned, each in a thread of its own, and tells the controller in its event loop."""

    def __init__(self, api: KubeApi, controller: Controller, echoes: Echoes) -> None:
        self._api, self._controller, self._echoes = api, controller, echoes
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """The threads run; they end with the process."""
        for resource in (*OWNED, *WORKLOAD):
            watch = partial(follow, self._api, resource, naming.MANAGED_BY_SELECTOR, self._see)
            threading.Thread(target=watch, name=f"watch-{resource.plural}", daemon=True).start()

    def _see(self, change: str, body: Manifest) -> None:
        if change == "DELETED" or not self._echoes.expects(body, listed=change == "LISTED"):
            with contextlib.suppress(RuntimeError):  # the loop is closed: the operator ends
                self._loop.call_soon_threadsafe(self._loop.call_later, ECHO_DELAY, self._judge, change, body)

    def _judge(self, change: str, body: Manifest) -> None:
        if change == "DELETED":
            self._echoes.forget(body)
        elif not self._echoes.fresh(body):
            return
        metadata = body["metadata"]
        if cluster := (metadata.get("labels") or {}).get(naming.CLUSTER_LABEL):
            key = f"{metadata['namespace']}/{cluster}"
            self._controller.clusters.workload_changed(key, accounts=body["kind"] == "Secret")
        else:
            gone = change == "DELETED"
            tenant, by = tenant_of(metadata), "" if gone else manager(metadata)
            self._controller.owned_changed(tenant, by, ended=gone and body["kind"] == NAMESPACE.kind)


def _said(body: Manifest) -> _Said:
    metadata = body["metadata"]
    said = {name: value for name, value in body.items() if name not in ("metadata", "status", "apiVersion", "kind")}
    said["metadata"] = [
        metadata.get("labels"),
        metadata.get("annotations"),
        metadata.get("deletionTimestamp"),
        (body.get("status") or {}).get("readyReplicas"),
    ]
    digest = hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=8).digest()
    return _Said(int(metadata.get("resourceVersion") or 0), digest)
