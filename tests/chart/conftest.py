"""The stand's cluster with a data plane, and no operator but the chart's."""

import json
import os
from collections.abc import Iterator

import pytest
from tests.chart.release import NAMESPACE, Release, helm
from tests.e2e.hub import Hub, Operator
from tests.e2e.reach import enforced

from demo import cluster as demo
from stand.cache import build
from stand.recipes import HELM, PROMETHEUS_CRDS


@pytest.fixture(scope="session", autouse=True)
def tools(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Helm is there, and does not read what its user has configured; so are the Prometheus operator's resources."""
    build([HELM, PROMETHEUS_CRDS])
    for name in ("CACHE", "CONFIG", "DATA"):
        os.environ[f"HELM_{name}_HOME"] = str(tmp_path_factory.mktemp(name.lower()))


@pytest.fixture(scope="session")
def monitoring(tools: None) -> Iterator[None]:
    """The API server knows the Prometheus operator's resources; afterwards it does not any more."""
    env, crds = demo.environment(), str(PROMETHEUS_CRDS.folder / "crds")
    demo.kubectl(env, "apply", "--server-side", "-f", crds)
    demo.kubectl(env, "wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
    yield
    demo.kubectl(env, "delete", "--timeout=60s", "-f", crds)


@pytest.fixture(scope="session")
def release(monitoring: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Nothing is installed yet; NetworkPolicies bind. Afterwards nothing is any more, and no test's Tenant is left."""
    env = demo.environment()
    hub = Hub(env, Operator(env, tmp_path_factory.mktemp("operator") / "operator.log"))
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    hub.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    demo.install(env)
    demo.load(env, "schema.sql")
    demo.realtimecluster(env)
    patch = json.dumps([{"op": "remove", "path": "/spec/relay/image"}])
    hub.kubectl("-n", "matrixhub", "patch", "realtimecluster/main", "--type=json", "-p", patch)
    with enforced(hub):
        yield Release(hub)
    hub.dismiss()
    hub.delete(*hub.leaving)
    # The operators end while they still have their rights.
    hub.kubectl("delete", "deployment", "--all", "-n", NAMESPACE, "--cascade=foreground", "--timeout=60s")
    helm("uninstall", "matrixhub", "--namespace", NAMESPACE, "--no-hooks", "--wait", "--timeout", "60s", env=env)
    hub.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
