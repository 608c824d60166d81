"""Gateways in pods, run by the operator, and what schools' browsers and servers meet on them."""

import asyncio
import base64
import contextlib
import copy
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pusher
import pytest
import websockets
from tests.e2e.browsers import CLUSTER, Browser, School, admits, admits_by_now, installed, raw, signature
from tests.e2e.hub import Hub, is_ready
from tests.patience import until
from websockets.exceptions import ConnectionClosed

GREEN, BLUE, THIRD = "gw-green", "gw-blue", "gw-third"
SELECTOR = "app.kubernetes.io/name=gateway,app.kubernetes.io/instance=main"
PUBLIC = ("general", "department-science", "classroom-101")
PRIVATE = ("private-admin", "private-teacher", "private-student")
PRESENCE = "presence-classroom-101"
PORT = 6001


@dataclass
class Town:
    """The gateways, and two schools on them."""

    hub: Hub
    host: str
    green: School
    blue: School

    def pods(self) -> list[dict[str, Any]]:
        """The gateways that are not on their way out."""
        items = self.hub.get("pods", *CLUSTER, "-l", SELECTOR)["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def ready(self) -> dict[str, str]:
        """By name, the addresses of the gateways that take connections."""
        return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in self.pods() if is_ready(pod)}

    def settled(self) -> set[str]:
        """The gateways by name, once none is on its way in or out."""
        self.hub.kubectl("rollout", "status", "deployment/main-gateway", *CLUSTER, "--timeout=90s")
        until(lambda: len(self.pods()) == len(self.ready()) >= 2, 60, "each takes connections")
        return set(self.ready())

    def two(self) -> tuple[str, str]:
        """The addresses of two gateways."""
        until(lambda: len(self.ready()) >= 2, 60, "two gateways take connections")
        first, second, *_ = self.ready().values()
        return first, second

    def limited(self, **gateway: object) -> School:
        """A third school, whose app has these limits from now on."""
        self.hub.apply(lasting(self.hub, THIRD, gateway=gateway))
        self.hub.ready(THIRD)
        return self.school(THIRD)

    def school(self, tenant: str) -> School:
        return School(self.hub.secret(tenant, "gateway"), self.host, 80)


def lasting(hub: Hub, name: str, **spec: Any) -> dict[str, Any]:
    """The manifest of a Tenant that outlives the single test."""
    manifest = hub.tenant(name, **spec)
    hub.tenants.remove(name)
    return manifest


@pytest.fixture(scope="module")
def town(hub: Hub) -> Iterator[Town]:
    installed()
    hub.apply(*(lasting(hub, name) for name in (GREEN, BLUE, THIRD)))
    hub.ready(GREEN, BLUE, THIRD)
    host = hub.get("service", "main-gateway", *CLUSTER)["spec"]["clusterIP"]
    green, blue = (School(hub.secret(name, "gateway"), host, 80) for name in (GREEN, BLUE))
    made = Town(hub, host, green, blue)
    made.settled()
    yield made
    hub.delete(GREEN, BLUE, THIRD)


@pytest.fixture
def browser() -> Iterator[Any]:
    """Starts browsers, and ends them."""
    started: list[Browser] = []

    def start(school: School, member: str = "", **options: str) -> Browser:
        started.append(Browser(school, member, **options))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_a_new_tenant_connects_within_5_seconds(town: Town) -> None:
    def connects() -> bool:
        space = ("-n", "tenant-gw-new")
        return town.hub.exists("secret", "gateway", *space) and admits(town.host, 80, town.school("gw-new").key)

    town.hub.apply(town.hub.tenant("gw-new"))
    until(connects, 5)


def test_the_tenants_secret_is_one_that_pushers_libraries_read(town: Town) -> None:
    secret = town.hub.get("secret", "gateway", "-n", f"tenant-{GREEN}")
    assert secret["type"] == "servicebinding.io/pusher"
    told = town.green.secret
    assert told["host"] == "main-gateway.matrixhub.svc"
    assert told["PUSHER_APP_ID"].isdecimal()
    assert len(base64.b64decode(told["PUSHER_ENCRYPTION_MASTER_KEY_BASE64"])) == 32


