"""The chart as text: what Helm refuses, and what an API server says of what it makes."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.release import CHART, helm, rendered
from tests.support import ROOT, cluster, stand_variables

import chart
from matrixhub.kube.manifests import labels

POLICY = "ValidatingAdmissionPolicy"
VALUES = sorted((Path(__file__).parent / "values").glob("*.yaml"))


def of_kind(manifests: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_lint_finds_nothing(values: Path) -> None:
    done = helm("lint", "--strict", CHART, "--values", values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_api_server_accepts_what_is_rendered(values: Path, monitoring: None) -> None:
    manifests = rendered(values, namespace="default")
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    words = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"]
    command = ["kubectl", "--kubeconfig", stand_variables()["KUBECONFIG"], *words]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.count("serverside-applied")) == (0, len(manifests)), done.stderr


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("replicaCount=two", "at '/replicaCount': got string, want integer"),
        ("log.level=LOUD", "at '/log/level': value must be one of 'DEBUG', 'INFO', 'WARNING', 'ERROR'"),
        ("replicas=3", "additional properties 'replicas' not allowed"),
        ("image.digest=latest", "at '/image/digest': 'latest' does not match pattern"),
        ("metrics.serviceMonitor.interval=30", "at '/metrics/serviceMonitor/interval': got number, want string"),
        ("podDisruptionBudget.maxUnavailable=0", "at '/podDisruptionBudget/maxUnavailable': minimum: got 0, want 1"),
        ("podDisruptionBudget.maxUnavailable=0%", "'0%' does not match pattern"),
        ("admissionPolicy.namespaces[0]=kube system", "'kube system' does not match pattern"),
        ("admissionPolicy.reservedHosts[0]=https://ws.example.org", "'https://ws.example.org' does not match pattern"),
        ("admissionPolicy.reservedHosts[0]=WS.example.org", "'WS.example.org' does not match pattern"),
        ("imagePullSecrets[0].name=registry", "at '/imagePullSecrets/0': got object, want string"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(wrong: str, sentence: str) -> None:
    done = helm("template", CHART, "--set", wrong)
    assert done.returncode != 0
    assert sentence in done.stderr


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_no_right_is_wide(values: Path) -> None:
    manifests = rendered(values)
    rules = [rule for role in of_kind(manifests, "ClusterRole", "Role") for rule in role["rules"]]
    assert not [rule for rule in rules if "*" in str(rule)]
    made = {(role["kind"], role["metadata"]["name"]) for role in of_kind(manifests, "ClusterRole", "Role")}
    bound = [each["roleRef"] for each in of_kind(manifests, "ClusterRoleBinding", "RoleBinding")]
    assert {(role["kind"], role["name"]) for role in bound} == made


def test_no_role_is_made_where_none_is_asked_for() -> None:
    kinds = ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")
    assert not of_kind(rendered(None, "--set", "rbac.create=false"), *kinds)
    assert len(of_kind(rendered(), *kinds)) == 8


def test_operators_that_never_get_ready_keep_no_node_from_being_drained() -> None:
    (budget,) = of_kind(rendered(), "PodDisruptionBudget")
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["spec"]["maxUnavailable"] == 1


def test_every_pod_is_nobody_and_writes_nowhere() -> None:
    for pod in (each["spec"]["template"]["spec"] for each in of_kind(rendered(), "Deployment", "Job")):
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["runAsNonRoot"]
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]


def test_the_digest_names_the_image_of_operator_and_relays() -> None:
    (deployment,) = of_kind(rendered(Path(__file__).parent / "values" / "production.yaml"), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    image = "registry.example.com/platform/matrixhub@sha256:"
    assert container["image"].startswith(image)
    assert {"name": "MATRIXHUB_IMAGE", "value": container["image"]} in container["env"]


def test_a_constraint_without_selector_spreads_the_operators() -> None:
    (deployment,) = of_kind(rendered(Path(__file__).parent / "values" / "production.yaml"), "Deployment")
    zone, host = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert zone["labelSelector"] == deployment["spec"]["selector"]
    assert host["labelSelector"] == {"matchLabels": {"team": "platform"}}


def test_what_is_generated_from_the_chart_is_up_to_date() -> None:
    stale = [path for path, text in chart.files().items() if (ROOT / path).read_text() != text]
    assert not stale, "run make generate"


def reserved(manifests: list[dict[str, Any]]) -> str:
    (policy,) = [each for each in of_kind(manifests, POLICY) if each["metadata"]["name"] == "matrixhub-hosts"]
    return str(policy["spec"]["variables"][0]["expression"])


def test_the_hosts_that_are_reserved_are_those_of_the_values() -> None:
    production = rendered(Path(__file__).parent / "values" / "production.yaml")
    assert reserved(production) == "['ws.example.com', '*.platform.example.com']"
    assert reserved(rendered()) == "[]"


def test_an_overlay_as_the_readme_shows_it_names_image_and_reserved_hosts(tmp_path: Path) -> None:
    (overlay,) = re.findall(r"```yaml\n(resources: .*?)```", (CHART / "README.md").read_text(), re.DOTALL)
    base = os.path.relpath(ROOT / "manifests", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(overlay.replace("../matrixhub/manifests", base))
    done = subprocess.run(["kubectl", "kustomize", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    manifests = list(yaml.safe_load_all(done.stdout))
    assert reserved(manifests) == "['ws.example.com']"
    (deployment,) = of_kind(manifests, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/matrixhub:0.1.0"
    assert {"name": "MATRIXHUB_IMAGE", "value": container["image"]} in container["env"]


def test_monitoring_is_there_when_asked_for() -> None:
    asked = rendered(Path(__file__).parent / "values" / "production.yaml")
    (monitor,) = of_kind(asked, "ServiceMonitor")
    (service,) = of_kind(asked, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (pods,) = of_kind(asked, "PodMonitor")
    selector = pods["spec"]["selector"]
    (component,) = selector["matchExpressions"]
    for run in ("gateway", "relay"):
        carried = labels(cluster(stand_variables()), run)
        assert selector["matchLabels"].items() <= carried.items()
        assert carried[component["key"]] in component["values"]
    dashboards = {name: json.loads(text) for each in of_kind(asked, "ConfigMap") for name, text in each["data"].items()}
    assert dashboards.keys() == {path.name for path in (CHART / "files" / "dashboards").glob("*.json")}
    rules = of_kind(asked, "PrometheusRule")
    assert bool(rules) is (CHART / "files" / "alerts.yaml").exists()
    assert "${" not in json.dumps(rules)
    assert not of_kind(rendered(), "ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap")
