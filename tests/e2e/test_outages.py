"""A backend that is down hurts nobody else; the operator may be killed at any moment."""

import random
import time

import psycopg
import pytest
from tests.e2e.hub import Hub, stopped
from tests.patience import until

BACKENDS = {
    "postgres": "PostgresReady",
    "redis": "RedisReady",
    "kafka": "KafkaReady",
    "minio": "ObjectStoreReady",
}


@pytest.mark.parametrize("part", BACKENDS)
def test_a_backend_that_is_down_is_told_and_hurts_nobody_else(hub: Hub, part: str):
    old, new = f"out-old-{part}", f"out-new-{part}"
    kind = BACKENDS[part]
    others = [other for other in ("NamespaceReady", *BACKENDS.values()) if other != kind]
    hub.onboard(old)
    with stopped(hub, part):
        began = time.monotonic()
        hub.apply(hub.tenant(new))
        until(lambda: all(hub.condition(new, other).get("status") == "True" for other in others), 20, "the other parts")
        assert time.monotonic() - began < 10
        condition = hub.condition(new, kind)
        until(lambda: hub.condition(new, kind).get("reason") == "Unreachable", 20, "told")
        condition = hub.condition(new, kind)
        assert condition["status"] == "False"
        assert ", since 20" in condition["message"]
        assert hub.condition(new)["reason"] == "Unreachable"
        until(lambda: hub.conditions("main")[kind]["reason"] == "Unreachable", 10, "told by the RealtimeCluster, too")
        # Those who have their share say so too: it is of no use to them now.
        until(lambda: hub.condition(old, kind).get("reason") == "Unreachable", 20, "told by the old Tenant")
    until(lambda: all(hub.condition(name).get("status") == "True" for name in (old, new)), 30, "Ready again")


def test_killed_at_random_moments_nothing_is_lost_or_left(hub: Hub):
    names = [f"kill-{number:02d}" for number in range(50)]
    hub.apply(*(hub.tenant(name) for name in names))
    chance = random.Random(7)
    for _ in range(10):
        time.sleep(chance.uniform(0.3, 3.0))
        hub.operator.kill()
        hub.operator.start()
    hub.ready(*names, timeout=180)
    found = hub.get("namespaces", "-l", "matrixhub.io/tenant")["items"]
    assert sorted(n["metadata"]["name"] for n in found if "kill-" in n["metadata"]["name"]) == sorted(
        f"tenant-{name}" for name in names
    )
    for name in (names[0], names[25], names[49]):
        with psycopg.connect(hub.secret(name, "postgres")["uri"]) as connection:
            assert connection.execute("select current_user").fetchone() == (f"tenant_{name}",)
    hub.delete(*names)
    assert not [n for n in roles(hub) if "kill-" in n]
    assert not [n["metadata"]["name"] for n in hub.get("namespaces")["items"] if "kill-" in n["metadata"]["name"]]


def roles(hub: Hub) -> list[str]:
    """Every role of the database server."""
    env = hub.env
    with psycopg.connect(
        host=env["PGHOST"], port=env["PGPORT"], dbname=env["PGDATABASE"], user=env["PGUSER"], password=env["PGPASSWORD"]
    ) as connection:
        return [name for (name,) in connection.execute("select rolname from pg_roles")]


def test_sigterm_ends_it_cleanly(hub: Hub):
    hub.onboard("term")
    assert hub.operator.stop() == 0
    hub.operator.start()
    hub.kubectl("label", "tenant", "term", "seen=yes")
    hub.ready("term")
