"""From what is known to what is said, and whether saying it again would change anything."""

from datetime import UTC, datetime
from typing import Any

import pytest

from matrixhub.api.conditions import BACKEND_TYPES
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.backends.contract import Finding, Phase, Survey
from matrixhub.engine.composer import differs
from matrixhub.engine.outcome import Basis
from matrixhub.engine.scales import Scales
from matrixhub.engine.standing import Entry
from matrixhub.engine.status import CONDITION, Health, cluster_status, standings_of, tenant_status
from matrixhub.errors import BackendError, Conflict, Rejected, Unreachable

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


@pytest.mark.parametrize(
    ("found", "generation", "stalls"),
    [
        (Rejected("AuthenticationFailed", "put the right password there"), 3, True),
        (Conflict("the role is another's", "other/uid"), 3, True),
        (Rejected("AuthenticationFailed", "put the right password there"), 2, False),
        (Unreachable("away"), 3, False),
        (Survey("3.9", findings=(Finding("GatewaysNotReady", "one of two"),)), 3, False),
        (Survey("3.9"), 3, False),
    ],
)
def test_a_cluster_is_stalled_while_what_this_generation_was_refused_waits_for_a_person(
    found: Survey | BackendError, generation: int, *, stalls: bool
):
    up = Health(Survey("7.2"), NOW, "7.2", 3)
    status = told(redis=up, kafka=Health(found, NOW, "3.9", generation))
    stalled = [each for each in status["conditions"] if each["type"] == "Stalled"]
    assert [(each["status"], each["reason"], each["message"]) for each in stalled] == (
        [("True", found.reason, status["message"])] if stalls and isinstance(found, BackendError) else []
    )


def test_what_nobody_can_mend_is_told_and_keeps_a_cluster_from_nothing():
    lasting = Finding("QuotaNotEnforced", "the system has none", mendable=False)
    up = Health(Survey("7.2"), NOW, "7.2")
    status = told(redis=up, kafka=Health(Survey("3.9", findings=(lasting,)), NOW, "3.9"))
    assert ready(status) == ("True", "Succeeded")
    assert [finding["reason"] for finding in status["findings"]] == ["QuotaNotEnforced"]


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


def tenant(generation: int, status: dict[str, Any]) -> Tenant:
    metadata = {"name": "t", "uid": "uid", "generation": generation}
    spec = {"clusterRef": {"namespace": "hub", "name": "main"}}
    return Tenant.model_validate({"metadata": metadata, "spec": spec, "status": status})


def test_from_the_first_write_every_condition_is_there_and_unknown():
    backends = [name for name, type_ in CONDITION.items() if type_ in BACKEND_TYPES]
    written = tenant_status(Entry(tenant(1, {}), Phase.ACTIVE), backends, None, NOW)["conditions"]
    assert [each["type"] for each in written] == ["Ready", *BACKEND_TYPES]
    assert {(each["status"], each["observedGeneration"]) for each in written} == {("Unknown", 1)}


def test_until_it_has_looked_a_restarted_operator_says_what_was_said_of_the_same_generation():
    said = [
        {"type": "Ready", "status": "True", "reason": "Suspended", "observedGeneration": 4},
        {"type": "RedisReady", "status": "True", "reason": "Suspended", "observedGeneration": 4},
        {"type": "KafkaReady", "status": "False", "reason": "Unreachable", "observedGeneration": 4},
    ]
    since = {"lastTransitionTime": "2026-01-30T12:00:00Z"}
    status = {"observedClusterGeneration": 2, "conditions": [{**condition, **since} for condition in said]}

    def told_of(generation: int, *backends: str) -> list[tuple[str, str, str]]:
        entry = Entry(tenant(generation, status), Phase.ACTIVE, standings_of(status, "uid"))
        found = tenant_status(entry, backends, None, NOW)["conditions"]
        return [(each["type"], each["reason"], each["lastTransitionTime"][8:10]) for each in found]

    assert told_of(4, "redis") == [("Ready", "Suspended", "30"), ("RedisReady", "Suspended", "30")]
    assert ("KafkaReady", "Pending", "31") in told_of(4, "redis", "kafka")
    assert ("RedisReady", "Pending", "31") in told_of(5, "redis")


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
