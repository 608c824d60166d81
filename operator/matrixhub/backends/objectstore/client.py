"""The object store of one RealtimeCluster, as the engine drives it."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import boto3
from botocore.config import Config
from urllib3 import PoolManager, Retry, Timeout

from matrixhub import metrics
from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import ObjectStoreBackend
from matrixhub.backends.contract import Applied, Credential, Finding, Intent, Survey
from matrixhub.backends.objectstore import actions, desired, plan
from matrixhub.backends.objectstore.aws import Aws
from matrixhub.backends.objectstore.buckets import Buckets
from matrixhub.backends.objectstore.minio import Minio
from matrixhub.backends.objectstore.minio_buckets import MinioBuckets
from matrixhub.backends.objectstore.refusals import DRIVER_ERRORS, WHOLE, translate
from matrixhub.backends.objectstore.state import State
from matrixhub.errors import BackendError, Rejected, Unreachable
from matrixhub.tls import Files, Trust

THREADS = 16
"""Requests under way at once."""

CONNECT_SECONDS, READ_SECONDS = 3, 10
"""How long a dead or hanging endpoint may hold a request; each is tried twice."""

DELETING_SECONDS = 20
"""How long one `apply` removes objects before it comes back to say how far it is."""

PROBE = "operator-probe-longer-than-any-tenant"
"""In a tenant's place in a name: 37 characters, and a tenant's id has at most 32, so it never exists."""

T = TypeVar("T")


class _Connections:
    """The drivers of one object store, each made once: a boto3 client costs 100 ms."""

    def __init__(self, store: ObjectStoreBackend, key: str, secret: str, trust: Trust) -> None:
        self._files = Files(trust)
        self._pool = PoolManager(
            maxsize=THREADS,
            timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=Retry(1, redirect=0, allowed_methods=None),
            ssl_context=trust.context(),
        )
        session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=store.region)
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=THREADS,
            request_checksum_calculation="when_required",
            parameter_validation=False,  # a sixth of a call's cost, for calls that are all written here
            s3={"addressing_style": "path" if store.endpoint else "auto"},
        )
        verify = self._files.ca or None
        self._s3 = session.client("s3", endpoint_url=store.endpoint, config=config, verify=verify)
        self._s3.meta.events.register("before-call", _counted)
        self.access: Minio | Aws
        if store.provider == "minio":
            login = (store.endpoint or "", key, secret, self._pool)
            self.buckets: Buckets = MinioBuckets(self._s3, store.region, *login)
            self.access = Minio(*login, self.buckets)
        else:
            self.buckets = Buckets(self._s3, store.provider, store.region)
            iam = session.client("iam", endpoint_url=store.iam_endpoint, config=config, verify=verify)
            iam.meta.events.register("before-call", _counted)
            self.access = Aws(iam, self.buckets)
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="objectstore")

    def close(self) -> None:
        self.threads.shutdown(cancel_futures=True)
        self._s3.close()
        self._pool.clear()
        self._files.close()


class Client:
    """The object store of one RealtimeCluster. See the contract for what each method promises.

    `metered`: what is stored is asked for, too, where one request tells it of all buckets.
    """

    def __init__(self, cluster: RealtimeCluster, admin: Mapping[str, str], *, metered: bool = False) -> None:
        self._cluster, self._admin, self._metered = cluster, admin, metered
        self._trust = Trust.of("spec.objectStore.tls", admin)
        logging.getLogger("urllib3.connection").setLevel(logging.ERROR)  # its warnings repeat what becomes our errors
        self._open: _Connections | None = None

    @property
    def _store(self) -> ObjectStoreBackend:
        return desired.section(self._cluster)

    @property
    def _secret(self) -> str:
        return f"{self._cluster.metadata.namespace}/{self._store.admin_secret_ref.name}"

    def _connections(self) -> _Connections:
        """The drivers. Raises `Rejected` when the admin Secret or the cluster lacks something."""
        if self._open is None:
            store = self._store
            for key in ("accessKey", "secretKey"):
                if not self._admin.get(key):
                    raise Rejected(
                        "AdminSecretInvalid", f"Secret {self._secret} has no `{key}`: the object store's admin needs it"
                    )
            self._open = _Connections(store, self._admin["accessKey"], self._admin["secretKey"], self._trust)
        return self._open

    def prepare(self) -> Survey:
        """The store answers and knows the admin."""
        connections, store = self._connections(), self._store

        def ask() -> str:
            version = connections.buckets.probe(naming.bucket(store.bucket_prefix, PROBE))
            connections.access.probe(naming.object_store_user(PROBE))
            return version

        answer = self._guarded(ask)
        if isinstance(answer, BackendError):
            raise answer
        if store.provider == "aws":
            sentence = "AWS has no bucket quota: objectStore.storage of a Tenant is not enforced"
            return Survey(version=answer, findings=(Finding("QuotaNotEnforced", sentence, mendable=False),))
        return self._measured(answer) if self._metered else Survey(version=answer)

    def _measured(self, version: str) -> Survey:
        """What is stored; an admin who may not ask for it is a finding, for all else works."""
        access, prefix = self._connections().access, naming.bucket(self._store.bucket_prefix, "")
        stored = self._guarded(lambda: access.stored(prefix) if isinstance(access, Minio) else {})
        if isinstance(stored, Rejected):
            return Survey(version=version, findings=(Finding(stored.reason, stored.message),))
        if isinstance(stored, BackendError):
            raise stored
        return Survey(version=version, stored=stored)

    def observe(self, intents: Sequence[Intent]) -> Mapping[str, State | BackendError]:
        """What exists now: three requests for many tenants on MinIO, a few per tenant otherwise."""
        connections = self._connections()
        access = connections.access
        if isinstance(access, Minio) and access.listing_pays(len(intents)):
            many = self._guarded(lambda: access.observe_all(intents))
            if isinstance(many, BackendError):
                raise many
            return many
        return _settled(self._each({intent.tenant.id: partial(access.observe, intent) for intent in intents}))

    def desired(self, intent: Intent) -> State:
        """What should exist."""
        return desired.desired(intent)

    def plan(self, desired: State, observed: State) -> tuple[actions.Action, ...]:
        """The steps between."""
        return plan.plan(desired, observed)

    def apply(self, plans: Mapping[str, tuple[actions.Action, ...]]) -> Mapping[str, Applied]:
        """Each plan is carried out in its order, the tenants side by side.

        Removing objects ends after `DELETING_SECONDS` with a `Transient` that says how many went.
        """
        deadline = time.monotonic() + DELETING_SECONDS
        connections = self._connections()
        work = {tenant: partial(_carry_out, connections, steps, deadline) for tenant, steps in plans.items()}
        return {
            tenant: Applied(error=outcome) if isinstance(outcome, BackendError) else Applied(issued=outcome)
            for tenant, outcome in _settled(self._each(work)).items()
        }

    def binding(self, intent: Intent) -> Mapping[str, str]:
        """What the tenant's Secret holds."""
        return desired.binding(intent)

    def close(self) -> None:
        """Connections are closed, and made anew by the next call."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _each(self, work: Mapping[str, Callable[[], T]]) -> dict[str, T | BackendError]:
        """Every tenant's work is done, `THREADS` at a time; once the store is found away, the rest is not tried."""
        away: list[Unreachable] = []

        def one(task: Callable[[], T]) -> T | BackendError:
            if away:
                return away[0]
            outcome = self._guarded(task)
            if isinstance(outcome, Unreachable):
                away.append(outcome)
            return outcome

        if len(work) == 1:
            return {tenant: one(task) for tenant, task in work.items()}
        started = {tenant: self._connections().threads.submit(one, task) for tenant, task in work.items()}
        return {tenant: future.result() for tenant, future in started.items()}

    def _guarded(self, task: Callable[[], T]) -> T | BackendError:
        """What the task returns, or the error it ended with as one of ours; a driver's unknown error is raised."""
        try:
            return task()
        except BackendError as error:
            return error
        except DRIVER_ERRORS as error:
            translated = translate(error, self._store, self._secret, self._trust)
            if translated is None:
                raise
            return translated


def _counted(**_: object) -> None:
    metrics.BACKEND_REQUESTS.labels(backend="objectstore").inc()


def _settled(outcomes: dict[str, T | BackendError]) -> dict[str, T | BackendError]:
    """The outcomes; raises the first when every one of them says that the store as a whole refuses."""
    errors = [outcome for outcome in outcomes.values() if isinstance(outcome, BackendError) and outcome.reason in WHOLE]
    if errors and len(errors) == len(outcomes):
        raise errors[0]
    return outcomes


def _carry_out(connections: _Connections, steps: tuple[actions.Action, ...], deadline: float) -> Credential | None:
    """The steps are done in their order. Returns the credential that one of them issued."""
    issued = None
    for step in steps:
        if isinstance(step, actions.BucketAction):
            connections.buckets.do(step, deadline)
        else:
            issued = connections.access.do(step) or issued
    return issued
