"""A tenant's life in Postgres: it comes, is suspended, goes and comes back; what is in its way, and what fails."""

import socket
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import errors
from tests.backends.postgres_world import World, circle, superuser, world
from tests.patience import until
from tests.wire import Wire

from matrixhub.backends.contract import Applied, Intent, Owner, Phase
from matrixhub.backends.postgres.erasure import LARGEST_BATCH
from matrixhub.backends.postgres.statements import statements
from matrixhub.errors import Conflict, Rejected, Transient, Unreachable

__all__ = ["world"]


# What a tenant left, that may create in a schema of its own; and what nobody's leavings may be used for.
TRAP = """
CREATE TABLE trap.kept AS SELECT 1 AS x;
CREATE VIEW trap.peek AS SELECT * FROM theirs.kept;
CREATE FUNCTION trap.run(q text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE q; END';
GRANT USAGE ON SCHEMA trap TO "tenant_pg-accomplice";
GRANT SELECT ON trap.peek TO "tenant_pg-accomplice"
"""
OUT_OF_REACH = (
    'GRANT "tenant_pg-victim" TO "tenant_pg-accomplice"',
    'ALTER ROLE "tenant_pg-victim" PASSWORD NULL',
    "CREATE ROLE tenant_mine LOGIN",
    "SELECT * FROM public.students",
    "SELECT * FROM matrixhub.tenant",
    "CREATE TABLE public.mine (x int)",
    "SELECT * FROM theirs.kept",
    "GRANT SELECT ON theirs.kept TO PUBLIC",
    "DROP TABLE theirs.kept",
)


@pytest.fixture
def school(world: World) -> Iterator[Intent]:
    """A tenant with a few rows that refer to each other; gone afterwards, whatever became of it."""
    made = world.tenant("pg-a")
    with world.login(made) as session:
        session.execute(
            "INSERT INTO students (id, name) VALUES (1, 'one'), (2, 'two');"
            " INSERT INTO courses (name) VALUES ('maths'); INSERT INTO audit_log (name) VALUES ('began');"
            " INSERT INTO enrolments (student_id, name) VALUES (1, 'first');"
            " INSERT INTO enrolments (student_id, name, mentor) SELECT 2, 'second', id FROM enrolments"
        )
    yield made
    world.remove("pg-a")


def refused(world: World, made: Intent) -> bool:
    try:
        world.login(made).close()
    except psycopg.OperationalError as error:  # libpq gives the words of a refused login, and no SQLSTATE
        if not any(words in str(error) for words in ("password authentication failed", "not permitted to log in")):
            raise
        return True
    return False


def registered(world: World, tenant: str) -> tuple[object, ...] | None:
    query = "SELECT owner, retained, password FROM matrixhub.tenant WHERE id = %s"
    return world.root.execute(query, [tenant]).fetchone()


# Coming


def test_many_come_at_once_and_a_second_round_does_nothing(world: World) -> None:
    made = [world.intent(f"pg-many-{number}") for number in range(60)]
    observed = world.client.observe(made)
    plans = {one.tenant.id: world.client.plan(world.client.desired(one), observed[one.tenant.id]) for one in made}  # type: ignore[arg-type] # no error is among them
    assert set(world.client.apply(plans).values()) == {Applied()}
    again = world.client.observe(made)
    assert all(world.client.plan(world.client.desired(one), again[one.tenant.id]) == () for one in made)  # type: ignore[arg-type] # as above
    for one in made[::20]:
        with world.login(one) as session:
            session.execute("INSERT INTO audit_log (name) VALUES ('x')")
    for one in made:
        world.remove(one.tenant.id)


