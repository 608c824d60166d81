"""What exists in Kafka of many tenants, in few requests."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from matrixhub.api import naming
from matrixhub.backends.contract import Intent, Phase, ServiceAccount
from matrixhub.backends.kafka import codes
from matrixhub.backends.kafka.desired import relay_grants, section, topic_names
from matrixhub.backends.kafka.looks import SET_ON_TOPIC, quota_client, quota_entity, quotas_of
from matrixhub.backends.kafka.session import Session, chunks, messages, metadata
from matrixhub.backends.kafka.state import (
    MANAGED_CONFIGS,
    Acl,
    Quota,
    RelayAcl,
    Scram,
    State,
    Topic,
    TopicClaim,
    UserClaim,
)

FEW = 6
"""Up to so many tenants are asked for one by one.

The broker answers each question about ACLs by walking through all of them, and sends them all in ten times the time
it takes to walk: measured with 150,000 ACLs (10,000 tenants), 80 to 110 ms a walk, 1 s for all.
"""
TOPICS_PER_REQUEST = 1000

Residents = Callable[[], Iterable[str]]
"""Tells the ids of all Tenants that name the RealtimeCluster."""


def read(session: Session, intents: Sequence[Intent]) -> Mapping[str, State]:
    """What exists of each tenant."""
    if not intents:
        return {}
    users = {naming.kafka_user(intent.tenant.id): intent.tenant.id for intent in intents}
    # Also where none is run just now: what it had been let do would be there for it once it is back.
    return _Reading(session, users, naming.relay(intents[0].cluster.key)).states(intents)


def read_account(session: Session, account: ServiceAccount, residents: Residents | None = None) -> State:
    """What exists of the relay's own user.

    What lets it at the topics of tenants is theirs, and in it only when the user is leaving; so is its group. That of
    tenants that are gone is in it, too, where `residents` can tell.
    """
    return _Reading(session, {account.login: account.login}).service(account, residents)


class _Reading:
    """One look at users, marks and ACLs; topics and groups are asked for after it.

    `users` has each user's tenant, or itself. What `relay` may write of the tenants' is looked at too.
    """

    def __init__(self, session: Session, users: Mapping[str, str], relay: str = "") -> None:
        self._session = session
        self._tenants = users
        self._relay = relay
        self._relay_acls: dict[str, set[RelayAcl]] = defaultdict(set)
        self._users: dict[str, set[UserClaim]] = defaultdict(set)
        self._topics: dict[str, set[TopicClaim]] = defaultdict(set)
        self._acls: dict[str, set[Any]] = defaultdict(set)
        self._logins: dict[str, set[Scram]] = defaultdict(set)
        self._quotas: dict[str, set[Quota]] = defaultdict(set)
        everyone = len(users) > FEW
        acls = [acl_filter()] if everyone else [request for user in self._tenants for request in _acls_of(user)]
        if relay and not everyone:
            acls += [_named(relay, acl) for tenant in users.values() for acl in relay_grants(tenant)]
        quotas = [quotas_of(None)] if everyone else [quotas_of(user) for user in self._tenants]
        logins = messages.DescribeUserScramCredentialsRequest(users=None if everyone else [(u,) for u in self._tenants])
        for answer in session.send(acls):
            self._take_acls(session.require(answer, "listing ACLs"))
        # Only now that the admin is known to have the right: without it, Kafka 4.1 never answers this one request.
        *answers, answer = session.send([*quotas, logins])
        self._take_logins(session.require(answer, "listing SCRAM logins"))
        for answer in answers:
            self._take_quotas(session.require(answer, "listing client quotas"))

    def _take_acls(self, answer: Any) -> None:
        for resource in answer.resources:
            marked = self._tenants.get(resource.resource_name) if resource.resource_type == codes.USER else None
            for entry in resource.acls:
                kind, _, name = entry.principal.partition(":")
                if kind == "User" and name == self._relay:
                    self._take_grant(codes.acl(_numbers(resource, entry)))
                elif kind == "User":
                    if tenant := self._tenants.get(name):
                        self._acls[tenant].add(codes.acl(_numbers(resource, entry)))
                elif marked and (claim := codes.claim(entry.principal)):
                    if isinstance(claim, UserClaim):
                        self._users[marked].add(claim)
                    else:
                        self._topics[marked].add(claim)

    def _take_grant(self, acl: Acl) -> None:
        tenant = _tenant_of(acl)
        if acl in relay_grants(tenant):
            self._relay_acls[tenant].add(RelayAcl(self._relay, acl))

    def _take_quotas(self, answer: Any) -> None:
        for entry in answer.entries or ():
            entity = quota_entity(entry)
            tenant = self._tenants.get(entity.get("user") or "")
            if tenant is None or not entity.keys() <= {"user", "client-id"}:
                continue
            client = quota_client(entity)
            self._quotas[tenant] |= {Quota(value.key, value.value, client) for value in entry.values}

    def _take_logins(self, answer: Any) -> None:
        for result in answer.results:
            if result.user in self._tenants and result.error_code != codes.RESOURCE_NOT_FOUND:
                self._session.require(result, "reading a SCRAM login")
                self._logins[self._tenants[result.user]] |= {
                    Scram(codes.mechanism_word(info.mechanism), info.iterations) for info in result.credential_infos
                }

    def states(self, intents: Sequence[Intent]) -> dict[str, State]:
        names = {
            intent.tenant.id: topic_names(intent).keys() | {claim.topic for claim in self._topics[intent.tenant.id]}
            for intent in intents
        }
        topics = read_topics(self._session, {name for of_tenant in names.values() for name in of_tenant})
        groups: dict[str, set[str]] = defaultdict(set)
        if any(intent.phase is Phase.DELETED for intent in intents):
            groups = _groups(self._session)
        return {
            intent.tenant.id: State(
                tenant=intent.tenant.id,
                owner=intent.owner,
                phase=intent.phase,
                replicas=section(intent.cluster).replication_factor,
                user_claims=frozenset(self._users[intent.tenant.id]),
                topic_claims=frozenset(self._topics[intent.tenant.id]),
                topics=frozenset(topics[name] for name in names[intent.tenant.id] if name in topics),
                logins=frozenset(self._logins[intent.tenant.id]),
                acls=frozenset(self._acls[intent.tenant.id]),
                quotas=frozenset(self._quotas[intent.tenant.id]),
                groups=frozenset(groups[intent.tenant.id] if intent.phase is Phase.DELETED else ()),
                relay_acls=frozenset(self._relay_acls[intent.tenant.id]),
            )
            for intent in intents
        }

    def service(self, account: ServiceAccount, residents: Residents | None) -> State:
        login, leaving = account.login, account.leaving
        theirs = set() if leaving else {acl for acl in self._acls[login] if acl in relay_grants(_tenant_of(acl))}
        if theirs and residents:
            # Asked after the ACLs were: whoever comes between the two answers is in the second.
            there = frozenset(residents())
            theirs = {acl for acl in theirs if _tenant_of(acl) in there}
        return State(
            tenant=login,
            owner=account.owner,
            phase=Phase.DELETED if leaving else Phase.ACTIVE,
            replicas=0,
            user_claims=frozenset(self._users[login]),
            logins=frozenset(self._logins[login]),
            acls=frozenset(self._acls[login] - theirs),
            quotas=frozenset(self._quotas[login]),
            groups=frozenset({login}) & _group_ids(self._session) if leaving else frozenset(),
            service=login,
        )


def _tenant_of(acl: Acl) -> str:
    """Whose topics the ACL is about, if they are a tenant's."""
    return acl.name.partition(".")[0]


