"""How many gateways there should be. Pure.

A socket stays where it is until it is closed. So a new gateway relieves the others only of sockets still to come, and
each gateway that goes makes its sockets connect again, all at once. Hence: more early, fewer one at a time.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from matrixhub.scaling.decision import Decision, Demand, Policy, Trouble
from matrixhub.scaling.history import EVERY, Window, smoothed
from matrixhub.scaling.ladder import Case, needed, settle, unknown
from matrixhub.scaling.samples import Gateways, GatewaySample, Missing

SPARE = 0.9
"""How full the rest may be once a gateway has gone: noise of a tenth does not bring it back."""
STARTUP = 15.0
"""Seconds from the decision until a new gateway takes sockets: what comes until then counts already."""
CONNECTS = 100.0
"""Sockets a second that one gateway accepts, TLS and quota check included. An assumption."""
BETWEEN_STEPS = 30.0
"""Seconds between two steps down: preStop, closing, and the clients' first attempts to connect again.

Fewer where the window is shorter: whoever asks for that is in a hurry."""
SOON, USUALLY = 10.0, 300.0
"""Seconds over which connects are averaged to see a storm, and to know what is usual."""
CALM, QUIET = 1.5, 0.1
"""A storm has passed at so many times the usual connects, or at this share of what the rest could accept."""
ABSURD = 4
"""Times its limit that a gateway may say it holds before it is not believed: the limit may have been lowered."""
NAMED = 3
"""Silent gateways that are told by name."""
WORTH_MOST = 2**31 - 1
"""The highest pod-deletion-cost."""


@dataclass(frozen=True)
class GatewayPolicy(Policy):
    """What a person asked for. `target` and `limit` are sockets of one gateway."""

    target: int
    limit: int
    connects: float = CONNECTS


@dataclass(frozen=True)
class GatewayHistory:
    """What is remembered of the gateways.

    `seen` is the last that each pod said, while there is such a pod. The rates are per second and begin at 0. `growth`
    is the lower of the last two, so that it is believed once it lasts, and forgotten as soon as it ends.
    """

    window: Window = field(default_factory=Window)
    decided: int | None = None
    stepped: float | None = None
    time: float | None = None
    seen: tuple[GatewaySample, ...] = ()
    connects: float = 0.0
    usual: float = 0.0
    latest: float = 0.0
    growth: float = 0.0

    def after(self, samples: Gateways, now: float) -> "GatewayHistory":
        """The history once `samples` were seen: connects and growth per second, now and usually."""
        if isinstance(samples, Missing):
            return self
        before = {sample.pod: sample for sample in self.seen}
        answers = {sample.pod: sample for sample in samples if sample.answers(now)}
        seen = tuple(answers.get(s.pod) or before[s.pod] for s in samples if s.pod in answers or s.pod in before)
        seconds = 0.0 if self.time is None else now - self.time
        if not self.seen or seconds <= 0:
            return replace(self, time=now, seen=seen)
        connects = sum(_connects(sample, before.get(sample.pod)) for sample in seen)
        growth = (_total(seen) - _total(self.seen)) / seconds
        return replace(
            self,
            time=now,
            seen=seen,
            connects=smoothed(self.connects, connects, seconds, over=SOON),
            usual=smoothed(self.usual, connects, seconds, over=USUALLY),
            latest=growth,
            growth=max(0.0, min(growth, self.latest)),
        )


def decide(
    samples: Gateways, current: int, policy: GatewayPolicy, history: GatewayHistory, now: float, every: float = EVERY
) -> Decision[GatewayHistory]:
    """The decision on `current` gateways, one of which is made `every` so many seconds."""
    samples = _credible(samples, policy)
    history = history.after(samples, now)
    answers = () if isinstance(samples, Missing) else tuple(s for s in samples if s.answers(now))
    sight = _Sight(answers, policy, history)
    trouble = _trouble(samples, answers)
    demand = unknown(current, trouble) if trouble and trouble.blind else _demand(sight)
    window = history.window
    if trouble is None:
        window = window.after(needed(demand.spare, current, history.decided), now, policy.stabilization, every)
    unsettled = _unsettled(sight, current, now)
    outcome = settle(Case(current, demand, trouble, policy, window, now, step=1, unsettled=unsettled))
    decided = history.decided if trouble and outcome.replicas == current else outcome.replicas
    stepped = now if outcome.replicas < current else history.stepped
    return outcome.decision(demand, trouble, replace(history, window=window, decided=decided, stepped=stepped))


def deletion_costs(samples: Sequence[GatewaySample], now: float) -> dict[str, int]:
    """By pod, its `controller.kubernetes.io/pod-deletion-cost`: its sockets, so that the emptiest goes first.

    One that does not answer may hold any number, and goes last.
    """
    known = {sample.pod: min(_sockets(sample), WORTH_MOST) for sample in samples if sample.answers(now)}
    return {sample.pod: known.get(sample.pod, WORTH_MOST) for sample in samples}


@dataclass(frozen=True)
class _Sight:
    """The gateways that answer, what was asked for, and the rates."""

    pods: tuple[GatewaySample, ...]
    policy: GatewayPolicy
    history: GatewayHistory

    @property
    def total(self) -> int:
        """Sockets on all of them."""
        return _total(self.pods)

    @property
    def fullest(self) -> GatewaySample:
        """The gateway with most sockets."""
        return max(self.pods, key=_sockets)

    @property
    def coming(self) -> float:
        """Sockets that will have been added before a gateway that is asked for now takes any."""
        return self.history.growth * STARTUP


@dataclass(frozen=True)
class _Need:
    replicas: int
    reason: str
    message: str


def _demand(sight: _Sight) -> Demand:
    """The rule that asks for most speaks. With room to spare, each may ask for more."""
    need = max((rule(sight, 1.0) for rule in _RULES), key=lambda need: need.replicas)
    spare = max(rule(sight, SPARE).replicas for rule in _RULES)
    return Demand(need.replicas, spare, need.reason, f"{need.message}: {need.replicas} needed")


def _for_connections(sight: _Sight, full: float) -> _Need:
    """The sockets there are, and those that come while a gateway starts, on gateways filled to the target."""
    expected, target = sight.total + sight.coming, sight.policy.target
    said = f"{sight.total:,} connections on {_gateways(len(sight.pods))}"
    growing = f", {sight.coming:,.0f} more within {STARTUP:.0f} s" if sight.coming >= 1 else ""
    replicas = max(1, math.ceil(expected / (target * full)))
    return _Need(replicas, "Connections", f"{said}{growing}, target {target:,} each")


def _for_connects(sight: _Sight, full: float) -> _Need:
    """Gateways that accept the sockets that come each second."""
    rate, each = sight.history.connects, sight.policy.connects
    message = f"{rate:,.0f} connects/s on {_gateways(len(sight.pods))}, {each:,.0f}/s each"
    return _Need(math.ceil(rate / (each * full)), "ConnectRate", message)


def _for_loss(sight: _Sight, full: float) -> _Need:
    """One more than would hold every socket once the fullest gateway is gone."""
    fullest, limit = sight.fullest, sight.policy.limit
    message = (
        f"{sight.total:,} connections on {_gateways(len(sight.pods))}, and without {fullest.pod} "
        f"({_sockets(fullest):,}) the rest must hold them all, {limit:,} each"
    )
    return _Need(1 + math.ceil(sight.total / (limit * full)), "LossOfOne", message) if sight.total else _NOTHING


_RULES = (_for_connections, _for_connects, _for_loss)
_NOTHING = _Need(1, "", "")


def _trouble(samples: Gateways, answers: tuple[GatewaySample, ...]) -> Trouble | None:
    """What is wrong, the worst first."""
    if isinstance(samples, Missing):
        return Trouble("MetricsMissing", samples.message, blind=True)
    if not any(s.ready for s in samples):
        return Trouble("NoGatewayReady", f"none of {_gateways(len(samples))} is ready", blind=True, passing=True)
    silent = sorted({s.pod for s in samples if s.ready} - {s.pod for s in answers})
    if not silent:
        return None
    more = f" and {len(silent) - NAMED} more" if len(silent) > NAMED else ""
    message = f"{', '.join(silent[:NAMED])}{more} did not answer, of {_gateways(len(samples))}"
    return Trouble("GatewaySilent", message, blind=not answers)


def _unsettled(sight: _Sight, current: int, now: float) -> str:
    """Why the next gateway must not go yet; empty when it may."""
    ready = sum(sample.ready for sample in sight.pods)
    if ready != current:
        return f"of {_gateways(current)} {ready} are ready and answer"
    history, policy = sight.history, sight.policy
    if history.stepped is not None and now - history.stepped < min(BETWEEN_STEPS, policy.stabilization):
        return f"the last one went {now - history.stepped:.0f} s ago"
    calm = max(CALM * history.usual, QUIET * policy.connects * (current - 1))
    if history.connects > calm:
        return f"clients still connect again: {history.connects:,.0f} connects/s, {calm:,.0f} are usual"
    return ""


def _credible(samples: Gateways, policy: GatewayPolicy) -> Gateways:
    """The samples, with nonsense turned into silence."""
    if isinstance(samples, Missing):
        return samples
    most = ABSURD * policy.limit
    return tuple(
        s if s.connections is None or 0 <= s.connections <= most else replace(s, connections=None) for s in samples
    )


def _connects(sample: GatewaySample, before: GatewaySample | None) -> float:
    """Sockets accepted in a second since `before`. A lower counter began anew."""
    if before is None or sample.taken <= before.taken:
        return 0.0
    accepted = sample.connects - (before.connects if sample.connects >= before.connects else 0)
    return accepted / (sample.taken - before.taken)


def _sockets(sample: GatewaySample) -> int:
    return sample.connections or 0


def _total(samples: Iterable[GatewaySample]) -> int:
    return sum(map(_sockets, samples))


def _gateways(count: int) -> str:
    return f"{count} gateway" if count == 1 else f"{count} gateways"
