"""What a decision on a number of replicas is made of, and what it says. Pure."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from matrixhub.api import naming

PAUSED_ANNOTATION = f"{naming.GROUP}/scaling-paused"

History = TypeVar("History")


@dataclass(frozen=True)
class Pause:
    """Which directions a person has switched off, and the sentence that says so."""

    up: bool = False
    down: bool = False
    message: str = ""


NOT_PAUSED = Pause()


def pause(annotation: str | None) -> Pause:
    """What `matrixhub.io/scaling-paused` asks for. Another word than ours pauses both: somebody wanted quiet."""
    said = "" if annotation is None else annotation.strip().lower()
    if said in ("", "false"):
        return NOT_PAUSED
    message = f'{PAUSED_ANNOTATION} is "{annotation}"'
    if said in ("true", "up", "down"):
        return Pause(up=said != "down", down=said != "up", message=message)
    return Pause(up=True, down=True, message=f'{message}: write "true", "up" or "down", or remove it')


@dataclass(frozen=True)
class Bounds:
    """The least and the most replicas. Raises ValueError unless 1 <= minimum <= maximum."""

    minimum: int
    maximum: int

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.maximum:
            raise ValueError(f"bounds {self.minimum} to {self.maximum}: the minimum is 1 or more, the maximum no less")

    def clamp(self, replicas: int) -> int:
        """The nearest number within the bounds."""
        return min(max(replicas, self.minimum), self.maximum)


@dataclass(frozen=True)
class Policy:
    """What a person asked for. `stabilization` is the seconds for which fewer must have been enough."""

    bounds: Bounds
    stabilization: float = field(default=300.0, kw_only=True)
    pause: Pause = field(default=NOT_PAUSED, kw_only=True)


@dataclass(frozen=True)
class Trouble:
    """Why what is seen cannot be trusted in full.

    `blind`: nothing can be decided from it; otherwise it still shows a load that is there at least.
    `passing`: it ends by itself, nobody has to act.
    """

    reason: str
    message: str
    blind: bool = False
    passing: bool = False


@dataclass(frozen=True)
class Demand:
    """How many replicas the load asks for, and why. `spare` is what the window remembers: fewer come only after it.

    Between the two the present number stays: that is the tolerance.
    """

    replicas: int
    spare: int
    reason: str
    message: str


@dataclass(frozen=True)
class Decision(Generic[History]):
    """How many replicas there should be, and why; also when nothing changes.

    `reason` is one CamelCase word, `message` a sentence with the numbers in it. `wanted` is what the load alone asks
    for, None when it cannot be seen; `limited` is the reason that keeps `replicas` from it, empty when nothing does.
    `history` is what the next decision is to be given.
    """

    replicas: int
    reason: str
    message: str
    wanted: int | None
    limited: str
    trouble: Trouble | None
    history: History = field(repr=False)
