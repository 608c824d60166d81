"""Whether the watch shows what there is: what the API server lists is compared with it, page by page.

And whether all that it has shown is still there: Kopf lists anew after an HTTP 410, and says nothing of what vanished.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from matrixhub.errors import BackendError
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import REALTIME_CLUSTER, TENANT, Manifest, Resource

log = logging.getLogger(__name__)

TIMEOUT = (3.0, 5.0)
"""Seconds to connect and to read, on connections of its own: those of the others may be as dead as the watch."""
EVERY = 60.0
"""Seconds between two pages; and how long the watch may take to show what a page has shown."""
PASS = 240.0
"""Seconds in which all pages are read, however many: the API server forgets a list's place after five minutes."""
FIRST_PATIENCE = 300.0
"""Seconds that the first listing may take."""
SOON = 0.2
"""Seconds between two looks at whether the first listing is through."""


class Wish(NamedTuple):
    """What of an object matters to the operator: a status that was written is no news."""

    generation: int
    deleting: bool


class Shown:
    """What the watch has shown, by uid."""

    def __init__(self) -> None:
        self._wishes: dict[str, Wish] = {}

    def note(self, metadata: Manifest) -> None:
        """The watch has shown the object."""
        self._wishes[metadata["uid"]] = _wish(metadata)

    def forget(self, uid: str) -> None:
        """The watch has shown that the object is gone."""
        self._wishes.pop(uid, None)

    @property
    def uids(self) -> set[str]:
        """Of everything that is there, as far as the watch has shown."""
        return set(self._wishes)

    def knows(self, metadata: Manifest) -> bool:
        """Whether the watch has shown the object as it is here, or as it was later."""
        known = self._wishes.get(metadata["uid"])
        return known is not None and all(new >= old for new, old in zip(known, _wish(metadata), strict=True))


@dataclass(frozen=True)
class _Unseen:
    """An object that was listed at `since` and that the watch had not shown then."""

    resource: Resource
    metadata: Manifest
    since: float


class Freshness:
    """Compares for ever; meant for a thread of its own.

    `listed` once the watch has shown everything that there was at the start; `stuck` names what it does not show.
    `gone` is called with the uid of what the watch has shown and not withdrawn, though it is there no more.
    """

    def __init__(self, api: KubeApi, shown: Shown, gone: Callable[[str], None], every: float = EVERY) -> None:
        self.listed = False
        self.stuck = ""
        self._api, self._shown, self._gone, self._every = api, shown, gone, every
        self._unseen: dict[str, _Unseen] = {}

    def run(self) -> None:
        """Never returns. While the API server does not answer nothing is found: the watch is not to blame then."""
        while True:
            try:
                self._compare_all()
            except BackendError as error:
                log.debug("Cannot compare with the watch: %s", error.message)
                time.sleep(self._every)
            except Exception:  # the thread goes on: nobody else would notice a watch that is deaf
                log.exception("Failed to compare with the watch")
                time.sleep(self._every)

    def _compare_all(self) -> None:
        """Every page was compared once: at the start on the spot, later one at a time."""
        absent = self._shown.uids  # before the first page: what is shown later may be newer than the list
        for pause in self._pages(absent):
            if self.listed:
                time.sleep(pause)
                self._judge(self._every)
        if self.listed:
            for uid in absent & self._shown.uids:
                self._gone(uid)
        while self._unseen and not self.listed:
            time.sleep(SOON)
            self._judge(FIRST_PATIENCE)
        self.listed = True

    def _pages(self, absent: set[str]) -> Iterator[float]:
        """What is on a page is not absent, and unseen if the watch has not shown it; the seconds until the next."""
        for resource in (REALTIME_CLUSTER, TENANT):
            for page in self._api.pages(resource, metadata_only=True):
                now = time.monotonic()
                for item in page["items"]:
                    metadata = item["metadata"]
                    absent.discard(metadata["uid"])
                    if not self._shown.knows(metadata):
                        self._unseen.setdefault(metadata["uid"], _Unseen(resource, metadata, now))
                if resource is TENANT:
                    yield min(
                        self._every, PASS * TENANT.page / (TENANT.page + page["metadata"].get("remainingItemCount", 0))
                    )

    def _judge(self, patience: float) -> None:
        """What the watch has shown meanwhile, or what is gone, is unseen no more; what it still owes is told."""
        stuck = ""
        for uid, unseen in list(self._unseen.items()):
            waited = time.monotonic() - unseen.since
            if self._shown.knows(unseen.metadata) or (waited >= patience and not self._exists(unseen)):
                del self._unseen[uid]
            elif waited >= patience:
                kind, name = unseen.resource.kind, unseen.metadata["name"]
                stuck = f"the watch has not shown {kind} {name} as it was listed {waited:.0f} s ago"
                break
        if stuck and not self.stuck:
            log.error("Is stuck: %s", stuck)
        self.stuck = stuck

    def _exists(self, unseen: _Unseen) -> bool:
        body = self._api.get(unseen.resource, unseen.metadata["name"], unseen.metadata.get("namespace"))
        return body is not None and body["metadata"]["uid"] == unseen.metadata["uid"]


def _wish(metadata: Manifest) -> Wish:
    return Wish(metadata.get("generation", 0), "deletionTimestamp" in metadata)
