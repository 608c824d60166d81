"""RealtimeClusters over the doors of the stand that speak TLS, and a tenant's clients that come in by them."""

import json
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import redis
from kafka import KafkaConsumer, KafkaProducer
from tests.e2e.hub import Hub, objects
from tests.patience import until
from websockets.sync.client import connect

from demo.cluster import get
from demo.event import secret

NAMESPACE = "matrixhub"
PATIENCE = 60.0
BACKENDS = ("PostgresReady", "RedisReady", "KafkaReady", "ObjectStoreReady")


def certificate_secret(name: str, **files: Path) -> dict[str, Any]:
    """A Secret with these files, `ca_crt` as `ca.crt`."""
    data = {key.replace("_", "."): path.read_text(encoding="utf-8") for key, path in files.items()}
    kind = "kubernetes.io/tls" if "tls.key" in data else "Opaque"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "type": kind,
        "stringData": data,
    }


def backends(env: Mapping[str, str], *, ca: str = "stand-ca", host: str = "") -> dict[str, Any]:
    """All backends over TLS, checked by the authority in the Secret `ca`; `host` is another name for the servers."""
    tls = {"caSecretRef": {"name": ca}}
    there = host or env["STAND_HOST"]

    def at(place: str) -> str:
        return place.replace(env["STAND_HOST"], there)

    return {
        "postgres": {
            "host": there,
            "port": int(env["PGPORT"]),
            "database": env["PGDATABASE"],
            "tls": tls,
            "adminSecretRef": {"name": "postgres-admin"},
        },
        "redis": {
            "nodes": [f"{there}:{env['REDIS_TLS_PORT']}"],
            "tls": tls,
            "adminSecretRef": {"name": "redis-admin"},
        },
        "kafka": {
            "bootstrapServers": [at(env["KAFKA_TLS_BOOTSTRAP"])],
            "tls": tls,
            "adminSecretRef": {"name": "kafka-admin"},
            "replicationFactor": 1,
            "topics": [{"domain": "institution", "events": ["updates"]}],
        },
        "objectStore": {
            "provider": "minio",
            "endpoint": at(env["S3_TLS_ENDPOINT"]),
            "tls": tls,
            "adminSecretRef": {"name": "object-store-admin"},
        },
    }


def pods(env: Mapping[str, str]) -> dict[str, Any]:
    """One gateway with a certificate, and one relay."""
    small = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
    one = {"minReplicas": 1, "maxReplicas": 1, "resources": small}
    tls = {"secretName": "gateway-tls", "caSecretRef": {"name": "other-ca"}}
    routes = [{"topics": "*.institution.*", "channel": "{domain}.{event}"}]
    return {
        "gateway": {"image": env["GATEWAY_IMAGE"], "tls": tls, **one},
        "relay": {"image": env["MATRIXHUB_IMAGE"], "routes": routes, **one},
    }


