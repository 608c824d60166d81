"""What GitOps tools make of a Tenant through its life: the real kstatus, and Argo CD's Lua interpreter."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.hub import CHECKOUT, Hub, stopped, until

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