def test_every_kind_of_channel_carries_events_from_the_server_to_browsers_on_every_gateway(
    town: Town, browser: Any
) -> None:
    first, second = town.two()
    ann, bob = browser(town.green, "ann", pod=first), browser(town.green, "bob", pod=second)
    for channel in (*PUBLIC, *PRIVATE, PRESENCE):
        for each in (ann, bob):
            each.connected().enters(channel)
        town.green.publish(channel, "news", {"on": channel})
        for each in (ann, bob):
            each.hears(channel=channel, event="news", data={"on": channel})
    assert ann.members(PRESENCE) == bob.members(PRESENCE) == {"ann", "bob"}

    town.green.server.trigger_batch([{"channel": name, "name": "all", "data": "x"} for name in PUBLIC])
    for channel in PUBLIC:
        bob.hears(channel=channel, event="all", data="x")

    for channel in (PRIVATE[0], PRESENCE):
        ann.ask("trigger", channel=channel, event="client-typing", data={"by": "ann"})
        bob.hears(channel=channel, event="client-typing", data={"by": "ann"})
        assert ("client-typing", {"by": "ann"}) not in ann.events(channel)

    bob.ask("unsubscribe", channel=PRESENCE)
    ann.hears(channel=PRESENCE, event="pusher:member_removed")
    assert ann.members(PRESENCE) == {"ann"}


def test_encrypted_channels_are_read_by_browsers_and_by_nobody_between(town: Town, browser: Any) -> None:
    channel, mark = "private-encrypted-grades", "an A for Ada"
    ann = browser(town.green, "ann").connected().enters(channel)
    with raw(town.host, 80, town.green.key) as (wire, socket):
        sign = signature(town.green.secret["PUSHER_APP_SECRET"], f"{socket}:{channel}")
        data = {"channel": channel, "auth": f"{town.green.key}:{sign}"}
        wire.send(json.dumps({"event": "pusher:subscribe", "data": data}))
        assert json.loads(wire.recv(5))["event"] == "pusher_internal:subscription_succeeded"
        town.green.publish(channel, "grade", {"says": mark})
        ann.hears(channel=channel, event="grade", data={"says": mark})
        passed = wire.recv(5)
        assert isinstance(passed, str)
        assert mark not in passed
        assert "ciphertext" in passed
    known = json.dumps([town.hub.get("configmap,secret,deployment", *CLUSTER), rows(town.hub)], default=str)
    assert town.green.secret["PUSHER_APP_SECRET"] in known
    assert town.green.secret["PUSHER_ENCRYPTION_MASTER_KEY_BASE64"] not in known


def rows(hub: Hub) -> list[Any]:
    """All that the gateways can read of apps."""
    env, account = hub.env, hub.get("secret", "main-accounts", *CLUSTER)["data"]
    login, password = (base64.b64decode(account[f"gateway-{key}"]).decode() for key in ("login", "password"))
    with psycopg.connect(
        host=env["PGHOST"], port=env["PGPORT"], dbname=env["PGDATABASE"], user=login, password=password
    ) as database:
        return database.execute(f'SELECT * FROM "{login}".applications').fetchall()


def test_what_one_school_says_no_other_hears(town: Town, browser: Any) -> None:
    other = browser(town.blue, "eve").connected()
    for channel in (PUBLIC[0], PRIVATE[0], PRESENCE):
        other.enters(channel)
        town.green.publish(channel, "secret", "green's")
        town.blue.publish(channel, "own", "blue's")
        other.hears(channel=channel, event="own")
        assert other.events(channel) == [("own", "blue's")]


