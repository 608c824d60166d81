"""From what the load asks for to what is done: the ladder that every decision climbs down. Pure.

More is done at once. Fewer only when nothing speaks against it, asked in this order: a pause by a person, trouble
with what is seen, a window that was not watched in full, a window in which more was needed, a step not yet settled.
"""

from dataclasses import dataclass, field

from matrixhub.scaling.decision import Decision, Demand, History, Policy, Trouble
from matrixhub.scaling.history import Peak, Window


@dataclass(frozen=True)
class Case:
    """All that counts beside the load. `window`, and `recent` if there is one, already hold what this moment needs.

    `step` is how many may go at once, None for any number; `unsettled` says why no step may be taken yet.
    """

    current: int
    demand: Demand
    trouble: Trouble | None
    policy: Policy
    window: Window
    now: float
    recent: Window = field(default_factory=Window)
    step: int | None = None
    unsettled: str = ""

    @property
    def above(self) -> bool:
        """Whether a person allows fewer than there are: what the load asks for no longer counts."""
        return self.current > self.policy.bounds.maximum

    @property
    def highest(self) -> tuple[Peak | None, float]:
        """The highest number that was needed of late, and for how many seconds it counts."""
        window = max(self.window, self.recent, key=lambda each: each.highest.replicas if each.highest else 0)
        return window.highest, window.length


@dataclass(frozen=True)
class Outcome:
    """The number, its reason, its sentence, and what keeps it from what the load asks for."""

    replicas: int
    reason: str
    message: str
    limited: str = ""

    def decision(self, demand: Demand, trouble: Trouble | None, history: History) -> Decision[History]:
        """The decision that this outcome is, with what was wanted, what was wrong, and what is to be remembered."""
        wanted = None if trouble and trouble.blind else demand.replicas
        return Decision(self.replicas, self.reason, self.message, wanted, self.limited, trouble, history)


def unknown(current: int, trouble: Trouble) -> Demand:
    """The demand when the load cannot be seen: what there is."""
    return Demand(current, current, trouble.reason, trouble.message)


def needed(replicas: int, current: int, decided: int | None) -> int:
    """What this moment adds to the window. A number that was set by a hand counts as needed, once."""
    return replicas if decided in (None, current) else max(replicas, current)


def settle(case: Case) -> Outcome:
    """What is to be done."""
    bounds = case.policy.bounds
    if bounds.clamp(case.demand.replicas) > case.current:
        return _more(case)
    if bounds.clamp(max(case.demand.replicas, case.demand.spare)) >= case.current:
        return _enough(case)
    rungs = (_paused, _unsettled) if case.above else (_paused, _troubled, _unwatched, _needed_of_late, _unsettled)
    return next((held for rung in rungs if (held := rung(case))), None) or _fewer(case)


def _more(case: Case) -> Outcome:
    demand, bounds = case.demand, case.policy.bounds
    if case.policy.pause.up:
        return _held(case, "Paused", case.policy.pause.message)
    message = demand.message
    if case.trouble and not case.trouble.blind:
        message = f"{message}; {case.trouble.message}"
    if demand.replicas < bounds.minimum:
        return Outcome(bounds.minimum, "MinReplicas", f"{message}, and minReplicas is {bounds.minimum}", "MinReplicas")
    if demand.replicas > bounds.maximum:
        return Outcome(bounds.maximum, demand.reason, f"{message}, but maxReplicas is {bounds.maximum}", "MaxReplicas")
    return Outcome(demand.replicas, demand.reason, message)


def _enough(case: Case) -> Outcome:
    demand, bounds = case.demand, case.policy.bounds
    if case.trouble:
        return _held(case, case.trouble.reason, case.trouble.message)
    if demand.replicas > case.current:
        return _held(case, "MaxReplicas", f"maxReplicas is {bounds.maximum}")
    if demand.spare < bounds.minimum:
        return _held(case, "MinReplicas", f"minReplicas is {bounds.minimum}")
    if demand.replicas < case.current:
        return _held(case, "WithinTolerance", "one fewer would leave too little to spare")
    return Outcome(case.current, "AsNeeded", demand.message)


def _held(case: Case, reason: str, obstacle: str) -> Outcome:
    message = case.demand.message
    return Outcome(case.current, reason, message if message == obstacle else f"{message}, but {obstacle}", reason)


def _paused(case: Case) -> Outcome | None:
    pause = case.policy.pause
    return _held(case, "Paused", pause.message) if pause.down else None


def _troubled(case: Case) -> Outcome | None:
    return _held(case, case.trouble.reason, case.trouble.message) if case.trouble else None


def _unwatched(case: Case) -> Outcome | None:
    watched, whole = case.window.watched(case.now), case.policy.stabilization
    if watched >= whole:
        return None
    return _held(case, "Watching", f"the load has been watched for {watched:.0f} s of {whole:.0f} s")


def _needed_of_late(case: Case) -> Outcome | None:
    peak, seconds = case.highest
    if peak is None or case.policy.bounds.clamp(peak.replicas) < case.current:
        return None
    ago = f"{peak.replicas} were needed or set {case.now - peak.time:.0f} s ago"
    return _held(case, "Stabilizing", f"{ago}, and fewer must have been enough for {seconds:.0f} s")


def _unsettled(case: Case) -> Outcome | None:
    return _held(case, "Settling", case.unsettled) if case.unsettled else None


def _fewer(case: Case) -> Outcome:
    (peak, _), bounds = case.highest, case.policy.bounds
    aim = bounds.maximum if case.above or peak is None else bounds.clamp(peak.replicas)
    replicas = aim if case.step is None else max(aim, case.current - case.step)
    reason, why = ("MaxReplicas", f"; maxReplicas is {aim}") if case.above else ("FewerSuffice", "")
    return Outcome(replicas, reason, f"{case.demand.message}{why}", "" if replicas == aim else "OneAtATime")
