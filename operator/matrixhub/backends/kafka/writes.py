"""Many tenants' plans carried out, each kind of step in as few requests as Kafka takes it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from matrixhub.backends.contract import Applied
from matrixhub.backends.kafka import codes, requests
from matrixhub.backends.kafka.actions import (
    Action,
    AddAcls,
    AddPartitions,
    Configure,
    CreateTopics,
    DeleteGroups,
    DeleteTopics,
    DropLogins,
    Refuse,
    RemoveAcls,
    RemoveMarks,
    SetLogin,
    SetQuotas,
    WriteMarks,
)
from matrixhub.backends.kafka.looks import Look
from matrixhub.backends.kafka.reads import describe_topics
from matrixhub.backends.kafka.session import Session, chunks, metadata
from matrixhub.errors import BackendError, Rejected, Transient

MOST = 2000
"""ACLs, logins, configs, new partitions in one request.

The controller takes up to 10,000 records for one; opening a partition's log takes the broker about a millisecond, so
a request ends well within its time.
"""
WAIT_SECONDS = 30.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.2

A = TypeVar("A")
Item = tuple[str, Any]
"""A tenant's id, and one thing to do for it."""


def write(session: Session, plans: Mapping[str, Sequence[Action]]) -> dict[str, Applied]:
    """What became of each tenant's plan, once its topics can be used by its clients.

    A tenant whose marks could not be written gets nothing else; any other failure leaves its other steps to be done,
    except that marks are removed only when all went well.
    """
    return _Writing(session, plans).done()


def _weighed(items: Sequence[Item], weight: Callable[[Any], int]) -> Iterator[list[Item]]:
    """The items in order, in lists that weigh at most `MOST` (or hold a single item that weighs more)."""
    chunk: list[Item] = []
    load = 0
    for item in items:
        if chunk and load + weight(item[1]) > MOST:
            yield chunk
            chunk, load = [], 0
        chunk.append(item)
        load += weight(item[1])
    if chunk:
        yield chunk


