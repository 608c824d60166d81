"""An account in Redis' own words, both ways: the rules that make it, and the reply that describes it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from matrixhub.backends.contract import Owner
from matrixhub.backends.redis.commands import Vocabulary
from matrixhub.backends.redis.plan import RemoveUser, UserAction
from matrixhub.backends.redis.state import TENANT_COMMANDS, Account

Command = tuple[str | int, ...]

_MARK = "~matrixhub:owner:"
"""The mark is a selector with this key pattern and no command: it is part of the user, and it grants nothing."""


def fields(flat: Sequence[Any]) -> dict[str, Any]:
    """The map that RESP2 writes as a list of names and values."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def rules(account: Account, vocabulary: Vocabulary, allowed: frozenset[str]) -> tuple[str, ...]:
    """The arguments of `ACL SETUSER <name>` after which the user is exactly this account.

    `resetchannels` is said although `reset` implies it: under `acl-pubsub-default allchannels` it does not,
    neither for the user nor for a selector.
    """
    grants = vocabulary.grants(allowed if account.commands == TENANT_COMMANDS else ())
    return (
        "reset",
        "resetchannels",
        "on" if account.enabled else "off",
        *(f"#{digest}" for digest in sorted(account.passwords)),
        *sorted(account.keys),
        *sorted(account.channels),
        *grants,
        f"({_MARK}{account.owner} resetchannels -@all)",
    )


def commands(action: UserAction, vocabulary: Vocabulary, allowed: frozenset[str]) -> tuple[Command, ...]:
    """What is sent to one node to carry the action out."""
    if isinstance(action, RemoveUser):
        return (("ACL", "DELUSER", action.user),)
    change: Command = ("ACL", "SETUSER", action.user, *rules(action.account, vocabulary, allowed))
    if not action.end_connections:
        return (change,)
    # In one transaction: a crash between the two would leave connections that nobody looks for any more.
    return ("MULTI",), change, ("CLIENT", "KILL", "USER", action.user), ("EXEC",)


def account(reply: Mapping[str, Any], vocabulary: Vocabulary, allowed: frozenset[str]) -> Account:
    """The user that `ACL GETUSER` describes, `allowed` being what `@tenant` stands for here."""
    owners, selectors = _selectors(reply.get("selectors") or (), vocabulary)
    return Account(
        owner=owners[0] if len(owners) == 1 else None,
        enabled="on" in reply["flags"],
        nopass="nopass" in reply["flags"],
        passwords=frozenset(reply["passwords"]),
        keys=frozenset(reply["keys"].split()),
        channels=frozenset(reply["channels"].split()),
        commands=vocabulary.compare(reply["commands"], allowed),
        selectors=frozenset(selectors),
    )


def _selectors(found: Sequence[Sequence[Any]], vocabulary: Vocabulary) -> tuple[list[Owner], list[str]]:
    owners, others = [], []
    for flat in found:
        part = fields(flat)
        grants_nothing = not vocabulary.evaluate(part["commands"].split()) and not part["channels"]
        if grants_nothing and part["keys"].startswith(_MARK):
            try:
                owners.append(Owner.parse(part["keys"].removeprefix(_MARK)))
                continue
            except ValueError:
                pass  # not written by us: it counts as any other selector
        others.append(f"({' '.join(text for text in (part['keys'], part['channels'], part['commands']) if text)})")
    return owners, others
