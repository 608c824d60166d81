"""What the chart gives the Prometheus operator, on an API server that knows its resources."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from tests.chart.release import CHART, NAMESPACE, Release, rendered
from tests.e2e.hub import Hub
from tests.patience import until
from tests.support import stand_variables

from demo import cluster as demo

SWITCHED_ON = (
    "--set",
    "metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.labels.prometheus=platform",
    "--set",
    "metrics.prometheusRule.enabled=true",
)
KINDS = {"ServiceMonitor": "servicemonitors", "PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"}
DRY_RUN = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def made() -> Mapping[str, Manifest]:
    """By kind, what the chart renders of them."""
    return {each["kind"]: each for each in rendered(None, *SWITCHED_ON) if each["kind"] in KINDS}


@pytest.fixture(scope="module")
def kept(release: Release, made: Mapping[str, Manifest]) -> Mapping[str, Manifest]:
    """By kind, what the API server has of them once the chart is installed."""
    release.install(CHART, "--take-ownership", *SWITCHED_ON)
    names = {kind: each["metadata"]["name"] for kind, each in made.items()}
    return {kind: release.hub.get(KINDS[kind], name, "-n", NAMESPACE) for kind, name in names.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_api_server_keeps_all_that_is_rendered_of_it(
    kept: Mapping[str, Manifest], made: Mapping[str, Manifest], kind: str
) -> None:
    assert kept[kind]["spec"] == made[kind]["spec"]
    assert made[kind]["metadata"]["labels"].items() <= kept[kind]["metadata"]["labels"].items()


def test_the_rules_are_all_of_the_alerts(kept: Mapping[str, Manifest]) -> None:
    groups = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    assert [alerts(group) for group in kept["PrometheusRule"]["spec"]["groups"]] == list(map(alerts, groups))


def alerts(group: Manifest) -> tuple[str, list[str]]:
    return group["name"], [rule["alert"] for rule in group["rules"] if "alert" in rule]


def test_the_operators_that_run_are_found_by_it(release: Release, kept: Mapping[str, Manifest]) -> None:
    spec = kept["ServiceMonitor"]["spec"]
    (service,) = release.hub.get("services", "-n", NAMESPACE, "-l", selector(spec))["items"]
    (endpoint,) = spec["endpoints"]
    (port,) = (each for each in service["spec"]["ports"] if each["name"] == endpoint["port"])
    name, named = service["metadata"]["name"], {"name": port["name"]}

    def found() -> bool:
        return endpoints(release.hub, name, named) == {pod["status"]["podIP"] for pod in release.pods()}

    until(found, 20, "behind its port are all operators")


def test_the_gateways_and_relays_that_run_are_found_by_it(release: Release, kept: Mapping[str, Manifest]) -> None:
    hub, spec = release.hub, kept["PodMonitor"]["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]

    def found() -> set[str]:
        pods = hub.get("pods", "-A", "-l", selector(spec))["items"]
        return {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods if shows(pod, endpoint["port"])}

    until(lambda: found() == {"gateway", "relay"}, 60, "their pods run")


def selector(spec: Manifest) -> str:
    """What the resource selects, in the words of `kubectl get -l`."""
    chosen = spec["selector"]
    words = [f"{key}={value}" for key, value in chosen["matchLabels"].items()]
    for each in chosen.get("matchExpressions", ()):
        assert each["operator"] == "In"
        words.append(f"{each['key']} in ({','.join(each['values'])})")
    return ",".join(words)


def endpoints(hub: Hub, service: str, port: Manifest) -> set[str]:
    """The addresses that Prometheus finds behind the Service's port."""
    slices = hub.get("endpointslices", "-n", NAMESPACE, "-l", f"kubernetes.io/service-name={service}")["items"]
    return {
        address
        for each in slices
        if any(port.items() <= there.items() for there in each["ports"])
        for endpoint in each["endpoints"]
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    }


def shows(pod: Manifest, port: str) -> bool:
    """Whether a container of the pod has a port of that name."""
    return any(each.get("name") == port for run in pod["spec"]["containers"] for each in run.get("ports", ()))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"intervall": "30s"}, ".spec.endpoints[0].intervall: field not declared in schema"),
        ({"interval": "often"}, "spec.endpoints[0].interval in body should match"),
    ],
)
def test_what_such_a_resource_cannot_say_is_refused(
    monitoring: None, made: Mapping[str, Manifest], wrong: Mapping[str, str], sentence: str
) -> None:
    monitor = copy.deepcopy(made["ServiceMonitor"])
    monitor["metadata"]["namespace"] = "default"
    monitor["spec"]["endpoints"][0] |= wrong
    with pytest.raises(demo.Failed) as refused:
        demo.kubectl(stand_variables(), *DRY_RUN, text=json.dumps(monitor))
    assert sentence in str(refused.value)