def test_one_tenant_s_trouble_is_its_own(world: World) -> None:
    good, bad = world.intent("pg-good"), world.intent("pg-bad")
    plans = {one.tenant.id: world.plan(one) for one in (bad, good)}
    world.root.execute('CREATE ROLE "tenant_pg-bad"')
    applied = world.client.apply(plans)
    assert isinstance(applied["pg-bad"].error, Conflict)
    assert applied["pg-good"] == Applied()
    world.root.execute('DROP ROLE "tenant_pg-bad"')
    assert registered(world, "pg-bad") is None, "the registry's row goes with the transaction"
    world.remove("pg-good")


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("done", range(4))
def test_a_round_that_was_killed_is_completed_by_the_next(world: World, phase: Phase, done: int) -> None:
    ready = world.tenant("pg-a") if phase is not Phase.ACTIVE else world.intent("pg-a")
    world.reconcile_half(world.intent("pg-a", phase), done)
    world.reconcile(world.intent("pg-a", phase))
    assert refused(world, ready) == (phase is not Phase.ACTIVE)
    world.remove("pg-a")
    assert registered(world, "pg-a") is None


def test_a_partition_that_a_person_made_is_adopted(world: World) -> None:
    world.admin.execute(
        "CREATE TABLE mine PARTITION OF audit_log FOR VALUES IN ('pg-a');"
        " GRANT SELECT ON mine TO PUBLIC; INSERT INTO mine (tenant_id, name) VALUES ('pg-a', 'before')"
    )
    made = world.tenant("pg-a")
    world.prepare()
    with world.login(made) as session:
        assert session.execute("SELECT name FROM audit_log").fetchall() == [("before",)]
        with pytest.raises(errors.InsufficientPrivilege):
            session.execute("SELECT * FROM mine")
    world.remove("pg-a")
    assert world.root.execute("SELECT to_regclass('public.mine')").fetchone() == (None,)


def test_a_partition_shared_with_others_loses_only_the_tenant_s_rows(world: World) -> None:
    world.admin.execute("CREATE TABLE small PARTITION OF audit_log FOR VALUES IN ('pg-a', 'pg-x')")
    world.root.execute("INSERT INTO audit_log (tenant_id, name) VALUES ('pg-a', 'a'), ('pg-x', 'x')")
    world.tenant("pg-a")
    world.remove("pg-a")
    assert world.root.execute("SELECT tenant_id::text FROM small").fetchall() == [("pg-x",)]
    world.admin.execute("DROP TABLE small")


def test_rows_that_waited_in_a_default_partition_move_to_the_tenant_s(world: World) -> None:
    world.admin.execute("CREATE TABLE audit_log_rest PARTITION OF audit_log DEFAULT")
    world.root.execute("INSERT INTO audit_log (tenant_id, name) VALUES ('pg-a', 'early'), ('pg-x', 'x')")
    world.prepare()
    made = world.tenant("pg-a")
    with world.login(made) as session:
        assert session.execute("SELECT tableoid::regclass::text, name FROM audit_log").fetchall() == [
            ('"audit_log_pg-a"', "early")
        ]
    assert world.root.execute("SELECT tenant_id::text FROM audit_log_rest").fetchall() == [("pg-x",)]
    assert world.prepare().repaired == (), "row security is forced again on both"
    world.remove("pg-a")
    world.admin.execute("DROP TABLE audit_log_rest")


def test_a_partition_waits_for_a_lock_only_briefly(world: World) -> None:
    with world.admin.transaction():
        world.admin.execute("LOCK TABLE audit_log IN SHARE UPDATE EXCLUSIVE MODE")
        began = time.monotonic()
        error = world.attempt(world.intent("pg-a"))
    assert isinstance(error, Transient)
    assert error.reason == "Locked"
    assert time.monotonic() - began < 4
    assert world.role("pg-a") == (True, False, False), "the role does not wait for the partition"
    world.reconcile(world.intent("pg-a"))
    world.remove("pg-a")


# Suspended


def test_suspended_shuts_every_door_and_keeps_the_data(world: World, school: Intent) -> None:
    open_session = world.login(school)
    world.reconcile(world.intent("pg-a", Phase.SUSPENDED))
    with pytest.raises(psycopg.OperationalError):
        open_session.execute("SELECT 1")
    open_session.close()
    assert refused(world, school)
    assert world.count("students", "pg-a") == 2
    world.reconcile(school)
    with world.login(school) as session:
        assert session.execute("SELECT count(*) FROM students").fetchone() == (2,)


