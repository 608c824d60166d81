"""What is told of a Tenant's life, in order, and nothing twice."""

import logging
from typing import Any

import pytest

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Phase
from matrixhub.engine.chronicle import Chronicle
from matrixhub.engine.outcome import Basis, Outcome
from matrixhub.engine.trail import Trail

BASIS = Basis("uid", 2, 1)
CLUSTER = RealtimeCluster.model_validate(
    {
        "metadata": {"name": "main", "namespace": "hub", "uid": "c"},
        "spec": {"kafka": {"bootstrapServers": ["kafka:9092"], "adminSecretRef": {"name": "kafka"}}},
    }
)


@pytest.fixture
def chronicle(caplog: pytest.LogCaptureFixture) -> Chronicle:
    caplog.set_level(logging.INFO, "matrixhub.audit")
    return Chronicle(Trail())


def tenant(generation: int = 1, manager: str = "gitops", *, observed: int = -1, **more: Any) -> dict:
    spec = {"clusterRef": {"namespace": "hub", "name": "main"}, **more.pop("spec", {})}
    managed = [{"manager": manager, "time": f"2026-01-31T12:00:0{generation}Z", "fieldsV1": {}}]
    metadata = {"name": "green", "uid": "uid", "generation": generation, "managedFields": managed, **more}
    return {"metadata": metadata, "spec": spec, "status": {"observedGeneration": observed}}


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    lines = [(record.reason, getattr(record, "manager", "")) for record in caplog.records]
    caplog.clear()
    return lines


def test_a_tenant_is_created_changed_and_deleted_by_somebody(chronicle: Chronicle, caplog: pytest.LogCaptureFixture):
    chronicle.seen("Tenant", tenant())
    chronicle.seen("Tenant", tenant())
    assert told(caplog) == [("TenantCreated", "gitops")]
    chronicle.seen("Tenant", tenant(2, "argocd", spec={"suspended": True}))
    assert caplog.records[0].message == "Tenant green was changed: spec.suspended"
    assert caplog.records[0].changes == [{"field": "spec.suspended", "from": None, "to": True}]
    assert caplog.records[0].cluster == "hub/main"
    assert told(caplog) == [("TenantChanged", "argocd")]
    going = tenant(3, "argocd", spec={"suspended": True}, deletionTimestamp="2026-01-31T12:00:09Z")
    chronicle.seen("Tenant", going)
    chronicle.gone("Tenant", "green", "hub/main")
    assert caplog.records[0].message == "Tenant green is being deleted: its data is kept"
    assert told(caplog) == [("TenantDeleted", ""), ("TenantGone", "")], "who deletes an object is written nowhere"


def test_an_operator_that_starts_tells_only_what_it_has_missed(chronicle: Chronicle, caplog: pytest.LogCaptureFixture):
    chronicle.seen("Tenant", tenant(2, observed=2))
    assert told(caplog) == []
    Chronicle(Trail()).seen("Tenant", tenant(3, "kubectl-edit", observed=2))
    assert told(caplog) == [("TenantChanged", "kubectl-edit")]


def test_work_is_by_the_tenants_manager_and_drift_by_whoever_touched_an_object(
    chronicle: Chronicle, caplog: pytest.LogCaptureFixture
):
    chronicle.seen("Tenant", tenant(2, observed=2))
    outcome = Outcome("green", "namespace", BASIS, Phase.ACTIVE, ("Created it", "Set it"), seconds=0.25)
    chronicle.carried_out(outcome, "hub/main", drift=False, event="")
    assert told(caplog) == [("Reconciled", "gitops")] * 2
    chronicle.touched("green", "kubectl-patch")
    chronicle.carried_out(outcome, "hub/main", drift=True, event="green.1234")
    line = caplog.records[0]
    assert (line.message, line.event, line.seconds, line.generation) == (
        "Repaired drift: Created it",
        "green.1234",
        0.25,
        2,
    )
    assert told(caplog) == [("DriftRepaired", "kubectl-patch")] * 2
    chronicle.carried_out(outcome, "hub/main", drift=True, event="green.1234")
    assert told(caplog) == [("DriftRepaired", "")] * 2, "who touched it before is not blamed again"


def test_what_happened_before_the_realtimecluster_was_seen_goes_to_its_sink_as_well():
    taken: list[str] = []

    class Kept:
        def put(self, record: dict[str, Any]) -> None:
            taken.append(record["reason"])

        def close(self) -> None:
            taken.append("closed")

    trail = Trail(lambda _: Kept())
    chronicle = Chronicle(trail)
    chronicle.seen("Tenant", tenant())
    assert taken == []
    trail.watch(CLUSTER)
    chronicle.gone("Tenant", "green", "hub/main")
    trail.watch(CLUSTER)
    trail.forget("hub/main")
    assert taken == ["TenantCreated", "TenantGone", "closed"]
