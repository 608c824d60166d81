"""`matrixhub release`: the operator is uninstalled, and nothing waits for it any more. No tenant's data is touched."""

import logging
import threading

from matrixhub import log as logs
from matrixhub.api import naming
from matrixhub.config import Config
from matrixhub.errors import BackendError, Conflict, Rejected, Transient
from matrixhub.kube.client import KubeApi
from matrixhub.kube.finalizer import without
from matrixhub.kube.lease import TIMEOUT as LEASE_TIMEOUT
from matrixhub.kube.lease import Lease
from matrixhub.kube.resources import DEPLOYMENT, REALTIME_CLUSTER, TENANT, Manifest, Resource
from matrixhub.leader import Candidate

log = logging.getLogger(__name__)

FINALIZERS = {TENANT: naming.FINALIZER, REALTIME_CLUSTER: naming.CLUSTER_FINALIZER}
PATIENCE = 120.0
"""Seconds until an operator that does not end, and goes on renewing its Lease, is reported."""
ATTEMPTS = 5
"""Others may write between our reading an object and taking the finalizer away."""


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
        released = {resource: _held(api, resource) for resource in FINALIZERS}
        for resource, held in released.items():
            for metadata in held:
                _release(api, resource, metadata)
    except BackendError as error:
        log.error("Cannot release: %s", error.message)  # noqa: TRY400 - a sentence for a person, no stack
        return 1
    finally:
        candidate.resign()
    counts = [len(held) for held in released.values()]
    log.info("Released %d Tenants and %d RealtimeClusters: they wait for no operator, and no data was touched", *counts)
    return 0


def _stop(api: KubeApi, namespace: str, deployment: str) -> None:
    """The operator's pods are on their way out, if there is such a Deployment."""
    replicas = api.replicas(DEPLOYMENT, deployment, namespace)
    if replicas:
        api.scale(DEPLOYMENT, deployment, namespace, 0)
        log.info("Scaled Deployment %s/%s from %d to 0", namespace, deployment, replicas)


def _held(api: KubeApi, resource: Resource) -> list[Manifest]:
    """The metadata of every object that has our finalizer; none where the cluster does not know the kind."""
    try:
        items = [item["metadata"] for page in api.pages(resource, metadata_only=True) for item in page["items"]]
    except Rejected as error:
        if error.reason == "NotFound":
            return []
        raise
    return [metadata for metadata in items if FINALIZERS[resource] in metadata.get("finalizers", [])]


def _release(api: KubeApi, resource: Resource, metadata: Manifest) -> None:
    """Our finalizer is gone from the object, which could not go away while it had it."""
    name, namespace = metadata["name"], metadata.get("namespace")
    for _ in range(ATTEMPTS):
        held, uid, version = metadata.get("finalizers", []), metadata["uid"], metadata["resourceVersion"]
        patch = {"metadata": without(FINALIZERS[resource], held, uid=uid, version=version)}
        try:
            api.patch(resource, name, namespace, patch)
        except Conflict:
            metadata = (api.get(resource, name, namespace) or {"metadata": metadata})["metadata"]
            continue
        outcome = "was being deleted: what it has on its backends stays" if "deletionTimestamp" in metadata else "stays"
        log.info("%s %s %s", resource.kind, name, outcome)
        return
    raise Transient("Conflict", f"{resource.kind} {name} is written all the time: try again")
