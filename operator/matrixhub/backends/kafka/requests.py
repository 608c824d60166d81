"""Requests that do many things at once, and how their answers are read: one value for each kind of request."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matrixhub.backends.kafka import codes, looks
from matrixhub.backends.kafka.actions import AddPartitions, Configure, QuotaChange
from matrixhub.backends.kafka.looks import Look, quota_name
from matrixhub.backends.kafka.session import REQUEST_MILLISECONDS, messages
from matrixhub.backends.kafka.state import ALL_CLIENTS, DEFAULT_CLIENT, Topic

_SET, _REMOVE = 0, 1
_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_SALT_BYTES = 24

Thing = Any
"""What one item of a request is made from; each kind of request says what it takes."""


@dataclass(frozen=True)
class Kind:
    """One kind of request: `request` takes things, and the answer has one result for each.

    Results are found by name, or by position where `name` is None. Codes in `fine` mean that the thing was done before,
    codes in `again` that the tenant is to be looked at anew. `doing` completes "Kafka refused when <doing>".
    `visible` gives the look that shows whether the broker that is asked has read of the thing.
    """

    request: Callable[[Sequence[Thing]], Any]
    results: Callable[[Any], Sequence[Any]]
    doing: Callable[[Thing], str]
    name: Callable[[Thing], str] | None = None
    named: Callable[[Any], str] = lambda result: str(result.name)
    fine: frozenset[int] = frozenset()
    again: frozenset[int] = frozenset()
    weight: Callable[[Thing], int] = lambda _: 1
    visible: Callable[[Thing], Look] | None = None

    def pairs(self, things: Sequence[Thing], answer: Any) -> Iterable[tuple[Thing, Any]]:
        """Each thing with its result."""
        results = self.results(answer)
        if self.name is None:
            return zip(things, results, strict=True)
        by_name = {self.named(result): result for result in results}
        return ((thing, by_name[self.name(thing)]) for thing in things)


@dataclass(frozen=True)
class NewTopic:
    """A topic to be made, with so many replicas of each partition."""

    topic: Topic
    replicas: int


def _create_acls(things: Sequence[codes.Numbers]) -> Any:
    return messages.CreateAclsRequest(
        creations=[messages.CreateAclsRequest.AclCreation(*numbers) for numbers in things]
    )


def _delete_acls(things: Sequence[codes.Numbers]) -> Any:
    return messages.DeleteAclsRequest(
        filters=[messages.DeleteAclsRequest.DeleteAclsFilter(*numbers) for numbers in things]
    )


def _set_logins(things: Sequence[Any]) -> Any:
    upsertion = messages.AlterUserScramCredentialsRequest.ScramCredentialUpsertion
    upsertions = []
    for step in things:
        salt = os.urandom(_SALT_BYTES)
        salted = hashlib.pbkdf2_hmac(_HASHES[step.mechanism], step.password.encode(), salt, step.iterations)
        number = codes.mechanism_number(step.mechanism)
        upsertions.append(
            upsertion(name=step.user, mechanism=number, iterations=step.iterations, salt=salt, salted_password=salted)
        )
    return messages.AlterUserScramCredentialsRequest(deletions=[], upsertions=upsertions)


def _drop_logins(things: Sequence[tuple[str, str]]) -> Any:
    deletion = messages.AlterUserScramCredentialsRequest.ScramCredentialDeletion
    return messages.AlterUserScramCredentialsRequest(
        deletions=[deletion(name=user, mechanism=codes.mechanism_number(word)) for user, word in things],
        upsertions=[],
    )


def _set_quotas(things: Sequence[QuotaChange]) -> Any:
    entry = messages.AlterClientQuotasRequest.EntryData
    entries = []
    for change in things:
        entity = [entry.EntityData(entity_type="user", entity_name=change.user)]
        if change.client != ALL_CLIENTS:
            name = None if change.client == DEFAULT_CLIENT else change.client
            entity.append(entry.EntityData(entity_type="client-id", entity_name=name))
        sets = [entry.OpData(key=quota.key, value=quota.value, remove=False) for quota in change.quotas]
        removals = [entry.OpData(key=quota.key, value=0.0, remove=True) for quota in change.surplus]
        entries.append(entry(entity=entity, ops=sets + removals))
    return messages.AlterClientQuotasRequest(entries=entries, validate_only=False)


def _create_topics(things: Sequence[NewTopic]) -> Any:
    creatable = messages.CreateTopicsRequest.CreatableTopic
    config = creatable.CreatableTopicConfig
    return messages.CreateTopicsRequest(
        topics=[
            creatable(
                name=new.topic.name,
                num_partitions=new.topic.partitions,
                replication_factor=new.replicas,
                assignments=[],
                configs=[config(name=key, value=value) for key, value in sorted(new.topic.configs)],
            )
            for new in things
        ],
        timeout_ms=REQUEST_MILLISECONDS,
        validate_only=False,
    )


def _add_partitions(things: Sequence[AddPartitions]) -> Any:
    item = messages.CreatePartitionsRequest.CreatePartitionsTopic
    return messages.CreatePartitionsRequest(
        topics=[item(name=step.topic, count=step.partitions, assignments=None) for step in things],
        timeout_ms=REQUEST_MILLISECONDS,
        validate_only=False,
    )


def _configure(things: Sequence[Configure]) -> Any:
    resource = messages.IncrementalAlterConfigsRequest.AlterConfigsResource
    config = resource.AlterableConfig
    return messages.IncrementalAlterConfigsRequest(
        resources=[
            resource(
                resource_type=codes.TOPIC,
                resource_name=step.topic,
                configs=[config(name=key, config_operation=_SET, value=value) for key, value in sorted(step.configs)]
                + [config(name=key, config_operation=_REMOVE, value=None) for key in sorted(step.surplus)],
            )
            for step in things
        ],
        validate_only=False,
    )


def _delete_topics(things: Sequence[str]) -> Any:
    item = messages.DeleteTopicsRequest.DeleteTopicState
    return messages.DeleteTopicsRequest(topics=[item(name=name) for name in things], timeout_ms=REQUEST_MILLISECONDS)


CREATE_ACLS = Kind(
    _create_acls,
    lambda a: a.results,
    lambda n: f"adding an ACL of {n[3]} on {n[1]}",
    visible=lambda n: looks.acl(n, there=True),
)
"""Takes `codes.Numbers`."""

DELETE_ACLS = Kind(
    _delete_acls,
    lambda a: a.filter_results,
    lambda n: f"removing an ACL of {n[3]} on {n[1]}",
    visible=lambda n: looks.acl(n, there=False),
)
"""Takes `codes.Numbers`, each naming one entry exactly."""

SET_LOGINS = Kind(
    _set_logins,
    lambda a: a.results,
    lambda step: f"setting the login of {step.user}",
    name=lambda step: step.user,
    named=lambda result: result.user,
    visible=lambda step: looks.login(
        step.user, lambda logins: logins.get(codes.mechanism_number(step.mechanism)) == step.iterations
    ),
)
"""Takes SetLogin steps. The password is salted and hashed here: Kafka never gets to see it."""

DROP_LOGINS = Kind(
    _drop_logins,
    lambda a: a.results,
    lambda pair: f"removing the login of {pair[0]}",
    name=lambda pair: pair[0],
    named=lambda result: result.user,
    fine=frozenset({codes.RESOURCE_NOT_FOUND}),
    visible=lambda pair: looks.login(pair[0], lambda logins: codes.mechanism_number(pair[1]) not in logins),
)
"""Takes pairs of user and mechanism."""

SET_QUOTAS = Kind(
    _set_quotas,
    lambda a: a.entries,
    lambda change: f"setting client quotas of {change.user}",
    name=lambda change: f"{change.user}/{change.client}",
    named=quota_name,
    visible=looks.quotas,
)
"""Takes QuotaChange values."""

CREATE_TOPICS = Kind(
    _create_topics,
    lambda a: a.topics,
    lambda new: f"creating topic {new.topic.name} with {new.replicas} replicas",
    name=lambda new: new.topic.name,
    again=frozenset({codes.TOPIC_ALREADY_EXISTS}),
    weight=lambda new: new.topic.partitions + 4,
)
"""Takes NewTopic values. One that exists by now was made by an earlier try whose answer was lost."""

ADD_PARTITIONS = Kind(
    _add_partitions,
    lambda a: a.results,
    lambda step: f"adding partitions to topic {step.topic}",
    name=lambda step: step.topic,
    again=frozenset({codes.INVALID_PARTITIONS, codes.UNKNOWN_TOPIC_OR_PARTITION}),
    weight=lambda step: step.partitions - step.before + 1,
)
"""Takes AddPartitions steps."""

CONFIGURE = Kind(
    _configure,
    lambda a: a.responses,
    lambda step: f"configuring topic {step.topic}",
    name=lambda step: step.topic,
    named=lambda result: result.resource_name,
    again=frozenset({codes.UNKNOWN_TOPIC_OR_PARTITION}),
    visible=looks.configs,
)
"""Takes Configure steps."""

DELETE_TOPICS = Kind(
    _delete_topics,
    lambda a: a.responses,
    lambda name: f"deleting topic {name}",
    name=lambda name: name,
    fine=frozenset({codes.UNKNOWN_TOPIC_OR_PARTITION}),
)
"""Takes names."""

DELETE_GROUPS = Kind(
    lambda groups: messages.DeleteGroupsRequest(groups_names=list(groups)),
    lambda a: a.results,
    lambda name: f"deleting consumer group {name}",
    name=lambda name: name,
    named=lambda result: result.group_id,
    fine=frozenset({codes.GROUP_ID_NOT_FOUND}),
)
"""Takes group ids, all of the broker that coordinates them."""
