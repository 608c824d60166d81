"""The laws of the gateway backend's plans, and what its actions say."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.draws import subsets
from tests.support import NOWHERE, cluster, intent

from matrixhub.api import naming
from matrixhub.backends.contract import Credential, Phase
from matrixhub.backends.gateway.desired import desired
from matrixhub.backends.gateway.plan import Action, RemoveApp, SetApp, plan, renewed
from matrixhub.backends.gateway.state import FIXED, App, State

ON = cluster(
    NOWHERE,
    gateway={"image": "example.org/sockudo:5.2.0"},
)
TENANT = "greenwood"
KEY, SECRET = "0123456789abcdef0123", "an-apps-secret-of-43-characters-............"

phases = st.sampled_from(Phase)
origins = subsets(["https://a.example.org", "*.example.org"])


def wish(phase: Phase, **share: object) -> State:
    made = intent(TENANT, ON, phase, gateway=share)
    credential = Credential(KEY, SECRET) if made.credential else None
    return desired(replace(made, credential=credential))


@st.composite
def wanted(draw: st.DrawFn) -> State:
    share = {
        "maxConnections": draw(st.integers(1, 500)),
        "clientEventsPerSecond": draw(st.integers(1, 20)),
        "maxPresenceMembers": draw(st.integers(1, 100)),
        "allowedOrigins": sorted(draw(origins)),
    }
    return wish(draw(phases), **share)


apps = st.builds(
    App,
    key=st.sampled_from([KEY, "another"]),
    secret=st.sampled_from([SECRET, "another", None]),
    enabled=st.booleans(),
    max_connections=st.integers(-5, 500),
    client_events_per_second=st.integers(0, 20),
    max_presence_members=st.integers(0, 100),
    allowed_origins=origins,
    fixed=st.one_of(
        st.just(FIXED), st.just(tuple((name, True if name == "policy" else value) for name, value in FIXED))
    ),
)
found = st.one_of(st.none(), apps).map(lambda app: State(TENANT, naming.app_id(TENANT), app))


def apply_to(state: State, actions: tuple[Action, ...]) -> State:
    for action in actions:
        assert action.id == state.id
        state = replace(state, app=None if isinstance(action, RemoveApp) else action.app)
    return state


@given(wanted())
def test_what_is_as_wanted_is_left_alone(wish: State) -> None:
    assert plan(wish, wish) == ()


@given(wanted(), found)
def test_the_plan_leads_to_what_is_wanted(wish: State, seen: State) -> None:
    kept = wish
    if wish.app and seen.app and not wish.app.enabled:
        kept = replace(wish, app=replace(wish.app, key=seen.app.key))
    assert apply_to(seen, plan(wish, seen)) == kept
    assert plan(wish, kept) == ()


@given(wanted(), found)
def test_only_the_app_with_the_computed_id_is_named(wish: State, seen: State) -> None:
    assert {action.id for action in plan(wish, seen)} <= {naming.app_id(TENANT)}


@given(wanted(), found)
def test_actions_print_no_key_and_no_secret(wish: State, seen: State) -> None:
    text = "".join(f"{action} {action!r}" for action in plan(wish, seen))
    assert not any(each in text for each in (KEY, SECRET, "another"))


@given(phases, found)
def test_nobody_but_an_active_tenant_is_let_in(phase: Phase, seen: State) -> None:
    after = apply_to(seen, plan(wish(phase), seen)).app
    if phase is Phase.ACTIVE:
        assert after is not None
        assert (after.enabled, after.key, after.secret) == (True, KEY, SECRET)
    else:
        assert after is None or (not after.enabled and after.secret is None)


@given(found, st.sampled_from([Phase.ACTIVE, Phase.SUSPENDED]))
def test_a_step_made_anew_differs_in_the_credential_alone(seen: State, phase: Phase) -> None:
    made = Credential("a-new-key", "a-new-secret")
    for action in plan(wish(phase), seen):
        assert isinstance(action, SetApp)
        after = renewed(action, made)
        secret = "a-new-secret" if phase is Phase.ACTIVE else None
        assert after == replace(action, app=replace(action.app, key="a-new-key", secret=secret))


def sentences(want: State, have: App | None) -> list[str]:
    return [str(action) for action in plan(want, State(TENANT, want.id, have))]


def test_actions_read_as_sentences() -> None:
    active, suspended, gone = (wish(phase) for phase in (Phase.ACTIVE, Phase.SUSPENDED, Phase.DELETED))
    what = f"app {naming.app_id(TENANT)} of tenant greenwood"
    assert sentences(active, None) == [f"Created {what}"]
    assert sentences(suspended, None) == [f"Created {what}, locked"]
    assert sentences(suspended, active.app) == [f"Locked {what}"]
    assert sentences(active, suspended.app) == [f"Changed {what}: unlocked it, set its secret"]
    assert sentences(gone, active.app) == [f"Removed {what}"]
    assert active.app is not None
    drifted = replace(active.app, max_connections=0, fixed=(("policy", True), *FIXED))
    assert sentences(active, drifted) == [f"Changed {what}: 500 instead of 0 connections"]
    weak = replace(active.app, fixed=tuple((name, True if name == "policy" else value) for name, value in FIXED))
    assert sentences(active, weak) == [f"Changed {what}: put policy right"]
