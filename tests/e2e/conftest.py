"""A real API server, real backends, and the operator as its own process with its own weak rights."""

import os
import sys
from collections.abc import Iterator

import pytest
from tests.e2e.hub import Hub, Operator

from demo import cluster as demo


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The stand with our CRDs, the RealtimeCluster `main` and a running operator; no test's Tenant is left."""
    env = demo.environment()
    demo.without_operator()
    demo.install(env)
    operator = Operator(env, tmp_path_factory.mktemp("operator") / "operator.log")
    demo.load(env, "schema.sql")
    demo.realtimecluster(env)
    operator.start()
    everywhere = Hub(env, operator)
    try:
        everywhere.kubectl("-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=60s", "realtimecluster/main")
        yield everywhere
        everywhere.delete(*everywhere.leaving)
    finally:
        operator.kill()


@pytest.fixture(autouse=True)
def clean(hub: Hub) -> Iterator[None]:
    """A test's Tenants are on their way out after it; what the operator said is shown when the test failed."""
    began = hub.operator.log.stat().st_size
    yield
    if hub.operator.process is None:
        hub.operator.start()
    hub.dismiss()
    with hub.operator.log.open() as log:
        log.seek(began)
        sys.stdout.write(log.read()[-8000:])


@pytest.fixture
def admin_env(hub: Hub) -> dict[str, str]:
    """The environment with which psql, redis-cli and the AWS clients are another administrator."""
    return {**os.environ, **hub.env}
