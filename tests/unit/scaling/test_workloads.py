"""What of a RealtimeCluster is scaled, and what its gateways' metrics say."""

from typing import Any

import pytest

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Phase
from matrixhub.kube.resources import STATEFUL_SET
from matrixhub.scaling.sources.gateways import has_ended, is_running, read
from matrixhub.scaling.workloads import consumers, gateways, pattern

KAFKA = {"bootstrapServers": ["kafka:9092"], "adminSecretRef": {"name": "kafka"}}
METRICS = """\
# TYPE sockudo_connected gauge
sockudo_connected{app_id="4711",port="9601"} 12
sockudo_connected{app_id="4712",port="9601"} 3
# TYPE sockudo_new_connections_total counter
sockudo_new_connections_total{app_id="4711",port="9601"} 1.2e2
sockudo_new_disconnections_total{app_id="4711",port="9601"} 99
sockudo_rate_limit_checks_total{app_id="global",port="9601"} 1000
"""


def cluster(annotations: dict[str, str] | None = None, **spec: Any) -> RealtimeCluster:
    """A RealtimeCluster `hub/main`."""
    metadata = {"name": "main", "namespace": "hub", "uid": "u", "generation": 1, "annotations": annotations or {}}
    return RealtimeCluster.model_validate({"metadata": metadata, "spec": {"kafka": KAFKA, **spec}})


def pod(*, ready: bool = True) -> dict[str, Any]:
    """A gateway's pod."""
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": "main-gateway-a"}, "status": {"conditions": conditions}}


def test_gateways_are_scaled_where_there_are_any_within_their_bounds() -> None:
    assert gateways(cluster()) is None
    spec = {"image": "gateway", "minReplicas": 3, "maxReplicas": 9, "connectionsPerReplica": 1000}
    how = {"gateway": {"targetConnectionsPerReplica": 600, "scaleDownStabilization": "90s"}}
    found = gateways(cluster({"matrixhub.io/scaling-paused": "down"}, gateway=spec, autoscaling=how))
    assert found is not None
    assert found.target == "main-gateway"
    assert (found.policy.bounds.minimum, found.policy.bounds.maximum) == (3, 9)
    assert (found.policy.target, found.policy.limit, found.policy.stabilization) == (600, 1000, 90.0)
    assert (found.policy.pause.up, found.policy.pause.down) == (False, True)


def test_the_relay_comes_first_and_then_the_consumers_as_named() -> None:
    relay = {"routes": [{"topics": "*.institution.*", "channel": "{domain}"}], "targetDrain": "10s"}
    marks = {
        "name": "marks",
        "targetRef": {"kind": "StatefulSet", "name": "m"},
        "consumerGroup": "g",
        "topics": ["*.a.*"],
    }
    own, others = consumers(cluster(gateway={"image": "g"}, relay=relay, consumers=[marks]))
    assert (own.name, own.target, own.policy.drain) == ("relay", "main-relay", 10.0)
    assert own.topics.fullmatch("green.institution.updates")
    every = cluster(gateway={"image": "g"}, relay={"routes": [{"topics": "*.*.*", "channel": "{domain}"}]})
    assert not consumers(every)[0].topics.fullmatch("green.relay.dead-letter")
    assert (others.name, others.target, others.group, others.resource) == ("marks", "m", "g", STATEFUL_SET)


def test_what_waits_of_a_suspended_tenant_is_no_work_for_the_relay_and_may_be_for_others() -> None:
    relay = {"routes": [{"topics": "*.institution.*", "channel": "{domain}"}]}
    marks = {"name": "marks", "targetRef": {"name": "m"}, "consumerGroup": "g", "topics": ["*.a.*"]}
    own, others = consumers(cluster(gateway={"image": "g"}, relay=relay, consumers=[marks]))
    tenants = {phase.value.lower(): phase for phase in Phase}
    assert own.counted(tenants) == {"active"}
    assert others.counted(tenants) == set(tenants)


@pytest.mark.parametrize(
    ("patterns", "topic", "matches"),
    [
        (["*.analytics.*"], "green.analytics.errors", True),
        (["*.analytics.*"], "green.analytics.errors.more", False),
        (["*.analytics.*"], "green.analytics-2.errors", False),
        (["*.analytics.errors"], "green.analytics.tracking", False),
        (["green.*.*", "*.exams.*"], "blue.exams.started", True),
        (["green.*.*"], "greenwood.exams.started", False),
        (["*.*.*"], "__consumer_offsets", False),
    ],
)
def test_a_pattern_matches_whole_parts_of_a_topic(patterns: list[str], topic: str, *, matches: bool) -> None:
    assert bool(pattern(patterns).fullmatch(topic)) is matches


def test_a_gateway_says_its_sockets_by_app_and_in_all() -> None:
    sample, apps = read(pod(), METRICS, 5.0)
    assert (sample.connections, sample.connects, sample.ready) == (15, 120, True)
    assert apps == {"4711": 12, "4712": 3}


def test_a_gateway_that_does_not_answer_is_not_an_empty_one() -> None:
    silent, _ = read(pod(ready=False), None, 5.0)
    assert (silent.connections, silent.ready) == (None, False)
    empty, _ = read(pod(), "", 5.0)
    assert empty.connections == 0


def test_sockets_are_looked_for_only_where_there_may_be_some() -> None:
    def of(phase: str, **state: object) -> dict[str, Any]:
        return {"metadata": {"name": "p"}, "status": {"phase": phase, "containerStatuses": [{"state": state}]}}

    pending = {"metadata": {"name": "p"}, "status": {"phase": "Pending"}}
    assert [is_running(each) for each in (pending, of("Pending", waiting={}), of("Running", running={}))] == [0, 0, 1]
    assert not is_running(of("Running", waiting={"reason": "CrashLoopBackOff"}))
    assert [has_ended(each) for each in (pending, of("Running", running={}), of("Failed", terminated={}))] == [0, 0, 1]
