"""The one writer of our resources: finalizer, status and Events, each write only when something differs."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from matrixhub import metrics
from matrixhub.engine import audit
from matrixhub.engine.queue import KeyedQueue
from matrixhub.engine.trail import Trail
from matrixhub.errors import BackendError, Conflict
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import BY_KIND, Manifest

log = logging.getLogger(__name__)

THREADS = 4
"""Writes under way at once."""


@dataclass(frozen=True)
class Writes:
    """What is to be written of one resource now; None where it is as it should be."""

    finalizer: Manifest | None = None
    farewell: Manifest | None = None
    """What takes the finalizer away, and the resource with it: nobody would tell its Events afterwards."""
    status: Manifest | None = None
    events: tuple[Manifest, ...] = ()
    cluster: str = ""
    """The RealtimeCluster in whose audit trail the Events are recorded."""


@dataclass(frozen=True)
class Written:
    """What the API server answered: the resource as it is now."""

    key: str
    resource: Manifest


class Registrar:
    """Composes and writes one key at a time, several keys side by side; runs until cancelled."""

    def __init__(
        self,
        api: KubeApi,
        trail: Trail,
        compose: Callable[[str], Writes],
        told: Callable[[Writes], None],
        written: Callable[[Written], None],
    ) -> None:
        self._api = api
        self._trail = trail
        self._compose = compose
        self._told = told
        self._written = written
        self._queue = KeyedQueue(jitter=lambda: random.uniform(0.9, 1.1), clock=time.monotonic)  # noqa: S311 - spreads load
        self._woken = asyncio.Event()
        self._free = asyncio.Semaphore(THREADS)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="registrar")
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, key: str, delay: float = 0.0) -> None:
        """The resource is composed and written after `delay` seconds, if it then differs."""
        if delay:
            self._queue.defer(key, time.monotonic() + delay)
        else:
            self._queue.add(key)
        self._woken.set()

    @property
    def backlog(self) -> int:
        """How many resources are to be written, now or later."""
        return self._queue.depth

    def forget(self, key: str) -> None:
        """The resource is gone."""
        self._queue.forget(key)

    async def run(self) -> None:
        """Never returns; cancelling ends it after the writes in progress."""
        try:
            while True:
                await self._free.acquire()
                key = await self._next()
                task = asyncio.create_task(self._process(key))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            await asyncio.gather(*self._tasks)
            self._threads.shutdown(wait=False)

    async def _next(self) -> str:
        while True:
            keys, _ = self._queue.take(time.monotonic(), 1)
            if len(keys) == 1:
                return keys[0]
            due = self._queue.next_due(time.monotonic())
            self._woken.clear()
            try:
                await asyncio.wait_for(self._woken.wait(), None if due is None else max(0.0, due - time.monotonic()))
            except TimeoutError:
                continue

    async def _process(self, key: str) -> None:
        try:
            writes = self._compose(key)
            loop = asyncio.get_running_loop()
            written = await loop.run_in_executor(self._threads, self._write, key, writes)
            self._queue.done(key)
            self._told(writes)
            if written:
                self._written(written)
        except Conflict:
            # Gone or replaced by another of the same name, whose own event follows; or somebody wrote meanwhile.
            self._queue.retry(key, time.monotonic())
        except BackendError as error:
            log.warning("Failed to write %s: %s", key, error.message)
            self._queue.retry(key, time.monotonic())
        except Exception:  # a bug over one resource keeps no other from being written
            log.exception("Failed to write %s", key)
            self._queue.retry(key, time.monotonic())
        finally:
            self._free.release()
            self._woken.set()

    def _write(self, key: str, writes: Writes) -> Written | None:
        resource = None
        if writes.farewell:
            self._tell(key, writes)
            resource = self._part(writes.farewell)
        if writes.finalizer:
            resource = self._api.apply(writes.finalizer)
        if writes.status:
            metrics.STATUS_WRITES.labels(kind=writes.status["kind"]).inc()
            resource = self._api.apply_status(writes.status)
        if not writes.farewell:
            self._tell(key, writes)
        return Written(key, resource) if resource else None

    def _part(self, farewell: Manifest) -> Manifest:
        metadata = farewell["metadata"]
        return self._api.patch(BY_KIND[farewell["kind"]], metadata["name"], metadata.get("namespace"), farewell)

    def _tell(self, key: str, writes: Writes) -> None:
        for event in writes.events:
            if record := audit.of_event(event, writes.cluster, datetime.now(UTC)):
                self._trail.add(record)
            try:
                self._api.create(event)
            except Conflict:
                continue  # told in this very second
            except BackendError as error:
                log.warning("Failed to tell of %s: %s", key, error.message)
