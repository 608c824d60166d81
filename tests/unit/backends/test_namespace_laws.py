"""The laws of every backend, for the namespace: drawn states, drawn drift, and look-alikes in the way."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.draws import maps
from tests.support import NOWHERE, cluster, intent

from matrixhub.api import naming
from matrixhub.backends.contract import Intent, Mark, Owner, Phase
from matrixhub.backends.namespace.desired import desired
from matrixhub.backends.namespace.plan import Await, Change, Create, Refuse, Remove, Step, plan, settle
from matrixhub.backends.namespace.state import ROLES, SECRETS, Object, State, arranged, found, names
from matrixhub.errors import Conflict, Transient

STAND = NOWHERE | {
    "PGHOST": "10.0.0.1",
    "REDIS_HOST": "redis.cache.svc",
    "KAFKA_BOOTSTRAP": "kafka.example.org:9092",
    "S3_ENDPOINT": "https://s3.example.org",
}
ON = cluster(STAND)
US = Owner("hub", "uid-now")
BEFORE = Owner("hub", "uid-before")
STRANGERS = (None, Mark(Owner("other-hub", "uid-now")))

owners = maps(dict.fromkeys(("teachers", "staff", "parents"), ROLES)).map(
    lambda roles: [{"kind": "Group", "name": name, "role": role} for name, role in roles.items()]
)
display_names = st.sampled_from(["", "Green"])
compute = maps(dict.fromkeys(("requests.cpu", "limits.memory", "pods"), (1, "2", "1Gi")))
CONTENTS = [{}, {"type": "redis"}, {"username": "green", "password": "geheim: äöü"}, {"password": "\n"}]
secrets = maps(dict.fromkeys(SECRETS, CONTENTS))


@st.composite
def intents(draw: st.DrawFn, phases: tuple[Phase, ...] = tuple(Phase), owner: Owner = US) -> Intent:
    phase = phases[0] if len(phases) == 1 else draw(st.sampled_from(phases))
    spec: dict[str, Any] = {
        "owners": draw(owners),
        "compute": draw(compute),
        "displayName": draw(display_names),
    }
    wish = intent("green", ON, phase, owner=owner, **spec)
    return replace(wish, secrets=draw(secrets))


def drifted(content: str) -> str:
    """The content with one field more at the top, and one less."""
    fields = json.loads(content)
    for name in list(fields)[:1]:
        del fields[name]
    return json.dumps(fields | {"strange": {"deep": True}}, sort_keys=True)


kept = (Phase.ACTIVE, Phase.RETAINED)
formerly = (intents(kept) | intents(kept, owner=BEFORE)).map(desired)
fates = st.sampled_from(["kept", "missing", "drifted", "mark", "unlabelled"])


@st.composite
def observations(
    draw: st.DrawFn, marks: tuple[Mark | None, ...], *, house: tuple[Mark, ...] = (), terminating: bool = False
) -> State:
    """What was once wanted, with objects missing, changed by hand, of any of the marks; the Namespace of `house`'s."""
    once = draw(formerly)
    objects: list[Object] = []
    for each in once.objects:
        fate = draw(fates)
        if fate == "missing":
            continue
        if house and each.kind == "Namespace":
            each = replace(each, mark=draw(st.sampled_from(house)))  # noqa: PLW2901 - the same object, left by another
        elif fate == "mark":
            each = replace(each, mark=draw(st.sampled_from(marks)))  # noqa: PLW2901 - as above
        if fate == "drifted":
            each = replace(each, content=drifted(each.content))  # noqa: PLW2901 - the same object, changed by hand
        elif fate == "unlabelled":
            each = replace(each, labelled=False)  # noqa: PLW2901 - as above
        objects.append(replace(each, uid=f"uid of {each}", manifest=""))
    return State("green", US, arranged(objects), terminating="pods remain" if terminating else None)


def apply_to(state: State, steps: tuple[Step, ...]) -> State:
    """What a state becomes by the steps."""
    objects = {(each.kind, each.name): each for each in state.objects}
    for step in steps:
        if isinstance(step, Create):
            assert (step.object.kind, step.object.name) not in objects, "made over something that was there"
            objects[step.object.kind, step.object.name] = step.object
        elif isinstance(step, Change):
            assert objects[step.object.kind, step.object.name].uid == step.uid
            objects[step.object.kind, step.object.name] = step.object
        elif isinstance(step, Remove):
            del objects[step.object.kind, step.object.name]
            if step.object.kind == "Namespace":
                objects = {key: each for key, each in objects.items() if not each.namespace}
    return replace(state, objects=arranged(list(objects.values())))


