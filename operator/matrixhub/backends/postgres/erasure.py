"""Deletes a tenant's data: its partitions whole, its rows as the tenant's role, in an order that foreign keys allow."""

import time
from collections.abc import Callable, Mapping, Sequence

from psycopg import errors, sql

from matrixhub.backends.database import REQUEST_SECONDS, Connection, Statement, ask, together
from matrixhub.backends.postgres.actions import DeleteData
from matrixhub.backends.postgres.holdings import (
    HOLDINGS,
    REFERENCES,
    Reference,
    deletion_order,
    holdings,
    references,
)
from matrixhub.backends.postgres.quoting import identifier
from matrixhub.backends.postgres.state import GROUP, ISOLATION, Name, Table
from matrixhub.errors import Rejected, Transient

FIRST_BATCH = 100
LARGEST_BATCH = 20_000
"""Rows per transaction. A batch grows while it is quick and shrinks when it is slow: a foreign key without an index
makes Postgres read the referring table for every row that goes."""
QUICK_SECONDS, SLOW_SECONDS, BATCH_SECONDS = 0.25, 1.0, 4.0
BUDGET_SECONDS = 5.0
"""How long one call may delete before other tenants get their turn."""
CIRCLE_SECONDS = 60
"""How long tables that refer to each other may take: they have to go in one statement."""


def erase(connection: Connection, action: DeleteData, scope: Mapping[str, object], until: float) -> None:
    """No table that the tenant had rows in holds one; see `holdings` and `Eraser.run` for what they raise."""
    rows = ask(connection, {"holdings": HOLDINGS, "references": REFERENCES}, scope)
    tables = holdings(rows["holdings"], action.tenant)
    Eraser(connection, action, tables, references(rows["references"]), until).run()


class Eraser:
    """Carries out `DeleteData` for one tenant, until a moment of the monotonic clock."""

    def __init__(
        self,
        connection: Connection,
        action: DeleteData,
        tables: Sequence[Table],
        keys: Sequence[Reference],
        until: float,
    ) -> None:
        self._connection = connection
        self._action = action
        self._rows = {table.name: rows_of(action.tenant, table) for table in tables}
        self._keys = keys
        self._until = until
        self._own = {partition.table: partition.name for partition in action.partitions}

    def run(self) -> None:
        """None of the tables holds a row of the tenant.

        Raises:
            Transient: the time is up; what is left goes next time.
            Rejected: rows are still there, or may be, that the tenant's role may not delete.
        """
        # Stays until the role is dropped, which is next: each change of a membership costs every session its cache.
        self._connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(self._action.role)))
        for group in deletion_order(tuple(self._rows), self._keys):
            tables = sorted(group)
            self._time()
            for table in tables:
                if table in self._own:
                    self._drop_partition(table, self._own[table])
            try:
                self._delete(tables)
            except errors.InsufficientPrivilege as error:
                raise Rejected(
                    "RowsProtected",
                    f"{' or '.join(map(str, tables))} may still hold rows of tenant {self._action.tenant}, which its "
                    f"role may not delete ({error.diag.message_primary}): grant {GROUP} SELECT and DELETE there and "
                    f"USAGE of its schema, or drop policy {ISOLATION} if such rows may stay",
                ) from error

    def _delete(self, tables: Sequence[Name]) -> None:
        """No row of the tenant is left in tables that refer to each other in a circle, or in a single one."""
        if not any(map(self._holds, tables)):
            return
        if len(tables) == 1:
            self._delete_by_batches(*tables)
            if not self._holds(*tables):
                return
        self._delete_rest(tables)

    def _drop_partition(self, table: Name, partition: Name) -> None:
        together(
            self._connection,
            [
                sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(identifier(table), identifier(partition)),
                sql.SQL("DROP TABLE {}").format(identifier(partition)),
            ],
        )

    def _delete_by_batches(self, table: Name) -> None:
        """The rows that no other row of the table refers to are gone, and then those that none refers to any more."""
        mine, limit = self._rows[table], FIRST_BATCH
        own = [key for key in self._keys if key.table == key.target == table]
        while True:
            began = self._time()
            gone = self._shrinking(lambda rows: delete_batch(table, mine, own, rows), limit)
            if gone == 0:
                return
            took = time.monotonic() - began
            if took < QUICK_SECONDS:
                limit = min(limit * 4, LARGEST_BATCH)
            elif took > SLOW_SECONDS:
                limit = max(min(limit, gone) // 2, 1)

    def _shrinking(self, batch: Callable[[int], Statement], limit: int) -> int:
        """How many rows went, fewer than `limit` if so many take too long: every call gets somewhere."""
        while True:
            try:
                return self._as_tenant(batch(limit), BATCH_SECONDS)
            except errors.QueryCanceled:
                if limit == 1:
                    raise
                limit = max(limit // 10, 1)

    def _delete_rest(self, tables: Sequence[Name]) -> None:
        """What refers in a circle, within a table or among several, is gone; anything that stays is told."""
        self._time()
        self._as_tenant(delete_whole({table: self._rows[table] for table in tables}), CIRCLE_SECONDS)
        for table in tables:
            if self._holds(table):
                raise Rejected(
                    "RowsProtected",
                    f"{table} still holds rows of tenant {self._action.tenant}: a policy or trigger of yours keeps "
                    "them from being deleted",
                )

    def _holds(self, table: Name) -> bool:
        query = sql.SQL("SELECT FROM {} WHERE {} LIMIT 1").format(identifier(table), self._rows[table])
        return self._as_tenant(query, REQUEST_SECONDS - 2) > 0

    def _time(self) -> float:
        """Now; raises Transient when the time is up."""
        now = time.monotonic()
        if now > self._until:
            raise Transient("Deleting", f"rows of tenant {self._action.tenant} are being deleted", retry_after=0)
        return now

    def _as_tenant(self, statement: Statement, seconds: float) -> int:
        """How many rows the statement touched, run as the tenant's role: row security hides them from the admin."""
        with self._connection.transaction():
            self._connection.execute(sql.SQL("SET LOCAL statement_timeout TO {}").format(f"{seconds}s"))
            self._connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(self._action.role)))
            return self._connection.execute(statement).rowcount


