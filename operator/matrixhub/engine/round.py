"""One round of one backend: observe, plan and apply for a batch of tenants, each with its own outcome."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from matrixhub import metrics
from matrixhub.backends.contract import Action, Applied, Backend, Intent
from matrixhub.engine.outcome import Basis, Outcome
from matrixhub.errors import BackendError, Transient

log = logging.getLogger(__name__)


@dataclass
class Round:
    """What a round ended with: outcomes, and (of a dry one) the tenants that need work."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)


def reconcile(
    name: str,
    backend: Backend[Any, Any],
    intents: Mapping[str, Intent],
    *,
    dry: bool = False,
    fence: Callable[[], None] = lambda: None,
) -> Round:
    """Every intent is carried out, or has its error in its outcome; `dry` only finds out who needs work.

    `fence` is called before anything is changed and raises when nothing may be. Raises what the backend raises for
    all (`Unreachable`, `Rejected`). A bug met in a batch is looked for half by half, so that it stays with the one
    tenant that shows it.
    """
    started = time.monotonic()
    try:
        return _attempt(name, backend, intents, dry=dry, fence=fence)
    except BackendError as trouble:
        metrics.RECONCILES.labels(backend=name, result=trouble.reason).inc(len(intents))
        metrics.RECONCILE_SECONDS.labels(backend=name, result="Failed").observe(time.monotonic() - started)
        raise
    except Exception as error:  # a bug that one tenant shows is no other's: found by halving
        if len(intents) == 1:
            ((tenant, intent),) = intents.items()
            log.exception("Failed to reconcile Tenant", extra={"tenant": tenant, "backend": name})
            return Round({tenant: _outcome(name, intent, error=Bug(error))})
        bug = error
    return _by_halves(bug, name, backend, intents, dry=dry, fence=fence)


class Bug(Transient):
    """A tenant, or the backend as a whole, shows a bug."""

    reason = "InternalError"

    def __init__(self, bug: Exception) -> None:
        super().__init__(self.reason, f"{type(bug).__name__}: see the operator's log")


def _by_halves(
    bug: Exception,
    name: str,
    backend: Backend[Any, Any],
    intents: Mapping[str, Intent],
    *,
    dry: bool,
    fence: Callable[[], None],
) -> Round:
    """Each half by itself. Where no tenant shows the bug, it is one of several together, and logged here."""
    pairs, middle = list(intents.items()), len(intents) // 2
    whole = Round()
    try:
        for half in (pairs[:middle], pairs[middle:]):
            found = reconcile(name, backend, dict(half), dry=dry, fence=fence)
            whole = Round(whole.outcomes | found.outcomes, whole.stale + found.stale)
    finally:
        if not any(isinstance(outcome.error, Bug) for outcome in whole.outcomes.values()):
            log.error("Failed to reconcile Tenants together", exc_info=bug, extra={"backend": name})
    return whole


def _attempt(
    name: str, backend: Backend[Any, Any], intents: Mapping[str, Intent], *, dry: bool, fence: Callable[[], None]
) -> Round:
    started = time.monotonic()
    metrics.BACKEND_CALLS.labels(backend=name, call="observe").inc()
    observed = backend.observe(list(intents.values()))
    result = Round()
    plans: dict[str, tuple[Action, ...]] = {}
    for tenant, intent in intents.items():
        try:
            plan = _plan(backend, intent, observed[tenant])
        except BackendError as error:
            result.outcomes[tenant] = _outcome(name, intent, error=error)
            continue
        if not plan:
            result.outcomes[tenant] = _outcome(name, intent)
        elif dry:
            result.stale.append(tenant)
        else:
            plans[tenant] = plan
    if plans:
        fence()
        metrics.BACKEND_CALLS.labels(backend=name, call="apply").inc()
        applied = backend.apply(plans)
        seconds = time.monotonic() - started
        for tenant, plan in plans.items():
            result.outcomes[tenant] = _outcome(name, intents[tenant], applied[tenant], plan, seconds=seconds)
    said = "Failed" if any(outcome.error for outcome in result.outcomes.values()) else "Succeeded"
    metrics.RECONCILE_SECONDS.labels(backend=name, result=said).observe(time.monotonic() - started)
    return result


def _plan(backend: Backend[Any, Any], intent: Intent, observed: Any) -> tuple[Action, ...]:
    if isinstance(observed, BackendError):
        raise observed
    return backend.plan(backend.desired(intent), observed)


def _outcome(
    name: str,
    intent: Intent,
    applied: Applied | None = None,
    plan: tuple[Action, ...] = (),
    *,
    error: BackendError | None = None,
    seconds: float = 0.0,
) -> Outcome:
    error = applied.error if applied else error
    metrics.RECONCILES.labels(backend=name, result=error.reason if error else "Succeeded").inc()
    return Outcome(
        tenant=intent.tenant.id,
        backend=name,
        basis=basis_of(intent),
        phase=intent.phase,
        actions=tuple(str(action) for action in plan) if error is None else (),
        kinds=tuple(getattr(action, "kind", type(action).__name__) for action in plan) if error is None else (),
        error=error,
        issued=applied.issued if applied else None,
        seconds=seconds,
    )


def basis_of(intent: Intent) -> Basis:
    """The wish that an intent stands for."""
    return Basis(intent.tenant.metadata.uid, intent.tenant.metadata.generation, intent.cluster.metadata.generation)
