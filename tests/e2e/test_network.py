"""The tenants' NetworkPolicies, enforced: what their pods reach, and who reaches them."""

import contextlib
import json
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.e2e.hub import Hub, Operator
from tests.e2e.reach import (
    PORT,
    Places,
    Pod,
    enforced,
    listening,
    namespace,
    policy,
    reached,
    removed,
    resolves,
    running,
    started,
)
from tests.patience import until

GREEN, BLUE, STREET = "net-green", "net-blue", "net-street"
OWNER = "net-owner"
NAME_SERVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 53))
while True:
    query, who = server.recvfrom(512)
    server.sendto(query[:2] + bytes([0x81, 0x83]) + query[4:], who)
"""
"""It knows no name: to each question it says NXDOMAIN."""


@dataclass
class World:
    """Two tenants, the platform beside the gateways, and two servers of names: the cluster's and one in the street."""

    hub: Hub
    green: Pod
    neighbour: Pod
    blue: Pod
    platform: Pod
    resolver: Pod
    street: Pod

    def promised(self) -> Places:
        """What a pod of green's may reach."""
        env, host = self.hub.env, self.hub.env["STAND_HOST"]
        service = self.hub.get("service", "main-gateway", "-n", "matrixhub")["spec"]
        return {
            "neighbour": (self.neighbour.address, PORT),
            "gateway": (next(iter(self.hub.pods("gateway").values())), 6001),
            "gateway-service": (service["clusterIP"], service["ports"][0]["port"]),
            "resolver": (self.resolver.address, 53),
            "postgres": (host, int(env["PGPORT"])),
            "redis": (host, int(env["REDIS_PORT"])),
            "kafka": (host, int(env["KAFKA_BOOTSTRAP"].rpartition(":")[2])),
            "s3": (host, int(env["S3_ENDPOINT"].rpartition(":")[2])),
        }

    def refused(self) -> Places:
        """What it may not, though it takes connections."""
        server = self.hub.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
        return {
            "blue": (self.blue.address, PORT),
            "platform": (self.platform.address, PORT),
            "gateway-metrics": (next(iter(self.hub.pods("gateway").values())), 9601),
            "relay-metrics": (next(iter(self.hub.pods("relay").values())), 9102),
            "street-resolver": (self.street.address, 53),
            "street": (self.street.address, PORT),
            "resolver-by-another-port": (self.resolver.address, PORT),
            "redis-by-another-port": (self.hub.env["STAND_HOST"], int(self.hub.env["REDIS_TLS_PORT"])),
            "api-server": (self.hub.env["STAND_HOST"], urlsplit(server).port or 443),
        }

    def connects(self, pod: Pod, to: Pod) -> bool:
        """Whether the one pod reaches the other."""
        return bool(reached(self.hub, pod, {"it": (to.address, PORT)}))


def name_server(space: str, name: str, hub: Hub) -> dict[str, Any]:
    """A pod that answers as a server of names does, and on `PORT` too."""
    root = {"runAsUser": 0}
    return running(
        space,
        name,
        {"command": ["nc", "-ll", "-p", str(PORT), "-e", "hostname"]},
        {"command": ["nc", "-ll", "-p", "53", "-e", "hostname"]},
        {"image": hub.env["MATRIXHUB_IMAGE"], "command": ["python3.11", "-c", NAME_SERVER], "securityContext": root},
    )


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    """Everybody reaches everybody; then policies are enforced."""
    owners = [{"kind": "User", "name": OWNER, "role": "edit"}]
    hub.apply(*(hub.tenant(name, owners=owners) for name in (GREEN, BLUE)), namespace(STREET))
    hub.ready(GREEN, BLUE)
    hub.tenants.clear()
    until(lambda: hub.pods("gateway") and hub.pods("relay"), 60, "the data plane")
    outside = [
        listening("matrixhub", "net-platform"),
        name_server("kube-system", "net-resolver", hub),
        name_server(STREET, "net-street", hub),
    ]
    inside = [
        listening(f"tenant-{GREEN}", "one"),
        listening(f"tenant-{GREEN}", "two"),
        listening(f"tenant-{BLUE}", "one"),
    ]
    try:
        it = World(hub, *started(hub, *inside, *outside))
        everything = {**it.promised(), **it.refused()}
        assert reached(hub, it.green, everything) == everything.keys()
        assert resolves(hub, it.green, it.resolver.address)
        assert resolves(hub, it.green, it.street.address)
        assert all(it.connects(each, it.green) for each in (it.blue, it.platform, it.street))
        with enforced(hub):
            yield it
    finally:
        removed(hub, *outside, namespace(STREET))
        hub.tenants += [GREEN, BLUE]
        hub.dismiss()


@contextlib.contextmanager
def halted(operator: Operator) -> Iterator[None]:
    """The operator does nothing inside the block."""
    assert operator.process
    operator.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        operator.process.send_signal(signal.SIGCONT)


def by_owner(hub: Hub, *manifests: dict[str, Any]) -> None:
    """An owner of the tenants has applied the manifests."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    hub.kubectl("apply", f"--as={OWNER}", "-f", "-", text=text)


def test_a_tenants_pod_reaches_its_own_and_what_it_was_given_and_nothing_else(world: World):
    promised = world.promised()
    assert reached(world.hub, world.green, {**promised, **world.refused()}) == promised.keys()
    assert resolves(world.hub, world.green, world.resolver.address)
    assert not resolves(world.hub, world.green, world.street.address)


def test_a_tenants_pod_is_reached_by_its_own_and_by_the_platform_alone(world: World):
    who = (world.neighbour, world.platform, world.blue, world.street)
    assert [pod for pod in who if world.connects(pod, world.green)] == [world.neighbour, world.platform]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((world.green.address, PORT), timeout=2)


def test_a_policy_that_somebody_deletes_is_back_and_binds_within_5_seconds(world: World):
    with halted(world.hub.operator):
        world.hub.kubectl("-n", f"tenant-{GREEN}", "delete", "networkpolicy", "matrixhub")
        until(lambda: world.connects(world.street, world.green), 5, "without it the tenant is open")
    until(lambda: not world.connects(world.street, world.green), 5)


def test_a_tenant_opens_itself_by_a_policy_of_its_own_but_no_other_tenant(world: World):
    hub = world.hub
    mine, theirs = (policy(f"tenant-{name}", "open", ingress=[{}], egress=[{}]) for name in (GREEN, BLUE))
    try:
        by_owner(hub, mine)
        until(lambda: world.connects(world.street, world.green), 5, "green let the street in")
        assert world.connects(world.green, world.street)
        assert not world.connects(world.green, world.blue)
        assert not world.connects(world.blue, world.green)
        by_owner(hub, theirs)
        until(lambda: world.connects(world.green, world.blue), 5, "both have opened themselves")
    finally:
        removed(hub, mine, theirs)
    until(lambda: not world.connects(world.street, world.green), 5, "closed again")
