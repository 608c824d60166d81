"""The worker of one backend of one RealtimeCluster: takes what has gathered and brings it to its desired state."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

from matrixhub import metrics
from matrixhub.backends.contract import Backend, Intent, Phase, Survey
from matrixhub.engine.outcome import Basis, Outcome
from matrixhub.engine.queue import KeyedQueue, Priority
from matrixhub.engine.round import Bug, Round, reconcile
from matrixhub.engine.trouble import Trouble, after
from matrixhub.errors import BackendError, Transient

log = logging.getLogger(__name__)

BATCH = 100
"""Live tenants per round, the batch size of Strimzi's topic operator."""
PULSE = 1.0
"""Seconds between two looks at whether the servers were restarted: a Redis without its users turns gateways away, and
those give up after 3 s (backends/gateway/README.md)."""


@runtime_checkable
class Pulsing(Protocol):
    """A backend whose servers lose something when they restart."""

    def pulse(self) -> str:
        """A fingerprint that changes when a server was restarted."""
        ...


class Desk(Protocol):
    """Where a worker gets its work from and reports to. Called in the event loop but where it says otherwise."""

    def connect(self) -> Backend[Any, Any]:
        """A fresh client, its credentials just read; called in the worker's thread. Raises BackendError."""
        ...

    def renewed(self) -> bool:
        """Whether a fresh client would have other credentials; called in the worker's thread."""
        ...

    def members(self) -> Iterable[str]:
        """Every tenant that belongs to this backend."""
        ...

    def intents(self, tenants: Iterable[str]) -> Mapping[str, Intent]:
        """What is wanted of each tenant now, leaving out those that are gone; called in the worker's thread."""
        ...

    def wishes(self, tenants: Iterable[str]) -> Mapping[str, tuple[Basis, Phase]]:
        """What is wanted of each tenant, in short."""
        ...

    def report(self, outcome: Outcome) -> None:
        """A tenant's share was brought to its desired state, or was not."""
        ...

    def surveyed(self, backend: str, survey: Survey | BackendError) -> None:
        """The shared part was looked at, or the backend as a whole is in trouble."""
        ...


