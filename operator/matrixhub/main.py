"""The composition root: the only place that wires."""

import asyncio
import sys
from collections.abc import Callable

import prometheus_client

from matrixhub import log
from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.gateway import client as gateway
from matrixhub.backends.gateway import desired as gateway_desired
from matrixhub.backends.kafka import client as kafka
from matrixhub.backends.kafka import desired as kafka_desired
from matrixhub.backends.kafka.trail import Writer
from matrixhub.backends.namespace import client as namespace
from matrixhub.backends.objectstore import client as objectstore
from matrixhub.backends.objectstore import desired as objectstore_desired
from matrixhub.backends.postgres import client as postgres
from matrixhub.backends.postgres import desired as postgres_desired
from matrixhub.backends.redis import client as redis
from matrixhub.backends.redis import desired as redis_desired
from matrixhub.backends.relay import client as relay
from matrixhub.config import Config
from matrixhub.engine.controller import Controller
from matrixhub.engine.desk import Credentials, admin_of
from matrixhub.engine.kinds import Kind
from matrixhub.engine.trail import Reporting
from matrixhub.engine.vault import Vault
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import NAMESPACE
from matrixhub.owned import Echoes, Guard
from matrixhub.watch import watch


def kinds(api: KubeApi, image: str = "") -> tuple[Kind, ...]:
    """The backends beside the namespace, in the order in which a person reads of them. `image` is the operator's."""
    return (
        Kind(
            name="postgres",
            secret_name="postgres",
            section=lambda cluster: cluster.spec.postgres,
            client=postgres.Client,
            account="gateway",
            binding=postgres_desired.binding,
            credential=lambda tenant: Vault.generate(naming.postgres_role(tenant)),
        ),
        Kind(
            name="redis",
            secret_name="redis",
            section=lambda cluster: cluster.spec.redis,
            client=redis.Client,
            account="gateway",
            binding=redis_desired.binding,
            credential=lambda tenant: Vault.generate(naming.redis_user(tenant)),
        ),
        Kind(
            name="kafka",
            secret_name="kafka",
            section=lambda cluster: cluster.spec.kafka,
            client=kafka.Client,
            account="relay",
            binding=kafka_desired.binding,
            credential=lambda tenant: Vault.generate(naming.kafka_user(tenant)),
        ),
        Kind(
            name="objectstore",
            secret_name="object-store",
            section=lambda cluster: cluster.spec.object_store,
            client=lambda cluster, admin, _: objectstore.Client(cluster, admin),
            binding=objectstore_desired.binding,
            credential=lambda tenant: Vault.generate(naming.object_store_user(tenant)),
            issues=lambda cluster: (
                cluster.spec.object_store is not None and cluster.spec.object_store.provider == "aws"
            ),
        ),
        Kind(
            name="gateway",
            secret_name="gateway",
            section=lambda cluster: cluster.spec.gateway,
            client=lambda cluster, _, account: gateway.Client(cluster, account, api),
            binding=gateway_desired.binding,
            credential=lambda _: Vault.generate_app(),
            account="gateway",
            runs=True,
        ),
        Kind(
            name="relay",
            section=lambda cluster: cluster.spec.relay,
            client=lambda cluster, _, account: relay.Client(cluster, account, api, image),
            account="relay",
            runs=True,
        ),
    )


async def run(config: Config) -> None:
    """Runs the operator until SIGTERM or SIGINT, which Kopf listens for."""
    echoes = Echoes()
    api = KubeApi(on_write=echoes.note)
    backends = kinds(api, config.image)
    vault = Vault(api, {kind.name: kind.secret_name for kind in backends if kind.shared_out})
    controller = Controller(
        hub=_hub(api),
        kinds=backends,
        housing=lambda: namespace.Client(api),
        credentials=Credentials(vault),
        api=api,
        resync=config.resync_seconds,
        reporting=Reporting(_trail(config.audit_topic, api) if config.audit_topic else None, config.tenant_metrics),
    )
    if config.metrics_port:
        prometheus_client.start_http_server(config.metrics_port)
    engine = asyncio.create_task(controller.run())
    watching = asyncio.create_task(watch(controller))
    Guard(api, controller, echoes).start()
    done, _ = await asyncio.wait({engine, watching}, return_when=asyncio.FIRST_COMPLETED)
    engine.cancel()
    for task in done:
        task.result()


def _trail(topic: str, api: KubeApi) -> Callable[[RealtimeCluster], Writer]:
    """Opens what writes a RealtimeCluster's audit records to the topic."""
    return lambda cluster: Writer(topic, cluster, lambda: admin_of(api, cluster, cluster.spec.kafka))


def _hub(api: KubeApi) -> str:
    """What tells this Kubernetes cluster from every other: the uid of its kube-system namespace."""
    namespace_ = api.get(NAMESPACE, "kube-system")
    if namespace_ is None:
        raise SystemExit("the Kubernetes cluster has no kube-system namespace")
    return str(namespace_["metadata"]["uid"])


def main() -> int:
    """The command `matrixhub`."""
    config = Config.from_environment()
    log.configure(config.log_format, config.log_level)
    asyncio.run(run(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
