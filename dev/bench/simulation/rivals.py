"""The HPA and KEDA, as they decide.

HPA: kubernetes/kubernetes, pkg/controller/podautoscaler (horizontal.go, replica_calculator.go), autoscaling/v2's
defaults: a look every 15 s, 10 % tolerance, at most +100 % or +4 pods in 15 s, down to the highest of the last 300 s.
KEDA: pkg/scalers/kafka_scaler.go: the lag in all, never more than the threshold for each partition, which the HPA
divides by the threshold. With at least one replica it is the HPA that asks KEDA, so every 15 s and not every 30 s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

PERIOD = 15
TOLERANCE = 0.1
STABILIZATION = 300


@dataclass
class Hpa:
    """What the HPA makes of a desired number: rate of growth, stabilization, bounds."""

    minimum: int
    maximum: int
    recommended: list[tuple[int, int]] = field(default_factory=list)
    grown: list[tuple[int, int]] = field(default_factory=list)

    def settle(self, desired: int, current: int, now: int) -> int:
        """The number that is set."""
        self.recommended = [(at, n) for at, n in self.recommended if at > now - STABILIZATION] + [(now, desired)]
        stabilized = desired if desired > current else min(current, max(n for _, n in self.recommended))
        bounded = min(max(stabilized, self.minimum), self.maximum)
        if bounded <= current:
            return bounded
        self.grown = [(at, n) for at, n in self.grown if at > now - PERIOD]
        before = current - sum(n for _, n in self.grown)
        replicas = max(current, min(bounded, max(2 * before, before + 4)))
        self.grown.append((now, replicas - current))
        return replicas


def by_total(total: float, target: float, current: int) -> int:
    """External metric, `AverageValue`."""
    if abs(total / (target * current) - 1) <= TOLERANCE:
        return current
    return math.ceil(total / target)


def by_pods(values: Sequence[float], silent: int, unready: int, target: float, current: int) -> int:
    """Pods metric or CPU: pods without a value count as 0 when growing and as the target when shrinking."""
    if not values:
        return current
    ratio = sum(values) / len(values) / target
    if abs(ratio - 1) <= TOLERANCE and not silent and not unready:
        return current
    filled = [*values, *([target] * silent if ratio < 1 else [0.0] * (silent + unready))]
    filled_ratio = sum(filled) / len(filled) / target
    if abs(filled_ratio - 1) <= TOLERANCE or (ratio < 1) != (filled_ratio < 1):
        return current
    replicas = math.ceil(filled_ratio * len(filled))
    if (filled_ratio < 1 and replicas > current) or (filled_ratio > 1 and replicas < current):
        return current
    return replicas
