"""The steps of a plan. Each prints as a sentence that says what is true once it is done; none prints a secret."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from matrixhub.backends.kafka.state import ALL_CLIENTS, Acl, Quota, Topic, TopicClaim, UserClaim


def _some(things: Iterable[str], most: int = 5) -> str:
    """The things in order, or the first few and how many more."""
    listed = sorted(things)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _allowed(acls: Iterable[Acl]) -> str:
    """The entries in a few words, one group of words for each resource."""
    by_resource: dict[str, list[str]] = {}
    for acl in acls:
        star = "*" if acl.pattern == "prefixed" else ""
        host = "" if acl.host == "*" else f" from {acl.host}"
        denied = "not " if acl.permission == "deny" else ""
        by_resource.setdefault(f"{acl.resource} {acl.name}{star}{host}", []).append(denied + acl.operation)
    return _some(f"{'/'.join(sorted(words))} on {resource}" for resource, words in by_resource.items())


def _marked(users: frozenset[UserClaim], topics: frozenset[TopicClaim]) -> str:
    names = sorted({claim.topic for claim in topics})
    parts = ["the login"] * bool(users) + [f"topic{'s' * (len(names) > 1)} {_some(names)}"] * bool(names)
    return " and ".join(parts)


@dataclass(frozen=True)
class WriteMarks:
    """What is about to be made, or taken over, is marked as the user's."""

    user: str
    users: frozenset[UserClaim]
    topics: frozenset[TopicClaim]

    def __str__(self) -> str:
        return f"Marked {_marked(self.users, self.topics)} of {self.user} in Kafka"


@dataclass(frozen=True)
class RemoveMarks:
    """Marks that say nothing true any more are gone."""

    user: str
    users: frozenset[UserClaim]
    topics: frozenset[TopicClaim]

    def __str__(self) -> str:
        return f"Removed old marks of {_marked(self.users, self.topics)} of {self.user} in Kafka"


@dataclass(frozen=True)
class AddAcls:
    """The user has these ACL entries."""

    user: str
    acls: frozenset[Acl]

    def __str__(self) -> str:
        return f"Set ACLs of {self.user}: {_allowed(self.acls)}"


@dataclass(frozen=True)
class RemoveAcls:
    """The user has these ACL entries no more."""

    user: str
    acls: frozenset[Acl]

    def __str__(self) -> str:
        return f"Removed ACLs of {self.user}: {_allowed(self.acls)}"


@dataclass(frozen=True)
class SetLogin:
    """The user can log in with this password and no other."""

    user: str
    mechanism: str
    iterations: int
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"Set the {self.mechanism} login of {self.user}"


@dataclass(frozen=True)
class DropLogins:
    """The user cannot log in by these mechanisms; who is logged in stays so, and is refused by the ACLs."""

    user: str
    mechanisms: tuple[str, ...]

    def __str__(self) -> str:
        return f"Removed the {' and '.join(self.mechanisms)} login of {self.user}"


@dataclass(frozen=True)
class QuotaChange:
    """Quotas of one user with one client id (or all) to be set and to be removed."""

    user: str
    client: str
    quotas: tuple[Quota, ...]
    surplus: tuple[Quota, ...]


@dataclass(frozen=True)
class SetQuotas:
    """The user's client quotas are set, and the surplus ones gone."""

    user: str
    quotas: frozenset[Quota]
    surplus: frozenset[Quota]

    def changes(self) -> Iterator[QuotaChange]:
        """One for each client id that the step is about."""
        for client in sorted({quota.client for quota in (*self.quotas, *self.surplus)}):
            yield QuotaChange(
                self.user,
                client,
                tuple(quota for quota in self.quotas if quota.client == client),
                tuple(quota for quota in self.surplus if quota.client == client),
            )

    def __str__(self) -> str:
        words = [f"{_quota(quota)} to {quota.value:.15g}" for quota in self.quotas]
        gone = [_quota(quota) for quota in self.surplus]
        done = [f"Set {_some(words)}"] * bool(words) + [f"{'r' if words else 'R'}emoved {_some(gone)}"] * bool(gone)
        return f"{' and '.join(done)} in the client quotas of {self.user}"


def _quota(quota: Quota) -> str:
    return quota.key if quota.client == ALL_CLIENTS else f"{quota.key} of client {quota.client}"


@dataclass(frozen=True)
class CreateTopics:
    """The topics exist and can be used."""

    topics: tuple[Topic, ...]
    replicas: int

    def __str__(self) -> str:
        names = _some(topic.name for topic in self.topics)
        return f"Created topic{'s' * (len(self.topics) > 1)} {names}"


@dataclass(frozen=True)
class AddPartitions:
    """The topic has more partitions than before."""

    topic: str
    before: int
    partitions: int

    def __str__(self) -> str:
        return f"Grew topic {self.topic} from {self.before} to {self.partitions} partitions"


@dataclass(frozen=True)
class Configure:
    """The topic's configs are set, and the surplus ones back at the broker's default."""

    topic: str
    configs: frozenset[tuple[str, str]]
    surplus: frozenset[str]

    def __str__(self) -> str:
        words = [f"{key} to {value}" for key, value in self.configs]
        gone = list(self.surplus)
        done = [f"Set {_some(words)}"] * bool(words) + [f"{'r' if words else 'R'}emoved {_some(gone)}"] * bool(gone)
        return f"{' and '.join(done)} on topic {self.topic}"


@dataclass(frozen=True)
class DeleteTopics:
    """The topics and their data are gone."""

    topics: tuple[str, ...]

    def __str__(self) -> str:
        return f"Deleted topic{'s' * (len(self.topics) > 1)} {_some(self.topics)}"


@dataclass(frozen=True)
class DeleteGroups:
    """The consumer groups and their offsets are gone."""

    groups: tuple[str, ...]

    def __str__(self) -> str:
        return f"Deleted consumer group{'s' * (len(self.groups) > 1)} {_some(self.groups)}"


@dataclass(frozen=True)
class Refuse:
    """A wish that Kafka cannot fulfil: this step always fails, with this reason and message."""

    reason: str
    message: str

    def __str__(self) -> str:
        return f"Refused: {self.message}"


Action = (
    WriteMarks
    | RemoveMarks
    | AddAcls
    | RemoveAcls
    | SetLogin
    | DropLogins
    | SetQuotas
    | CreateTopics
    | AddPartitions
    | Configure
    | DeleteTopics
    | DeleteGroups
    | Refuse
)
