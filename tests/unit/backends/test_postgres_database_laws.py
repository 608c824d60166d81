"""The laws of the plan for what all tenants share: idle when nothing differs, convergence, no door before its wall."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.draws import subsets

from matrixhub.backends.postgres import actions_database as base
from matrixhub.backends.postgres import desired as wishes
from matrixhub.backends.postgres.plan_database import by_table, plan_database
from matrixhub.backends.postgres.state import (
    GROUP,
    POOL,
    SCHEMA,
    Database,
    Grant,
    Name,
    Piece,
    Policy,
    Table,
)

names = st.sampled_from([Name("public", "students"), Name("public", "courses"), Name("school", "students")])
grants = subsets(
    Grant(grantee, privilege)
    for grantee in ("PUBLIC", GROUP, "tenant_greenwood")
    for privilege in ("SELECT", "UPDATE", "TRUNCATE", "REFERENCES")
)
right_policies = st.sampled_from(sorted(wishes.policies("tenant_id")))
wrong_policies = right_policies.map(lambda policy: replace(policy, using="true", roles=("PUBLIC",)))


def some_policies(policies: list[Policy]) -> frozenset[Policy]:
    return frozenset({policy.name: policy for policy in policies}.values())


tables = st.builds(
    Table,
    name=names,
    column=st.just("tenant_id"),
    partitioned=st.booleans(),
    secured=st.booleans(),
    forced=st.booleans(),
    policies=st.lists(right_policies | wrong_policies, max_size=2).map(some_policies),
    default=st.sampled_from(["", "'x'::text", wishes.DEFAULT]),
    indexed=st.booleans(),
    grants=grants,
    sequences=st.frozensets(st.tuples(st.just(Name("public", "students_id_seq")), st.booleans()), max_size=1),
    obstacle=st.sampled_from(["", "", "belongs to role x"]),
)
pieces = st.builds(
    Piece, names.map(lambda name: Name(name.schema, name.relation + "_p")), st.booleans(), st.booleans(), grants
)
wrong_functions = st.sampled_from(sorted(wishes.FUNCTIONS)).map(lambda function: replace(function, body="SELECT 'x'"))


@st.composite
def databases(draw: st.DrawFn) -> Database:
    found_tables = draw(st.lists(tables, max_size=2, unique_by=lambda table: table.name))
    found_pieces = draw(st.lists(pieces, max_size=1, unique_by=lambda piece: piece.name))
    functions = {
        f.name: f for f in draw(st.lists(st.sampled_from(sorted(wishes.FUNCTIONS)) | wrong_functions, max_size=2))
    }
    return Database(
        tenant_column="tenant_id",
        schemas=frozenset({"public"}),
        roles=draw(subsets([GROUP, POOL])),
        widened=draw(subsets([(GROUP, "pg_read_all_data"), (POOL, "pg_read_all_data")])),
        schema=draw(st.booleans()),
        registry=draw(st.booleans()),
        functions=frozenset(functions.values()),
        connect=draw(st.booleans()),
        usage=draw(subsets(["public", SCHEMA])),
        creators=draw(subsets([("public", "PUBLIC"), ("public", GROUP)])),
        exposed=draw(grants),
        tables=frozenset(found_tables),
        pieces=frozenset(found_pieces),
    )


def mended(database: Database, actions: tuple[base.Action, ...]) -> Database:  # noqa: C901 - one line per kind of action
    for action in actions:
        match action:
            case base.CreateGroup(role):
                database = replace(database, roles=database.roles | {role})
            case base.Narrow(role, other):
                database = replace(database, widened=database.widened - {(role, other)})
            case base.CreateSchema():
                database = replace(database, schema=True)
            case base.CreateRegistry():
                assert database.schema
                database = replace(database, registry=True)
            case base.HideRegistry(grantee):
                exposed = frozenset(grant for grant in database.exposed if grant.grantee != grantee)
                database = replace(database, exposed=exposed)
            case base.SetFunction(function):
                others = frozenset(other for other in database.functions if other.name != function.name)
                database = replace(database, functions=others | {function})
            case base.PermitConnect():
                assert GROUP in database.roles
                database = replace(database, connect=True)
            case base.PermitUsage(schema):
                assert GROUP in database.roles
                database = replace(database, usage=database.usage | {schema})
            case base.ForbidCreate(schema, grantee):
                database = replace(database, creators=database.creators - {(schema, grantee)})
            case _:
                database = replace(
                    database,
                    tables=frozenset(_mended(table, action) for table in database.tables),
                    pieces=frozenset(_closed(piece, action) for piece in database.pieces),
                )
    return database


def _mended(table: Table, action: base.TableAction) -> Table:  # noqa: PLR0911 - one line per kind of action
    if action.table != table.name:
        return table
    assert not table.obstacle, "what we may not manage is not touched"
    match action:
        case base.Secure():
            return replace(table, secured=True, forced=True)
        case base.SetPolicy(_, policy):
            others = frozenset(other for other in table.policies if other.name != policy.name)
            return replace(table, policies=others | {policy})
        case base.SetDefault(_, expression):
            return replace(table, default=expression)
        case base.Withdraw(_, grantee, privileges):
            return replace(table, grants=table.grants - {Grant(grantee, privilege) for privilege in privileges})
        case base.Permit(_, grantee, privileges):
            assert table.secured
            assert table.policies >= wishes.policies(table.column), "no door before its wall"
            return replace(table, grants=table.grants | {Grant(grantee, privilege) for privilege in privileges})
        case base.PermitSequence(_, sequence):
            return replace(table, sequences=(table.sequences - {(sequence, False)}) | {(sequence, True)})
        case base.AddIndex():
            assert not table.partitioned, "it would block the writers of every partition"
            return replace(table, indexed=True)


def _closed(piece: Piece, action: base.TableAction) -> Piece:
    if action.table != piece.name:
        return piece
    match action:
        case base.Secure():
            return replace(piece, secured=True, forced=True)
        case base.Withdraw(_, grantee, privileges):
            return replace(piece, grants=piece.grants - {Grant(grantee, privilege) for privilege in privileges})
        case _:
            raise AssertionError(action)


@given(databases())
def test_a_database_as_it_should_be_is_left_alone(database: Database) -> None:
    assert plan_database(database, database) == ()
    wanted_database = wishes.database(database)
    assert wishes.database(wanted_database) == wanted_database


@given(databases())
def test_a_plan_leads_to_the_database_that_is_wanted(database: Database) -> None:
    desired = wishes.database(database)
    actions = plan_database(desired, database)
    assert mended(database, actions) == desired
    assert plan_database(desired, mended(database, actions)) == ()


@given(databases())
def test_what_is_done_to_one_table_is_done_together_and_what_all_need_first(database: Database) -> None:
    actions = plan_database(wishes.database(database), database)
    groups = by_table(actions)
    assert sorted(map(str, (action for _, group in groups for action in group))) == sorted(map(str, actions))
    assert all(table is None for table, _ in groups[:1]) or not any(table is None for table, _ in groups)
    assert all(len(group) == 1 or not any(isinstance(a, base.AddIndex) for a in group) for _, group in groups)


@given(databases())
def test_tenants_never_keep_truncate_references_or_trigger(database: Database) -> None:
    result = mended(database, plan_database(wishes.database(database), database))
    for table in result.tables:
        if not table.obstacle:
            assert table.grants == {Grant(GROUP, p) for p in ("SELECT", "INSERT", "UPDATE", "DELETE")}


def test_the_wall_is_restrictive_and_the_door_is_not() -> None:
    kinds = {policy.name: policy.restrictive for policy in wishes.policies("tenant_id")}
    assert kinds == {"matrixhub_isolation": True, "matrixhub_access": False}
