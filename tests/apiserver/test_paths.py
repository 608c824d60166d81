"""Whoever writes a name into a RealtimeCluster reaches no other namespace with it, on a real API server."""

import secrets
from collections.abc import Iterator

import pytest
from tests.support import stand_variables

from matrixhub.errors import Rejected
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import NAMESPACE, SECRET


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A namespace with the Secret `foreign` in it, which the RealtimeCluster's author may not read."""
    api, name = KubeApi(stand_variables()["KUBECONFIG"]), f"elsewhere-{secrets.token_hex(3)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    metadata = {"name": "foreign", "namespace": name}
    api.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "theirs"}})
    yield name
    api.delete(NAMESPACE, name)


@pytest.mark.parametrize(
    "name",
    [
        "../../{}/secrets/foreign",
        "x/../../../{}/secrets/foreign",
        "..%2F..%2F{}%2Fsecrets%2Fforeign",
        "%2e%2e/%2e%2e/{}/secrets/foreign",
    ],
)
def test_a_secrets_name_leads_to_no_other_namespace(elsewhere: str, name: str) -> None:
    operator = KubeApi(stand_variables()["MATRIXHUB_OPERATOR_KUBECONFIG"])
    assert operator.get(SECRET, "foreign", elsewhere), "the operator itself may read it"
    with pytest.raises(Rejected, match="write the name alone"):
        operator.get(SECRET, name.format(elsewhere), "default")
    with pytest.raises(Rejected, match="write the name alone"):
        operator.scale(SECRET, name.format(elsewhere), "default", 0)
