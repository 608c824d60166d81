"""Who leads: from what the Lease says, and since when it has said so, to the next step. Pure.

The semantics are client-go's. Clocks of two machines are never compared: whether another holder is gone is judged by
one's own clock, from how long the Lease has not changed.
"""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

DURATION = 10.0
"""Seconds without a renewal after which a standby takes over."""
DEADLINE = 6.0
"""Seconds without a renewal after which a leader writes nothing more and ends: well before a standby takes over."""
RETRY = 2.0
"""Seconds between two renewals."""
LOOK = 1.0
"""Seconds between two looks of a standby, and before a leader tries again what failed."""
FORMER = 8
"""Former holders that a Lease names."""


@dataclass(frozen=True)
class Record:
    """What a Lease says; nobody holds it while `holder` is empty. `version` is the API server's, not a part of it.

    `former` are the latest holders that hold it no more, whose writes an API server refuses.
    """

    holder: str
    duration: float
    acquired: str
    renewed: str
    transitions: int
    former: tuple[str, ...] = ()
    version: str = field(default="", compare=False)


@dataclass(frozen=True)
class Sight:
    """The Lease as last read, None where there is none, and since when, by our monotonic clock, it has said so."""

    record: Record | None
    since: float


class Step(Enum):
    """What a candidate does next."""

    HOLD = auto()
    """Make the Lease, take it or renew it, whichever it needs."""
    WAIT = auto()
    STEP_DOWN = auto()


def seen(before: Sight | None, record: Record | None, now: float) -> Sight:
    """What is known after the Lease was read again."""
    return Sight(record, before.since if before and before.record == record else now)


def decide(identity: str, sight: Sight, now: float, *, leads: bool) -> Step:
    """The next step of the candidate `identity`, which `leads` or stands by.

    A holder of our own name is this pod's former process: there is never a second one of that name.
    Another's lease is over once it has not changed for the time that its holder promised to renew it in.
    """
    record = sight.record
    if record is None or record.holder == identity:
        return Step.HOLD
    if leads:
        return Step.STEP_DOWN
    over = not record.holder or now - sight.since >= record.duration
    return Step.HOLD if over else Step.WAIT


def held(record: Record | None, identity: str, now: str) -> Record:
    """What the Lease says once `identity` holds it, renewed at `now`; it said `record`, None where there was none."""
    if record is None:
        return Record(identity, DURATION, acquired=now, renewed=now, transitions=0)
    if record.holder == identity:
        return replace(record, duration=DURATION, renewed=now)
    return Record(identity, DURATION, now, now, record.transitions + 1, former(record, identity))


def former(record: Record, holder: str) -> tuple[str, ...]:
    """Those who hold the Lease no more once `holder` does (nobody, while that is empty)."""
    names = [name for name in (*record.former, record.holder) if name not in ("", holder)]
    return tuple(dict.fromkeys(reversed(names)))[FORMER - 1 :: -1]


def in_time(renewed: float | None, now: float) -> bool:
    """Whether a lease whose last renewal began at `renewed` (None: never) still lets its holder write."""
    return renewed is not None and now - renewed < DEADLINE
