"""Where each tenant stands with each backend, and what may be done next. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from matrixhub.api import naming
from matrixhub.api.tenant import Tenant
from matrixhub.backends.contract import Phase
from matrixhub.engine.outcome import Basis, Outcome

NAMESPACE = "namespace"
"""The backend that goes first, because it holds the credentials, and at a deletion last."""
OBJECT_STORE = "objectstore"
"""The backend whose surveys tell what is stored."""


@dataclass(frozen=True)
class Drift:
    """A change by somebody else, undone by us."""

    backend: str
    time: datetime
    message: str


@dataclass(frozen=True)
class Standing:
    """The last outcome of one backend, the last wish it fulfilled, and the last drift found in it."""

    outcome: Outcome | None = None
    settled: Basis | None = None
    drift: Drift | None = None

    def after(self, outcome: Outcome, now: datetime) -> "Standing":
        """The standing once `outcome` is known. Work on a wish that was already fulfilled is drift."""
        if outcome.error is not None:
            return replace(self, outcome=outcome)
        drift = self.drift
        if outcome.actions and self.settled == outcome.basis:
            drift = Drift(outcome.backend, now, "; ".join(outcome.actions))
        return Standing(outcome, outcome.basis, drift)

    def fulfils(self, basis: Basis, phase: Phase) -> bool:
        """Whether the share is as this wish has it."""
        outcome = self.outcome
        return outcome is not None and outcome.error is None and (outcome.basis, outcome.phase) == (basis, phase)


@dataclass
class Entry:
    """What is known of one Tenant: the resource as last seen, and its standing with each backend."""

    tenant: Tenant
    phase: Phase
    standings: dict[str, Standing] = field(default_factory=dict)
    invalid: str = ""
    begun: bool = False
    """Whether this wish has been handed to the workers."""
    shares: set[str] = field(default_factory=set)
    """The backends in which this very Tenant has once had its share: what its end has to undo."""
    housed: bool = False
    """Whether the namespace's answer is known, and with it the credentials, so that the other backends may begin."""

    @property
    def deleting(self) -> bool:
        """Whether the Tenant waits for its finalizer."""
        return self.tenant.metadata.deletion_timestamp is not None

    @property
    def admitted(self) -> bool:
        """Whether it may be worked on: never before our finalizer is in place, nor after somebody took it away."""
        return not self.invalid and naming.FINALIZER in self.tenant.metadata.finalizers

    def unsettle(self) -> None:
        """Where it stands is not known any more; the drifts that were found are."""
        self.standings = {name: Standing(drift=standing.drift) for name, standing in self.standings.items()}
        self.housed = False

    def fulfilled(self, backend: str, basis: Basis) -> bool:
        """Whether one backend is as wanted now."""
        standing = self.standings.get(backend)
        return standing is not None and standing.fulfils(basis, self.phase)


def turn(entry: Entry, services: Sequence[str], basis: Basis) -> tuple[str, ...]:
    """The backends that may work for the tenant now, as design section 3 orders them.

    Living: the namespace first, then everything side by side. Deleted: everything else first,
    the namespace last; empty once all is done and the finalizer may go.
    """
    if not entry.deleting:
        return (NAMESPACE, *services) if entry.housed else (NAMESPACE,)
    left = tuple(name for name in services if not entry.fulfilled(name, basis))
    if left:
        return left
    return () if entry.fulfilled(NAMESPACE, basis) else (NAMESPACE,)


def settled(entry: Entry, backends: Sequence[str], basis: Basis) -> bool:
    """Whether every backend has answered for this wish, be it with an error."""
    return all(
        (standing := entry.standings.get(name)) is not None
        and standing.outcome is not None
        and standing.outcome.basis == basis
        for name in backends
    )


def drifts(standings: Mapping[str, Standing]) -> list[Drift]:
    """The last drift of each backend, in order of name."""
    return [drift for name in sorted(standings) if (drift := standings[name].drift)]
