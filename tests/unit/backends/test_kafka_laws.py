"""The laws of every backend, for any Kafka that hands and half-done work could have left behind."""

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.draws import maps, subsets

from matrixhub.backends.contract import Mark, Owner, Phase
from matrixhub.backends.kafka import actions, codes
from matrixhub.backends.kafka.actions import Action
from matrixhub.backends.kafka.desired import relay_grants
from matrixhub.backends.kafka.plan import plan, settle
from matrixhub.backends.kafka.state import Acl, Quota, RelayAcl, Scram, State, Topic, TopicClaim, UserClaim
from matrixhub.errors import Conflict, Rejected

OWNER = Owner("hub", "uid")
OWNERS = [OWNER, Owner("hub", "earlier-uid"), Owner("other-hub", "uid")]
NAMES = [f"green.exams.{event}" for event in ("started", "submitted", "graded")]
RELAY_ACLS = [RelayAcl("relay-01234567", acl) for acl in sorted(relay_grants("green"), key=str)]
PASSWORD = "the-secret-password-of-the-tenant"

MARKS = [Mark(owner, retained) for owner in OWNERS for retained in (False, True)]
CONFIGS = [{}, {"retention.ms": "1"}, {"retention.ms": "2", "segment.bytes": "1"}, {"segment.bytes": "2"}]

USER_CLAIMS = [UserClaim(mark, print_) for mark in MARKS for print_ in ("", "aaaa", "bbbb")]
TOPIC_CLAIMS = [TopicClaim(mark, name, n) for mark in MARKS for name in NAMES for n in (1, 2, 3)]
user_claims = st.sampled_from(USER_CLAIMS)
topic_claims = st.sampled_from(TOPIC_CLAIMS)
topics = maps(
    {name: [Topic(name, n, frozenset(set_.items())) for n in (1, 2, 3) for set_ in CONFIGS] for name in NAMES}
).map(lambda named: frozenset(named.values()))
ACLS = [
    Acl(resource, name, pattern, operation, permission)
    for resource in ("topic", "group")
    for name, pattern in (("green.", "prefixed"), ("*", "literal"))
    for operation in ("read", "all")
    for permission in ("allow", "deny")
]
acls = subsets(ACLS)
logins = maps({word: [Scram(word, n) for n in (4096, 4100)] for word in ("SCRAM-SHA-256", "SCRAM-SHA-512")}).map(
    lambda named: frozenset(named.values())
)
quotas = maps(
    {
        (key, client): [Quota(key, value, client) for value in (1.0, 2.0)]
        for key in ("rate", "x")
        for client in ("", "app")
    }
).map(lambda limited: frozenset(limited.values()))

relay_acls = subsets(RELAY_ACLS)


@st.composite
def states(draw: st.DrawFn, phase: Phase) -> State:
    """Anything that may be found, marked by anybody or nobody; half the time only such as meets no Conflict."""
    friendly = draw(st.booleans())
    found = State("green", OWNER, phase, 1, topics=draw(topics), relay_acls=draw(relay_acls))
    found = replace(found, logins=draw(logins), acls=draw(acls), quotas=draw(quotas))
    users = [claim for claim in USER_CLAIMS if claim.mark.admits(OWNER)] if friendly else USER_CLAIMS
    marked = [claim for claim in TOPIC_CLAIMS if claim.mark.admits(OWNER)] if friendly else TOPIC_CLAIMS
    claims = draw(st.frozensets(st.sampled_from(marked), max_size=5))
    if friendly:
        claims |= {TopicClaim(Mark(OWNER), topic.name, topic.partitions) for topic in found.topics}
    found = replace(
        found,
        user_claims=draw(st.frozensets(st.sampled_from(users), min_size=1 if friendly else 0, max_size=3)),
        topic_claims=claims,
    )
    if phase is Phase.DELETED:
        found = replace(found, groups=draw(subsets(["green.app", "green.etl"])))
    return found


@st.composite
def wishes(draw: st.DrawFn, phase: Phase) -> State:
    """What `desired` makes: everything that is named is claimed, and nothing but the user in a suspended tenant."""
    state = State("green", OWNER, phase, 1)
    if phase in (Phase.RETAINED, Phase.DELETED):
        return state
    state = replace(state, acls=draw(acls), quotas=draw(quotas), relay_acls=draw(relay_acls))
    if phase is Phase.SUSPENDED:
        return replace(state, user_claims=frozenset({UserClaim(Mark(OWNER), "")}))
    wanted = draw(topics)
    return replace(
        state,
        topics=wanted,
        topic_claims=frozenset(TopicClaim(Mark(OWNER), topic.name, topic.partitions) for topic in wanted),
        user_claims=frozenset({UserClaim(Mark(OWNER), draw(st.sampled_from(["aaaa", "bbbb"])))}),
        logins=draw(logins),
        password=PASSWORD,
    )


