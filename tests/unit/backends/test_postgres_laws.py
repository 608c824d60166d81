"""The laws of the plan for a share of Postgres: idle when nothing differs, convergence, hands off what is not ours."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.draws import subsets
from tests.support import NOWHERE, cluster, intent

from matrixhub.backends.contract import Mark, Owner, Phase, fingerprint
from matrixhub.backends.postgres import actions as steps
from matrixhub.backends.postgres import desired as wishes
from matrixhub.backends.postgres.actions import Action
from matrixhub.backends.postgres.plan import UNALTERABLE, plan, transactions
from matrixhub.backends.postgres.state import (
    GROUP,
    POOL,
    Name,
    Partition,
    Role,
    Share,
)
from matrixhub.errors import Conflict, Rejected

ON = cluster(NOWHERE)
TENANT, ROLE = "greenwood", "tenant_greenwood"
OWNER = Owner("hub", "uid-greenwood")
PREDECESSOR = Owner("hub", "uid-before")
STRANGER = Owner("other-hub", "uid-x")
TABLES = tuple(Name("public", name) for name in ("audit", "events"))

OURS = st.sampled_from([OWNER, PREDECESSOR])
passwords = st.sampled_from(["a-password-of-32-characters-0000", "another-password-of-32-characters"])
phases = st.sampled_from(Phase)
partitions = subsets(Partition(table, wishes.partition_name(table, TENANT)) for table in TABLES)
fingerprints = passwords.map(fingerprint) | st.just("")
timeouts = st.sampled_from(["5s", "1m"])
ends = st.sampled_from(["", "2020-01-01 00:00:00+00"])
powers = subsets(["BYPASSRLS", "REPLICATION", "CREATEROLE", "CREATEDB"])
memberships = subsets([GROUP, POOL, "pg_read_all_data", "tenant_riverside"])
settings = subsets(
    (database, setting)
    for database in ("", "hub", "other")
    for setting in ("statement_timeout=0", "role=x", "statement_timeout=5000ms")
)


@st.composite
def wanted(draw: st.DrawFn, phase: Phase | None = None) -> Share:
    spec = {
        "postgres": {
            "connectionLimit": draw(st.integers(1, 50)),
            "statementTimeout": draw(timeouts),
        }
    }
    made = intent(TENANT, ON, phase or draw(phases), password=draw(passwords), owner=OWNER, **spec)
    return wishes.share(made)


@st.composite
def roles(draw: st.DrawFn, *, superuser: bool = False) -> Role:
    login = draw(st.booleans())
    held = draw(powers)
    return Role(
        login=login,
        inherit=draw(st.booleans()),
        connection_limit=draw(st.integers(-1, 50)),
        valid_until=draw(ends),
        powers=held | {"SUPERUSER"} if superuser else held,
        memberships=draw(memberships),
        pooled=draw(st.booleans()),
        settings=draw(settings),
        fingerprint=draw(fingerprints),
        sessions=not login and draw(st.booleans()),
    )


@st.composite
def found(draw: st.DrawFn, owners: st.SearchStrategy[Owner] = OURS, *, marked: bool = True) -> Share:
    """A share as it may be found: with a mark of one of `owners`, or with none and so without a role."""
    mark = draw(st.builds(Mark, owners, st.booleans())) if marked else None
    held = draw(partitions)
    lacking = frozenset(
        Partition(table, wishes.partition_name(table, TENANT))
        for table in TABLES
        if table not in {p.table for p in held}
    )
    return Share(TENANT, ROLE, OWNER, mark, draw(st.none() | roles()) if marked else None, held, lacking)


def apply_to(share: Share, actions: tuple[Action, ...]) -> Share:
    """What the actions leave behind; each is refused where Postgres would refuse it."""
    for action in actions:
        share = _apply(share, action)
    return share


def _apply(share: Share, action: Action) -> Share:  # noqa: PLR0911 - one line per kind of action
    role = share.role
    match action:
        case steps.Claim():
            return replace(share, mark=Mark(action.owner))
        case steps.CreateRole():
            assert role is None
            assert share.mark is not None
            made = Role(
                login=action.login,
                connection_limit=action.connection_limit,
                memberships=frozenset({GROUP}) if action.member else frozenset(),
                pooled=action.pooled,
                fingerprint=fingerprint(action.password) if action.password else "",
            )
            return replace(share, role=made)
        case steps.DropRole():
            assert role is not None
            return replace(share, role=None)
        case steps.EndSessions():
            return replace(share, role=replace(role, sessions=False))
        case steps.AddPartition():
            assert share.lacking is not None
            assert share.partitions is not None
            return replace(
                share, lacking=share.lacking - {action.partition}, partitions=share.partitions | {action.partition}
            )
        case steps.DeleteData():
            assert role is not None
            assert GROUP in role.memberships, "without the group the role may delete nothing"
            assert role.inherit, "nor without what the group may do"
            assert not role.powers & UNALTERABLE, "no policy holds such a role"
            assert action.partitions == share.partitions
            return replace(share, partitions=frozenset())
        case steps.Retain():
            return replace(share, mark=Mark(action.owner, retained=True))
        case steps.Forget():
            return replace(share, mark=None)
    assert role is not None
    return replace(share, role=_alter(share.role_name, role, action))


def _alter(name: str, role: Role, action: Action) -> Role:  # noqa: C901, PLR0911, PLR0912 - one line per kind of action
    match action:
        case steps.AlterRole(options=options):
            assert "REPLICATION" not in role.powers, "only a superuser may alter such a role"
            for option in options:
                match option.split():
                    case ["LOGIN" | "NOLOGIN"]:
                        # A session may be open when the door is shut; the plan must end it.
                        role = replace(role, login=option == "LOGIN", sessions=option == "NOLOGIN")
                    case ["INHERIT"]:
                        role = replace(role, inherit=True)
                    case ["CONNECTION", "LIMIT", number]:
                        role = replace(role, connection_limit=int(number))
                    case ["VALID", "UNTIL", "'infinity'"]:
                        role = replace(role, valid_until="")
                    case ["NOCREATEDB" | "NOCREATEROLE"]:
                        role = replace(role, powers=role.powers - {option.removeprefix("NO")})
                    case _:
                        raise AssertionError(option)
            return role
        case steps.SetPassword(password=password):
            assert "REPLICATION" not in role.powers
            return replace(role, fingerprint=fingerprint(password))
        case steps.Join(member, other) if other == name and member == POOL:
            assert POOL not in role.memberships, "roles may not be members of each other"
            return replace(role, pooled=True)
        case steps.Leave(member, other) if other == name and member == POOL:
            return replace(role, pooled=False)
        case steps.Join(member, other):
            assert member == name
            return replace(role, memberships=role.memberships | {other})
        case steps.Leave(member, other):
            assert member == name
            return replace(role, memberships=role.memberships - {other})
        case steps.Configure():
            kept = frozenset(pair for pair in role.settings if pair[0] not in action.reset)
            names = {setting.partition("=")[0] for _, setting in action.settings}
            kept = frozenset(pair for pair in kept if pair[0] or pair[1].partition("=")[0] not in names)
            return replace(role, settings=kept | frozenset(action.settings))
        case _:
            raise AssertionError(action)


def reachable(desired: Share, observed: Share) -> Share:
    """The wish, but that what an earlier Tenant left is kept where a later one is deleted that never took it over."""
    if desired.mark is not None or observed.mark is None or observed.mark.owner == OWNER:
        return desired
    return replace(desired, mark=Mark(observed.mark.owner, retained=True), partitions=None)


def settled(share: Share, desired: Share) -> Share:
    """`share`, with what a desired share leaves open as it is there."""
    role = share.role
    if role is not None and desired.role is not None and desired.role.fingerprint is None:
        role = replace(role, fingerprint=None)
    return replace(
        share,
        role=role,
        partitions=None if desired.partitions is None else share.partitions,
        lacking=None if desired.lacking is None else share.lacking,
    )


@given(wanted() | found())
def test_nothing_is_done_when_nothing_differs(share: Share) -> None:
    assert plan(share, share) == ()


@given(wanted(), found() | found(marked=False))
def test_a_plan_leads_to_what_is_wanted(desired: Share, observed: Share) -> None:
    if observed.mark is None and (desired.mark is None or desired.mark.retained):
        return  # nothing of ours: see below
    result = apply_to(observed, plan(desired, observed))
    expected = reachable(desired, observed)
    assert settled(result, expected) == expected
    assert result.partitions == observed.partitions or expected.mark is None or expected.role is not None
    assert plan(desired, result) == ()


@given(wanted(), found(), st.integers(0, 20))
def test_a_plan_that_was_cut_short_is_completed_by_the_next(desired: Share, observed: Share, cut: int) -> None:
    groups = transactions(plan(desired, observed))
    half = apply_to(observed, tuple(action for group in groups[: cut % (len(groups) + 1)] for action in group))
    result = apply_to(half, plan(desired, half))
    expected = reachable(desired, observed)
    assert settled(result, expected) == expected


@given(wanted(), found())
def test_transactions_cut_a_plan_and_lose_nothing(desired: Share, observed: Share) -> None:
    actions = plan(desired, observed)
    assert tuple(action for group in transactions(actions) for action in group) == actions


@given(st.sampled_from([Phase.ACTIVE, Phase.SUSPENDED]).flatmap(wanted), roles())
def test_a_role_without_a_mark_is_a_conflict(desired: Share, role: Role) -> None:
    with pytest.raises(Conflict, match=ROLE):
        plan(desired, Share(TENANT, ROLE, OWNER, None, role))


@given(st.sampled_from([Phase.ACTIVE, Phase.SUSPENDED]).flatmap(wanted), found(st.just(STRANGER)))
def test_what_another_hub_holds_is_a_conflict_and_what_it_retained_is_adopted(desired: Share, observed: Share) -> None:
    assert observed.mark is not None
    if observed.mark.retained:
        assert settled(apply_to(observed, plan(desired, observed)), desired) == desired
    else:
        with pytest.raises(Conflict) as conflict:
            plan(desired, observed)
        assert conflict.value.owner == str(STRANGER)


@given(st.sampled_from([Phase.RETAINED, Phase.DELETED]).flatmap(wanted), found(st.just(STRANGER)), roles())
def test_removal_leaves_alone_what_is_not_ours(desired: Share, observed: Share, lookalike: Role) -> None:
    assert plan(desired, observed) == ()
    assert plan(desired, replace(observed, mark=None, role=lookalike)) == ()


@given(wanted(), found(), roles(superuser=True))
def test_a_superuser_is_refused_in_every_phase(desired: Share, observed: Share, role: Role) -> None:
    with pytest.raises(Rejected, match="NOSUPERUSER"):
        plan(desired, replace(observed, role=role))


@given(wanted(), found())
def test_no_password_is_in_any_text(desired: Share, observed: Share) -> None:
    text = repr(desired) + "".join(f"{action} {action!r}" for action in plan(desired, observed))
    assert "characters" not in text


def test_a_name_in_the_way_of_a_partition_is_a_conflict() -> None:
    taken = Partition(TABLES[0], wishes.partition_name(TABLES[0], TENANT), taken="a table of role mallory")
    desired = wishes.share(intent(TENANT, ON, owner=OWNER))
    with pytest.raises(Conflict, match="mallory"):
        plan(desired, Share(TENANT, ROLE, OWNER, lacking=frozenset({taken})))


def test_doors_are_shut_before_sessions_end_and_before_data_goes() -> None:
    open_role = Role(memberships=frozenset({GROUP}), pooled=True, fingerprint="x")
    observed = Share(TENANT, ROLE, OWNER, Mark(OWNER), open_role)
    actions = plan(wishes.share(intent(TENANT, ON, Phase.DELETED, owner=OWNER)), observed)
    kinds = [type(action) for action in actions]
    assert (
        kinds.index(steps.AlterRole)
        < kinds.index(steps.EndSessions)
        < kinds.index(steps.DeleteData)
        < kinds.index(steps.DropRole)
    )
    assert kinds[-1] is steps.Forget
