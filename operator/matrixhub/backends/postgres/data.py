"""Deletes a tenant's data: its partitions whole, its rows as the tenant's role, in an order that foreign keys allow."""

import time
from collections.abc import Callable, Mapping, Sequence

from psycopg import sql

from matrixhub.backends.postgres import catalog
from matrixhub.backends.postgres.plan import DeleteData
from matrixhub.backends.postgres.session import Connection, Statement, ask, together
from matrixhub.backends.postgres.state import Name
from matrixhub.backends.postgres.statements import identifier
from matrixhub.errors import Rejected, Transient

BATCH = 10_000
"""Rows per transaction: keeps each under a second and the write-ahead log flowing."""
BUDGET_SECONDS = 20.0
"""How long one call may delete before other tenants get their turn."""

REFERENCES = """
SELECT cn.nspname::text AS schema, c.relname::text AS name, fn.nspname::text AS to_schema, f.relname::text AS to_name
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND cn.nspname = ANY(%(schemas)s)
"""


def references(rows: Sequence[Mapping[str, str]]) -> Mapping[Name, frozenset[Name]]:
    """To which tables each table refers, from the answer to `REFERENCES`."""
    found: dict[Name, set[Name]] = {}
    for row in rows:
        found.setdefault(Name(row["schema"], row["name"]), set()).add(Name(row["to_schema"], row["to_name"]))
    return {table: frozenset(targets) for table, targets in found.items()}


def deletion_order(tables: Sequence[Name], refers: Mapping[Name, frozenset[Name]]) -> tuple[frozenset[Name], ...]:
    """Groups of tables, those that refer before those they refer to; a group of several refers in a circle.

    `refers` says to which tables each refers. Tarjan's algorithm, with the edges turned round: a group is
    complete when everything that refers to it is.
    """
    referrers: dict[Name, set[Name]] = {table: set() for table in tables}
    for table in tables:
        for target in refers.get(table, frozenset()):
            if target in referrers and target != table:
                referrers[target].add(table)
    return tuple(_components(sorted(tables), lambda table: sorted(referrers[table])))


def _components(tables: Sequence[Name], edges: Callable[[Name], Sequence[Name]]) -> list[frozenset[Name]]:
    index: dict[Name, int] = {}
    low: dict[Name, int] = {}
    stack: list[Name] = []
    found: list[frozenset[Name]] = []

    def visit(table: Name) -> None:
        index[table] = low[table] = len(index)
        stack.append(table)
        for other in edges(table):
            if other not in index:
                visit(other)
                low[table] = min(low[table], low[other])
            elif other in stack:
                low[table] = min(low[table], index[other])
        if low[table] == index[table]:
            at = stack.index(table)
            found.append(frozenset(stack[at:]))
            del stack[at:]

    for table in tables:
        if table not in index:
            visit(table)
    return found


def erase(connection: Connection, action: DeleteData, scope: Mapping[str, object], until: float) -> None:
    """No managed table holds a row of the tenant; see `Eraser.run` for what it raises."""
    rows = ask(connection, {"tables": catalog.TABLES, "references": REFERENCES}, scope)
    tables = [table.name for table in (catalog.table(row, "") for row in rows["tables"]) if not table.obstacle]
    Eraser(connection, action, until).run(tables, references(rows["references"]))


class Eraser:
    """Carries out `DeleteData` for one tenant."""

    def __init__(self, connection: Connection, action: DeleteData, until: float) -> None:
        self._connection = connection
        self._action = action
        self._until = until
        self._own = {partition.table: partition.name for partition in action.partitions}

    def run(self, tables: Sequence[Name], refers: Mapping[Name, frozenset[Name]]) -> None:
        """None of the tables holds a row of the tenant.

        Raises:
            Transient: the time is up; what is left goes next time.
            Rejected: rows are still there that the tenant's role may not delete.
        """
        # Stays until the role is dropped, which is next: each change of a membership costs every session its cache.
        self._connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(self._action.role)))
        for group in deletion_order(tables, refers):
            for table in sorted(group):
                if table in self._own:
                    self._drop_partition(table, self._own[table])
            alone = len(group) == 1 and not any(table in refers.get(table, ()) for table in group)
            self._delete(group, limit=BATCH if alone else None)

    def _drop_partition(self, table: Name, partition: Name) -> None:
        together(
            self._connection,
            [
                sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(identifier(table), identifier(partition)),
                sql.SQL("DROP TABLE {}").format(identifier(partition)),
            ],
        )

    def _delete(self, group: frozenset[Name], limit: int | None) -> None:
        """The group's rows are gone; tables that refer to each other or to themselves lose them in one statement."""
        statement = delete_batch(next(iter(group)), limit) if limit else delete_whole(sorted(group))
        while True:
            if time.monotonic() > self._until:
                raise Transient("Deleting", f"rows of tenant {self._action.tenant} are being deleted", retry_after=0)
            gone = self._as_tenant(statement)
            if not limit or gone < limit:
                break
        for table in sorted(group):
            left = sql.SQL("SELECT FROM {} LIMIT 1").format(identifier(table))
            if self._as_tenant(left):
                raise Rejected(
                    "RowsProtected",
                    f"{table} still holds rows of tenant {self._action.tenant}: a policy or trigger of yours keeps "
                    "them from being deleted",
                )

    def _as_tenant(self, statement: Statement) -> int:
        """How many rows the statement touched, run as the tenant's role, which is all that row security lets in."""
        with self._connection.transaction():
            self._connection.execute(sql.SQL("SET LOCAL statement_timeout TO {}").format(f"{BUDGET_SECONDS}s"))
            self._connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(self._action.role)))
            return self._connection.execute(statement).rowcount


def delete_batch(table: Name, limit: int) -> Statement:
    """Up to `limit` rows of one table, wherever its partitions are."""
    text = "DELETE FROM {0} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM {0} LIMIT {1})"
    return sql.SQL(text).format(identifier(table), sql.Literal(limit))


def delete_whole(tables: Sequence[Name]) -> Statement:
    """All rows of some tables at once: foreign keys among them are checked when the statement is done."""
    *others, last = tables
    deleted = [
        sql.SQL("{} AS (DELETE FROM {})").format(sql.Identifier(f"gone{number}"), identifier(table))
        for number, table in enumerate(others)
    ]
    final = sql.SQL("DELETE FROM {}").format(identifier(last))
    if not deleted:
        return final
    return sql.SQL("WITH {} {}").format(sql.SQL(", ").join(deleted), final)