def pairs() -> st.SearchStrategy[tuple[State, State]]:
    return st.sampled_from(list(Phase)).flatmap(lambda phase: st.tuples(wishes(phase), states(phase)))


def apply_to(state: State, steps: tuple[Action, ...]) -> State:
    return reduce(_apply, steps, state)


def _apply(state: State, step: Action) -> State:  # noqa: C901, PLR0911, PLR0912  # one line for each kind of step
    match step:
        case actions.WriteMarks():
            return replace(
                state, user_claims=state.user_claims | step.users, topic_claims=state.topic_claims | step.topics
            )
        case actions.RemoveMarks():
            return replace(
                state, user_claims=state.user_claims - step.users, topic_claims=state.topic_claims - step.topics
            )
        case actions.AddAcls() if step.user != state.user:
            return replace(state, relay_acls=state.relay_acls | {RelayAcl(step.user, acl) for acl in step.acls})
        case actions.RemoveAcls() if step.user != state.user:
            return replace(state, relay_acls=state.relay_acls - {RelayAcl(step.user, acl) for acl in step.acls})
        case actions.AddAcls():
            return replace(state, acls=state.acls | step.acls)
        case actions.RemoveAcls():
            return replace(state, acls=state.acls - step.acls)
        case actions.SetLogin():
            others = frozenset(login for login in state.logins if login.mechanism != step.mechanism)
            return replace(state, logins=others | {Scram(step.mechanism, step.iterations)})
        case actions.DropLogins():
            return replace(
                state, logins=frozenset(login for login in state.logins if login.mechanism not in step.mechanisms)
            )
        case actions.SetQuotas():
            changed = {(quota.client, quota.key) for quota in step.quotas | step.surplus}
            others = frozenset(quota for quota in state.quotas if (quota.client, quota.key) not in changed)
            return replace(state, quotas=others | step.quotas)
        case actions.CreateTopics():
            assert not {topic.name for topic in step.topics} & {topic.name for topic in state.topics}
            return replace(state, topics=state.topics | set(step.topics))
        case actions.AddPartitions():
            return _with_topic(state, step.topic, lambda topic: replace(topic, partitions=step.partitions))
        case actions.Configure():
            keys = {key for key, _ in step.configs} | step.surplus
            return _with_topic(
                state,
                step.topic,
                lambda topic: replace(
                    topic, configs=frozenset(pair for pair in topic.configs if pair[0] not in keys) | step.configs
                ),
            )
        case actions.DeleteTopics():
            return replace(state, topics=frozenset(topic for topic in state.topics if topic.name not in step.topics))
        case actions.DeleteGroups():
            return replace(state, groups=state.groups - set(step.groups))
        case actions.Refuse():
            return state


def _with_topic(state: State, name: str, change: object) -> State:
    assert callable(change)
    [topic] = [topic for topic in state.topics if topic.name == name]
    changed = change(topic)
    assert changed.partitions >= topic.partitions
    return replace(state, topics=(state.topics - {topic}) | {changed})


def _strange(found: State) -> bool:
    """Whether anything of what was found is marked for somebody else, or for nobody."""
    unmarked = {topic.name for topic in found.topics} - {claim.topic for claim in found.topic_claims}
    if not found.user_claims:
        unmarked |= found.logins | found.acls | found.quotas
    return bool(unmarked) or not all(claim.mark.admits(OWNER) for claim in found.user_claims | found.topic_claims)


def _plan(wanted: State, found: State) -> tuple[Action, ...] | None:
    """The steps, none where all is done but what never can be; None for a Conflict, which only a stranger makes."""
    try:
        return plan(wanted, found)
    except Rejected:
        return ()
    except Conflict:
        assert _strange(found)
        return None


@given(pairs())
def test_nothing_is_planned_from_a_state_to_itself(pair: tuple[State, State]) -> None:
    wanted, _ = pair
    assert plan(wanted, wanted) == ()


@given(pairs())
def test_a_plan_leads_to_what_can_be_reached(pair: tuple[State, State]) -> None:
    wanted, found = pair
    steps = _plan(wanted, found)
    if steps is None:
        return
    settled = settle(wanted, found)
    assert apply_to(found, steps) == settled
    assert _plan(wanted, settled) == ()


@given(pairs())
def test_what_can_be_reached_is_what_is_wanted_where_nothing_else_is_marked_and_nothing_shrinks(
    pair: tuple[State, State],
) -> None:
    wanted, found = pair
    named = {topic.name for topic in wanted.topics}
    found = replace(
        found,
        topics=frozenset(topic for topic in found.topics if topic.name in named),
        topic_claims=frozenset(claim for claim in found.topic_claims if claim.topic in named),
    )
    has = {topic.name: topic.partitions for topic in found.topics}
    if wanted.phase is Phase.ACTIVE and all(topic.partitions >= has.get(topic.name, 0) for topic in wanted.topics):
        assert settle(wanted, found) == wanted
        assert not [step for step in _plan(wanted, found) or () if isinstance(step, actions.Refuse)]


