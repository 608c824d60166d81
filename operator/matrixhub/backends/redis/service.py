"""Keeps the ACL user of a RealtimeCluster's own gateways on each node, or takes it away."""

from matrixhub.backends.contract import Finding, ServiceAccount
from matrixhub.backends.redis import acl
from matrixhub.backends.redis.commands import GATEWAY
from matrixhub.backends.redis.desired import service_account
from matrixhub.backends.redis.node import Facts, Node
from matrixhub.backends.redis.plan import UserAction, hold, release
from matrixhub.backends.redis.state import Account, Seen
from matrixhub.errors import Conflict


class Service:
    """One user. What was done since the last `news` is kept until then, for `keep` is called far more often."""

    def __init__(self, account: ServiceAccount) -> None:
        self._user = account.login
        self._owner = account.owner
        self._wanted: Account | None = None if account.leaving else service_account(account)
        self._done: list[str] = []
        self._conflicts: dict[str, str] = {}

    def keep(self, node: Node, facts: Facts) -> bool:
        """The user is as it should be on the node, or gone; whether anything was done. One round trip when not."""
        vocabulary = node.vocabulary(facts.run_id)
        described = node.ask("ACL", "GETUSER", self._user)
        seen: Seen = acl.account(acl.fields(described), vocabulary, GATEWAY) if described else None
        try:
            actions = self._plan(((node.name, seen),))
        except Conflict as conflict:
            self._conflicts[node.name] = conflict.message
            return False
        self._conflicts.pop(node.name, None)
        for action in actions:
            for reply in node.call(acl.commands(action, vocabulary, GATEWAY)):
                node.checked(reply)
            self._done.append(str(action))
        return bool(actions)

    def _plan(self, accounts: tuple[tuple[str, Seen], ...]) -> tuple[UserAction, ...]:
        if self._wanted is None:
            return release(self._user, accounts, self._owner)
        return hold(self._user, self._wanted, accounts, self._owner)

    def news(self) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
        """What was done since this was last asked, and where the name is taken."""
        done, self._done = tuple(self._done), []
        return done, tuple(Finding("Conflict", message) for message in self._conflicts.values())
