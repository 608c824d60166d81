"""TLS everywhere: a RealtimeCluster that has no other way, and what it says when a certificate does not fit."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.backends.redis_server import SECRET, Server
from tests.certificates import Authority
from tests.e2e.hub import Hub
from tests.e2e.secure import (
    BACKENDS,
    NAMESPACE,
    School,
    backends,
    become,
    certificate_secret,
    conditions,
    pods,
    realtimecluster,
)
from tests.patience import free_port
from tests.support import ROOT

from matrixhub.api import naming

NAMES = ("secure", "stranger", "elsewhere", "mutual")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that has signed nothing that the stand shows."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module", autouse=True)
def secrets(hub: Hub, authority: Authority) -> Iterator[None]:
    """The Secrets that the RealtimeClusters of these tests name; none of these is left at the end."""
    stand = Path(hub.env["TLS_CA"])
    certificate, key = authority.issue("gateway", f"DNS:secure-gateway.{NAMESPACE}.svc")
    ours, our_key = (Path(hub.env[name]) for name in ("TLS_CLIENT_CERT", "TLS_CLIENT_KEY"))
    strange, strange_key = authority.issue("hub_admin", "DNS:nobody")
    hub.apply(
        certificate_secret("stand-ca", ca_crt=stand),
        certificate_secret("other-ca", ca_crt=authority.certificate),
        certificate_secret("gateway-tls", tls_crt=certificate, tls_key=key),
        certificate_secret("client", tls_crt=ours, tls_key=our_key),
        certificate_secret("strange-client", tls_crt=strange, tls_key=strange_key),
    )
    yield
    hub.delete(*hub.leaving)
    hub.kubectl("-n", NAMESPACE, "delete", "realtimecluster", *NAMES, "--ignore-not-found", "--timeout=60s")


def test_all_of_it_over_tls(hub: Hub, tmp_path: Path) -> None:
    hub.apply(
        realtimecluster("secure", {**backends(hub.env), **pods(hub.env)}),
        hub.tenant("tls-green", clusterRef={"namespace": NAMESPACE, "name": "secure"}),
    )
    hub.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "--timeout=60s", "realtimecluster/secure")
    hub.ready("tls-green")

    school = School(hub, "tls-green", tmp_path)
    assert school.postgres() is True
    assert school.redis() == "1"
    assert school.store() == b"1"
    assert school.hears("institution.updates", "institution.updates", {"by": "wss"}) == {"by": "wss"}
    assert school.consume("institution.updates") == {"by": "wss"}


def test_one_wrong_authority_hurts_nobody_else_and_is_mended_by_the_right_one(hub: Hub) -> None:
    spec = backends(hub.env)
    spec["redis"]["tls"] = {"caSecretRef": {"name": "other-ca"}}
    hub.apply(realtimecluster("stranger", spec))

    told = become(hub, "stranger", **{**dict.fromkeys(BACKENDS, "Succeeded"), "RedisReady": "CertificateUntrusted"})
    assert "redis at" in told["Ready"]["message"]
    assert "spec.redis.tls.caSecretRef" in told["RedisReady"]["message"]

    hub.apply(realtimecluster("stranger", backends(hub.env)))
    become(hub, "stranger", **dict.fromkeys(BACKENDS, "Succeeded"))


def test_a_wrong_authority_is_told_of_each_backend(hub: Hub) -> None:
    hub.apply(realtimecluster("stranger", backends(hub.env, ca="other-ca")))

    told = become(hub, "stranger", **dict.fromkeys(BACKENDS, "CertificateUntrusted"))
    for kind, section in zip(BACKENDS, ("postgres", "redis", "kafka", "objectStore"), strict=True):
        assert f"`ca.crt` in the Secret of spec.{section}.tls.caSecretRef" in told[kind]["message"]


def test_a_name_that_no_certificate_is_for_is_told_of_each_backend(hub: Hub) -> None:
    hub.apply(realtimecluster("elsewhere", backends(hub.env, host="127.0.0.1")))

    told = become(hub, "elsewhere", **dict.fromkeys(BACKENDS, "CertificateNameMismatch"))
    assert all("127.0.0.1" in told[kind]["message"] for kind in BACKENDS)


@pytest.fixture
def mutual(hub: Hub, authority: Authority, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The backends that ask for a client certificate; MinIO has no such thing for its API."""
    host, port = hub.env["STAND_HOST"], free_port()
    certificate, key = authority.issue("redis", f"IP:{host}")
    options = (f"tls-port {port}", f"tls-cert-file {certificate}", f"tls-key-file {key}", "tls-auth-clients yes")
    client, client_key = authority.issue("redis-client", "DNS:redis-client")
    admin = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "redis-mutual", "namespace": NAMESPACE},
        "stringData": SECRET,
    }
    hub.apply(admin, certificate_secret("redis-client", tls_crt=client, tls_key=client_key))
    spec = backends(hub.env)
    del spec["objectStore"]
    spec["postgres"]["database"] = "mutual"
    spec["kafka"]["bootstrapServers"] = [hub.env["KAFKA_MUTUAL_BOOTSTRAP"]]
    spec["redis"] |= {"nodes": [f"{host}:{port}"], "adminSecretRef": {"name": "redis-mutual"}}
    spec["redis"]["tls"] = {"caSecretRef": {"name": "other-ca"}}
    with Server(tmp_path, f"bind 127.0.0.1 {host}", *options, f"tls-ca-cert-file {authority.certificate}"):
        forget(hub)
        database(hub)
        yield spec
        hub.kubectl("-n", NAMESPACE, "delete", "realtimecluster", "mutual", "--timeout=30s")
        forget(hub)


