"""Kafka's numbers in words, and the marks as ACL entries. Pure."""

from matrixhub.api import naming
from matrixhub.backends.contract import Mark, Owner
from matrixhub.backends.kafka.state import Acl, TopicClaim, UserClaim

ANY = 1
"""In a filter: resources, patterns, operations or permissions of any kind."""
LITERAL = 3
TOPIC, GROUP, TRANSACTIONAL_ID, USER = 2, 3, 5, 7
"""Resource types; those that have configs are numbered alike."""
SHARED = frozenset({TOPIC, GROUP, TRANSACTIONAL_ID})
"""Resource types that tenants' data and doings are in."""
DESCRIBE_TOKENS = 14
ALLOW = 3

GROUP_COORDINATOR, TRANSACTION_COORDINATOR = 0, 1

UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER = 3, 6
TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS = 36, 37
TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
GROUP_ID_NOT_FOUND = 69
RESOURCE_NOT_FOUND = 91
"""Errors, by their names in Kafka; the last is a user's without a login."""

_RESOURCES = ("unknown", "any", "topic", "group", "cluster", "transactional-id", "delegation-token", "user")
_OPERATIONS = (
    "unknown",
    "any",
    "all",
    "read",
    "write",
    "create",
    "delete",
    "alter",
    "describe",
    "cluster-action",
    "describe-configs",
    "alter-configs",
    "idempotent-write",
    "create-tokens",
    "describe-tokens",
    "two-phase-commit",
)
_PERMISSIONS = ("unknown", "any", "deny", "allow")
_PATTERNS = ("unknown", "any", "match", "literal", "prefixed")
_MECHANISMS = ("unknown", "SCRAM-SHA-256", "SCRAM-SHA-512")

_OWNED = "MatrixHub"
_RETAINED = "MatrixHub-Retained"
_USER = "user"
_TOPIC = "topic"

Numbers = tuple[int, str, int, str, str, int, int]
"""An ACL entry as on the wire: resource type, name, pattern, principal, host, operation, permission."""


def _word(words: tuple[str, ...], number: int) -> str:
    return words[number] if 0 <= number < len(words) else str(number)


def _number(words: tuple[str, ...], word: str) -> int:
    return words.index(word) if word in words else int(word)


def mechanism_word(number: int) -> str:
    """`SCRAM-SHA-512` for 2; an unknown number as it is."""
    return _word(_MECHANISMS, number)


def mechanism_number(word: str) -> int:
    """2 for `SCRAM-SHA-512`."""
    return _number(_MECHANISMS, word)


def principal(tenant: str) -> str:
    """The tenant's user as Kafka's ACLs name it."""
    return f"User:{naming.kafka_user(tenant)}"


def acl_numbers(user: str, acl: Acl) -> Numbers:
    """The entry of this user, as it goes to Kafka."""
    return (
        _number(_RESOURCES, acl.resource),
        acl.name,
        _number(_PATTERNS, acl.pattern),
        f"User:{user}",
        acl.host,
        _number(_OPERATIONS, acl.operation),
        _number(_PERMISSIONS, acl.permission),
    )


def acl(numbers: Numbers) -> Acl:
    """The entry, without its principal."""
    resource, name, pattern, _, host, operation, permission = numbers
    return Acl(
        _word(_RESOURCES, resource),
        name,
        _word(_PATTERNS, pattern),
        _word(_OPERATIONS, operation),
        _word(_PERMISSIONS, permission),
        host,
    )


def pattern_number(acl: Acl) -> int:
    """How the entry's name is to be taken."""
    return _number(_PATTERNS, acl.pattern)


def resource_words(numbers: tuple[int, str, int]) -> tuple[str, str, str]:
    """Type, name and pattern of a resource in words."""
    return _word(_RESOURCES, numbers[0]), numbers[1], _word(_PATTERNS, numbers[2])


def claim_numbers(user: str, claim: UserClaim | TopicClaim) -> Numbers:
    """The mark as an ACL entry on the user.

    Its principal is `MatrixHub:<hub>/<uid>/user/<fingerprint>` or `MatrixHub:<hub>/<uid>/topic/<name>/<partitions>`,
    with `MatrixHub-Retained` once retained. Who logs in is always a `User:`, so the entry lets nobody do anything.
    """
    kind = _RETAINED if claim.mark.retained else _OWNED
    if isinstance(claim, UserClaim):
        what = f"{_USER}/{claim.fingerprint}"
    else:
        what = f"{_TOPIC}/{claim.topic}/{claim.partitions}"
    name = f"{kind}:{claim.mark.owner}/{what}"
    return (USER, user, LITERAL, name, "*", DESCRIBE_TOKENS, _number(_PERMISSIONS, "allow"))


def claim(principal_name: str) -> UserClaim | TopicClaim | None:
    """The mark that this principal stands for; None when it is none of ours."""
    kind, _, text = principal_name.partition(":")
    words = text.split("/")
    if kind not in {_OWNED, _RETAINED}:
        return None
    match words:
        case [hub, uid, what, fingerprint] if hub and uid and what == _USER:
            return UserClaim(Mark(Owner(hub, uid), kind == _RETAINED), fingerprint)
        case [hub, uid, what, topic, partitions] if hub and uid and what == _TOPIC and partitions.isdecimal():
            return TopicClaim(Mark(Owner(hub, uid), kind == _RETAINED), topic, int(partitions))
    return None
