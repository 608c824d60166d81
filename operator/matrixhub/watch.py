"""The informer of Tenants and RealtimeClusters: Kopf turns watches into calls of the controller. It writes nothing."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import kopf

from matrixhub.api import naming
from matrixhub.engine.controller import Controller
from matrixhub.freshness import Shown

Handler = TypeVar("Handler", bound=Callable[..., Any])

PAGE = 500
"""Objects per page of the first listing."""


def registry(controller: Controller, shown: Shown) -> kopf.OperatorRegistry:
    """Kopf's handlers: each hands the event on and returns."""
    handlers = kopf.OperatorRegistry()
    on_event = cast("Callable[..., Callable[[Handler], Handler]]", kopf.on.event)
    kopf.on.login(registry=handlers)(kopf.login_via_client)

    @on_event(naming.GROUP, naming.VERSION, "tenants", registry=handlers)
    async def tenant(event: Any, **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            shown.forget(body["metadata"]["uid"])
            controller.tenant_gone(body["metadata"]["name"], body["metadata"]["uid"])
        else:
            shown.note(body["metadata"])
            controller.tenant_seen(body, initial=event["type"] is None)

    @on_event(naming.GROUP, naming.VERSION, "realtimeclusters", registry=handlers)
    async def realtimecluster(event: Any, **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            metadata = body["metadata"]
            shown.forget(metadata["uid"])
            controller.clusters.gone(f"{metadata['namespace']}/{metadata['name']}", metadata["uid"])
        else:
            shown.note(body["metadata"])
            controller.clusters.seen(body)

    return handlers


def withdrawing(controller: Controller, shown: Shown) -> Callable[[str], None]:
    """To be called in any thread with the uid of an object that is gone, of which Kopf says nothing."""
    loop = asyncio.get_running_loop()

    def withdraw(uid: str) -> None:
        """The controller knows."""
        shown.forget(uid)
        controller.gone(uid)

    def told(uid: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the operator ends
            loop.call_soon_threadsafe(withdraw, uid)

    return told


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


def settings(silence: float) -> kopf.OperatorSettings:
    """Kopf as a pure informer, able to list ten thousand Tenants at once; a watch is taken for dead after `silence`."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.persistence.diffbase_storage = NoDiffBase()
    chosen.queueing.worker_limit = None
    chosen.watching.chunk_size = PAGE
    chosen.watching.inactivity_timeout = silence
    chosen.networking.request_timeout = 30
    return chosen


async def watch(
    controller: Controller, shown: Shown, silence: float, enough: asyncio.Event, take_signals: Callable[[], None]
) -> None:
    """Watches until `enough`. Kopf takes the signals over when it begins: `take_signals` is called right after that."""
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    ready = asyncio.Event()
    informer = asyncio.create_task(
        kopf.operator(
            registry=registry(controller, shown),
            settings=settings(silence),
            clusterwide=True,
            stop_flag=enough,
            ready_flag=ready,
        )
    )
    begun = asyncio.create_task(ready.wait())
    await asyncio.wait({informer, begun}, return_when=asyncio.FIRST_COMPLETED)
    begun.cancel()
    take_signals()
    await informer
