"""The workers: one of the namespace backend, and one for each other backend of each RealtimeCluster."""

import asyncio
import contextlib
from collections.abc import Callable, Collection

from matrixhub import metrics
from matrixhub.engine.census import Place
from matrixhub.engine.kinds import Kind
from matrixhub.engine.queue import KeyedQueue
from matrixhub.engine.standing import NAMESPACE
from matrixhub.engine.worker import Worker


class Staff:
    """Hires and dismisses. `group` runs the workers; `hire` makes the one of a kind for a RealtimeCluster."""

    def __init__(self, group: asyncio.TaskGroup, housing: Worker, hire: Callable[[Kind, str], Worker]) -> None:
        self.housing = housing
        self._group, self._hire = group, hire
        self._workers: dict[Place, Worker] = {}
        self._running: dict[Place, asyncio.Task[None]] = {}

    def worker(self, cluster: str, backend: str) -> Worker | None:
        """Who works on this backend of the RealtimeCluster, None where nobody does."""
        return self.housing if backend == NAMESPACE else self._workers.get(Place(cluster, backend))

    def queues(self) -> dict[Place, KeyedQueue]:
        """Every worker's queue."""
        return {Place("", NAMESPACE): self.housing.queue, **{place: w.queue for place, w in self._workers.items()}}

    def appoint(self, cluster: str, kinds: Collection[Kind]) -> bool:
        """Each of these backends has a worker that begins anew, and no other has one; whether somebody was hired."""
        wanted = {Place(cluster, kind.name): kind for kind in kinds}
        for place in [place for place in self._workers if place.cluster == cluster and place not in wanted]:
            self._dismiss(place)
        grown = False
        for place, kind in wanted.items():
            if worker := self._workers.get(place):
                worker.reconnect()
                continue
            worker = self._workers[place] = self._hire(kind, cluster)
            self._running[place] = self._group.create_task(worker.run())
            grown = True
        return grown

    def _dismiss(self, place: Place) -> None:
        del self._workers[place]
        self._running.pop(place).cancel()
        with contextlib.suppress(KeyError):
            metrics.BACKEND_UP.remove(*place)
