"""Which tenants have a partition in which list-partitioned table. Pure: the queries are run by the client."""

import re
from collections.abc import Sequence
from dataclasses import replace

from matrixhub.backends.postgres.catalog import Row, name
from matrixhub.backends.postgres.desired import partition_name
from matrixhub.backends.postgres.state import Name, Partition, Share

PARTITIONED = """
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name,
    CASE WHEN c.relowner <> current_user::regrole THEN pg_get_userbyid(c.relowner)::text ELSE '' END AS owner
FROM pg_partitioned_table pt
JOIN pg_class c ON c.oid = pt.partrelid AND NOT c.relispartition
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = ANY(%(schemas)s)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %(column)s AND a.attnum = pt.partattrs[0]
WHERE pt.partstrat = 'l' AND pt.partnatts = 1 AND pg_has_role(c.relowner, 'USAGE')
"""

# By the names we give: an index lookup each, however many partitions there are.
PARTITIONS_BY_NAME = """
SELECT i.inhparent AS parent, pn.nspname::text AS schema, p.relname::text AS name,
    pg_get_expr(p.relpartbound, p.oid) AS bound, i.inhdetachpending AS leaving,
    p.relkind::text AS kind, pg_get_userbyid(p.relowner)::text AS owner
FROM unnest(%(part_schemas)s::text[], %(part_names)s::text[]) AS wanted (schema, name)
JOIN pg_namespace pn ON pn.nspname = wanted.schema
JOIN pg_class p ON p.relnamespace = pn.oid AND p.relname = wanted.name
LEFT JOIN pg_inherits i ON i.inhrelid = p.oid
"""

# By what they hold: reads every bound of the table, so only asked when a name was not found.
PARTITIONS_BY_BOUND = """
SELECT parent, schema, name, bound, leaving
FROM (SELECT i.inhparent AS parent, pn.nspname::text AS schema, p.relname::text AS name,
          pg_get_expr(p.relpartbound, p.oid) AS bound, i.inhdetachpending AS leaving
      FROM pg_inherits i
      JOIN pg_class p ON p.oid = i.inhrelid
      JOIN pg_namespace pn ON pn.oid = p.relnamespace
      WHERE i.inhparent = ANY(%(parents)s) OFFSET 0) AS every
WHERE bound = ANY(%(bounds)s) OR bound LIKE '%%'', ''%%'
"""


def bound(tenant: str) -> str:
    """The bound of a partition for one tenant alone, as Postgres prints it. An id needs no escape."""
    return f"FOR VALUES IN ('{tenant}')"


_VALUE = re.compile(r"'((?:[^']|'')*)'")
_KINDS = {"r": "a table", "p": "a table", "v": "a view", "m": "a materialized view", "S": "a sequence", "i": "an index"}


class Places:
    """Which tenants have a partition in which list-partitioned table."""

    def __init__(self, parents: Sequence[Row], tenants: Sequence[str]) -> None:
        self._parents = {row["oid"]: name(row) for row in parents}
        self._owners = {name(row): row["owner"] for row in parents}
        self._tenants = frozenset(tenants)
        self._held: dict[tuple[Name, str], Name] = {}
        self._shared: set[tuple[Name, str]] = set()
        self._taken: dict[Name, str] = {}

    @property
    def parents(self) -> list[int]:
        """The list-partitioned tables, by object id."""
        return list(self._parents)

    def wanted(self) -> list[Name]:
        """The partitions that we would make."""
        return [partition_name(table, tenant) for table in self._parents.values() for tenant in self._tenants]

    def missing(self) -> set[str]:
        """The tenants that have no place in some table yet, as far as is known."""
        return {
            tenant
            for table in self._parents.values()
            for tenant in self._tenants
            if (table, tenant) not in self._held and (table, tenant) not in self._shared
        }

    def learn(self, rows: Sequence[Row]) -> None:
        """Take in relations found by name, or partitions found by bound."""
        for row in rows:
            if "owner" in row:  # only what was found by name can stand in a new partition's way
                self._taken[name(row)] = f"{_KINDS.get(row['kind'], 'a relation')} of role {row['owner']}"
            parent = self._parents.get(row["parent"])
            if parent is None or row["bound"] is None or row["leaving"]:
                continue
            values = _VALUE.findall(row["bound"])
            for tenant in self._tenants.intersection(values):
                if row["bound"] == bound(tenant):
                    self._held[parent, tenant] = name(row)
                else:
                    self._shared.add((parent, tenant))

    def of(self, tenant: str) -> tuple[frozenset[Partition], frozenset[Partition]]:
        """The partitions for this tenant alone, and those that are lacking."""
        held, lacking = set(), set()
        for table in self._parents.values():
            if (table, tenant) in self._held:
                held.add(Partition(table, self._held[table, tenant]))
            elif (table, tenant) not in self._shared:
                new = partition_name(table, tenant)
                lacking.add(Partition(table, new, self._taken.get(new, ""), self._owners[table]))
        return frozenset(held), frozenset(lacking)

    def complete(self, share: Share) -> Share:
        """The share, with its partitions."""
        held, lacking = self.of(share.tenant)
        return replace(share, partitions=held, lacking=lacking)
