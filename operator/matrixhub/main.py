"""The composition root: the only place that wires."""

import asyncio
import signal
import threading
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
from matrixhub.engine.vault import APPS, ISSUED, Vault, named, new_app
from matrixhub.freshness import TIMEOUT as LOOK_TIMEOUT
from matrixhub.freshness import Freshness, Shown
from matrixhub.health import Health, serve
from matrixhub.kube.client import KubeApi
from matrixhub.kube.lease import TIMEOUT as LEASE_TIMEOUT
from matrixhub.kube.lease import Lease
from matrixhub.kube.residents import residents
from matrixhub.kube.resources import NAMESPACE
from matrixhub.leader import Candidate
from matrixhub.owned import Echoes, Guard
from matrixhub.watch import watch, withdrawing


def kinds(api: KubeApi, image: str = "", *, metered: bool = False) -> tuple[Kind, ...]:
    """The backends beside the namespace, in the order in which a person reads of them.

    `image` is the operator's; `metered` says whether there are series for each Tenant.
    """
    return (
        Kind(
            name="postgres",
            secret_name="postgres",
            section=lambda cluster: cluster.spec.postgres,
            client=postgres.Client,
            account="gateway",
            binding=postgres_desired.binding,
            logins=lambda _: named(naming.postgres_role),
        ),
        Kind(
            name="redis",
            secret_name="redis",
            section=lambda cluster: cluster.spec.redis,
            client=redis.Client,
            account="gateway",
            binding=redis_desired.binding,
            logins=lambda _: named(naming.redis_user),
        ),
        Kind(
            name="kafka",
            secret_name="kafka",
            section=lambda cluster: cluster.spec.kafka,
            client=lambda cluster, admin, account: kafka.Client(
                cluster, admin, account, lambda: residents(api, cluster.key)
            ),
            account="relay",
            binding=kafka_desired.binding,
            logins=lambda _: named(naming.kafka_user),
        ),
        Kind(
            name="objectstore",
            secret_name="object-store",
            section=lambda cluster: cluster.spec.object_store,
            client=lambda cluster, admin, _: objectstore.Client(cluster, admin, metered=metered),
            binding=objectstore_desired.binding,
            logins=lambda cluster: (
                ISSUED if objectstore_desired.section(cluster).provider == "aws" else named(naming.object_store_user)
            ),
        ),
        Kind(
            name="gateway",
            secret_name="gateway",
            section=lambda cluster: cluster.spec.gateway,
            client=lambda cluster, _, account: gateway.Client(cluster, account, api, new_app),
            binding=gateway_desired.binding,
            logins=lambda _: APPS,
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
    """Runs the operator until SIGTERM or SIGINT: as a standby at first, where there is a Lease to be held."""
    stop, health = asyncio.Event(), Health()
    _on_signals(stop)
    beating = asyncio.create_task(health.beat())
    if config.metrics_port:
        prometheus_client.start_http_server(config.metrics_port)
    if config.health_port:
        serve(health, config.health_port)
    if config.lease_namespace:
        await _stand(config, health, stop)
    else:
        await _lead(config, health, stop, fence=lambda: None, resign=lambda: None)
    beating.cancel()


def _on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set `stop`, whoever listened for them before."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _stand(config: Config, health: Health, stop: asyncio.Event) -> None:
    """Stands by until elected, then leads; both until `stop`."""
    elected, loop = asyncio.Event(), asyncio.get_running_loop()
    lease = Lease(KubeApi(timeout=LEASE_TIMEOUT), config.lease_namespace, config.lease_name, config.identity)
    candidate = Candidate(lease, elected=lambda: loop.call_soon_threadsafe(elected.set))
    candidate.start()
    waiting = {asyncio.create_task(event.wait()) for event in (elected, stop)}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    if elected.is_set():
        await _lead(config, health, stop, candidate.fence, candidate.resign)
    else:
        await asyncio.to_thread(candidate.resign)


async def _lead(
    config: Config, health: Health, stop: asyncio.Event, fence: Callable[[], None], resign: Callable[[], None]
) -> None:
    """Does the operator's work until `stop`; then what is under way ends, and `resign` is called.

    Raises what ended the engine or the watch; nobody resigns then, for something may be under way: the Lease runs out.
    """
    echoes, shown, enough = Echoes(), Shown(), asyncio.Event()
    api = KubeApi(on_write=echoes.note, fence=fence)
    backends = kinds(api, config.image, metered=config.tenant_metrics)
    vault = Vault(api, (kind for kind in backends if kind.shared_out))
    controller = Controller(
        hub=_hub(api),
        kinds=backends,
        housing=lambda: namespace.Client(api),
        credentials=Credentials(vault),
        api=api,
        resync=config.resync_seconds,
        reporting=Reporting(_trail(config.audit_topic, api) if config.audit_topic else None, config.tenant_metrics),
    )
    gone = withdrawing(controller, shown)
    health.freshness = Freshness(KubeApi(timeout=LOOK_TIMEOUT), shown, gone, config.watch_check_seconds)
    engine = asyncio.create_task(controller.run())
    watching = asyncio.create_task(
        watch(controller, shown, config.watch_silence_seconds, enough, lambda: _on_signals(stop))
    )
    Guard(api, controller, echoes).start()
    threading.Thread(target=health.freshness.run, name="freshness", daemon=True).start()
    await asyncio.wait({engine, watching, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    await _ended(engine, watching)
    await asyncio.to_thread(resign)
    enough.set()
    await watching


async def _ended(engine: asyncio.Task[None], watching: asyncio.Task[None]) -> None:
    """The engine has ended, after the calls that were under way. Raises what had ended it, or the watch."""
    # Not the watch: Kopf, when it ends, cancels every task that it finds.
    engine.cancel()
    await asyncio.wait({engine})
    for task in (engine, watching):
        if task.done() and not task.cancelled():
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
    """Runs the operator, as the environment says, until it is told to end."""
    config = Config.from_environment()
    log.configure(config.log_format, config.log_level)
    asyncio.run(run(config))
    return 0
