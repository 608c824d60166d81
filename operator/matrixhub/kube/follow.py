"""One kind of object followed for ever: listed, then watched, and listed anew when the watch has lost its place."""

import json
import logging
import random
import time
from collections.abc import Callable, Mapping

from matrixhub.errors import BackendError, Transient
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import Manifest, Resource

log = logging.getLogger(__name__)

PAUSE_FIRST, PAUSE_LIMIT = 0.5, 30.0
"""Seconds before a list is tried again: at first, and at most."""

REMEMBERED = ("uid", "name", "namespace", "labels")
"""What is remembered of an object's metadata, to tell of its end; as JSON, for there may be 100,000 of them."""

See = Callable[[str, Manifest], None]
"""Called with `LISTED`, `ADDED`, `MODIFIED` or `DELETED`, and the object.

Of one that vanished before a new list there is no more than its kind, name and labels."""


def follow(api: KubeApi, resource: Resource, labels: str, see: See) -> None:
    """Never returns; meant for a thread of its own. What happens while the API server is away is seen in a new list."""
    failures = 0
    known: dict[str, str] = {}
    see = _remembering(known, see)
    while True:
        try:
            version = _listed(api, resource, labels, see, known)
            failures = 0
            while True:
                version = _watched(api, resource, labels, see, version)
        except Transient as lost:
            log.debug("Listing %s anew: %s", resource.plural, lost.message)
        except BackendError as error:
            log.warning("Failed to watch %s: %s", resource.plural, error.message)
        except Exception:  # the thread goes on, with a new list: nobody else would see what it misses
            log.exception("Failed to watch %s", resource.plural)
        failures += 1
        pause = min(PAUSE_LIMIT, PAUSE_FIRST * 2 ** min(failures - 1, 16))
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, no secret


def _remembering(known: dict[str, str], see: See) -> See:
    """Sees the same; afterwards the objects that there are, and no others, are known by their uids."""

    def seen(change: str, body: Manifest) -> None:
        see(change, body)  # first: what could not be seen is seen again in a new list
        metadata = body["metadata"]
        if change == "DELETED":
            known.pop(metadata["uid"], None)
        else:
            kept = {name: metadata[name] for name in REMEMBERED if name in metadata}
            known[metadata["uid"]] = json.dumps({"kind": body["kind"], "metadata": kept})

    return seen


def _listed(api: KubeApi, resource: Resource, labels: str, see: See, known: Mapping[str, str]) -> str:
    """Every object was seen, and that those which are known and no longer listed are gone; where to watch from."""
    version, missing = "", dict(known)
    for page in api.pages(resource, labels=labels):
        version = page["metadata"]["resourceVersion"]
        for item in page["items"]:
            missing.pop(item["metadata"]["uid"], None)
            see("LISTED", resource.whole(item))
    for remembered in missing.values():
        see("DELETED", json.loads(remembered))
    return version


def _watched(api: KubeApi, resource: Resource, labels: str, see: See, version: str) -> str:
    """Every change was seen until the server ended the stream; the version from which to go on."""
    for kind, body in api.watch(resource, version, labels):
        version = body["metadata"]["resourceVersion"]
        if kind != "BOOKMARK":
            see(kind, body)
    return version
