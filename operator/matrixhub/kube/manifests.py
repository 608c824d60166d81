"""What the objects that a RealtimeCluster runs have in common: whose they are, how their pods are confined. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from matrixhub.api import naming
from matrixhub.api.dataplane import Pods, Resources
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.kube.resources import BY_KIND, Manifest

SEAL = f"{naming.GROUP}/config"
"""The annotation by which pods are replaced when what they read at their start has changed."""
NOBODY = 65532
"""The user that distroless images run as."""
PROGRESS_SECONDS = 120
"""How long a change may take to reach a pod before it is told that it does not."""


def owner_reference(cluster: RealtimeCluster) -> Manifest:
    """With it, the object goes when the RealtimeCluster has gone."""
    return {
        "apiVersion": naming.API_VERSION,
        "kind": "RealtimeCluster",
        "name": cluster.metadata.name,
        "uid": cluster.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def tag(image: str) -> str:
    """The tag of an image's reference; empty without one."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[2]


def labels(cluster: RealtimeCluster, component: str) -> dict[str, str]:
    """What every object of the component carries: what its pods are selected by, and whose it is."""
    ours = {**naming.MANAGED_BY, naming.CLUSTER_LABEL: cluster.metadata.name}
    return naming.workload_labels(component, cluster.metadata.name) | ours


def described(
    cluster: RealtimeCluster,
    component: str,
    kind: str,
    name: str,
    body: Manifest,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """The object of this kind and name beside the RealtimeCluster, owned by it."""
    metadata: Manifest = {
        "name": name,
        "namespace": cluster.metadata.namespace,
        "labels": labels(cluster, component),
        "ownerReferences": [owner_reference(cluster)],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": BY_KIND[kind].api_version, "kind": kind, "metadata": metadata, **body}


def sealed(template: Manifest, *contents: object) -> Manifest:
    """The template, changed whenever one of the contents is; gives none of them away if one is a random password."""
    digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]
    metadata = template["metadata"]
    return {**template, "metadata": {**metadata, "annotations": {**metadata["annotations"], SEAL: digest}}}


def pod(
    cluster: RealtimeCluster,
    component: str,
    spec: Pods,
    container: Manifest,
    volumes: Sequence[Manifest],
    grace: int,
) -> Manifest:
    """The template of pods with one container, under the `restricted` Pod Security Standard.

    Their ServiceAccount has the workload's name; `grace` are the seconds that they may take to end.
    """
    selector = naming.workload_labels(component, cluster.metadata.name)
    body: dict[str, Any] = {
        "serviceAccountName": f"{cluster.metadata.name}-{component}",
        "automountServiceAccountToken": False,
        # Variables named after Services could be taken for settings.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "fsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{**container, "securityContext": _CONFINED}],
        "volumes": list(volumes),
        "topologySpreadConstraints": list(spec.topology_spread_constraints) or [_over_nodes(selector)],
    }
    if spec.image_pull_secrets:
        body["imagePullSecrets"] = [{"name": each.name} for each in spec.image_pull_secrets]
    if spec.node_selector:
        body["nodeSelector"] = spec.node_selector
    if spec.tolerations:
        body["tolerations"] = list(spec.tolerations)
    metadata = {"labels": labels(cluster, component), "annotations": dict(spec.annotations)}
    return {"metadata": metadata, "spec": body}


def deployment(selector: Mapping[str, str], template: Manifest, **more: int) -> Manifest:
    """A Deployment's spec: one pod is replaced at a time, and none ends before another is ready.

    Without `replicas`: the scaler alone writes that. `more` stands beside the rest.
    """
    return {
        "selector": {"matchLabels": selector},
        **more,
        "progressDeadlineSeconds": PROGRESS_SECONDS,
        "revisionHistoryLimit": 3,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": template,
    }


def budget(selector: Mapping[str, str]) -> Manifest:
    """A PodDisruptionBudget's spec: one at a time; a pod that never gets ready keeps no node from being drained."""
    return {
        "selector": {"matchLabels": selector},
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def probe(port: str, path: str, *, period: int, failures: int, tls: bool = False) -> Manifest:
    """What the kubelet asks every `period` seconds; so many failures in a row count."""
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTPS" if tls else "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def resources(spec: Resources) -> dict[str, dict[str, str]]:
    """What a container asks for and may use."""
    return {
        "requests": {name: str(amount) for name, amount in spec.requests.items()},
        "limits": {name: str(amount) for name, amount in spec.limits.items()},
    }


_CONFINED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def _over_nodes(selector: dict[str, str]) -> dict[str, Any]:
    """Over nodes, as far as there are some."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector},
    }
