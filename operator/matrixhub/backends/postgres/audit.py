"""What is wrong in the database that no policy can mend: the questions, and a sentence for each answer. Pure."""

# ruff: noqa: S608 - what is put into these texts are constants of ours; values are parameters or quoted literals

from collections.abc import Mapping, Sequence
from typing import Any

from matrixhub.backends.contract import Finding
from matrixhub.backends.postgres.desired import is_walled
from matrixhub.backends.postgres.questions import ROLES_LIKE
from matrixhub.backends.postgres.state import GROUP, POOL, SCHEMA, Database, Table

MOST = 20
"""Findings of one reason that are listed; a status has room for no more."""

_MANAGED = """
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %(column)s AND NOT a.attisdropped
    WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('r', 'p')
"""
_REACHED_BY = (
    f"(acl.grantee = 0 OR pg_get_userbyid(acl.grantee) = '{GROUP}' OR pg_get_userbyid(acl.grantee) LIKE '{ROLES_LIKE}')"
)

# Views over views count: what is below a view that asks as its owner is asked as that owner.
VIEWS = f"""
WITH RECURSIVE managed AS ({_MANAGED}), over (oid) AS (
    SELECT oid FROM managed
    UNION
    SELECT r.ev_class FROM over
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = over.oid
        AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid
)
SELECT n.nspname || '.' || c.relname AS name, c.relkind::text AS kind, o.rolname::text AS owner,
    o.rolsuper OR o.rolbypassrls AS bypasses
FROM over JOIN pg_class c ON c.oid = over.oid AND c.relkind IN ('v', 'm')
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
WHERE (c.relkind = 'm' OR NOT coalesce((SELECT option_value::boolean FROM pg_options_to_table(c.reloptions)
                                        WHERE option_name = 'security_invoker'), false))
  AND EXISTS (SELECT FROM aclexplode(c.relacl) acl WHERE {_REACHED_BY})
ORDER BY 1
"""

# A trigger's function is not callable, and tenants may not make triggers. Who owns the function gains nothing by it.
FUNCTIONS = f"""
SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name,
    pg_get_userbyid(p.proowner)::text AS owner
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
  AND EXISTS (SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) acl
              WHERE acl.privilege_type = 'USAGE' AND acl.grantee <> p.proowner AND {_REACHED_BY})
  AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl
              WHERE acl.grantee <> p.proowner AND {_REACHED_BY})
ORDER BY 1
"""

# Superusers are everywhere and see everything; one that may act as a tenant from the pool is a mistake.
ROLES = f"""
WITH strong AS MATERIALIZED (
    SELECT oid, rolname::text AS name, rolsuper FROM pg_roles
    WHERE (rolsuper OR rolbypassrls) AND rolname NOT LIKE '{ROLES_LIKE}'
)
SELECT s.name, CASE WHEN s.rolsuper THEN 'SUPERUSER' ELSE 'BYPASSRLS' END AS power
FROM strong s
WHERE EXISTS (SELECT FROM pg_auth_members m WHERE m.member = s.oid AND m.roleid = to_regrole('{POOL}'))
   OR NOT s.rolsuper AND EXISTS (
       SELECT FROM ({_MANAGED} AND NOT c.relispartition) AS managed
       WHERE has_table_privilege(s.oid, managed.oid, 'SELECT, INSERT, UPDATE, DELETE'))
ORDER BY 1
"""

STRANGERS = f"""
SELECT name
FROM (SELECT pg_get_userbyid(m.member) AS name FROM pg_auth_members m
      WHERE m.roleid = to_regrole('{GROUP}') OFFSET 0) AS members
WHERE name LIKE '{ROLES_LIKE}' AND NOT EXISTS (SELECT FROM {SCHEMA}.tenant t WHERE t.role = name)
ORDER BY 1
"""

# A key without the tenant column lets a row of one tenant refer to another's: row security does not watch foreign keys.
KEYS = f"""
WITH managed AS ({_MANAGED})
SELECT cn.nspname || '.' || c.relname AS name, k.conname::text AS key, fn.nspname || '.' || f.relname AS target
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attname = %(column)s
JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attname = %(column)s
WHERE k.contype = 'f' AND k.conparentid = 0
  AND k.conrelid IN (SELECT oid FROM managed) AND k.confrelid IN (SELECT oid FROM managed)
  AND NOT EXISTS (SELECT FROM unnest(k.conkey, k.confkey) AS pair (mine, theirs)
                  WHERE pair.mine = a.attnum AND pair.theirs = b.attnum)
ORDER BY 1, 2
"""

