"""The SQL of each action on a tenant's share."""

# ruff: noqa: S608 - what is put into these texts are constants of ours; values are parameters or quoted literals

from functools import singledispatch

from psycopg import sql

from matrixhub.backends.contract import fingerprint
from matrixhub.backends.database import Statement
from matrixhub.backends.postgres import actions as steps
from matrixhub.backends.postgres.quoting import with_names, with_values
from matrixhub.backends.postgres.scram import scram
from matrixhub.backends.postgres.state import GROUP, LEFT, POOL, SCHEMA


@singledispatch
def statements(action: object) -> list[Statement]:
    """The SQL that carries out an action of a tenant's plan, in order."""
    raise TypeError(action)


@statements.register
def _(action: steps.Claim) -> list[Statement]:
    # The condition repeats the plan's: between observing and now, another hub may have entered the tenant.
    return [
        with_values(
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
    parts = [with_names(text, action.role)]
    if action.password:
        parts.append(with_values("PASSWORD {}", scram(action.password)))
    if action.member:
        parts.append(with_names("IN ROLE {}", GROUP))
    if action.pooled:
        parts.append(with_names("ROLE {}", POOL))
    return [sql.SQL(" ").join(parts), _remember(action.tenant, action.role, action.password)]


@statements.register
def _(action: steps.SetPassword) -> list[Statement]:
    alter = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(action.role), scram(action.password))
    return [alter, _remember(action.tenant, action.role, action.password)]


def _remember(tenant: str, role: str, password: str) -> Statement:
    return with_values(
        f"UPDATE {SCHEMA}.tenant SET password = {{}}, role_oid = (SELECT oid FROM pg_roles WHERE rolname = {{}}) "
        "WHERE id = {}",
        fingerprint(password) if password else "",
        role,
        tenant,
    )


@statements.register
def _(action: steps.AlterRole) -> list[Statement]:
    return [with_names("ALTER ROLE {} " + " ".join(action.options), action.role)]


@statements.register
def _(action: steps.Join) -> list[Statement]:
    return [with_names("GRANT {} TO {}", action.role, action.member)]


@statements.register
def _(action: steps.Leave) -> list[Statement]:
    return [with_names("REVOKE {} FROM {}", action.role, action.member)]


@statements.register
def _(action: steps.Configure) -> list[Statement]:
    made: list[Statement] = []
    for database in action.reset:
        scope = with_names("IN DATABASE {}", database) if database else sql.SQL("")
        made.append(with_names("ALTER ROLE {} {} RESET ALL", action.role, scope))
    for _database, setting in action.settings:
        name, _, value = setting.partition("=")
        values = value.split(", ") if name == "search_path" else [value]
        to = sql.SQL(", ").join(sql.Literal(one) for one in values)
        made.append(with_names("ALTER ROLE {} SET {} TO {}", action.role, name, to))
    return made


@statements.register
def _(action: steps.EndSessions) -> list[Statement]:
    # Ending a role's sessions takes its rights: held for the length of this transaction.
    return [
        with_names("GRANT {} TO CURRENT_USER", action.role),
        with_values("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {}", action.role),
        with_values("SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = {}", action.role),
        with_names("REVOKE {} FROM CURRENT_USER", action.role),
    ]


@statements.register
def _(action: steps.DropRole) -> list[Statement]:
    # What the role came to own is not ours to drop: it goes to an heir, and only then are its privileges dropped.
    return [
        with_names("GRANT {} TO CURRENT_USER", action.role),
        with_values(_HAND_OVER, action.role),
        with_names("DROP OWNED BY {}", action.role),
        with_names("DROP ROLE {}", action.role),
    ]


# Functions, views, triggers and indexes act as their owner: an heir that others share would lend one tenant's code what
# another left, and the admin would lend it all tenants. Postgres wants the heir to have CREATE where a function lies.
_HAND_OVER = f"""
DO $$
DECLARE
    gone name := {{}};
    heir name := '{LEFT}' || (SELECT oid FROM pg_roles WHERE rolname = gone);
    places regnamespace[] := ARRAY(
        SELECT oid FROM pg_namespace
        WHERE NOT starts_with(nspname, 'pg_') AND has_schema_privilege(oid, 'CREATE WITH GRANT OPTION'));
    place regnamespace;
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid AND r.rolname = gone
        WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'
          AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
          AND d.classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass))
    THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', heir);
    EXECUTE format('COMMENT ON ROLE %I IS %L', heir, format('What role %s owned when it was dropped', gone));
    EXECUTE format('GRANT %I TO CURRENT_USER', heir);
    FOREACH place IN ARRAY places LOOP
        EXECUTE format('GRANT CREATE ON SCHEMA %s TO %I', place, heir);
    END LOOP;
    EXECUTE format('REASSIGN OWNED BY %I TO %I', gone, heir);
    FOR place IN SELECT oid FROM pg_namespace WHERE oid = ANY (places) AND nspowner <> heir::regrole LOOP
        EXECUTE format('REVOKE CREATE ON SCHEMA %s FROM %I', place, heir);
    END LOOP;
    EXECUTE format('REVOKE %I FROM CURRENT_USER', heir);
END $$
"""


@statements.register
def _(action: steps.AddPartition) -> list[Statement]:
    return [*build_partition(action), attach_partition(action)]


def build_partition(action: steps.AddPartition) -> list[Statement]:
    """The table stands aside, as its parent is made, walled off and owned by the parent's owner.

    An identity is left out: rows that come through the parent draw from the parent's, and Postgres 17 refuses another.
    """
    table, name, owner = action.partition.table, action.partition.name, action.partition.owner
    return [
        with_names("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING IDENTITY)", name, table),
        with_names("ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", name),
        with_names("REVOKE ALL ON {} FROM PUBLIC, {}", name, GROUP),
        *([with_names("ALTER TABLE {} OWNER TO {}", name, owner)] if owner else []),
    ]


def attach_partition(action: steps.AddPartition) -> Statement:
    """The table is a partition; takes no lock on the parent that readers or writers would wait for."""
    table, name = action.partition.table, action.partition.name
    return with_names("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})", table, name, sql.Literal(action.tenant))


@statements.register
def _(action: steps.Retain) -> list[Statement]:
    return [
        with_values(
            f"UPDATE {SCHEMA}.tenant SET retained = true, owner = {{}}, password = '', role_oid = NULL WHERE id = {{}}",
            str(action.owner),
            action.tenant,
        )
    ]


@statements.register
def _(action: steps.Forget) -> list[Statement]:
    return [with_values(f"DELETE FROM {SCHEMA}.tenant WHERE id = {{}}", action.tenant)]
