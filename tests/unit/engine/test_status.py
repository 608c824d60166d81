"""From what is known to what is said, and whether saying it again would change anything."""

from datetime import UTC, datetime
from typing import Any

import pytest

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Finding, Survey
from matrixhub.engine.composer import differs
from matrixhub.engine.outcome import Basis
from matrixhub.engine.scales import Scales
from matrixhub.engine.status import Health, cluster_status, standings_of
from matrixhub.errors import Rejected, Unreachable
from matrixhub.watch import Echoes, tenant_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


TENANTS = [f"t{number:02d}" for number in range(12)]


def told(*, deleted: str | None = None, **health: Health) -> dict[str, Any]:
    """The status of a RealtimeCluster with Redis and Kafka, on which twelve Tenants live."""
    metadata = {"name": "main", "namespace": "hub", "generation": 3, "deletionTimestamp": deleted}
    cluster = RealtimeCluster.model_validate({"metadata": metadata, "spec": {}})
    return cluster_status(cluster, ["redis", "kafka"], health, TENANTS, Scales(), NOW)


def ready(status: dict[str, Any]) -> tuple[str, str]:
    """Status and reason of Ready."""
    found = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert found["observedGeneration"] == 3
    return found["status"], found["reason"]


def test_a_cluster_is_ready_when_all_its_backends_are_and_nothing_weakens_them():
    up = Health(Survey("7.2"), NOW, "7.2")
    weak = Health(Survey("3.9", findings=(Finding("Wildcard", "everybody"), Finding("Other", "too"))), NOW, "3.9")
    assert ready(told(redis=up)) == ("Unknown", "Progressing")
    assert ready(told(redis=up, kafka=up)) == ("True", "Succeeded")
    assert ready(told(redis=up, kafka=weak)) == ("False", "Wildcard")
    assert ready(told(redis=up, kafka=Health(Unreachable("away"), NOW, "3.9"))) == ("False", "Unreachable")
    assert ready(told(redis=up, kafka=Health(Rejected("AuthenticationFailed", "no"), NOW))) == (
        "False",
        "AuthenticationFailed",
    )


def test_a_cluster_says_since_when_a_backend_is_away_and_what_it_was():
    status = told(kafka=Health(Unreachable("away"), NOW, "3.9"))
    assert status["backends"] == [
        {"name": "kafka", "reachable": False, "since": "2026-01-31T12:00:00Z", "version": "3.9"}
    ]
    assert status["tenants"] == 12


def test_a_cluster_that_is_being_deleted_names_the_tenants_that_it_waits_for():
    up = Health(Survey("7.2"), NOW, "7.2")
    status = told(deleted="2026-01-31T12:00:00Z", redis=up, kafka=up)
    assert ready(status) == ("False", "Terminating")
    assert "t00, t01, t02" in status["message"]
    assert "t09 and 2 more" in status["message"]


def test_a_restarted_operator_reads_from_a_status_what_was_settled_and_what_drifted():
    conditions = [
        {"type": "RedisReady", "status": "True", "reason": "Succeeded", "observedGeneration": 4},
        {"type": "KafkaReady", "status": "False", "reason": "Unreachable", "observedGeneration": 4},
    ]
    drift = [{"backend": "kafka", "time": "2026-01-31T12:00:00Z", "message": "Set a quota"}]
    standings = standings_of({"observedClusterGeneration": 2, "conditions": conditions, "drift": drift}, "uid")
    assert standings["redis"].settled == Basis("uid", 4, 2)
    assert standings["kafka"].settled is None
    assert standings["kafka"].drift.time == NOW
    assert all(standing.outcome is None for standing in standings.values())
    assert all(standing.settled is None for standing in standings_of({}, "uid").values())


@pytest.mark.parametrize(
    ("status", "live", "different"),
    [
        ({"message": "a"}, {"message": "a", "connections": 3}, False),
        ({"message": "a"}, {"message": "b"}, True),
        ({"message": "a"}, {"message": "a", "drift": []}, True),
        ({"findings": []}, {}, False),
        ({"findings": [{"reason": "x"}]}, {}, True),
        ({"conditions": [{"type": "A"}, {"type": "B"}]}, {"conditions": [{"type": "B"}, {"type": "A"}]}, False),
        ({"conditions": [{"type": "A"}]}, {"conditions": [{"type": "A"}, {"type": "B"}]}, True),
    ],
)
def test_a_status_is_written_only_if_it_would_change_something(
    status: dict[str, Any], live: dict[str, Any], *, different: bool
):
    assert differs(status, live) is different


def secret(data: str = "a", uid: str = "u", kind: str = "Secret", **metadata: Any) -> dict[str, Any]:
    """An object of a tenant's namespace."""
    return {"kind": kind, "metadata": {"uid": uid, "labels": naming.MANAGED_BY, **metadata}, "data": data}


def test_the_echo_of_our_own_write_is_none_of_news_and_somebodys_change_is():
    echoes = Echoes()
    echoes.note(secret())
    assert not echoes.fresh(secret(resourceVersion="5"), listed=False)
    assert echoes.fresh(secret("b"), listed=False)
    assert echoes.fresh(secret("b", deletionTimestamp="now"), listed=False)


def test_what_a_list_shows_first_is_known_and_what_it_shows_otherwise_was_changed_meanwhile():
    echoes = Echoes()
    assert not echoes.fresh(secret(), listed=True)
    assert not echoes.fresh(secret(), listed=True)
    assert echoes.fresh(secret("b"), listed=True)


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": naming.namespace("green")},
        {"name": "redis", "namespace": naming.namespace("green"), "labels": {naming.TENANT_LABEL: "blue"}},
        {"name": naming.cluster_role("green")},
    ],
)
def test_whose_an_object_is_says_its_place_and_not_its_labels(metadata: dict[str, Any]):
    assert tenant_of(metadata) == "green"


def test_nothing_is_remembered_of_what_is_not_watched_or_gone():
    echoes = Echoes()
    echoes.note(secret(kind="Event"))
    echoes.note(secret(kind="Tenant"))
    echoes.note(secret(uid="v"))
    echoes.forget(secret(uid="v"))
    assert not vars(echoes)["_digests"]
