"""One partition on its way through the relay. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from matrixhub.relay.events import Event, Poison, Record, Router, tenant_of

Partition = tuple[str, int]
"""Topic and number."""


@dataclass(frozen=True, eq=False)
class Publish:
    """Records of one partition, in order, that are to be published in one request; no two steps are equal."""

    partition: Partition
    records: tuple[Record, ...]
    events: tuple[Event, ...]

    @property
    def tenant(self) -> str:
        """Whose records they are."""
        return tenant_of(self.partition[0])


@dataclass(frozen=True, eq=False)
class Bury:
    """A record that is to be written to its tenant's dead-letter topic."""

    partition: Partition
    records: tuple[Record]
    poison: Poison

    @property
    def tenant(self) -> str:
        """Whose record it is."""
        return tenant_of(self.partition[0])


Step = Publish | Bury


@dataclass
class Lane:
    """Records of one partition that were fetched and not settled yet, oldest first; one step at a time is under way."""

    partition: Partition
    records: deque[Record] = field(default_factory=deque)
    size: int = 0
    """Bytes of the records."""
    counted: int = 0
    """What of `size` is in the sum over all lanes."""
    busy: Step | None = None
    position: int | None = None
    """The offset before which everything is settled."""
    reached: int = 0
    """The offset before which Kafka handed out all that is a record."""
    alone: int = 0
    """How many records are to be published one by one, because a request with all of them was refused."""
    refused: tuple[int, Poison] | None = None
    """The offset of a record that was refused alone, and why."""
    closing: bool = False
    """No step begins any more."""
    parked: bool = False
    """Nothing is fetched: the tenant waits."""
    rewind: int | None = None
    """The offset from which Kafka is to send again, because fetched records were let go of."""

    @property
    def tenant(self) -> str:
        """Whose partition it is."""
        return tenant_of(self.partition[0])

    @property
    def ready(self) -> bool:
        """Whether a step may begin."""
        return bool(self.records) and self.busy is None and not self.parked and not self.closing

    @property
    def start(self) -> int | None:
        """The offset from which whoever has the partition next goes on; None if nothing of it was fetched."""
        if self.records:
            return self.records[0].offset
        return self.position if self.rewind is None else self.rewind

    def offer(self, records: Sequence[Record]) -> None:
        """The records wait here; or, when the lane takes none at present, Kafka is to send them again."""
        if self.parked or self.rewind is not None:
            self._again_from(records[0].offset)
        else:
            self.records.extend(records)
            self.size += sum(record.size for record in records)

    def reach(self, offset: int) -> None:
        """What lies between the records that were offered and this offset is none: markers, and what was taken back."""
        if self.rewind is None:
            self.reached = offset
            if not self.records:
                self.position = offset

    def park(self) -> None:
        """Nothing waits here that isn't under way, and nothing more is fetched."""
        self.parked = True
        if self.records and self.busy is None:
            self._again_from(self.records[0].offset)
            self.records.clear()
            self.size = self.reached = 0

    def _again_from(self, offset: int) -> None:
        self.rewind = offset if self.rewind is None else min(self.rewind, offset)

    def next_step(self, router: Router, most: int) -> Step:
        """The step that the oldest records are to go through; a poisoned record ends a batch before it."""
        oldest = self.records[0]
        events: list[Event] = []
        for record in islice(self.records, 1 if self.alone else most):
            event = router.event(record)
            if self.refused and self.refused[0] == record.offset:
                event = self.refused[1]
            if isinstance(event, Poison):
                if not events:
                    return Bury(self.partition, (oldest,), event)
                break
            events.append(event)
        return Publish(self.partition, tuple(islice(self.records, len(events))), tuple(events))

    def done(self, step: Step) -> None:
        """The step's records are settled: their offsets may be committed."""
        for record in step.records:
            self.records.popleft()
            self.size -= record.size
        after = step.records[-1].offset + 1
        self.position = after if self.records else max(after, self.reached)
        self.alone = max(0, self.alone - len(step.records))

    def isolate(self, step: Step, message: str) -> None:
        """What was refused is found by publishing the records one by one; a single one is poison."""
        if len(step.records) > 1:
            self.alone = len(step.records)
        else:
            self.refused = (step.records[0].offset, Poison("Refused", message))
