"""The steps from what Redis holds for a tenant to what it should hold. Pure."""

from dataclasses import dataclass

from matrixhub.api import naming
from matrixhub.backends.contract import Owner
from matrixhub.backends.redis.state import EVERY_NODE, Account, Seen, State
from matrixhub.errors import Conflict


@dataclass(frozen=True)
class SetUser:
    """The ACL user becomes exactly `account`, in one command.

    With `end_connections` whoever is logged in as it has to log in again. That is so whenever the user
    allowed more than it should: a connection keeps what it won while it could (another database, MONITOR,
    key names sent by client-side caching, a login by a password that is no longer valid).
    """

    user: str
    node: str
    account: Account
    end_connections: bool
    changes: str

    def __str__(self) -> str:
        return f"{self.changes}{_where(self.node)}"


@dataclass(frozen=True)
class RemoveUser:
    """The ACL user is gone, and with it every connection that used it."""

    user: str
    node: str

    def __str__(self) -> str:
        return f"Removed ACL user {self.user}{_where(self.node)}"


@dataclass(frozen=True)
class Purge:
    """No key is left under the tenant's prefix. Comes between closing the user and removing it."""

    prefix: str

    def __str__(self) -> str:
        return f"Removed the keys under {self.prefix}"


_NAMED = 5

UserAction = SetUser | RemoveUser
Action = UserAction | Purge


def plan(desired: State, observed: State) -> tuple[Action, ...]:
    """The steps from observed to desired, on each node that differs.

    Raises Conflict when the user's name is taken by a user without our mark or by another hub's tenant.
    Where access is to go, such a user is left alone, and the keys with it: they may be its own. Keys that this
    Tenant never held are an earlier one's, and stay.
    """
    wanted = desired.accounts[0][1]
    user = naming.redis_user(desired.tenant)
    if isinstance(wanted, Account):
        return hold(user, wanted, observed.accounts, desired.owner)
    foreign = _foreign(observed.accounts, desired.owner)
    ours = [(node, seen) for node, seen in observed.accounts if seen is not None and (node, seen) not in foreign]
    removals: tuple[Action, ...] = tuple(RemoveUser(user, node) for node, _ in ours)
    if desired.data or not observed.data or foreign:
        return removals
    closed = Account(owner=desired.owner)
    shut = (
        SetUser(user, node, closed, end_connections=True, changes=f"Switched ACL user {user} off")
        for node, seen in ours
        if seen != closed
    )
    return (*shut, Purge(naming.redis_prefix(desired.tenant)), *removals)


def hold(user: str, wanted: Account, accounts: tuple[tuple[str, Seen], ...], owner: Owner) -> tuple[SetUser, ...]:
    """The steps after which the user is as wanted on each node; raises Conflict where it is somebody else's."""
    if foreign := _foreign(accounts, owner):
        raise _conflict(user, *foreign[0])
    return tuple(_set(user, node, seen, wanted) for node, seen in accounts if seen != wanted)


def release(user: str, accounts: tuple[tuple[str, Seen], ...], owner: Owner) -> tuple[RemoveUser, ...]:
    """The steps after which the user is gone from each node, where it is the owner's."""
    return tuple(RemoveUser(user, node) for node, seen in accounts if isinstance(seen, Account) and seen.admits(owner))


def _foreign(accounts: tuple[tuple[str, Seen], ...], owner: Owner) -> list[tuple[str, Account]]:
    return [(node, seen) for node, seen in accounts if isinstance(seen, Account) and not seen.admits(owner)]


def _set(user: str, node: str, seen: Seen, wanted: Account) -> SetUser:
    closes = not wanted.enabled
    widened = isinstance(seen, Account) and not seen.within(wanted)
    return SetUser(user, node, wanted, end_connections=closes or widened, changes=_changes(user, seen, wanted))


def _changes(user: str, seen: Seen, wanted: Account) -> str:
    if not isinstance(seen, Account):
        return f"Created ACL user {user}" + ("" if wanted.enabled else ", switched off")
    if seen.owner != wanted.owner:
        return f"Adopted ACL user {user}"
    if not wanted.enabled:
        return f"Switched ACL user {user} off and ended its connections"
    if seen == Account(owner=wanted.owner):
        return f"Switched ACL user {user} on"
    parts = [
        *(["switched it on"] if not seen.enabled else []),
        *(["asked for a password again"] if seen.nopass else []),
        *(["set its password"] if seen.passwords != wanted.passwords else []),
        *_difference("key pattern", seen.keys, wanted.keys),
        *_difference("channel pattern", seen.channels, wanted.channels),
        *_commands(seen.commands, wanted.commands),
        *_difference("selector", seen.selectors, wanted.selectors),
    ]
    return f"Repaired ACL user {user}: {', '.join(parts)}"


def _difference(what: str, seen: frozenset[str], wanted: frozenset[str]) -> list[str]:
    return [
        *(f"took back {what} {text}" for text in sorted(seen - wanted)),
        *(f"gave back {what} {text}" for text in sorted(wanted - seen)),
    ]


def _commands(seen: frozenset[str], wanted: frozenset[str]) -> list[str]:
    """Which commands were taken back or given back; a user that may do nothing gets all of its own again."""
    if seen == wanted:
        return []
    if not seen:
        return ["gave back its commands"]
    differences = {
        "took back": sorted(name[1:] for name in seen if name.startswith("+")),
        "gave back": sorted(name[1:] for name in seen if name.startswith("-")),
    }
    return [f"{verb} commands {_few(names)}" for verb, names in differences.items() if names]


def _few(names: list[str]) -> str:
    return " ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _conflict(user: str, node: str, seen: Account) -> Conflict:
    place = "redis" if node == EVERY_NODE else f"redis node {node}"
    if seen.owner is None:
        return Conflict(
            f"ACL user {user} exists on {place} without a mark of Matrix Hub: somebody made it by hand; "
            f"remove it with ACL DELUSER {user}, or name what needs it otherwise",
            owner="unknown",
        )
    return Conflict(
        f"ACL user {user} on {place} belongs to {seen.owner.elsewhere}",
        owner=str(seen.owner),
    )


def _where(node: str) -> str:
    return "" if node == EVERY_NODE else f" on {node}"
