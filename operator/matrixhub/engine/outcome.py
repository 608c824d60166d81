"""What became of one tenant in one backend. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from matrixhub.backends.contract import Credential, Phase
from matrixhub.errors import BackendError


class Basis(NamedTuple):
    """Which wish was carried out; the same basis with something to do again means drift."""

    uid: str
    generation: int
    cluster_generation: int


@dataclass(frozen=True)
class Outcome:
    """The end of one reconciliation. `error` is None when the share is as desired."""

    tenant: str
    backend: str
    basis: Basis
    phase: Phase
    actions: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    """What each action is about, in a word of the backend's own: a kind of object, or of step."""
    error: BackendError | None = None
    issued: Credential | None = None
    seconds: float = 0.0
