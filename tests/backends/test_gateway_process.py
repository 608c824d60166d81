"""What gateways are told, taken at its word by real sockudo processes: Redis plain, by TLS and through sentinels."""

import contextlib
import json
import os
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pusher
import pytest
from pusher.errors import PusherError
from tests.backends.postgres_world import World, world
from tests.backends.redis_server import SECRET, Server
from tests.backends.test_redis_nodes import pair, sentinels
from tests.patience import free_port, until
from tests.support import cluster
from websockets.exceptions import InvalidMessage, WebSocketException
from websockets.sync.client import connect

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Owner, ServiceAccount
from matrixhub.backends.gateway import settings
from matrixhub.backends.gateway.apps import Apps
from matrixhub.backends.gateway.desired import stores
from matrixhub.backends.gateway.plan import SetApp
from matrixhub.backends.gateway.state import App
from matrixhub.backends.postgres.client import Client as Postgres
from matrixhub.backends.redis.client import Client as Redis
from matrixhub.engine.vault import new_app
from stand.recipes import program

__all__ = ["pair", "sentinels", "world"]

APP = App("a-key-of-an-app", "a-secret-of-an-app", True, 100, 10, 100)  # noqa: FBT003 - enabled


class Gateway:
    """One sockudo with the settings that pods have, on this machine's own ports."""

    def __init__(self, on: RealtimeCluster, password: str, folder: Path, **changed: str) -> None:
        self.port, metrics = free_port(), free_port()
        folder = folder / str(self.port)
        folder.mkdir()
        (folder / "config.toml").write_text(settings.config(on), encoding="utf-8")
        told = {each["name"]: each.get("value", password) for each in settings.environment(on)}
        ports = {"PORT": str(self.port), "METRICS_PORT": str(metrics), "INSTANCE_PROCESS_ID": f"g{self.port}"}
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(program("sockudo")), "--config", str(folder / "config.toml")],
                env={"PATH": os.environ["PATH"], **told, **ports, **changed},
                stdout=log,
                stderr=log,
                cwd=folder,
            )

    def status(self, path: str = "/up/1") -> int:
        """The HTTP status, 0 while nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=3) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def ready(self) -> "Gateway":
        until(lambda: self.status() == 200 or self.process.poll() is not None, 20)
        assert self.status() == 200, self.log.read_text()
        return self

    def publish(self, channel: str, data: object) -> None:
        server = pusher.Pusher(app_id="42", key=APP.key, secret=APP.secret, ssl=False, host="127.0.0.1", port=self.port)
        server.trigger(channel, "news", data)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Place:
    """A RealtimeCluster over the world's database and some Redis, its account made, an app in its table."""

    def __init__(
        self,
        world: World,
        folder: Path,
        redis: Mapping[str, Any],
        trusted: Mapping[str, str],
        gateway: Mapping[str, Any],
    ) -> None:
        postgres = world.cluster.spec.postgres
        assert postgres is not None
        spec = {"redis": dict(redis), "gateway": {"image": "none", **gateway}}
        made = cluster(world.stand, postgres=postgres.model_dump(mode="json", by_alias=True), **spec)
        name = f"process-{secrets.token_hex(4)}"
        self.cluster = made.model_copy(update={"metadata": made.metadata.model_copy(update={"name": name})})
        login = naming.gateway(self.cluster.key)
        self.account = ServiceAccount(Owner("hub", "uid"), login, secrets.token_urlsafe(32))
        self.world, self._folder = world, folder
        self._started: list[Gateway] = []
        database = Postgres(self.cluster, world.secret, self.account)
        assert database.prepare().findings == ()
        database.close()
        self.redis = Redis(self.cluster, SECRET | dict(trusted), self.account)
        self.redis.prepare()
        apps = Apps(self.cluster, stores(self.cluster)[0], self.account, {}, new_app)
        apps.prepare()
        apps.apply({"any": (SetApp("42", APP, ""),)})
        apps.close()

    def gateway(self, password: str = "", **changed: str) -> Gateway:
        self._started.append(Gateway(self.cluster, password or self.account.password, self._folder, **changed))
        return self._started[-1]

    def close(self) -> None:
        for each in self._started:
            each.end()
        self.redis.close()
        login, root = self.account.login, self.world.root
        self.world.admin.execute(f'REVOKE CONNECT ON DATABASE "{self.world.database}" FROM "{login}"')
        until(lambda: root.execute("SELECT FROM pg_stat_activity WHERE usename = %s", [login]).fetchone() is None, 15)
        root.execute(f'DROP SCHEMA "{login}" CASCADE; DROP ROLE "{login}"')


