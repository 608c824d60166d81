"""Gateways follow real sockets, relays a real backlog, on a real node: up within seconds, down with nobody hurt."""

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from tests.e2e import admins
from tests.e2e.hub import Hub
from tests.patience import until

from demo.event import login
from demo.sockets import Sockets
from stand import process
from stand.state import claimed

NAME, TENANT = "waves", "waves-school"
SOCKETS, BACKLOG, MAX_RELAYS = 300, 20_000, 3


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
            "maxReplicas": MAX_RELAYS,
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
    hub.kubectl("-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=90s", f"realtimecluster/{NAME}")
    assert len(gateways(hub)) == 2, "it is Ready once as many as there are at least take connections"
    until(lambda: len(hub.pods("relay", NAME)) == 1, 60, "one relay is at work")
    yield hub
    hub.delete(TENANT)
    hub.kubectl("-n", "matrixhub", "delete", "realtimecluster", NAME, "--timeout=60s")


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets()
    yield made
    made.end()


def replicas(hub: Hub, component: str) -> int:
    """How many the scaler wants."""
    wanted: int = hub.get("deployment", f"{NAME}-{component}", "-n", "matrixhub")["spec"]["replicas"]
    return wanted


def gateways(hub: Hub) -> list[str]:
    """Where those that are ready take sockets."""
    return [f"{address}:6001" for address in hub.pods("gateway", NAME).values()]


def decision(hub: Hub, component: str) -> dict[str, Any]:
    """What the status says of it."""
    entries = hub.get("realtimecluster", NAME, "-n", "matrixhub")["status"]["scaling"]
    return next(entry for entry in entries if entry["name"] == component)


def test_one_look_tells_how_the_data_plane_is(waves: Hub) -> None:
    cluster = ("realtimecluster", NAME, "-n", "matrixhub")
    until(lambda: waves.get(*cluster)["status"]["gateway"]["ready"] == 2, 10, "the gateways are seen")
    status = waves.get(*cluster)["status"]
    assert status["tenants"] == 1
    assert status["gateway"]["replicas"] == 2
    assert {pod["name"] for pod in status["gateway"]["pods"]} == set(waves.pods("gateway", NAME))

    backends = {backend["name"]: backend for backend in status["backends"]}
    assert {"postgres", "redis", "kafka"} <= set(backends)
    assert all(backend["reachable"] and backend["since"] for backend in backends.values())
    with admins.redis_root(waves) as root:
        assert backends["redis"]["version"] == root.info("server")["redis_version"]
    with psycopg.connect(waves.secret(TENANT, "postgres")["uri"]) as connection:
        assert backends["postgres"]["version"] == connection.info.parameter_status("server_version")

    header, row = waves.kubectl("get", *cluster).splitlines()
    shown = {name: row[header.index(name) :].split()[0] for name in ("READY", "TENANTS", "GATEWAYS", "CONNECTIONS")}
    assert shown == {"READY": "True", "TENANTS": "1", "GATEWAYS": "2", "CONNECTIONS": "0"}


