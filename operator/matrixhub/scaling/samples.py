"""What was seen of the gateways and of a consumer group. Pure.

Times are seconds of one clock. Trouble at the source is a value, never an exception: what cannot be seen is
part of what is decided upon.
"""

from dataclasses import dataclass

STALE = 30.0
"""Seconds after which a sample says nothing any more: six rounds of a loop that looks every 5 s."""


@dataclass(frozen=True)
class Missing:
    """The source as a whole gave no answer. `message` says why, in words for the status."""

    message: str


@dataclass(frozen=True, slots=True)
class GatewaySample:
    """One gateway pod. Pods that are being deleted are left out: they are no longer what is scaled.

    `connections` is None when the pod did not answer; `connects` counts the sockets accepted since it started.
    """

    pod: str
    ready: bool
    taken: float
    connections: int | None
    connects: int = 0

    def answers(self, now: float) -> bool:
        """Whether it says how many sockets the gateway holds now."""
        return self.connections is not None and now - self.taken <= STALE


@dataclass(frozen=True, slots=True)
class PartitionSample:
    """One partition that a consumer group reads.

    `start` and `end` are the offsets of the first record still held and of the next one written; `committed` is
    None when the group never committed one; `member` is who reads it, empty when nobody does or it is not known.
    """

    topic: str
    partition: int
    end: int
    committed: int | None
    start: int = 0
    member: str = ""


@dataclass(frozen=True)
class GroupSample:
    """A consumer group and every partition of the topics it reads, with nothing left out.

    `state` is written as Kafka writes it: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead, and
    Assigning or Reconciling in the protocol of KIP-848.
    """

    taken: float
    state: str
    members: int
    partitions: tuple[PartitionSample, ...]

    @property
    def stable(self) -> bool:
        """Whether its members are at work."""
        return self.state == "Stable" and self.members > 0

    @property
    def rebalancing(self) -> bool:
        """Whether partitions are being handed out, so that consumption pauses."""
        return self.state in ("PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling")


Gateways = tuple[GatewaySample, ...] | Missing
Group = GroupSample | Missing
