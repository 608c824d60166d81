"""The informer: Kopf turns the API server's watches into calls of the controller. It writes nothing."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import kopf

from matrixhub.api import naming
from matrixhub.engine.controller import Controller
from matrixhub.kube.resources import OWNED, WORKLOAD, Manifest

Handler = TypeVar("Handler", bound=Callable[..., Any])

ECHO_DELAY = 0.1
"""Seconds that an owned object's event waits, so that the answer to our own write has been noted before."""
PAGE = 500
"""Objects per page of the first listing."""
WATCHED = frozenset(resource.kind for resource in (*OWNED, *WORKLOAD))


class Echoes:
    """Tells a change by somebody else from the echo of our own write, by what the object says."""

    def __init__(self) -> None:
        self._digests: dict[str, bytes] = {}

    def note(self, body: Manifest) -> None:
        """The object, as answered to our write, is known; only what is watched is, or it would never be forgotten."""
        if body.get("kind") in WATCHED:
            self._digests[body["metadata"]["uid"]] = _digest(body)

    def fresh(self, body: Manifest, *, listed: bool) -> bool:
        """Whether the object says something not known yet; from now on it is. What is first seen in a list is not."""
        uid, digest = body["metadata"]["uid"], _digest(body)
        before = self._digests.get(uid)
        self._digests[uid] = digest
        return before != digest and not (listed and before is None)

    def forget(self, body: Manifest) -> None:
        """The object is gone."""
        self._digests.pop(body["metadata"]["uid"], None)


def tenant_of(metadata: Manifest) -> str:
    """The tenant whose share the object is in, by its place: its labels may be what was changed."""
    place: str = metadata.get("namespace") or metadata["name"]
    return place.removeprefix(naming.namespace("")).removeprefix(naming.cluster_role(""))


def _digest(body: Manifest) -> bytes:
    metadata = body["metadata"]
    said = {name: value for name, value in body.items() if name not in ("metadata", "status", "apiVersion", "kind")}
    said["metadata"] = [
        metadata.get("labels"),
        metadata.get("annotations"),
        metadata.get("deletionTimestamp"),
        (body.get("status") or {}).get("readyReplicas"),
    ]
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=8).digest()


def registry(controller: Controller, echoes: Echoes) -> kopf.OperatorRegistry:
    """Kopf's handlers: each hands the event on and returns."""
    handlers = kopf.OperatorRegistry()
    on_event = cast("Callable[..., Callable[[Handler], Handler]]", kopf.on.event)
    kopf.on.login(registry=handlers)(kopf.login_via_client)

    @on_event(naming.GROUP, naming.VERSION, "tenants", registry=handlers)
    async def tenant(event: Any, **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            controller.tenant_gone(body["metadata"]["name"], body["metadata"]["uid"])
        else:
            controller.tenant_seen(body, initial=event["type"] is None)

    @on_event(naming.GROUP, naming.VERSION, "realtimeclusters", registry=handlers)
    async def realtimecluster(event: Any, **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            metadata = body["metadata"]
            controller.cluster_gone(f"{metadata['namespace']}/{metadata['name']}", metadata["uid"])
        else:
            controller.cluster_seen(body)

    async def owned(event: Any, **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            echoes.forget(body)
        else:
            await asyncio.sleep(ECHO_DELAY)
            if not echoes.fresh(body, listed=event["type"] is None):
                return
        metadata = body["metadata"]
        if cluster := (metadata.get("labels") or {}).get(naming.CLUSTER_LABEL):
            controller.workload_changed(f"{metadata['namespace']}/{cluster}", accounts=body["kind"] == "Secret")
        else:
            controller.owned_changed(tenant_of(metadata))

    for resource in (*OWNED, *WORKLOAD):
        group, _, version = resource.api_version.rpartition("/")
        on_event(group, version, resource.plural, registry=handlers)(owned)
    return handlers


class NoDiffBase(kopf.DiffBaseStorage):
    """Kopf keeps no former version to compare with: nobody here asks what has changed, only what is.

    Building those versions was a quarter of Kopf's work for an event (sampled while 60 Tenants were onboarded).
    """

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:  # noqa: ARG002 - Kopf's interface
        """Nothing."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002 - Kopf's interface
        """Nothing."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is written."""


def settings() -> kopf.OperatorSettings:
    """Kopf as a pure informer, able to list ten thousand Tenants at once."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.persistence.diffbase_storage = NoDiffBase()
    chosen.queueing.worker_limit = None
    chosen.watching.chunk_size = PAGE
    chosen.networking.request_timeout = 30
    for resource in (*OWNED, *WORKLOAD):
        group, _, version = resource.api_version.rpartition("/")
        chosen.watching.label_selectors[group, version, resource.plural] = naming.MANAGED_BY_SELECTOR
    return chosen


async def watch(controller: Controller, echoes: Echoes) -> None:
    """Watches until SIGTERM or SIGINT."""
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    await kopf.operator(registry=registry(controller, echoes), settings=settings(), clusterwide=True)
