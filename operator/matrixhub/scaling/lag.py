"""What two looks at a consumer group say together: what waits, what arrived, what was consumed. Pure.

One pass over the partitions: with 10,000 tenants there are some hundred thousand.
"""

from dataclasses import dataclass

from matrixhub.scaling.samples import GroupSample, PartitionSample


@dataclass(frozen=True)
class Reading:
    """The sums over all partitions whose offsets make sense, since the look before.

    `steady` is whether the same number of members was at work at both looks; `workers` is how many of them had
    something to do for all of the time, and `worked` what these consumed. `fullest` is what waits for the member with
    most before it, 0 when nobody says who reads what. The last four count partitions that are
    left out of some sum: offsets that went backwards or beyond the end, records but no commit, new ones, gone ones.
    """

    sample: GroupSample
    first: bool = False
    seconds: float = 0.0
    steady: bool = False
    unread: int = 0
    fullest: int = 0
    produced: int = 0
    consumed: int = 0
    workers: int = 0
    worked: int = 0
    reset: int = 0
    uncommitted: int = 0
    new: int = 0
    gone: int = 0

    def behind(self, seconds: float) -> bool:
        """Whether members worked all the time with more before them than they consume in `seconds`."""
        if not self.workers:
            return False
        before = self.unread + self.consumed - self.produced
        return min(before, self.unread) * self.seconds > seconds * self.consumed


def unread(partition: PartitionSample) -> int:
    """Records that wait. Nothing is known of a partition that holds records and was never committed: 0."""
    if partition.committed is None:
        return 0
    return max(0, partition.end - max(partition.committed, partition.start))


def read(sample: GroupSample, previous: GroupSample | None) -> Reading:
    """The reading of `sample`, with what happened since `previous`."""
    before = {} if previous is None else {(p.topic, p.partition): p for p in previous.partitions}
    waiting = produced = consumed = reset = uncommitted = new = 0
    eaten: dict[str, int] = {}
    before_each: dict[str, int] = {}
    busy: set[str] = set()
    for now in sample.partitions:
        then = before.get((now.topic, now.partition))
        if _absurd(now, then):
            reset += 1
            continue
        waits = unread(now)
        waiting += waits
        if now.member:
            before_each[now.member] = before_each.get(now.member, 0) + waits
        uncommitted += now.committed is None and now.end > now.start
        if then is None:
            new += 1
            continue
        produced += now.end - then.end
        if now.committed is not None and then.committed is not None:
            consumed += now.committed - then.committed
            worker = now.member or f"{now.topic}/{now.partition}"
            eaten[worker] = eaten.get(worker, 0) + now.committed - then.committed
            if now.committed < then.end:
                busy.add(worker)
    fullest = max(before_each.values(), default=0)
    if previous is None:
        return Reading(sample, first=True, unread=waiting, fullest=fullest, reset=reset, uncommitted=uncommitted)
    steady = sample.stable and previous.stable and sample.members == previous.members
    return Reading(
        sample=sample,
        seconds=max(0.0, sample.taken - previous.taken),
        steady=steady,
        unread=waiting,
        fullest=fullest,
        produced=produced,
        consumed=consumed,
        workers=min(len(busy), sample.members) if steady else 0,
        worked=sum(eaten[worker] for worker in busy) if steady else 0,
        reset=reset,
        uncommitted=uncommitted,
        new=new,
        gone=len(before) - (len(sample.partitions) - new),
    )


def _absurd(now: PartitionSample, then: PartitionSample | None) -> bool:
    """Whether the offsets went beyond the end, or backwards."""
    if now.committed is not None and now.committed > now.end:
        return True
    if then is None:
        return False
    backwards = now.committed is not None and then.committed is not None and now.committed < then.committed
    return backwards or now.end < then.end
