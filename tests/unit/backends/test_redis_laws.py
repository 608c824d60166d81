import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.draws import subsets

from matrixhub.backends.contract import Owner
from matrixhub.backends.redis.plan import Action, Purge, RemoveUser, SetUser, plan
from matrixhub.backends.redis.state import (
    EVERY_NODE,
    TENANT_COMMANDS,
    Account,
    Silence,
    State,
    collapsed,
)
from matrixhub.errors import Conflict

TENANT = "greenwood"
US = Owner("hub", "uid-1")
DIGEST, OLD_DIGEST = "a" * 64, "b" * 64

owners = st.sampled_from([US, Owner("hub", "uid-0"), Owner("other-hub", "uid-1"), None])


def some(*values: str) -> st.SearchStrategy[frozenset[str]]:
    return subsets(values)


accounts = st.builds(
    Account,
    owner=owners,
    enabled=st.booleans(),
    nopass=st.booleans(),
    passwords=some(DIGEST, OLD_DIGEST),
    keys=some("~tenant:greenwood:*", "~*", "%R~tenant:other:*"),
    channels=some("&tenant:greenwood:*", "&*"),
    commands=st.sampled_from(
        [frozenset[str](), TENANT_COMMANDS, TENANT_COMMANDS | {"+keys"}, TENANT_COMMANDS | {"-get"}]
    ),
    selectors=some("(~* +@all)"),
)
ACTIVE = Account(
    owner=US,
    enabled=True,
    passwords=frozenset({DIGEST}),
    keys=frozenset({"~tenant:greenwood:*"}),
    channels=frozenset({"&tenant:greenwood:*"}),
    commands=TENANT_COMMANDS,
)
wishes = st.sampled_from(
    [
        State(TENANT, US, ((EVERY_NODE, ACTIVE),)),
        State(TENANT, US, ((EVERY_NODE, Account(owner=US)),)),
        State(TENANT, US, ((EVERY_NODE, None),)),
        State(TENANT, US, ((EVERY_NODE, None),), data=False),
    ]
)
seen = st.one_of(st.none(), st.just(Silence.SILENT), st.just(ACTIVE), accounts)
layouts = st.dictionaries(st.sampled_from(["a:1", "b:1", "c:1"]), seen, min_size=1).map(collapsed)


@st.composite
def meetings(draw: st.DrawFn) -> tuple[State, State]:
    wanted = draw(wishes)
    data = draw(st.booleans()) if not wanted.data else True
    return wanted, State(TENANT, US, draw(layouts), data=data)


def foreign_nodes(observed: State) -> set[str]:
    return {node for node, found in observed.accounts if isinstance(found, Account) and not found.admits(US)}


def apply_to(state: State, actions: tuple[Action, ...]) -> State:
    held, data = dict(state.accounts), state.data
    for action in actions:
        match action:
            case Purge():
                data = False
            case SetUser() | RemoveUser():
                for node in held:
                    if action.node in (EVERY_NODE, node):
                        held[node] = action.account if isinstance(action, SetUser) else None
    return State(state.tenant, state.owner, collapsed(held), data=data)


@given(wishes)
def test_what_is_as_wanted_is_left_alone(wanted: State) -> None:
    assert plan(wanted, wanted) == ()


@given(meetings())
def test_the_plan_leads_to_what_is_wanted(meeting: tuple[State, State]) -> None:
    wanted, observed = meeting
    if foreign_nodes(observed):
        return
    assert apply_to(observed, plan(wanted, observed)) == wanted


@given(meetings())
def test_any_half_of_the_plan_leads_on_to_what_is_wanted(meeting: tuple[State, State]) -> None:
    wanted, observed = meeting
    if foreign_nodes(observed):
        return
    actions = plan(wanted, observed)
    for done in range(len(actions)):
        half = apply_to(observed, actions[:done])
        assert apply_to(half, plan(wanted, half)) == wanted


