"""The firewall: kube-router as what enforces NetworkPolicies, and nothing else of it. It waits for `start`.

It rewrites the rules of the whole node at each change of a pod, so a stand without it is a quicker one.
"""

from __future__ import annotations

from stand import users
from stand.network import in_node
from stand.part import Part
from stand.recipes import program
from stand.run import Failure, succeeds
from stand.state import Stand

_CHAINS = ("KUBE-ROUTER-INPUT", "KUBE-ROUTER-FORWARD", "KUBE-ROUTER-OUTPUT")
"""Every rule of kube-router's is reached through these."""
_PASSED = "0x20000"
"""The mark of packets that every policy lets through; its rule is the last that a look at all policies makes."""


def _prepare(stand: Stand) -> None:
    """What goes from pod to pod over their bridge passes iptables."""
    succeeds(["modprobe", "br_netfilter"])  # it may be part of the kernel
    in_node(stand, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1")


def _command(stand: Stand) -> list[str]:
    return [
        str(program("kube-router")),
        f"--kubeconfig={stand.state / users.ADMIN.kubeconfig}",
        f"--hostname-override={users.NODE}",
        f"--service-cluster-ip-range={stand.service_network}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
    ]


def _ready(stand: Stand) -> bool:
    """Its own probe says yes before it has looked at anything."""
    try:
        return _PASSED in in_node(stand, "iptables", "-S", "KUBE-ROUTER-FORWARD")
    except Failure:
        return False


def _leave(stand: Stand) -> None:
    """No packet meets a policy any more. Flushing all three at once is a matter of naming them."""
    chains = "".join(f":{chain} - [0:0]\n" for chain in _CHAINS)
    in_node(stand, "iptables-restore", "--noflush", text=f"*filter\n{chains}COMMIT\n")


FIREWALL = Part(
    name="kube-router",
    group="firewall",
    prepare=_prepare,
    command=_command,
    ready=_ready,
    leave=_leave,
    after=("kube-apiserver", "kubelet"),
    in_node=True,
)
