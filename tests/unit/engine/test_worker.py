"""One worker and one backend: nobody is lost, whatever the backend does."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import pytest
from tests.patience import soon
from tests.unit.engine.toy import Say, Toy, ToyDesk, intent

from matrixhub.backends.contract import Applied, Intent, Survey
from matrixhub.engine import queue, trouble
from matrixhub.engine import worker as module
from matrixhub.engine.outcome import Outcome
from matrixhub.engine.round import reconcile
from matrixhub.engine.worker import Worker
from matrixhub.errors import BackendError, Transient, Unreachable


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PULSE", 0.02)
    for name in ("TROUBLE_FIRST", "AWAY_LIMIT", "REFUSED_LIMIT"):
        monkeypatch.setattr(trouble, name, 0.02)


def run(desk: ToyDesk, scenario: Callable[[Worker], Awaitable[None]], resync: float = 60.0) -> None:
    async def scene() -> None:
        worker = Worker("toy", desk, resync)
        task = asyncio.create_task(worker.run())
        try:
            await asyncio.wait_for(scenario(worker), 10)
        finally:
            task.cancel()

    asyncio.run(scene())


def test_every_member_gets_its_share_at_the_first_resync():
    desk = ToyDesk(Toy(), ["a", "b", "c"])

    async def scenario(_: Worker) -> None:
        await soon(lambda: len(desk.outcomes) == 3)

    run(desk, scenario)
    assert desk.toy.words == {"a": "a", "b": "b", "c": "c"}
    assert all(outcome.error is None and outcome.actions for outcome in desk.outcomes)


def test_a_resync_observes_all_at_once_and_repairs_only_what_differs():
    tenants = [f"t{number}" for number in range(300)]
    desk = ToyDesk(Toy(words={tenant: tenant for tenant in tenants} | {"t7": "wrong"}), tenants)

    async def scenario(_: Worker) -> None:
        await soon(lambda: desk.toy.words["t7"] == "t7")

    run(desk, scenario)
    assert [len(batch) for batch in desk.toy.rounds] == [300, 1]


def test_a_backend_that_is_away_is_told_by_those_who_wait_then_by_all_and_ends_by_itself():
    desk = ToyDesk(Toy(away=True), ["a", "b"])

    async def scenario(worker: Worker) -> None:
        worker.add("a")
        await soon(lambda: desk.last("b") is not None)
        assert {desk.last(tenant).error.reason for tenant in "ab"} == {"Unreachable"}
        assert ", since 20" in desk.last("a").error.message
        desk.toy.away = False
        await soon(lambda: desk.toy.words == {"a": "a", "b": "b"})
        await soon(lambda: all(desk.last(tenant).error is None for tenant in "ab"))

    run(desk, scenario)


def test_an_outage_has_one_date():
    desk = ToyDesk(Toy(away=True), ["a"])

    async def scenario(worker: Worker) -> None:
        worker.add("a")
        await soon(lambda: len(desk.surveys) > 20)

    run(desk, scenario)
    assert len({survey.message for survey in desk.surveys}) == 1
    assert len({outcome.error.message for outcome in desk.outcomes}) == 1
    assert len(desk.outcomes) <= 3, "told once is told"


def test_an_outage_may_last_for_days():
    desk = ToyDesk(Toy(away=True), ["a"])

    async def scenario(worker: Worker) -> None:
        await soon(lambda: desk.surveys)
        worker._trouble = replace(worker._trouble, failures=100_000)  # noqa: SLF001 - years of an outage
        seen = len(desk.surveys)
        await soon(lambda: len(desk.surveys) > seen + 2)
        desk.toy.away = False
        await soon(lambda: desk.toy.words == {"a": "a"})

    run(desk, scenario)


def test_a_bug_in_the_engine_or_in_a_clients_end_ends_no_worker(monkeypatch: pytest.MonkeyPatch):
    desk = ToyDesk(Toy(closes=False), ["a"])
    faults = iter([ZeroDivisionError()])

    def faulty(outcome: Outcome) -> None:
        for fault in faults:
            raise fault
        desk.outcomes.append(outcome)

    monkeypatch.setattr(desk, "report", faulty)

    async def scenario(worker: Worker) -> None:
        await soon(lambda: desk.outcomes)
        worker.reconnect()
        worker.add("a")
        await soon(lambda: len(desk.outcomes) > 1)

    run(desk, scenario)


def test_a_tenant_that_appears_while_its_key_was_found_empty_is_not_lost():
    desk = ToyDesk(Toy(), [])

    async def scenario(worker: Worker) -> None:
        loop = asyncio.get_running_loop()

        def late(tenants: Iterable[str]) -> Mapping[str, Intent]:
            found = ToyDesk.intents(desk, tenants)
            if not desk.tenants:
                desk.tenants.append("a")
                loop.call_soon_threadsafe(worker.add, "a")
                time.sleep(0.05)
            return found

        desk.intents = late
        worker.add("a")
        await soon(lambda: desk.toy.words == {"a": "a"})

    run(desk, scenario)


def test_a_change_of_the_cluster_during_a_look_is_carried_out_by_the_new_client_alone():
    old, new = Toy(slow=0.1), Toy()
    desk = ToyDesk(old, ["a"])

    async def scenario(worker: Worker) -> None:
        worker.add("a")
        await asyncio.sleep(0.03)
        desk.toy = new
        worker.reconnect()
        await soon(lambda: new.words == {"a": "a"})

    run(desk, scenario)
    assert not old.words


def test_what_the_former_cluster_was_refused_is_not_said_of_the_changed_one():
    old, new = Toy(slow=0.1, away=True), Toy()
    desk = ToyDesk(old, ["a"])

    async def scenario(worker: Worker) -> None:
        await asyncio.sleep(0.03)
        desk.toy = new
        worker.reconnect()
        await soon(lambda: desk.surveys)

    run(desk, scenario)
    assert desk.surveys == [Survey("1.0")]


def test_a_restarted_server_is_served_again_without_waiting_for_a_resync():
    desk = ToyDesk(Toy(), ["a"])

    async def scenario(_: Worker) -> None:
        await soon(lambda: desk.toy.words == {"a": "a"})
        desk.toy.words.clear()
        desk.toy.incarnation += 1
        await soon(lambda: desk.toy.words == {"a": "a"})

    run(desk, scenario)


def test_credentials_that_were_rotated_are_used_from_the_next_resync_on():
    desk = ToyDesk(Toy(), ["a"], password="old")

    async def scenario(_: Worker) -> None:
        await soon(lambda: len(desk.surveys) >= 3)
        assert desk.held == ["old"]
        desk.password = "new"
        await soon(lambda: desk.held == ["old", "new"])
        surveys = len(desk.surveys)
        await soon(lambda: len(desk.surveys) >= surveys + 3)

    run(desk, scenario, resync=0.02)
    assert desk.held == ["old", "new"]


def test_drift_is_found_at_a_resync():
    desk = ToyDesk(Toy(), ["a"])

    async def scenario(_: Worker) -> None:
        await soon(lambda: desk.toy.words == {"a": "a"})
        desk.toy.words["a"] = "altered"
        await soon(lambda: desk.toy.words == {"a": "a"})

    run(desk, scenario, resync=0.05)


def test_work_that_goes_on_at_once_keeps_nobody_from_being_looked_at():
    """Such as the deletion of a great many rows, which takes slices of some seconds."""

    class Deleting(Toy):
        def apply(self, plans: Mapping[str, tuple[Say, ...]]) -> Mapping[str, Applied]:
            goes_on = Applied(Transient("Deleting", "rows are being deleted", retry_after=0))
            applied = super().apply({tenant: plan for tenant, plan in plans.items() if tenant != "a"})
            return {tenant: applied.get(tenant, goes_on) for tenant in plans}

    desk = ToyDesk(Deleting(), ["a", "b"])

    async def scenario(worker: Worker) -> None:
        worker.add("a")
        await soon(lambda: desk.toy.words == {"b": "b"})
        desk.toy.words["b"] = "altered"
        await soon(lambda: desk.toy.words == {"b": "b"})
        assert desk.last("a").error.reason == "Deleting"

    run(desk, scenario, resync=0.05)


def test_a_tenant_that_is_refused_keeps_nobody_waiting():
    desk = ToyDesk(Toy(refused=frozenset("b")), ["a", "b", "c"])

    async def scenario(_: Worker) -> None:
        await soon(lambda: all(desk.last(tenant) for tenant in "abc"))

    run(desk, scenario)
    assert desk.toy.words == {"a": "a", "c": "c"}
    assert desk.last("b").error.reason == "TooRude"


def test_a_crowd_that_is_refused_is_looked_at_as_a_whole_and_keeps_no_new_tenant_waiting(
    monkeypatch: pytest.MonkeyPatch,
):
    """Somebody has changed the RealtimeCluster, and every Tenant now wishes for what cannot be."""
    monkeypatch.setattr(queue, "BACKOFF_FIRST", 0.05)
    monkeypatch.setattr(queue, "BACKOFF_LIMIT", 0.05)
    crowd = [f"t{number}" for number in range(300)]
    desk = ToyDesk(Toy(refused=frozenset(crowd)), [*crowd])

    async def scenario(worker: Worker) -> None:
        for tenant in crowd:
            worker.add(tenant)
        await soon(lambda: len(desk.toy.rounds) >= 8)
        desk.tenants.append("new")
        before = len(desk.toy.rounds)
        worker.add("new")
        await soon(lambda: "new" in desk.toy.words)
        assert ["new"] in desk.toy.rounds[before : before + 2]
        desk.toy.refused = frozenset()
        await soon(lambda: len(desk.toy.words) == 301)

    run(desk, scenario)
    looks = [batch for batch in desk.toy.rounds[3:] if "t0" in batch]
    assert {len(batch) for batch in looks[1:-1]} == {300}


def test_a_bug_stays_with_the_tenant_that_shows_it(caplog: pytest.LogCaptureFixture):
    toy = Toy(buggy=frozenset("b"))
    result = reconcile("toy", toy, {tenant: intent(tenant) for tenant in "abc"})
    assert toy.words == {"a": "a", "c": "c"}
    assert result.outcomes["b"].error.reason == "InternalError"
    assert "ZeroDivisionError" in caplog.text


def test_a_bug_is_found_by_halves():
    toy = Toy(buggy=frozenset({"t40"}))
    result = reconcile("toy", toy, {f"t{number}": intent(f"t{number}") for number in range(100)})
    assert len(toy.words) == 99
    assert [tenant for tenant, outcome in result.outcomes.items() if outcome.error] == ["t40"]
    assert len(toy.rounds) < 20


def test_a_bug_of_several_tenants_together_hinders_none_and_is_logged(caplog: pytest.LogCaptureFixture):
    toy = Toy(crowd=2)
    result = reconcile("toy", toy, {tenant: intent(tenant) for tenant in "ab"})
    assert toy.words == {"a": "a", "b": "b"}
    assert [outcome.error for outcome in result.outcomes.values()] == [None, None]
    assert "RecursionError" in caplog.text


def test_a_bug_is_logged_also_when_the_backend_goes_away_while_it_is_looked_for(caplog: pytest.LogCaptureFixture):
    class Failing(Toy):
        def observe(self, intents: Sequence[Intent]) -> Mapping[str, str | BackendError]:
            self.away = bool(self.rounds)
            return super().observe(intents)

    with pytest.raises(Unreachable):
        reconcile("toy", Failing(buggy=frozenset("b")), {tenant: intent(tenant) for tenant in "ab"})
    assert "ZeroDivisionError" in caplog.text


def test_a_bug_that_one_tenant_shows_is_logged_with_that_one_alone(caplog: pytest.LogCaptureFixture):
    reconcile("toy", Toy(buggy=frozenset("b")), {tenant: intent(tenant) for tenant in "abcd"})
    assert caplog.text.count("Traceback") == 1


def test_a_dry_round_changes_nothing_and_names_who_needs_work():
    toy = Toy(words={"a": "a"})
    result = reconcile("toy", toy, {tenant: intent(tenant) for tenant in "ab"}, dry=True)
    assert result.stale == ["b"]
    assert list(result.outcomes) == ["a"]
    assert toy.words == {"a": "a"}


def shut() -> None:
    raise Transient("NotLeader", "another leads")


def test_whoever_does_not_lead_looks_and_changes_nothing():
    toy = Toy(words={"a": "a"})
    wishes = {tenant: intent(tenant) for tenant in "ab"}
    assert list(reconcile("toy", toy, {"a": wishes["a"]}, fence=shut).outcomes) == ["a"]
    with pytest.raises(Transient, match="another leads"):
        reconcile("toy", toy, wishes, fence=shut)
    assert toy.words == {"a": "a"}


def test_a_worker_that_does_not_lead_prepares_nothing():
    desk = ToyDesk(Toy(), ["a"])

    async def scene() -> None:
        task = asyncio.create_task(Worker("toy", desk, 60.0, fence=shut).run())
        await soon(lambda: desk.surveys)
        task.cancel()

    asyncio.run(scene())
    assert desk.surveys[0].reason == "NotLeader"
    assert desk.toy.rounds == []


def test_a_worker_that_is_told_to_end_finishes_what_is_under_way():
    toy = Toy(slow=0.3)
    desk = ToyDesk(toy, ["a"])
    ended = []

    def prepare() -> object:
        survey = Toy.prepare(toy)
        ended.append("prepared")
        return survey

    toy.prepare = prepare
    toy.close = lambda: ended.append("closed")

    async def scene() -> None:
        task = asyncio.create_task(Worker("toy", desk, 60.0).run())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait({task})
        assert ended == ["prepared", "closed"]

    asyncio.run(scene())
