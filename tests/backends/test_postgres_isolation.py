"""Own rows work, others' don't: every attack is run with nothing but a tenant's own login, or a pooled one."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql
from tests.backends.postgres_world import MANAGED, World, world

from matrixhub.backends.contract import Intent, Phase

__all__ = ["world"]

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def schools(world: World) -> tuple[Intent, Intent]:
    """Two tenants; each has put two rows into every managed table."""
    world.admin.execute("GRANT SELECT ON student_names TO matrixhub_tenants")
    made = world.tenant("pg-a"), world.tenant("pg-b")
    for one in made:
        with world.login(one) as session:
            for table in MANAGED:
                run(session, "INSERT INTO {} (name) VALUES ('one'), ('two')", table)
    return made


@pytest.fixture
def a(world: World, schools: tuple[Intent, Intent]) -> Iterator[Connection]:
    with world.login(schools[0]) as session:
        yield session


@pytest.fixture(scope="module")
def pool_password(world: World, schools: tuple[Intent, Intent]) -> str:
    """An application's login, made by a platform engineer as the README says."""
    password = "a-pool-password-of-32-characters"
    text = 'CREATE ROLE "pg-app" LOGIN NOINHERIT PASSWORD {} IN ROLE matrixhub_pool'
    world.root.execute(sql.SQL(text).format(password))
    return password


@pytest.fixture
def pooled(world: World, pool_password: str) -> Iterator[Connection]:
    with world.connect("pg-app", pool_password) as session:
        yield session


def run(session: Connection, text: str, table: str = "", *values: object) -> psycopg.Cursor[Any]:
    return session.execute(sql.SQL(text).format(sql.SQL(table)), values or None)  # type: ignore[arg-type] # of the tests


def rows(session: Connection, text: str, table: str = "", *values: object) -> list[Any]:
    return [row[0] for row in run(session, text, table, *values).fetchall()]


@pytest.mark.parametrize("table", MANAGED)
def test_a_tenant_works_with_its_own_rows(a: Connection, table: str) -> None:
    with suppress(psycopg.Rollback), a.transaction() as undone:
        run(a, "INSERT INTO {} (name) VALUES ('mine')", table)
        assert rows(a, "SELECT tenant_id FROM {} WHERE name = 'mine'", table) == ["pg-a"]
        assert run(a, "UPDATE {} SET name = 'changed' WHERE name = 'mine'", table).rowcount == 1
        assert run(a, "DELETE FROM {} WHERE name = 'changed'", table).rowcount == 1
        raise psycopg.Rollback(undone)


@pytest.mark.parametrize("table", MANAGED)
def test_a_tenant_neither_sees_nor_touches_another_s_rows(world: World, a: Connection, table: str) -> None:
    assert set(rows(a, "SELECT tenant_id FROM {}", table)) == {"pg-a"}
    assert rows(a, "SELECT 1 FROM {} WHERE tenant_id = 'pg-b'", table) == []
    assert run(a, "UPDATE {} SET name = 'stolen' WHERE tenant_id = 'pg-b'", table).rowcount == 0
    assert run(a, "DELETE FROM {} WHERE tenant_id = 'pg-b'", table).rowcount == 0
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        run(a, "INSERT INTO {} (tenant_id, name) VALUES ('pg-b', 'planted')", table)
    with pytest.raises((errors.InsufficientPrivilege, errors.ForeignKeyViolation)):
        run(a, "UPDATE {} SET tenant_id = 'pg-b'", table)
    with pytest.raises((errors.InsufficientPrivilege, errors.NotNullViolation, errors.CheckViolation)):
        run(a, "INSERT INTO {} (tenant_id, name) VALUES (NULL, 'nobody')", table)
    assert world.count(table, "pg-b") == 2