@pytest.fixture
def place(world: World, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    made: list[Place] = []

    def make(redis: Mapping[str, Any], trusted: Mapping[str, str] | None = None, **gateway: Any) -> Place:
        made.append(Place(world, tmp_path, redis, trusted or {}, gateway))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server


def redis_of(address: str, **more: Any) -> dict[str, Any]:
    return {"nodes": [address], "adminSecretRef": {"name": "redis-admin"}, **more}


def url(gateway: Gateway) -> str:
    return f"ws://127.0.0.1:{gateway.port}/app/{APP.key}?protocol=7&client=t&version=1"


@contextlib.contextmanager
def socket_on(gateway: Gateway, channel: str) -> Iterator[Any]:
    with connect(url(gateway)) as socket:
        socket.recv(5)
        socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}}))
        socket.recv(5)
        yield socket


def carries(one: Gateway, other: Gateway, seconds: float = 20.0) -> None:
    """What is published at one gateway arrives at a socket of the other.

    One that has lost Redis, and has not found it again, refuses sockets and calls, or passes nothing on.
    """
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, WebSocketException, PusherError), socket_on(other, "general") as socket:
            one.publish("general", "x")
            if json.loads(socket.recv(1))["event"] == "news":
                return
        assert time.monotonic() < end, one.log.read_text() + other.log.read_text()


def refusals(server: Server) -> list[str]:
    """Which commands and keys the ACL refused whom."""
    with server.root() as root:
        return [f"{each['username']} {each['object']}" for each in root.acl_log()]


def test_all_that_gateways_do_in_redis_is_allowed_them(place: Callable[..., Place], server: Server) -> None:
    here = place(redis_of(server.address))
    with server.root() as root:
        root.execute_command("ACL", "LOG", "RESET")
    one, other = here.gateway().ready(), here.gateway().ready()
    carries(one, other)
    carries(other, one)
    one.publish("cache-scores", "2:1")
    with connect(url(other)) as late:
        late.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "cache-scores"}}))
        assert any("2:1" in str(late.recv(5)) for _ in range(3)), "the last event of a cache channel"
    assert [told for told in refusals(server) if "setinfo" not in told.lower()] == []
    with server.root() as root:
        keys = list(root.scan_iter())
        assert keys
        assert all(key.startswith(f"{here.account.login}:") for key in keys)
        assert not any(str(APP.secret) in str(root.get(key)) for key in keys)


