"""The SQL of each action. Statements of one group are carried out together or not at all."""

# ruff: noqa: S608 - what is put into these texts are constants of ours; values are parameters or quoted literals

import base64
import hashlib
import hmac
import secrets
from functools import singledispatch

from psycopg import sql

from matrixhub.backends.postgres import plan as steps
from matrixhub.backends.postgres import plan_database as base
from matrixhub.backends.postgres.desired import fingerprint
from matrixhub.backends.postgres.state import GROUP, POOL, SCHEMA, Name

Statement = sql.Composed | sql.SQL

_ITERATIONS = 4096  # RFC 7677, section 4; Postgres' own number. The passwords are random, so more would buy nothing.


def scram(password: str) -> str:
    """The SCRAM-SHA-256 verifier that Postgres stores (RFC 5803): the password itself never travels."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ITERATIONS, *text)


def identifier(name: Name) -> sql.Identifier:
    """The relation, quoted."""
    return sql.Identifier(name.schema, name.relation)


def _format(text: str, *names: str | Name | sql.Composable) -> Statement:
    """`text` with each {} an identifier, or whatever is composed already."""
    return sql.SQL(text).format(*(_quoted(name) for name in names))


def _quoted(name: str | Name | sql.Composable) -> sql.Composable:
    if isinstance(name, Name):
        return identifier(name)
    return sql.Identifier(name) if isinstance(name, str) else name


def _values(text: str, *values: object) -> Statement:
    """`text` with each {} a value."""
    return sql.SQL(text).format(*(sql.Literal(value) for value in values))


# One tenant


@singledispatch
def statements(action: object) -> list[Statement]:
    """The SQL that carries out an action of a tenant's plan, in order."""
    raise TypeError(action)


@statements.register
def _(action: steps.Claim) -> list[Statement]:
    # The condition repeats the plan's: between observing and now, another hub may have entered the tenant.
    return [
        _values(
            f"INSERT INTO {SCHEMA}.tenant AS t (id, role, owner) VALUES ({{}}, {{}}, {{}}) ON CONFLICT (id) DO UPDATE "
            "SET role = excluded.role, owner = excluded.owner, retained = false "
            "WHERE t.retained OR split_part(t.owner, '/', 1) IN ({}, {})",
            action.tenant,
            action.role,
            str(action.owner),
            action.owner.hub,
            action.owner.former,
        )
    ]


@statements.register
def _(action: steps.CreateRole) -> list[Statement]:
    options = ["LOGIN" if action.login else "NOLOGIN", "INHERIT", f"CONNECTION LIMIT {action.connection_limit}"]
    text = "CREATE ROLE {} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION " + " ".join(options)
    parts = [_format(text, action.role)]
    if action.password:
        parts.append(_values("PASSWORD {}", scram(action.password)))
    if action.member:
        parts.append(_format("IN ROLE {}", GROUP))
    if action.pooled:
        parts.append(_format("ROLE {}", POOL))
    return [sql.SQL(" ").join(parts), _remember(action.tenant, action.role, action.password)]


@statements.register
def _(action: steps.SetPassword) -> list[Statement]:
    alter = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(action.role), scram(action.password))
    return [alter, _remember(action.tenant, action.role, action.password)]


def _remember(tenant: str, role: str, password: str) -> Statement:
    return _values(
        f"UPDATE {SCHEMA}.tenant SET password = {{}}, role_oid = (SELECT oid FROM pg_roles WHERE rolname = {{}}) "
        "WHERE id = {}",
        fingerprint(password) if password else "",
        role,
        tenant,
    )


@statements.register
def _(action: steps.AlterRole) -> list[Statement]:
    return [_format("ALTER ROLE {} " + " ".join(action.options), action.role)]


@statements.register
def _(action: steps.Join) -> list[Statement]:
    return [_format("GRANT {} TO {}", action.role, action.member)]


@statements.register
def _(action: steps.Leave) -> list[Statement]:
    return [_format("REVOKE {} FROM {}", action.role, action.member)]


@statements.register
def _(action: steps.Configure) -> list[Statement]:
    made: list[Statement] = []
    for database in action.reset:
        scope = _format("IN DATABASE {}", database) if database else sql.SQL("")
        made.append(_format("ALTER ROLE {} {} RESET ALL", action.role, scope))
    for _database, setting in action.settings:
        name, _, value = setting.partition("=")
        values = value.split(", ") if name == "search_path" else [value]
        to = sql.SQL(", ").join(sql.Literal(one) for one in values)
        made.append(_format("ALTER ROLE {} SET {} TO {}", action.role, name, to))
    return made


@statements.register
def _(action: steps.EndSessions) -> list[Statement]:
    # Ending a role's sessions takes its rights: held for the length of this transaction.
    return [
        _format("GRANT {} TO CURRENT_USER", action.role),
        _values("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {}", action.role),
        _values("SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = {}", action.role),
        _format("REVOKE {} FROM CURRENT_USER", action.role),
    ]


@statements.register
def _(action: steps.DropRole) -> list[Statement]:
    # What the role came to own is not ours to drop: it goes to the admin, and only then are its privileges dropped.
    texts = ("GRANT {} TO CURRENT_USER", "REASSIGN OWNED BY {} TO CURRENT_USER", "DROP OWNED BY {}", "DROP ROLE {}")
    return [_format(text, action.role) for text in texts]


@statements.register
def _(action: steps.AddPartition) -> list[Statement]:
    return [*build_partition(action), attach_partition(action)]


