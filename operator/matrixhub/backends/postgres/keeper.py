"""Keeps the part of the database that all tenants share: looks, mends, and tells what it could not mend."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import errors, sql

from matrixhub.api.services import PostgresBackend
from matrixhub.backends.contract import Finding, Survey
from matrixhub.backends.database import Connection, Session, Statement, ask, lost, together, translate
from matrixhub.backends.postgres import audit, catalog, desired, questions
from matrixhub.backends.postgres.actions_database import Action, AddIndex, SetDefault
from matrixhub.backends.postgres.plan_database import by_table, plan_database
from matrixhub.backends.postgres.state import SCHEMA, Name
from matrixhub.backends.postgres.statements_database import default, index, statements
from matrixhub.errors import Rejected, Transient

INDEX_SECONDS = 60
"""Longer than this, a person should choose the hour: the index is left to them."""

_LOCK = 0x6D61747269786875
"""Two operators that share a database mend it one after the other; the number is "matrixhu"."""

_KEY = """
SELECT a.attname::text AS name
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS key (attnum, place)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = key.attnum
WHERE i.indisprimary AND n.nspname = %(schema)s AND c.relname = %(table)s AND a.attname <> %(column)s
ORDER BY key.place
"""


class Keeper:
    """One visit to the database."""

    def __init__(self, session: Session, connection: Connection, server: PostgresBackend) -> None:
        self._session = session
        self._connection = connection
        self._server = server
        self._scope = {"schemas": list(server.schemas), "column": server.tenant_column}

    def keep(self) -> Survey:
        """The shared part is as it should be, but for what the findings say. Two round trips when nothing is to do."""
        base, actions = self._look()
        _require(base)
        repaired: tuple[str, ...] = ()
        troubles: tuple[Finding, ...] = ()
        if actions:
            with self._locked():
                repaired, troubles = self._mend()
        with self._session.deadline(self._connection):
            rows = ask(self._connection, questions.SHARED | audit.QUESTIONS, self._scope)
        state = catalog.database(self._server.tenant_column, rows)
        missing = tuple(
            Finding("SchemaMissing", f"there is no schema {schema}: create it, or correct `postgres.schemas`")
            for schema in sorted(set(self._server.schemas) - state.schemas)
        )
        return Survey(base["version"], repaired, (*_strength(base), *missing, *troubles, *audit.findings(state, rows)))

    def _look(self) -> tuple[Mapping[str, Any], tuple[Action, ...]]:
        """What the admin may do, and what is to be done."""
        with self._session.deadline(self._connection):
            rows = ask(self._connection, questions.SHARED, self._scope)
        state = catalog.database(self._server.tenant_column, rows)
        return rows["base"][0], plan_database(desired.database(state), state)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        except errors.LockNotAvailable as error:
            raise Transient("Locked", "another operator is preparing the same database") from error
        try:
            yield
        finally:
            if not self._connection.closed:
                self._connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])

    def _mend(self) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
        """What was done, as sentences, and what could not be. A table in trouble holds up no other."""
        _, actions = self._look()
        troubles: dict[Name | None, Finding] = {}
        for table, group in by_table(actions):
            try:
                self._carry_out(group)
            except psycopg.Error as error:
                ours = None if lost(error) else translate(error, f"table {table}" if table else "the database")
                if ours is None:
                    raise
                if table is None:
                    raise ours from error
                troubles[table] = Finding(ours.reason, ours.message)
        _, left = self._look()
        undone = (
            Finding("NotRepaired", f"{group[0]}: Postgres took the statement, and yet it is still to be done")
            for table, group in by_table(left)
            if table not in troubles
        )
        return tuple(str(action) for action in actions if action not in left), (*troubles.values(), *undone)

    def _carry_out(self, group: tuple[Action, ...]) -> None:
        if isinstance(group[0], AddIndex):
            self._build_index(group[0])
            return
        with self._session.deadline(self._connection):
            together(self._connection, [one for action in group for one in self._statements(action)])

    def _statements(self, action: Action) -> list[Statement]:
        if isinstance(action, SetDefault):
            return [default(action, self._server.tenant_column)]
        return statements(action)

    def _build_index(self, action: AddIndex) -> None:
        """Waits for every older transaction, which hurts nobody: it blocks neither readers nor writers."""
        where = {"schema": action.table.schema, "table": action.table.relation, "column": self._server.tenant_column}
        key = tuple(row["name"] for row in ask(self._connection, {"key": _KEY}, where)["key"])
        seconds = sql.Literal(f"{INDEX_SECONDS}s")
        with self._session.deadline(self._connection, 3 * INDEX_SECONDS):
            self._connection.execute(sql.SQL("SET statement_timeout TO {0}; SET lock_timeout TO {0}").format(seconds))
            try:
                for statement in index(action, self._server.tenant_column, key):
                    self._connection.execute(statement)
            finally:
                if not self._connection.closed:
                    self._connection.execute("RESET statement_timeout; RESET lock_timeout")


def _require(base: Mapping[str, Any]) -> None:
    """Raises Rejected when the admin lacks a right that all the rest needs, with the statement that grants it."""
    admin, database = base["admin"], base["database"]
    if not (base["rolcreaterole"] or base["rolsuper"]):
        raise Rejected("PermissionDenied", f'role {admin} may not create roles: ALTER ROLE "{admin}" CREATEROLE')
    if not base["rolinherit"]:
        raise Rejected(
            "PermissionDenied", f'role {admin} does not inherit what it was granted: ALTER ROLE "{admin}" INHERIT'
        )
    if base["schema_owner"] is None and not base["may_create"]:
        grant = f'GRANT CREATE ON DATABASE "{database}" TO "{admin}"'
        raise Rejected("PermissionDenied", f"role {admin} may not create schema {SCHEMA}: {grant}")
    if base["schema_owner"] is not None and not base["schema_ours"]:
        change = f'ALTER SCHEMA {SCHEMA} OWNER TO "{admin}"'
        raise Rejected("PermissionDenied", f"schema {SCHEMA} belongs to role {base['schema_owner']}: {change}")
    if not base["connect"] and not base["may_connect"]:
        grant = f'GRANT CONNECT ON DATABASE "{database}" TO "{admin}" WITH GRANT OPTION'
        raise Rejected("PermissionDenied", f"role {admin} may not let the tenants connect: {grant}")


def _strength(base: Mapping[str, Any]) -> tuple[Finding, ...]:
    powers = [power for power, has in (("SUPERUSER", base["rolsuper"]), ("BYPASSRLS", base["rolbypassrls"])) if has]
    if not powers:
        return ()
    take = " ".join(f"NO{power}" for power in powers)
    admin = base["admin"]
    text = f"role {admin} has {' and '.join(powers)}, which the operator has no use for"
    return (Finding("AdminTooStrong", f'{text}: ALTER ROLE "{admin}" {take}'),)