def realtimecluster(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a RealtimeCluster beside `main`."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "matrixhub.io/v1alpha1", "kind": "RealtimeCluster", "metadata": metadata, "spec": dict(spec)}


def reasons(hub: Hub, name: str, *kinds: str) -> dict[str, str]:
    """By type, the reasons of the RealtimeCluster's conditions that are about its present generation."""
    found = conditions(hub, name)
    return {kind: found[kind]["reason"] if kind in found else "" for kind in kinds or BACKENDS}


def conditions(hub: Hub, name: str) -> dict[str, dict[str, Any]]:
    """By type, the RealtimeCluster's conditions that are about its present generation."""
    cluster = hub.get("realtimecluster", name, "-n", NAMESPACE)
    generation = cluster["metadata"]["generation"]
    told = cluster.get("status", {}).get("conditions", [])
    return {each["type"]: each for each in told if each.get("observedGeneration") == generation}


def become(hub: Hub, name: str, **wanted: str) -> dict[str, dict[str, Any]]:
    """The conditions, once they have these reasons; fails when they do not before long."""
    until(lambda: reasons(hub, name, *wanted) == wanted, 30, f"{name}: {wanted}, but {conditions(hub, name)}")
    return conditions(hub, name)


class School:
    """A tenant's applications, each with what its own Secret says and the authority that stands in it."""

    def __init__(self, hub: Hub, tenant: str, folder: Path) -> None:
        self.tenant, self._hub, self._folder = tenant, hub, folder

    def _told(self, name: str) -> tuple[dict[str, str], str]:
        """The Secret, and a file with its authority."""
        told = secret(self._hub.env, self.tenant, name)
        file = self._folder / f"{name}.crt"
        file.write_text(told["ca.crt"], encoding="utf-8")
        return told, str(file)

    def postgres(self) -> object:
        """Whether the session is encrypted, as the server sees it."""
        told, authority = self._told("postgres")
        assert "sslmode=verify-full" in told["uri"]
        with psycopg.connect(told["uri"], sslrootcert=authority) as session:
            found = session.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        return found and found[0]

    def redis(self) -> object:
        """What comes back of what was written."""
        told, authority = self._told("redis")
        assert told["uri"].startswith("rediss://")
        with redis.Redis.from_url(told["uri"], ssl_ca_certs=authority, decode_responses=True) as client:
            client.set(f"{told['prefix']}a", "1")
            return client.get(f"{told['prefix']}a")

    def store(self) -> object:
        """What comes back of what was put."""
        told, authority = self._told("object-store")
        assert told["endpoint"].startswith("https://")
        client = objects(told, verify=authority)
        client.put_object(Bucket=told["bucket"], Key=f"{told['prefix']}a", Body=b"1")
        body: bytes = client.get_object(Bucket=told["bucket"], Key=f"{told['prefix']}a")["Body"].read()
        client.delete_object(Bucket=told["bucket"], Key=f"{told['prefix']}a")
        client.close()
        return body

    def _kafka(self) -> tuple[dict[str, str], dict[str, Any]]:
        told, authority = self._told("kafka")
        assert told["securityProtocol"] == "SASL_SSL"
        return told, {
            "bootstrap_servers": told["bootstrapServers"].split(","),
            "security_protocol": told["securityProtocol"],
            "ssl_cafile": authority,
            "sasl_mechanism": told["saslMechanism"],
            "sasl_plain_username": told["username"],
            "sasl_plain_password": told["password"],
        }

    def produce(self, topic: str, value: object) -> None:
        """The record is in the tenant's topic."""
        told, settings = self._kafka()
        producer = KafkaProducer(**settings)
        producer.send(told["topicPrefix"] + topic, json.dumps(value).encode()).get(timeout=PATIENCE)
        producer.close()

    def consume(self, topic: str) -> object:
        """The first record of the tenant's topic."""
        told, settings = self._kafka()
        group = {"group_id": f"{told['groupPrefix']}test", "auto_offset_reset": "earliest"}
        consumer = KafkaConsumer(told["topicPrefix"] + topic, **settings, **group, consumer_timeout_ms=30_000)
        value = json.loads(next(consumer).value)
        consumer.close()
        return value

    def hears(self, channel: str, topic: str, value: object) -> object:
        """What a browser gets over wss of a record that is produced while it listens."""
        told, authority = self._told("gateway")
        assert told["PUSHER_SCHEME"] == "https"
        service = get(self._hub.env, "service", "secure-gateway", "-n", NAMESPACE)["spec"]
        url = f"wss://{service['clusterIP']}:{told['PUSHER_PORT']}/app/{told['PUSHER_APP_KEY']}?protocol=7&client=t"
        trust = ssl.create_default_context(cafile=authority)
        with connect(url, ssl=trust, server_hostname=told["PUSHER_HOST"], open_timeout=PATIENCE) as socket:
            socket.recv(PATIENCE)
            socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}}))
            socket.recv(PATIENCE)
            speaker = threading.Thread(target=self.produce, args=(topic, value), daemon=True)
            speaker.start()
            while True:
                message = json.loads(socket.recv(PATIENCE))
                if message.get("channel") == channel and not message["event"].startswith("pusher"):
                    speaker.join(PATIENCE)
                    return json.loads(message["data"])
