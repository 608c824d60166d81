"""What the gateway's answer to a publish means for those records, their tenant and everybody else. Pure."""

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus


class Verdict(Enum):
    """What became of a step."""

    DONE = "done"
    """Accepted; the offsets may move on."""
    REFUSED = "refused"
    """What the records say is refused: sent again they would be again. Nobody else is concerned."""
    LIMITED = "limited"
    """The tenant is over a limit: it waits a while, nobody else does."""
    CLOSED = "closed"
    """The tenant has no app that lets it in: it waits until it has."""
    TROUBLE = "trouble"
    """It went wrong this time: the tenant waits a while."""
    AWAY = "away"
    """No gateway takes a connection: everybody waits."""


@dataclass(frozen=True)
class Answer:
    """A verdict with the words for it. `retry_after` is in seconds, where the gateway said so."""

    verdict: Verdict
    message: str = ""
    retry_after: float | None = None


_MEANING: dict[int, Verdict] = {
    HTTPStatus.UNAUTHORIZED: Verdict.CLOSED,
    HTTPStatus.FORBIDDEN: Verdict.CLOSED,
    HTTPStatus.NOT_FOUND: Verdict.CLOSED,
    HTTPStatus.REQUEST_TIMEOUT: Verdict.TROUBLE,
    HTTPStatus.TOO_EARLY: Verdict.TROUBLE,
    HTTPStatus.TOO_MANY_REQUESTS: Verdict.LIMITED,
}
"""Client errors that say nothing about the records; all others do."""


def read(status: int, body: str, retry_after: str = "") -> Answer:
    """What an HTTP answer means; `retry_after` is the header of that name."""
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return Answer(Verdict.DONE)
    said = f"the gateway answered {status}: {body[:200]}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status < HTTPStatus.BAD_REQUEST:
        return Answer(Verdict.TROUBLE, said)
    seconds = float(retry_after) if retry_after.isdecimal() else None
    return Answer(_MEANING.get(status, Verdict.REFUSED), said, seconds)


@dataclass(frozen=True)
class Backoff:
    """How long to wait after so many failures in a row: twice as long each time, within bounds, in seconds."""

    first: float
    longest: float

    def seconds(self, failures: int, at_least: float | None = None) -> float:
        """After the `failures`-th in a row (from 1), and not less than was asked for."""
        doubled = self.first * 2.0 ** min(failures - 1, 30)
        return max(min(doubled, self.longest), min(at_least or 0.0, self.longest))
