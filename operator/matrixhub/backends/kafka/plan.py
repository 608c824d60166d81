"""From observed to desired: the steps, and what stands in the way."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from matrixhub.backends.contract import Mark, Owner, Phase
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
from matrixhub.backends.kafka.state import Acl, RelayAcl, State, Topic, TopicClaim, UserClaim
from matrixhub.errors import Conflict, Rejected


def plan(desired: State, observed: State) -> tuple[Action, ...]:
    """The steps from observed to `settle(desired, observed)`, in the order in which they must be done.

    Marks are written before what they mark and removed after it, so a plan that was cut off anywhere can be made again
    from what is then observed. A wish that Kafka cannot fulfil (fewer partitions) does not keep the rest from being
    done: it stands at the end, as a step that fails.

    Raises:
        Rejected: nothing is left to do but to say that such a wish cannot be fulfilled.
        Conflict: the tenant is to have something that exists and isn't marked as its own. A tenant that is being
            removed meets no conflict: what is not its own is left alone.
    """
    if desired.phase.living:
        _meet(desired, observed)
    settled = settle(desired, observed)
    steps, refusals = tuple(_steps(settled, observed)), tuple(_refusals(desired, observed))
    if refusals and not steps:
        raise Rejected(refusals[0].reason, refusals[0].message)
    return (*steps, *refusals)


def settle(desired: State, observed: State) -> State:
    """The desired state as far as it can be reached from here, which is what the plan reaches.

    While the tenant is held (active, suspended), it differs from the desired one where partitions would have to shrink,
    and by the marked topics that the spec doesn't name: they stay, with their data. Once the tenant is let go of,
    everything stays that isn't its own, and with `Retained` its topics.
    """
    return _held(desired, observed) if desired.phase.living else _released(desired, observed)


def _claims_of(topic: str, state: State) -> frozenset[TopicClaim]:
    return frozenset(claim for claim in state.topic_claims if claim.topic == topic)


def _meet(desired: State, observed: State) -> None:
    """Nothing that the tenant needs belongs to somebody else."""
    user = desired.user
    _check(f"user {user}", observed.user_claims, desired.owner)
    if not observed.user_claims and (found := _parts(observed)):
        otherwise = "" if desired.service else ", or name the Tenant otherwise"
        raise Conflict(
            f"Kafka already has {found} for user {user}, which Matrix Hub did not make: "
            f"remove them if nobody needs them{otherwise}",
            owner="unknown",
        )
    existing = {topic.name for topic in observed.topics}
    for topic in sorted(desired.topics, key=lambda topic: topic.name):
        claims = _claims_of(topic.name, observed)
        _check(f"topic {topic.name}", claims, desired.owner)
        if topic.name in existing and not claims:
            raise Conflict(
                f"Kafka already has a topic {topic.name}, which Matrix Hub did not make: "
                f"delete it if nobody needs it, or name the domain or event otherwise",
                owner="unknown",
            )


def _parts(observed: State) -> str:
    found = {"a SCRAM login": observed.logins, "ACLs": observed.acls, "client quotas": observed.quotas}
    return " and ".join(name for name, parts in found.items() if parts)


def _check(what: str, claims: Iterable[UserClaim | TopicClaim], owner: Owner) -> None:
    foreign = sorted({claim.mark.owner for claim in claims if not claim.mark.admits(owner)}, key=str)
    if foreign:
        owners = ", ".join(map(str, foreign))
        raise Conflict(f"{what} in Kafka belongs to {foreign[0].elsewhere}", owner=owners)


def _held(desired: State, observed: State) -> State:
    has = {topic.name: topic for topic in observed.topics}
    topics, claims = set(), set()
    for topic in desired.topics:
        partitions = max(topic.partitions, has[topic.name].partitions if topic.name in has else 0)
        topics.add(replace(topic, partitions=partitions))
        asked = _asked(observed, topic) if _shrinks(topic, observed) else topic.partitions
        claims.add(TopicClaim(Mark(desired.owner), topic.name, asked))
    named = {topic.name for topic in desired.topics}
    for name in (has.keys() | {claim.topic for claim in observed.topic_claims}) - named:
        found = _claims_of(name, observed)
        if not all(claim.mark.admits(desired.owner) for claim in found):
            claims |= found
        elif found and name in has:
            claims.add(TopicClaim(Mark(desired.owner), name, max(claim.partitions for claim in found)))
        if name in has:
            topics.add(has[name])
    return replace(desired, topics=frozenset(topics), topic_claims=frozenset(claims), groups=observed.groups)


def _asked(observed: State, topic: Topic) -> int:
    return max((claim.partitions for claim in _claims_of(topic.name, observed)), default=0)


def _shrinks(topic: Topic, observed: State) -> bool:
    """Whether fewer partitions are wanted than exist and than were asked for before.

    More than were ever asked for is what somebody added by hand: they are welcome, and no reason to complain.
    """
    has = max((found.partitions for found in observed.topics if found.name == topic.name), default=0)
    return topic.partitions < min(has, _asked(observed, topic))


def _released(desired: State, observed: State) -> State:
    owner, retain = desired.owner, desired.phase is Phase.RETAINED
    foreign = frozenset(claim for claim in observed.user_claims if claim.mark.owner.hub != owner.hub)
    ours = bool(observed.user_claims) and not foreign
    own = ours and all(claim.mark.ends_with(owner) for claim in observed.user_claims)
    topics, claims = set(observed.topics), set(observed.topic_claims)
    for name in {claim.topic for claim in observed.topic_claims}:
        found = _claims_of(name, observed)
        mine = {claim for claim in found if claim.mark.ends_with(owner)}
        claims -= mine
        exists = {topic for topic in topics if topic.name == name}
        if mine != found or not exists:
            continue
        if retain:
            claims.add(TopicClaim(Mark(owner, retained=True), name, max(claim.partitions for claim in mine)))
        else:
            topics -= exists
    return replace(
        desired,
        user_claims=foreign,
        topic_claims=frozenset(claims),
        topics=frozenset(topics),
        logins=frozenset() if ours else observed.logins,
        acls=frozenset() if ours else observed.acls,
        quotas=frozenset() if ours else observed.quotas,
        groups=frozenset() if own and not retain else observed.groups,
        relay_acls=frozenset() if ours else observed.relay_acls,
    )


def _steps(settled: State, observed: State) -> Iterator[Action]:
    """The steps from one state to the other, whatever they are."""
    users, topics = settled.user_claims - observed.user_claims, settled.topic_claims - observed.topic_claims
    if users or topics:
        yield WriteMarks(settled.user, users, topics)
    yield from _user_steps(settled.user, settled, observed)
    yield from _topic_steps(settled, observed)
    if allowed := frozenset(acl for acl in settled.acls - observed.acls if acl.permission != "deny"):
        yield AddAcls(settled.user, allowed)
    for relay, acls in _by_user(settled.relay_acls - observed.relay_acls):
        yield AddAcls(relay, acls)
    for relay, acls in _by_user(observed.relay_acls - settled.relay_acls):
        yield RemoveAcls(relay, acls)
    if groups := observed.groups - settled.groups:
        yield DeleteGroups(tuple(sorted(groups)))
    users, topics = observed.user_claims - settled.user_claims, observed.topic_claims - settled.topic_claims
    if users or topics:
        yield RemoveMarks(settled.user, users, topics)


def _user_steps(user: str, settled: State, observed: State) -> Iterator[Action]:
    """Denials come first; what lets the user in comes after all this, and after its topics."""
    if denied := frozenset(acl for acl in settled.acls - observed.acls if acl.permission == "deny"):
        yield AddAcls(user, denied)
    if acls := observed.acls - settled.acls:
        yield RemoveAcls(user, acls)
    renewed = settled.phase is Phase.ACTIVE and settled.user_claims != observed.user_claims
    stale = {found.mechanism for found in observed.logins} - {wanted.mechanism for wanted in settled.logins}
    if stale:
        yield DropLogins(user, tuple(sorted(stale)))
    kept = {(quota.client, quota.key) for quota in settled.quotas}
    surplus = frozenset(quota for quota in observed.quotas if (quota.client, quota.key) not in kept)
    if settled.quotas != observed.quotas:
        yield SetQuotas(user, settled.quotas - observed.quotas, surplus)
    for login in settled.logins if renewed else settled.logins - observed.logins:
        yield SetLogin(user, login.mechanism, login.iterations, settled.password)


def _topic_steps(settled: State, observed: State) -> Iterator[Action]:
    has = {topic.name: topic for topic in observed.topics}
    if missing := [topic for topic in settled.topics if topic.name not in has]:
        yield CreateTopics(tuple(sorted(missing, key=lambda topic: topic.name)), settled.replicas)
    for topic in sorted(settled.topics, key=lambda topic: topic.name):
        found = has.get(topic.name, topic)
        if topic.partitions > found.partitions:
            yield AddPartitions(topic.name, found.partitions, topic.partitions)
        if topic.configs != found.configs:
            keys = {key for key, _ in topic.configs}
            surplus = frozenset(key for key, _ in found.configs if key not in keys)
            yield Configure(topic.name, topic.configs - found.configs, surplus)
    if gone := has.keys() - {topic.name for topic in settled.topics}:
        yield DeleteTopics(tuple(sorted(gone)))


def _refusals(desired: State, observed: State) -> Iterator[Refuse]:
    if not desired.phase.living:
        return
    has = {topic.name: topic.partitions for topic in observed.topics}
    shrinking = [topic for topic in desired.topics if _shrinks(topic, observed)]
    if shrinking:
        sentences = "; ".join(
            f"topic {topic.name} has {has[topic.name]} partitions and cannot go down to {topic.partitions}"
            for topic in sorted(shrinking, key=lambda topic: topic.name)
        )
        yield Refuse(
            "PartitionsCannotShrink",
            f"{sentences}: Kafka never takes partitions away. Ask for as many as there are, "
            f"or give the events a new domain or name",
        )


def _by_user(found: Iterable[RelayAcl]) -> list[tuple[str, frozenset[Acl]]]:
    users: dict[str, set[Acl]] = defaultdict(set)
    for each in found:
        users[each.user].add(each.acl)
    return [(user, frozenset(acls)) for user, acls in sorted(users.items())]
