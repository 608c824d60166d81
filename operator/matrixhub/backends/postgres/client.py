"""Postgres as a backend: observes many tenants in a handful of queries, carries out plans one transaction at a time."""

import time
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import errors

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Applied, Intent, ServiceAccount, Survey
from matrixhub.backends.database import REQUEST_SECONDS, Connection, Session, ask, together, translate
from matrixhub.backends.postgres import catalog, desired, erasure, places, questions, service
from matrixhub.backends.postgres.actions import Action, AddPartition, DeleteData
from matrixhub.backends.postgres.keeper import Keeper
from matrixhub.backends.postgres.partitions import add_partition
from matrixhub.backends.postgres.plan import plan, transactions
from matrixhub.backends.postgres.state import SCHEMA, Share
from matrixhub.backends.postgres.statements import statements
from matrixhub.errors import BackendError, Rejected, Transient


class Client:
    """The tenants' shares of one RealtimeCluster's database, and its gateways' account. Connects at first use."""

    def __init__(
        self, cluster: RealtimeCluster, admin: Mapping[str, str], account: ServiceAccount | None = None
    ) -> None:
        self._cluster = cluster
        self._account = account
        self._server = desired.section(cluster)
        self._session = Session(self._server, cluster.metadata.namespace, admin)
        self._scope = {"schemas": list(self._server.schemas), "column": self._server.tenant_column}

    def prepare(self) -> Survey:
        """The database is ready for tenants and every table with the tenant column is walled; what is wrong is told."""
        with self._session.open() as connection:
            survey = Keeper(self._session, connection, self._server).keep()
            if self._account is None:
                return survey
            repaired, findings = service.keep(self._session, connection, self._account, self._cluster)
        vacated = self._account.leaving and not findings
        return Survey(survey.version, survey.repaired + repaired, findings + survey.findings, vacated)

    def observe(self, intents: Sequence[Intent]) -> Mapping[str, Share | BackendError]:
        """What exists of each tenant: three round trips for any number of them."""
        ids = [intent.tenant.id for intent in intents]
        names = [naming.postgres_role(tenant) for tenant in ids]
        asked = {"tenants": questions.TENANTS, "roles": questions.ROLES, "parents": places.PARTITIONED}
        with self._session.open() as connection, self._session.deadline(connection):
            try:
                rows = ask(connection, asked, self._scope | {"ids": ids, "roles": names})
            except errors.UndefinedTable as error:
                raise Transient("NotPrepared", f"schema {SCHEMA} is not there yet, or was dropped") from error
            found = places.Places(rows["parents"], ids)
            self._find_partitions(connection, found)
        registered = {row["id"]: row for row in rows["tenants"]}
        roles = {row["name"]: row for row in rows["roles"]}
        shares: dict[str, Share | BackendError] = {}
        for intent, tenant, name in zip(intents, ids, names, strict=True):
            try:
                shares[tenant] = found.complete(catalog.share(intent, registered.get(tenant), roles.get(name)))
            except Rejected as error:
                shares[tenant] = error
        return shares

    def desired(self, intent: Intent) -> Share:
        """What should exist. Pure."""
        return desired.share(intent)

    def plan(self, desired: Share, observed: Share) -> tuple[Action, ...]:
        """The steps from observed to desired. Pure."""
        return plan(desired, observed)

    def apply(self, plans: Mapping[str, tuple[Action, ...]]) -> Mapping[str, Applied]:
        """Each tenant's plan is carried out, in one round trip per transaction; its error is its own."""
        applied: dict[str, Applied] = {}
        until = time.monotonic() + erasure.BUDGET_SECONDS
        with self._session.open() as connection:
            for tenant, actions in plans.items():
                try:
                    self._carry_out(connection, actions, until)
                except BackendError as error:
                    applied[tenant] = Applied(error)
                except psycopg.Error as error:
                    ours = translate(error, f"tenant {tenant}")
                    if ours is None:
                        raise
                    applied[tenant] = Applied(ours)
                else:
                    applied[tenant] = Applied()
        return applied

    def binding(self, intent: Intent) -> Mapping[str, str]:
        """What the tenant's Secret holds. Pure."""
        return desired.binding(intent)

    def close(self) -> None:
        """The connection is closed."""
        self._session.close()

    def _find_partitions(self, connection: Connection, found: places.Places) -> None:
        """By name first, which costs an index lookup each; only for tenants without, by reading every bound."""
        if not (wanted := found.wanted()):
            return
        names = {"part_schemas": [name.schema for name in wanted], "part_names": [name.relation for name in wanted]}
        found.learn(ask(connection, {"named": places.PARTITIONS_BY_NAME}, names)["named"])
        if missing := found.missing():
            bounds = {"parents": found.parents, "bounds": [places.bound(tenant) for tenant in sorted(missing)]}
            found.learn(ask(connection, {"bound": places.PARTITIONS_BY_BOUND}, bounds)["bound"])

    def _carry_out(self, connection: Connection, actions: tuple[Action, ...], until: float) -> None:
        for group in transactions(actions):
            match group:
                case (DeleteData() as action,):
                    with self._session.deadline(
                        connection, erasure.BUDGET_SECONDS + erasure.CIRCLE_SECONDS + REQUEST_SECONDS
                    ):
                        erasure.erase(connection, action, self._scope, until)
                case (AddPartition() as action,):
                    with self._session.deadline(connection, 2 * REQUEST_SECONDS):
                        add_partition(connection, action, self._server.tenant_column)
                case _:
                    with self._session.deadline(connection):
                        together(connection, [one for action in group for one in statements(action)])
