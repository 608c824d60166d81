"""One tenant's share of Kafka, as it should be and as it is: the same type for both.

Kafka keeps no metadata on topics, users or ACLs, so ownership is written down as ACL entries that grant nothing:
on the resource `User:tenant-<id>` of type USER, for principals of a type nobody can log in as. See the README.
"""

from dataclasses import dataclass, field

from matrixhub.api import naming
from matrixhub.backends.contract import Mark, Owner, Phase

MANAGED_CONFIGS = ("retention.ms", "retention.bytes", "segment.bytes")
"""The topic configs that are ours; all others belong to whoever runs Kafka."""

ALL_CLIENTS = ""
"""In `Quota.client`: the quota holds for the user, whatever client id it uses."""

DEFAULT_CLIENT = "<default>"
"""In `Quota.client`: Kafka's own name for the entity that stands for client ids without a quota of their own."""


@dataclass(frozen=True)
class UserClaim:
    """The mark that the tenant's user is ours, and which password was last given to it (a fingerprint; "" for none)."""

    mark: Mark
    fingerprint: str


@dataclass(frozen=True)
class TopicClaim:
    """The mark that a topic is ours, and how many partitions it was last asked to have."""

    mark: Mark
    topic: str
    partitions: int


@dataclass(frozen=True)
class Topic:
    """A topic that exists; `configs` are those of `MANAGED_CONFIGS` that are set on the topic itself."""

    name: str
    partitions: int
    configs: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Scram:
    """A login of the tenant's user. The iteration count holds ten bits of the password's hash."""

    mechanism: str
    iterations: int


@dataclass(frozen=True)
class Acl:
    """An ACL entry of the tenant's user, in the words of Kafka's own tools, in lower case with hyphens."""

    resource: str
    name: str
    pattern: str
    operation: str
    permission: str = "allow"
    host: str = "*"


@dataclass(frozen=True)
class RelayAcl:
    """An ACL entry of a relay's user on the tenant's topics."""

    user: str
    acl: Acl


@dataclass(frozen=True)
class Quota:
    """A client quota of the tenant's user: bytes per second, or percent of request threads."""

    key: str
    value: float
    client: str = ALL_CLIENTS


@dataclass(frozen=True)
class State:
    """A tenant's share. The first four fields say whose and in which phase: the same in desired and observed.

    An observed state holds the topics that are marked for the tenant and, marked or not, those that its spec names.
    `groups` are observed only where they are to be deleted. `relay_acls` is what another user may do with the tenant's
    topics: its RealtimeCluster's relay. `service` is the login of such a relay, whose share this is then, under
    `tenant` of the same name. `password` is what the login is to be set to: it is in no comparison and no repr.
    """

    tenant: str
    owner: Owner
    phase: Phase
    replicas: int
    user_claims: frozenset[UserClaim] = frozenset()
    topic_claims: frozenset[TopicClaim] = frozenset()
    topics: frozenset[Topic] = frozenset()
    logins: frozenset[Scram] = frozenset()
    acls: frozenset[Acl] = frozenset()
    quotas: frozenset[Quota] = frozenset()
    groups: frozenset[str] = frozenset()
    relay_acls: frozenset[RelayAcl] = frozenset()
    service: str = ""
    password: str = field(default="", repr=False, compare=False)

    @property
    def user(self) -> str:
        """Who logs in."""
        return self.service or naming.kafka_user(self.tenant)
