"""`matrixhub release`: the operator is uninstalled, and nothing waits for it any more. No tenant's data is touched."""

import logging
import threading
import time

from matrixhub import log as logs
from matrixhub.api import naming
from matrixhub.config import Config
from matrixhub.errors import BackendError, Conflict, Rejected
from matrixhub.kube.client import KubeApi
from matrixhub.kube.lease import TIMEOUT as LEASE_TIMEOUT
from matrixhub.kube.lease import Lease
from matrixhub.kube.resources import DEPLOYMENT, REALTIME_CLUSTER, TENANT, Manifest, Resource
from matrixhub.leader import Candidate

log = logging.getLogger(__name__)

FINALIZERS = {TENANT: naming.FINALIZER, REALTIME_CLUSTER: naming.CLUSTER_FINALIZER}
PATIENCE = 120.0
"""Seconds until an operator that does not end, and goes on renewing its Lease, is reported."""
ATTEMPTS = 5
"""Writers may come between reading an object and taking the finalizer away."""


def main(namespace: str, deployment: str) -> int:
    """The exit status: 0 once no Tenant and no RealtimeCluster waits for the operator."""
    config = Config.from_environment()
    logs.configure(config.log_format, config.log_level)
    api, elected = KubeApi(), threading.Event()
    lease = Lease(KubeApi(timeout=LEASE_TIMEOUT), namespace, config.lease_name, config.identity)
    candidate = Candidate(lease, elected.set)
    candidate.start()
    try:
        _stop(api, namespace, deployment)
        if not elected.wait(PATIENCE):
            log.error("The operator still renews its Lease after %.0f s: end its pods, then try again", PATIENCE)
            return 1
        released = [sum(_release(api, resource, body) for body in _all(api, resource)) for resource in FINALIZERS]
    except BackendError as error:
        log.error("Cannot release: %s", error.message)  # noqa: TRY400 - a sentence for a person, no stack
        return 1
    finally:
        candidate.resign()
    log.info("Released %d Tenants and %d RealtimeClusters; their data and access stay as they are", *released)
    return 0


def _stop(api: KubeApi, namespace: str, deployment: str) -> None:
    """The operator's pods are on their way out, if there is such a Deployment."""
    replicas = api.replicas(DEPLOYMENT, deployment, namespace)
    if replicas:
        api.scale(DEPLOYMENT, deployment, namespace, 0)
        log.info("Scaled Deployment %s/%s from %d to 0", namespace, deployment, replicas)


def _all(api: KubeApi, resource: Resource) -> list[Manifest]:
    """Every object of the kind with its metadata alone; none where the cluster does not know the kind."""
    try:
        return [item for page in api.pages(resource, metadata_only=True) for item in page["items"]]
    except Rejected as error:
        if error.reason == "NotFound":
            return []
        raise


def _release(api: KubeApi, resource: Resource, body: Manifest | None) -> bool:
    """Our finalizer is gone from the object; whether it had it."""
    finalizer = FINALIZERS[resource]
    for attempt in range(ATTEMPTS):
        metadata = body["metadata"] if body else {}
        kept = [name for name in metadata.get("finalizers", []) if name != finalizer]
        if kept == metadata.get("finalizers", []):
            return False
        name, namespace = metadata["name"], metadata.get("namespace")
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": kept or None}}
        try:
            api.patch(resource, name, namespace, patch)
        except (Conflict, Rejected) as error:
            if isinstance(error, Rejected) and error.reason != "NotFound":
                raise
            time.sleep(attempt / 10)
            body = api.get(resource, name, namespace)
            continue
        outcome = "is gone, what it had on its backends stays" if "deletionTimestamp" in metadata else "is released"
        log.info("%s %s %s", resource.kind, name, outcome)
        return True
    raise Conflict(f"{resource.kind} {body['metadata']['name'] if body else ''} is written all the time", "a writer")