OURS = (Mark(US), Mark(BEFORE), Mark(Owner("other-hub", "uid"), retained=True))
EARLIER = (Mark(BEFORE), Mark(BEFORE, retained=True), Mark(Owner("other-hub", "uid"), retained=True))
ours = observations(OURS)
mine = observations(OURS, house=(Mark(US), Mark(US, retained=True)))
left_by_another = observations(OURS, house=EARLIER)
anyones = observations((Mark(US), *STRANGERS))


def house_of(state: State) -> Object | None:
    return next((each for each in state.objects if each.kind == "Namespace"), None)


@given(intents())
def test_what_is_as_desired_needs_nothing(wish: Intent) -> None:
    assert plan(desired(wish), desired(wish)) == ()


@given(intents((Phase.ACTIVE, Phase.SUSPENDED)), ours)
def test_a_plan_leads_from_anything_of_ours_to_what_is_desired(wish: Intent, observed: State) -> None:
    wanted = desired(wish)
    assert apply_to(observed, plan(wanted, observed)) == wanted


@given(intents((Phase.DELETED,)), mine)
def test_deletion_leaves_nothing_of_ours(wish: Intent, observed: State) -> None:
    steps = plan(desired(wish), observed)
    left = apply_to(observed, steps)
    assert left == desired(wish)
    assert plan(desired(wish), left) == ()
    assert any(isinstance(step, Await) for step in steps) == (house_of(observed) is not None)


@given(intents((Phase.DELETED,)), left_by_another)
def test_deletion_spares_the_namespace_that_an_earlier_tenant_left(wish: Intent, observed: State) -> None:
    assume(house_of(observed) is not None)
    left = apply_to(observed, plan(desired(wish), observed))
    guards = ("Namespace", "NetworkPolicy", "LimitRange", "ResourceQuota")
    assert left.objects == tuple(each for each in observed.objects if each.kind in guards)
    assert plan(desired(wish), left) == ()


@given(intents((Phase.ACTIVE,)), left_by_another)
def test_a_namespace_that_an_earlier_tenant_left_is_taken_over_after_all_that_is_in_it(
    wish: Intent, observed: State
) -> None:
    assume(house_of(observed) is not None)
    *before, last = plan(desired(wish), observed)
    assert isinstance(last, Change)
    assert last.kind == "Namespace"
    assert not any(isinstance(step, Change) and step.kind == "Namespace" for step in before)


