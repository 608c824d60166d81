"""What a node leaves in the kernel and on the machine, and how it is taken away again.

A node that is killed leaves its pods running under their shims, mounts, cgroups, addresses and iptables chains.
"""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

from stand import process
from stand.run import Failure, succeeds, until
from stand.state import Stand

BRIDGE = "cni0"
_CGROUPS = Path("/sys/fs/cgroup")


def socket(stand: Stand) -> Path:
    """The socket of containerd: outside the state folder, whose path may be longer than a socket's may be."""
    return Path("/run/matrixhub") / stand.name / "containerd.sock"


def _cgroup_roots() -> list[Path]:
    """Where cgroups are made: in each hierarchy of version 1, in the one of version 2."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return sorted({path.resolve() for path in _CGROUPS.iterdir() if path.is_dir()})


def make_cgroups(stand: Stand) -> None:
    """The cgroup below which all pods of this stand run is there."""
    for root in _cgroup_roots():
        (root / stand.name).mkdir(exist_ok=True)
        if (root / "cgroup.controllers").exists():
            enabled = " ".join("+" + name for name in (root / "cgroup.controllers").read_text().split())
            for control in (root, root / stand.name) if enabled else ():
                (control / "cgroup.subtree_control").write_text(enabled)


def _own_cgroups(stand: Stand) -> list[Path]:
    """Every cgroup of this stand, the innermost first."""
    tops = [root / stand.name for root in _cgroup_roots()]
    return [Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)]


def _leftovers(stand: Stand) -> list[process.Process]:
    """Containers by their cgroup, shims by the socket in their command line."""
    pids: set[int] = set()
    for cgroup in _own_cgroups(stand):
        try:
            pids.update(int(pid) for pid in (cgroup / "cgroup.procs").read_text().split())
        except OSError:
            continue
    wanted = str(socket(stand)).encode()
    for pid in process.all_pids():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].rsplit(b"/")[-1].startswith(b"containerd-shim") and wanted in words:
            pids.add(pid)
    return [found for pid in pids if (found := process.at(pid))]


def _kill(stand: Stand) -> None:
    def none_left() -> bool:
        left = _leftovers(stand)
        for found in left:
            found.signal(signal.SIGKILL)
        return not left

    if not until(none_left, 15):
        raise Failure(f"pods of {stand.name} could not be killed: {[found.pid for found in _leftovers(stand)]}")


def _mounts(stand: Stand) -> list[str]:
    """Mounts below the node's folders, the innermost first."""
    folders = tuple(f"{stand.state / name}/" for name in ("containerd", "kubelet"))
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return sorted((point for point in points if point.startswith(folders)), key=len, reverse=True)


def _unmount(stand: Stand) -> None:
    for _ in range(3):
        for point in _mounts(stand):
            succeeds(["umount", "-l", point])
    left = _mounts(stand)
    if left:
        raise Failure(f"still mounted: {' '.join(left)}")


def _forget_addresses(stand: Stand) -> None:
    """Every pod address is free again, and no chain or interface of a pod is left in the node's namespace."""
    shutil.rmtree(stand.state / "containerd" / "addresses", ignore_errors=True)
    results = Path("/var/lib/cni/results")
    for cached in results.glob(f"{stand.name}-*"):
        for network in results.glob(f"*-{cached.name.split('-')[1]}-*"):
            network.unlink(missing_ok=True)
    inside = ["nsenter", f"--net=/run/netns/{stand.name}", "--"]
    succeeds([*inside, "ip", "link", "del", BRIDGE])
    for table in ("nat", "filter", "mangle"):
        succeeds([*inside, "iptables", "-t", table, "-F"])
        succeeds([*inside, "iptables", "-t", table, "-X"])


def _forget_shims(stand: Stand) -> None:
    """No socket of a shim is left in containerd's common folder; each task's folder says where its own is."""
    for address in (stand.state / "containerd" / "state").glob("io.containerd.runtime.v2.task/*/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)


def _forget_logs(stand: Stand) -> None:
    """No link in the machine's common folder of container logs points into this stand."""
    for link in Path("/var/log/containers").glob("*"):
        with suppress(OSError):  # another stand's node takes its own away meanwhile
            if link.readlink().is_relative_to(stand.state):
                link.unlink()


def sweep(stand: Stand) -> None:
    """No container, shim, mount, cgroup, address or chain of this stand's pods is left."""
    _kill(stand)
    _unmount(stand)
    for cgroup in _own_cgroups(stand):
        until(partial(_removed, cgroup), 2)
    _forget_addresses(stand)
    _forget_logs(stand)
    _forget_shims(stand)
    shutil.rmtree(stand.state / "containerd" / "state", ignore_errors=True)
    shutil.rmtree(socket(stand).parent, ignore_errors=True)


def _removed(cgroup: Path) -> bool:
    try:
        cgroup.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
