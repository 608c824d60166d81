"""The keyed queue: what workers rely on, without a clock."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from matrixhub.engine.queue import BACKOFF_LIMIT, PATIENCE, KeyedQueue, Priority

KEYS = st.sampled_from("abcdef")


def queue(clock: Callable[[], float] = lambda: 0.0) -> KeyedQueue:
    return KeyedQueue(jitter=lambda: 1.0, clock=clock)


def test_a_key_added_twice_is_taken_once():
    waiting = queue()
    waiting.add("a")
    waiting.add("a")
    assert waiting.take(0, 10) == (["a"], Priority.LIVE)
    assert waiting.take(0, 10)[0] == []


def test_live_edits_go_before_what_a_resync_queued_and_are_bounded():
    waiting = queue()
    for key in "abc":
        waiting.add(key, Priority.RESYNC)
    for key in "de":
        waiting.add(key)
    assert waiting.take(0, 1) == (["d"], Priority.LIVE)
    assert waiting.take(0, 1) == (["e"], Priority.LIVE)
    assert waiting.take(0, 1) == (["a", "b", "c"], Priority.RESYNC)


def test_an_edit_lifts_a_key_out_of_the_resync():
    waiting = queue()
    waiting.add("a", Priority.RESYNC)
    waiting.add("a")
    assert waiting.take(0, 10) == (["a"], Priority.LIVE)
    waiting.done("a")
    assert waiting.idle()


def test_an_edit_during_the_work_makes_the_key_ready_again_once():
    waiting = queue()
    waiting.add("a")
    waiting.take(0, 1)
    waiting.add("a")
    waiting.add("a", Priority.RESYNC)
    assert waiting.take(0, 10)[0] == []
    waiting.done("a")
    assert waiting.take(0, 10) == (["a"], Priority.LIVE)


def test_what_is_deferred_during_the_work_waits_for_its_time_and_an_edit_does_not():
    waiting = queue()
    waiting.add("a")
    waiting.take(0, 1)
    waiting.defer("a", 5)
    waiting.defer("a", 3)
    waiting.done("a")
    assert waiting.next_due(0) == 3
    assert waiting.take(3, 1) == (["a"], Priority.LIVE)
    waiting.defer("a", 9)
    waiting.add("a")
    waiting.done("a")
    assert waiting.take(4, 1) == (["a"], Priority.LIVE)
    waiting.done("a")
    assert waiting.idle()


def test_a_key_ages_from_when_it_could_be_worked_on_until_that_work_has_ended():
    now = [10.0]
    waiting = queue(lambda: now[0])
    assert waiting.oldest(10) == 0
    waiting.add("a", Priority.RESYNC)
    now[0] = 12
    waiting.add("a")
    waiting.add("b")
    assert waiting.oldest(15) == 5
    waiting.take(15, 1)
    assert waiting.oldest(16) == 6
    waiting.done("a")
    assert waiting.oldest(16) == 4
    waiting.take(16, 1)
    waiting.retry("b", 16, after=10)
    assert waiting.oldest(20) == 0
    assert waiting.oldest(29) == 3
    waiting.forget("b")
    assert waiting.oldest(40) == 0


def test_backoff_doubles_up_to_its_limit_and_an_edit_ends_it():
    waiting = queue()
    waiting.add("a")
    delays = []
    now = 0.0
    for _ in range(10):
        waiting.take(now, 1)
        waiting.retry("a", now)
        due = waiting.next_due(now)
        delays.append(due - now)
        now = due
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert delays[-1] == BACKOFF_LIMIT
    waiting.take(now, 1)
    waiting.retry("a", now)
    waiting.add("a", Priority.RESYNC)
    assert waiting.next_due(now) == now + BACKOFF_LIMIT
    waiting.add("a")
    assert waiting.take(now, 1) == (["a"], Priority.LIVE)


def test_what_was_refused_is_looked_at_again_together_and_ever_more_rarely():
    """At 10,000 keys that wait for the same person, each look at all of them costs as much as one at a single key."""
    waiting = queue()
    looks, last = [], dict.fromkeys("abc", 0.0)
    for number, key in enumerate("abc"):
        waiting.add(key)
        waiting.take(0, 1)
        waiting.refused(key, now=number * 7.0)
    now = 14.0
    while now < 300:
        now = waiting.next_due(now)
        keys, priority = waiting.take(now, 1)
        assert priority is Priority.RESYNC, "live edits go before"
        looks.append(sorted(keys))
        for key in keys:
            assert now - last[key] <= max(BACKOFF_LIMIT, 14.5)
            last[key] = now
            waiting.refused(key, now)
    assert looks[-8:] == [["a", "b", "c"]] * 8
    waiting.add("a")
    assert waiting.take(now, 10) == (["a"], Priority.LIVE), "an edit ends it"


def test_work_that_was_refused_before_keeps_no_edit_waiting_and_stays_bounded():
    waiting = queue()
    for key in "abc":
        waiting.add(key, Priority.RESYNC)
    for key in waiting.take(0, 1)[0]:
        waiting.refused(key, 0)
    keys, _ = waiting.take(1, 1)
    for key in keys:
        waiting.found(key)
    waiting.add("d", Priority.RESYNC)
    waiting.add("e")
    assert waiting.take(1, 2) == (["e"], Priority.LIVE)
    assert waiting.take(1, 2) == (["d"], Priority.RESYNC)
    assert waiting.take(1, 2) == (["a", "b"], Priority.REFUSED)
    waiting.refused("a", 1)
    assert waiting.next_due(1) == 1, "c can be worked on"
    waiting.take(1, 2)
    waiting.done("c")
    assert waiting.next_due(1) == 2, "the back-off goes on where the look found work"
    waiting.done("b")
    waiting.add("b", Priority.RESYNC)
    waiting.take(1, 1)
    waiting.found("b")
    assert waiting.take(1, 1) == (["b"], Priority.LIVE), "what succeeded since is work like any other"


@given(st.integers(1, 5), st.integers(1, 3))
def test_keys_that_come_back_at_once_keep_nobody_waiting_for_ever(busy: int, limit: int):
    """A long deletion is done in slices, the next of which is due when one has ended."""
    waiting = queue()
    for number in range(busy):
        waiting.add(f"busy {number}")
    waiting.add("a", Priority.RESYNC)
    waiting.add("b", Priority.REFUSED)
    turns = []
    for _ in range(PATIENCE + 2):
        keys, priority = waiting.take(0, limit)
        turns.append(priority)
        for key in keys:
            if priority is Priority.LIVE:
                waiting.retry(key, 0, after=0)
            else:
                waiting.done(key)
    assert turns == [*[Priority.LIVE] * PATIENCE, Priority.RESYNC, Priority.REFUSED]


@given(st.lists(st.sets(st.sampled_from(Priority), min_size=1), min_size=1, max_size=60))
def test_no_priority_is_passed_over_more_often_than_it_has_patience_for(arrivals: list[set[Priority]]):
    waiting = queue()
    passed = dict.fromkeys(Priority, 0)
    for turn, priorities in enumerate(arrivals):
        for each in priorities:
            waiting.add(f"{each} {turn}", each)
        ready = {Priority(int(key[0])) for key in waiting.waiting()}
        keys, taken = waiting.take(0, 1)
        assert taken in ready
        for key in keys:
            waiting.done(key)
        for each in Priority:
            passed[each] = passed[each] + 1 if each in ready - {taken} else 0
            assert passed[each] <= PATIENCE + 1, "one more where two have lost their patience"


def test_success_forgets_the_backoff():
    waiting = queue()
    waiting.add("a")
    waiting.take(0, 1)
    waiting.retry("a", 0)
    waiting.take(1, 1)
    waiting.done("a")
    waiting.add("a")
    waiting.take(1, 1)
    waiting.retry("a", 1)
    assert waiting.next_due(1) == 1.5


def test_a_forgotten_key_in_progress_is_not_queued_again():
    waiting = queue()
    waiting.add("a")
    waiting.take(0, 1)
    waiting.add("a")
    waiting.forget("a")
    waiting.done("a")
    assert waiting.idle()


@given(st.lists(KEYS), st.integers(1, 4))
def test_each_key_is_taken_exactly_once_in_order_of_arrival(keys: list[str], limit: int):
    waiting = queue()
    for key in keys:
        waiting.add(key)
    taken: list[str] = []
    while batch := waiting.take(0, limit)[0]:
        assert len(batch) <= limit
        taken += batch
    assert taken == list(dict.fromkeys(keys))


class Machine(RuleBasedStateMachine):
    """However it is used: no key twice at once, none lost, none invented."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = queue()
        self.now = 0.0
        self.working: set[str] = set()
        self.owed: set[str] = set()

    @rule(key=KEYS, priority=st.sampled_from(Priority))
    def add(self, key: str, priority: Priority) -> None:
        self.waiting.add(key, priority)
        self.owed.add(key)

    @rule(key=KEYS, delay=st.floats(0, 5))
    def defer(self, key: str, delay: float) -> None:
        self.waiting.defer(key, self.now + delay)
        self.owed.add(key)

    @rule(limit=st.integers(1, 3))
    def take(self, limit: int) -> None:
        keys, _ = self.waiting.take(self.now, limit)
        assert not self.working & set(keys)
        assert set(keys) <= self.owed
        self.working |= set(keys)
        self.owed -= set(keys)

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        if self.working:
            key = data.draw(st.sampled_from(sorted(self.working)))
            self.working.discard(key)
            self.waiting.done(key)

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        if self.working:
            key = data.draw(st.sampled_from(sorted(self.working)))
            self.working.discard(key)
            self.waiting.retry(key, self.now)
            self.owed.add(key)

    @rule(data=st.data(), worked=st.booleans())
    def be_refused_or_found_wanting(self, data: st.DataObject, worked: bool) -> None:  # noqa: FBT001 - drawn
        if self.working:
            key = data.draw(st.sampled_from(sorted(self.working)))
            self.working.discard(key)
            if worked:
                self.waiting.refused(key, self.now)
            else:
                self.waiting.found(key)
            self.owed.add(key)

    @rule(seconds=st.floats(0, 40))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def what_is_owed_waits_or_is_in_progress(self) -> None:
        assert self.owed - self.working == set(self.waiting.waiting()) - self.working
        assert self.waiting.idle() == (not self.owed and not self.working)


TestMachine = Machine.TestCase
