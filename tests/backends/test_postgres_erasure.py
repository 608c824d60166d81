"""What `Delete` takes and what it leaves, also while the walls are not what they should be."""

from collections.abc import Iterator

import pytest
from tests.backends.postgres_world import World, world

from matrixhub.backends.contract import Intent, Phase

__all__ = ["world"]

ROWS = """
INSERT INTO students (id, name) VALUES (1, 'one'), (2, 'two');
INSERT INTO courses (name) VALUES ('maths');
INSERT INTO enrolments (student_id, name) VALUES (1, 'first');
INSERT INTO enrolments (student_id, name, mentor) SELECT 2, 'second', id FROM enrolments;
INSERT INTO audit_log (name) VALUES ('began');
INSERT INTO "School Data"."Report Cards" (name) VALUES ('A')
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


# Nobody else's rows


def test_rows_of_others_stay_where_row_security_was_taken_away(world: World, schools: tuple[Intent, Intent]) -> None:
    for table in COUNTS:
        world.admin.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")  # type: ignore[call-overload] # of the tests
    world.remove("pg-a")
    assert (counts(world, "pg-a"), counts(world, "pg-b")) == (NOTHING, COUNTS)


def test_rows_of_others_stay_in_tables_that_refer_in_a_circle(world: World, schools: tuple[Intent, Intent]) -> None:
    world.admin.execute(
        "CREATE TABLE rooms (tenant_id text, id int, keeper int, PRIMARY KEY (tenant_id, id));"
        "CREATE TABLE keepers (tenant_id text, id int, room int, PRIMARY KEY (tenant_id, id),"
        " FOREIGN KEY (tenant_id, room) REFERENCES rooms);"
        "ALTER TABLE rooms ADD FOREIGN KEY (tenant_id, keeper) REFERENCES keepers"
    )
    world.prepare()
    for one in schools:
        with world.login(one) as session:
            session.execute(
                "INSERT INTO rooms (id) VALUES (1); INSERT INTO keepers (id, room) VALUES (1, 1);"
                " UPDATE rooms SET keeper = 1"
            )
    world.admin.execute("ALTER TABLE rooms DISABLE ROW LEVEL SECURITY; ALTER TABLE keepers DISABLE ROW LEVEL SECURITY")
    world.remove("pg-a")
    assert [world.count(table, "pg-a") for table in ("rooms", "keepers")] == [0, 0]
    assert [world.count(table, "pg-b") for table in ("rooms", "keepers")] == [1, 1]
    world.admin.execute("DROP TABLE rooms, keepers CASCADE")


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
