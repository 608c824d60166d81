"""Whether Redis lets gateways in, asked of real servers: by password, by TLS and through sentinels."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.backends.redis_server import Server, redis_cluster
from tests.backends.test_gateway_process import certified
from tests.backends.test_redis_nodes import pair, sentinels
from tests.patience import free_port

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Owner, ServiceAccount
from matrixhub.backends.gateway.bus import Bus

__all__ = ["pair", "sentinels"]

ACCOUNT = ServiceAccount(Owner("hub", "uid-main"), "gateway-0a1b2c3d", "the-gateways-password-of-32-chars")


def lets_in(cluster: RealtimeCluster, trusted: Mapping[str, str] | None = None) -> bool:
    assert cluster.spec.redis
    return Bus(cluster.spec.redis, ACCOUNT, trusted or {}).lets_in()


def admit(server: Server) -> None:
    """The server knows the gateways' user, with the few rights that it has."""
    rules = ("on", f">{ACCOUNT.password}", "+ping", "+role", f"~{ACCOUNT.login}:*")
    server.root().execute_command("ACL", "SETUSER", ACCOUNT.login, *rules)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server


def test_it_does_once_the_server_knows_them_and_until_it_forgets(server: Server) -> None:
    cluster = redis_cluster(server.address)
    assert not lets_in(cluster)
    admit(server)
    assert lets_in(cluster)
    server.root().execute_command("ACL", "SETUSER", ACCOUNT.login, "resetpass", ">another")
    assert not lets_in(cluster)
    admit(server)
    server.restart()
    assert not lets_in(cluster)
    admit(server)
    server.stop()
    assert not lets_in(cluster)


def test_it_does_not_where_a_certificate_is_not_believed(tmp_path: Path) -> None:
    port, (authority, certificate, key) = free_port(), certified(tmp_path)
    options = (f"tls-port {port}", f"tls-cert-file {certificate}", f"tls-key-file {key}", "tls-auth-clients yes")
    with Server(tmp_path, *options, f"tls-ca-cert-file {authority}") as server:
        admit(server)
        secure = redis_cluster(f"127.0.0.1:{port}", tls={"caSecretRef": {"name": "redis-ca"}})
        believed = {"ca.crt": authority.read_text()}
        shown = {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}
        assert lets_in(secure, believed | shown)
        assert not lets_in(secure, believed)
        assert not lets_in(secure, shown)
        assert not lets_in(secure, {"ca.crt": "nothing of the kind"})


def test_it_is_the_master_that_sentinels_name(pair: tuple[Server, Server], sentinels: RealtimeCluster) -> None:
    assert not lets_in(sentinels)
    admit(pair[1])
    assert not lets_in(sentinels)
    admit(pair[0])
    assert lets_in(sentinels)
