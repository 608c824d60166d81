"""The operator's own NetworkPolicy, enforced: it works behind it, and only who may reads its metrics."""

import json
import secrets
from collections.abc import Iterator

import pytest
from tests.chart.release import CHART, Release
from tests.e2e.hub import Hub
from tests.e2e.reach import Places, Pod, listening, namespace, policy, reached, removed, started
from tests.patience import until

TENANT, PROMETHEUS = f"asks-{secrets.token_hex(2)}", "chart-prometheus"


def peer(name: str) -> dict[str, object]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


@pytest.fixture
def narrow(release: Release) -> Iterator[Release]:
    """New operators, asked by Prometheus alone, which connect to backends, API server and gateways alone."""
    hub = release.hub
    hub.apply(namespace(PROMETHEUS))
    machine = {"ipBlock": {"cidr": f"{hub.env['STAND_HOST']}/32"}}
    values = {"from": [peer(PROMETHEUS)], "egress": [{"to": [machine, peer("matrixhub")]}]}
    anew = ["--set", f"podAnnotations.run={TENANT}"]
    release.install(CHART, "--take-ownership", "--set-json", f"networkPolicy={json.dumps(values)}", *anew)
    yield release
    removed(hub, namespace(PROMETHEUS))


def doors(release: Release) -> Places:
    """Metrics and health of each operator."""
    addresses = [pod["status"]["podIP"] for pod in release.pods()]
    return {f"{at}:{port}": (at, port) for at in addresses for port in (8080, 8081)}


def test_an_operator_behind_its_policy_serves_tenants_and_is_read_by_prometheus_alone(narrow: Release) -> None:
    hub = narrow.hub
    hub.kubectl("-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=60s", "realtimecluster/main")
    hub.onboard(TENANT)
    space = f"tenant-{TENANT}"
    asks, prometheus = started(hub, listening(space, "asks"), listening(PROMETHEUS, "asks"))
    hub.apply(policy(space, "open", egress=[{}]))
    until(
        lambda: _leaves(hub, asks, prometheus), 5, "the tenant's pod reaches the rest of the cluster by its own policy"
    )

    assert reached(hub, prometheus, doors(narrow)) == doors(narrow).keys()
    assert not reached(hub, asks, doors(narrow))


def _leaves(hub: Hub, pod: Pod, to: Pod) -> bool:
    return bool(reached(hub, pod, {"it": (to.address, 8080)}))
