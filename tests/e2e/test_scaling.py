"""Gateways follow real sockets, relays a real backlog, on a real node: up within seconds, down with nobody hurt."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.hub import Hub, until

from demo.event import login
from demo.sockets import Sockets

NAME, TENANT = "waves", "waves-school"
SOCKETS, BACKLOG = 300, 20_000


def spec(hub: Hub) -> dict[str, Any]:
    """A data plane of small gateways and one slow relay, whose windows are short."""
    main = hub.get("realtimecluster", "main", "-n", "matrixhub")["spec"]
    return {
        **{name: main[name] for name in ("postgres", "redis")},
        "kafka": main["kafka"] | {"topics": [{"domain": "institution", "events": ["updates"], "partitions": 6}]},
        "gateway": {
            "image": hub.env["GATEWAY_IMAGE"],
            "minReplicas": 2,
            "maxReplicas": 4,
            "connectionsPerReplica": 400,
        },
        "relay": {
            "image": hub.env["MATRIXHUB_IMAGE"],
            "routes": [{"topics": "*.institution.*", "channel": "{domain}.{event}"}],
            "maxReplicas": 3,
            "targetDrain": "10s",
        },
        "autoscaling": {
            "gateway": {"targetConnectionsPerReplica": 100, "scaleDownStabilization": "15s"},
            "consumers": {"scaleDownStabilization": "15s"},
        },
    }


@pytest.fixture(scope="module")
def waves(hub: Hub) -> Iterator[Hub]:
    """The RealtimeCluster with two gateways and one relay at work, and a Tenant on it."""
    metadata = {"name": NAME, "namespace": "matrixhub"}
    kind = {"apiVersion": "matrixhub.io/v1alpha1", "kind": "RealtimeCluster"}
    hub.apply({**kind, "metadata": metadata, "spec": spec(hub)})
    hub.apply(
        {
            **hub.tenant(TENANT),
            "spec": {
                "clusterRef": {"namespace": "matrixhub", "name": NAME},
                "deletionPolicy": "Delete",
                "gateway": {"maxConnections": 1000},
            },
        }
    )
    hub.tenants.remove(TENANT)  # it outlives the single test
    hub.ready(TENANT)
    until(lambda: len(pods(hub, "gateway")) == 2, 60, "two gateways take connections")
    until(lambda: len(pods(hub, "relay")) == 1, 60, "one relay is at work")
    yield hub
    hub.delete(TENANT)
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", NAME, "--timeout=60s")


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets()
    yield made
    made.end()


def pods(hub: Hub, component: str) -> dict[str, str]:
    """By name, the addresses of the pods that are ready."""
    selector = f"app.kubernetes.io/name={component},app.kubernetes.io/instance={NAME}"
    found = hub.get("pods", "-n", "matrixhub", "-l", selector)["items"]
    return {
        pod["metadata"]["name"]: pod["status"]["podIP"]
        for pod in found
        if not pod["metadata"].get("deletionTimestamp")
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
    }


def replicas(hub: Hub, component: str) -> int:
    """How many the scaler wants."""
    wanted: int = hub.get("deployment", f"{NAME}-{component}", "-n", "matrixhub")["spec"]["replicas"]
    return wanted


def decision(hub: Hub, component: str) -> dict[str, Any]:
    """What the status says of it."""
    entries = hub.get("realtimecluster", NAME, "-n", "matrixhub")["status"]["scaling"]
    return next(entry for entry in entries if entry["name"] == component)


def test_sockets_bring_gateways_and_no_survivor_loses_one_when_they_go(waves: Hub, sockets: Sockets) -> None:
    key = waves.secret(TENANT, "gateway")["PUSHER_APP_KEY"]
    first, second = (f"{address}:6001" for address in pods(waves, "gateway").values())
    sockets.open(first, key, SOCKETS // 2)
    sockets.open(second, key, SOCKETS // 2)

    until(lambda: replicas(waves, "gateway") > 2, 15, "300 sockets bring more gateways")
    until(lambda: len(pods(waves, "gateway")) > 2, 30, "and they take connections")
    assert sockets.alive(first) + sockets.alive(second) == SOCKETS
    assert decision(waves, "gateway")["lastScaleTime"]
    until(
        lambda: waves.get("realtimecluster", NAME, "-n", "matrixhub")["status"]["gateway"]["connections"] == SOCKETS,
        20,
        "the status shows them",
    )
    until(lambda: waves.get("tenant", TENANT)["status"].get("connections") == SOCKETS, 30, "the Tenant does, too")

    sockets.close(first, keep=10)
    sockets.close(second, keep=10)

    until(lambda: replicas(waves, "gateway") == 2, 120, "after the window they go, one at a time")
    until(lambda: len(pods(waves, "gateway")) == 2, 60, "the pods have ended")
    assert sockets.alive(first) + sockets.alive(second) == 20
    steps = [message for reason, message in events(waves) if reason == "SuccessfulRescale" and "gateway" in message]
    assert steps, "each change is an Event that says why"


def test_a_backlog_brings_relays_and_every_event_arrives(waves: Hub, sockets: Sockets) -> None:
    (gateway, *_) = (f"{address}:6001" for address in pods(waves, "gateway").values())
    sockets.open(gateway, waves.secret(TENANT, "gateway")["PUSHER_APP_KEY"], 1, "institution.updates")
    with login(waves.env, TENANT) as producer:
        sent = [
            producer.send(f"{TENANT}.institution.updates", json.dumps({"number": number}).encode())
            for number in range(BACKLOG)
        ]
        producer.flush(60)
        assert all(future.succeeded() for future in sent)

    until(lambda: replicas(waves, "relay") > 1, 15, "a backlog of 20,000 brings more relays")
    until(lambda: arrived(sockets) == set(range(BACKLOG)), 90, "every event reaches the subscriber")
    until(lambda: replicas(waves, "relay") == 1, 90, "once it is empty, and has been for the window, they go again")


def test_a_pause_holds_the_number_and_says_so(waves: Hub, sockets: Sockets) -> None:
    annotate = ("-n", "matrixhub", "annotate", "--overwrite", "realtimecluster", NAME)
    waves.kubectl(*annotate, "matrixhub.io/scaling-paused=up")
    key = waves.secret(TENANT, "gateway")["PUSHER_APP_KEY"]
    (gateway, *_) = (f"{address}:6001" for address in pods(waves, "gateway").values())
    sockets.open(gateway, key, SOCKETS)

    until(lambda: decision(waves, "gateway")["reason"] == "Paused", 20, "the status says that it is paused")
    assert replicas(waves, "gateway") == 2

    waves.kubectl(*annotate, "matrixhub.io/scaling-paused-")
    until(lambda: replicas(waves, "gateway") > 2, 15, "without the annotation it scales")


def arrived(sockets: Sockets) -> set[int]:
    """The numbers of the events that were received."""
    return {json.loads(received.data)["number"] for received in sockets.events}


def events(hub: Hub) -> list[tuple[str, str]]:
    """Reason and message of every Event about the RealtimeCluster."""
    found = hub.get("events", "-n", "matrixhub", "--field-selector", f"involvedObject.name={NAME}")
    return [(event["reason"], event["message"]) for event in found["items"]]
