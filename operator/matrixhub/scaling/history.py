"""What is remembered between decisions: bounded in size, and empty after a restart. Pure."""

import math
from dataclasses import dataclass, replace

EVERY = 5.0
"""Seconds between two looks that are quick: what is decided must stand within 15 s of the load."""
UNSEEN = 60.0
"""Seconds without a trustworthy look after which a watch begins anew; fewer where the window is shorter..."""
ROUNDS = 3
"""...but never fewer than so many rounds, of which slow looks make long ones."""


def smoothed(mean: float, rate: float, seconds: float, over: float) -> float:
    """The exponential average over `over` seconds, once `rate` was seen for `seconds`."""
    return mean + (rate - mean) * (1 - math.exp(-seconds / over))


@dataclass(frozen=True)
class Peak:
    """A number that was needed at a time."""

    time: float
    replicas: int


@dataclass(frozen=True)
class Window:
    """The highest number needed of late, and since when it has been watched without a break.

    `peaks` holds only what may still become the highest, each lower than the one before: never more entries than
    different numbers.
    """

    since: float | None = None
    last: float | None = None
    peaks: tuple[Peak, ...] = ()
    length: float = 0.0

    def after(self, replicas: int, now: float, length: float, every: float = EVERY) -> "Window":
        """The window of `length` seconds once `replicas` is what `now` needs, with a look `every` so many seconds."""
        silence = max(ROUNDS * every, min(UNSEEN, length))
        unbroken = self.last is not None and now - self.last <= silence
        return Window(
            since=self.since if unbroken else now,
            last=now,
            length=length,
            peaks=(
                *(peak for peak in self.peaks if peak.time > now - length and peak.replicas > replicas),
                Peak(now, replicas),
            ),
        )

    def watched(self, now: float) -> float:
        """Seconds for which the load has been watched without a break."""
        return 0.0 if self.since is None else now - self.since

    @property
    def highest(self) -> Peak | None:
        """The highest number in the window, and when it was last needed."""
        return self.peaks[0] if self.peaks else None


@dataclass(frozen=True)
class Tally:
    """Records that have arrived in all, by the time of each look: one entry for each look of the window."""

    total: int = 0
    looks: tuple[tuple[float, int], ...] = ()

    def after(self, records: int, now: float, length: float) -> "Tally":
        """The tally of `length` seconds once so many more `records` have arrived."""
        total = self.total + records
        return replace(
            self, total=total, looks=(*(look for look in self.looks if look[0] >= now - length), (now, total))
        )

    def busiest(self, slack: float) -> float:
        """Records a second with which whatever arrived in any stretch until now is read `slack` seconds after it."""
        if not self.looks:
            return 0.0
        now, total = self.looks[-1]
        return max((total - before) / (now - time + slack) for time, before in self.looks)
