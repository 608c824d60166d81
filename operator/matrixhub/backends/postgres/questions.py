"""What Postgres' catalogs are asked. Pure: the client runs it, `catalog.py` makes state of the answers.

Each query serves any number of tenants or tables, so the round trips don't grow with them.
"""

# ruff: noqa: S608 - what is put into these texts are constants of ours; values are parameters or quoted literals

from matrixhub.api import naming
from matrixhub.backends.postgres.state import ACCESS, GROUP, ISOLATION, POOL, SCHEMA

ROLES_LIKE = naming.postgres_role("").replace("_", r"\_") + "%%"
"""The pattern of tenants' roles; the sign is doubled because every query has parameters."""

# Whose privileges matter: PUBLIC, the group, the pool, and every role that the functions would take for a tenant.
# Asked of the few grantees that a relation has, never by joining all roles: there are as many as tenants.
_GRANTEE = "CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(acl.grantee)::text END"
_MATTERS = f"({_GRANTEE} IN ('PUBLIC', '{GROUP}', '{POOL}') OR {_GRANTEE} LIKE '{ROLES_LIKE}')"

# Privileges on relation c as [grantee, privilege]; those on single columns count like those on all.
_GRANTS = f"""
    SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_array({_GRANTEE}, acl.privilege_type)), '[]')
    FROM (SELECT c.relacl AS list WHERE c.relacl IS NOT NULL
          UNION ALL
          SELECT attacl FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL) AS lists,
         aclexplode(lists.list) AS acl
    WHERE acl.grantee <> c.relowner AND {_MATTERS}
"""

BASE = f"""
SELECT
    current_setting('server_version') AS version,
    current_user::text AS admin,
    current_database()::text AS database,
    me.rolsuper, me.rolbypassrls, me.rolcreaterole, me.rolinherit,
    has_database_privilege(current_database(), 'CREATE') AS may_create,
    has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION') AS may_connect,
    ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname IN ('{GROUP}', '{POOL}')) AS roles,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(m.rolname, r.rolname)), '[]')
     FROM pg_auth_members am JOIN pg_roles m ON m.oid = am.member JOIN pg_roles r ON r.oid = am.roleid
     WHERE m.rolname = '{GROUP}' OR (m.rolname = '{POOL}' AND r.rolname NOT LIKE '{ROLES_LIKE}')) AS widened,
    (SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = '{SCHEMA}') AS schema_owner,
    (SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = '{SCHEMA}') AS schema_ours,
    EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = '{SCHEMA}' AND c.relname = 'tenant') AS registry,
    coalesce(has_database_privilege(to_regrole('{GROUP}'), current_database(), 'CONNECT'), false) AS connect,
    (SELECT coalesce(jsonb_agg(jsonb_build_object(
         'name', p.proname || '(' || pg_get_function_arguments(p.oid) || ')', 'volatility', p.provolatile,
         'definer', p.prosecdef OR p.proconfig IS NOT NULL, 'body', p.prosrc,
         'executable', has_function_privilege(to_regrole('{GROUP}'), p.oid, 'EXECUTE'))), '[]')
     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = '{SCHEMA}') AS functions
FROM pg_roles me WHERE me.rolname = current_user
"""

SCHEMAS = f"""
SELECT n.nspname::text AS name, n.nspname = ANY(%(schemas)s) AS managed,
    coalesce(has_schema_privilege(to_regrole('{GROUP}'), n.oid, 'USAGE'), false) AS usage,
    ARRAY(SELECT {_GRANTEE} FROM aclexplode(n.nspacl) acl
          WHERE acl.privilege_type = 'CREATE' AND acl.grantee <> n.nspowner AND {_MATTERS}) AS creators
FROM pg_namespace n WHERE n.nspname = ANY(%(schemas)s) OR n.nspname = '{SCHEMA}'
"""

REGISTRY = f"""
SELECT ({_GRANTS}) AS grants FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = '{SCHEMA}' AND c.relname = 'tenant'
"""

MANAGED = """
    SELECT a.attrelid, a.attnum
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %(column)s AND NOT a.attisdropped
    WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
"""
"""The tables of the managed schemas that have the tenant column, each with that column."""


def tables(chosen: str) -> str:
    """What is asked about the tables that a query has chosen, each with the column taken for the tenant's."""
    return f"WITH chosen (relation, attnum) AS ({chosen}) {_TABLE}"


