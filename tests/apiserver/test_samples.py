"""The sample manifests, filled in from the stand, are what a real API server takes."""

import re
import subprocess
from pathlib import Path
from string import Template

import pytest
import yaml
from tests.support import stand_variables

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"


def filled(name: str) -> str:
    return Template((SAMPLES / name).read_text(encoding="utf-8")).substitute(stand_variables())


@pytest.mark.parametrize("name", ["secrets.yaml", "realtimecluster.yaml", "tenants.yaml"])
def test_a_sample_is_accepted(name: str) -> None:
    """In namespace `default`, which exists before the samples do."""
    elsewhere = re.sub(r"namespace: matrixhub$", "namespace: default", filled(name), flags=re.MULTILINE)
    variables = stand_variables()
    crds = SAMPLES.parents[1] / "crds"
    for arguments, text in (
        (["-f", str(crds)], ""),
        (["--dry-run=server", "-f", "-"], elsewhere),
    ):
        done = subprocess.run(
            [
                "kubectl",
                "--kubeconfig",
                variables["KUBECONFIG"],
                "apply",
                "--server-side",
                "--force-conflicts",
                *arguments,
            ],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr


def test_the_cluster_names_the_secrets_beside_it() -> None:
    secrets = {
        each["metadata"]["name"] for each in yaml.safe_load_all(filled("secrets.yaml")) if each["kind"] == "Secret"
    }
    (cluster,) = yaml.safe_load_all(filled("realtimecluster.yaml"))
    backends = [each for each in cluster["spec"].values() if "adminSecretRef" in each]
    assert {each["adminSecretRef"]["name"] for each in backends} == secrets


def test_the_tenants_live_on_the_cluster() -> None:
    (cluster,) = yaml.safe_load_all(filled("realtimecluster.yaml"))
    tenants = list(yaml.safe_load_all(filled("tenants.yaml")))
    assert [each["metadata"]["name"] for each in tenants] == ["greenwood", "riverside", "hillcrest"]
    for each in tenants:
        assert each["spec"]["clusterRef"] == {key: cluster["metadata"][key] for key in ("namespace", "name")}
