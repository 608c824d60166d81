"""Kafka away, back again, or not as it should be; and an admin user that is wrong or too weak."""

import base64
import contextlib
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.backends.kafka_clients import Hub, hub_on, kafka_cluster
from tests.patience import free_port, until
from tests.support import ROOT

from matrixhub.backends.kafka.client import Client
from matrixhub.backends.kafka.session import messages
from matrixhub.errors import Rejected, Unreachable

IDLE_SECONDS = 1
PASSWORD = "private-broker-password"


class Broker:
    """A Kafka of one's own, which may be killed: open by default, and able to start without an authorizer."""

    def __init__(self, folder: Path, libs: str) -> None:
        self._folder, self._libs = folder, libs
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self.tls_port, self._controller = free_port(), free_port(), free_port()
        key, self.certificate = self_signed(folder)
        (folder / "keystore.pem").write_bytes(key.read_bytes() + self.certificate.read_bytes())
        self._settings = folder / "server.properties"
        self._write(authorizer=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        user = f"SCRAM-SHA-512=[name=matrixhub,password={PASSWORD}]"
        words = ["format", "-t", "M" + cluster[1:], "-c", str(self._settings), "--add-scram", user]
        subprocess.run(self._java("kafka.tools.StorageTool", *words), check=True, capture_output=True)

    def _write(self, *, authorizer: bool) -> None:
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
        lines = f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self._controller}
listeners=CLIENT://127.0.0.1:{self.port},TLS://127.0.0.1:{self.tls_port},CONTROLLER://127.0.0.1:{self._controller}
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,TLS:SASL_SSL,CONTROLLER:PLAINTEXT
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location={self._folder / "keystore.pem"}
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config={login} username="matrixhub" password="{PASSWORD}";
listener.name.tls.scram-sha-512.sasl.jaas.config={login} username="matrixhub" password="{PASSWORD}";
log.dirs={self._folder / "data"}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
connections.max.idle.ms={IDLE_SECONDS * 1000}
"""
        if authorizer:
            lines += """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:matrixhub;User:ANONYMOUS
allow.everyone.if.no.acl.found=true
"""
        self._settings.write_text(lines, encoding="utf-8")

    def _java(self, *words: str) -> list[str]:
        return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self._libs}/*", *words]

    def start(self, *, authorizer: bool = True) -> None:
        self._write(authorizer=authorizer)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._java("kafka.Kafka", str(self._settings)), stdout=log, stderr=log)
        until(self._listens, 60, "the private broker's start")

    def _listens(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            pytest.fail((self._folder / "log").read_text(encoding="utf-8")[-2000:])
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate for 127.0.0.1 that is its own CA."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    return key, certificate


@pytest.fixture(scope="module")
def broker(stand: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("kafka"), stand["KAFKA_LIBS"])
    made.start()
    yield made
    made.kill()


@pytest.fixture
def private(broker: Broker, stand: Mapping[str, str]) -> Iterator[Hub]:
    """The backend on the private broker; its tenants end with the broker."""
    hub = Hub(
        {
            **stand,
            "KAFKA_BOOTSTRAP": f"127.0.0.1:{broker.port}",
            "KAFKA_ADMIN_USER": "matrixhub",
            "KAFKA_ADMIN_PASSWORD": PASSWORD,
        }
    )
    yield hub
    hub.client.close()


def test_brokers_that_let_everybody_in_are_findings(private: Hub) -> None:
    entry = messages.CreateAclsRequest.AclCreation(2, "ka-", 4, "User:*", "*", 3, 3)
    private.admin.raw(messages.CreateAclsRequest(creations=[entry]))
    until(lambda: len(private.client.prepare().findings) >= 2, 10, "both are found")
    survey = private.client.prepare()
    assert survey.version.startswith("4.")
    assert {finding.reason for finding in survey.findings} == {"OpenByDefault", "WildcardPrincipal"}
    assert any("topic ka- (prefixed)" in finding.message for finding in survey.findings)


def test_tls_with_the_ca_of_the_secret(private: Hub, broker: Broker) -> None:
    on = kafka_cluster(private.stand, bootstrapServers=[f"127.0.0.1:{broker.tls_port}"], securityProtocol="SASL_SSL")
    authority = broker.certificate.read_text(encoding="utf-8")
    client = Client(on, {"username": "matrixhub", "password": PASSWORD, "ca.crt": authority})
    assert client.prepare().version.startswith("4.")
    client.close()


def test_a_broker_that_died_is_unreachable_at_once_and_used_again_when_it_is_back(private: Hub, broker: Broker) -> None:
    wish = private.intent("ka-lost")
    private.converge(wish)
    broker.kill()
    for attempt in (private.client.prepare, lambda: private.observe(wish)):
        started = time.monotonic()
        with pytest.raises(Unreachable, match=f"kafka at 127.0.0.1:{broker.port} does not answer"):
            attempt()
        assert time.monotonic() - started < 5
    broker.start()
    private.client.prepare()
    assert private.converge(wish) == []
    assert private.converge(private.intent("ka-after"))


def test_a_connection_that_the_broker_closed_meanwhile_is_not_noticed(private: Hub) -> None:
    wish = private.intent("ka-idle")
    private.converge(wish)
    time.sleep(IDLE_SECONDS + 1.5)
    assert private.converge(wish) == []


def test_a_broker_without_an_authorizer_is_refused(private: Hub, broker: Broker) -> None:
    broker.kill()
    broker.start(authorizer=False)
    with pytest.raises(Rejected) as caught:
        private.client.prepare()
    assert caught.value.reason == "AuthorizerMissing"


def test_a_server_that_swallows_everything_is_unreachable_within_seconds(stand: Mapping[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        on = kafka_cluster(stand, bootstrapServers=[f"127.0.0.1:{silent.getsockname()[1]}"])
        client = Client(on, {"username": "u", "password": "p"})
        started = time.monotonic()
        with pytest.raises(Unreachable):
            client.prepare()
        assert time.monotonic() - started < 12


@pytest.mark.parametrize("server", ["127.0.0.1:1", "no-such-host.invalid:9092"])
def test_a_server_that_is_not_there_is_unreachable_at_once(stand: Mapping[str, str], server: str) -> None:
    client = Client(kafka_cluster(stand, bootstrapServers=[server]), {"username": "u", "password": "p"})
    started = time.monotonic()
    with pytest.raises(Unreachable, match=f"kafka at {server} does not answer"):
        client.prepare()
    assert time.monotonic() - started < 5


def test_the_next_bootstrap_server_is_tried(stand: Mapping[str, str]) -> None:
    on = kafka_cluster(stand, bootstrapServers=["127.0.0.1:1", stand["KAFKA_BOOTSTRAP"]])
    client = Client(on, {"username": stand["KAFKA_ADMIN_USER"], "password": stand["KAFKA_ADMIN_PASSWORD"]})
    assert client.prepare().findings == ()
    client.close()


def test_a_wrong_admin_password_is_told(stand: Mapping[str, str]) -> None:
    client = Client(kafka_cluster(stand), {"username": stand["KAFKA_ADMIN_USER"], "password": "wrong-password"})
    with pytest.raises(Rejected) as caught:
        client.prepare()
    assert caught.value.reason == "AuthenticationFailed"
    assert "Secret matrixhub/kafka-admin" in caught.value.message
    assert "wrong-password" not in caught.value.message


def test_a_certificate_that_the_ca_did_not_sign_is_told(stand: Mapping[str, str], tmp_path: Path) -> None:
    key, certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=shake_hands, args=(server, context), daemon=True).start()
        on = kafka_cluster(
            stand, bootstrapServers=[f"127.0.0.1:{server.getsockname()[1]}"], securityProtocol="SASL_SSL"
        )
        with pytest.raises(Rejected) as caught:
            Client(on, {"username": "u", "password": "p"}).prepare()
        assert caught.value.reason == "CertificateUntrusted"
        with pytest.raises(Rejected, match="holds no certificate in PEM"):
            Client(on, {"username": "u", "password": "p", "ca.crt": "not a certificate"}).prepare()


def shake_hands(server: socket.socket, context: ssl.SSLContext) -> None:
    """Every connection gets the server's certificate, until the server is closed."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with contextlib.suppress(OSError), connection:
                context.wrap_socket(connection, server_side=True).close()