def test_sockets_bring_gateways_and_no_survivor_loses_one_when_they_go(waves: Hub, sockets: Sockets) -> None:
    key = waves.secret(TENANT, "gateway")["PUSHER_APP_KEY"]
    first, second = gateways(waves)
    sockets.open(first, key, SOCKETS // 2)
    sockets.open(second, key, SOCKETS // 2)

    until(lambda: replicas(waves, "gateway") > 2, 15, "300 sockets bring more gateways")
    until(lambda: len(gateways(waves)) > 2, 30, "and they take connections")
    assert sockets.alive(first) + sockets.alive(second) == SOCKETS
    assert decision(waves, "gateway")["lastScaleTime"]
    until(
        lambda: waves.get("realtimecluster", NAME, "-n", "matrixhub")["status"]["gateway"]["connections"] == SOCKETS,
        20,
        "the status shows them",
    )
    until(lambda: waves.get("tenant", TENANT)["status"].get("connections") == SOCKETS, 30, "the Tenant does, too")

    # A ReplicaSet takes the newest first, the scaler the emptiest: one of the oldest has nobody, a new one has.
    third = next(gateway for gateway in gateways(waves) if gateway not in (first, second))
    sockets.open(third, key, 10)
    sockets.close(first)
    sockets.close(second, keep=10)

    until(lambda: replicas(waves, "gateway") == 2, 120, "after the window they go, one at a time")
    until(lambda: len(gateways(waves)) == 2, 60, "the pods have ended")
    assert set(gateways(waves)) == {second, third}
    assert (sockets.alive(second), sockets.alive(third)) == (10, 10)
    assert steps(waves, "gateway"), "each change is an Event that says why"


def test_a_backlog_brings_relays_and_every_event_arrives(waves: Hub, sockets: Sockets) -> None:
    subscribe(waves, sockets)
    produce(waves, range(BACKLOG))

    until(lambda: replicas(waves, "relay") > 1, 15, "a backlog of 20,000 brings more relays")
    until(lambda: arrived(sockets) == set(range(BACKLOG)), 45, "every event reaches the subscriber")


def test_a_broker_that_was_away_in_the_middle_is_told_and_loses_nothing_and_nothing_flaps(
    waves: Hub, sockets: Sockets
) -> None:
    before = steps(waves, "relay")
    subscribe(waves, sockets)
    produce(waves, range(BACKLOG))
    until(lambda: len(sockets.events) > BACKLOG // 10, 30, "the relays are in the middle of it")
    assert len(arrived(sockets)) < BACKLOG

    waves.stand("stop", "kafka")
    until(lambda: scaling_active(waves) == ("False", "MetricsMissing"), 20, "the condition says that lag is not seen")
    assert decision(waves, "relay")["desiredReplicas"] >= decision(waves, "relay")["replicas"]
    waves.stand("start", "kafka")

    until(lambda: arrived(sockets) == set(range(BACKLOG)), 90, "every event reaches the subscriber all the same")
    until(lambda: scaling_active(waves) == ("True", "ValidMetrics"), 30, "the condition says that all is seen again")
    until(lambda: replicas(waves, "relay") == 1, 90, "once it is empty, and has been for the window, they go again")
    left = [step for step in steps(waves, "relay") if step not in before and step.after < step.before]
    assert len(left) == len({step.before for step in left}), f"no number is left downwards twice: {left}"


def test_a_pause_holds_the_number_and_says_so(waves: Hub, sockets: Sockets) -> None:
    annotate = ("-n", "matrixhub", "annotate", "--overwrite", "realtimecluster", NAME)
    waves.kubectl(*annotate, "matrixhub.io/scaling-paused=up")
    key = waves.secret(TENANT, "gateway")["PUSHER_APP_KEY"]
    sockets.open(gateways(waves)[0], key, SOCKETS)

    until(lambda: decision(waves, "gateway")["reason"] == "Paused", 20, "the status says that it is paused")
    assert replicas(waves, "gateway") == 2

    waves.kubectl(*annotate, "matrixhub.io/scaling-paused-")
    until(lambda: replicas(waves, "gateway") > 2, 15, "without the annotation it scales")


def test_gateways_are_scaled_though_kafka_hangs(waves: Hub, sockets: Sockets) -> None:
    with frozen(waves, "kafka"):
        until(
            lambda: scaling_active(waves) == ("False", "MetricsMissing"), 40, "the condition says that lag is not seen"
        )
        until(lambda: replicas(waves, "gateway") == 2, 60, "what the test before brought has gone")
        key = waves.secret(TENANT, "gateway")["PUSHER_APP_KEY"]
        sockets.open(gateways(waves)[0], key, SOCKETS)
        until(lambda: replicas(waves, "gateway") > 2, 15, "300 sockets bring more gateways")
        assert scaling_active(waves) == ("False", "MetricsMissing")


@contextmanager
def frozen(hub: Hub, part: str) -> Iterator[None]:
    """The part takes connections inside the block, and answers none."""
    stand = claimed(Path(hub.env["MATRIXHUB_STAND"]))
    assert stand
    found = process.running(stand, part)
    assert found
    found.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        found.signal(signal.SIGCONT)


def scaling_active(hub: Hub) -> tuple[str, str]:
    """Status and reason of the condition."""
    told = hub.conditions(NAME)["ScalingActive"]
    return told["status"], told["reason"]


def subscribe(hub: Hub, sockets: Sockets) -> None:
    """One socket of the tenant's receives its events."""
    sockets.open(gateways(hub)[0], hub.secret(TENANT, "gateway")["PUSHER_APP_KEY"], 1, "institution.updates")


def produce(hub: Hub, numbers: range) -> None:
    """Each number is a record in the tenant's topic."""
    with login(hub.env, TENANT) as producer:
        sent = [
            producer.send(f"{TENANT}.institution.updates", json.dumps({"number": number}).encode())
            for number in numbers
        ]
        producer.flush(60)
        assert all(future.succeeded() for future in sent)


def arrived(sockets: Sockets) -> set[int]:
    """The numbers of the events that were received."""
    return {json.loads(received.data)["number"] for received in sockets.events}


class Step(NamedTuple):
    """A change of a number of replicas."""

    event: str
    before: int
    after: int


def steps(hub: Hub, component: str) -> list[Step]:
    """Every change that an Event tells of."""
    found = hub.get("events", "-n", "matrixhub", "--field-selector", f"involvedObject.name={NAME}")
    told = {event["metadata"]["name"]: event["message"] for event in found["items"]}
    matches = ((name, re.match(rf"{component}: (\d+) to (\d+): ", message)) for name, message in told.items())
    return [Step(name, int(match[1]), int(match[2])) for name, match in matches if match]
