"""Tenants applied to a running operator, timed from the outside: what a person with kubectl would see."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.floor import tenant
from demo import cluster as demo
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import TENANT, Manifest

POLL = 0.02
"""Seconds between two looks at one Tenant: the error of a single measurement."""
PATIENCE = 300.0
"""Seconds after which a measurement is given up."""


def ready(body: Manifest | None) -> bool:
    """Whether the Tenant's Ready is True."""
    conditions = (body or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def onboard(api: KubeApi, names: Sequence[str]) -> float:
    """Seconds from the first apply to the last Ready, as a watch sees it."""
    version = ""
    for page in api.pages(TENANT):
        version = page["metadata"]["resourceVersion"]
    began = time.monotonic()
    waiting = set(names)
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(api.create, [tenant(name) for name in names])
        for _, body in api.watch(TENANT, version):
            if ready(body):
                waiting.discard(body["metadata"]["name"])
            if not waiting:
                break
            if time.monotonic() - began > PATIENCE:
                raise SystemExit(f"{len(waiting)} Tenants are not Ready after {PATIENCE:.0f} s, such as {min(waiting)}")
        seconds = time.monotonic() - began
        list(made)
    return seconds


def single(api: KubeApi, name: str) -> float:
    """Seconds from apply to Ready of one Tenant."""
    began = time.monotonic()
    api.create(tenant(name))
    while not ready(api.get(TENANT, name)):
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"Tenant {name} is not Ready after {PATIENCE:.0f} s")
        time.sleep(POLL)
    return time.monotonic() - began


def remove(env: Mapping[str, str], names: Sequence[str]) -> float:
    """Seconds until the Tenants are gone, with all they had."""
    began = time.monotonic()
    demo.kubectl(env, "delete", "tenant", f"--timeout={PATIENCE:.0f}s", *names)
    return time.monotonic() - began
