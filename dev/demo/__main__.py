"""`python dev/demo`: from a bare stand to three Ready Tenants, left running."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo import cluster, event
from demo.samples import SAMPLES

NEXT = """
It is running. To try next:

  . {state}/env                      # kubectl, psql, redis-cli and aws now reach the stand
  kubectl get tenants -o wide
  kubectl describe tenant greenwood
  kubectl -n matrixhub describe realtimecluster main      # the gateways, and why they are as many as they are

  uri=$(kubectl -n tenant-greenwood get secret postgres -o go-template='{{{{.data.uri | base64decode}}}}')
  psql "$uri" -c 'select count(*) from students'          # Greenwood's own, and nobody else's

  kubectl patch tenant riverside --type=merge -p '{{"spec":{{"suspended":true}}}}'
  kubectl -n tenant-hillcrest delete secret redis; sleep 1; kubectl -n tenant-hillcrest get secret redis

make down ends all of it.
"""


def step(began: float, words: str) -> None:
    """A person sees what is being done, and since when."""
    print(f"{time.monotonic() - began:6.1f} s  {words}", flush=True)


def main() -> int:
    """The exit status: 0 once every Tenant is Ready."""
    began = time.monotonic()
    cluster.stand("up")
    env = cluster.environment()
    step(began, "Installing the CRDs and the operator's rights")
    cluster.install(env)
    step(began, "Loading the sample platform's tables and rows")
    cluster.load(env, "schema.sql", "data.sql")
    step(began, "Starting the operator")
    cluster.stand("start", "operator")
    step(began, "Applying the RealtimeCluster and three Tenants")
    cluster.realtimecluster(env)
    cluster.kubectl(env, "apply", "-f", str(SAMPLES / "tenants.yaml"))
    try:
        cluster.kubectl(env, "wait", "--for=condition=Ready", "--timeout=90s", "-f", str(SAMPLES / "tenants.yaml"))
    except cluster.Failed:
        cluster.kubectl(env, "get", "tenants,realtimeclusters", "-A", "-o", "wide", quiet=False)
        print("The Tenants are not Ready; `python3 dev/stand logs operator` tells more.", file=sys.stderr)
        return 1
    step(began, "All Tenants are Ready; waiting for the gateways and the relay")
    cluster.kubectl(env, "-n", "matrixhub", "wait", "--for=condition=Ready", "--timeout=120s", "realtimecluster/main")
    step(began, "Greenwood's service produces to institution.updates, its browser listens on the gateways\n")
    told, seconds = event.seen(env, "greenwood", "institution.updates")
    print(f"  {told}\n  received {seconds * 1000:.0f} ms after it was produced\n")
    cluster.kubectl(env, "get", "tenants", quiet=False)
    print()
    cluster.kubectl(env, "get", "realtimeclusters", "-A", quiet=False)
    print(NEXT.format(state=env["MATRIXHUB_STAND"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
