"""One event on the whole path: a school's service produces it to Kafka, its browser receives it from a gateway."""

from __future__ import annotations

import base64
import json
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import connect
from websockets.typing import Origin

from demo.cluster import get

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # importlib.resources.read_text, in kafka-python 3.0
    from kafka import KafkaConsumer, KafkaProducer  # type: ignore[import-untyped]  # the driver has no annotations

PATIENCE = 60.0
"""Seconds until the event has to be there: a relay that just started joins its group first."""


def secret(env: Mapping[str, str], tenant: str, name: str) -> dict[str, str]:
    """What the tenant's applications find in one of their Secrets."""
    data = get(env, "secret", name, "-n", f"tenant-{tenant}")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


@contextmanager
def login(env: Mapping[str, str], tenant: str) -> Iterator[Any]:
    """A producer that is logged in as the tenant."""
    producer = KafkaProducer(**_settings(env, tenant))
    yield producer
    producer.close()


@contextmanager
def reader(env: Mapping[str, str], tenant: str, group: str, topic: str) -> Iterator[Any]:
    """A consumer that is logged in as the tenant, reads from the beginning, and commits when told to."""
    how = {"group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = KafkaConsumer(topic, **how, **_settings(env, tenant))
    yield consumer
    consumer.close()


def _settings(env: Mapping[str, str], tenant: str) -> dict[str, Any]:
    held = secret(env, tenant, "kafka")
    return {
        "bootstrap_servers": held["bootstrapServers"].split(","),
        "security_protocol": held["securityProtocol"],
        "sasl_mechanism": held["saslMechanism"],
        "sasl_plain_username": held["username"],
        "sasl_plain_password": held["password"],
    }


def produced(env: Mapping[str, str], tenant: str, topic: str, value: Mapping[str, Any]) -> None:
    """The record is in the tenant's topic."""
    with login(env, tenant) as producer:
        producer.send(f"{tenant}.{topic}", json.dumps(value).encode()).get(timeout=PATIENCE)


def gateways(env: Mapping[str, str]) -> str:
    """Where the gateways of the RealtimeCluster `main` are reached, as host:port."""
    service = get(env, "service", "main-gateway", "-n", "matrixhub")["spec"]
    return f"{service['clusterIP']}:{service['ports'][0]['port']}"


def seen(env: Mapping[str, str], tenant: str, topic: str) -> tuple[str, float]:
    """The event as a subscriber read it, and the seconds it took from the producer. Raises TimeoutError.

    The sample's routes name a channel after its topic: `institution.updates`.
    """
    gateway, channel = gateways(env), topic
    key = secret(env, tenant, "gateway")["PUSHER_APP_KEY"]
    origins = get(env, "tenant", tenant)["spec"]["gateway"].get("allowedOrigins")
    origin = Origin(origins[0]) if origins else None
    with connect(
        f"ws://{gateway}/app/{key}?protocol=7&client=demo&version=1", origin=origin, open_timeout=PATIENCE
    ) as socket:
        socket.recv(PATIENCE)
        socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}}))
        socket.recv(PATIENCE)
        began = time.monotonic()
        value = {"title": "School starts at nine tomorrow"}
        threading.Thread(target=produced, args=(env, tenant, topic, value), daemon=True).start()
        while True:
            message = json.loads(socket.recv(PATIENCE))
            if message.get("channel") == channel and not message["event"].startswith("pusher"):
                return f"{message['channel']} {message['event']} {message['data']}", time.monotonic() - began
