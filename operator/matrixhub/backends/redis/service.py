"""Keeps the ACL user of a RealtimeCluster's own gateways on each node."""

from matrixhub.backends.contract import Finding, ServiceAccount
from matrixhub.backends.redis import acl
from matrixhub.backends.redis.commands import GATEWAY
from matrixhub.backends.redis.desired import service_account
from matrixhub.backends.redis.node import Facts, Node, fields
from matrixhub.backends.redis.plan import hold
from matrixhub.backends.redis.state import Seen
from matrixhub.errors import Conflict


class Service:
    """One user. What was done since the last `news` is kept until then, for `keep` is called far more often."""

    def __init__(self, account: ServiceAccount) -> None:
        self._user = account.login
        self._owner = account.owner
        self._wanted = service_account(account)
        self._done: list[str] = []
        self._conflicts: dict[str, str] = {}

    def keep(self, node: Node, facts: Facts) -> bool:
        """The user is as it should be on the node; whether anything had to be done. One round trip when not."""
        vocabulary = node.vocabulary(facts.run_id)
        described = node.ask("ACL", "GETUSER", self._user)
        seen: Seen = acl.account(fields(described), vocabulary, GATEWAY) if described else None
        try:
            actions = hold(self._user, self._wanted, ((node.name, seen),), self._owner)
        except Conflict as conflict:
            self._conflicts[node.name] = conflict.message
            return False
        self._conflicts.pop(node.name, None)
        for action in actions:
            for reply in node.call(acl.commands(action, vocabulary, GATEWAY)):
                node.checked(reply)
            self._done.append(str(action))
        return bool(actions)

    def news(self) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
        """What was done since this was last asked, and where the name is taken."""
        done, self._done = tuple(self._done), []
        return done, tuple(Finding("Conflict", message) for message in self._conflicts.values())