@pytest.mark.parametrize("table", MANAGED)
@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE {}",
        "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON {} USING (true)",
        "DROP POLICY matrixhub_isolation ON {}",
        "CREATE TRIGGER t BEFORE INSERT ON {} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE INDEX ON {} (name)",
        "DROP TABLE {}",
        "COPY {} TO PROGRAM 'cat'",
    ],
)
def test_a_table_s_definition_is_not_a_tenant_s_to_change(a: Connection, table: str, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        run(a, statement, table)


@pytest.mark.parametrize("table", MANAGED)
def test_a_tenant_has_four_privileges_and_none_to_hand_on(world: World, a: Connection, table: str) -> None:
    run(a, "GRANT SELECT ON {} TO PUBLIC", table)  # Postgres only warns
    query = "SELECT p FROM unnest(%s::text[]) p WHERE has_table_privilege('tenant_pg-a', %s, p)"
    every = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "SELECT WITH GRANT OPTION"]
    assert rows(world.root, query, "", every, table) == every[:4]
    assert (
        rows(
            world.root,
            "SELECT 1 FROM aclexplode((SELECT relacl FROM pg_class WHERE oid = %s::regclass)) WHERE grantee = 0",
            "",
            table,
        )
        == []
    )


@pytest.mark.parametrize("tenant", ["pg-a", "pg-b"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM {}",
        "INSERT INTO {} (tenant_id, name) VALUES ('pg-b', 'x')",
        "UPDATE {} SET name = 'x'",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "COPY {} TO STDOUT",
        "LOCK TABLE {} IN ACCESS SHARE MODE",
    ],
)
def test_a_partition_is_out_of_reach_by_its_own_name(a: Connection, tenant: str, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege), a.transaction():
        run(a, statement, f'public."audit_log_{tenant}"')


@pytest.mark.parametrize(
    "statement",
    [
        'SET ROLE "tenant_pg-b"',
        'SET SESSION AUTHORIZATION "tenant_pg-b"',
        "SET ROLE hub_admin",
        "SET ROLE matrixhub_pool",
        "SELECT set_config('role', 'tenant_pg-b', false)",
        "SELECT set_config('session_authorization', 'tenant_pg-b', false)",
        "SET session_replication_role = replica",
        'ALTER ROLE "tenant_pg-a" BYPASSRLS',
        'ALTER ROLE "tenant_pg-a" RENAME TO "tenant_pg-b2"',
        "ALTER ROLE \"tenant_pg-b\" PASSWORD 'x'",
        'GRANT "tenant_pg-b" TO "tenant_pg-a"',
        'CREATE ROLE "tenant_pg-z"',
        "SELECT * FROM matrixhub.tenant",
        "CREATE OR REPLACE FUNCTION matrixhub.current_tenant() RETURNS text LANGUAGE sql AS 'SELECT ''pg-b'''",
        "CREATE TABLE public.mine (x int)",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
    ],
)
def test_no_statement_makes_a_tenant_another(a: Connection, statement: str) -> None:
    with pytest.raises((errors.InsufficientPrivilege, errors.FeatureNotSupported)):
        run(a, statement)
    assert set(rows(a, "SELECT tenant_id FROM students")) == {"pg-a"}


@pytest.mark.parametrize(
    "statement",
    [
        "RESET ROLE",
        "RESET SESSION AUTHORIZATION",
        "SET ROLE NONE",
        "SET ROLE matrixhub_tenants",
        "SET app.tenant_id = 'pg-b'",
        "SET search_path = pg_temp, public",
        "SET row_security = on",
        "DISCARD ALL",
    ],
)
def test_what_a_session_may_set_does_not_widen_what_it_sees(a: Connection, statement: str) -> None:
    a.execute(statement)
    assert set(rows(a, "SELECT tenant_id FROM public.students")) <= {"pg-a"}


def test_row_security_switched_off_is_an_error_not_a_way_in(a: Connection) -> None:
    a.execute("SET row_security = off")
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        a.execute("SELECT * FROM students")


def test_objects_of_a_temporary_schema_do_not_fool_the_policy(a: Connection) -> None:
    a.execute("CREATE FUNCTION pg_temp.current_tenant() RETURNS text LANGUAGE sql AS 'SELECT ''pg-b'''")
    a.execute("CREATE FUNCTION pg_temp.substr(text, int) RETURNS text LANGUAGE sql AS 'SELECT ''pg-b'''")
    a.execute("CREATE FUNCTION pg_temp.starts_with(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true'")
    a.execute("SET search_path = pg_temp, pg_catalog, public")
    assert set(rows(a, "SELECT tenant_id FROM public.students")) == {"pg-a"}


