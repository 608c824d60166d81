"""A backend that as a whole cannot be worked with: since when, when it is tried again, and who is told. Pure."""

from dataclasses import dataclass
from datetime import datetime

from matrixhub.api.values import timestamp
from matrixhub.errors import BackendError, Unreachable

TROUBLE_FIRST, AWAY_LIMIT, REFUSED_LIMIT = 0.5, 1.0, 5.0
"""Seconds until a backend in trouble is tried again: at first; at most when it is away; and when it refuses us."""
TOLD_BY_ALL = 2
"""Failures in a row after which every tenant of the backend says that it is away, not only those that wait."""


@dataclass(frozen=True)
class Trouble:
    """The trouble that a backend is in: `error`, `since` and after so many `failures` in a row."""

    error: BackendError
    since: datetime
    retry_at: float
    failures: int = 1

    @property
    def is_everybodys(self) -> bool:
        """Whether it is this failure after which all say so; from then on they have."""
        return self.failures == TOLD_BY_ALL

    def is_news_after(self, before: "Trouble | None") -> bool:
        """Whether those who wait are to be told: once all have been, only of another trouble."""
        return self.failures <= TOLD_BY_ALL or before is None or str(before.error) != str(self.error)


def after(before: Trouble | None, error: BackendError, wall: datetime, now: float) -> Trouble:
    """The trouble once this error has come, too, at `wall`, which a monotonic clock calls `now`."""
    failures, since = (before.failures + 1, before.since) if before else (1, wall)
    if isinstance(error, Unreachable):
        error = Unreachable(f"{error.message}, since {timestamp(since)}")
    limit = AWAY_LIMIT if isinstance(error, Unreachable) else REFUSED_LIMIT
    delay = min(limit, TROUBLE_FIRST * 2 ** min(failures - 1, 16))
    return Trouble(error, since, now + delay, failures)