class Worker:
    """Runs until cancelled. While its backend is away it waits, and nobody else does.

    `fence` is called before the backend is changed and raises when it must not be.
    """

    def __init__(
        self, name: str, desk: Desk, resync: float, batch: int = BATCH, fence: Callable[[], None] = lambda: None
    ) -> None:
        self.name = name
        self._fence = fence
        self._batch = batch
        self.queue = KeyedQueue(jitter=lambda: random.uniform(0.9, 1.1), clock=time.monotonic)  # noqa: S311 - spreads load
        self._desk = desk
        metrics.RECONCILES.labels(backend=name, result=Bug.reason)  # from 0 on, or its first increase is not seen
        self._resync = resync
        self._backend: Backend[Any, Any] | None = None
        self._trouble: Trouble | None = None
        self._outdated = False
        self._unsure = False
        self._pulse = ""
        self._next_resync = 0.0
        self._next_pulse = 0.0
        self._woken = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def add(self, tenant: str, priority: Priority = Priority.LIVE) -> None:
        """The tenant will be worked on; while the backend is away its trouble is reported at once."""
        self.queue.add(tenant, priority)
        if self._trouble:
            self._report_trouble([tenant])
        self._woken.set()

    def reconnect(self) -> None:
        """The next round begins with a new client and a full resync: the RealtimeCluster has changed."""
        self._outdated = True
        self._woken.set()

    def look(self) -> None:
        """The next round begins with a look at the shared part."""
        self._unsure = True
        self._woken.set()

    async def run(self) -> None:
        """Never returns; cancelling ends it after the call in progress, and its client is closed."""
        try:
            while True:
                await self._sleep()
                try:
                    await self._turn()
                except BackendError as error:
                    if not self._outdated:  # else it speaks of the former RealtimeCluster
                        await self._enter_trouble(error)
                except Exception as bug:  # the backend waits as if it were away; the others go on
                    log.exception("Worker failed", extra={"backend": self.name})
                    self._next_resync = 0.0  # whose outcome got lost is not known
                    await self._enter_trouble(Bug(bug))
        finally:
            await self._call(self._close)
            self._thread.shutdown(wait=False)

    async def _turn(self) -> None:
        now = time.monotonic()
        if self._backend is not None and now >= self._next_resync and await self._call(self._desk.renewed):
            self._outdated = True
        if self._outdated:
            self._outdated = False
            self._next_resync = 0.0
            await self._call(self._close)
        survey = None
        if self._trouble or self._unsure or self._backend is None or now >= self._next_resync:
            self._unsure = False
            survey = await self._survey(now)
        elif now >= self._next_pulse:
            await self._feel_pulse(now)
        if self._outdated:
            return
        keys, priority = self.queue.take(time.monotonic(), self._batch)
        if keys:
            await self._work(keys, priority)
        if self._trouble:
            # Only now: a backend that answers but refuses the work is still in trouble.
            log.info("Backend works again", extra={"backend": self.name})
            self._trouble = None
        if survey:
            self._desk.surveyed(self.name, survey)

    async def _survey(self, now: float) -> Survey:
        """The shared part is in place; at each resync everybody is looked at."""
        survey: Survey = await self._call(self._prepare)
        if now >= self._next_resync:
            self._next_resync = now + self._resync * random.uniform(0.9, 1.0)  # noqa: S311 - spreads load
            for tenant in self._desk.members():
                self.queue.add(tenant, Priority.RESYNC)
        await self._feel_pulse(now)
        return survey

    async def _feel_pulse(self, now: float) -> None:
        """Everybody is looked at again when a server was restarted."""
        self._next_pulse = now + PULSE
        backend = self._backend
        if not isinstance(backend, Pulsing):
            return
        pulse = await self._call(backend.pulse)
        if self._pulse and pulse != self._pulse:
            log.info("Backend was restarted", extra={"backend": self.name})
            for tenant in self._desk.members():
                self.queue.add(tenant, Priority.RESYNC)
        self._pulse = pulse

    async def _work(self, keys: list[str], priority: Priority) -> None:
        try:
            result = await self._call(self._round, keys, priority)
        except BackendError:
            for key in keys:
                self.queue.done(key)
                self.queue.add(key, priority)
            raise
        self._file(keys, result)
        for outcome in result.outcomes.values():
            self._desk.report(outcome)

    def _file(self, keys: list[str], result: Round) -> None:
        """Whoever was worked on waits for what comes next."""
        now, stale = time.monotonic(), set(result.stale)
        for key in keys:
            outcome = result.outcomes.get(key)
            error = outcome.error if outcome else None
            if key in stale:
                self.queue.found(key)
            elif error is None:
                self.queue.done(key)
            elif isinstance(error, Transient):
                self.queue.retry(key, now, error.retry_after)
            else:  # nobody else waits for what a person has to mend
                self.queue.refused(key, now)

    def _round(self, keys: list[str], priority: Priority) -> Round:
        """A resync only looks: whoever needs work joins the live keys, so nobody waits for a long repair."""
        intents = self._desk.intents(keys)
        if self._outdated:
            # These wishes are of the changed RealtimeCluster, this client is of the former.
            return Round(stale=keys)
        if not intents or self._backend is None:
            return Round()
        return reconcile(self.name, self._backend, intents, dry=priority is Priority.RESYNC, fence=self._fence)

    def _prepare(self) -> Survey:
        if self._backend is None:
            self._backend = self._desk.connect()
        self._fence()
        metrics.BACKEND_CALLS.labels(backend=self.name, call="prepare").inc()
        return self._backend.prepare()

    async def _call(self, function: Callable[..., Any], *args: object) -> Any:
        """The function's result, run in this worker's own thread; a bug is logged and becomes an error."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        except (BackendError, asyncio.CancelledError):
            raise
        except Exception as bug:  # told in the conditions, as any trouble of the backend
            log.exception("Backend failed", extra={"backend": self.name})
            raise Bug(bug) from None

    async def _enter_trouble(self, error: BackendError) -> None:
        """Told on the RealtimeCluster and by those who wait; by every tenant if the next try fails as well.

        From then on all have been told, and are told again only when it is another trouble.
        """
        before = self._trouble
        if before is None:
            log.warning("Backend is in trouble: %s", error.message, extra={"backend": self.name})
        self._trouble = trouble = after(before, error, datetime.now(UTC), time.monotonic())
        self._desk.surveyed(self.name, trouble.error)
        if trouble.is_everybodys:
            for tenant in self._desk.members():
                self.queue.add(tenant, Priority.RESYNC)
        if trouble.is_news_after(before):
            self._report_trouble(self.queue.waiting())
        await self._call(self._close)

    def _report_trouble(self, tenants: Iterable[str]) -> None:
        trouble = self._trouble
        if trouble is None:
            return
        for tenant, (basis, phase) in self._desk.wishes(tenants).items():
            self._desk.report(Outcome(tenant, self.name, basis, phase, error=trouble.error))

    def _close(self) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            try:
                backend.close()
            except Exception:  # it is given up in any case, and a new one takes its place
                log.exception("Failed to close the client", extra={"backend": self.name})

    async def _sleep(self) -> None:
        """Until there is something to do."""
        while (delay := self._due() - time.monotonic()) > 0:
            self._woken.clear()
            try:
                await asyncio.wait_for(self._woken.wait(), delay)
            except TimeoutError:
                return

    def _due(self) -> float:
        if self._outdated:
            return 0.0
        if self._trouble:
            return self._trouble.retry_at
        if self._unsure:
            return 0.0
        due = self.queue.next_due(time.monotonic())
        regular = min(self._next_resync, self._next_pulse) if self._backend else 0.0
        return min(regular, due) if due is not None else regular
