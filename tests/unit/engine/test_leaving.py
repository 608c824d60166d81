"""A RealtimeCluster that is deleted leaves when nobody lives on it, and takes its accounts along."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.engine.stage import MAIN, Stage, play

from matrixhub.api import naming
from matrixhub.backends.contract import Finding, Survey
from matrixhub.errors import Rejected, Unreachable

GONE = Survey("1", vacated=True)
GATEWAY, RELAY = naming.gateway(MAIN), naming.relay(MAIN)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda scene: play(monkeypatch, scene)


def told(stage: Stage) -> str:
    """What the RealtimeCluster says of itself; empty where its finalizer goes."""
    writes = stage.cluster_writes()
    if writes.status is None:
        return ""
    message: str = writes.status["status"]["message"]
    return message


def released(stage: Stage) -> bool:
    farewell = stage.cluster_writes().farewell
    return farewell is not None and farewell["metadata"]["finalizers"] is None


def left(stage: Stage, at: str = "2026-01-31T12:00:00Z", *, accounts: bool = True) -> None:
    """It is deleted, and the API server knows nobody who lives on it, and whether it ever had accounts."""
    stage.cluster_deleted(at)
    stage.controller.clusters.leave(MAIN, accounts)


def test_nothing_goes_while_somebody_lives_on_it(on: Any) -> None:
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.cluster_deleted()
        assert stage.departing() == []
        assert "a: delete them first" in told(stage)
        stage.controller.tenant_gone("a", "uid-a")
        assert stage.departing() == [MAIN]

    on(scene)


def test_who_vanished_while_nothing_was_watched_keeps_no_realtimecluster(on: Any) -> None:
    """As when the API server restarts right after our finalizer went, so that its watch never tells of the end."""

    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.deleted()
        stage.cluster_deleted()
        stage.controller.gone("uid-of-nobody")
        assert stage.departing() == []
        stage.controller.gone("uid-a")
        assert stage.departing() == [MAIN]
        assert "Tenant/a" not in stage.writing()
        stage.controller.gone("c")
        assert stage.controller.roster.planes == {}
        assert stage.writing() == []

    on(scene)


def test_what_is_known_is_not_enough_to_take_anything_away(on: Any) -> None:
    """An operator that has just started has not seen the Tenants yet."""

    def scene(stage: Stage) -> None:
        stage.cluster_deleted()
        stage.survey("redis", GONE)
        stage.survey("kafka", GONE)
        assert not stage.plane().leaving
        assert not released(stage)

    on(scene)


def test_it_goes_when_every_account_has_left(on: Any) -> None:
    def scene(stage: Stage) -> None:
        stage.survey("redis", Survey("7"))
        left(stage)
        assert f"{GATEWAY} in Redis: under way" in told(stage)
        stage.survey("redis", GONE)
        assert GATEWAY not in told(stage)
        assert f"{RELAY} in Kafka" in told(stage)
        stage.survey("kafka", GONE)
        assert released(stage)

    on(scene)


def test_a_backend_that_is_away_or_complains_is_waited_for_with_its_own_words(on: Any) -> None:
    def scene(stage: Stage) -> None:
        left(stage)
        stage.survey("redis", Unreachable("redis does not answer"))
        stage.survey("kafka", Survey("4", findings=(Finding("Odd", "ask a person"),)))
        assert f"{GATEWAY} in Redis: Unreachable: redis does not answer" in told(stage)
        assert f"{RELAY} in Kafka: ask a person" in told(stage)
        assert naming.CLUSTER_FINALIZER in told(stage)

    on(scene)


def test_a_missing_admin_secret_is_waited_for_and_then_what_stays_is_told(on: Any) -> None:
    def scene(stage: Stage) -> None:
        left(stage, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        stage.survey("kafka", GONE)
        stage.survey("redis", Rejected("SecretNotFound", "create it"))
        assert "SecretNotFound: create it" in told(stage)
        left(stage, f"{datetime.now(UTC) - timedelta(seconds=61):%Y-%m-%dT%H:%M:%SZ}")
        stage.survey("kafka", GONE)
        stage.survey("redis", Rejected("AuthenticationFailed", "put the right one there"))
        assert not released(stage), "an admin whose password is wrong can be mended"
        stage.survey("redis", Rejected("SecretNotFound", "create it"))
        assert released(stage)
        (event,) = stage.cluster_writes().events
        assert (event["type"], event["reason"]) == ("Warning", "AccountLeft")
        assert f"{GATEWAY} stays in Redis" in event["message"]

    on(scene)


def test_one_that_never_had_an_account_waits_for_no_backend(on: Any) -> None:
    def scene(stage: Stage) -> None:
        stage.survey("redis", Unreachable("redis does not answer"))
        left(stage, accounts=False)
        assert released(stage)

    on(scene)


def test_a_tenant_that_comes_after_all_makes_it_stay(on: Any) -> None:
    def scene(stage: Stage) -> None:
        left(stage)
        stage.survey("redis", GONE)
        stage.survey("kafka", GONE)
        stage.tenant()
        assert not stage.plane().leaving
        assert not released(stage)
        assert stage.worker("redis")._outdated  # noqa: SLF001 - its next client makes the account again

    on(scene)


def test_one_that_lost_its_finalizer_to_somebody_is_left_alone(on: Any) -> None:
    def scene(stage: Stage) -> None:
        stage.cluster_deleted(finalizers=("somebody/else",))
        assert stage.departing() == []
        writes = stage.cluster_writes()
        assert (writes.finalizer, writes.farewell, writes.status) == (None, None, None)

    on(scene)
