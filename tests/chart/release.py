"""Helm, and a release of the chart on the stand's cluster, whose operator runs in pods."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.e2e.hub import Hub
from tests.support import ROOT

from stand.recipes import program

CHART = ROOT / "helm" / "matrixhub"
NAME, NAMESPACE = "matrixhub", "matrixhub-chart"
PREVIOUS_DESCRIPTION = "What a Tenant was said to be in the release before."


def helm(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """What Helm answered."""
    command = [str(program("helm")), *map(str, words)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=180)


def rendered(values: Path | None = None, *words: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """The manifests of the chart; fails with Helm's complaint."""
    options = ["--values", str(values)] if values else []
    done = helm("template", NAME, CHART, "--namespace", namespace, *options, *words)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def packaged(folder: Path, version: str) -> Path:
    """The chart as it is published: this version of it, `0.0.x` being the one before, with other words in a CRD."""
    source = folder / version
    shutil.copytree(CHART, source)
    if version.startswith("0.0."):
        crd = source / "files" / "crds" / "tenants.matrixhub.io.yaml"
        lines = crd.read_text(encoding="utf-8").splitlines(keepends=True)
        (place,) = (n for n, line in enumerate(lines) if line.startswith("        description: "))
        lines[place] = f"        description: {PREVIOUS_DESCRIPTION}\n"
        crd.write_text("".join(lines), encoding="utf-8")
    done = helm("package", source, "--version", version, "--destination", folder)
    assert done.returncode == 0, done.stderr
    return folder / f"matrixhub-{version}.tgz"


@dataclass(frozen=True)
class Release:
    """The release `matrixhub` in a namespace that admits restricted pods only."""

    hub: Hub

    def helm(self, *words: str | Path) -> str:
        """What Helm printed; fails with its complaint, and with what the operator said."""
        done = helm(*words, "--namespace", NAMESPACE, env=self.hub.env)
        assert done.returncode == 0, f"helm {' '.join(map(str, words))}: {done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout

    def install(self, chart: Path, *words: str) -> None:
        """The release is this chart with the stand's image, and its pods are ready."""
        repository, _, tag = self.hub.env["MATRIXHUB_IMAGE"].rpartition(":")
        image = ["--set", f"image.repository={repository},image.tag={tag}"]
        self.helm("upgrade", "--install", NAME, chart, *image, "--wait", "--timeout", "90s", *words)

    def uninstall(self) -> None:
        """The release is gone, its pods too."""
        self.helm("uninstall", NAME, "--wait", "--timeout", "90s")

    def pods(self) -> list[dict[str, Any]]:
        """The operator's pods that are not on their way out."""
        items = self.hub.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=operator")["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def log(self) -> str:
        """The last that the operators said."""
        words = ["logs", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=matrixhub", "--all-containers", "--tail=50"]
        done = subprocess.run(["kubectl", *words], env=self.hub.env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr
