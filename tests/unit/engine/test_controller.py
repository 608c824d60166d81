"""The controller: who is worked on when, and what the world is told, whatever order things happen in."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.engine.stage import MAIN, Stage, play

from matrixhub.api import naming
from matrixhub.backends.contract import Credential, Phase, Survey
from matrixhub.engine import controller
from matrixhub.errors import Conflict, Rejected, Transient

Scene = Callable[[Stage], None]
FOREIGN = "somebody/else"


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(scene: Scene, cluster: tuple[str, ...] = ("redis", "kafka")) -> None:
        play(monkeypatch, scene, cluster)

    return put


def test_nothing_is_made_before_the_finalizer_whoever_asks(on):
    def scene(stage: Stage) -> None:
        stage.tenant(finalizers=[])
        assert not stage.queued("namespace")
        assert not stage.may("namespace")
        stage.written()
        assert stage.queued("namespace") == ["a"]
        assert stage.may("namespace")

    on(scene)


def test_the_namespace_goes_first_and_the_others_follow_once(on):
    def scene(stage: Stage) -> None:
        stage.tenant()
        assert stage.queued("namespace") == ["a"]
        assert not stage.queued("redis")
        assert not stage.may("redis")
        stage.rest()
        stage.ends("namespace")
        assert stage.queued("redis") == stage.queued("kafka") == ["a"]
        stage.rest()
        stage.ends("namespace", actions=("Repaired it",))
        assert not stage.queued("redis")
        stage.ends("redis", "kafka")
        assert stage.condition()["status"] == "True"

    on(scene)


def test_a_backend_that_is_another_service_now_begins_with_the_credentials_for_it(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        assert stage.may("namespace"), "which makes the credentials"
        stage.cluster("redis", "kafka", generation=2)
        assert stage.may("redis")
        stage.known("redis", Credential("of the former service", "secret"))
        stage.cluster("redis", "kafka", generation=3)
        assert not stage.may("redis")
        assert stage.may("namespace")
        stage.ends("namespace")
        assert stage.intent("redis").credential.username == "a"

    on(scene)


def test_the_scaler_is_told_who_is_suspended(on):
    def scene(stage: Stage) -> None:
        stage.tenant("a")
        stage.tenant("b", spec={"suspended": True})
        told = stage.controller.clusters._scaler._tenants  # noqa: SLF001 - no door to it from outside
        assert told(MAIN) == {"a": Phase.ACTIVE, "b": Phase.SUSPENDED}
        stage.tenant("b", generation=2)
        assert told(MAIN) == {"a": Phase.ACTIVE, "b": Phase.ACTIVE}

    on(scene)


IN_THE_WAY = Conflict("Secret redis is in the way", "somebody")


def restarted(stage: Stage, **spec: Any) -> None:
    """Another operator sees the Tenant for the first time, whose owner has put a Secret in the way meanwhile."""
    stage.controller.roster.entries.clear()
    stage.tenant(generation=2, spec=spec, initial=True)
    assert stage.intent("namespace")
    assert not stage.may("redis"), "its credentials may yet be read"
    stage.ends("namespace", error=IN_THE_WAY)


@pytest.mark.parametrize("suspended", [True, False])
def test_a_secret_in_the_way_keeps_no_door_open_and_no_limit_high(on, suspended):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        restarted(stage, suspended=suspended)
        assert stage.queued("redis") == stage.queued("kafka") == ["a"]
        assert list(stage.worker("redis")._desk.members()) == ["a"], "drift is repaired, too"  # noqa: SLF001 - no door to it from outside
        assert stage.intent("redis").phase is (Phase.SUSPENDED if suspended else Phase.ACTIVE)
        assert stage.intent("redis").credential
        stage.ends("redis", "kafka")
        assert stage.condition("RedisReady")["status"] == "True"
        assert stage.condition()["reason"] == "Conflict"

    on(scene)


def test_a_secret_in_the_way_of_a_new_backend_holds_up_none(on):
    def scene(stage: Stage) -> None:
        stage.tenant()
        stage.ends("namespace", "redis", actions=("Made it",))
        stage.written()
        stage.cluster("redis", "kafka", generation=2)
        assert not stage.may("redis")
        assert stage.intent("namespace")
        stage.ends("namespace", error=IN_THE_WAY)
        assert stage.may("redis")
        assert stage.may("kafka")

    on(scene, ("redis",))


def test_a_new_tenant_without_a_namespace_has_nothing_made_but_is_shut_where_it_is_suspended(on):
    """Its name may have been another's, whose doors are open yet."""

    def scene(stage: Stage) -> None:
        stage.tenant()
        assert stage.intent("namespace")
        stage.ends("namespace", error=IN_THE_WAY)
        assert not stage.may("redis")
        stage.tenant(generation=2, spec={"suspended": True})
        stage.ends("namespace", error=IN_THE_WAY)
        assert stage.may("redis")

    on(scene)