# Below the first level we don't make partitions: somebody has to, or the tenant's rows are refused.
NESTED = """
SELECT n.nspname || '.' || c.relname AS name
FROM pg_partitioned_table pt
JOIN pg_class c ON c.oid = pt.partrelid AND c.relispartition
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = ANY(%(schemas)s)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %(column)s AND a.attnum = ANY(pt.partattrs::int2[])
WHERE pt.partstrat = 'l'
ORDER BY 1
"""

QUESTIONS = {
    "views": VIEWS,
    "functions": FUNCTIONS,
    "roles": ROLES,
    "strangers": STRANGERS,
    "keys": KEYS,
    "nested": NESTED,
}
"""By name: each a query that any member of PUBLIC but for `strangers` may run."""

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def findings(database: Database, rows: Rows) -> tuple[Finding, ...]:
    """What a person should know, the tables we cannot manage first."""
    found = [
        Finding("TableNotManageable", f"{_unmanaged(table)}: it {table.obstacle}. {table.remedy}")
        for table in sorted(database.tables, key=lambda table: table.name)
        if table.obstacle
    ]
    found += [
        Finding(
            "IndexMissing",
            f"Partitioned table {table.name} has no index led by {table.column}: add one, partition by partition, so "
            "that its writers need not wait",
        )
        for table in sorted(database.tables, key=lambda table: table.name)
        if not table.obstacle and not table.indexed and table.partitioned
    ]
    for name, sentence in _SENTENCES.items():
        found += [sentence(row) for row in rows[name]]
    return _shortened(found)


def _unmanaged(table: Table) -> str:
    """What tenants can do with a table that we cannot manage."""
    if not table.grants:
        return f"Tenants cannot use table {table.name}"
    if table.secured and is_walled(table):
        return f"Tenants use table {table.name}, and nobody mends its wall"
    return f"Tenants may use table {table.name}, and its wall is not whole"


def _view(row: Mapping[str, Any]) -> Finding:
    view = row["name"]
    if row["kind"] == "m":
        return Finding(
            "MaterializedViewShared",
            f"Materialized view {view} holds rows of all tenants and tenants may read it. Revoke that, or make it "
            "a view with security_invoker",
        )
    sees = "rows of every tenant" if row["bypasses"] else "what its owner may see, not what the tenant may"
    return Finding(
        "ViewNotSecurityInvoker",
        f"View {view} asks as its owner {row['owner']} and so shows {sees}. "
        f"ALTER VIEW {view} SET (security_invoker = true)",
    )


def _function(row: Mapping[str, Any]) -> Finding:
    return Finding(
        "FunctionSecurityDefiner",
        f"Function {row['name']} is SECURITY DEFINER: tenants may call it and it acts as {row['owner']}. "
        f"REVOKE EXECUTE ON FUNCTION {row['name']} FROM PUBLIC, {GROUP} and each tenant that was given it by name, or "
        "make it SECURITY INVOKER",
    )


def _role(row: Mapping[str, Any]) -> Finding:
    return Finding(
        "RoleBypassesRowSecurity",
        f"Role {row['name']} has {row['power']}: no policy holds it on the tenants' tables. "
        f'ALTER ROLE "{row["name"]}" NO{row["power"]}, or accept that it sees every tenant',
    )


def _stranger(row: Mapping[str, Any]) -> Finding:
    return Finding(
        "UnknownTenantRole",
        f"Role {row['name']} is in {GROUP} without being a tenant of this database: it reads the rows of that id. "
        f'REVOKE {GROUP} FROM "{row["name"]}"',
    )


def _key(row: Mapping[str, Any]) -> Finding:
    return Finding(
        "ForeignKeyAcrossTenants",
        f"Foreign key {row['key']} of {row['name']} does not include the tenant column: a row of one tenant can refer "
        f"to another's in {row['target']}. Add the column to the key",
    )


def _nested(row: Mapping[str, Any]) -> Finding:
    return Finding(
        "PartitionsNested",
        f"Partition {row['name']} is itself partitioned by tenant: Matrix Hub adds partitions at the first level only. "
        "Add one per tenant there yourself, or a default partition",
    )


_SENTENCES = {
    "views": _view,
    "functions": _function,
    "roles": _role,
    "strangers": _stranger,
    "keys": _key,
    "nested": _nested,
}


def _shortened(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """At most `MOST` of each reason, and how many more there are."""
    counts: dict[str, int] = {}
    kept: list[Finding] = []
    for finding in found:
        counts[finding.reason] = counts.get(finding.reason, 0) + 1
        if counts[finding.reason] <= MOST:
            kept.append(finding)
    more = [Finding(reason, f"{count - MOST} more of these") for reason, count in counts.items() if count > MOST]
    return (*kept, *more)