@given(meetings())
def test_a_user_that_is_not_ours_is_a_conflict_or_left_alone(meeting: tuple[State, State]) -> None:
    wanted, observed = meeting
    foreign = foreign_nodes(observed)
    if not foreign:
        return
    if wanted.accounts[0][1] is not None:
        with pytest.raises(Conflict) as conflict:
            plan(wanted, observed)
        assert conflict.value.owner in ("unknown", "other-hub/uid-1")
        return
    actions = plan(wanted, observed)
    assert not any(isinstance(action, Purge) for action in actions)
    untouched = dict(apply_to(observed, actions).accounts)
    assert all(
        untouched.get(node, untouched.get(EVERY_NODE)) == found for node, found in observed.accounts if node in foreign
    )


@given(meetings())
def test_keys_go_after_every_door_is_shut_and_before_the_mark_goes(meeting: tuple[State, State]) -> None:
    wanted, observed = meeting
    if wanted.data:
        return
    actions = plan(wanted, observed)
    purges = [place for place, action in enumerate(actions) if isinstance(action, Purge)]
    for place in purges:
        before = apply_to(observed, actions[:place])
        assert all(found is None or found == Account(owner=US) for _, found in before.accounts), (
            "a tenant could still write"
        )
        assert all(isinstance(action, RemoveUser) for action in actions[place + 1 :])


@given(meetings())
def test_whoever_got_more_than_is_due_is_disconnected(meeting: tuple[State, State]) -> None:
    wanted, observed = meeting
    if foreign_nodes(observed):
        return
    held = dict(observed.accounts)
    for action in plan(wanted, observed):
        if isinstance(action, SetUser) and not action.end_connections:
            before = held[action.node]
            assert not isinstance(before, Account) or before.within(action.account)


@given(meetings())
def test_actions_print_no_secret(meeting: tuple[State, State]) -> None:
    wanted, observed = meeting
    if foreign_nodes(observed):
        return
    text = "".join(f"{action} {action!r}" for action in plan(wanted, observed))
    assert DIGEST not in text
    assert OLD_DIGEST not in text


def sentences(wanted: Account | None, found: Account | None, *, data: bool = True) -> list[str]:
    return [
        str(action)
        for action in plan(
            State(TENANT, US, ((EVERY_NODE, wanted),), data=data), State(TENANT, US, ((EVERY_NODE, found),))
        )
    ]


def test_actions_read_as_sentences() -> None:
    widened = Account(
        owner=US,
        enabled=True,
        nopass=True,
        keys=ACTIVE.keys | {"~*"},
        channels=ACTIVE.channels,
        commands=TENANT_COMMANDS | {"+keys"},
    )
    assert sentences(ACTIVE, None) == ["Created ACL user tenant-greenwood"]
    assert sentences(ACTIVE, Account(owner=US)) == ["Switched ACL user tenant-greenwood on"]
    assert sentences(ACTIVE, widened) == [
        (
            "Repaired ACL user tenant-greenwood: asked for a password again, set its password, "
            "took back key pattern ~*, took back commands keys"
        )
    ]
    assert sentences(Account(owner=US), ACTIVE) == ["Switched ACL user tenant-greenwood off and ended its connections"]
    assert sentences(None, ACTIVE) == ["Removed ACL user tenant-greenwood"]
    assert sentences(None, ACTIVE, data=False) == [
        "Switched ACL user tenant-greenwood off",
        "Removed the keys under tenant:greenwood:",
        "Removed ACL user tenant-greenwood",
    ]


def test_one_node_that_differs_is_named() -> None:
    observed = State(TENANT, US, collapsed({"a:1": ACTIVE, "b:1": None}))
    wanted = State(TENANT, US, ((EVERY_NODE, ACTIVE),))
    assert [str(action) for action in plan(wanted, observed)] == ["Created ACL user tenant-greenwood on b:1"]
