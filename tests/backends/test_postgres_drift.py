"""What was changed by hand is as it should be again, and is told."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors, sql
from tests.backends.postgres_world import World, world

from matrixhub.backends.contract import Intent
from matrixhub.errors import Rejected

__all__ = ["world"]


# What somebody may have done, where a line is too short for it.
PERMISSIVE = """
DROP POLICY matrixhub_isolation ON students;
CREATE POLICY matrixhub_isolation ON students TO matrixhub_tenants USING (tenant_id = matrixhub.current_tenant())
"""
ONE_TENANT_S = """
CREATE SCHEMA apart;
CREATE FUNCTION apart.peek() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1 FROM public.students';
REVOKE EXECUTE ON FUNCTION apart.peek FROM PUBLIC;
GRANT USAGE ON SCHEMA apart TO "tenant_pg-a";
GRANT EXECUTE ON FUNCTION apart.peek TO "tenant_pg-a"
"""
VIEW_OVER_VIEW = """
CREATE VIEW below AS SELECT * FROM students;
CREATE VIEW peek AS SELECT * FROM below;
GRANT SELECT ON peek TO PUBLIC
"""


@pytest.fixture(scope="module")
def school(world: World) -> Iterator[Intent]:
    made = world.tenant("pg-a")
    with world.login(made) as session:
        session.execute("INSERT INTO students (name) VALUES ('one'); INSERT INTO audit_log (name) VALUES ('one')")
    yield made
    world.remove("pg-a")


# A tenant's role


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ('ALTER ROLE "tenant_pg-a" NOLOGIN', "Set LOGIN on role tenant_pg-a"),
        ('ALTER ROLE "tenant_pg-a" NOINHERIT', "Set INHERIT on role tenant_pg-a"),
        ('ALTER ROLE "tenant_pg-a" CREATEDB CREATEROLE', "Set NOCREATEDB, NOCREATEROLE on role tenant_pg-a"),
        ('ALTER ROLE "tenant_pg-a" CONNECTION LIMIT 1', "Set CONNECTION LIMIT 20 on role tenant_pg-a"),
        ("ALTER ROLE \"tenant_pg-a\" VALID UNTIL '2020-01-01'", "Set VALID UNTIL 'infinity' on role tenant_pg-a"),
        ('REVOKE matrixhub_tenants FROM "tenant_pg-a"', "Made tenant_pg-a a member of matrixhub_tenants"),
        ('REVOKE "tenant_pg-a" FROM matrixhub_pool', "Made matrixhub_pool a member of tenant_pg-a"),
        ('GRANT pg_read_all_data TO "tenant_pg-a"', "Revoked tenant_pg-a's membership in pg_read_all_data"),
        ('GRANT hub_admin TO "tenant_pg-a"', "Revoked tenant_pg-a's membership in hub_admin"),
    ],
)
def test_a_changed_role_is_repaired(world: World, school: Intent, damage: str, sentence: str) -> None:
    world.root.execute(damage)  # type: ignore[call-overload] # a constant of this module
    assert world.reconcile(school) == (sentence,)
    with world.login(school) as session:
        assert session.execute("SELECT count(*) FROM students").fetchone() == (1,)


@pytest.mark.parametrize(
    "change",
    [
        "SET statement_timeout = 0",
        "SET role = matrixhub_tenants",
        "SET search_path = pg_temp",
        "RESET ALL",
        "IN DATABASE postgres SET statement_timeout = 0",
        "SET work_mem = '4GB'",
    ],
)
def test_settings_that_the_tenant_changed_itself_are_repaired(world: World, school: Intent, change: str) -> None:
    with world.login(school) as session:
        if change.startswith("IN DATABASE"):
            change = change.replace("postgres", world.database)
        session.execute(f'ALTER ROLE "tenant_pg-a" {change}')
    (sentence,) = world.reconcile(school)
    assert sentence.startswith("Set idle_in_transaction_session_timeout=60000ms")
    with world.login(school) as session:
        assert session.execute("SHOW statement_timeout").fetchone() == ("5s",)
        assert session.execute("SHOW search_path").fetchone() == ('public, "School Data"',)
        assert session.execute("SHOW work_mem").fetchone() == ("4MB",)


@pytest.mark.parametrize("power", ["BYPASSRLS", "REPLICATION", "BYPASSRLS REPLICATION CREATEDB"])
def test_powers_that_only_a_superuser_may_take_away_go_with_the_role(world: World, school: Intent, power: str) -> None:
    world.root.execute(f'ALTER ROLE "tenant_pg-a" {power}')
    session = world.login(school)
    done = world.reconcile(school)
    assert any(sentence.startswith("Dropped role tenant_pg-a to take") for sentence in done)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT * FROM students")
    session.close()
    assert world.role("pg-a") == (True, False, False)
    with world.login(school) as fresh:
        assert fresh.execute("SELECT tenant_id FROM students").fetchall() == [("pg-a",)]


def test_a_superuser_is_told_of_with_the_statement_that_undoes_it(world: World, school: Intent) -> None:
    world.root.execute('ALTER ROLE "tenant_pg-a" SUPERUSER')
    try:
        with pytest.raises(Rejected, match='ALTER ROLE "tenant_pg-a" NOSUPERUSER') as refused:
            world.plan(school)
        assert refused.value.reason == "RoleIsSuperuser"
    finally:
        world.root.execute('ALTER ROLE "tenant_pg-a" NOSUPERUSER')
    assert world.reconcile(school) == ()


def test_a_dropped_role_is_made_again_with_its_password(world: World, school: Intent) -> None:
    world.root.execute('DROP OWNED BY "tenant_pg-a"; DROP ROLE "tenant_pg-a"')
    assert world.reconcile(school)[0] == "Created role tenant_pg-a"
    world.login(school).close()


def test_a_role_that_was_swapped_for_another_gets_our_password(world: World, school: Intent) -> None:
    world.root.execute('DROP ROLE "tenant_pg-a"; CREATE ROLE "tenant_pg-a" LOGIN PASSWORD \'theirs\'')
    assert "Set the password of role tenant_pg-a" in world.reconcile(school)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        world.connect("tenant_pg-a", "theirs")
    world.login(school).close()


def test_a_new_password_in_the_secret_replaces_the_old(world: World, school: Intent) -> None:
    changed = world.intent("pg-a", password="another-password-of-32-characters")
    assert world.reconcile(changed) == ("Set the password of role tenant_pg-a",)
    world.login(changed).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        world.login(school)
    world.reconcile(school)


def test_a_changed_spec_changes_the_role(world: World, school: Intent) -> None:
    changed = world.intent("pg-a", postgres={"connectionLimit": 1, "statementTimeout": "50ms"})
    world.reconcile(changed)
    with world.login(changed) as session:
        with pytest.raises(errors.QueryCanceled):
            session.execute("SELECT pg_sleep(5)")
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            world.login(changed)
    world.reconcile(school)


def test_a_dropped_partition_is_made_again(world: World, school: Intent) -> None:
    world.admin.execute('DROP TABLE "audit_log_pg-a"')
    assert world.reconcile(school) == ("Added partition public.audit_log_pg-a to public.audit_log",)
    assert world.prepare().repaired == (), "it is walled from its first moment"
    with world.login(school) as session:
        session.execute("INSERT INTO audit_log (name) VALUES ('one')")
        with pytest.raises(errors.InsufficientPrivilege):
            session.execute('SELECT * FROM "audit_log_pg-a"')


# The database


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("ALTER TABLE students DISABLE ROW LEVEL SECURITY", "Enabled and forced row security on public.students"),
        ("ALTER TABLE students NO FORCE ROW LEVEL SECURITY", "Enabled and forced row security on public.students"),
        ("DROP POLICY matrixhub_isolation ON students", "Set policy matrixhub_isolation on public.students"),
        ("DROP POLICY matrixhub_access ON students", "Set policy matrixhub_access on public.students"),
        (
            "ALTER POLICY matrixhub_isolation ON students USING (true)",
            "Set policy matrixhub_isolation on public.students",
        ),
        (
            "ALTER POLICY matrixhub_isolation ON students WITH CHECK (true)",
            "Set policy matrixhub_isolation on public.students",
        ),
        (
            "ALTER POLICY matrixhub_isolation ON students TO hub_admin",
            "Set policy matrixhub_isolation on public.students",
        ),
        (
            PERMISSIVE,
            "Set policy matrixhub_isolation on public.students",
        ),
        (
            "ALTER TABLE students ALTER tenant_id DROP DEFAULT",
            "Set the default of the tenant column on public.students",
        ),
        (
            "ALTER TABLE students ALTER tenant_id SET DEFAULT 'pg-a'",
            "Set the default of the tenant column on public.students",
        ),
        (
            "GRANT TRUNCATE, REFERENCES ON students TO matrixhub_tenants",
            "Revoked references, truncate on public.students from matrixhub_tenants",
        ),
        ("GRANT SELECT ON students TO PUBLIC", "Revoked select on public.students from PUBLIC"),
        ('GRANT SELECT (name) ON students TO "tenant_pg-a"', "Revoked select on public.students from tenant_pg-a"),
        ('GRANT ALL ON students TO "tenant_pg-a" WITH GRANT OPTION', None),
        ("REVOKE UPDATE ON students FROM matrixhub_tenants", "Granted update on public.students to matrixhub_tenants"),
        (
            "REVOKE USAGE ON SEQUENCE students_id_seq FROM matrixhub_tenants",
            "Granted usage on sequence public.students_id_seq to matrixhub_tenants",
        ),
        (
            'GRANT SELECT ON "audit_log_pg-a" TO matrixhub_tenants',
            "Revoked select on public.audit_log_pg-a from matrixhub_tenants",
        ),
        (
            'ALTER TABLE "audit_log_pg-a" DISABLE ROW LEVEL SECURITY',
            "Enabled and forced row security on public.audit_log_pg-a",
        ),
        (
            "REVOKE USAGE ON SCHEMA public FROM matrixhub_tenants, PUBLIC",
            "Granted usage on schema public to matrixhub_tenants",
        ),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "Revoked create on schema public from PUBLIC"),
        (
            "GRANT CREATE ON SCHEMA matrixhub TO matrixhub_tenants",
            "Revoked create on schema matrixhub from matrixhub_tenants",
        ),
        ("GRANT SELECT ON matrixhub.tenant TO PUBLIC", "Revoked what PUBLIC could do with matrixhub.tenant"),
        ("GRANT pg_read_all_data TO matrixhub_tenants", "Revoked matrixhub_tenants's membership in pg_read_all_data"),
        ("GRANT hub_admin TO matrixhub_pool", "Revoked matrixhub_pool's membership in hub_admin"),
        (
            "CREATE OR REPLACE FUNCTION matrixhub.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'pg-a' $$",
            "Defined function matrixhub.current_tenant()",
        ),
        ("ALTER FUNCTION matrixhub.current_tenant() STABLE", "Defined function matrixhub.current_tenant()"),
        ("ALTER FUNCTION matrixhub.current_tenant() SECURITY DEFINER", "Defined function matrixhub.current_tenant()"),
        (
            "ALTER FUNCTION matrixhub.tenant_of(name) SET search_path = public",
            "Defined function matrixhub.tenant_of(role name)",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION matrixhub.current_tenant() FROM PUBLIC, matrixhub_tenants",
            "Defined function matrixhub.current_tenant()",
        ),
    ],
)
def test_a_changed_database_is_repaired(world: World, school: Intent, damage: str, sentence: str | None) -> None:
    world.root.execute(damage)  # type: ignore[call-overload] # a constant of this module
    repaired = world.prepare().repaired
    assert repaired == ((sentence,) if sentence else repaired)
    assert repaired
    survey = world.prepare()
    assert survey.repaired == ()
    assert survey.findings == ()
    with world.login(school) as session:
        assert session.execute("SELECT DISTINCT tenant_id FROM students").fetchall() == [("pg-a",)]
        with pytest.raises(errors.InsufficientPrivilege):
            session.execute("INSERT INTO students (tenant_id) VALUES ('pg-b')")


def test_a_new_table_is_walled_and_usable(world: World, school: Intent) -> None:
    world.admin.execute("CREATE TABLE grades (tenant_id text NOT NULL, id serial PRIMARY KEY, name text)")
    with world.login(school) as session, pytest.raises(errors.InsufficientPrivilege):
        session.execute("SELECT * FROM grades")
    assert "Enabled and forced row security on public.grades" in world.prepare().repaired
    with world.login(school) as session:
        session.execute("INSERT INTO grades (name) VALUES ('A')")
        assert session.execute("SELECT tenant_id FROM grades").fetchall() == [("pg-a",)]
    indexes = world.root.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'grades'").fetchall()
    assert any("(tenant_id, id)" in definition for (definition,) in indexes)
    world.admin.execute("DROP TABLE grades")


def test_an_index_that_was_left_half_built_is_built_again(world: World, school: Intent) -> None:
    world.admin.execute("CREATE TABLE grades (tenant_id text, id int)")
    world.prepare()
    world.root.execute("UPDATE pg_index SET indisvalid = false WHERE indrelid = 'grades'::regclass")
    assert world.prepare().repaired == ("Added an index led by the tenant column to public.grades",)
    world.admin.execute("DROP TABLE grades")


def test_long_tables_that_begin_alike_have_an_index_each(world: World, school: Intent) -> None:
    tables = [f"student_activity_tracking_events_history_{year}" for year in (2023, 2024)]
    tables += ["aktivit\u00e4ten_der_sch\u00fclerinnen_und_sch\u00fcler_im_schuljahr_" + end for end in "xy"]
    for table in tables:
        world.admin.execute(sql.SQL("CREATE TABLE {} (tenant_id text, id int)").format(sql.Identifier(table)))
    world.prepare()
    query = "SELECT count(*) FROM pg_indexes WHERE tablename = %s AND indexname LIKE %s"
    for table in tables:
        assert world.root.execute(query, [table, "%_matrixhub_idx"]).fetchone() == (1,)
    assert world.prepare().repaired == ()
    for table in tables:
        world.admin.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))


def test_a_locked_table_is_told_of_and_holds_up_no_other(world: World, school: Intent) -> None:
    world.root.execute(
        "ALTER TABLE students NO FORCE ROW LEVEL SECURITY; ALTER TABLE courses NO FORCE ROW LEVEL SECURITY"
    )
    with world.admin.transaction():
        world.admin.execute("LOCK TABLE courses IN ACCESS SHARE MODE")
        survey = world.prepare()
    assert survey.repaired == ("Enabled and forced row security on public.students",)
    assert [(finding.reason, "public.courses" in finding.message) for finding in survey.findings] == [("Locked", True)]
    assert world.prepare().repaired == ("Enabled and forced row security on public.courses",)


# What cannot be mended


def reasons(world: World) -> list[tuple[str, str]]:
    return [(finding.reason, finding.message) for finding in world.prepare().findings]


@pytest.mark.parametrize(
    ("statement", "undo", "reason", "words"),
    [
        (
            "CREATE VIEW peek AS SELECT * FROM students; GRANT SELECT ON peek TO matrixhub_tenants",
            "DROP VIEW peek",
            "ViewNotSecurityInvoker",
            "ALTER VIEW public.peek SET (security_invoker = true)",
        ),
        (
            VIEW_OVER_VIEW,
            "DROP VIEW peek, below",
            "ViewNotSecurityInvoker",
            "public.peek",
        ),
        (
            "CREATE MATERIALIZED VIEW peek AS SELECT * FROM students; GRANT SELECT ON peek TO PUBLIC",
            "DROP MATERIALIZED VIEW peek",
            "MaterializedViewShared",
            "public.peek",
        ),
        (
            "CREATE FUNCTION peek() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1 FROM public.students'",
            "DROP FUNCTION peek",
            "FunctionSecurityDefiner",
            "REVOKE EXECUTE ON FUNCTION public.peek() FROM PUBLIC",
        ),
        (
            ONE_TENANT_S,
            "DROP SCHEMA apart CASCADE",
            "FunctionSecurityDefiner",
            "apart.peek()",
        ),
        (
            'CREATE ROLE "pg-reporter" LOGIN BYPASSRLS; GRANT SELECT ON students TO "pg-reporter"',
            'DROP OWNED BY "pg-reporter"; DROP ROLE "pg-reporter"',
            "RoleBypassesRowSecurity",
            "pg-reporter",
        ),
        (
            'CREATE ROLE "pg-reporter" SUPERUSER IN ROLE matrixhub_pool',
            'DROP ROLE "pg-reporter"',
            "RoleBypassesRowSecurity",
            'ALTER ROLE "pg-reporter" NOSUPERUSER',
        ),
        (
            'CREATE ROLE "tenant_pg-fake" LOGIN IN ROLE matrixhub_tenants',
            'DROP ROLE "tenant_pg-fake"',
            "UnknownTenantRole",
            'REVOKE matrixhub_tenants FROM "tenant_pg-fake"',
        ),
        (
            'CREATE ROLE "pg-other"; CREATE TABLE theirs (tenant_id text); ALTER TABLE theirs OWNER TO "pg-other"',
            'DROP TABLE theirs; DROP ROLE "pg-other"',
            "TableNotManageable",
            'GRANT "pg-other" TO "hub_admin"',
        ),
        (
            "CREATE TABLE theirs (tenant_id text); ALTER TABLE theirs OWNER TO postgres",
            "DROP TABLE theirs",
            "TableNotManageable",
            'ALTER TABLE public.theirs OWNER TO "hub_admin"',
        ),
        (
            'CREATE TABLE theirs (tenant_id text); ALTER TABLE theirs OWNER TO "tenant_pg-a"',
            "DROP TABLE theirs",
            "TableNotManageable",
            'Look at its triggers and policies, then ALTER TABLE public.theirs OWNER TO "hub_admin"',
        ),
        (
            "CREATE TABLE numbered (tenant_id int)",
            "DROP TABLE numbered",
            "TableNotManageable",
            "ALTER tenant_id TYPE text",
        ),
        (
            "CREATE TABLE visits (tenant_id text, at date, PRIMARY KEY (at, tenant_id)) PARTITION BY RANGE (at)",
            "DROP TABLE visits",
            "IndexMissing",
            "public.visits",
        ),
        (
            "CREATE TABLE notes (tenant_id text, id int, course int REFERENCES courses, PRIMARY KEY (tenant_id, id))",
            "DROP TABLE notes",
            "ForeignKeyAcrossTenants",
            "notes_course_fkey",
        ),
    ],
)
def test_what_no_policy_can_mend_is_told(
    world: World, school: Intent, statement: str, undo: str, reason: str, words: str
) -> None:
    before = reasons(world)
    world.root.execute(statement)  # type: ignore[call-overload] # a constant of this module
    if "visits" in statement or "notes" in statement or "numbered" in statement:
        world.root.execute(f"ALTER TABLE {statement.split()[2]} OWNER TO hub_admin")
    try:
        (found,) = [finding for finding in reasons(world) if finding not in before]
    finally:
        world.root.execute(undo)  # type: ignore[call-overload] # as above
    assert found[0] == reason
    assert words in found[1]
    assert reasons(world) == before


def test_a_function_that_nobody_but_its_owner_may_call_is_not_told(world: World, school: Intent) -> None:
    world.root.execute('CREATE SCHEMA apart AUTHORIZATION "tenant_pg-a"')
    with world.login(school) as session:
        session.execute("CREATE FUNCTION apart.mine() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'")
    assert reasons(world) == []
    world.root.execute("DROP SCHEMA apart CASCADE")


def test_a_table_of_an_owner_whom_the_admin_may_act_for_is_managed(world: World, school: Intent) -> None:
    world.root.execute(
        'CREATE ROLE "pg-other"; GRANT CREATE, USAGE ON SCHEMA public TO "pg-other"; GRANT "pg-other" TO hub_admin;'
        " CREATE TABLE theirs (tenant_id text, name text) PARTITION BY LIST (tenant_id);"
        ' ALTER TABLE theirs OWNER TO "pg-other"'
    )
    try:
        survey = world.prepare()
        assert survey.findings == ()
        assert world.reconcile(school) == ("Added partition public.theirs_pg-a to public.theirs",)
        owner = "SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE relname = 'theirs_pg-a'"
        assert world.root.execute(owner).fetchone() == ("pg-other",)
        with world.login(school) as session:
            session.execute("INSERT INTO theirs (name) VALUES ('x')")
            assert session.execute("SELECT * FROM theirs").fetchall() == [("pg-a", "x")]
    finally:
        world.root.execute('DROP TABLE theirs; DROP OWNED BY "pg-other"; DROP ROLE "pg-other"')


def test_a_missing_schema_is_told(world: World) -> None:
    client = world.other_client(schemas=["public", "nowhere"])
    assert [finding.reason for finding in client.prepare().findings] == ["SchemaMissing"]
    client.close()


def test_our_schema_dropped_by_hand_opens_no_door(world: World, school: Intent) -> None:
    """Policies and defaults that use our functions go with them; row security stays on, and lets nobody in."""
    with world.admin.transaction(force_rollback=True):
        world.admin.execute("DROP SCHEMA matrixhub CASCADE")
        world.admin.execute('GRANT "tenant_pg-a" TO CURRENT_USER')
        world.admin.execute('SET LOCAL ROLE "tenant_pg-a"')
        assert world.admin.execute("SELECT * FROM students").fetchall() == []
