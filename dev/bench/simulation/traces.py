"""The load of a platform over time: users who want a socket, and records that arrive. Seeded: always the same."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

WARMUP = 2400
"""Seconds that are lived through before anything is measured: a burst, and half an hour to come to rest."""


@dataclass(frozen=True)
class Trace:
    """`users` by second; records a second are in proportion. Within `blind` no metric can be read by anybody.

    Within `half_blind` every other gateway does not answer. At the seconds of `deaths` the fullest gateway dies.
    """

    name: str
    users: tuple[int, ...]
    records: tuple[int, ...]
    blind: tuple[range, ...] = ()
    half_blind: tuple[range, ...] = ()
    deaths: tuple[int, ...] = ()

    @property
    def seconds(self) -> int:
        """Its length."""
        return len(self.users)


def traces() -> tuple[Trace, ...]:
    """Every trace."""
    return (
        _trace("school day", _school_day(), deaths=(WARMUP + 3 * 3600,)),
        _trace("exam start", _exam_start()),
        _trace("slow leak", _slow_leak()),
        _trace("flapping load", _flapping()),
        _trace(
            "metric outage",
            _outage(),
            blind=(range(WARMUP + 1500, WARMUP + 2700),),
            half_blind=(range(WARMUP + 3900, WARMUP + 4800),),
        ),
    )


USERS = 24_000
"""Users at the busiest."""
RECORDS_PER_USER = 1 / 16
"""Records a second of one user: 1,500/s at the busiest."""
NOISE = 0.05


def _trace(
    name: str,
    shape: list[float],
    *,
    blind: tuple[range, ...] = (),
    half_blind: tuple[range, ...] = (),
    deaths: tuple[int, ...] = (),
) -> Trace:
    """The trace of a shape between 0 and 1, with noise on the records."""
    noise = random.Random(name)
    shape = _between([(0, shape[0]), (300, shape[0]), (360, 0.6), (480, 0.6), (540, shape[0])], WARMUP) + shape
    users = tuple(round(USERS * share) for share in shape)
    records = tuple(max(0, round(count * RECORDS_PER_USER * noise.gauss(1, NOISE))) for count in users)
    return Trace(name, users, records, blind, half_blind, deaths)


def _between(points: list[tuple[float, float]], seconds: int) -> list[float]:
    """Straight lines between (second, share)."""
    shape = []
    index = 0
    for second in range(seconds):
        while index + 2 < len(points) and points[index + 1][0] <= second:
            index += 1
        (left, low), (right, high) = points[index], points[index + 1]
        shape.append(low + (high - low) * min(1.0, max(0.0, (second - left) / (right - left))))
    return shape


def _school_day() -> list[float]:
    """Eight hours: lessons that begin and end with the bell, a lunch break, an afternoon that thins out."""
    hour = 3600
    points = [(0, 0.06), (0.8 * hour, 0.08), (hour, 0.62)]
    for lesson in range(1, 4):
        points += [((lesson + 0.75) * hour, 0.62), ((lesson + 0.8) * hour, 0.34)]
        points += [((lesson + 0.95) * hour, 0.36), ((lesson + 1) * hour, 0.66)]
    points += [(4.75 * hour, 0.6), (4.9 * hour, 0.22), (5.4 * hour, 0.25), (5.5 * hour, 0.5)]
    points += [(6.5 * hour, 0.42), (6.6 * hour, 0.16), (8 * hour, 0.05)]
    return [share * (1 + 0.04 * math.sin(second / 140)) for second, share in enumerate(_between(points, 8 * hour))]


def _exam_start() -> list[float]:
    """One and a half hours: nothing much, then everybody within 90 s, then slowly fewer, and the end."""
    points = [(0, 0.08), (1200, 0.1), (1290, 1.0), (2100, 0.95), (2160, 0.55), (4200, 0.5), (4320, 0.08), (5400, 0.06)]
    return _between(points, 5400)


def _slow_leak() -> list[float]:
    """Three hours in which the load only grows, too slowly to be seen in any ten minutes."""
    return _between([(0, 0.1), (10800, 0.9)], 10800)


def _flapping() -> list[float]:
    """Two hours of up and down, each 150 s, and half a minute from the one to the other."""
    points: list[tuple[float, float]] = []
    for start in range(0, 7200, 300):
        points += [(start, 0.35), (start + 120, 0.35), (start + 150, 0.75), (start + 270, 0.75)]
    return _between([*points, (7200, 0.35)], 7200)


def _outage() -> list[float]:
    """An hour and a half in which the load grows and falls while nobody can see it, and again while some can."""
    points = [(0, 0.3), (1500, 0.4), (1560, 0.4), (2000, 0.6), (2500, 0.6), (3300, 0.45)]
    return _between([*points, (3900, 0.5), (4200, 0.8), (4500, 0.8), (4800, 0.4), (5400, 0.25)], 5400)