def database(hub: Hub) -> None:
    """The database `mutual`, with the admin's rights: under this name nobody enters without a certificate."""
    psql(hub, "postgres", "CREATE DATABASE others")
    rights = (ROOT / "manifests/admin-rights/postgres.sql").read_text(encoding="utf-8")
    psql(hub, "others", rights)
    psql(hub, "postgres", "ALTER DATABASE others RENAME TO mutual")


def forget(hub: Hub) -> None:
    """No database `mutual` is there, and the role that its registry alone knew as ours is gone."""
    role = naming.gateway(f"{NAMESPACE}/mutual")
    drop = f'DROP DATABASE IF EXISTS mutual WITH (FORCE); DROP DATABASE IF EXISTS others; DROP ROLE IF EXISTS "{role}"'
    psql(hub, "postgres", drop)


def psql(hub: Hub, where: str, text: str) -> None:
    """The SQL is carried out by the superuser, statement by statement."""
    words = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"admin={hub.env['PG_ADMIN_USER']}", "-d", where]
    lines = "\n".join(f"{each};" for each in text.split("; ")) if where == "postgres" else text
    done = subprocess.run(
        words, env={**os.environ, **hub.env}, input=lines, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_who_must_show_a_certificate_is_told_and_shows_it(hub: Hub, mutual: dict[str, Any]) -> None:
    asked = ("PostgresReady", "RedisReady", "KafkaReady")

    def showing(secret: str, redis: str) -> dict[str, Any]:
        return {
            name: {
                **part,
                "tls": {**part["tls"], "clientCertSecretRef": {"name": redis if name == "redis" else secret}},
            }
            for name, part in mutual.items()
        }

    hub.apply(realtimecluster("mutual", mutual))
    told = become(hub, "mutual", **dict.fromkeys(asked, "ClientCertificateRequired"))
    assert "spec.kafka.tls.clientCertSecretRef" in told["KafkaReady"]["message"]

    hub.apply(realtimecluster("mutual", showing("strange-client", "client")))
    become(hub, "mutual", **dict.fromkeys(asked, "ClientCertificateRefused"))

    hub.apply(realtimecluster("mutual", {**showing("client", "redis-client"), **pods(hub.env)}))
    become(hub, "mutual", **dict.fromkeys((*asked, "GatewayReady", "RelayReady"), "Succeeded"))
    assert "PRIVATE KEY" not in str(conditions(hub, "mutual"))
    assert "PRIVATE KEY" not in hub.operator.log.read_text(encoding="utf-8")
