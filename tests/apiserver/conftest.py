"""What tests of the operator's confinement stand on."""

from collections.abc import Iterator

import pytest
from tests.apiserver.thief import Place, place

from demo import cluster as demo


@pytest.fixture(scope="session")
def crds() -> None:
    """The API server knows our resources; other tests leave them there, too."""
    demo.install(demo.environment())


@pytest.fixture(scope="module")
def at() -> Iterator[Place]:
    """A tenant's namespace and a RealtimeCluster's."""
    with place() as made:
        yield made