def test_a_leaky_function_is_shown_own_rows_only(a: Connection) -> None:
    a.execute(
        "CREATE FUNCTION pg_temp.leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS "
        "$$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$"
    )
    seen: list[str] = []
    a.add_notice_handler(lambda notice: seen.append(notice.message_primary or ""))
    for table in MANAGED:
        run(a, "SELECT * FROM {} WHERE pg_temp.leak(tenant_id)", table)
        run(a, "SELECT * FROM {} t, LATERAL (SELECT pg_temp.leak(t.tenant_id)) x", table)
    assert set(seen) == {"pg-a"}


def test_copy_and_cursors_yield_own_rows_only(a: Connection) -> None:
    with a.cursor().copy("COPY students (tenant_id) TO STDOUT") as copy:
        assert {bytes(line).strip() for line in copy} == {b"pg-a"}
    with pytest.raises(errors.FeatureNotSupported), a.cursor().copy("COPY students (tenant_id) FROM STDIN") as copy:
        copy.write("pg-b\n")
    with a.transaction():
        a.execute("DECLARE c CURSOR WITH HOLD FOR SELECT tenant_id FROM audit_log")
        assert {row[0] for row in a.execute("FETCH ALL FROM c").fetchall()} == {"pg-a"}


def test_a_view_that_asks_as_its_reader_shows_own_rows_only(a: Connection) -> None:
    assert set(rows(a, "SELECT tenant_id FROM student_names")) == {"pg-a"}


@pytest.mark.parametrize("role", ["PUBLIC", "matrixhub_tenants", '"tenant_pg-a"'])
def test_a_policy_that_somebody_adds_does_not_widen(world: World, a: Connection, role: str) -> None:
    world.admin.execute(f"CREATE POLICY generous ON students TO {role} USING (true) WITH CHECK (true)")
    try:
        assert set(rows(a, "SELECT tenant_id FROM students")) == {"pg-a"}
        with pytest.raises(errors.InsufficientPrivilege):
            a.execute("INSERT INTO students (tenant_id) VALUES ('pg-b')")
    finally:
        world.admin.execute("DROP POLICY generous ON students")


def test_statistics_of_managed_tables_are_not_readable(world: World, a: Connection) -> None:
    world.root.execute("ANALYZE")
    query = "SELECT tablename FROM pg_stats WHERE schemaname IN ('public', 'School Data')"
    assert rows(world.root, query), "there are some"
    assert rows(a, query) == []
    assert rows(a, "SELECT 1 FROM pg_stats_ext") == []
    with pytest.raises(errors.InsufficientPrivilege):
        a.execute("SELECT * FROM pg_statistic")


def test_the_queries_of_others_are_not_readable(world: World, schools: tuple[Intent, Intent], a: Connection) -> None:
    with world.login(schools[1]) as b:
        b.execute("SELECT 'a secret of pg-b'")
        seen = rows(a, "SELECT query FROM pg_stat_activity WHERE usename = 'tenant_pg-b'")
    assert seen
    assert set(seen) == {"<insufficient privilege>"}


def test_a_large_object_is_its_maker_s_alone(world: World, schools: tuple[Intent, Intent], a: Connection) -> None:
    (oid,) = a.execute("SELECT lo_from_bytea(0, 'secret')").fetchone() or (0,)
    with world.login(schools[1]) as b:
        for statement in ("SELECT lo_get(%s)", "SELECT lo_unlink(%s)", "SELECT lo_put(%s, 0, 'x')"):
            with pytest.raises(errors.InsufficientPrivilege):
                b.execute(statement, [oid])
        with pytest.raises(errors.InsufficientPrivilege):
            b.execute("SELECT data FROM pg_largeobject")
    a.execute("SELECT lo_unlink(%s)", [oid])


# A login that an application shares among its tenants


def test_a_pooled_login_sees_nothing_by_itself(pooled: Connection) -> None:
    for table in MANAGED:
        with pytest.raises(errors.InsufficientPrivilege):
            run(pooled, "SELECT * FROM {}", table)
    pooled.execute("SET ROLE matrixhub_pool")
    with pytest.raises(errors.InsufficientPrivilege):
        pooled.execute("SELECT * FROM students")