def test_another_schools_key_id_and_signature_open_nothing(town: Town, browser: Any) -> None:
    for forged in (
        town.blue.posing_as(town.green),
        town.blue._server(app_id=town.green.id),  # noqa: SLF001 - its own key, the other's id
    ):
        with pytest.raises(pusher.errors.PusherError):
            forged.trigger(PUBLIC[0], "forged", "x")
    # The other's key alone opens public channels, so it is nowhere but in the other's Secret.
    eve = browser(town.blue, "eve", key=town.green.key).connected()
    for channel in (PRIVATE[0], PRESENCE):
        since = len(eve.told)
        eve.ask("subscribe", channel=channel)
        eve.refused(4009, since=since)
        assert not any(
            each.get("channel") == channel and each["event"] == "pusher:subscription_succeeded" for each in eve.told
        )
    assert not admits(town.host, 80, "0123456789abcdef0123")


def test_a_browser_may_not_speak_on_public_channels_nor_for_the_server(town: Town, browser: Any) -> None:
    ann, bob = browser(town.green, "ann").connected(), browser(town.green, "bob").connected()
    for each in (ann, bob):
        each.enters(PUBLIC[0])
    ann.ask("trigger", channel=PUBLIC[0], event="client-shout", data="x")
    town.green.publish(PUBLIC[0], "after", "y")
    bob.hears(channel=PUBLIC[0], event="after")
    assert bob.events(PUBLIC[0]) == [("after", "y")]


@contextlib.contextmanager
def crowd(hosts: list[str], key: str) -> Iterator[None]:
    """Sockets that are open together, one on each host named."""
    with contextlib.ExitStack() as stack:
        for host in hosts:
            stack.enter_context(raw(host, PORT, key))
        yield


def test_a_cap_holds_over_all_gateways_and_changes_within_10_seconds(town: Town) -> None:
    first, second = town.two()
    key = town.limited(maxConnections=3).key
    with crowd([first, second, first], key):
        assert not admits(first, PORT, key)
        assert not admits(second, PORT, key)
        town.hub.apply(lasting(town.hub, THIRD, gateway={"maxConnections": 4}))
        until(lambda: admits(first, PORT, key) and admits(second, PORT, key), 10)
    until(lambda: admits(first, PORT, key), 5)


def test_a_burst_over_the_cap_lets_nobody_in_afterwards(town: Town) -> None:
    """Those that connect in the same moment may pass; backends/gateway/README.md says how many were measured."""
    hosts, cap, burst = town.two(), 10, 100
    key = town.limited(maxConnections=cap).key

    async def rush() -> int:
        held = []

        async def one(host: str) -> None:
            url = f"ws://{host}:{PORT}/app/{key}?protocol=7&client=t&version=1"
            with contextlib.suppress(ConnectionClosed):  # refused
                socket = await websockets.connect(url, open_timeout=15)
                if "connection_established" in str(await asyncio.wait_for(socket.recv(), 15)):
                    held.append(socket)

        await asyncio.gather(*(one(hosts[n % 2]) for n in range(burst)))
        late = await asyncio.to_thread(lambda: [host for host in hosts if admits(host, PORT, key)])
        admitted = len(held)
        await asyncio.gather(*(socket.close() for socket in held))
        assert late == []
        return admitted

    admitted = asyncio.run(rush())
    assert cap <= admitted < burst


def test_suspension_and_deletion_shut_the_door_within_10_seconds(town: Town) -> None:
    hub = town.hub
    hub.onboard("gw-leaving")
    school = town.school("gw-leaving")

    def open_() -> bool:
        try:
            school.publish("general", "x", "y")
        except pusher.errors.PusherError:
            return admits(town.host, 80, school.key)
        return True

    assert open_()
    hub.apply(hub.tenant("gw-leaving", suspended=True))
    until(lambda: not open_(), 10)
    hub.apply(hub.tenant("gw-leaving", suspended=False))
    until(lambda: open_() and admits(town.host, 80, school.key), 10)
    hub.kubectl("delete", "tenant", "gw-leaving", "--wait=false")
    until(lambda: not open_(), 10)


