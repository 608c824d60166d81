"""`python dev/bench [TENANTS]`: measures on the stand, prints one table, writes `.stand/bench.json`."""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cpu import clocks, spent
from bench.floor import BARE, NAMESPACE, Floor
from bench.onboarding import onboard, remove, single
from bench.process import Operator
from bench.realtime import realtime
from bench.simulation.figures import figures
from bench.together import together
from demo import cluster as demo
from matrixhub.config import Config
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import TENANT

TENANTS = int(sys.argv[1]) if sys.argv[1:] else 200
SINGLES = 20
OURS = ("bench-", "single-")
"""How the names of all Tenants begin that are made here."""


def floors(api: KubeApi) -> dict[str, float]:
    """Tenants per second of each backend, without the operator: alone, and all at once."""
    found = {}
    for name in (NAMESPACE, *BARE):
        found[f"floor_{name}_tenants_per_s"] = Floor(api, name, TENANTS).measure()
    found["floor_slowest_tenants_per_s"] = min(found.values())
    return found | together(TENANTS)


def onboarding(api: KubeApi, operator: Operator, floor: Mapping[str, float]) -> dict[str, float]:
    """A crowd at once beside the floors, and the CPU milliseconds that each Tenant of it costs."""
    crowd = [f"bench-{number:03d}" for number in range(TENANTS)]
    before = clocks(operator=operator.pid)
    rate = TENANTS / onboard(api, crowd)
    cost = spent(before, clocks(operator=operator.pid), TENANTS)
    print(f"  {TENANTS} Tenants at once: {rate:.1f}/s", flush=True)
    return {
        "onboard_tenants_per_s": rate,
        "onboard_floor_ratio": rate / floor["floor_slowest_tenants_per_s"],
        "onboard_together_ratio": rate / floor["floor_together_tenants_per_s"],
        **{f"onboard_cpu_ms_{name}": milliseconds for name, milliseconds in cost.items()},
        "onboard_cpu_ms": sum(cost.values()),
    }


def singles(api: KubeApi) -> dict[str, float]:
    """Apply to Ready of one Tenant on an idle operator."""
    names = [f"single-{number:02d}" for number in range(SINGLES)]
    times = []
    for name in names:
        times.append(single(api, name))
        time.sleep(0.5)
    remove(os.environ, names)
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    return {"ready_p50_s": statistics.median(times), "ready_p95_s": cuts[-1]}


def quiet(api: KubeApi, operator: Operator) -> dict[str, float]:
    """Two resyncs of a crowd in which nothing changes: what is asked, and what is written."""
    seconds = 2 * Config().resync_seconds
    versions = {body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in api.list(TENANT)}
    before, writes = operator.requests(), operator.writes()
    time.sleep(seconds)
    after = operator.requests()
    changed = [b for b in api.list(TENANT) if versions.get(b["metadata"]["name"]) != b["metadata"]["resourceVersion"]]
    found = {f"resync_requests_{name}": (after[name] - before.get(name, 0)) / 2 for name in sorted(after)}
    return {
        **found,
        "resync_requests": sum(found.values()),
        "idle_writes": operator.writes() - writes,
        "idle_changed_tenants": float(len(changed)),
    }


def clear(env: Mapping[str, str], api: KubeApi, operator: Operator) -> None:
    """No Tenant is left of an earlier benchmark, one that was cut off."""
    names = [body["metadata"]["name"] for body in api.list(TENANT)]
    if left := [name for name in names if name.startswith(OURS)]:
        print(f"Removing {len(left)} Tenants that an earlier benchmark left", flush=True)
        operator.start()
        remove(env, left)
        operator.stop()


def main() -> int:
    """The exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    env = demo.environment()
    os.environ.update(env)
    demo.without_operator()
    demo.install(env)
    demo.realtimecluster(env)
    operator = Operator(env)
    admin = KubeApi(env["KUBECONFIG"])
    found: dict[str, float] = {}
    try:
        clear(env, admin, operator)
        print(f"Measuring the floor of each backend with {TENANTS} tenants", flush=True)
        found |= floors(KubeApi(env["MATRIXHUB_OPERATOR_KUBECONFIG"]))
        operator.start()
        print("Onboarding", flush=True)
        found |= singles(admin)
        found |= onboarding(admin, operator, found)
        print("Two resyncs in which nothing changes", flush=True)
        found |= quiet(admin, operator)
        found["rss_mb"] = operator.rss()
        crowd = [f"bench-{number:03d}" for number in range(TENANTS)]
        found["offboard_tenants_per_s"] = TENANTS / remove(os.environ, crowd)
        # Last: the relays and gateways that its waves bring stay for minutes, and would work beside all else.
        print("Events to sockets", flush=True)
        found |= realtime(env)
    finally:
        operator.stop()
    print("Scaling, simulated", flush=True)
    found |= figures()
    Path(env["MATRIXHUB_STAND"], "bench.json").write_text(json.dumps(found, indent=1, sort_keys=True))
    print("\n" + "\n".join(f"{name:<32}{value:10.2f}" for name, value in sorted(found.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
