"""Reads and writes the table of apps, as the gateways' own role."""

import contextlib
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import errors, sql

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import PostgresBackend
from matrixhub.backends.contract import Applied, Credential, ServiceAccount
from matrixhub.backends.database import Connection, Session, ask, together, translate
from matrixhub.backends.gateway import table
from matrixhub.backends.gateway.desired import CANARY
from matrixhub.backends.gateway.plan import Action, SetApp, renewed
from matrixhub.backends.gateway.state import App
from matrixhub.errors import Rejected, Transient


class Apps:
    """The table in the schema of the gateways' role. Connects at first use, again after the connection was lost.

    `trusted` is what `tls.Trust.of` reads; `new_app` makes what a tenant gets whose key is another app's.
    """

    def __init__(
        self,
        cluster: RealtimeCluster,
        postgres: PostgresBackend,
        account: ServiceAccount,
        trusted: Mapping[str, str],
        new_app: Callable[[], Credential],
    ) -> None:
        login = {**trusted, "username": account.login, "password": account.password}
        secret = naming.accounts_secret(cluster.metadata.name)
        self._role = account.login
        self._session = Session(postgres, cluster.metadata.namespace, login, secret)
        self._new_app = new_app
        self._table = sql.Identifier(account.login, naming.APPS_TABLE)

    @property
    def opened(self) -> int:
        """How many connections were opened so far: over another one, the table may have been restored."""
        return self._session.opened

    def prepare(self) -> tuple[str, ...]:
        """The table stands and holds the app that probes ask for; what was done."""
        with self._connected() as connection:
            repaired = []
            if not self._exists(connection):
                together(connection, [sql.SQL(table.CREATE).format(table=self._table)])
                repaired.append(f"Created table {self._role}.{naming.APPS_TABLE}")
            have = self._read(connection, [CANARY]).get(CANARY)
            key = have.key if have else secrets.token_hex(10)
            want = App(key, None, enabled=True, max_connections=1, client_events_per_second=1, max_presence_members=1)
            if want != have:
                self._write(connection, [SetApp(CANARY, want, "")])
                repaired.append("Set the app that the gateways' probes ask for")
        return tuple(repaired)

    def read(self, ids: Sequence[str]) -> dict[str, App]:
        """By id, the apps that there are: one query."""
        with self._connected() as connection:
            return self._read(connection, ids)

    def ids(self) -> frozenset[str]:
        """The ids of all apps that there are."""
        with self._connected() as connection:
            return frozenset(row["id"] for row in self._ask(connection, table.IDS))

    def clear(self, ids: Collection[str]) -> None:
        """There are no apps with these ids."""
        with self._connected() as connection:
            self._ask(connection, table.CLEAR, ids=list(ids))

    def apply(self, plans: Mapping[str, tuple[Action, ...]]) -> dict[str, Applied]:
        """All plans in one round trip; one by one when that is refused, so that each tenant has its own error.

        A tenant whose key is another app's has a new one, and secret and master key with it.
        """
        with self._connected() as connection:
            try:
                self._write(connection, [action for actions in plans.values() for action in actions])
            except errors.IntegrityError:
                return {tenant: self._apply_one(connection, tenant, actions) for tenant, actions in plans.items()}
        return {tenant: Applied() for tenant in plans}

    def close(self) -> None:
        """The connection is closed."""
        self._session.close()

    def _apply_one(self, connection: Connection, tenant: str, actions: tuple[Action, ...]) -> Applied:
        try:
            return Applied(issued=self._write_or_renew(connection, actions))
        except psycopg.Error as error:
            if (ours := translate(error, f"tenant {tenant}")) is None:
                raise
            return Applied(ours)

    def _write_or_renew(self, connection: Connection, actions: Sequence[Action]) -> Credential | None:
        """The actions are carried out, with a new credential if the key is another app's: that is returned."""
        try:
            self._write(connection, actions)
        except errors.UniqueViolation:
            made = self._new_app()
            self._write(connection, [renewed(action, made) for action in actions])
            return made
        return None

    def _exists(self, connection: Connection) -> bool:
        name = self._table.as_string(connection)
        (row,) = ask(connection, {"table": "SELECT to_regclass(%(name)s) AS found"}, {"name": name})["table"]
        return row["found"] is not None

    def _read(self, connection: Connection, ids: Sequence[str]) -> dict[str, App]:
        return {row["id"]: table.app(row) for row in self._ask(connection, table.OBSERVE, ids=list(ids))}

    def _ask(self, connection: Connection, text: str, **values: object) -> Sequence[Mapping[str, Any]]:
        """The rows with which the table answers."""
        return ask(connection, {"apps": sql.SQL(text).format(table=self._table).as_string(connection)}, values)["apps"]

    def _write(self, connection: Connection, actions: Sequence[Action]) -> None:
        cursor = psycopg.ClientCursor(connection)
        texts = [
            cursor.mogrify(sql.SQL(text).format(table=self._table), values)
            for text, values in map(table.statement, actions)
        ]
        together(connection, [sql.SQL(text) for text in texts])

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection with a deadline; raises Transient while the Postgres backend has not made the role yet."""
        try:
            with self._session.open() as connection, self._session.deadline(connection):
                yield connection
        except Rejected as error:
            if error.reason != "AuthenticationFailed":
                raise
            text = f"Postgres does not let role {self._role} in yet: it will, or PostgresReady says why not"
            raise Transient("AccountPending", text) from error
