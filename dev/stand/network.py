"""The node's network: a namespace of its own, joined to the machine by a veth pair.

kube-proxy's iptables chains have fixed names, so two nodes cannot share one network namespace.
"""

from __future__ import annotations

from stand.run import Failure, output, succeeds
from stand.state import Stand


def _ip(words: str) -> None:
    output(["ip", *words.split()])


def in_node(stand: Stand, *words: str, text: str | None = None) -> str:
    """What the command, given the text, printed in the node's namespace."""
    return output(["nsenter", f"--net=/run/netns/{stand.name}", "--", *words], text=text)


def connect(stand: Stand) -> None:
    """The namespace is there, and host, node, pods and Services reach one another."""
    outer, inner = f"{stand.name}h", f"{stand.name}n"
    if not succeeds(["nsenter", f"--net=/run/netns/{stand.name}", "--", "true"]):
        succeeds(["ip", "netns", "del", stand.name])
        _ip(f"netns add {stand.name}")
    if not succeeds(["ip", "-n", stand.name, "link", "show", inner]):
        succeeds(["ip", "link", "del", outer])
        _ip(f"link add {outer} type veth peer name {inner} netns {stand.name}")
    _ip(f"addr replace {stand.host}/30 dev {outer}")
    _ip(f"link set {outer} up")
    _ip(f"-n {stand.name} addr replace {stand.node}/30 dev {inner}")
    _ip(f"-n {stand.name} link set {inner} up")
    _ip(f"-n {stand.name} link set lo up")
    _ip(f"-n {stand.name} route replace default via {stand.host}")
    for network in (stand.pod_network, stand.service_network):
        _ip(f"route replace {network} via {stand.node}")
    in_node(stand, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.route_localnet=1")


def disconnect(stand: Stand) -> None:
    """Namespace, veth pair, routes, bridge and iptables chains are gone."""
    succeeds(["ip", "link", "del", f"{stand.name}h"])
    succeeds(["ip", "netns", "del", stand.name])
    if succeeds(["ip", "link", "show", f"{stand.name}h"]):
        raise Failure(f"the interface {stand.name}h could not be removed")
