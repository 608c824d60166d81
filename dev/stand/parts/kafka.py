"""Kafka, one node as broker and controller: SCRAM users `admin` (super user) and `matrixhub`, and ACLs.

Clients have three ports: without TLS, with it, and with a certificate of their own asked for (`mutual`).
"""

from __future__ import annotations

import base64
import shutil
import socket
import uuid
from pathlib import Path

from stand import pki
from stand.part import Part
from stand.recipes import KAFKA as RECIPE
from stand.rights import rights
from stand.run import Failure, output
from stand.state import Stand, private

ROOT = "admin"
ADMIN = "matrixhub"
_BUILDS = Path(__file__).resolve().parent.parent / "builds"


def libs() -> Path:
    """The folder of jars."""
    return RECIPE.folder / "libs"


def client_properties(stand: Stand) -> Path:
    """What Kafka's own tools want as --command-config to act as the super user."""
    return stand.state / "kafka-client.properties"


def _login(stand: Stand) -> str:
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return f'{module} required username="{ROOT}" password="{stand.secrets["kafka-root"]}";'


def _server_properties(stand: Stand) -> str:
    client, controller = stand.port("kafka"), stand.port("kafka-controller")
    tls, mutual = stand.port("kafka-tls"), stand.port("kafka-mutual")
    open_to_all = f"TLS://0.0.0.0:{tls},MUTUAL://0.0.0.0:{mutual}"  # also by names that no certificate is for
    advertised = f"TLS://{stand.host}:{tls},MUTUAL://{stand.host}:{mutual}"
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://{stand.host}:{client},{open_to_all},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://{stand.host}:{client},{advertised}
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,TLS:SASL_SSL,MUTUAL:SASL_SSL,CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={stand.folder("kafka") / "keystore.pem"}
ssl.truststore.type=PEM
ssl.truststore.location={pki.authority(stand)}
listener.name.mutual.ssl.client.auth=required
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config={_login(stand)}
listener.name.tls.scram-sha-512.sasl.jaas.config={_login(stand)}
listener.name.mutual.scram-sha-512.sasl.jaas.config={_login(stand)}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{ROOT};User:ANONYMOUS
allow.everyone.if.no.acl.found=false
auto.create.topics.enable=false
log.dirs={stand.folder("kafka") / "data"}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=1000
broker.session.timeout.ms=4000
metadata.log.max.snapshot.interval.ms=5000
"""


def _client_properties(stand: Stand) -> str:
    return f"""\
bootstrap.servers={stand.host}:{stand.port("kafka")}
security.protocol=SASL_PLAINTEXT
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config={_login(stand)}
"""


def _java(stand: Stand, *words: str) -> list[str]:
    """A JVM with Kafka on its class path that starts fast rather than running fast."""
    path = f"{stand.folder('kafka') / 'classes'}:{libs()}/*"
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path, *words]


def _format(stand: Stand, config: Path) -> None:
    """The data folder is a new cluster that knows both users."""
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    users = [
        word
        for name, secret in ((ROOT, "kafka-root"), (ADMIN, "kafka-admin"))
        for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={stand.secrets[secret]}]")
    ]
    # A leading dash would read as an option.
    cluster = "M" + cluster[1:]
    output(_java(stand, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config), *users))


def _prepare(stand: Stand) -> None:
    """The cluster is formatted and its configuration is this stand's."""
    folder = stand.folder("kafka")
    config = private(folder / "server.properties", _server_properties(stand))
    certificate, key = pki.backend(stand)
    private(folder / "keystore.pem", key.read_text() + certificate.read_text())
    private(client_properties(stand), _client_properties(stand))
    if not (folder / "data" / "meta.properties").exists():
        shutil.rmtree(folder / "data", ignore_errors=True)
        _format(stand, config)


def _command(stand: Stand) -> list[str]:
    logging = f"-Dlog4j2.configurationFile={_BUILDS / 'kafka-log4j2.properties'}"
    config = stand.folder("kafka") / "server.properties"
    return _java(stand, "-Xms256m", "-Xmx512m", logging, "kafka.Kafka", str(config))


def _ready(stand: Stand) -> bool:
    """The client listener opens last, when the broker has caught up with its own metadata."""
    try:
        with socket.create_connection((stand.host, stand.port("kafka")), timeout=1):
            return True
    except OSError:
        return False


def _settle(stand: Stand) -> None:
    """The admin user has the ACLs of the file, and those only."""
    file = rights("kafka.acls")
    source = _BUILDS / "KafkaRights.java"
    compiled = stand.folder("kafka") / "classes" / "KafkaRights.class"
    if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
        output(["javac", "-cp", f"{libs()}/*", "-d", compiled.parent, source])
    try:
        output(_java(stand, "KafkaRights", str(client_properties(stand)), f"User:{ADMIN}", str(file)))
    except Failure as failure:
        raise Failure(f"{file}: {failure}") from None


KAFKA = Part(name="kafka", group="backends", prepare=_prepare, command=_command, ready=_ready, settle=_settle)
