"""The gateways of one RealtimeCluster: their workload in Kubernetes, and the tenants' apps in their table."""

import base64
from collections.abc import Callable, Mapping, Sequence

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import Tls
from matrixhub.backends.contract import Applied, Credential, Finding, Intent, ServiceAccount, Survey
from matrixhub.backends.gateway import workload
from matrixhub.backends.gateway.apps import Apps
from matrixhub.backends.gateway.bus import Bus
from matrixhub.backends.gateway.desired import CANARY, binding, desired, section, stores
from matrixhub.backends.gateway.plan import Action, orphans, plan
from matrixhub.backends.gateway.recreation import Recreation
from matrixhub.backends.gateway.state import State
from matrixhub.errors import BackendError
from matrixhub.kube.client import KubeApi
from matrixhub.kube.contents import Contents, read
from matrixhub.kube.manifests import tag
from matrixhub.kube.mounts import Mounted, trusted
from matrixhub.kube.residents import residents
from matrixhub.kube.workload import keep, rollout


class Client:
    """Implements `contract.Backend`. Reaches the table as the gateways themselves do, so what they need is tried."""

    def __init__(
        self,
        cluster: RealtimeCluster,
        account: ServiceAccount | None,
        api: KubeApi,
        new_app: Callable[[], Credential],
    ) -> None:
        if account is None:
            raise ValueError(f"the gateways of RealtimeCluster {cluster.key} have no account")
        self._cluster = cluster
        self._account = account
        self._api = api
        self._new_app = new_app
        self._spec = section(cluster)
        self._apps: Apps | None = None
        self._swept = 0
        """The connection over which it was looked for apps of Tenants that are gone: none go without this client, but
        they come back with a backup, for which sessions are cut."""
        self._recreation = Recreation(api, cluster, self._stores_let_in)

    def prepare(self) -> Survey:
        """The table stands, without apps of Tenants that are gone, and the workload is as it should be.

        What keeps gateways from being ready is told.
        """
        repaired = self._connected().prepare() + self._sweep()
        contents = self._contents(workload.mounted(self._cluster))
        missing = tuple(Finding("SecretMissing", sentence) for sentence in contents.missing)
        repaired += keep(self._api, workload.manifests(self._cluster, self._account, contents.seals))
        repaired += self._recreation.survey()
        return Survey(tag(self._spec.image), repaired, missing + self._rollout())

    def observe(self, intents: Sequence[Intent]) -> Mapping[str, State | BackendError]:
        """What exists of each tenant: one query for any number of them."""
        ids = {intent.tenant.id: naming.app_id(intent.tenant.id) for intent in intents}
        apps = self._connected().read(list(ids.values()))
        return {tenant: State(tenant, identity, apps.get(identity)) for tenant, identity in ids.items()}

    def desired(self, intent: Intent) -> State:
        """What should exist. Pure."""
        return desired(intent)

    def plan(self, desired: State, observed: State) -> tuple[Action, ...]:
        """The steps from observed to desired. Pure."""
        return plan(desired, observed)

    def apply(self, plans: Mapping[str, tuple[Action, ...]]) -> Mapping[str, Applied]:
        """All plans are carried out in one round trip, each tenant with its own error."""
        return self._connected().apply(plans)

    def binding(self, intent: Intent) -> Mapping[str, str]:
        """What the tenant's Secret holds. Pure."""
        return binding(intent)

    def pulse(self) -> str:
        """Gateways that gave up on Redis are deleted. Always the same text: what tenants have is in Postgres."""
        self._recreation.look()
        return ""

    def close(self) -> None:
        """The connection is closed."""
        if self._apps is not None:
            self._apps.close()

    def _sweep(self) -> tuple[str, ...]:
        """No app is there of Tenants that went before the connection was opened; what was done."""
        apps = self._connected()
        if self._swept == (opened := apps.opened):
            return ()
        # The apps first: whoever comes between the two answers is in the second.
        gone = orphans(apps.ids(), residents(self._api, self._cluster.key))
        if gone:
            apps.clear(gone)
        self._swept = opened
        return (f"Removed apps whose Tenants are gone: {len(gone)}",) if gone else ()

    def _connected(self) -> Apps:
        if self._apps is None:
            postgres, _ = stores(self._cluster)
            trust = self._trusted("postgres", postgres.tls)
            self._apps = Apps(self._cluster, postgres, self._account, trust, self._new_app)
        return self._apps

    def _stores_let_in(self) -> bool:
        """Whether Redis lets gateways in now; raises Postgres' answer if that one does not."""
        self._connected().read([CANARY])
        _, redis = stores(self._cluster)
        return Bus(redis, self._account, self._trusted("redis", redis.tls)).lets_in()

    def _trusted(self, store: str, tls: Tls | None) -> dict[str, str]:
        """What pods mount to trust the store, and to be trusted by it."""
        values = self._contents(trusted(store, tls)).values
        return {key: base64.b64decode(value).decode(errors="replace") for (_, key), value in values.items()}

    def _contents(self, mounted: Sequence[Mounted]) -> Contents:
        return read(self._api, self._cluster.metadata.namespace, mounted)

    def _rollout(self) -> tuple[Finding, ...]:
        name = naming.gateway_workload(self._cluster.metadata.name)
        told = rollout(self._api, self._cluster.metadata.namespace, name, self._spec.min_replicas)
        return (Finding("GatewaysNotReady", told),) if told else ()
