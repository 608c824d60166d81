"""Where objects live in the API: a name is one step of the path, whatever is in it."""

import pytest

from matrixhub.errors import Rejected
from matrixhub.kube.resources import CLUSTER_ROLE, DEPLOYMENT, SECRET


def test_an_object_lives_below_its_namespace_and_kind() -> None:
    assert SECRET.path("redis-admin", "hub") == "/api/v1/namespaces/hub/secrets/redis-admin"
    assert DEPLOYMENT.path("main-relay", "hub") == "/apis/apps/v1/namespaces/hub/deployments/main-relay"
    assert CLUSTER_ROLE.path("matrixhub:tenant:a") == (
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/matrixhub:tenant:a"
    )


@pytest.mark.parametrize("name", ["../../kube-system/secrets/foo", "..", ".", "a/b", "", "a%2Fb", "%2e%2e"])
def test_a_name_that_leads_elsewhere_is_none(name: str) -> None:
    with pytest.raises(Rejected, match="write the name alone"):
        SECRET.path(name, "hub")
    if name:
        with pytest.raises(Rejected, match="write the name alone"):
            SECRET.path("redis-admin", name)


def test_what_would_end_a_path_is_part_of_the_name() -> None:
    assert SECRET.path("a?dryRun=All#x y", "hub").endswith("/secrets/a%3FdryRun%3DAll%23x%20y")
