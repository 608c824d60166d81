"""The sample manifests, as they are and as the stand has them, are what a real API server takes."""

import re
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from tests.support import stand_variables

from demo.samples import SAMPLES, filled


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((SAMPLES / name).read_text(encoding="utf-8")))


def unchanged(name: str, _: Mapping[str, str]) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("read", [unchanged, filled])
@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.yaml")))
def test_a_sample_is_accepted(name: str, read: Callable[[str, Mapping[str, str]], str]) -> None:
    """In namespace `default`, which exists before the samples do."""
    text = read(name, stand_variables())
    elsewhere = re.sub(r"namespace: matrixhub$", "namespace: default", text, flags=re.MULTILINE)
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
    secrets = {each["metadata"]["name"] for each in documents("admin-secrets.yaml") if each["kind"] == "Secret"}
    (cluster,) = documents("realtimecluster.yaml")
    backends = [each for each in cluster["spec"].values() if "adminSecretRef" in each]
    assert {each["adminSecretRef"]["name"] for each in backends} == secrets


def test_the_tenants_live_on_the_cluster() -> None:
    (cluster,) = documents("realtimecluster.yaml")
    tenants = documents("tenants.yaml")
    assert [each["metadata"]["name"] for each in tenants] == ["greenwood", "riverside", "hillcrest"]
    for each in tenants:
        assert each["spec"]["clusterRef"] == {key: cluster["metadata"][key] for key in ("namespace", "name")}