def rows_of(tenant: str, table: Table) -> sql.Composable:
    """The condition that a row of the table is the tenant's, asked as the policy asks.

    Every statement has it: row security may be off, or the role free of it, and then all tenants' rows are in reach.
    """
    return sql.SQL("{} = {}").format(sql.SQL(table.column), sql.Literal(tenant))


def delete_batch(table: Name, mine: sql.Composable, own: Sequence[Reference], limit: int) -> Statement:
    """Up to `limit` rows of one table, wherever its partitions are, that no other row of it refers to by `own`."""
    text = (
        "DELETE FROM {0} WHERE {1} AND (tableoid, ctid) IN"
        " (SELECT r.tableoid, r.ctid FROM {0} AS r WHERE {2} LIMIT {3})"
    )
    free = sql.SQL(" AND ").join([mine, *(_unreferred(key) for key in own)])
    return sql.SQL(text).format(identifier(table), mine, free, sql.Literal(limit))


def _unreferred(key: Reference) -> sql.Composable:
    same = sql.SQL(" AND ").join(
        sql.SQL("o.{} = r.{}").format(sql.Identifier(column), sql.Identifier(target))
        for column, target in zip(key.columns, key.target_columns, strict=True)
    )
    return sql.SQL("NOT EXISTS (SELECT FROM {} AS o WHERE {})").format(identifier(key.table), same)


def delete_whole(rows: Mapping[Name, sql.Composable]) -> Statement:
    """These rows of some tables at once: foreign keys among them are checked when the statement is done."""
    *others, final = [
        sql.SQL("DELETE FROM {} WHERE {}").format(identifier(table), mine) for table, mine in rows.items()
    ]
    deleted = [sql.SQL("{} AS ({})").format(sql.Identifier(f"gone{number}"), one) for number, one in enumerate(others)]
    if not deleted:
        return final
    return sql.SQL("WITH {} {}").format(sql.SQL(", ").join(deleted), final)
