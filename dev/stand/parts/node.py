"""The node: containerd, kubelet and kube-proxy, in the stand's own network namespace."""

from __future__ import annotations

import json
from pathlib import Path

from stand import archive, pki, process, remains, users
from stand.images import IMAGES, PAUSE
from stand.part import Part, answers
from stand.parts.cluster import kubectl
from stand.recipes import program
from stand.run import Failure, output, succeeds
from stand.state import Stand


def ctr(stand: Stand, *words: str | Path) -> list[str]:
    """A call of containerd's client, in the namespace that the kubelet uses."""
    return ["ctr", "--address", str(remains.socket(stand)), "--namespace", "k8s.io", *map(str, words)]


def _containerd_config(stand: Stand) -> str:
    folder = stand.folder("containerd")
    return f"""\
version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{remains.socket(stand)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE.name}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
"""


def _cni_config(stand: Stand) -> str:
    addresses = {
        "type": "host-local",
        "dataDir": str(stand.folder("containerd") / "addresses"),
        "ranges": [[{"subnet": stand.pod_network}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": remains.BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": stand.name, "plugins": [bridge, ports]})


def _prepare_containerd(stand: Stand) -> None:
    """Configuration is this stand's. Pods go on if only containerd ended; of a dead node nothing is left."""
    if not process.running(stand, "kubelet"):
        remains.sweep(stand)
    remains.socket(stand).parent.mkdir(parents=True, exist_ok=True)
    folder = stand.folder("containerd")
    (folder / "config.toml").write_text(_containerd_config(stand))
    (folder / "cni").mkdir(exist_ok=True)
    (folder / "cni" / "10-bridge.conflist").write_text(_cni_config(stand))


def _containerd(stand: Stand) -> list[str]:
    return [str(program("containerd")), "--config", str(stand.folder("containerd") / "config.toml")]


def load_images(stand: Stand) -> None:
    """The node has every image of the stand; what it had already, images or layers, is not brought again."""
    names = output(ctr(stand, "images", "list", "--quiet")).split()
    missing = [image for image in IMAGES if image.name not in names]
    if missing:
        file = stand.folder("containerd") / "images.tar"
        archive.write(file, missing, present=output(ctr(stand, "content", "list", "--quiet")).split())
        output(ctr(stand, "images", "import", file))
        file.unlink()


def _kubelet_config(stand: Stand) -> dict[str, object]:
    folder = stand.folder("kubelet")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{remains.socket(stand)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{stand.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki.authority(stand))},
        },
        "authorization": {"mode": "Webhook"},
        "address": stand.node,
        "healthzBindAddress": stand.node,
        "readOnlyPort": 0,
        "maxPods": 250,
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "resolvConf": "/etc/resolv.conf",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # No registry holds the stand's images: what is collected as garbage is gone for good.
        "imageGCHighThresholdPercent": 100,
    }


def _prepare_kubelet(stand: Stand) -> None:
    """Kubeconfig, configuration and the cgroup of all pods are there."""
    users.kubeconfig(stand, users.KUBELET)
    (stand.folder("kubelet") / "config.json").write_text(json.dumps(_kubelet_config(stand)))
    remains.make_cgroups(stand)


def _kubelet(stand: Stand) -> list[str]:
    folder = stand.folder("kubelet")
    return [
        str(program("kubelet")),
        f"--config={folder / 'config.json'}",
        f"--kubeconfig={stand.state / users.KUBELET.kubeconfig}",
        f"--root-dir={folder / 'root'}",
        f"--cert-dir={folder / 'pki'}",
        f"--hostname-override={users.NODE}",
        f"--node-ip={stand.node}",
    ]


def _kubelet_ready(stand: Stand) -> bool:
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    if not answers(f"http://{stand.node}:10248/healthz"):
        return False
    try:
        return kubectl(stand, "get", "node", users.NODE, "-o", path) == "True"
    except Failure:
        return False


def _prepare_proxy(stand: Stand) -> None:
    """Kubeconfig and configuration are there."""
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(users.kubeconfig(stand, users.PROXY))},
        "hostnameOverride": users.NODE,
        "clusterCIDR": stand.pod_network,
        "healthzBindAddress": f"{stand.node}:10256",
        "conntrack": {"maxPerCore": 0},
        # Two pods on one bridge answer one another past iptables; this sends the answers back through it.
        "iptables": {"masqueradeAll": True},
    }
    (stand.folder("kube-proxy") / "config.json").write_text(json.dumps(config))


def _proxy(stand: Stand) -> list[str]:
    return [str(program("kube-proxy")), f"--config={stand.folder('kube-proxy') / 'config.json'}"]


CONTAINERD = Part(
    name="containerd",
    group="node",
    prepare=_prepare_containerd,
    command=_containerd,
    ready=lambda stand: succeeds(ctr(stand, "version")),
    settle=load_images,
    in_node=True,
    outlived=True,
)
KUBELET = Part(
    name="kubelet",
    group="node",
    prepare=_prepare_kubelet,
    command=_kubelet,
    ready=_kubelet_ready,
    after=("kube-apiserver", "containerd"),
    in_node=True,
    in_turn=True,  # each first empties /var/lib/kubelet/device-plugins, and ends if another's socket is there again
)
PROXY = Part(
    name="kube-proxy",
    group="node",
    prepare=_prepare_proxy,
    command=_proxy,
    ready=lambda stand: answers(f"http://{stand.node}:10256/healthz"),
    after=("kube-apiserver", "kubelet"),  # it waits 30 s for its node, and does without the node's address then
    in_node=True,
)
