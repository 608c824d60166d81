"""The sample platform of manifests/samples: loaded before the operator has seen the database, and after."""

import os
import subprocess
import time

from tests.backends.postgres_world import World, world
from tests.support import ROOT

from matrixhub.backends.contract import Phase

__all__ = ["world"]

TABLES = ("schools", "teachers", "students", "courses", "enrolments", "messages", "audit_log")


SCHOOLS = ("greenwood", "riverside", "hillcrest")


def load(world: World, *files: str) -> None:
    """As the owner of the schema, the way the files say; the schools have other ids, for roles are the server's."""
    environment = {
        "PATH": os.environ["PATH"],
        "PGHOST": world.stand["PGHOST"],
        "PGPORT": world.stand["PGPORT"],
        "PGUSER": world.secret["username"],
        "PGPASSWORD": world.secret["password"],
        "PGDATABASE": world.database,
    }
    for file in files:
        text = (ROOT / "manifests" / "samples" / file).read_text(encoding="utf-8")
        for school in SCHOOLS:
            text = text.replace(f"'{school}'", f"'pg-{school}'")
        subprocess.run(["psql", "-q"], check=True, env=environment, input=text, text=True, capture_output=True)


def test_the_sample_is_adopted_as_it_is_and_can_be_loaded_again(world: World) -> None:
    world.admin.execute("DROP TABLE students, courses, enrolments, audit_log CASCADE")
    began = time.monotonic()
    load(world, "schema.sql", "data.sql")
    assert time.monotonic() - began < 60, "under 20 s on a machine that does nothing else"
    assert world.prepare().findings == ()

    for school in ("pg-hillcrest", "pg-riverside"):
        made = world.tenant(school)
        with world.login(made) as session:
            for table in TABLES:
                rows = session.execute(f"SELECT count(*), min(tenant_id), max(tenant_id) FROM {table}").fetchone()
                assert rows is not None
                assert rows[0] == world.count(table, school)
                assert rows[1:] == (school, school)
            assert session.execute("SELECT count(*) FROM subjects").fetchone() == (10,)
            lists = session.execute("SELECT count(*) FROM class_lists").fetchone()
            assert lists == (world.count("enrolments", school),)
    before = {table: world.count(table, "pg-hillcrest") for table in TABLES}

    world.reconcile(world.intent("pg-hillcrest", Phase.DELETED))
    assert not any(world.count(table, "pg-hillcrest") for table in TABLES)
    assert all(world.count(table, "pg-riverside") for table in TABLES)

    load(world, "data.sql")
    assert not any(world.count(table, "pg-hillcrest") for table in TABLES), "it waits for its Tenant"
    world.tenant("pg-hillcrest")
    load(world, "data.sql")
    assert {table: world.count(table, "pg-hillcrest") for table in TABLES} == before
    for school in ("pg-hillcrest", "pg-riverside"):
        world.remove(school)
