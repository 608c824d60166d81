"""What a RealtimeCluster's own gateways and relay log in with: kept in one Secret beside it and nowhere else."""

import base64
import threading

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Owner, ServiceAccount
from matrixhub.engine.vault import PASSWORD, new_password
from matrixhub.errors import Conflict, Rejected
from matrixhub.kube.client import KubeApi
from matrixhub.kube.manifests import owner_reference
from matrixhub.kube.resources import SECRET, Manifest

ROLES = ("gateway", "relay")


class Accounts:
    """Reads the Secret `<cluster>-accounts`, or makes it; safe to share between threads."""

    def __init__(self, api: KubeApi, hub: str) -> None:
        self._api = api
        self._hub = hub
        self._alone = threading.Lock()

    def of(self, cluster: RealtimeCluster, role: str, *, leaving: bool = False) -> ServiceAccount | None:
        """The account of `gateway` or `relay`; None where the RealtimeCluster runs no such thing.

        One that is leaving needs no password, and may be of something that once ran and went out of the spec.
        Raises Rejected when a Secret of that name exists that is not ours.
        """
        if not role:
            return None
        owner = Owner(self._hub, cluster.metadata.uid, cluster.spec.adopt_from)
        if leaving:
            return ServiceAccount(owner, naming.service_login(role, cluster.key), "", leaving=True)
        if getattr(cluster.spec, role) is None:
            return None
        with self._alone:
            data = self._data(cluster)
        return ServiceAccount(owner, data[f"{role}-login"], data[f"{role}-password"])

    def _data(self, cluster: RealtimeCluster) -> dict[str, str]:
        """What the Secret holds, whole: what was missing or spoilt is made anew."""
        name, namespace = naming.accounts_secret(cluster.metadata.name), cluster.metadata.namespace
        there = self._api.get(SECRET, name, namespace)
        labels = there["metadata"].get("labels") or {} if there else {}
        if there and labels.get(naming.CLUSTER_LABEL) != cluster.metadata.name:
            raise Rejected("Conflict", f"Secret {namespace}/{name} is not Matrix Hub's: remove or rename it")
        held = {key: base64.b64decode(value).decode(errors="replace") for key, value in _items(there)}
        wanted = {
            **{f"{role}-login": naming.service_login(role, cluster.key) for role in ROLES},
            **{key: _kept(held.get(key, "")) for key in (f"{role}-password" for role in ROLES)},
        }
        if held != wanted:
            self._write(cluster, name, wanted, exists=there is not None)
        return wanted

    def _write(self, cluster: RealtimeCluster, name: str, data: dict[str, str], *, exists: bool) -> None:
        manifest: Manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": cluster.metadata.namespace,
                "labels": {**naming.MANAGED_BY, naming.CLUSTER_LABEL: cluster.metadata.name},
                "ownerReferences": [owner_reference(cluster)],
            },
            "type": "Opaque",
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        }
        if exists:
            self._api.apply(manifest)
            return
        try:
            self._api.create(manifest)
        except Conflict as error:
            raise Rejected("Conflict", f"Secret {cluster.metadata.namespace}/{name} was made by another") from error


def _items(secret: Manifest | None) -> list[tuple[str, str]]:
    return list(((secret or {}).get("data") or {}).items())


def _kept(password: str) -> str:
    return password if PASSWORD.fullmatch(password) else new_password()
