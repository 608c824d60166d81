"""What `Delete` takes and what it leaves, also while the walls are not what they should be."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.backends.postgres_world import World, circle, world

from matrixhub.backends.contract import Intent, Phase
from matrixhub.backends.postgres.client import Client
from matrixhub.backends.postgres.state import Share
from matrixhub.errors import BackendError, Rejected, Transient

__all__ = ["world"]

ROWS = """
INSERT INTO students (id, name) VALUES (1, 'one'), (2, 'two');
INSERT INTO courses (name) VALUES ('maths');
INSERT INTO enrolments (student_id, name) VALUES (1, 'first');
INSERT INTO enrolments (student_id, name, mentor) SELECT 2, 'second', id FROM enrolments;
INSERT INTO audit_log (name) VALUES ('began');
INSERT INTO "School Data"."Report Cards" (name) VALUES ('A')
"""
OPEN = """
DROP POLICY matrixhub_isolation ON students;
DROP POLICY matrixhub_access ON students;
CREATE POLICY everybody ON students USING (true)
"""
# What a tenant may make that may create in a schema of its own: a table with our policies, and what acts on it.
BAIT = """
CREATE TABLE trap.bait (tenant_id text);
INSERT INTO trap.bait VALUES ('pg-a');
ALTER TABLE trap.bait ENABLE ROW LEVEL SECURITY;
CREATE POLICY matrixhub_isolation ON trap.bait AS RESTRICTIVE TO matrixhub_tenants
    USING (tenant_id = matrixhub.current_tenant()) WITH CHECK (tenant_id = matrixhub.current_tenant());
CREATE POLICY matrixhub_access ON trap.bait TO matrixhub_tenants
    USING (tenant_id = matrixhub.current_tenant()) WITH CHECK (tenant_id = matrixhub.current_tenant());
CREATE FUNCTION trap.spring() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN PERFORM set_config('role', 'none', true); EXECUTE 'GRANT "tenant_pg-c" TO "pg-thief"'; RETURN true; END
$$;
CREATE POLICY spring ON trap.bait AS RESTRICTIVE USING (trap.spring());
GRANT USAGE ON SCHEMA trap TO matrixhub_tenants;
GRANT SELECT, DELETE ON trap.bait TO matrixhub_tenants
"""
COUNTS = {"students": 2, "courses": 1, "enrolments": 2, "audit_log": 1, '"School Data"."Report Cards"': 1}
NOTHING = dict.fromkeys(COUNTS, 0)


@pytest.fixture
def schools(world: World) -> Iterator[tuple[Intent, Intent]]:
    """Two tenants with rows in every table, and nobody else's, behind whole walls; gone afterwards."""
    world.root.execute('TRUNCATE students, courses, enrolments, audit_log, "School Data"."Report Cards"')
    made = world.tenant("pg-a"), world.tenant("pg-b")
    for one in made:
        with world.login(one) as session:
            session.execute(ROWS)  # type: ignore[call-overload] # a constant of this module
    yield made
    world.prepare()
    for one in made:
        world.remove(one.tenant.id)


def counts(world: World, tenant: str) -> dict[str, int]:
    return {table: world.count(table, tenant) for table in COUNTS}


def delete(world: World, client: Client) -> BackendError | None:
    """One round of a `Delete` of pg-a by another client, and why it failed."""
    going = world.intent("pg-a", Phase.DELETED)
    found = client.observe([going])["pg-a"]
    assert isinstance(found, Share)
    return client.apply({"pg-a": client.plan(client.desired(going), found)})["pg-a"].error


# Nobody else's rows


def test_rows_of_others_stay_where_row_security_was_taken_away(world: World, schools: tuple[Intent, Intent]) -> None:
    for table in COUNTS:
        world.admin.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")  # type: ignore[call-overload] # of the tests
    world.remove("pg-a")
    assert (counts(world, "pg-a"), counts(world, "pg-b")) == (NOTHING, COUNTS)


def test_rows_of_others_stay_in_tables_that_refer_in_a_circle(world: World, schools: tuple[Intent, Intent]) -> None:
    circle(world, *schools)
    world.admin.execute("ALTER TABLE rooms DISABLE ROW LEVEL SECURITY; ALTER TABLE keepers DISABLE ROW LEVEL SECURITY")
    world.remove("pg-a")
    assert [world.count(table, "pg-a") for table in ("rooms", "keepers")] == [0, 0]
    assert [world.count(table, "pg-b") for table in ("rooms", "keepers")] == [1, 1]
    world.admin.execute("DROP TABLE rooms, keepers CASCADE")


