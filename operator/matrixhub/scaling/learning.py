"""What is learnt from watching a consumer group: how fast records arrive, how fast one replica consumes. Pure.

A replica's rate can be seen only while the group is behind. One that keeps up consumes what arrives, however much more
it could: that is a lower bound, and all that is known of a group that was never behind.
"""

from dataclasses import dataclass, field, replace

from matrixhub.scaling.history import Tally, Window, smoothed
from matrixhub.scaling.lag import Reading
from matrixhub.scaling.samples import GroupSample

ASSUMED = 100.0
"""Records a second of one replica, before any was observed at work."""
ARRIVING = 20.0
"""Seconds over which arrivals are averaged."""
PACE = 60.0
"""Seconds over which the pace of a group that keeps up is averaged."""
LEARNING = 15.0
"""Seconds of unbroken work that are measured at once: three times the usual 5 s between commits."""
BEHIND = 10.0
"""Seconds of work that must wait for a group to be believed busy: commits every 5 s look like half of it."""
PLAUSIBLE = 10.0
"""Times its rate that a replica may seem to consume: a group that skips records has not consumed them."""
STUCK = 120.0
"""Seconds without one commit, though records wait, after which a group is believed to do nothing."""
WEIGHT = 0.3
"""How much a new measurement of the rate counts beside the earlier ones."""


@dataclass(frozen=True)
class Stretch:
    """Work without a break by a group that is behind: replica-seconds, and the records consumed in them."""

    seconds: float = 0.0
    replica_seconds: float = 0.0
    consumed: int = 0

    def after(self, reading: Reading) -> "Stretch":
        """The stretch, one reading longer."""
        return Stretch(
            self.seconds + reading.seconds,
            self.replica_seconds + reading.seconds * reading.workers,
            self.consumed + reading.worked,
        )

    @property
    def rate(self) -> float:
        """Records a second of one replica."""
        return self.consumed / self.replica_seconds if self.replica_seconds else 0.0


@dataclass(frozen=True)
class ConsumerHistory:
    """What is remembered of a group.

    Rates are records a second. `arrivals` are averaged; `rising` is what the last two looks both saw above that.
    `window` holds what lasting arrivals needed, `recent` all that was needed, `tally` what arrived. `pace` is what a
    replica consumes, `rate` what it can: `learnt` from a group that was behind, until then the most it was seen to do.
    """

    window: Window = field(default_factory=Window)
    recent: Window = field(default_factory=Window)
    tally: Tally = field(default_factory=Tally)
    decided: int | None = None
    previous: GroupSample | None = None
    arrivals: float = 0.0
    latest: float | None = None
    rising: float = 0.0
    pace: float = 0.0
    rate: float = ASSUMED
    learnt: bool = False
    stretch: Stretch = field(default_factory=Stretch)

    @property
    def idle(self) -> bool:
        """Whether nothing was consumed for long though records wait."""
        return self.stretch.seconds >= STUCK and not self.stretch.consumed

    def after(self, reading: Reading, length: float) -> "ConsumerHistory":
        """The history once `reading` was taken: what arrives, and what a replica can do if all were at work.

        What arrived is remembered for `length` seconds.
        """
        tally = self.tally.after(reading.produced, reading.sample.taken, length)
        if reading.seconds <= 0:
            return replace(self, previous=reading.sample, tally=tally)
        latest = reading.produced / reading.seconds
        before = latest if self.latest is None else self.latest
        arrivals = latest if self.latest is None else smoothed(self.arrivals, latest, reading.seconds, ARRIVING)
        pace = self._pace(reading)
        seen = replace(
            self,
            previous=reading.sample,
            tally=tally,
            arrivals=arrivals,
            latest=latest,
            rising=max(0.0, min(latest, before) - arrivals),
            pace=pace,
            rate=max(self.rate, pace),
        )
        stretch = self.stretch.after(reading) if reading.behind(BEHIND) else Stretch()
        if stretch.seconds < LEARNING or not stretch.consumed:
            guess = seen.rate if self.learnt else max(seen.rate, stretch.rate)
            return replace(seen, rate=guess, stretch=stretch)
        rate = self.rate + (stretch.rate - self.rate) * WEIGHT if self.learnt else stretch.rate
        return replace(seen, rate=rate, learnt=True, stretch=Stretch())

    def _pace(self, reading: Reading) -> float:
        if not reading.steady:
            return 0.0
        each = reading.consumed / reading.seconds / reading.sample.members
        return smoothed(self.pace, min(each, PLAUSIBLE * self.rate), reading.seconds, PACE)