def build_partition(action: steps.AddPartition) -> list[Statement]:
    """The table stands aside, as its parent is made, walled off and owned by the parent's owner.

    An identity is left out: rows that come through the parent draw from the parent's, and Postgres 17 refuses another.
    """
    table, name, owner = action.partition.table, action.partition.name, action.partition.owner
    return [
        _format("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING IDENTITY)", name, table),
        _format("ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", name),
        _format("REVOKE ALL ON {} FROM PUBLIC, {}", name, GROUP),
        *([_format("ALTER TABLE {} OWNER TO {}", name, owner)] if owner else []),
    ]


def attach_partition(action: steps.AddPartition) -> Statement:
    """The table is a partition; takes no lock on the parent that readers or writers would wait for."""
    table, name = action.partition.table, action.partition.name
    return _format("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})", table, name, sql.Literal(action.tenant))


@statements.register
def _(action: steps.Retain) -> list[Statement]:
    return [
        _values(
            f"UPDATE {SCHEMA}.tenant SET retained = true, owner = {{}}, password = '', role_oid = NULL WHERE id = {{}}",
            str(action.owner),
            action.tenant,
        )
    ]


@statements.register
def _(action: steps.Forget) -> list[Statement]:
    return [_values(f"DELETE FROM {SCHEMA}.tenant WHERE id = {{}}", action.tenant)]


# The database


def _grantee(name: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if name == "PUBLIC" else sql.Identifier(name)


@statements.register
def _(action: base.CreateGroup) -> list[Statement]:
    return [_format("CREATE ROLE {} NOLOGIN NOINHERIT", action.role)]


@statements.register
def _(action: base.Narrow) -> list[Statement]:
    return [_format("REVOKE {} FROM {}", action.other, action.role)]


@statements.register
def _(_: base.CreateSchema) -> list[Statement]:
    return [_format("CREATE SCHEMA {}", SCHEMA)]


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
    return [_format("REVOKE ALL ON {} FROM {} CASCADE", Name(SCHEMA, "tenant"), _grantee(action.grantee))]


@statements.register
def _(action: base.SetFunction) -> list[Statement]:
    function = action.function
    signature = f"{SCHEMA}.{function.name}"
    text = f"{function.volatility.upper()} PARALLEL SAFE SECURITY INVOKER"
    return [
        _format(
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS text LANGUAGE sql {text} AS {{}}",
            sql.Literal(function.body),
        ),
        _format(f"ALTER FUNCTION {signature} RESET ALL"),
        _format(f"GRANT EXECUTE ON FUNCTION {signature} TO {{}}", GROUP),
    ]


@statements.register
def _(_: base.PermitConnect) -> list[Statement]:
    # GRANT wants the database's name, and only the server knows for sure which one this is.
    text = f"DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO {GROUP}', current_database()); END $$"
    return [sql.SQL(text)]


@statements.register
def _(action: base.PermitUsage) -> list[Statement]:
    return [_format("GRANT USAGE ON SCHEMA {} TO {}", action.schema, GROUP)]


@statements.register
def _(action: base.ForbidCreate) -> list[Statement]:
    return [_format("REVOKE CREATE ON SCHEMA {} FROM {} CASCADE", action.schema, _grantee(action.grantee))]


@statements.register
def _(action: base.Secure) -> list[Statement]:
    return [_format("ALTER TABLE ONLY {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", action.table)]


@statements.register
def _(action: base.SetPolicy) -> list[Statement]:
    policy = action.policy
    kind = "RESTRICTIVE" if policy.restrictive else "PERMISSIVE"
    rest = f"AS {kind} FOR {policy.command} TO {{}} USING ({{}}) WITH CHECK ({{}})"
    using, check = sql.SQL(policy.using), sql.SQL(policy.check)
    roles = sql.SQL(", ").join(sql.Identifier(role) for role in policy.roles)
    return [
        _format("DROP POLICY IF EXISTS {} ON {}", policy.name, action.table),
        _format("CREATE POLICY {} ON {} " + rest, policy.name, action.table, roles, using, check),
    ]


@statements.register
def _(action: base.Withdraw) -> list[Statement]:
    privileges = ", ".join(action.privileges)
    return [_format(f"REVOKE {privileges} ON {{}} FROM {{}} CASCADE", action.table, _grantee(action.grantee))]


@statements.register
def _(action: base.Permit) -> list[Statement]:
    return [_format(f"GRANT {', '.join(action.privileges)} ON {{}} TO {{}}", action.table, action.grantee)]


@statements.register
def _(action: base.PermitSequence) -> list[Statement]:
    return [_format("GRANT USAGE ON SEQUENCE {} TO {}", action.sequence, GROUP)]


def default(action: base.SetDefault, tenant_column: str) -> Statement:
    """The tenant column is filled in; partitions are left alone, for rows come through the parent."""
    text = f"ALTER TABLE ONLY {{}} ALTER COLUMN {{}} SET DEFAULT {action.expression}"
    return _format(text, action.table, tenant_column)


def index(action: base.AddIndex, tenant_column: str, key: tuple[str, ...]) -> list[Statement]:
    """A composite index led by the tenant column, built without blocking writers; what an earlier try left goes."""
    name = f"{action.table.relation[:40]}_matrixhub_idx"
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in (tenant_column, *key))
    return [
        _format("DROP INDEX CONCURRENTLY IF EXISTS {}", Name(action.table.schema, name)),
        _format("CREATE INDEX CONCURRENTLY {} ON {} ({})", name, action.table, columns),
    ]


__all__ = ["attach_partition", "build_partition", "default", "identifier", "index", "scram", "statements"]
