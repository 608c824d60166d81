"""The SQL of each action on what all tenants share. Statements of one table are carried out together or not at all."""

from functools import singledispatch

from psycopg import sql

from matrixhub.backends.database import Statement
from matrixhub.backends.postgres import actions_database as base
from matrixhub.backends.postgres.desired import index_name
from matrixhub.backends.postgres.quoting import grantee, with_names
from matrixhub.backends.postgres.state import GROUP, SCHEMA, Name


@singledispatch
def statements(action: object) -> list[Statement]:
    """The SQL that carries out an action on the database, in order."""
    raise TypeError(action)


@statements.register
def _(action: base.CreateGroup) -> list[Statement]:
    return [with_names("CREATE ROLE {} NOLOGIN NOINHERIT", action.role)]


@statements.register
def _(action: base.Narrow) -> list[Statement]:
    return [with_names("REVOKE {} FROM {}", action.other, action.role)]


@statements.register
def _(_: base.CreateSchema) -> list[Statement]:
    return [with_names("CREATE SCHEMA {}", SCHEMA)]


@statements.register
def _(_: base.CreateRegistry) -> list[Statement]:
    return [
        sql.SQL(
            "CREATE TABLE matrixhub.tenant (id text PRIMARY KEY, role name NOT NULL UNIQUE, owner text NOT NULL, "
            "retained boolean NOT NULL DEFAULT false, password text NOT NULL DEFAULT '', role_oid oid, "
            "created timestamptz NOT NULL DEFAULT now())"
        ),
        sql.SQL("REVOKE ALL ON matrixhub.tenant FROM PUBLIC"),
    ]


@statements.register
def _(action: base.HideRegistry) -> list[Statement]:
    return [with_names("REVOKE ALL ON {} FROM {} CASCADE", Name(SCHEMA, "tenant"), grantee(action.grantee))]


@statements.register
def _(action: base.SetFunction) -> list[Statement]:
    function = action.function
    signature = f"{SCHEMA}.{function.name}"
    text = f"{function.volatility.upper()} PARALLEL SAFE SECURITY INVOKER"
    return [
        with_names(
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS text LANGUAGE sql {text} AS {{}}",
            sql.Literal(function.body),
        ),
        with_names(f"ALTER FUNCTION {signature} RESET ALL"),
        with_names(f"GRANT EXECUTE ON FUNCTION {signature} TO {{}}", GROUP),
    ]


@statements.register
def _(_: base.PermitConnect) -> list[Statement]:
    # GRANT wants the database's name, and only the server knows for sure which one this is.
    text = f"DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO {GROUP}', current_database()); END $$"
    return [sql.SQL(text)]


@statements.register
def _(action: base.PermitUsage) -> list[Statement]:
    return [with_names("GRANT USAGE ON SCHEMA {} TO {}", action.schema, GROUP)]


@statements.register
def _(action: base.ForbidCreate) -> list[Statement]:
    return [with_names("REVOKE CREATE ON SCHEMA {} FROM {} CASCADE", action.schema, grantee(action.grantee))]


@statements.register
def _(action: base.Secure) -> list[Statement]:
    return [with_names("ALTER TABLE ONLY {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", action.table)]


@statements.register
def _(action: base.SetPolicy) -> list[Statement]:
    policy = action.policy
    kind = "RESTRICTIVE" if policy.restrictive else "PERMISSIVE"
    rest = f"AS {kind} FOR {policy.command} TO {{}} USING ({{}}) WITH CHECK ({{}})"
    using, check = sql.SQL(policy.using), sql.SQL(policy.check)
    roles = sql.SQL(", ").join(sql.Identifier(role) for role in policy.roles)
    return [
        with_names("DROP POLICY IF EXISTS {} ON {}", policy.name, action.table),
        with_names("CREATE POLICY {} ON {} " + rest, policy.name, action.table, roles, using, check),
    ]


@statements.register
def _(action: base.Withdraw) -> list[Statement]:
    privileges = ", ".join(action.privileges)
    return [with_names(f"REVOKE {privileges} ON {{}} FROM {{}} CASCADE", action.table, grantee(action.grantee))]


@statements.register
def _(action: base.Permit) -> list[Statement]:
    return [with_names(f"GRANT {', '.join(action.privileges)} ON {{}} TO {{}}", action.table, action.grantee)]


@statements.register
def _(action: base.PermitSequence) -> list[Statement]:
    return [with_names("GRANT USAGE ON SEQUENCE {} TO {}", action.sequence, GROUP)]


def default(action: base.SetDefault, tenant_column: str) -> Statement:
    """The tenant column is filled in; partitions are left alone, for rows come through the parent."""
    text = f"ALTER TABLE ONLY {{}} ALTER COLUMN {{}} SET DEFAULT {action.expression}"
    return with_names(text, action.table, tenant_column)


def index(action: base.AddIndex, tenant_column: str, key: tuple[str, ...]) -> list[Statement]:
    """A composite index led by the tenant column, built without blocking writers; what an earlier try left goes."""
    name = index_name(action.table)
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in (tenant_column, *key))
    return [
        with_names("DROP INDEX CONCURRENTLY IF EXISTS {}", name),
        with_names("CREATE INDEX CONCURRENTLY {} ON {} ({})", name.relation, action.table, columns),
    ]
