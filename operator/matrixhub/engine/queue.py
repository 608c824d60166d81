"""A keyed queue: deduplicated, live edits before resync, back-off per key, one key never twice at once.

Pure: the clock and the jitter are handed in, so every property is tested without waiting.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain

BACKOFF_FIRST, BACKOFF_LIMIT = 0.5, 30.0
"""Seconds before the first retry of a key, and at most."""
PATIENCE = 3
"""Turns for which ready keys let those of other priorities go before them."""


class Priority(IntEnum):
    """Live edits are taken before what a resync has queued, and that before work that was refused before.

    That order holds as long as those who wait have `PATIENCE`.
    """

    LIVE = 0
    RESYNC = 1
    REFUSED = 2


@dataclass
class KeyedQueue:
    """Keys that wait to be worked on. Times are seconds of one monotonic clock."""

    jitter: Callable[[], float]
    """Returns a factor around 1 by which each back-off is stretched."""
    clock: Callable[[], float]
    """Returns the time."""
    _ready: tuple[OrderedDict[str, None], ...] = field(default_factory=lambda: tuple(OrderedDict() for _ in Priority))
    _delayed: dict[str, float] = field(default_factory=dict)
    _schedule: list[tuple[float, str]] = field(default_factory=list)
    """A heap of what is delayed; a pair that `_delayed` no longer holds counts for nothing."""
    _working: set[str] = field(default_factory=set)
    _again: dict[str, Priority] = field(default_factory=dict)
    _later: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)
    """The keys of which the last failure was a refusal."""
    _since: dict[str, float] = field(default_factory=dict)
    """When each key that is ready or in progress became ready."""
    _passed: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    """For how many turns in a row the ready keys of each priority were passed over."""

    def add(self, key: str, priority: Priority = Priority.LIVE) -> None:
        """The key is ready; a live edit also ends its back-off. In progress: it is ready again afterwards."""
        if key in self._working:
            self._again[key] = min(priority, self._again.get(key, priority))
        elif key in self._delayed and priority is Priority.RESYNC:
            return
        elif not any(key in ready for ready in self._ready[: priority + 1]):
            self._delayed.pop(key, None)
            for ready in self._ready:
                ready.pop(key, None)
            self._ready[priority][key] = None
            self._since.setdefault(key, self.clock())

    def defer(self, key: str, due: float) -> None:
        """The key is ready at `due`, or when it already is or was to be, whichever is earlier; never in progress."""
        if key in self._working:
            self._later[key] = min(due, self._later.get(key, due))
        elif not any(key in ready for ready in self._ready):
            self._delay(key, min(due, self._delayed.get(key, due)))

    def take(self, now: float, limit: int) -> tuple[list[str], Priority]:
        """Up to `limit` keys of the first priority that has some, in order of arrival; of a resync's all.

        One that was passed over often enough goes first: work that goes on at once keeps no key waiting for ever.
        """
        self._wake(now)
        priority = self._turn()
        ready = self._ready[priority]
        count = len(ready) if priority is Priority.RESYNC else min(limit, len(ready))
        keys = [ready.popitem(last=False)[0] for _ in range(count)]
        self._working.update(keys)
        return keys, priority

    def done(self, key: str) -> None:
        """The key was brought to its desired state; its back-off is forgotten."""
        self._failures.pop(key, None)
        self._refused.discard(key)
        self._release(key)

    def found(self, key: str) -> None:
        """A look has found work for the key: it is ready for that, after all others where it was refused before."""
        self.add(key, Priority.REFUSED if key in self._refused else Priority.LIVE)
        self._release(key)

    def retry(self, key: str, now: float, after: float | None = None) -> None:
        """The key failed: it is ready again after `after` seconds, or after its own growing back-off."""
        self._refused.discard(key)
        delay = self._backoff(key)
        self._fail(key, now + (delay if after is None else after) * self.jitter())

    def refused(self, key: str, now: float) -> None:
        """The key waits for a person: it is looked at again as by a resync, at once with all that wait as long."""
        self._refused.add(key)
        delay = self._backoff(key)
        self._fail(key, (now // delay + 1) * delay)

    def forget(self, key: str) -> None:
        """Nothing is left of the key; one in progress is not queued again."""
        for ready in self._ready:
            ready.pop(key, None)
        self._delayed.pop(key, None)
        self._again.pop(key, None)
        self._later.pop(key, None)
        self._failures.pop(key, None)
        self._refused.discard(key)
        if key not in self._working:
            self._since.pop(key, None)

    def next_due(self, now: float) -> float | None:
        """When `take` will next return something: `now`, a later time, or None while all is quiet."""
        if any(self._ready):
            return now
        while self._schedule and self._delayed.get(self._schedule[0][1]) != self._schedule[0][0]:
            heapq.heappop(self._schedule)
        return max(now, self._schedule[0][0]) if self._schedule else None

    def waiting(self) -> list[str]:
        """Every key that is not in progress."""
        return [*chain.from_iterable(self._ready), *self._delayed]

    @property
    def depth(self) -> int:
        """How many keys are not in progress."""
        return sum(map(len, self._ready)) + len(self._delayed)

    def oldest(self, now: float) -> float:
        """For how many seconds the oldest key that is ready, due or in progress has been so; 0 where there is none."""
        self._wake(now)
        return max((now - since for since in self._since.values()), default=0.0)

    def idle(self) -> bool:
        """Whether nothing waits and nothing is in progress."""
        return not (any(self._ready) or self._delayed or self._working)

    def _turn(self) -> Priority:
        """The priority whose turn it is; the others that have ready keys are passed over."""
        waiting = [each for each in Priority if self._ready[each]]
        impatient = [each for each in waiting if self._passed[each] >= PATIENCE]
        turn = next(iter(impatient or waiting), Priority.RESYNC)
        for each in Priority:
            self._passed[each] = self._passed[each] + 1 if each in waiting and each is not turn else 0
        return turn

    def _backoff(self, key: str) -> float:
        """The seconds that the key waits after one more failure."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return min(BACKOFF_LIMIT, BACKOFF_FIRST * 2.0 ** min(failures - 1, 16))

    def _fail(self, key: str, due: float) -> None:
        if key not in self._again:
            self._delay(key, due)
        self._release(key)

    def _delay(self, key: str, due: float) -> None:
        if self._delayed.get(key) != due:
            self._delayed[key] = due
            heapq.heappush(self._schedule, (due, key))

    def _wake(self, now: float) -> None:
        while self._schedule and self._schedule[0][0] <= now:
            due, key = heapq.heappop(self._schedule)
            if self._delayed.get(key) == due:
                del self._delayed[key]
                self._ready[Priority.RESYNC if key in self._refused else Priority.LIVE][key] = None
                self._since.setdefault(key, due)

    def _release(self, key: str) -> None:
        self._working.discard(key)
        self._since.pop(key, None)
        if (due := self._later.pop(key, None)) is not None:
            self.defer(key, due)
        if (priority := self._again.pop(key, None)) is not None:
            self.add(key, priority)