def test_where_the_credentials_could_not_even_be_read_nothing_is_changed(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.controller.roster.entries.clear()
        stage.controller._credentials.forget("a")  # noqa: SLF001 - as of another operator
        stage.tenant(generation=2, initial=True)
        stage.ends("namespace", error=Transient("KubernetesBusy", "later"))
        assert not stage.may("redis")
        assert not stage.queued("redis")

    on(scene)


def test_an_edit_makes_ready_unknown_until_all_have_answered_for_it(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.tenant(generation=2)
        assert {len(stage.queued(backend)) for backend in ("namespace", "redis", "kafka")} == {1}
        stage.ends("namespace", "redis")
        assert (stage.condition()["status"], stage.condition()["observedGeneration"]) == ("Unknown", 2)
        stage.ends("kafka")
        assert stage.condition()["status"] == "True"

    on(scene)


def test_a_finalizer_that_was_set_while_the_tenant_was_deleted_does_not_pass_for_one_taken_away(on):
    def scene(stage: Stage) -> None:
        stage.tenant(finalizers=[])
        writes = stage.composed()
        stage.deleted()
        stage.written(writes=writes)
        assert "a" in stage.controller.roster.entries
        assert stage.may("redis")

    on(scene)


def test_deletion_keeps_the_namespace_until_all_others_are_done_whoever_asks(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.deleted()
        stage.controller.owned_changed("a")
        assert not stage.may("namespace")
        stage.ends("redis")
        stage.ends("kafka", error=Transient("Unreachable", "away"))
        assert not stage.may("namespace")
        stage.rest()
        stage.ends("kafka")
        assert stage.queued("namespace") == ["a"]
        assert stage.may("namespace")
        stage.ends("namespace")
        assert stage.composed().farewell["metadata"]["finalizers"] is None
        stage.written()
        assert "a" not in stage.controller.roster.entries

    on(scene)


def test_the_finalizer_goes_whoever_set_it_and_nobody_elses_with_it(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.deleted(finalizers=[FOREIGN, naming.FINALIZER])
        stage.ends("redis", "kafka")
        stage.ends("namespace")
        said = stage.composed().farewell["metadata"]
        assert said["finalizers"] == [FOREIGN]
        assert (said["uid"], said["resourceVersion"]) == ("uid-a", str(stage.version)), "of what was seen, no other"

    on(scene)


def test_what_goes_with_a_namespace_makes_nobody_look_again_but_the_namespaces_end_does(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.controller.owned_changed("a")
        assert stage.queued("namespace") == ["a"], "a living tenant's is made again"
        stage.rest()
        stage.deleted(spec={"deletionPolicy": "Delete"})
        stage.ends("redis", "kafka")
        stage.rest()
        stage.ends("namespace", error=Transient("Deleting", "its namespace still goes"))
        stage.controller.owned_changed("a")
        assert not stage.queued("namespace")
        stage.controller.owned_changed("a", ended=True)
        assert stage.queued("namespace") == ["a"]

    on(scene)


def test_deletion_with_another_policy_begins_anew(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.deleted()
        stage.ends("redis", "kafka")
        stage.deleted(generation=3, spec={"deletionPolicy": "Delete"})
        assert not stage.may("namespace")
        assert stage.intent("redis").phase is Phase.DELETED

    on(scene)


def test_where_a_tenant_has_had_its_share_is_told_and_known_to_the_next_operator(on):
    def scene(stage: Stage) -> None:
        stage.tenant()
        stage.ends("namespace", "redis")
        stage.ends("kafka", error=Transient("Away", "away"))
        assert stage.status()["shares"] == ["namespace", "redis"]
        stage.written()
        stage.controller.roster.entries.clear()
        stage.deleted(spec={"deletionPolicy": "Delete"})
        assert stage.intent("redis").held
        assert not stage.intent("kafka").held

    on(scene)


def test_what_a_tenant_never_had_is_told_when_it_goes(on):
    def scene(stage: Stage) -> None:
        stage.tenant()
        stage.ends("namespace", "redis")
        stage.deleted(spec={"deletionPolicy": "Delete"})
        stage.ends("redis", "kafka", "namespace")
        writes = stage.composed()
        assert writes.farewell is not None
        assert [(event["reason"], event["message"].partition(":")[0]) for event in writes.events] == [
            ("DataKept", "kafka")
        ]

    on(scene)


def test_a_tenant_waits_for_a_service_that_was_taken_out_with_its_share_in_it(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.cluster("redis", generation=2)
        stage.ends("namespace", "redis")
        assert stage.condition("KafkaReady")["reason"] == "ServiceMissing"
        assert stage.condition("Stalled")["status"] == "True"
        stage.deleted(spec={"deletionPolicy": "Delete"})
        stage.ends("redis")
        assert not stage.may("namespace")
        assert stage.composed().farewell is None
        stage.cluster("redis", "kafka", generation=3)
        stage.ends("redis", "kafka")
        assert stage.may("namespace")

    on(scene)


def test_a_service_that_was_given_up_is_waited_for_no_longer(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.cluster("redis", generation=2, spec={"abandoned": ["kafka"]})
        stage.ends("namespace", "redis")
        assert not stage.condition("KafkaReady")
        assert stage.condition()["status"] == "True"
        stage.deleted(spec={"deletionPolicy": "Delete"})
        stage.ends("redis")
        assert stage.may("namespace")

    on(scene)


def test_who_lost_its_finalizer_to_somebody_is_left_alone(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.deleted(finalizers=[FOREIGN], spec={"deletionPolicy": "Delete"})
        assert not stage.may("redis")
        assert not stage.queued("redis")

    on(scene)


def test_a_successor_of_the_same_name_is_not_taken_for_the_one_before(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.deleted()
        late = stage.resources["a"]
        stage.resources.clear()
        stage.tenant(uid="second", finalizers=[])
        stage.controller.tenant_seen(late, initial=False)
        stage.controller.tenant_gone("a", "uid-a")
        assert stage.controller.roster.entries["a"].tenant.metadata.uid == "second"
        stage.written()
        assert stage.condition()["status"] == "Unknown"

    on(scene)


def test_without_its_cluster_a_tenant_says_so_and_can_be_deleted_at_once(on):
    def scene(stage: Stage) -> None:
        stage.tenant(finalizers=[])
        assert stage.composed().finalizer is None
        assert stage.condition()["reason"] == "ClusterNotFound"
        stage.cluster("redis")
        stage.written()
        assert stage.queued("namespace") == ["a"]

    on(scene, ())


def test_the_finalizer_is_written_at_once_and_the_first_status_with_what_is_known_a_second_later(on):
    def scene(stage: Stage) -> None:
        stage.tenant(finalizers=[])
        first = stage.composed()
        assert (first.finalizer is not None, first.status) == (True, None)
        stage.written()
        assert "Tenant/a" in stage.writing()
        stage.ends("namespace", "redis", "kafka")
        assert stage.composed().finalizer is None
        assert stage.condition()["status"] == "True"

    on(scene)


def test_the_echo_of_our_own_write_is_not_read_again_and_an_edit_that_came_with_it_is(on):
    def scene(stage: Stage) -> None:
        stage.tenant(finalizers=[])
        stage.written()
        stage.rest()
        known = stage.controller.roster.entries["a"].tenant
        stage.controller.tenant_seen(stage.resources["a"], initial=False)
        assert stage.controller.roster.entries["a"].tenant is known
        body = stage.resources["a"]
        edited = {
            **body,
            "metadata": {**body["metadata"], "generation": 2},
            "spec": {**body["spec"], "suspended": True},
        }
        stage.controller.tenant_seen(edited, initial=False)
        assert stage.controller.roster.entries["a"].phase is Phase.SUSPENDED

    on(scene)


def test_the_secrets_of_a_tenant_that_was_just_made_are_not_looked_for(on):
    def scene(stage: Stage) -> None:
        asked: list[str] = []
        stage.controller._credentials._vault.read = lambda ids: asked.extend(ids) or {}  # noqa: SLF001 - no door to it from outside
        stage.tenant("new", finalizers=[])
        stage.written("new")
        stage.tenant("listed", finalizers=[], initial=True)
        stage.written("listed")
        stage.tenant("old")
        for name in ("new", "listed", "old"):
            assert stage.intent("namespace", name)
        assert asked == ["listed", "old"]

    on(scene)


def test_a_deleted_tenant_whose_cluster_is_gone_waits_and_says_how_to_end_it(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.controller.clusters.gone(MAIN, "c")
        stage.deleted()
        assert stage.composed().farewell is None
        assert stage.condition()["reason"] == "Terminating"
        assert naming.FINALIZER in stage.condition()["message"]
        stage.cluster("redis", "kafka", uid="d")
        assert stage.queued("redis") == ["a"]

    on(scene)


def test_a_cluster_made_anew_owes_its_tenants_everything(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.cluster("redis", "kafka", uid="d")
        stage.controller.clusters.gone(MAIN, "c")
        assert stage.condition()["status"] == "Unknown"
        assert stage.queued("namespace") == ["a"]
        stage.ends("namespace", "redis", "kafka", actions=("Made it",))
        assert stage.condition()["status"] == "True"
        assert "drift" not in stage.status()

    on(scene)


def test_a_backend_that_is_new_waits_for_its_credential(on):
    def scene(stage: Stage) -> None:
        stage.tenant()
        stage.ends("namespace", "redis")
        stage.rest()
        stage.cluster("redis", "kafka", generation=2)
        assert not stage.may("kafka")
        stage.may("namespace")
        stage.ends("namespace")
        assert stage.queued("kafka") == ["a"]
        assert stage.intent("kafka").credential is not None

    on(scene, ("redis",))


def test_a_backend_that_is_gone_holds_nobody_back(on):
    def scene(stage: Stage) -> None:
        stage.tenant()
        stage.ends("namespace", "redis")
        stage.ends("kafka", error=Rejected("TooMany", "ask for fewer"))
        assert stage.condition("Stalled")
        stage.cluster("redis", generation=2)
        stage.ends("namespace", "redis")
        assert stage.condition()["status"] == "True"
        assert stage.status()["observedClusterGeneration"] == 2
        stage.ends("redis", error=Transient("Busy", "later"))
        assert not stage.condition("Stalled")

    on(scene)


def test_drift_is_told_once_with_its_status(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        assert "drift" not in stage.resources["a"]["status"]
        stage.ends("redis", actions=("Set the user",))
        writes = stage.composed()
        assert [event["message"] for event in writes.events] == ["redis: Set the user"]
        assert stage.composed().events, "what failed to be written is told with the next write"
        stage.written()
        assert not stage.composed().events

    on(scene)


def test_a_credential_that_a_backend_issued_is_no_drift_of_the_namespace(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.ends("redis", issued=Credential("key", "secret"), actions=("Issued a key",))
        assert stage.queued("namespace") == ["a"]
        stage.ends("namespace", actions=("Wrote the Secret",))
        assert [each["backend"] for each in stage.status()["drift"]] == ["redis"]

    on(scene)


def test_another_authority_reaches_all_secrets_and_is_no_drift(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        plane = stage.controller.roster.planes[MAIN]
        plane.bound["redis"], plane.authorities["redis"] = "old", "new"
        stage.survey("redis", Survey("7"))
        assert stage.queued("namespace") == ["a"]
        stage.ends("namespace", actions=("Wrote the Secret",))
        assert not stage.composed().events
        stage.rest()
        stage.survey("redis", Survey("7"))
        assert not stage.queued("namespace")
        stage.ends("namespace", actions=("Undid a change",))
        assert [each["message"] for each in stage.status()["drift"]] == ["Undid a change"]

    on(scene)


def test_after_another_authority_that_changed_nothing_a_repair_is_drift_again(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        plane = stage.controller.roster.planes[MAIN]
        plane.bound["redis"], plane.authorities["redis"] = "old", "new"
        stage.survey("redis", Survey("7"))
        stage.ends("namespace")
        stage.ends("namespace", actions=("Undid a change",))
        assert stage.status()["drift"]

    on(scene)


def test_a_look_that_finds_nothing_new_composes_nothing(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        stage.controller.registrar.forget("Tenant/a")
        stage.ends("namespace", "redis", "kafka")
        assert "Tenant/a" not in stage.writing()

    on(scene)


def test_after_a_restart_a_look_at_what_is_settled_is_no_drift_and_a_repair_is(on):
    def scene(stage: Stage) -> None:
        stage.onboarded()
        del stage.controller.roster.entries["a"]
        stage.tenant(initial=True)
        stage.ends("namespace", "redis")
        stage.ends("kafka", actions=("Set a quota",))
        assert [each["backend"] for each in stage.status()["drift"]] == ["kafka"]

    on(scene)


def test_an_older_generations_refusal_does_not_stall_the_new_one(on):
    def scene(stage: Stage) -> None:
        stage.tenant()
        stage.ends("namespace")
        stage.ends("kafka", error=Rejected("TooMany", "ask for fewer"))
        stage.tenant(generation=2)
        stage.ends("redis", error=Transient("Busy", "later"))
        assert stage.condition()["status"] == "False"
        assert not stage.condition("Stalled")

    on(scene)


def test_an_older_generations_refusal_does_not_stall_the_changed_realtimecluster(on):
    def stalled(stage: Stage) -> bool:
        conditions = stage.cluster_writes().status["status"]["conditions"]
        return any(condition["type"] == "Stalled" for condition in conditions)

    def scene(stage: Stage) -> None:
        stage.survey("redis", Rejected("AuthenticationFailed", "put the right password there"))
        assert stalled(stage)
        stage.cluster("redis", "kafka", generation=2)
        assert not stalled(stage)
        stage.survey("redis", Rejected("AuthenticationFailed", "put the right password there"))
        assert stalled(stage)

    on(scene)


def test_what_happened_to_a_realtimecluster_is_told_until_a_write_of_it_is_made(on):
    """The audit trail names the Event already when it is composed."""

    def scene(stage: Stage) -> None:
        composer, key = stage.controller._composer, f"RealtimeCluster/{MAIN}"  # noqa: SLF001 - no door to it from outside
        stage.survey("redis", Survey(version="7", repaired=("Set the user's rules",)))
        lost, written = composer.compose(key), composer.compose(key)
        assert [event["message"] for event in lost.events if event["reason"] == "Changed"]
        assert [event["message"] for event in written.events] == [event["message"] for event in lost.events]
        composer.told(written)
        assert not [event for event in composer.compose(key).events if event["reason"] == "Changed"]

    on(scene)


@pytest.mark.parametrize(
    ("delay", "backlog", "seconds"),
    [(1.0, 0, 1.0), (1.0, 20, 1.0), (1.0, 200, 10.0), (10.0, 200, 10.0), (10.0, 9999, 60.0)],
)
def test_in_a_crowd_it_takes_longer_until_a_tenant_says_that_all_is_well_so_far(
    delay: float, backlog: int, seconds: float
) -> None:
    assert controller.crowded(delay, backlog) == seconds