@pytest.mark.parametrize("bait", ["tenant", "heir", "gateway"])
def test_a_table_of_a_tenant_s_is_not_touched_with_the_operator_s_powers(
    world: World, schools: tuple[Intent, Intent], bait: str
) -> None:
    world.tenant("pg-c")
    world.root.execute('CREATE ROLE "pg-thief"; CREATE SCHEMA trap AUTHORIZATION "tenant_pg-b"')
    with world.login(schools[1]) as session:
        session.execute(BAIT)
    if bait == "heir":
        world.reconcile(world.intent("pg-b", Phase.RETAINED))
    if bait == "gateway":
        world.root.execute(
            'CREATE ROLE "pg-gateway"; REASSIGN OWNED BY "tenant_pg-b" TO "pg-gateway";'
            " INSERT INTO matrixhub.tenant VALUES ('account/pg-gateway', 'pg-gateway', 'hub/x')"
        )
    error = world.attempt(world.intent("pg-a", Phase.DELETED))
    memberships = "SELECT pg_get_userbyid(member)::text FROM pg_auth_members WHERE roleid = 'tenant_pg-c'::regrole"
    assert ("pg-thief",) not in world.root.execute(memberships).fetchall()
    assert isinstance(error, Rejected)
    assert error.reason == "RowsProtected"
    assert error.message.startswith("trap.bait may hold rows of tenant pg-a and belongs to role ")
    assert (world.role("pg-a") or ())[0] is False, "the door is shut all the same"
    world.root.execute("DROP POLICY matrixhub_isolation ON trap.bait; DELETE FROM matrixhub.tenant WHERE id LIKE '%/%'")
    world.remove("pg-a")
    assert counts(world, "pg-b") == COUNTS
    world.root.execute('DROP SCHEMA trap CASCADE; DROP ROLE "pg-thief"; DROP ROLE IF EXISTS "pg-gateway"')
    world.remove("pg-c")


@pytest.mark.parametrize("power", ["BYPASSRLS", "REPLICATION", "BYPASSRLS REPLICATION CREATEDB"])
def test_a_role_that_no_policy_holds_is_made_anew_before_it_deletes(
    world: World, schools: tuple[Intent, Intent], power: str
) -> None:
    world.root.execute(f'ALTER ROLE "tenant_pg-a" {power}')
    done = world.reconcile(world.intent("pg-a", Phase.DELETED))
    dropped = next(place for place, sentence in enumerate(done) if sentence.startswith("Dropped role tenant_pg-a to"))
    deleted = next(place for place, sentence in enumerate(done) if sentence.startswith("Deleted the rows"))
    assert done[dropped + 1] == "Created role tenant_pg-a"
    assert dropped < deleted
    assert (counts(world, "pg-a"), counts(world, "pg-b")) == (NOTHING, COUNTS)
    assert world.role("pg-a") is None


def test_a_role_that_gets_past_policies_at_the_last_moment_takes_its_own_rows_alone(
    world: World, schools: tuple[Intent, Intent]
) -> None:
    plan = world.plan(world.intent("pg-a", Phase.DELETED))
    world.root.execute('ALTER ROLE "tenant_pg-a" BYPASSRLS')
    assert world.client.apply({"pg-a": plan})["pg-a"].error is None
    assert (counts(world, "pg-a"), counts(world, "pg-b")) == (NOTHING, COUNTS)


def test_a_table_that_is_open_and_not_walled_yet_loses_only_the_tenant_s_rows(
    world: World, schools: tuple[Intent, Intent]
) -> None:
    world.admin.execute(
        "CREATE TABLE grades (tenant_id text, name text); GRANT ALL ON grades TO matrixhub_tenants;"
        " INSERT INTO grades VALUES ('pg-a', 'A'), ('pg-b', 'B')"
    )
    world.remove("pg-a")
    assert (world.count("grades", "pg-a"), world.count("grades", "pg-b")) == (0, 1)
    world.admin.execute("DROP TABLE grades")


# All of the tenant's rows


@pytest.mark.parametrize(
    "damage",
    [
        OPEN,
        "DROP POLICY matrixhub_access ON students",
        "ALTER POLICY matrixhub_isolation ON students USING (tenant_id = 'pg-b')",
        "REVOKE DELETE ON students FROM matrixhub_tenants",
    ],
)
def test_a_table_whose_wall_is_not_whole_is_waited_for(
    world: World, schools: tuple[Intent, Intent], damage: str
) -> None:
    world.admin.execute(damage)  # type: ignore[call-overload] # a constant of this module
    error = world.attempt(world.intent("pg-a", Phase.DELETED))
    assert isinstance(error, Transient)
    assert error.reason == "NotPrepared"
    assert "public.students" in error.message
    assert counts(world, "pg-b") == COUNTS
    world.prepare()
    world.remove("pg-a")
    assert (counts(world, "pg-a"), counts(world, "pg-b")) == (NOTHING, COUNTS)
    world.admin.execute("DROP POLICY IF EXISTS everybody ON students")