_TABLE = f"""
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
    n.nspname = ANY(%(schemas)s) AND a.attname = %(column)s AS managed,
    quote_ident(a.attname) AS column, a.atttypid::regtype::text AS type, a.attgenerated <> '' AS generated,
    c.relrowsecurity AS secured, c.relforcerowsecurity AS forced,
    pg_get_userbyid(c.relowner)::text AS owner, pg_has_role(c.relowner, 'USAGE') AS ours,
    (SELECT rolsuper FROM pg_roles WHERE oid = c.relowner) AS superowned,
    coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS default,
    coalesce(pt.partstrat = 'l' AND pt.partnatts = 1 AND pt.partattrs[0] = a.attnum, false)
        OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
                   AND i.indkey[0] = a.attnum) AS indexed,
    (SELECT coalesce(jsonb_agg(jsonb_build_object(
         'name', p.polname, 'restrictive', NOT p.polpermissive, 'command', p.polcmd,
         'roles', ARRAY(SELECT CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r)::text END
                        FROM unnest(p.polroles) r ORDER BY 1),
         'using', coalesce(pg_get_expr(p.polqual, c.oid), ''),
         'check', coalesce(pg_get_expr(p.polwithcheck, c.oid), ''))), '[]')
     FROM pg_policy p
     WHERE p.polrelid = c.oid AND p.polname IN ('{ISOLATION}', '{ACCESS}')) AS policies,
    ({_GRANTS}) AS grants,
    (SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_array(sn.nspname, s.relname,
            coalesce(has_sequence_privilege(to_regrole('{GROUP}'), s.oid, 'USAGE'), false))), '[]')
     FROM pg_attrdef ad
     JOIN pg_depend dep ON dep.classid = 'pg_attrdef'::regclass AND dep.objid = ad.oid
          AND dep.refclassid = 'pg_class'::regclass
     JOIN pg_class s ON s.oid = dep.refobjid AND s.relkind = 'S'
     JOIN pg_namespace sn ON sn.oid = s.relnamespace
     WHERE ad.adrelid = c.oid) AS sequences
FROM chosen
JOIN pg_class c ON c.oid = chosen.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = chosen.attnum
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_partitioned_table pt ON pt.partrelid = c.oid
"""
TABLES = tables(MANAGED)

# Only those that deviate: ten thousand partitions that are as they should be cost no row.
PIECES = f"""
WITH parts AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relnamespace, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity,
        ({_GRANTS}) AS grants
    FROM pg_class c
    WHERE c.relispartition AND c.relkind IN ('r', 'p')
      AND EXISTS (SELECT FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attname = %(column)s AND NOT a.attisdropped)
)
SELECT n.nspname::text AS schema, p.relname::text AS name, p.relrowsecurity AS secured, p.relforcerowsecurity AS forced,
    p.grants
FROM parts p JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE (p.grants <> '[]' OR NOT p.relrowsecurity OR NOT p.relforcerowsecurity)
  AND pg_has_role(p.relowner, 'USAGE')
  AND (SELECT rn.nspname FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace
       WHERE r.oid = pg_partition_root(p.oid)) = ANY(%(schemas)s)
"""

TENANTS = f"""
SELECT t.id, t.role::text AS role, t.owner, t.retained, t.password, t.role_oid
FROM {SCHEMA}.tenant t WHERE t.id = ANY(%(ids)s)
"""

ROLES = f"""
SELECT r.oid, r.rolname::text AS name, r.rolcanlogin AS login, r.rolinherit AS inherit,
    r.rolconnlimit AS connection_limit,
    CASE WHEN r.rolvaliduntil < 'infinity' THEN r.rolvaliduntil::text ELSE '' END AS valid_until,
    array_remove(ARRAY[CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
        CASE WHEN r.rolreplication THEN 'REPLICATION' END, CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
        CASE WHEN r.rolcreatedb THEN 'CREATEDB' END], NULL) AS powers,
    ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
          WHERE m.member = r.oid) AS memberships,
    EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles p ON p.oid = m.member
            WHERE m.roleid = r.oid AND p.rolname = '{POOL}') AS pooled,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(coalesce(d.datname, ''), setting)), '[]')
     FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS setting
     WHERE s.setrole = r.oid) AS settings,
    NOT r.rolcanlogin AND EXISTS (SELECT FROM pg_stat_activity a WHERE a.usesysid = r.oid) AS sessions
FROM pg_roles r WHERE r.rolname = ANY(%(roles)s)
"""

SHARED = {"base": BASE, "schemas": SCHEMAS, "registry": REGISTRY, "tables": TABLES, "pieces": PIECES}
"""What is asked about the shared part, by name; `base` answers with one row."""