@given(pairs(), st.data())
def test_a_plan_cut_off_anywhere_is_made_good_by_the_next(pair: tuple[State, State], data: st.DataObject) -> None:
    wanted, found = pair
    steps = _plan(wanted, found)
    if steps is None:
        return
    done = steps[: data.draw(st.integers(0, len(steps)))]
    half = apply_to(found, done)
    again = _plan(wanted, half)
    assert again is not None
    reached = apply_to(half, again)
    assert reached == settle(wanted, half)
    assert replace(reached, topic_claims=frozenset()) == replace(settle(wanted, found), topic_claims=frozenset())
    if (
        wanted.logins
        and found.user_claims != wanted.user_claims
        and not any(isinstance(step, actions.SetLogin) for step in done)
    ):
        assert [step for step in again if isinstance(step, actions.SetLogin)]


@given(pairs())
def test_a_plan_names_nothing_that_is_not_marked_as_the_tenants(pair: tuple[State, State]) -> None:
    wanted, found = pair
    steps = _plan(wanted, found) or ()
    held = wanted.phase in (Phase.ACTIVE, Phase.SUSPENDED)

    def ours(mark: Mark) -> bool:
        return mark.admits(OWNER) if held else mark.owner == OWNER

    def opens(mark: Mark) -> bool:
        return mark.admits(OWNER) if held else mark.owner.hub == OWNER.hub

    existing = {topic.name for topic in found.topics}
    for name in _topics_touched(steps) & existing:
        claims = [claim for claim in found.topic_claims if claim.topic == name]
        assert claims
        assert all(ours(claim.mark) for claim in claims)
    if any(
        isinstance(
            step, actions.AddAcls | actions.RemoveAcls | actions.SetLogin | actions.DropLogins | actions.SetQuotas
        )
        for step in steps
    ):
        assert all(opens(claim.mark) for claim in found.user_claims)
        # What our own relay may do with the tenant's topics bears the relay's name: that is its mark.
        assert found.user_claims or not (found.acls or found.logins or found.quotas)
    for step in steps:
        if isinstance(step, actions.RemoveMarks):
            assert all(opens(claim.mark) for claim in step.users)
            assert all(ours(claim.mark) for claim in step.topics)


def _topics_touched(steps: tuple[Action, ...]) -> set[str]:
    touched: set[str] = set()
    for step in steps:
        match step:
            case actions.CreateTopics():
                touched |= {topic.name for topic in step.topics}
            case actions.DeleteTopics():
                touched |= set(step.topics)
            case actions.AddPartitions() | actions.Configure():
                touched.add(step.topic)
            case _:
                pass
    return touched


@given(pairs())
def test_a_mark_is_written_before_what_it_marks_and_removed_after_it(pair: tuple[State, State]) -> None:
    kinds = [type(step) for step in _plan(*pair) or ()]
    if actions.WriteMarks in kinds:
        assert kinds[0] is actions.WriteMarks
    if actions.RemoveMarks in kinds:
        assert [kind for kind in kinds if kind is not actions.Refuse][-1] is actions.RemoveMarks


@given(pairs())
def test_a_step_prints_as_a_sentence_without_the_password(pair: tuple[State, State]) -> None:
    for step in _plan(*pair) or ():
        assert PASSWORD not in f"{step} {step!r}"
        assert str(step)[0].isupper()
        assert not str(step).endswith(".") or isinstance(step, actions.AddAcls | actions.RemoveAcls)


@given(st.one_of(user_claims, topic_claims))
def test_a_mark_is_read_as_it_was_written(claim: UserClaim | TopicClaim) -> None:
    assert codes.claim(codes.claim_numbers("green", claim)[3]) == claim


@given(st.sampled_from(ACLS))
def test_an_acl_is_read_as_it_was_written(acl: Acl) -> None:
    assert codes.acl(codes.acl_numbers("tenant-green", acl)) == acl


@pytest.mark.parametrize(
    "principal",
    ["User:tenant-green", "MatrixHub:", "MatrixHub:hub", "MatrixHub:hub/uid/topic/x", "MatrixHub:hub/uid/topic/x/many",
     "MatrixHub:hub//user/x", "MatrixHub:hub/uid/other/x", "Other:hub/uid/user/x"],
)  # fmt: skip
def test_a_strange_principal_is_no_mark(principal: str) -> None:
    assert codes.claim(principal) is None