@pytest.fixture
def given_away(world: World, schools: tuple[Intent, Intent]) -> Iterator[None]:
    """`students` belongs to a role that the operator cannot act for; its wall and its grants survive that."""
    world.root.execute('CREATE ROLE "pg-owner"; ALTER TABLE students OWNER TO "pg-owner"')
    yield
    world.root.execute('ALTER TABLE students OWNER TO hub_admin; DROP ROLE "pg-owner"')


@pytest.mark.usefixtures("given_away")
def test_rows_go_from_a_table_that_was_given_away(world: World) -> None:
    world.remove("pg-a")
    assert (counts(world, "pg-a"), counts(world, "pg-b")) == (NOTHING, COUNTS)


@pytest.mark.usefixtures("given_away")
@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        ("REVOKE DELETE ON students FROM matrixhub_tenants", "GRANT DELETE ON students TO matrixhub_tenants"),
        (
            "ALTER POLICY matrixhub_isolation ON students USING (true)",
            "ALTER POLICY matrixhub_isolation ON students USING (tenant_id = matrixhub.current_tenant())",
        ),
        ("REVOKE SELECT ON students FROM matrixhub_tenants", "GRANT SELECT ON students TO matrixhub_tenants"),
    ],
)
def test_rows_of_a_table_that_was_given_away_are_told_when_they_cannot_go(
    world: World, damage: str, repair: str
) -> None:
    world.root.execute(damage)  # type: ignore[call-overload] # a constant of this module
    error = world.attempt(world.intent("pg-a", Phase.DELETED))
    assert isinstance(error, Rejected)
    assert error.reason == "RowsProtected"
    assert "public.students" in error.message
    assert world.count("students", "pg-a") == 2
    assert counts(world, "pg-b") == COUNTS
    world.root.execute(repair)  # type: ignore[call-overload] # as above
    world.remove("pg-a")
    assert (counts(world, "pg-a"), counts(world, "pg-b")) == (NOTHING, COUNTS)


@pytest.mark.usefixtures("given_away")
def test_a_table_that_was_given_away_is_told_as_what_it_is(world: World) -> None:
    (walled,) = [finding.message for finding in world.prepare().findings if finding.reason == "TableNotManageable"]
    assert walled.startswith("Tenants use table public.students")
    assert 'GRANT "pg-owner" TO "hub_admin"' in walled
    world.root.execute("ALTER TABLE students DISABLE ROW LEVEL SECURITY")
    (bare,) = [finding.message for finding in world.prepare().findings if finding.reason == "TableNotManageable"]
    assert bare.startswith("Tenants may use table public.students, and its wall is not whole")
    world.root.execute("ALTER TABLE students ENABLE ROW LEVEL SECURITY")


@pytest.mark.parametrize(
    "changed", [{"schemas": ["public"]}, {"schemas": ["School Data"]}, {"tenantColumn": "school_id"}]
)
def test_rows_go_from_tables_that_the_spec_no_longer_names(
    world: World, schools: tuple[Intent, Intent], changed: dict[str, Any]
) -> None:
    client = world.other_client(**changed)
    client.prepare()
    assert delete(world, client) is None
    client.close()
    assert (counts(world, "pg-a"), counts(world, "pg-b")) == (NOTHING, COUNTS)


def test_rows_behind_a_forgotten_wall_that_cannot_be_read_are_told(
    world: World, schools: tuple[Intent, Intent]
) -> None:
    client = world.other_client(schemas=["public"])
    world.admin.execute('ALTER POLICY matrixhub_isolation ON "School Data"."Report Cards" USING (name > tenant_id)')
    error = delete(world, client)
    client.close()
    assert isinstance(error, Rejected)
    assert error.reason == "RowsProtected"
    assert "School Data.Report Cards" in error.message
    assert (counts(world, "pg-a"), counts(world, "pg-b")) == (COUNTS, COUNTS)


def test_a_role_that_does_not_inherit_deletes_all_the_same(world: World, schools: tuple[Intent, Intent]) -> None:
    world.root.execute('ALTER ROLE "tenant_pg-a" NOINHERIT')
    world.remove("pg-a")
    assert (counts(world, "pg-a"), counts(world, "pg-b")) == (NOTHING, COUNTS)
