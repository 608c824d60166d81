"""How often a relay looks for new topics. Pure; times are seconds of one clock."""

import math

FIRST = 3.0
"""Seconds between two looks while nothing comes."""
CROWDED = 12.0
"""The same at most while topics come and come: each look that finds some halts the whole group, which begins anew: it
took 1.2 s of CPU with 800 topics (measured)."""
PER_TOPIC = 0.0003
"""Seconds that looks are apart for each topic, whatever comes: the driver reads the metadata of all anew each time,
0.013 ms to decode each (measured), and about as much to take it over. So looking takes at most a tenth of the time."""


class Pace:
    """Looks are twice as far apart after each that found something, and near again once one finds nothing."""

    def __init__(self) -> None:
        self._least = self._every = FIRST
        self._dealt = -math.inf

    def dealt(self, topics: int, now: float) -> None:
        """The group has dealt out the partitions of so many topics."""
        soon_again = self._just_found(now)
        self._least = max(FIRST, PER_TOPIC * topics)
        self._every = min(2 * self._every, max(CROWDED, self._least)) if soon_again else self._least
        self._dealt = now

    def every(self, now: float) -> float:
        """Seconds from one look to the next."""
        return self._every if self._just_found(now) else self._least

    def _just_found(self, now: float) -> bool:
        """Whether the last look found something, as far as is known."""
        return now - self._dealt < 2 * self._every