def _numbers(resource: Any, entry: Any) -> codes.Numbers:
    return (
        resource.resource_type,
        resource.resource_name,
        resource.pattern_type,
        entry.principal,
        entry.host,
        entry.operation,
        entry.permission_type,
    )


def acl_filter(**narrowed: Any) -> Any:
    """A request for the ACL entries that match; without arguments, all."""
    return messages.DescribeAclsRequest(
        **{
            "resource_type_filter": codes.ANY,
            "resource_name_filter": None,
            "pattern_type_filter": codes.ANY,
            "principal_filter": None,
            "host_filter": None,
            "operation": codes.ANY,
            "permission_type": codes.ANY,
            **narrowed,
        }
    )


def _acls_of(user: str) -> list[Any]:
    return [
        acl_filter(principal_filter=f"User:{user}"),
        acl_filter(resource_type_filter=codes.USER, resource_name_filter=user, pattern_type_filter=codes.LITERAL),
    ]


def _named(user: str, acl: Acl) -> Any:
    """What asks for the ACLs that the user has on the topics of this one."""
    return acl_filter(
        principal_filter=f"User:{user}",
        resource_type_filter=codes.TOPIC,
        resource_name_filter=acl.name,
        pattern_type_filter=codes.pattern_number(acl),
    )


def describe_topics(session: Session, names: Iterable[str]) -> list[Any]:
    """What the broker knows of these topics; a topic that does not exist has error code 3."""
    item = metadata.MetadataRequest.MetadataRequestTopic
    answers = session.send(
        [
            metadata.MetadataRequest(topics=[item(name=name) for name in chunk], allow_auto_topic_creation=False)
            for chunk in chunks(sorted(names), TOPICS_PER_REQUEST)
        ]
    )
    return [topic for answer in answers for topic in answer.topics]


def read_topics(session: Session, names: Iterable[str]) -> dict[str, Topic]:
    """Those of the topics that exist, with their partitions and those of our configs that are set on them."""
    partitions: dict[str, int] = {}
    for topic in describe_topics(session, names):
        if topic.error_code != codes.UNKNOWN_TOPIC_OR_PARTITION:
            session.require(topic, f"describing topic {topic.name}")
            partitions[topic.name] = len(topic.partitions)
    configs = _configs(session, sorted(partitions))
    return {name: Topic(name, count, configs[name]) for name, count in partitions.items() if name in configs}


def _configs(session: Session, names: Sequence[str]) -> dict[str, frozenset[tuple[str, str]]]:
    resource = messages.DescribeConfigsRequest.DescribeConfigsResource
    requests = [
        messages.DescribeConfigsRequest(
            resources=[
                resource(resource_type=codes.TOPIC, resource_name=name, configuration_keys=list(MANAGED_CONFIGS))
                for name in chunk
            ]
        )
        for chunk in chunks(names, TOPICS_PER_REQUEST)
    ]
    found = {}
    for answer in session.send(requests):
        for result in answer.results:
            if result.error_code == codes.UNKNOWN_TOPIC_OR_PARTITION:
                continue
            session.require(result, f"reading the configs of topic {result.resource_name}")
            found[result.resource_name] = frozenset(
                (config.name, config.value) for config in result.configs if config.config_source == SET_ON_TOPIC
            )
    return found


def _groups(session: Session) -> dict[str, set[str]]:
    """All consumer groups by the tenant whose prefix they have."""
    found: dict[str, set[str]] = defaultdict(set)
    for group in _group_ids(session):
        tenant, dot, _ = group.partition(".")
        if dot:
            found[tenant].add(group)
    return found


def _group_ids(session: Session) -> frozenset[str]:
    """All consumer groups; each broker knows those it coordinates."""
    answers = session.send_to([(messages.ListGroupsRequest(), broker) for broker in session.brokers()])
    return frozenset(
        group.group_id for answer in answers for group in session.require(answer, "listing consumer groups").groups
    )