@pytest.mark.parametrize("key", ["username", "password"])
def test_a_key_that_the_admin_secret_lacks_is_told(stand: Mapping[str, str], key: str) -> None:
    secret = {"username": "u", "password": "p"}
    del secret[key]
    with pytest.raises(Rejected, match=f"Secret matrixhub/kafka-admin has no key `{key}`") as caught:
        Client(kafka_cluster(stand), secret).prepare()
    assert caught.value.reason == "AdminSecretInvalid"


def test_an_admin_without_rights_is_told_which_and_how_to_give_them(stand: Mapping[str, str]) -> None:
    with hub_on(stand) as hub:
        wish = hub.intent("ka-weak")
        hub.converge(wish)
        steps = hub.client.plan(hub.client.desired(hub.intent("ka-weak-2")), hub.observe(hub.intent("ka-weak-2")))
        login = hub.login("ka-weak")
        client = Client(hub.cluster, {"username": login.username, "password": login.password})
        for attempt in (client.prepare, lambda: client.observe([wish]), lambda: client.observe([wish] * 1)):
            with pytest.raises(Rejected) as caught:
                attempt()
            assert caught.value.reason == "PermissionDenied"
            assert "manifests/admin-rights/kafka.acls" in caught.value.message
        error = client.apply({"ka-weak-2": steps})["ka-weak-2"].error
        assert isinstance(error, Rejected)
        assert error.reason == "PermissionDenied"
        client.close()


def test_an_outage_makes_no_noise_and_no_log_holds_the_password(
    stand: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = Client(kafka_cluster(stand), {"username": stand["KAFKA_ADMIN_USER"], "password": "wrong-password"})
    with pytest.raises(Rejected):
        client.prepare()
    assert not [record for record in caplog.records if record.name.startswith("kafka")]
    code = (
        "from tests.support import stand_variables; from matrixhub.backends.kafka.client import Client\n"
        "from tests.support import cluster\n"
        "try: Client(cluster(stand_variables()), {'username': 'u', 'password': 'p'}).prepare()\n"
        "except Exception as error: assert error.reason == 'AuthenticationFailed', error\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, env=environment, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
