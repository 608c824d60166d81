"""Adds a tenant's partition, also where the default partition already holds its rows."""

import psycopg
from psycopg import errors, sql

from matrixhub.backends.database import Connection, Statement, together
from matrixhub.backends.postgres.actions import AddPartition
from matrixhub.backends.postgres.quoting import identifier
from matrixhub.backends.postgres.state import Name
from matrixhub.backends.postgres.statements import attach_partition, build_partition
from matrixhub.errors import Rejected

_DEFAULT = """
SELECT n.nspname::text AS schema, d.relname::text AS name,
    ARRAY(SELECT attname::text FROM pg_attribute
          WHERE attrelid = p.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum) AS columns
FROM pg_class p JOIN pg_namespace pn ON pn.oid = p.relnamespace
JOIN pg_partitioned_table pt ON pt.partrelid = p.oid
JOIN pg_class d ON d.oid = pt.partdefid JOIN pg_namespace n ON n.oid = d.relnamespace
WHERE pn.nspname = %s AND p.relname = %s
"""


def add_partition(connection: Connection, action: AddPartition, tenant_column: str) -> None:
    """The tenant has its partition; rows of its that waited in the default partition have moved there.

    Raises:
        Rejected: there are too many of them to move while the table is locked.
    """
    try:
        together(connection, [*build_partition(action), attach_partition(action)])
    except errors.CheckViolation:
        try:
            _move(connection, action, tenant_column)
        except errors.QueryCanceled as error:
            raise Rejected(
                "DefaultPartitionHoldsRows",
                f"the default partition of {action.partition.table} holds too many rows of tenant {action.tenant} to "
                f"move while the table is locked: move them to a partition {action.partition.name} yourself",
            ) from error


def _move(connection: Connection, action: AddPartition, tenant_column: str) -> None:
    """Row security hides the rows from their owner too, so FORCE is lifted for the length of the transaction."""
    table, new = action.partition.table, action.partition.name
    with connection.transaction():
        row = connection.execute(_DEFAULT, [table.schema, table.relation]).fetchone()
        if row is None:
            raise psycopg.errors.CheckViolation
        old = Name(row["schema"], row["name"])
        together(
            connection,
            [
                *build_partition(action),
                *_force(old, new, on=False),
                _moved(old, new, row["columns"], tenant_column, action.tenant),
                *_force(old, new, on=True),
                attach_partition(action),
            ],
        )


def _force(*tables: Name, on: bool) -> list[Statement]:
    text = "ALTER TABLE ONLY {} FORCE ROW LEVEL SECURITY" if on else "ALTER TABLE ONLY {} NO FORCE ROW LEVEL SECURITY"
    return [sql.SQL(text).format(identifier(table)) for table in tables]


def _moved(old: Name, new: Name, columns: list[str], tenant_column: str, tenant: str) -> Statement:
    text = (
        "WITH moved AS (DELETE FROM {old} WHERE {column} = {tenant} RETURNING {columns})"
        " INSERT INTO {new} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM moved"
    )
    return sql.SQL(text).format(
        old=identifier(old),
        new=identifier(new),
        column=sql.Identifier(tenant_column),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        tenant=sql.Literal(tenant),
    )
