"""What is counted of Tenants, and what only their opt-in series say."""

from datetime import UTC, datetime, timedelta
from typing import Any

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.backends.contract import Phase, Survey
from matrixhub.engine.census import Seen, longest, not_ready, storage, streams
from matrixhub.engine.roster import Plane, Roster
from matrixhub.engine.standing import Entry
from matrixhub.engine.status import Health
from matrixhub.errors import BackendError, Unreachable
from matrixhub.scaling.report import Report, Scaled
from matrixhub.scaling.samples import GroupSample, Missing, PartitionSample

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def entry(name: str, status: str = "", reason: str = "Unreachable", since: str = "2026-01-31T11:50:00Z") -> Seen:
    conditions: list[dict[str, Any]] = []
    if status:
        conditions = [{"type": "Ready", "status": status, "reason": reason, "lastTransitionTime": since}]
    body = {
        "metadata": {"name": name, "uid": name},
        "spec": {"clusterRef": {"namespace": "hub", "name": "main"}},
        "status": {"conditions": conditions},
    }
    return Seen.of(Entry(Tenant.model_validate(body), Phase.ACTIVE))


def test_a_tenant_without_a_status_is_pending():
    assert entry("a") == ("a", "hub/main", "Unknown", "Pending", "")
    assert entry("a", "False") == ("a", "hub/main", "False", "Unreachable", "2026-01-31T11:50:00Z")


def test_a_tenant_is_not_ready_since_its_condition_says_so_and_no_later_word_makes_that_younger():
    entries = [entry("well", "True"), entry("ill", "False"), entry("new")]
    since = not_ready(entries, {}, NOW)
    assert since == {"ill": NOW - timedelta(minutes=10), "new": NOW}
    again = [entry("well", "False"), entry("ill", "Unknown", "Pending", "2026-01-31T11:59:00Z"), entry("new", "True")]
    assert not_ready(again, since, NOW) == {"well": NOW - timedelta(minutes=10), "ill": NOW - timedelta(minutes=10)}


def test_the_longest_not_ready_is_told_by_reason():
    seen = [entry(name, "False", reason) for name, reason in (("a", "Conflict"), ("b", "Conflict"), ("c", "X"))]
    since = {"a": NOW - timedelta(seconds=5), "b": NOW - timedelta(seconds=50), "c": NOW}
    assert longest(seen, since, NOW) == {("hub/main", "Conflict"): 50, ("hub/main", "X"): 0}


def test_what_is_stored_is_told_of_whom_it_belongs_to_where_the_object_store_tells_it():
    told = Survey("1", stored={"hub-green": 2048, "hub-blue": 0, "hub-conflict": 7, "hub-nobody": 9})
    roster = Roster("hub", (), planes={"hub/main": plane("main", told), "hub/away": plane("away", Unreachable("it"))})
    roster.entries = {
        "green": housed("green", {"storage": "1Ki"}),
        "blue": housed("blue"),
        "new": housed("new"),
        "conflict": housed("conflict", shares=set()),
        "away": housed("away", cluster="away"),
        "lost": housed("lost", cluster="nowhere"),
    }
    assert storage(roster) == ({("green",): 2048, ("blue",): 0}, {("green",): 1024})


def plane(name: str, survey: Survey | BackendError) -> Plane:
    store = {"provider": "minio", "endpoint": "http://s3", "adminSecretRef": {"name": "s3"}}
    body = {"metadata": {"name": name, "namespace": "hub"}, "spec": {"objectStore": store}}
    return Plane(RealtimeCluster.model_validate(body), {"objectstore": Health(survey, NOW)})


def housed(name: str, store: Any = None, cluster: str = "main", shares: Any = ("objectstore",)) -> Entry:
    spec = {"clusterRef": {"namespace": "hub", "name": cluster}, "objectStore": store or {}}
    return Entry(Tenant.model_validate({"metadata": {"name": name}, "spec": spec}), Phase.ACTIVE, shares=set(shares))


def test_records_of_a_domain_are_counted_once_however_many_groups_read_them():
    def group(name: str, committed: int) -> Scaled:
        parts = tuple(
            PartitionSample(topic, partition, end=10, committed=committed)
            for topic in ("green.exams.started", "green.exams.submitted", "blue.institution.updates")
            for partition in range(2)
        )
        return Scaled(name, GroupSample(0.0, "Stable", 1, parts))

    report = Report((group("relay", 10), group("analytics", 7), Scaled("gateway", Missing("away"))))
    events, lags = streams({"hub/main": report})
    assert events == {("green", "exams"): 40, ("blue", "institution"): 20}
    assert lags["green", "exams", "hub/main", "analytics"] == 12
    assert lags["green", "exams", "hub/main", "relay"] == 0