@given(intents((Phase.RETAINED,)), ours)
def test_retention_keeps_the_namespace_and_shuts_every_door(wish: Intent, observed: State) -> None:
    left = apply_to(observed, plan(desired(wish), observed))
    kinds = {each.kind for each in left.objects}
    assert not kinds & {"Secret", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    assert plan(desired(wish), left) == ()
    if house_of(observed) is None:
        assert left.objects == ()
    else:
        assert left.objects == desired(wish).objects
        assert [each.mark for each in left.objects if each.kind == "Namespace"] == [Mark(US, retained=True)]


@given(intents(), anyones)
def test_no_step_names_what_is_not_ours(wish: Intent, observed: State) -> None:
    strange = {(each.kind, each.name) for each in observed.objects if each.mark in STRANGERS}
    try:
        steps = plan(desired(wish), observed)
    except Conflict:
        assert strange
        return
    named = {(s.object.kind, s.object.name) for s in steps if isinstance(s, (Create, Change, Remove))}
    assert not named & strange
    assert strange <= {(each.kind, each.name) for each in apply_to(observed, steps).objects} or any(
        isinstance(step, Remove) and step.object.kind == "Namespace" for step in steps
    )


@given(intents((Phase.RETAINED, Phase.DELETED)), anyones)
def test_removal_never_fails_on_what_is_not_ours(wish: Intent, observed: State) -> None:
    steps = plan(desired(wish), observed)
    assert not any(isinstance(step, Refuse) for step in steps)
    left = apply_to(observed, steps)
    assert plan(desired(wish), left) == ()


@given(intents((Phase.ACTIVE,)), anyones)
def test_a_look_alike_inside_hinders_nothing_else(wish: Intent, observed: State) -> None:
    house = house_of(observed)
    if house is None or house.mark in STRANGERS:
        return
    wanted = desired(wish)
    strange = {(each.kind, each.name) for each in observed.objects if each.mark in STRANGERS}
    in_the_way = strange & {(each.kind, each.name) for each in wanted.objects}
    try:
        steps = plan(wanted, observed)
    except Conflict:
        steps = ()
        assert in_the_way
    assert any(isinstance(step, Refuse) for step in steps) or not in_the_way or not steps
    left = apply_to(observed, steps)
    assert {e for e in left.objects if (e.kind, e.name) not in strange} == {
        e for e in wanted.objects if (e.kind, e.name) not in strange
    }


@given(intents((Phase.ACTIVE,)), observations((Mark(US),), terminating=True))
def test_a_namespace_that_is_going_away_is_waited_for(wish: Intent, observed: State) -> None:
    with pytest.raises(Transient, match="pods remain"):
        plan(desired(wish), observed)


@given(intents((Phase.DELETED,)), observations((Mark(US),), house=(Mark(US),), terminating=True))
def test_a_namespace_that_is_going_away_is_not_deleted_twice(wish: Intent, observed: State) -> None:
    steps = plan(desired(wish), observed)
    assert not any(isinstance(step, Remove) and step.object.kind == "Namespace" for step in steps)
    assert any(isinstance(step, Await) for step in steps) == (house_of(observed) is not None)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(intents((Phase.ACTIVE, Phase.RETAINED), owner=BEFORE), intents((Phase.ACTIVE, Phase.RETAINED)))
def test_a_change_makes_of_any_former_object_the_wanted_one(former: Intent, wish: Intent) -> None:
    there = {(each.kind, each.name): json.loads(each.manifest) for each in desired(former).objects}
    for wanted in desired(wish).objects:
        manifest = there.get((wanted.kind, wanted.name))
        if manifest is None:
            continue
        manifest["metadata"]["uid"] = "its uid"
        before = found(manifest, "green", US)
        for step in settle(US, wanted, before, None):
            if isinstance(step, Change):
                patch = json.loads(step.patch)
                assert patch["metadata"]["uid"] == "its uid", "only this object, not one made since"
                assert found(merged(manifest, patch), "green", US) == wanted
            else:
                assert step in (Remove(before), Create(wanted))
                assert any(manifest.get(key) != json.loads(wanted.manifest).get(key) for key in ("type", "roleRef"))


def test_doors_open_last_and_shut_first() -> None:
    owners = [{"kind": "User", "name": "head", "role": "admin"}]
    wish = replace(intent("green", ON, owner=US, owners=owners, compute={"secrets": 5}), secrets={"redis": {}})
    wanted = desired(wish)
    made = [step.object.kind for step in plan(wanted, State("green", US)) if isinstance(step, Create)]
    assert made == [
        "Namespace",
        "NetworkPolicy",
        "LimitRange",
        "Secret",
        "ResourceQuota",
        "RoleBinding",
        "ClusterRole",
        "ClusterRoleBinding",
    ]
    retained = desired(replace(wish, phase=Phase.RETAINED, secrets={}))
    gone = [step.object.kind for step in plan(retained, wanted) if isinstance(step, Remove)]
    assert gone == ["ClusterRoleBinding", "ClusterRole", "RoleBinding", "Secret"]


@given(intents((Phase.ACTIVE,)))
def test_no_secret_is_shown(wish: Intent) -> None:
    password = "correct-horse-battery-staple-0123456789"
    wish = replace(wish, secrets={"postgres": {"type": "postgresql", "password": password}})
    wanted = desired(wish)
    drift = replace(wanted, objects=tuple(replace(e, content=drifted(e.content)) for e in wanted.objects))
    for steps in (plan(wanted, State("green", US)), plan(wanted, drift)):
        shown = repr(steps) + "".join(map(str, steps)) + repr(wanted)
        assert "battery" not in shown
        assert "Y29ycmVjd" not in shown, "nor its base64"


def test_every_name_is_known_and_one_place_decides_it() -> None:
    assert names("green")["Namespace"] == (naming.namespace("green"),)
    wish = replace(intent("green", ON), secrets={"mysql": {}})
    with pytest.raises(ValueError, match="mysql"):
        desired(wish)