def test_a_session_that_outlived_the_suspension_is_found_and_ended(world: World, school: Intent) -> None:
    session = world.login(school)
    world.reconcile_half(world.intent("pg-a", Phase.SUSPENDED), 1)
    with pytest.raises(errors.InsufficientPrivilege):
        session.execute("SELECT * FROM students")
    assert world.reconcile(world.intent("pg-a", Phase.SUSPENDED)) == ("Ended the sessions of role tenant_pg-a",)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()


def test_a_tenant_may_begin_suspended(world: World) -> None:
    made = world.intent("pg-a", Phase.SUSPENDED)
    world.reconcile(made)
    assert refused(world, made)
    world.reconcile(world.intent("pg-a"))
    assert not refused(world, made)
    world.remove("pg-a")


# Going


def test_retained_data_is_adopted_by_who_comes_back(world: World, school: Intent) -> None:
    world.reconcile(world.intent("pg-a", Phase.RETAINED))
    assert world.role("pg-a") is None
    assert registered(world, "pg-a") == ("hub/uid-pg-a", True, "")
    assert world.count("students", "pg-a") == 2
    assert world.count("audit_log", "pg-a") == 1
    successor = world.intent("pg-a", owner=Owner("hub", "uid-second"), password="another-password-of-32-characters")
    world.reconcile(successor)
    assert registered(world, "pg-a") is not None
    with world.login(successor) as session:
        assert session.execute("SELECT count(*) FROM enrolments").fetchone() == (2,)
    assert refused(world, school)


def test_a_login_that_came_back_with_a_backup_goes_with_the_next_tenant_of_its_name(
    world: World, school: Intent
) -> None:
    """What docs/operations.md says to do after a restore: the role and its row are there, and no Tenant."""
    left = "SELECT id FROM matrixhub.tenant WHERE NOT retained AND id NOT LIKE 'account/%' AND owner LIKE 'hub/%'"
    assert world.admin.execute(left).fetchall() == [("pg-a",)]
    successor = world.tenant("pg-a", owner=Owner("hub", "uid-second"), password="another-password-of-32-characters")
    assert refused(world, school)
    world.reconcile(world.intent("pg-a", Phase.DELETED, owner=successor.owner))
    assert world.admin.execute(left).fetchall() == []
    assert (world.role("pg-a"), world.count("students", "pg-a")) == (None, 0)


def test_deleted_leaves_nothing_and_touches_nobody_else(world: World, school: Intent) -> None:
    other = world.tenant("pg-b")
    with world.login(other) as session:
        session.execute(
            "INSERT INTO students (id, name) VALUES (1, 'theirs'); INSERT INTO audit_log (name) VALUES ('x')"
        )
    world.remove("pg-a")
    for table in ("students", "courses", "enrolments", "audit_log"):
        assert world.count(table, "pg-a") == 0
    assert world.role("pg-a") is None
    assert registered(world, "pg-a") is None
    assert world.root.execute("SELECT to_regclass('public.\"audit_log_pg-a\"')").fetchone() == (None,)
    assert (world.count("students", "pg-b"), world.count("audit_log", "pg-b")) == (1, 1)
    world.remove("pg-b")


def test_what_was_retained_can_be_deleted_later(world: World, school: Intent) -> None:
    world.reconcile(world.intent("pg-a", Phase.RETAINED))
    world.remove("pg-a")
    assert world.count("students", "pg-a") == 0
    assert registered(world, "pg-a") is None


@pytest.mark.parametrize("before", [Phase.RETAINED, Phase.ACTIVE])
def test_what_an_earlier_tenant_left_does_not_go_with_one_that_never_had_it(
    world: World, school: Intent, before: Phase
) -> None:
    world.reconcile(world.intent("pg-a", before))
    world.reconcile(world.intent("pg-a", Phase.DELETED, owner=Owner("hub", "uid-second")))
    assert world.role("pg-a") is None, "the door is shut all the same"
    assert (world.count("students", "pg-a"), world.count("audit_log", "pg-a")) == (2, 1)
    assert registered(world, "pg-a") == ("hub/uid-pg-a", True, "")