def test_limits_that_are_offered_hold(town: Town, browser: Any) -> None:
    school = town.limited(clientEventsPerSecond=3, maxPresenceMembers=2)
    ann, bob, eve = (browser(school, name).connected() for name in ("ann", "bob", "eve"))
    for each in (ann, bob):
        each.enters(PRESENCE)
    eve.ask("subscribe", channel=PRESENCE)
    eve.refused(4100)
    assert ann.members(PRESENCE) == {"ann", "bob"}
    for n in range(12):
        ann.ask("trigger", channel=PRESENCE, event="client-typing", data=n)
    ann.refused(4301)
    until(lambda: len(bob.events(PRESENCE)) >= 3, 10, "those within the limit reach bob, maybe after ann's refusal")
    assert len(bob.events(PRESENCE)) < 12
    for unfit in (
        lambda: school.post("/events", {"name": "x", "channels": ["general"], "data": "x" * 60_000}),
        lambda: school.post("/events", {"name": "x" * 300, "channels": ["general"], "data": "x"}),
        lambda: school.post("/events", {"name": "x", "channels": ["c" * 300], "data": "x"}),
        lambda: school.post("/events", {"name": "x", "channels": [f"c{n}" for n in range(101)], "data": "x"}),
        lambda: school.post("/batch_events", {"batch": [{"name": "x", "channel": "c", "data": "x"}] * 101}),
    ):
        assert unfit() in (400, 413)
    assert school.post("/events", {"name": "x", "channels": ["general"], "data": "x" * 40_000}) == 200
    assert school.post("/batch_events", {"batch": [{"name": "x", "channel": "c", "data": "x"}] * 100}) == 200


def test_origins_that_are_not_allowed_are_refused(town: Town) -> None:
    key = town.limited(allowedOrigins=["https://app.example.org"]).key
    assert admits(town.host, 80, key, origin="https://app.example.org")
    assert not admits(town.host, 80, key, origin="https://evil.example.org")
    assert not admits(town.host, 80, key)


def test_a_gateway_without_its_table_never_becomes_ready(town: Town) -> None:
    """Beside others that are well: what they leave in Redis must not make up for it."""
    template = copy.deepcopy(town.hub.get("deployment", "main-gateway", *CLUSTER)["spec"]["template"])
    (container,) = template["spec"]["containers"]
    for each in container["env"]:
        if each["name"] == "DATABASE_POSTGRES_PASSWORD":
            each.pop("valueFrom")
            each["value"] = "not-the-password"
    metadata = {"name": "impostor", "namespace": "matrixhub", "labels": {"test": "impostor"}}
    town.hub.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
    pod = ("pod", "impostor", *CLUSTER)
    try:
        until(lambda: town.hub.get(*pod)["status"].get("podIP"), 20, "it has an address")
        host = town.hub.get(*pod)["status"]["podIP"]
        until(lambda: status(f"http://{host}:{PORT}/live") == 200, 20, "it runs")
        assert admits(town.host, 80, town.green.key)
        for _ in range(8):
            assert status(f"http://{host}:{PORT}/up/1") != 200
            assert not is_ready(town.hub.get(*pod))
            assert not admits(host, PORT, town.green.key)
            time.sleep(1)
    finally:
        town.hub.kubectl("delete", *pod, "--grace-period=0", "--force", "--wait=false")


