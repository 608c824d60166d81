"""What tests on a real API server stand on."""

import secrets
from collections.abc import Iterator

import pytest
from tests.apiserver.thief import Place, place
from tests.support import stand_variables

from demo import cluster as demo
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import NAMESPACE


@pytest.fixture(scope="session")
def crds() -> None:
    """The API server knows our resources; other tests leave them there, too."""
    demo.install(demo.environment())


@pytest.fixture(scope="module")
def at() -> Iterator[Place]:
    """A tenant's namespace and a RealtimeCluster's."""
    with place() as made:
        yield made


@pytest.fixture
def api() -> KubeApi:
    """The administrator's client."""
    return KubeApi(stand_variables()["KUBECONFIG"])


@pytest.fixture(name="place")
def a_namespace(api: KubeApi) -> Iterator[str]:
    """A namespace of the test's own, by name."""
    name = f"test-{secrets.token_hex(4)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    api.delete(NAMESPACE, name)
