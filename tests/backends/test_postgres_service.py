"""The gateways' role: a schema of its own, no row of any tenant; and what tenants see of it."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from tests.backends.postgres_world import World, world

from matrixhub.backends.contract import Owner, ServiceAccount, Survey
from matrixhub.backends.postgres.client import Client

__all__ = ["world"]

NAME = "gateway-0a1b2c3d"
ACCOUNT = ServiceAccount(Owner("hub", "uid-main"), NAME, "the-gateways-password-of-32-chars")

LEAVING = replace(ACCOUNT, password="", leaving=True)


def client_of(world: World, account: ServiceAccount = ACCOUNT) -> Client:
    return Client(world.cluster, world.secret, account)


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    client = client_of(world)
    assert client.prepare().findings == ()
    yield client
    client.close()
    drop(world)


def drop(world: World) -> None:
    world.root.execute(f'DROP SCHEMA IF EXISTS "{NAME}" CASCADE')
    if world.root.execute("SELECT FROM pg_roles WHERE rolname = %s", [NAME]).fetchone() is not None:
        world.root.execute(f'ALTER ROLE "{NAME}" NOSUPERUSER')
        world.admin.execute(f'REVOKE CONNECT ON DATABASE "{world.database}" FROM "{NAME}"')
        world.root.execute(f'DROP OWNED BY "{NAME}" CASCADE')
        world.root.execute(f'DROP ROLE "{NAME}"')
    world.root.execute("DELETE FROM matrixhub.tenant WHERE role = %s", [NAME])


def gateway(world: World) -> "psycopg.Connection[tuple[object, ...]]":
    return world.connect(NAME, ACCOUNT.password)


def test_it_is_made_once_and_told_once(world: World) -> None:
    client = client_of(world)
    told = client.prepare().repaired
    assert f"Created role {NAME}" in told
    assert f"Created schema {NAME}" in told
    assert client.prepare().repaired == ()
    with gateway(world) as session:
        session.execute(f'CREATE TABLE "{NAME}".applications (id text)')
    client.close()
    drop(world)


def test_it_sees_no_row_of_a_tenant_and_nothing_of_the_registry(world: World, client: Client) -> None:
    made = world.tenant("pg-own")
    with world.login(made) as tenant:
        tenant.execute("INSERT INTO students (name) VALUES ('Ada')")
    with gateway(world) as session:
        for attack in (
            "SELECT * FROM public.students",
            "SELECT * FROM public.student_names",
            "INSERT INTO public.students (tenant_id, name) VALUES ('pg-own', 'x')",
            "UPDATE public.students SET name = 'x'",
            "SELECT * FROM matrixhub.tenant",
            "CREATE TABLE public.mine (id int)",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
            'SET ROLE "tenant_pg-own"',
            "SET ROLE matrixhub_tenants",
            f'SET ROLE "{world.secret["username"]}"',
            'GRANT "tenant_pg-own" TO CURRENT_USER',
            "COPY public.students TO PROGRAM 'true'",
            "SELECT rolpassword FROM pg_authid",
            f'SET SESSION AUTHORIZATION "{world.secret["username"]}"',
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName)):
                session.execute(attack)
    world.remove("pg-own")


def test_a_grant_by_mistake_still_shows_it_no_row(world: World, client: Client) -> None:
    """Row security holds whoever is no tenant."""
    made = world.tenant("pg-own")
    with world.login(made) as tenant:
        tenant.execute("INSERT INTO students (name) VALUES ('Ada')")
    world.root.execute(f'GRANT USAGE ON SCHEMA public TO "{NAME}"; GRANT SELECT ON public.students TO "{NAME}"')
    with gateway(world) as session:
        assert session.execute("SELECT * FROM public.students").fetchall() == []
    world.remove("pg-own")


def test_a_tenant_sees_no_app(world: World, client: Client) -> None:
    made = world.tenant("pg-own")
    with gateway(world) as session:
        session.execute(f'CREATE TABLE IF NOT EXISTS "{NAME}".applications (id text, secret text)')
        session.execute(f"INSERT INTO \"{NAME}\".applications VALUES ('1', 'a secret')")
    with world.login(made) as tenant:
        for attack in (
            f'SELECT * FROM "{NAME}".applications',
            f'CREATE TABLE "{NAME}".mine (id int)',
            f'SET ROLE "{NAME}"',
            f'DROP SCHEMA "{NAME}" CASCADE',
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                tenant.execute(attack)
    world.remove("pg-own")


def test_the_operator_itself_keeps_no_right_of_the_role(world: World, client: Client) -> None:
    members = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE r.rolname = %s"
    assert world.root.execute(members, [NAME]).fetchone() == (0,)


def test_drift_is_repaired_and_told(world: World, client: Client) -> None:
    made = world.tenant("pg-own")
    world.root.execute(
        f'GRANT "tenant_pg-own" TO "{NAME}"; ALTER ROLE "{NAME}" CREATEDB CONNECTION LIMIT 0;'
        f'GRANT USAGE ON SCHEMA "{NAME}" TO PUBLIC, matrixhub_tenants; ALTER ROLE "{NAME}" SET role TO \'x\''
    )
    told = client.prepare().repaired
    assert told
    assert client.prepare().repaired == ()
    row = world.root.execute(
        "SELECT rolcreatedb, rolconnlimit > 0, (SELECT count(*) FROM pg_auth_members WHERE member = r.oid)"
        " FROM pg_roles r WHERE rolname = %s",
        [NAME],
    ).fetchone()
    assert row == (False, True, 0)
    with world.login(made) as tenant:
        usage = tenant.execute("SELECT has_schema_privilege(%s, 'USAGE')", [NAME]).fetchone()
    assert usage == (False,)
    world.remove("pg-own")


def test_a_new_password_replaces_the_old(world: World, client: Client) -> None:
    again = client_of(world, ServiceAccount(ACCOUNT.owner, NAME, "another-password-of-32-characters"))
    assert again.prepare().repaired == (f"Set the password of role {NAME}",)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        gateway(world)
    world.connect(NAME, "another-password-of-32-characters").close()
    again.close()


def test_a_role_or_schema_of_that_name_that_is_not_ours_is_told_and_left_alone(world: World) -> None:
    world.root.execute(f"CREATE ROLE \"{NAME}\" LOGIN PASSWORD 'mine'")
    client = client_of(world)
    findings = client.prepare().findings
    assert [finding.reason for finding in findings] == ["Conflict"]
    assert world.root.execute("SELECT FROM pg_namespace WHERE nspname = %s", [NAME]).fetchone() is None
    world.connect(NAME, "mine").close()
    drop(world)
    world.root.execute(f'CREATE SCHEMA "{NAME}"')
    told = [(finding.reason, NAME in finding.message) for finding in client.prepare().findings]
    assert told == [("Conflict", True)]
    assert world.root.execute("SELECT FROM pg_roles WHERE rolname = %s", [NAME]).fetchone() is None
    client.close()
    drop(world)


def test_a_power_that_cannot_be_taken_away_is_told(world: World, client: Client) -> None:
    world.root.execute(f'ALTER ROLE "{NAME}" BYPASSRLS')
    (finding,) = client.prepare().findings
    assert (finding.reason, f'ALTER ROLE "{NAME}" NOBYPASSRLS' in finding.message) == ("AccountTooStrong", True)
    world.root.execute(f'ALTER ROLE "{NAME}" NOBYPASSRLS SUPERUSER')
    (finding,) = client.prepare().findings
    assert finding.reason == "RoleIsSuperuser"


def left(world: World, account: ServiceAccount = LEAVING) -> Survey:
    """What a client tells that is to see the account out."""
    client = client_of(world, account)
    survey = client.prepare()
    client.close()
    return survey


def remains(world: World) -> tuple[int, ...]:
    """Roles, schemas and rows of the registry of that name, and who may still connect to the database by it."""
    row = world.root.execute(
        "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = %(name)s),"
        " (SELECT count(*) FROM pg_namespace WHERE nspname = %(name)s),"
        " (SELECT count(*) FROM matrixhub.tenant WHERE role = %(name)s),"
        " (SELECT count(*) FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database()"
        "  AND a.grantee <> 0 AND a.grantee NOT IN (SELECT oid FROM pg_roles))",
        {"name": NAME},
    ).fetchone()
    assert row
    return tuple(map(int, row))


def test_an_account_that_leaves_takes_its_schema_and_its_sessions_along(world: World, client: Client) -> None:
    made = world.tenant("pg-stays")
    session = gateway(world)
    session.execute(f'CREATE TABLE "{NAME}".applications (id text)')
    survey = left(world)
    assert survey.vacated
    assert f"Dropped schema {NAME}" in survey.repaired
    assert f"Dropped role {NAME}" in survey.repaired
    assert remains(world) == (0, 0, 0, 0)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    again = left(world)
    assert (again.repaired, again.vacated) == ((), True)
    with world.login(made) as tenant:
        assert tenant.execute("SELECT 1").fetchone() == (1,)
    world.remove("pg-stays")


def test_an_account_that_was_never_there_has_left(world: World) -> None:
    drop(world)
    assert left(world).vacated
    assert remains(world) == (0, 0, 0, 0)


def test_a_predecessors_account_goes_and_another_hubs_stays(world: World, client: Client) -> None:
    foreign = replace(LEAVING, owner=Owner("another-hub", "uid-main"))
    assert left(world, foreign).vacated
    assert remains(world)[:3] == (1, 1, 1)
    gateway(world).close()
    assert left(world, replace(LEAVING, owner=Owner("hub", "uid-later"))).vacated
    assert remains(world) == (0, 0, 0, 0)


def test_a_look_alike_outlives_the_realtimecluster(world: World) -> None:
    world.root.execute(f'CREATE ROLE "{NAME}" LOGIN PASSWORD \'mine\'; CREATE SCHEMA "{NAME}" AUTHORIZATION "{NAME}"')
    survey = left(world)
    assert (survey.vacated, survey.repaired) == (True, ())
    with world.connect(NAME, "mine") as session:
        session.execute(f'CREATE TABLE "{NAME}".theirs (id int)')
    drop(world)


def test_somebody_elses_schema_of_that_name_stays(world: World, client: Client) -> None:
    world.root.execute(f'ALTER SCHEMA "{NAME}" OWNER TO CURRENT_USER; CREATE TABLE "{NAME}".theirs (id int)')
    assert left(world).vacated
    assert remains(world) == (0, 1, 0, 0)
    drop(world)


def test_an_account_that_somebody_made_a_superuser_stays_and_is_told(world: World, client: Client) -> None:
    world.root.execute(f'ALTER ROLE "{NAME}" SUPERUSER')
    survey = left(world)
    assert (survey.vacated, survey.findings[0].reason) == (False, "RoleIsSuperuser")
    world.root.execute(f'ALTER ROLE "{NAME}" NOSUPERUSER')
    assert left(world).vacated
