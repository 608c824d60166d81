"""What GitOps tools make of Tenants and RealtimeClusters through their lives: kstatus and Argo CD's Lua."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.hub import CHECKOUT, Hub, stopped
from tests.patience import until

from stand import recipes

TENANT = "gitops-a"


@pytest.fixture(scope="session")
def checks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By kind, the file with Argo CD's health check, as manifests/gitops gives it to Argo CD."""
    data = yaml.safe_load((CHECKOUT / "manifests" / "gitops" / "argocd.yaml").read_text())["data"]
    folder = tmp_path_factory.mktemp("checks")
    found = {}
    for key, script in data.items():
        kind = key.rpartition("_")[2]
        found[kind] = folder / f"{kind}.lua"
        found[kind].write_text(script)
    return found


class Judges:
    """Asks both."""

    def __init__(self, hub: Hub, checks: dict[str, Path]) -> None:
        self._hub, self._checks = hub, checks

    def __call__(self, *words: str) -> tuple[str, str]:
        """What kstatus and Argo CD call the object."""
        found = self._hub.get(*words)
        verdicts = self.of(found)
        return verdicts["kstatus"]["status"], verdicts["argocd"]["status"]

    def of(self, found: dict[str, Any]) -> Any:
        program = [recipes.program("gitops-health"), self._checks[found["kind"]]]
        done = subprocess.run(program, input=json.dumps(found), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def judged(hub: Hub, checks: dict[str, Path]) -> Judges:
    return Judges(hub, checks)


def test_a_tenant_is_read_right_from_its_first_moment_to_its_last(hub: Hub, judged: Judges):
    tenant = ("tenant", TENANT)
    hub.operator.kill()
    hub.apply(hub.tenant(TENANT, kafka={"topics": [{"domain": "exams", "events": ["started"], "partitions": 2}]}))
    assert judged(*tenant) == ("InProgress", "Progressing"), "no operator has seen it"
    hub.operator.start()
    hub.ready(TENANT)
    assert judged(*tenant) == ("Current", "Healthy")
    with stopped(hub, "redis"):
        until(lambda: hub.condition(TENANT)["reason"] == "Unreachable", 20, "it is told")
        assert judged(*tenant) == ("InProgress", "Progressing"), "it will pass"
    until(lambda: judged(*tenant) == ("Current", "Healthy"), 30, "it has passed")
    hub.apply(hub.tenant(TENANT, kafka={"topics": [{"domain": "exams", "events": ["started"], "partitions": 1}]}))
    until(lambda: judged(*tenant) == ("Failed", "Degraded"), 20, "partitions cannot shrink: a person has to act")
    hub.apply(hub.tenant(TENANT, suspended=True))
    until(lambda: judged(*tenant) == ("Current", "Healthy"), 20, "suspended, as asked for")
    hub.operator.kill()
    hub.kubectl("delete", *tenant, "--wait=false")
    assert judged(*tenant)[0] == "Terminating"


def test_a_realtimecluster_is_read_right(hub: Hub, judged: Judges):
    main = ("realtimecluster", "main", "-n", "matrixhub")
    hub.kubectl("-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=60s", "realtimecluster/main")
    until(lambda: judged(*main) == ("Current", "Healthy"), 10)
    found = hub.get(*main)
    found["metadata"]["generation"] += 1
    verdicts = judged.of(found)
    assert (verdicts["kstatus"]["status"], verdicts["argocd"]["status"]) == ("InProgress", "Progressing")


def test_a_realtimecluster_whose_admin_is_refused_waits_for_a_person(hub: Hub, judged: Judges):
    reef = ("realtimecluster", "reef", "-n", "matrixhub")
    right = hub.get("secret", "redis-admin", "-n", "matrixhub")["data"]
    redis = hub.get("realtimecluster", "main", "-n", "matrixhub")["spec"]["redis"]

    def login(**data: str) -> dict[str, Any]:
        metadata = {"name": "reef-admin", "namespace": "matrixhub"}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": right | data}

    def on(**section: Any) -> dict[str, Any]:
        spec = {"redis": redis | {"adminSecretRef": {"name": "reef-admin"}} | section}
        metadata = {"name": "reef", "namespace": "matrixhub"}
        return {"apiVersion": "matrixhub.io/v1alpha1", "kind": "RealtimeCluster", "metadata": metadata, "spec": spec}

    wrong = base64.b64encode(b"wrong").decode()
    hub.apply(login(password=wrong), on())
    until(lambda: judged(*reef) == ("Failed", "Degraded"), 20, "the login is refused: a person has to act")
    stalled = hub.conditions("reef")["Stalled"]
    assert stalled["reason"] == "AuthenticationFailed"
    assert "Secret matrixhub/reef-admin" in stalled["message"]

    hub.apply(login())
    until(lambda: judged(*reef) == ("Current", "Healthy"), 20, "the person has acted")
    hub.apply(on(nodes=["127.0.0.1:1"]))
    until(lambda: "Unreachable" in hub.get(*reef)["status"]["message"], 20, "it is told")
    assert judged(*reef) == ("InProgress", "Progressing"), "it may pass"
    hub.apply(on())
    hub.kubectl("-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=20s", "realtimecluster/reef")
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster/reef", "secret/reef-admin", "--timeout=20s")