@pytest.mark.parametrize("phase", [Phase.RETAINED, Phase.DELETED])
def test_removing_what_never_was_does_nothing(world: World, phase: Phase) -> None:
    assert world.reconcile(world.intent("pg-never", phase)) == ()


def test_more_rows_than_a_batch_go_batch_by_batch(world: World, school: Intent) -> None:
    with world.login(school) as session:
        session.execute(f"INSERT INTO courses (name) SELECT 'x' FROM generate_series(1, {LARGEST_BATCH * 2 + 5})")
    world.remove("pg-a")
    assert world.count("courses", "pg-a") == 0


def test_a_deletion_that_ran_out_of_time_goes_on_next_time(
    world: World, school: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixhub.backends.postgres.erasure.BUDGET_SECONDS", -1.0)
    error = world.attempt(world.intent("pg-a", Phase.DELETED))
    monkeypatch.undo()
    assert isinstance(error, Transient)
    assert error.reason == "Deleting"
    assert refused(world, school)
    world.remove("pg-a")
    assert world.count("students", "pg-a") == 0


def test_tables_that_refer_in_a_circle_are_emptied(world: World, school: Intent) -> None:
    circle(world, school)
    world.remove("pg-a")
    assert (world.count("rooms", "pg-a"), world.count("keepers", "pg-a")) == (0, 0)
    world.admin.execute("DROP TABLE rooms, keepers CASCADE")


def test_rows_that_a_policy_protects_are_told_and_not_forgotten(world: World, school: Intent) -> None:
    world.admin.execute("CREATE POLICY keep ON courses AS RESTRICTIVE FOR DELETE USING (false)")
    error = world.attempt(world.intent("pg-a", Phase.DELETED))
    assert isinstance(error, Rejected)
    assert "public.courses" in error.message
    assert refused(world, school)
    world.admin.execute("DROP POLICY keep ON courses")
    world.remove("pg-a")


def test_what_a_tenant_came_to_own_is_kept_and_does_not_block(world: World, school: Intent) -> None:
    world.root.execute(
        'CREATE TABLE theirs AS SELECT 1 AS x; ALTER TABLE theirs OWNER TO "tenant_pg-a";'
        ' GRANT SELECT ON countries TO "tenant_pg-a"; GRANT CONNECT ON DATABASE postgres TO "tenant_pg-a"'
    )
    with world.login(school) as session:
        session.execute("SELECT lo_create(0); CREATE TEMP TABLE scratch (x int)")
    world.root.execute('REVOKE CONNECT ON DATABASE postgres FROM "tenant_pg-a"')
    world.reconcile(world.intent("pg-a", Phase.RETAINED))
    owner = "SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE relname = 'theirs'"
    (heir,) = world.root.execute(owner).fetchone() or ("",)
    assert heir.startswith("matrixhub_left_")
    powers = (
        "SELECT rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,"
        " EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid),"
        " pg_has_role('hub_admin', r.oid, 'USAGE'), has_schema_privilege(r.oid, 'public', 'CREATE'),"
        " shobj_description(r.oid, 'pg_authid')"
        " FROM pg_roles r WHERE rolname = %s"
    )
    whose = "What role tenant_pg-a owned when it was dropped"
    assert world.root.execute(powers, [heir]).fetchone() == (*[False] * 9, whose)
    world.admin.execute(f'GRANT "{heir}" TO CURRENT_USER; DROP OWNED BY "{heir}"; DROP ROLE "{heir}"')
    assert world.root.execute("SELECT to_regclass('public.theirs')").fetchone() == (None,)


@pytest.mark.parametrize("phase", [Phase.RETAINED, Phase.DELETED])
def test_what_a_tenant_left_has_nobody_s_powers(world: World, school: Intent, phase: Phase) -> None:
    made = {tenant: world.tenant(tenant) for tenant in ("pg-gone", "pg-victim", "pg-accomplice")}
    world.root.execute(
        'CREATE SCHEMA theirs AUTHORIZATION "tenant_pg-gone"; GRANT USAGE ON SCHEMA theirs TO PUBLIC;'
        ' CREATE SCHEMA trap AUTHORIZATION "tenant_pg-a"'
    )
    with world.login(made["pg-gone"]) as session:
        session.execute("CREATE TABLE theirs.kept AS SELECT 'secret' AS x")
    with world.login(school) as session:
        session.execute(TRAP)
    world.reconcile(world.intent("pg-gone", phase))
    world.reconcile(world.intent("pg-a", phase))
    with world.login(made["pg-accomplice"]) as session:
        session.execute("SELECT trap.run('INSERT INTO trap.kept VALUES (2)')")
        for attack in OUT_OF_REACH:
            with pytest.raises(errors.InsufficientPrivilege):
                session.execute("SELECT trap.run(%s)", [attack])
        with pytest.raises(errors.InsufficientPrivilege):
            session.execute("SELECT * FROM trap.peek")
    assert world.root.execute("SELECT x FROM trap.kept").fetchall() == [(1,), (2,)], "what it allowed stays allowed"
    assert world.root.execute("SELECT x FROM theirs.kept").fetchall() == [("secret",)]
    world.root.execute("DROP SCHEMA trap, theirs CASCADE")
    for tenant in made:
        world.remove(tenant)


def test_what_a_tenant_closed_to_itself_does_not_block(world: World, school: Intent) -> None:
    world.root.execute('GRANT CREATE ON SCHEMA public TO "tenant_pg-a"; CREATE SCHEMA trap AUTHORIZATION "tenant_pg-a"')
    with world.login(school) as session:
        session.execute(
            "CREATE FUNCTION public.early() RETURNS int LANGUAGE sql AS 'SELECT 1';"
            " CREATE FUNCTION trap.shut() RETURNS int LANGUAGE sql AS 'SELECT 1';"
            ' REVOKE ALL ON SCHEMA trap FROM "tenant_pg-a"'
        )
    world.prepare()
    world.reconcile(world.intent("pg-a", Phase.RETAINED))
    assert world.role("pg-a") is None
    world.root.execute("DROP SCHEMA trap CASCADE; DROP FUNCTION early")


def test_what_it_owns_in_another_database_is_told_and_the_doors_are_shut(world: World, school: Intent) -> None:
    with superuser(world.stand) as root:
        root.execute('CREATE SCHEMA hub_test_owned AUTHORIZATION "tenant_pg-a"')
        try:
            error = world.attempt(world.intent("pg-a", Phase.RETAINED))
            assert isinstance(error, Rejected)
            assert error.reason == "RoleInUse"
            assert "database postgres" in error.message
            assert refused(world, school)
        finally:
            root.execute("DROP SCHEMA hub_test_owned")
    world.reconcile(world.intent("pg-a", Phase.RETAINED))
    assert world.role("pg-a") is None


# In the way


@pytest.mark.parametrize("phase", [Phase.ACTIVE, Phase.SUSPENDED])
def test_a_lookalike_role_is_a_conflict_and_stays_as_it_is(world: World, phase: Phase) -> None:
    world.root.execute("CREATE ROLE \"tenant_pg-like\" LOGIN PASSWORD 'theirs' CONNECTION LIMIT 3")
    with pytest.raises(Conflict, match="role tenant_pg-like exists"):
        world.plan(world.intent("pg-like", phase))
    for removal in (Phase.RETAINED, Phase.DELETED):
        assert world.reconcile(world.intent("pg-like", removal)) == ()
    world.connect("tenant_pg-like", "theirs").close()
    world.root.execute('DROP ROLE "tenant_pg-like"')


def test_another_hub_s_tenant_is_a_conflict_until_it_is_retained(world: World, school: Intent) -> None:
    stranger = world.intent("pg-a", owner=Owner("other-hub", "uid-x"), password="another-password-of-32-characters")
    with pytest.raises(Conflict) as conflict:
        world.plan(stranger)
    assert conflict.value.owner == "hub/uid-pg-a"
    assert not refused(world, school)
    world.reconcile(world.intent("pg-a", Phase.RETAINED))
    world.reconcile(stranger)
    assert not refused(world, stranger)
    world.reconcile(world.intent("pg-a", Phase.DELETED, owner=Owner("other-hub", "uid-x")))


def test_what_a_lost_hub_marked_is_adopted_where_the_cluster_says_so(world: World, school: Intent) -> None:
    heir = world.intent(
        "pg-a", owner=Owner("new-hub", "uid-y", former="hub"), password="a-new-password-of-32-characters"
    )
    world.reconcile(heir)
    assert not refused(world, heir)
    with pytest.raises(Conflict, match="adoptFrom: new-hub"):
        world.plan(school)
    world.reconcile(world.intent("pg-a", owner=Owner("hub", "uid-pg-a", former="new-hub")))


def test_a_mark_that_cannot_be_read_is_that_tenant_s_trouble_alone(world: World, school: Intent) -> None:
    world.root.execute("UPDATE matrixhub.tenant SET owner = 'x' WHERE id = 'pg-a'")
    other = world.intent("pg-b")
    found = world.client.observe([school, other])
    assert isinstance(found["pg-a"], Rejected)
    assert world.client.plan(world.client.desired(other), found["pg-b"])  # type: ignore[arg-type] # no error is there
    world.root.execute("UPDATE matrixhub.tenant SET owner = 'hub/uid-pg-a' WHERE id = 'pg-a'")


def test_a_table_under_a_partition_s_name_is_a_conflict(world: World) -> None:
    world.admin.execute('CREATE TABLE "audit_log_pg-a" (x int)')
    with pytest.raises(Conflict, match=r"public\.audit_log_pg-a is a table of role hub_admin"):
        world.plan(world.intent("pg-a"))
    assert world.role("pg-a") is None
    world.admin.execute('DROP TABLE "audit_log_pg-a"')


def test_a_detached_partition_is_told_and_not_touched(world: World, school: Intent) -> None:
    world.admin.execute('ALTER TABLE audit_log DETACH PARTITION "audit_log_pg-a"')
    with pytest.raises(Conflict, match=r"attach it to public\.audit_log"):
        world.plan(school)
    world.admin.execute("ALTER TABLE audit_log ATTACH PARTITION \"audit_log_pg-a\" FOR VALUES IN ('pg-a')")
    assert world.reconcile(school) == ()
    assert world.count("audit_log", "pg-a") == 1


# The whole backend


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ({"username": "hub_admin", "password": "wrong-password-0000"}, "AuthenticationFailed"),
        ({"username": "nobody", "password": "wrong-password-0000"}, "AuthenticationFailed"),
        ({"username": "hub_admin"}, "AdminSecretInvalid"),
        ({"password": "wrong-password-0000"}, "AdminSecretInvalid"),
    ],
)
def test_a_wrong_secret_is_told_with_what_to_write(world: World, secret: dict[str, str], reason: str) -> None:
    client = world.other_client(secret)
    with pytest.raises(Rejected) as error:
        client.prepare()
    assert error.value.reason == reason
    assert "matrixhub/postgres-admin" in error.value.message
    assert "wrong-password" not in error.value.message