def status(url: str) -> int:
    """The HTTP status, 0 while nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def holder(town: Town, app: str) -> str:
    """The gateway that holds a socket of the app."""
    for name, address in town.ready().items():
        with urllib.request.urlopen(f"http://{address}:9601/metrics", timeout=3) as answer:
            text = answer.read().decode()
        if any(
            line.startswith("sockudo_connected{") and f'app_id="{app}"' in line and not line.endswith(" 0")
            for line in text.splitlines()
        ):
            return name
    raise AssertionError(f"no gateway holds a socket of app {app}")


def test_a_browser_comes_back_when_its_gateway_is_killed(town: Town, browser: Any) -> None:
    ann = browser(town.green, "ann").connected().enters(PUBLIC[0]).enters(PRIVATE[0])
    name, since = holder(town, town.green.id), len(ann.told)
    town.hub.kubectl("delete", "pod", name, *CLUSTER, "--grace-period=0", "--force")
    ann.connected(30, since=since)
    for channel in (PUBLIC[0], PRIVATE[0]):
        ann.hears(since=since, channel=channel, event="pusher:subscription_succeeded")
        town.green.publish(channel, "again", "x")
        ann.hears(since=since, channel=channel, event="again")
    town.two()


def test_gateways_find_one_another_again_after_redis_was_restarted(town: Town, browser: Any) -> None:
    first, second = town.two()
    channel = "found-again"  # which nobody has just left, as below
    before = town.ready()
    ann, bob = browser(town.green, "ann", pod=first).connected(), browser(town.green, "bob", pod=second).connected()
    for each in (ann, bob):
        each.enters(channel)
    town.hub.stand("restart", "redis")
    count = 0

    def carried() -> bool:
        nonlocal count
        count += 1
        with contextlib.suppress(pusher.errors.PusherError, OSError):
            town.green.publish(channel, "ping", count)
        return all(any(data == count for _, data in each.events(channel)) for each in (ann, bob))

    until(carried, 30, "an event reaches browsers on both gateways")
    until(lambda: all(admits_by_now(host, PORT, town.green.key) for host in (first, second)), 10, "both let sockets in")
    assert town.ready() == before


def test_gateways_that_gave_up_on_redis_while_no_operator_ran_are_ready_again_within_a_minute_of_its_start(
    town: Town, browser: Any
) -> None:
    before = town.settled()
    ann = browser(town.green, "ann").connected().enters(PUBLIC[0])
    town.hub.operator.kill()
    town.hub.stand("restart", "redis")
    until(lambda: not town.ready(), 30, "none is ready")
    time.sleep(5)  # sockudo has tried for the last time by now
    assert {pod["metadata"]["name"] for pod in town.pods()} == before
    since = len(ann.told)

    town.hub.operator.start()
    until(lambda: len(town.ready()) == len(before), 60, "all are ready again")
    assert not before & set(town.ready())
    for host in town.ready().values():
        assert admits(host, PORT, town.green.key)
    ann.connected(30, since=since)
    ann.hears(20, since=since, channel=PUBLIC[0], event="pusher:subscription_succeeded")
    town.green.publish(PUBLIC[0], "back", "x")
    ann.hears(since=since, channel=PUBLIC[0], event="back")
    told = "".join(event["message"] for event in town.hub.get("events", *CLUSTER)["items"])
    assert "gave up on Redis" in told


def test_gateways_and_what_their_sockets_hear_outlive_a_restart_of_postgres(town: Town, browser: Any) -> None:
    hosts, before = town.two(), town.ready()
    # Nobody has just left this channel: backends/gateway/README.md says what becomes of who follows too soon.
    channel = "outlives"
    ann = browser(town.green, "ann", pod=hosts[0]).connected().enters(channel)
    since = len(ann.told)
    town.hub.stand("restart", "postgres")
    until(lambda: all(admits_by_now(host, PORT, town.green.key) for host in hosts), 20, "both let sockets in")
    until(lambda: town.ready() == before, 20, "the same gateways are ready")
    # An event that is taken in the first moments may not reach sockets of the other gateway.
    until(lambda: town.green.publish(channel, "after", "x") or ann.events(channel), 20, "events flow")
    assert not any("state" in each for each in ann.told[since:]), "its socket stayed open"


def test_what_gateways_consist_of_is_back_within_5_seconds(town: Town) -> None:
    for kind in ("poddisruptionbudget", "serviceaccount", "configmap"):
        town.hub.kubectl("delete", kind, "main-gateway", *CLUSTER)
    words = ("poddisruptionbudget,serviceaccount,configmap", *CLUSTER, "-l", SELECTOR)
    until(lambda: len(town.hub.get(*words)["items"]) == 3, 5, "all three are back")
    town.hub.kubectl("set", "image", "deployment/main-gateway", "gateway=localhost/none:1", *CLUSTER)
    image = town.hub.env["GATEWAY_IMAGE"]
    until(lambda: deployed(town)["template"]["spec"]["containers"][0]["image"] == image, 5, "the image is put right")


def deployed(town: Town) -> Any:
    return town.hub.get("deployment", "main-gateway", *CLUSTER)["spec"]


def test_lost_passwords_are_made_anew_and_gateways_follow(town: Town) -> None:
    before = town.settled()
    old = town.hub.get("secret", "main-accounts", *CLUSTER)["data"]
    town.hub.kubectl("delete", "secret", "main-accounts", *CLUSTER)
    until(lambda: len(town.ready()) == len(before) and not before & set(town.ready()), 60, "all were replaced")
    new = town.hub.get("secret", "main-accounts", *CLUSTER)["data"]
    assert new["gateway-password"] != old["gateway-password"]
    assert all(admits(host, PORT, town.green.key) for host in town.ready().values())


def test_a_change_of_configuration_reaches_one_gateway_at_a_time(town: Town, browser: Any) -> None:
    ann = browser(town.green, "ann").connected().enters(PUBLIC[0])
    before = town.settled()
    change = json.dumps({"spec": {"gateway": {"connectionsPerReplica": 1999}}})
    town.hub.kubectl("patch", "realtimecluster", "main", *CLUSTER, "--type=merge", "-p", change)
    fewest, most = len(before), 0

    def replaced() -> bool:
        nonlocal fewest, most
        pods = town.pods()
        fewest, most = min(fewest, sum(map(is_ready, pods))), max(most, len(pods))
        return len(pods) == len(before) and not before & {pod["metadata"]["name"] for pod in pods} and fewest > 0

    until(replaced, 90, "every gateway was replaced")
    assert (fewest, most) == (len(before), len(before) + 1)
    since = len(ann.told)
    until(lambda: town.green.publish(PUBLIC[0], "still", "here") is None, 5)
    ann.hears(20, since=since, channel=PUBLIC[0], event="still")


def test_gateways_that_are_taken_out_of_the_spec_go(town: Town) -> None:
    main = town.hub.get("realtimecluster", "main", *CLUSTER)["spec"]
    spec = {name: main[name] for name in ("postgres", "redis", "autoscaling")}
    gateway = main["gateway"] | {"minReplicas": 1, "maxReplicas": 1}
    named = {"apiVersion": "matrixhub.io/v1alpha1", "kind": "RealtimeCluster"}
    metadata = {"name": "brief", "namespace": "matrixhub"}
    town.hub.apply({**named, "metadata": metadata, "spec": spec | {"gateway": gateway}})
    town.hub.kubectl("wait", "--for=condition=Ready", "realtimecluster/brief", *CLUSTER, "--timeout=60s")
    of = (*CLUSTER, "-l", "app.kubernetes.io/instance=brief")
    assert len(town.hub.get("deployment,service,configmap,serviceaccount,poddisruptionbudget", *of)["items"]) == 6
    town.hub.apply({**named, "metadata": metadata, "spec": spec})
    kinds = "deployment,service,configmap,serviceaccount,poddisruptionbudget,pod"
    until(lambda: not town.hub.get(kinds, *of)["items"], 45, "nothing of them is left")
    town.hub.kubectl("wait", "--for=condition=Ready", "realtimecluster/brief", *CLUSTER, "--timeout=30s")
    town.hub.kubectl("delete", "realtimecluster", "brief", *CLUSTER, "--timeout=30s")
