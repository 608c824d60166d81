"""The metrics of everything that runs: well formed, in use, and counting what happens."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from urllib.error import URLError

import pytest
from tests.alerts.expressions import used
from tests.backends.objectstore import Root
from tests.e2e.browsers import admits_by_now, raw
from tests.e2e.hub import Hub, objects
from tests.e2e.told import families, operators_page, page, value
from tests.patience import until

from demo.event import gateways, seen
from matrixhub.backends.gateway.settings import METRICS_PORT
from matrixhub.backends.relay.workload import PORT

NAME = f"measured-{secrets.token_hex(3)}"
STORED = 70_000
"""Bytes that the Tenant of that name has in its bucket."""


@pytest.fixture(scope="module")
def measured(hub: Hub) -> Iterator[Hub]:
    """A Tenant of these tests, whose app the gateways know."""
    try:
        hub.onboard(NAME, gateway={"maxConnections": 77}, objectStore={"storage": "1Gi"})
        hub.tenants.remove(NAME)
        key = hub.secret(NAME, "gateway")["PUSHER_APP_KEY"]
        host, port = gateways(hub.env).split(":")
        until(lambda: hub.pods("relay") and admits_by_now(host, int(port), key), 60, "relay and gateways are at work")
        held = hub.secret(NAME, "object-store")
        objects(held).put_object(Bucket=held["bucket"], Key=f"{held['prefix']}marks.csv", Body=b"x" * STORED)
        with Root(hub.env).counting():
            yield hub
    finally:
        hub.tenants.append(NAME)
        hub.dismiss()


@pytest.fixture(scope="module")
def pages(measured: Hub) -> dict[str, str]:
    """The pages of the operator, a relay and the gateways, after an event went its whole way to a browser."""
    seen(measured.env, NAME, "institution.updates")
    host, port = gateways(measured.env).split(":")
    with raw(host, int(port), measured.secret(NAME, "gateway")["PUSHER_APP_KEY"]) as (socket, _):
        for event in ("pusher:subscribe", "pusher:unsubscribe", "pusher:ping"):
            socket.send(json.dumps({"event": event, "data": {"channel": "general"}}))
        while json.loads(socket.recv(5))["event"] != "pusher:pong":
            pass
    until(lambda: value(operators_page(), "matrixhub_tenant_events_total", tenant=NAME) >= 1, 30, "it is counted")
    shown = "\n".join(page(f"{address}:{METRICS_PORT}") for address in measured.pods("gateway").values())
    until(lambda: measured.pods("relay"), 30, "the relay is ready again: new topics make its group rebalance")
    relay, *_ = measured.pods("relay").values()
    return {"operator": operators_page(), "relay": page(f"{relay}:{PORT}"), "gateway": shown}


@pytest.mark.parametrize("program", ["operator", "relay"])
def test_promtool_has_nothing_to_say_against_a_page(pages: dict[str, str], program: str):
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=pages[program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_metric_that_an_alert_or_a_dashboard_reads_exists(pages: dict[str, str]):
    there = set().union(*(families(text) for text in pages.values()))
    assert {name: users for name, users in used().items() if name not in there} == {}


def test_the_operator_says_how_its_tenants_and_backends_are(pages: dict[str, str]):
    text = pages["operator"]
    assert value(text, "matrixhub_leader") == 1
    assert value(text, "matrixhub_build_info") == 1
    assert value(text, "matrixhub_tenants", ready="True", reason="Succeeded") >= 1
    for backend in ("namespace", "postgres", "redis", "kafka", "objectstore", "gateway", "relay"):
        assert value(text, "matrixhub_backend_up", cluster="matrixhub/main", backend=backend) == 1
        assert value(text, "matrixhub_queue_oldest_key_age_seconds", backend=backend) < 60
    for backend in ("namespace", "postgres", "redis", "kafka", "objectstore", "gateway"):
        assert value(text, "matrixhub_reconciles_total", backend=backend, result="Succeeded") >= 1
        assert value(text, "matrixhub_reconcile_batch_duration_seconds_count", backend=backend, result="Succeeded") >= 1
    for workload in ("gateway", "relay"):
        labels = {"cluster": "matrixhub/main", "workload": workload}
        assert value(text, "matrixhub_scaling_replicas", **labels) >= 1
        assert value(text, "matrixhub_scaling_max_replicas", **labels) >= 1
        assert value(text, "matrixhub_scaling_decisions_total", **labels) >= 1
    ready = value(text, "matrixhub_gateway_connections_capacity", cluster="matrixhub/main")
    assert ready >= 2000
    assert ready % 2000 == 0


def test_a_tenants_series_are_there_for_those_who_asked(hub: Hub, pages: dict[str, str]):
    text = pages["operator"]
    assert value(text, "matrixhub_tenant_ready", tenant=NAME, condition="Ready") == 1
    assert value(text, "matrixhub_tenant_connections_limit", tenant=NAME) == 77
    assert value(text, "matrixhub_tenant_events_total", tenant=NAME, domain="institution") == 1
    app = hub.secret(NAME, "gateway")["PUSHER_APP_ID"]
    assert value(text, "matrixhub_tenant_info", tenant=NAME, app_id=app) == 1
    assert value(pages["gateway"], "sockudo_new_connections_total", app_id=app) >= 1


def test_the_relay_has_brought_the_event(pages: dict[str, str]):
    assert value(pages["relay"], "matrixhub_relay_events_total") >= 1
    assert value(pages["relay"], "matrixhub_relay_lag_seconds_count") >= 1
    assert value(pages["relay"], "matrixhub_relay_dead_letters_total") == 0


def test_a_tenant_that_is_not_ready_is_counted_with_its_reason_and_for_how_long(hub: Hub):
    reference = {"namespace": "matrixhub", "name": "nowhere"}
    hub.apply(hub.tenant("unhoused", clusterRef=reference))
    labels = {"cluster": "matrixhub/nowhere", "reason": "ClusterNotFound"}
    until(lambda: value(operators_page(), "matrixhub_tenants", ready="False", **labels) == 1, 20, "it is counted")
    assert value(operators_page(), "matrixhub_tenants_longest_not_ready_seconds", **labels) < 30
    hub.delete("unhoused")
    until(lambda: value(operators_page(), "matrixhub_tenants", **labels) == 0, 20, "it is not counted any more")


def test_what_a_tenant_stores_is_told_once_minio_has_counted_it(measured: Hub):
    root, bucket = Root(measured.env), measured.secret(NAME, "object-store")["bucket"]
    until(lambda: counted(root, bucket) == STORED, 100, "MinIO has counted it")
    measured.operator.kill()
    measured.operator.start()  # it looks at everything at once, and not up to 45 s later
    until(lambda: told("matrixhub_tenant_objectstore_bytes") == STORED, 30, "it is told")
    assert told("matrixhub_tenant_objectstore_limit_bytes") == 1 << 30


def told(metric: str) -> float:
    """What the operator's page says of the Tenant; there is none yet while it starts."""
    try:
        return value(operators_page(), metric, tenant=NAME)
    except URLError as error:
        raise AssertionError(error) from error


def counted(root: Root, bucket: str) -> int:
    """The bytes in the bucket, as MinIO tells its root."""
    told = json.loads(root.admin.get_data_usage_info()).get("bucketsUsageInfo") or {}
    return int(told.get(bucket, {}).get("size", 0))