@pytest.mark.parametrize("table", MANAGED)
def test_a_prepared_statement_is_planned_anew_when_the_role_changes(pooled: Connection, table: str) -> None:
    with pooled.transaction():
        pooled.execute('SET LOCAL ROLE "tenant_pg-a"')
        run(pooled, "PREPARE mine AS SELECT DISTINCT tenant_id FROM {}", table)
    for tenant in ["pg-a"] * 7 + ["pg-b"] * 7 + ["pg-a"]:
        with pooled.transaction():
            pooled.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(f"tenant_{tenant}")))
            assert rows(pooled, "EXECUTE mine") == [tenant]
    with pytest.raises(errors.InsufficientPrivilege):
        pooled.execute("EXECUTE mine")


@pytest.mark.parametrize("mode", ["auto", "force_generic_plan", "force_custom_plan"])
def test_writes_that_were_prepared_go_to_the_role_of_the_moment(pooled: Connection, mode: str) -> None:
    pooled.execute(f"SET plan_cache_mode = {mode}")
    pooled.execute("PREPARE put (text) AS INSERT INTO students (name) VALUES ($1) RETURNING tenant_id")
    pooled.execute("PREPARE get (text) AS SELECT tenant_id FROM audit_log WHERE name = $1")
    for tenant in ["pg-a"] * 7 + ["pg-b"] * 7:
        with pooled.transaction(force_rollback=True):
            pooled.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(f"tenant_{tenant}")))
            assert rows(pooled, "EXECUTE put ('x')") == [tenant]
            assert rows(pooled, "EXECUTE get ('one')") == [tenant]


def test_a_plpgsql_function_follows_the_role(world: World, pooled: Connection) -> None:
    world.admin.execute(
        "CREATE FUNCTION seen() RETURNS text[] LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO audit_log (name) VALUES ('seen');"
        " RETURN (SELECT array_agg(DISTINCT tenant_id || matrixhub.tenant_of(current_user)) FROM audit_log); END $$"
    )
    for tenant in ["pg-a"] * 7 + ["pg-b"] * 7 + ["pg-a"]:
        with pooled.transaction(force_rollback=True):
            pooled.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(f"tenant_{tenant}")))
            assert rows(pooled, "SELECT seen()") == [[tenant * 2]]
    world.admin.execute("DROP FUNCTION seen()")


def test_a_pooled_login_is_shut_out_of_a_suspended_tenant(world: World, pooled: Connection) -> None:
    world.tenant("pg-c")
    with pooled.transaction():
        pooled.execute('SET LOCAL ROLE "tenant_pg-c"')
        pooled.execute("SELECT * FROM students")
    pooled.execute('SET ROLE "tenant_pg-c"')
    world.reconcile(world.intent("pg-c", Phase.SUSPENDED))
    with pytest.raises(errors.InsufficientPrivilege):
        pooled.execute("SELECT * FROM students")
    pooled.execute("RESET ROLE")
    with pytest.raises(errors.InsufficientPrivilege):
        pooled.execute('SET ROLE "tenant_pg-c"')
    world.remove("pg-c")


def test_a_plan_names_one_partition_only(world: World, a: Connection) -> None:
    """Pruned while planning, not while executing: otherwise each query would plan and lock every partition."""
    world.admin.execute(
        "CREATE TABLE readings (tenant_id text, at int, PRIMARY KEY (tenant_id, at)) PARTITION BY LIST (tenant_id)"
    )
    for number in range(100):
        world.admin.execute(f"CREATE TABLE readings_{number} PARTITION OF readings FOR VALUES IN ('pg-{number}')")
    world.admin.execute("CREATE TABLE \"readings_pg-a\" PARTITION OF readings FOR VALUES IN ('pg-a')")
    world.prepare()
    try:
        lines = rows(a, "EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM readings WHERE at = 5")
        assert any("readings_pg-a" in line for line in lines)
        assert not any("Append" in line or "Subplans Removed" in line or "InitPlan" in line for line in lines)
        with a.transaction():
            a.execute("SELECT * FROM readings WHERE at = 5")
            locks = (
                "SELECT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
            )
            held = [name for name in rows(a, locks) if "readings_" in name]
        assert set(held) <= {'"readings_pg-a"', '"readings_pg-a_pkey"'}
    finally:
        world.admin.execute("DROP TABLE readings")