def certified(folder: Path) -> tuple[Path, Path, Path]:
    """An authority's certificate, and the certificate and key that it gave to 127.0.0.1."""
    authority, certificate, key = (folder / name for name in ("ca.pem", "redis.pem", "redis.key"))

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    new = ("req", "-newkey", "rsa:2048", "-nodes", "-days", "1")
    openssl(*new, "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", authority.name)
    openssl(*new, "-subj", "/CN=redis", "-keyout", key.name, "-out", "redis.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    signed = ("x509", "-req", "-days", "1", "-in", "redis.csr", "-CA", authority.name, "-CAkey", "ca.key")
    openssl(*signed, "-CAcreateserial", "-extfile", "names", "-out", certificate.name)
    return authority, certificate, key


def test_gateways_meet_through_tls_with_a_private_authority_and_a_certificate_of_theirs(
    place: Callable[..., Place], tmp_path: Path
) -> None:
    port, (authority, certificate, key) = free_port(), certified(tmp_path)
    options = (f"tls-port {port}", f"tls-cert-file {certificate}", f"tls-key-file {key}", "tls-auth-clients yes")
    with Server(tmp_path, *options, f"tls-ca-cert-file {authority}"):
        tls = {"caSecretRef": {"name": "redis-ca"}, "clientCertSecretRef": {"name": "redis-client"}}
        files = {"CA_PATH": authority, "CLIENT_CERT_PATH": certificate, "CLIENT_KEY_PATH": key}
        texts = zip(("ca.crt", "tls.crt", "tls.key"), (file.read_text() for file in files.values()), strict=True)
        here = place(redis_of(f"127.0.0.1:{port}", tls=tls), dict(texts))
        paths = {f"DATABASE_REDIS_MASTER_TLS_{name}": str(file) for name, file in files.items()}
        carries(here.gateway(**paths).ready(), here.gateway(**paths).ready())
        stranger = here.gateway(**(paths | {"DATABASE_REDIS_MASTER_TLS_CA_PATH": ""}))
        nobody = here.gateway(**(paths | dict.fromkeys(list(paths)[1:], "")))
        assert stranger.process.wait(20) != 0
        assert nobody.process.wait(20) != 0


def test_a_gateway_shows_the_certificate_that_it_was_given(
    place: Callable[..., Place], server: Server, tmp_path: Path
) -> None:
    authority, certificate, key = certified(tmp_path)
    here = place(redis_of(server.address), tls={"secretName": "gateway-tls"})
    gateway = here.gateway(SSL_CERT_PATH=str(certificate), SSL_KEY_PATH=str(key))
    trust = ssl.create_default_context(cafile=str(authority))

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{gateway.port}/live", context=trust, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    until(answers, 15)
    with connect(url(gateway).replace("ws:", "wss:"), ssl=trust) as socket:
        assert "connection_established" in str(socket.recv(5))
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(url(gateway).replace("ws:", "wss:"), ssl=ssl.create_default_context())
    with pytest.raises((OSError, InvalidMessage)):
        connect(url(gateway))


def test_gateways_follow_a_failover_through_sentinels(
    place: Callable[..., Place], sentinels: RealtimeCluster, pair: tuple[Server, Server]
) -> None:
    spec = sentinels.spec.redis
    assert spec is not None
    here = place(spec.model_dump(mode="json", by_alias=True, exclude_none=True))
    one, other = here.gateway().ready(), here.gateway().ready()
    carries(one, other)
    pair[0].stop()
    carries(one, other, 90)
    carries(other, one, 90)


def test_after_a_restart_of_redis_gateways_find_their_user_and_one_another_again(
    place: Callable[..., Place], server: Server
) -> None:
    here = place(redis_of(server.address))
    one, other = here.gateway().ready(), here.gateway().ready()
    carries(one, other)
    server.restart()
    time.sleep(2)  # meanwhile they are refused: nobody knows their user
    assert here.redis.pulse()
    carries(one, other)
    until(lambda: one.status() == other.status() == 200, 10)
    assert one.process.poll() is None


def test_a_gateway_that_redis_refuses_does_not_go_on_alone(place: Callable[..., Place], server: Server) -> None:
    here = place(redis_of(server.address))
    here.gateway().ready()
    assert here.gateway(DATABASE_REDIS_PASSWORD="wrong").process.wait(20) != 0


def test_a_gateway_that_postgres_refuses_never_finds_the_probes_app(
    place: Callable[..., Place], server: Server
) -> None:
    here = place(redis_of(server.address))
    here.gateway().ready()
    lost = here.gateway(DATABASE_POSTGRES_PASSWORD="wrong")
    until(lambda: lost.status("/live") == 200, 15)
    assert lost.status() == 404


def test_what_one_gateway_takes_in_all_is_exact(place: Callable[..., Place], server: Server) -> None:
    here = place(redis_of(server.address))
    small = here.gateway(SOCKUDO_MAX_CONNECTIONS="2").ready()
    with socket_on(small, "general"), socket_on(small, "general"), connect(url(small)) as third:
        assert json.loads(third.recv(5))["data"]["code"] == 4100
