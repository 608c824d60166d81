"""A backend of the simplest kind, to show what the engine does around any backend: each tenant has one word."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.backends.contract import Applied, Intent, Owner, Phase, Survey
from matrixhub.engine.outcome import Basis, Outcome
from matrixhub.engine.round import basis_of
from matrixhub.errors import BackendError, Rejected, Unreachable

CLUSTER = RealtimeCluster.model_validate(
    {"metadata": {"name": "main", "namespace": "matrixhub", "uid": "c", "generation": 1}, "spec": {}}
)


def intent(tenant: str, generation: int = 1) -> Intent:
    """What is wanted of one tenant: its own id as its word."""
    resource = {
        "metadata": {"name": tenant, "uid": f"uid-{tenant}", "generation": generation},
        "spec": {"clusterRef": {"namespace": "matrixhub", "name": "main"}},
    }
    return Intent(Tenant.model_validate(resource), CLUSTER, Phase.ACTIVE, Owner("hub", f"uid-{tenant}"), None)


@dataclass(frozen=True)
class Say:
    """Lets a tenant have its word."""

    word: str

    def __str__(self) -> str:
        return f"Said {self.word}"


@dataclass
class Toy:
    """A real little system: what was applied is what is observed. It can be away, and it can have a bug.

    One that some tenants show (`buggy`), or one that shows with so many at once (`crowd`).
    """

    words: dict[str, str] = field(default_factory=dict)
    away: bool = False
    refused: frozenset[str] = frozenset()
    buggy: frozenset[str] = frozenset()
    crowd: int = 1000
    rounds: list[list[str]] = field(default_factory=list)
    incarnation: int = 1
    slow: float = 0.0
    closes: bool = True

    def prepare(self) -> Survey:
        time.sleep(self.slow)
        self._answer()
        return Survey("1.0")

    def pulse(self) -> str:
        self._answer()
        return str(self.incarnation)

    def observe(self, intents: Sequence[Intent]) -> Mapping[str, str | BackendError]:
        self._answer()
        self.rounds.append([intent.tenant.id for intent in intents])
        if self.buggy & {intent.tenant.id for intent in intents}:
            raise ZeroDivisionError
        if len(intents) >= self.crowd:
            raise RecursionError
        return {intent.tenant.id: self.words.get(intent.tenant.id, "") for intent in intents}

    def desired(self, intent: Intent) -> str:
        if intent.tenant.id in self.refused:
            raise Rejected("TooRude", "choose another word")
        return intent.tenant.id

    def plan(self, desired: str, observed: str) -> tuple[Say, ...]:
        return () if desired == observed else (Say(desired),)

    def apply(self, plans: Mapping[str, tuple[Say, ...]]) -> Mapping[str, Applied]:
        self._answer()
        for tenant, plan in plans.items():
            self.words[tenant] = plan[-1].word
        return {tenant: Applied() for tenant in plans}

    def binding(self, intent: Intent) -> Mapping[str, str]:
        return {"word": intent.tenant.id}

    def close(self) -> None:
        """Nothing is held; some drivers complain at their end."""
        if not self.closes:
            raise OSError

    def _answer(self) -> None:
        if self.away:
            raise Unreachable("the toy does not answer")


@dataclass
class ToyDesk:
    """Hands out the intents of a fixed set of tenants and keeps what it hears."""

    toy: Toy
    tenants: list[str]
    outcomes: list[Outcome] = field(default_factory=list)
    surveys: list[Survey | BackendError] = field(default_factory=list)
    password: str = ""
    held: list[str] = field(default_factory=list)
    """The password that each client was made with."""

    def connect(self) -> Toy:
        self.held.append(self.password)
        return self.toy

    def renewed(self) -> bool:
        return self.held[-1] != self.password

    def members(self) -> Iterable[str]:
        return list(self.tenants)

    def intents(self, tenants: Iterable[str]) -> Mapping[str, Intent]:
        return {tenant: intent(tenant) for tenant in tenants if tenant in self.tenants}

    def wishes(self, tenants: Iterable[str]) -> Mapping[str, tuple[Basis, Phase]]:
        return {tenant: (basis_of(each), each.phase) for tenant, each in self.intents(tenants).items()}

    def report(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def surveyed(self, backend: str, survey: Survey | BackendError) -> None:
        self.surveys.append(survey)

    def last(self, tenant: str) -> Outcome | None:
        """The last that was heard of a tenant."""
        return next((outcome for outcome in reversed(self.outcomes) if outcome.tenant == tenant), None)
