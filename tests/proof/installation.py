"""Matrix Hub as its users install it: the chart, on the stand's Kubernetes, with the operator in pods."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.hub import Hub, Operator
from tests.support import ROOT

from stand.recipes import program

RELEASE, NAMESPACE = "matrixhub", "matrixhub-system"


def helm(env: dict[str, str], *words: str) -> str:
    """What Helm printed; fails with its complaint."""
    done = subprocess.run(
        [program("helm"), "--namespace", NAMESPACE, *words], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"helm {' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def installed(env: dict[str, str], folder: Path) -> Iterator[Hub]:
    """The operator's pods are ready inside the block; after it nothing is left of the release."""
    repository, _, tag = env["MATRIXHUB_IMAGE"].rpartition(":")
    image = ("--set", f"image.repository={repository},image.tag={tag}")
    chart = str(ROOT / "helm" / "matrixhub")
    helm(env, "upgrade", "--install", RELEASE, chart, "--create-namespace", *image, "--wait", "--timeout=90s")
    hub = Hub(env, Operator(env, folder / "none.log"))  # the operator is in pods: this process never starts
    try:
        yield hub
    finally:
        helm(env, "uninstall", RELEASE, "--wait", "--timeout=90s")
        hub.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
