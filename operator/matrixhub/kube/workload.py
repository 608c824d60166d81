"""Objects that a RealtimeCluster runs its pods with: applied as described, and whether the pods came up."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from matrixhub.api import naming
from matrixhub.errors import Conflict
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import BY_KIND, DEPLOYMENT, POD, WORKLOAD, Manifest

_NOT_SAID = frozenset({"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"})
_POD_CONDITION = "PodScheduled"
_DIGEST = f"{naming.GROUP}/applied"
"""The annotation that says which description was applied last: what it no longer names has to go."""


def keep(api: KubeApi, manifests: Iterable[Manifest]) -> tuple[str, ...]:
    """Every object is as described (server-side apply); a sentence for each that did not say so before.

    One that says all of it already, and to which the same was applied last, is only read.
    Raises Conflict for an object of that name that does not carry our label.
    """
    return tuple(sentence for manifest in manifests if (sentence := _keep(api, manifest)))


def _keep(api: KubeApi, manifest: Manifest) -> str:
    manifest = _stamped(manifest)
    metadata, kind = manifest["metadata"], manifest["kind"]
    name = f"{kind} {metadata['namespace']}/{metadata['name']}"
    before = api.get(BY_KIND[kind], metadata["name"], metadata["namespace"])
    if before is None:
        # Not by POST: what was once created that way stays when it is no longer described, such as a Service's port.
        api.apply(manifest)
        return f"created {name}"
    labels = before["metadata"].get("labels") or {}
    if labels.get(naming.CLUSTER_LABEL) != metadata["labels"][naming.CLUSTER_LABEL]:
        raise Conflict(f"{name} exists and is not Matrix Hub's: remove or rename it", "somebody else")
    if says(before, manifest):
        return ""
    after = api.apply(manifest)
    return f"changed {name}" if _said(before) != _said(after) else ""


def says(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted is in what was found; what else is there does not count. Pure."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and says(found[key], each) for key, each in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(says, found, wanted))
    return bool(found == wanted)


def _stamped(manifest: Manifest) -> Manifest:
    """The manifest with the digest of itself."""
    digest = hashlib.blake2b(json.dumps(manifest, sort_keys=True).encode(), digest_size=8).hexdigest()
    annotations = {**(manifest["metadata"].get("annotations") or {}), _DIGEST: digest}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def clear(api: KubeApi, namespace: str, cluster: str, component: str) -> tuple[str, ...]:
    """What the RealtimeCluster runs as this component goes or is gone; a sentence for each object that was told to go.

    One that does not go, such as a Service whose load balancer the cloud keeps, is told of once.
    """
    labels = {**naming.workload_labels(component, cluster), **naming.MANAGED_BY, naming.CLUSTER_LABEL: cluster}
    selector = naming.selector(labels)
    gone = []
    for resource in WORKLOAD:
        for found in list(api.list(resource, namespace, selector)):
            metadata = found["metadata"]
            if "deletionTimestamp" in metadata:
                continue
            api.delete(resource, metadata["name"], namespace, metadata["uid"])
            gone.append(f"deleted {resource.kind} {namespace}/{metadata['name']}")
    return tuple(gone)


def rollout(api: KubeApi, namespace: str, name: str, least: int) -> str:
    """What is wrong with the Deployment as it is now, in words; empty when nothing is. See `trouble`."""
    deployment = api.get(DEPLOYMENT, name, namespace)
    if deployment is None:
        told = "it was deleted just now"
    else:
        selector = naming.selector(deployment["spec"]["selector"]["matchLabels"])
        told = trouble(deployment, api.list(POD, namespace, selector), least)
    return f"Deployment {name}: {told}" if told else ""


def trouble(deployment: Manifest, pods: Iterable[Manifest], least: int) -> str:
    """What keeps the Deployment's pods from being ready, or a change of it from reaching them; empty when nothing does.

    `deployment` is the object as read. Pods that merely start are no trouble where `least` are ready. `pods` are only
    read when fewer are as described than wanted. Pure.
    """
    # A Deployment begins with one; the scaler brings it to its least a moment later.
    wanted, status = max(least, deployment["spec"].get("replicas", 1)), deployment.get("status") or {}
    ready, updated = status.get("readyReplicas", 0), status.get("updatedReplicas", 0)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    # A pod of the former description is among the ready as long as the one that takes its place is not.
    replaced = status.get("replicas", 0) <= updated
    if seen and replaced and min(ready, updated) >= wanted:
        return ""
    why = next((told for pod in pods if (told := _pod_trouble(pod))), _conditions(status))
    if ready >= least and not why:
        return ""
    told = f"{ready} of {wanted} pods are ready" if ready < wanted else "a change does not reach all pods"
    return told + (f": {why}" if why else "")


def _pod_trouble(pod: Manifest) -> str:
    """Why the pod does not run, in the kubelet's or the scheduler's own words."""
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    for condition in status.get("conditions") or ():
        if condition["type"] == _POD_CONDITION and condition["status"] == "False":
            return str(condition.get("message", ""))
    return ""


def _conditions(status: Manifest) -> str:
    told = [
        each
        for each in status.get("conditions") or ()
        if (each["type"], each["status"]) in (("ReplicaFailure", "True"), ("Progressing", "False"))
    ]
    return str(told[0].get("message", "")) if told else ""


def _said(body: Manifest) -> str:
    said: dict[str, Any] = {key: value for key, value in body.items() if key not in ("metadata", "status")}
    said["metadata"] = {key: value for key, value in body["metadata"].items() if key not in _NOT_SAID}
    annotations = dict(said["metadata"].get("annotations") or {})
    annotations.pop("deployment.kubernetes.io/revision", None)
    said["metadata"]["annotations"] = annotations
    return json.dumps(said, sort_keys=True)
