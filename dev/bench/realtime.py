"""Events on their way to real WebSocket subscribers, through gateways and a relay in pods."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pusher import Pusher  # type: ignore[import-untyped]  # it has no annotations

from demo import cluster as demo
from demo.event import gateways, login, secret
from demo.sockets import Sockets

TENANT, TOPIC = "bench-live", "institution.updates"
SUBSCRIBERS, PUBLISHED = 200, 100
"""Sockets that each published event reaches, and events."""
PRODUCED, CROWD = 200, 10_000
"""Events produced one by one, and at once."""
WAVE = 300
"""Sockets that bring more gateways."""
PAUSE = 0.05
"""Seconds between two events that are timed."""
PATIENCE = 120.0


def realtime(env: Mapping[str, str]) -> dict[str, float]:
    """What a browser sees: publish to receipt, produce to receipt, events per second, seconds to more gateways."""
    with school(env) as key, subscribers() as sockets:
        address = gateways(env)
        found = published(env, address, key, sockets)
        return {**found, **produced(env, address, key, sockets), **waves(env, address, key, sockets)}


@contextmanager
def school(env: Mapping[str, str]) -> Iterator[str]:
    """A Tenant with six partitions for its events; the key of its app."""
    spec = {
        "clusterRef": {"namespace": "matrixhub", "name": "main"},
        "deletionPolicy": "Delete",
        "gateway": {"maxConnections": 2000},
        "kafka": {"topics": [{"domain": "institution", "events": ["updates"], "partitions": 6}]},
    }
    manifest = {"apiVersion": "matrixhub.io/v1alpha1", "kind": "Tenant", "metadata": {"name": TENANT}, "spec": spec}
    demo.kubectl(env, "apply", "-f", "-", text=json.dumps(manifest))
    demo.kubectl(env, "wait", "--for=condition=Ready", "--timeout=60s", f"tenant/{TENANT}")
    demo.kubectl(env, "-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=120s", "realtimecluster/main")
    try:
        yield secret(env, TENANT, "gateway")["PUSHER_APP_KEY"]
    finally:
        demo.kubectl(env, "delete", "tenant", TENANT, "--timeout=60s")


@contextmanager
def subscribers() -> Iterator[Sockets]:
    """Sockets that are closed in the end."""
    made = Sockets()
    try:
        yield made
    finally:
        made.end()


def published(env: Mapping[str, str], address: str, key: str, sockets: Sockets) -> dict[str, float]:
    """Milliseconds from an HTTP publish to its receipt by each of 200 sockets."""
    held = secret(env, TENANT, "gateway")
    host, _, port = address.rpartition(":")
    app = Pusher(held["PUSHER_APP_ID"], key, held["PUSHER_APP_SECRET"], ssl=False, host=host, port=int(port))
    sockets.open(address, key, SUBSCRIBERS, "bench")
    sockets.events.clear()
    for _ in range(PUBLISHED):
        app.trigger("bench", "timed", {"at": time.monotonic()})
        time.sleep(PAUSE)
    seen(lambda: len(sockets.events) == SUBSCRIBERS * PUBLISHED)
    delays = milliseconds(sockets)
    sockets.close(address)
    return {"gateway_publish_p50_ms": statistics.median(delays), "gateway_publish_p99_ms": percentile(delays, 99)}


def produced(env: Mapping[str, str], address: str, key: str, sockets: Sockets) -> dict[str, float]:
    """Milliseconds from a produce by the tenant to its subscriber, and what one relay brings in a second."""
    sockets.open(address, key, 1, TOPIC)
    with login(env, TENANT) as producer:
        send(producer, 1)
        seen(lambda: len(sockets.events) > SUBSCRIBERS * PUBLISHED)
        sockets.events.clear()
        for _ in range(PRODUCED):
            send(producer, 1)
            time.sleep(PAUSE)
        seen(lambda: len(sockets.events) >= PRODUCED)
        delays = milliseconds(sockets)
        sockets.events.clear()
        send(producer, CROWD)
        seen(lambda: len(sockets.events) >= CROWD)
    seconds = sockets.events[-1].at - min(json.loads(received.data)["at"] for received in sockets.events)
    sockets.close(address)
    return {
        "event_to_socket_p50_ms": statistics.median(delays),
        "event_to_socket_p99_ms": percentile(delays, 99),
        "relay_events_per_s": CROWD / seconds,
    }


def waves(env: Mapping[str, str], address: str, key: str, sockets: Sockets) -> dict[str, float]:
    """Seconds from 300 sockets to the decision for more gateways, and to those taking connections."""
    before = deployment(env)["spec"]["replicas"]
    scale(env, WAVE // (before + 1))
    began = time.monotonic()
    sockets.open(address, key, WAVE)
    seen(lambda: deployment(env)["spec"]["replicas"] > before)
    decided = time.monotonic() - began
    seen(lambda: deployment(env)["status"].get("readyReplicas", 0) > before)
    ready = time.monotonic() - began
    scale(env, 1000)
    return {"scale_up_s": decided, "scale_up_ready_s": ready}


def scale(env: Mapping[str, str], target: int) -> None:
    """The gateways are to hold so many sockets each."""
    patch = {"spec": {"autoscaling": {"gateway": {"targetConnectionsPerReplica": target}}}}
    words = ("-n", "matrixhub", "patch", "realtimecluster", "main", "--type=merge", "-p", json.dumps(patch))
    demo.kubectl(env, *words)


def deployment(env: Mapping[str, str]) -> Any:
    """The gateways' Deployment."""
    return demo.get(env, "deployment", "main-gateway", "-n", "matrixhub")


def send(producer: Any, count: int) -> None:
    """So many records are in the tenant's topic, each with the moment at which it was sent."""
    for _ in range(count):
        producer.send(f"{TENANT}.{TOPIC}", json.dumps({"at": time.monotonic()}).encode())
    producer.flush(PATIENCE)


def seen(condition: Callable[[], bool]) -> None:
    """The condition holds; ends the benchmark when it does not in time."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"{condition} did not hold within {PATIENCE:.0f} s")
        time.sleep(0.02)


def milliseconds(sockets: Sockets) -> list[float]:
    """Of each event received, the time since it was sent."""
    return [1000 * (received.at - json.loads(received.data)["at"]) for received in sockets.events]


def percentile(values: list[float], of: int) -> float:
    """The value that so many percent do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[of - 1]
