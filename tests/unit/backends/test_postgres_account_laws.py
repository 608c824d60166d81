"""The laws of the plans for the gateways' role and schema."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.draws import subsets
from tests.support import NOWHERE, cluster
from tests.unit.backends.test_postgres_laws import apply_to as apply_to_share

from matrixhub.backends.contract import Mark, Owner, ServiceAccount, fingerprint
from matrixhub.backends.postgres.account import (
    Account,
    AccountAction,
    CreateHome,
    DropHome,
    PermitRole,
    ShutHome,
    desired,
    plan_account,
)
from matrixhub.backends.postgres.plan import UNALTERABLE
from matrixhub.backends.postgres.state import GROUP, Role, Share
from matrixhub.errors import Conflict, Rejected

ON = cluster(NOWHERE, gateway={"image": "sockudo"})
NAME = "gateway-0a1b2c3d"
US, BEFORE, STRANGER = Owner("hub", "uid"), Owner("hub", "uid-before"), Owner("other-hub", "uid")
PASSWORD = "the-password-of-the-gateways-000"
WANTED = desired(ServiceAccount(US, NAME, PASSWORD), ON)
NOTHING = desired(ServiceAccount(US, NAME, "", leaving=True), ON)

roles = st.builds(
    Role,
    login=st.booleans(),
    inherit=st.booleans(),
    connection_limit=st.integers(-1, 200),
    powers=subsets(["CREATEROLE", "CREATEDB"]),
    memberships=subsets([GROUP, "tenant_green", "pg_read_all_data"]),
    settings=subsets([("", "role=x"), ("hub", "statement_timeout=0")]),
    fingerprint=st.sampled_from([fingerprint(PASSWORD), "another", ""]),
)


def account(role: Role | None, mark: Mark | None, home: str = "", guests: frozenset[str] = frozenset()) -> Account:
    share = Share(WANTED.share.tenant, NAME, US, mark, role, partitions=None, lacking=None)
    return Account(share, home, guests, connect=role is not None)


@st.composite
def found(draw: st.DrawFn) -> Account:
    role = draw(st.none() | roles)
    home = draw(st.sampled_from(["", NAME])) if role else ""
    guests = draw(subsets(["PUBLIC", GROUP, "tenant_green"])) if home else frozenset()
    mark = draw(st.sampled_from([Mark(US), Mark(BEFORE)])) if role else draw(st.sampled_from([None, Mark(US)]))
    return replace(account(role, mark, home, guests), connect=draw(st.booleans()))


def apply_to(state: Account, actions: tuple[AccountAction, ...]) -> Account:
    for action in actions:
        match action:
            case CreateHome():
                assert state.share.role is not None, "a schema needs its owner first"
                state = replace(state, home=action.role)
            case DropHome():
                assert state.share.role is not None, "the schema goes before its owner"
                state = replace(state, home="", guests=frozenset())
            case ShutHome():
                state = replace(state, guests=state.guests - {action.guest})
            case PermitRole():
                assert state.share.role is not None, "nothing can be granted to a role that is not there"
                state = replace(state, connect=True)
            case _:
                state = replace(state, share=apply_to_share(state.share, (action,)))
    return state


def bare(state: Account) -> bool:
    """Whether nothing is left that could be anybody's way in."""
    return (state.share.role, state.share.mark, state.home) == (None, None, "")


@given(found())
def test_an_account_that_leaves_leaves_nothing(seen: Account) -> None:
    after = apply_to(seen, plan_account(NOTHING, seen))
    assert bare(after)
    assert plan_account(NOTHING, after) == ()


@given(roles, st.sampled_from(["", NAME, "app_owner"]))
def test_whoever_leaves_takes_nothing_of_anybody_else(role: Role, home: str) -> None:
    for mark in (None, Mark(STRANGER)):
        assert plan_account(NOTHING, account(role, mark, home)) == ()
    steps = plan_account(NOTHING, account(role, Mark(US), "app_owner"))
    assert not [step for step in steps if isinstance(step, DropHome)]


def test_what_is_as_wanted_is_left_alone() -> None:
    assert plan_account(WANTED, WANTED) == ()


@given(found())
def test_the_plan_leads_to_what_is_wanted(seen: Account) -> None:
    assert apply_to(seen, plan_account(WANTED, seen)) == WANTED


@given(found())
def test_actions_print_no_password(seen: Account) -> None:
    assert PASSWORD not in "".join(f"{action} {action!r}" for action in plan_account(WANTED, seen))


@given(roles)
def test_a_role_without_our_mark_or_with_anothers_is_a_conflict(role: Role) -> None:
    for mark in (None, Mark(STRANGER)):
        with pytest.raises(Conflict):
            plan_account(WANTED, account(role, mark))


def test_a_schema_of_somebody_else_is_a_conflict_that_names_him() -> None:
    with pytest.raises(Conflict) as conflict:
        plan_account(WANTED, account(None, None, home="app_owner"))
    assert conflict.value.owner == "app_owner"


@given(roles, st.sampled_from(sorted(UNALTERABLE)))
def test_a_power_that_would_need_the_role_to_be_dropped_is_told(role: Role, power: str) -> None:
    strong = account(replace(role, powers=role.powers | {power}), Mark(US), home=NAME)
    with pytest.raises(Rejected, match=f"NO{power}"):
        plan_account(WANTED, strong)