class _Writing:
    """Plans on their way, stage by stage; `_errors` holds each tenant's first failure."""

    def __init__(self, session: Session, plans: Mapping[str, Sequence[Action]]) -> None:
        self._session = session
        self._plans = plans
        self._blocked: frozenset[str] = frozenset()
        self._errors: dict[str, BackendError] = {}
        self._last: Look | None = None

    def done(self) -> dict[str, Applied]:
        self._do(requests.CREATE_ACLS, [(t, mark) for t, s in self._steps(WriteMarks) for mark in _marks(s)])
        self._blocked = frozenset(self._errors)
        self._change_user()
        self._change_topics()
        self._do(requests.CREATE_ACLS, self._new_acls(denials=False))
        self._delete_groups()
        self._blocked = frozenset(self._errors)
        self._do(requests.DELETE_ACLS, [(t, mark) for t, s in self._steps(RemoveMarks) for mark in _marks(s)])
        self._wait_for_last()
        self._wait_for_topics()
        for tenant, step in self._steps(Refuse):
            self._fail(tenant, Rejected(step.reason, step.message))
        return {tenant: Applied(self._errors.get(tenant)) for tenant in self._plans}

    def _steps(self, kind: type[A]) -> list[tuple[str, A]]:
        """Each step of this kind with its tenant, of all tenants that may still go on."""
        return [
            (tenant, step)
            for tenant, steps in self._plans.items()
            if tenant not in self._blocked
            for step in steps
            if isinstance(step, kind)
        ]

    def _fail(self, tenant: str, error: BackendError) -> None:
        self._errors.setdefault(tenant, error)

    def _do(self, kind: requests.Kind, items: Sequence[Item]) -> None:
        for chunk in _weighed(items, kind.weight):
            [answer] = self._session.send([kind.request([thing for _, thing in chunk])])
            pairs = list(kind.pairs([thing for _, thing in chunk], answer))
            for (tenant, _), (thing, result) in zip(chunk, pairs, strict=True):
                self._judge(tenant, kind, thing, result)
            done = [thing for thing, result in pairs if not result.error_code]
            if done and kind.visible:
                self._last = kind.visible(done[-1])

    def _judge(self, tenant: str, kind: requests.Kind, thing: Any, result: Any) -> None:
        if result.error_code in kind.fine:
            return
        if result.error_code in kind.again:
            self._fail(tenant, Transient("Changed", f"kafka changed under us when {kind.doing(thing)}", 0.5))
        elif problem := self._session.problem(result, kind.doing(thing)):
            self._fail(tenant, problem)

    def _new_acls(self, *, denials: bool) -> list[Item]:
        return [
            (tenant, codes.acl_numbers(step.user, acl))
            for tenant, step in self._steps(AddAcls)
            for acl in step.acls
            if (acl.permission == "deny") is denials
        ]

    def _change_user(self) -> None:
        self._do(requests.CREATE_ACLS, self._new_acls(denials=True))
        removed = [(t, codes.acl_numbers(s.user, acl)) for t, s in self._steps(RemoveAcls) for acl in s.acls]
        self._do(requests.DELETE_ACLS, removed)
        dropped = [(t, (s.user, mechanism)) for t, s in self._steps(DropLogins) for mechanism in s.mechanisms]
        self._do(requests.DROP_LOGINS, dropped)
        self._do(requests.SET_QUOTAS, [(t, change) for t, s in self._steps(SetQuotas) for change in s.changes()])
        self._do(requests.SET_LOGINS, self._steps(SetLogin))

    def _change_topics(self) -> None:
        new = [
            (tenant, requests.NewTopic(topic, step.replicas))
            for tenant, step in self._steps(CreateTopics)
            for topic in step.topics
        ]
        self._do(requests.CREATE_TOPICS, new)
        self._do(requests.ADD_PARTITIONS, self._steps(AddPartitions))
        self._do(requests.CONFIGURE, self._steps(Configure))
        self._do(requests.DELETE_TOPICS, [(t, name) for t, s in self._steps(DeleteTopics) for name in s.topics])

    def _delete_groups(self) -> None:
        """Each group is deleted by the broker that coordinates it."""
        owners = {group: tenant for tenant, step in self._steps(DeleteGroups) for group in step.groups}
        by_broker: dict[int, list[str]] = defaultdict(list)
        for answer in self._session.send(
            [
                metadata.FindCoordinatorRequest(key_type=codes.GROUP_COORDINATOR, coordinator_keys=chunk, min_version=4)
                for chunk in chunks(sorted(owners), MOST)
            ]
        ):
            for found in answer.coordinators:
                if problem := self._session.problem(found, f"finding the coordinator of group {found.key}"):
                    self._fail(owners[found.key], problem)
                else:
                    by_broker[found.node_id].append(found.key)
        pairs = [
            (requests.DELETE_GROUPS.request(chunk), broker)
            for broker, groups in by_broker.items()
            for chunk in chunks(groups, MOST)
        ]
        for answer in self._session.send_to(pairs):
            for result in answer.results:
                self._judge(owners[result.group_id], requests.DELETE_GROUPS, result.group_id, result)

    def _wait_for_last(self) -> None:
        """The broker shows the last change that was made.

        A request ends when the controller has written the change down. Brokers read that log in order, a moment later
        (seconds, after hundreds of new topics), and put ACLs into force last of all: a tenant is let in when
        everything is there for it, and shut out when this returns.
        """
        if self._last is None:
            return
        request, check = self._last

        def shown() -> bool:
            [answer] = self._session.send([request])
            return check(answer)

        if not _await(shown):
            late = Transient("NotYetInForce", "kafka's brokers have not yet read what was changed")
            for tenant, steps in self._plans.items():
                if steps:
                    self._fail(tenant, late)

    def _wait_for_topics(self) -> None:
        """All partitions of new topics have leaders, and deleted topics are shown no more."""
        partitions = {
            **{topic.name: (t, topic.partitions) for t, s in self._steps(CreateTopics) for topic in s.topics},
            **{step.topic: (tenant, step.partitions) for tenant, step in self._steps(AddPartitions)},
            **{name: (tenant, 0) for tenant, step in self._steps(DeleteTopics) for name in step.topics},
        }
        pending = {name for name, (tenant, _) in partitions.items() if tenant not in self._errors}

        def done() -> bool:
            for topic in describe_topics(self._session, pending):
                if _led(topic) == partitions[topic.name][1]:
                    pending.discard(topic.name)
            return not pending

        if pending and not _await(done):
            for name in pending:
                message = f"kafka has not yet carried out the change of topic {name}"
                self._fail(partitions[name][0], Transient("TopicsNotReady", message))


def _await(done: Callable[[], bool]) -> bool:
    """Whether it was done within `WAIT_SECONDS`, asked more and more rarely."""
    deadline = time.monotonic() + WAIT_SECONDS
    pause = FIRST_PAUSE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
    return True


def _marks(step: WriteMarks | RemoveMarks) -> Iterator[codes.Numbers]:
    for user in step.users:
        yield codes.claim_numbers(step.user, user)
    for topic in step.topics:
        yield codes.claim_numbers(step.user, topic)


def _led(topic: Any) -> int:
    """How many partitions of the topic have a leader; 0 when there is no such topic."""
    return 0 if topic.error_code else sum(1 for partition in topic.partitions if partition.leader_id >= 0)
