"""The relay of one RealtimeCluster: its workload in Kubernetes. Tenants have no share of it."""

from collections.abc import Mapping, Sequence
from typing import NoReturn

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.values import bracketed
from matrixhub.backends.contract import Applied, Finding, Intent, ServiceAccount, Survey
from matrixhub.backends.relay import workload
from matrixhub.errors import BackendError, Rejected, Transient
from matrixhub.kube.client import KubeApi
from matrixhub.kube.contents import read
from matrixhub.kube.manifests import tag
from matrixhub.kube.resources import SECRET, SERVICE
from matrixhub.kube.workload import keep, rollout


class Client:
    """Implements `contract.Backend`, for a kind that is not shared out: `prepare` is all there is to do.

    `image` is what the relay runs where its spec names none: the operator's own.
    """

    def __init__(self, cluster: RealtimeCluster, account: ServiceAccount | None, api: KubeApi, image: str) -> None:
        if account is None:
            raise ValueError(f"the relay of RealtimeCluster {cluster.key} has no account")
        self._cluster = cluster
        self._api = api
        self._spec, *_ = workload.parts(cluster)
        self._image = self._spec.image or image

    def prepare(self) -> Survey:
        """The workload is as it should be, and what keeps relays from being ready is told.

        Raises Rejected("ImageMissing") where nobody says which image, Transient until the gateways' Service is there.
        """
        if not self._image:
            raise Rejected(
                "ImageMissing",
                f"RealtimeCluster {self._cluster.key}: the operator does not know its own image (MATRIXHUB_IMAGE): "
                f"write spec.relay.image",
            )
        namespace = self._cluster.metadata.namespace
        contents = read(self._api, namespace, workload.mounted(self._cluster))
        seals = (*self._logins(), *contents.seals)
        objects = workload.manifests(self._cluster, self._image, self._gateway(), seals)
        repaired = keep(self._api, objects)
        missing = tuple(Finding("SecretMissing", sentence) for sentence in contents.missing)
        return Survey(tag(self._image), repaired, missing + self._rollout())

    def _logins(self) -> tuple[str, ...]:
        """What pods take from the accounts' Secret, which the engine has made by now."""
        name = naming.accounts_secret(self._cluster.metadata.name)
        data = (self._api.get(SECRET, name, self._cluster.metadata.namespace) or {}).get("data") or {}
        return tuple(
            data.get(key, "") for key in ("relay-login", "relay-password", "gateway-login", "gateway-password")
        )

    def _gateway(self) -> str:
        """Where the gateways' Service is: by its address, which needs no DNS and stays as long as the Service."""
        name = naming.gateway_workload(self._cluster.metadata.name)
        service = self._api.get(SERVICE, name, self._cluster.metadata.namespace)
        if service is None:
            raise Transient("GatewayPending", f"Service {name} is not there yet: the relay starts once it is", 2.0)
        host, port = service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
        return f"{bracketed(host)}:{port}"

    def _rollout(self) -> tuple[Finding, ...]:
        name = naming.relay_workload(self._cluster.metadata.name)
        told = rollout(self._api, self._cluster.metadata.namespace, name, self._spec.min_replicas)
        return (Finding("RelaysNotReady", told),) if told else ()

    def observe(self, intents: Sequence[Intent]) -> Mapping[str, BackendError]:
        """Nothing: see `desired`."""
        del intents
        return {}

    def desired(self, intent: Intent) -> NoReturn:
        """Never asked for: no tenant has a share of the relay."""
        raise ValueError(f"Tenant {intent.tenant.id} has no share of a relay")

    def plan(self, desired: object, observed: object) -> tuple[()]:
        """Nothing: see `desired`."""
        del desired, observed
        return ()

    def apply(self, plans: Mapping[str, tuple[()]]) -> Mapping[str, Applied]:
        """Nothing is done: see `desired`."""
        return {tenant: Applied() for tenant in plans}

    def binding(self, intent: Intent) -> Mapping[str, str]:
        """Nothing: a tenant's applications know of Kafka and of their app."""
        del intent
        return {}

    def close(self) -> None:
        """There is nothing to close."""
