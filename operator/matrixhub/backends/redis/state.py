"""What Redis holds for a tenant: its ACL user on every node, and whether keys may lie under its prefix. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from matrixhub.backends.contract import Mark, Owner

EVERY_NODE = "*"
TENANT_COMMANDS = frozenset({"@tenant"})
"""Exactly the commands that are due to the user, a tenant's or the gateways'.

What differs stands beside it, as in `{"@tenant", "+keys", "-get"}`.
"""


class Silence(Enum):
    """What is known of a node that does not answer."""

    SILENT = "silent"


@dataclass(frozen=True)
class Account:
    """An ACL user. `owner` is None when it does not carry our mark; passwords are SHA-256 in hex."""

    owner: Owner | None
    enabled: bool = False
    nopass: bool = False
    passwords: frozenset[str] = field(default=frozenset(), repr=False)
    keys: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()
    selectors: frozenset[str] = frozenset()

    def admits(self, owner: Owner) -> bool:
        """Whether the tenant of `owner` may take this user over."""
        return self.owner is not None and Mark(self.owner).admits(owner)

    def within(self, other: "Account") -> bool:
        """Whether nobody could do or become anything by this user that `other` does not allow too."""
        return (
            self.owner == other.owner
            and self.enabled <= other.enabled
            and self.nopass <= other.nopass
            and self.passwords <= other.passwords
            and self.keys <= other.keys
            and self.channels <= other.channels
            and {c for c in self.commands if not c.startswith("-")} <= other.commands
            and self.selectors <= other.selectors
        )


Seen = Account | Silence | None


@dataclass(frozen=True)
class State:
    """The tenant's part of Redis, as wanted or as found.

    `accounts` has one entry for `EVERY_NODE` when all agree, else one per node, in order of their names.
    `owner` is the Tenant's that asks. `data` says whether keys of its own may lie under the prefix: it has held
    the prefix, and they are not known to be gone. Nobody looks before a deletion.
    """

    tenant: str
    owner: Owner
    accounts: tuple[tuple[str, Seen], ...]
    data: bool = True


def holds(accounts: Iterable[Seen], owner: Owner) -> bool:
    """Whether the user on any node is marked as this very Tenant's, so that the keys are its own."""
    return any(isinstance(seen, Account) and seen.owner == owner for seen in accounts)


def collapsed(accounts: Mapping[str, Seen]) -> tuple[tuple[str, Seen], ...]:
    """`State.accounts` of what each node holds."""
    if len(set(accounts.values())) == 1:
        return ((EVERY_NODE, next(iter(accounts.values()))),)
    return tuple(sorted(accounts.items(), key=lambda entry: entry[0]))