def test_a_missing_database_is_told(world: World) -> None:
    with pytest.raises(Rejected, match="has no database nowhere"):
        world.other_client(database="nowhere").prepare()


def test_a_server_that_speaks_no_tls_is_told(world: World) -> None:
    world.root.execute("ALTER SYSTEM SET ssl = off")
    world.root.execute("SELECT pg_reload_conf()")
    try:
        until(lambda: world.root.execute("SHOW ssl").fetchone() == ("off",), 10, "the server has read its settings")
        with pytest.raises(Rejected, match="speaks no TLS") as error:
            world.other_client(sslMode="require").prepare()
    finally:
        world.root.execute("ALTER SYSTEM SET ssl = on")
        world.root.execute("SELECT pg_reload_conf()")
    assert error.value.reason == "TlsUnavailable"


def test_a_server_that_takes_nothing_but_tls_is_told(world: World) -> None:
    with pytest.raises(Rejected, match="set `sslMode: verify-full`") as error:
        world.other_client(database="mutual").prepare()
    assert error.value.reason == "TlsRequired"


def test_without_an_authority_of_its_own_those_of_the_system_vouch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Rejected, match="name the authority") as error:
        world.other_client(sslMode="verify-full").prepare()
    assert error.value.reason == "CertificateUntrusted"
    monkeypatch.setenv("SSL_CERT_FILE", world.stand["TLS_CA"])
    client = world.other_client(sslMode="verify-full")
    assert client.prepare().version
    client.close()


