"""What a record says: what differs between two specs, and who made it so."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from matrixhub.engine import audit
from matrixhub.engine.audit import Change, Record

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
SPECS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def test_each_field_that_differs_is_told_with_both_values_and_a_list_as_a_whole():
    before = {"suspended": False, "redis": {"memory": "256Mi"}, "kafka": {"topics": [{"domain": "exams"}]}, "x": 1}
    after = {"suspended": True, "redis": {"memory": "512Mi"}, "kafka": {"topics": []}, "owners": []}
    assert audit.changes(before, after) == (
        Change("spec.kafka.topics", [{"domain": "exams"}], []),
        Change("spec.owners", None, []),
        Change("spec.redis.memory", "256Mi", "512Mi"),
        Change("spec.suspended", before=False, after=True),
        Change("spec.x", 1, None),
    )


@given(SPECS, SPECS)
def test_there_are_changes_exactly_when_the_specs_differ(before, after):
    assert bool(audit.changes(before, after)) == (before != after)


def written(manager: str, time: str, fields: dict, **more: str) -> dict:
    return {"manager": manager, "time": time, "fieldsV1": fields, **more}


def test_the_manager_is_the_one_who_owns_what_changed_even_within_one_second():
    metadata = {
        "managedFields": [
            written("gitops", "2026-01-31T12:00:00Z", {"f:spec": {"f:redis": {"f:memory": {}}}}),
            written("argocd", "2026-01-31T12:00:00Z", {"f:spec": {"f:kafka": {"f:topics": {}}}}),
            written("matrixhub", "2026-01-31T12:00:05Z", {"f:metadata": {"f:finalizers": {}}}),
            written("kubelet", "2026-01-31T12:00:09Z", {"f:status": {}}, subresource="status"),
        ]
    }
    assert audit.manager(metadata, ["spec.redis.memory"]) == "gitops"
    assert audit.manager(metadata, ["spec.kafka.topics"]) == "argocd"


def test_the_last_one_is_the_manager_of_what_nobody_owns_any_more():
    metadata = {
        "managedFields": [
            written("gitops", "2026-01-31T12:00:00Z", {"f:spec": {"f:redis": {}}}),
            written("kubectl-edit", "2026-01-31T12:00:01Z", {"f:spec": {"f:suspended": {}}}),
        ]
    }
    assert audit.manager(metadata, ["spec.owners"]) == "kubectl-edit"
    assert audit.manager(metadata) == "kubectl-edit"
    assert audit.manager(metadata, ["spec.redis.memory"]) == "gitops", "whoever owns the whole owns its parts"
    assert audit.manager({}) == ""


def test_a_record_says_what_applies_and_nothing_else():
    record = Record(
        time=NOW,
        reason="TenantChanged",
        message="Tenant green was changed: spec.suspended",
        tenant="green",
        manager="argocd",
        generation=2,
        changes=(Change("spec.suspended", before=False, after=True),),
        seconds=0.12345,
    )
    assert record.dump() == {
        "time": "2026-01-31T12:00:00.000Z",
        "message": "Tenant green was changed: spec.suspended",
        "reason": "TenantChanged",
        "tenant": "green",
        "manager": "argocd",
        "generation": 2,
        "changes": [{"field": "spec.suspended", "from": False, "to": True}],
        "seconds": 0.123,
    }


def test_an_event_about_a_condition_is_a_record_and_one_about_a_recorded_change_is_none():
    def event(type_: str, reason: str) -> dict:
        about = {"kind": "Tenant", "name": "green"}
        return {"type": type_, "reason": reason, "message": "m", "involvedObject": about, "metadata": {"name": "e"}}

    record = audit.of_event(event("Warning", "Conflict"), "hub/main", NOW)
    assert record is not None
    assert (record.tenant, record.cluster, record.event, record.warning) == ("green", "hub/main", "e", True)
    assert audit.of_event(event("Normal", "Recovered"), "hub/main", NOW) is not None
    assert audit.of_event(event("Normal", "DriftRepaired"), "hub/main", NOW) is None
