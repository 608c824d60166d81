"""Which tables may hold rows of a tenant, and in which order those can go. Pure: the queries are run by `erasure`."""

# ruff: noqa: S608 - what is put into these texts are constants of ours; values are parameters or quoted literals

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matrixhub.backends.postgres import catalog, questions
from matrixhub.backends.postgres.desired import is_walled
from matrixhub.backends.postgres.state import GROUP, ISOLATION, SCHEMA, Grant, Name, Table, of_tenants
from matrixhub.errors import Rejected, Transient

# A wall outlives what is said of its table: the owner may change, the schema or the column go out of the spec.
# Its policy depends on the column that says whose a row is; on none, or another, once somebody has rewritten it.
_FOUND = questions.tables(
    f"""{questions.MANAGED}
    UNION
    SELECT p.polrelid, d.refobjsubid
    FROM pg_policy p
    JOIN pg_class c ON c.oid = p.polrelid AND NOT c.relispartition
    LEFT JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid > 0
    WHERE p.polname = '{ISOLATION}'
"""
)
HOLDINGS = f"""
SELECT found.*, EXISTS (SELECT FROM {SCHEMA}.tenant t WHERE t.role = found.owner::name) AS registered
FROM ({_FOUND}) AS found
"""
"""Every table that tenants may have rows in: those we manage, and those that have our wall.

`registered`: it belongs to a role that is in the registry, a tenant's or the gateways'.
"""

REFERENCES = """
SELECT cn.nspname::text AS schema, c.relname::text AS name, fn.nspname::text AS to_schema, f.relname::text AS to_name,
    ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS key (attnum, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.attnum ORDER BY place) AS columns,
    ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS key (attnum, place)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = key.attnum ORDER BY place) AS to_columns
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
"""


def holdings(rows: Sequence[catalog.Row], tenant: str) -> tuple[Table, ...]:
    """The tables to delete the tenant's rows from, from the answer to `HOLDINGS`.

    Raises:
        Transient: rows may hide behind a wall that is not whole; it is about to be mended.
        Rejected: the same, where nobody mends it; or the table is in hands that are not to be trusted.
    """
    found = [(catalog.table(row, ""), row) for row in rows]
    kept = {table.name: table for table, row in found if row["managed"] and not table.obstacle}
    left = {table.name: table for table, _ in found if table.name not in kept and _ever_walled(table)}
    for table, row in found:
        # Who is in the registry, or was, can put up a wall like ours, too. And what runs as a tenant in the operator's
        # session can RESET ROLE: so can the policies and triggers of a table.
        if (row["registered"] or of_tenants(row["owner"])) and table.name in kept | left:
            raise Rejected(
                "RowsProtected",
                f"{table.name} may hold rows of tenant {tenant} and belongs to role {row['owner']}, whose policies and "
                f"triggers there would act with the operator's powers. Drop policy {ISOLATION} if such rows may stay; "
                "else look at what is on the table and give it to another role",
            )
    for table in kept.values():
        if not _within_reach(table):
            raise Transient("NotPrepared", f"the wall of table {table.name} is not whole: it is mended before rows go")
    for table in left.values():
        if not is_walled(table):
            raise Rejected(
                "RowsProtected",
                f"{table.name} may still hold rows of tenant {tenant}: Matrix Hub does not manage the table any more, "
                f"and its policies there were changed. Put them back, or drop policy {ISOLATION} if such rows may stay",
            )
    return (*kept.values(), *left.values())


def _within_reach(table: Table) -> bool:
    """Whether the tenant's role sees every row of the tenant's, and may delete it."""
    needed = {Grant(GROUP, "SELECT"), Grant(GROUP, "DELETE")}
    return needed <= table.grants and (is_walled(table) or not table.secured)


def _ever_walled(table: Table) -> bool:
    return any(policy.name == ISOLATION for policy in table.policies)


@dataclass(frozen=True)
class Reference:
    """A foreign key: the columns of `table` that name a row of `target`."""

    table: Name
    columns: tuple[str, ...]
    target: Name
    target_columns: tuple[str, ...]


def references(rows: Sequence[Mapping[str, Any]]) -> tuple[Reference, ...]:
    """The foreign keys, from the answer to `REFERENCES`."""
    return tuple(
        Reference(
            Name(row["schema"], row["name"]),
            tuple(row["columns"]),
            Name(row["to_schema"], row["to_name"]),
            tuple(row["to_columns"]),
        )
        for row in rows
    )


def deletion_order(tables: Sequence[Name], keys: Sequence[Reference]) -> tuple[frozenset[Name], ...]:
    """Groups of tables, those that refer before those they refer to; a group of several refers in a circle.

    Tarjan's algorithm over the keys turned round: a group is complete when everything that refers to it is.
    """
    referrers: dict[Name, set[Name]] = {table: set() for table in tables}
    for key in keys:
        if key.table in referrers and key.target in referrers and key.table != key.target:
            referrers[key.target].add(key.table)
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