def test_an_admin_without_createrole_is_told_what_to_grant(world: World) -> None:
    world.root.execute("CREATE ROLE \"pg-weak\" LOGIN PASSWORD 'weak'")
    client = world.other_client({"username": "pg-weak", "password": "weak"})
    with pytest.raises(Rejected, match='ALTER ROLE "pg-weak" CREATEROLE'):
        client.prepare()
    world.root.execute('ALTER ROLE "pg-weak" CREATEROLE')
    with pytest.raises(Rejected, match="ALTER SCHEMA matrixhub OWNER"):
        client.prepare()
    with pytest.raises(Rejected, match="permission denied") as error:
        client.observe([world.intent("pg-a")])
    assert error.value.reason == "PermissionDenied"
    client.close()
    world.root.execute('DROP ROLE "pg-weak"')


def test_a_strong_admin_is_told_that_it_is_too_strong(world: World) -> None:
    client = world.other_client({"username": world.stand["PGUSER"], "password": world.stand["PGPASSWORD"]})
    assert client.prepare().findings[0].reason == "AdminTooStrong"
    client.close()


def test_nobody_listening_is_unreachable_at_once(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = world.other_client(host="127.0.0.1", port=port)
    began = time.monotonic()
    with pytest.raises(Unreachable, match=f"postgres at 127.0.0.1:{port} does not answer"):
        client.observe([world.intent("pg-a")])
    assert time.monotonic() - began < 3


def test_a_lost_connection_is_opened_again_at_the_next_call(world: World, school: Intent) -> None:
    world.root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'matrixhub'")
    assert world.plan(school) == ()


@pytest.fixture
def wire(world: World) -> Iterator[Wire]:
    with Wire(world.stand["PGHOST"], int(world.stand["PGPORT"])) as made:
        yield made


def test_an_outage_is_unreachable_and_ends_by_itself(world: World, school: Intent, wire: Wire) -> None:
    client = world.other_client(host="127.0.0.1", port=wire.port)
    assert client.plan(client.desired(school), client.observe([school])["pg-a"]) == ()  # type: ignore[arg-type] # no error is there
    wire.interrupt()
    assert client.observe([school])["pg-a"] == world.observe(school)
    client.close()


@pytest.mark.parametrize("call", ["observe", "prepare", "apply"])
def test_a_server_that_falls_silent_does_not_hold_its_worker(
    world: World, school: Intent, wire: Wire, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixhub.backends.database.CONNECT_SECONDS", 1)
    client = world.other_client(host="127.0.0.1", port=wire.port)
    calls: dict[str, Callable[[], object]] = {
        "observe": lambda: client.observe([school]),
        "prepare": client.prepare,
        "apply": lambda: client.apply({"pg-a": world.plan(world.intent("pg-a", Phase.SUSPENDED))}),
    }
    client.observe([school])
    wire.mute()
    began = time.monotonic()
    with pytest.raises(Unreachable):
        calls[call]()
    assert time.monotonic() - began < 8
    wire.mend()
    client.observe([school])
    client.close()


def test_before_it_is_prepared_a_database_is_asked_for_later(world: World) -> None:
    client = world.other_client(database="postgres")
    with pytest.raises(Transient) as error:
        client.observe([world.intent("pg-a")])
    client.close()
    assert error.value.reason == "NotPrepared"


def test_what_is_sent_holds_a_verifier_and_no_password(world: World) -> None:
    made = world.intent("pg-a")
    assert made.credential is not None
    plan = world.plan(made)
    sent = [statement.as_string() for action in plan for statement in statements(action)]
    assert any("SCRAM-SHA-256$4096:" in text for text in sent)
    assert not any(made.credential.password in text for text in (*sent, repr(plan), *map(str, plan)))
