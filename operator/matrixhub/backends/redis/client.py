"""Redis of one RealtimeCluster: every node of it is observed and written, batched across tenants."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Applied, Finding, Intent, Phase, ServiceAccount, Survey
from matrixhub.backends.redis import acl
from matrixhub.backends.redis.acl_file import AclFiles
from matrixhub.backends.redis.commands import allowed
from matrixhub.backends.redis.desired import binding, desired, section
from matrixhub.backends.redis.fitness import check, check_buses, check_sentinel
from matrixhub.backends.redis.node import Facts, Login, Node
from matrixhub.backends.redis.plan import Action, Purge, RemoveUser, SetUser, UserAction, plan
from matrixhub.backends.redis.service import Service
from matrixhub.backends.redis.state import EVERY_NODE, Account, Seen, Silence, State, collapsed, holds
from matrixhub.backends.redis.sweep import Sweep
from matrixhub.backends.redis.topology import Reach, Topology
from matrixhub.errors import BackendError, Rejected, Transient, Unreachable
from matrixhub.tls import Trust

T = TypeVar("T")
Plans = Mapping[str, tuple[Action, ...]]

READS_PER_CALL = 20
"""Redis 7.0 needs 0.6 to 1.5 ms to describe a user; it answers nobody else until a call is through."""
WRITES_PER_CALL = 100
SWEEP_SECONDS = 1.0
"""How long one call removes keys before other tenants have their turn."""


class Client:
    """Implements `contract.Backend`. `pulse` may run in another thread beside the other calls."""

    def __init__(
        self, cluster: RealtimeCluster, admin: Mapping[str, str], account: ServiceAccount | None = None
    ) -> None:
        self._cluster = cluster
        self._admin = admin
        self._service = Service(account) if account else None
        self._leaving = account is not None and account.leaving
        self._topology: Topology | None = None
        self._sweep = Sweep()
        self._acl_files = AclFiles()

    def prepare(self) -> Survey:
        """Every node that answers is Redis 7 or later and lets the operator do its work; what undoes bounds is told."""
        reach = self._connected().reach()
        findings: list[Finding] = []
        for name, node, facts in reach.each():
            try:
                findings += check(node, facts)
                self._serve(node, facts)
                self._acl_files.save(node)
            except Unreachable as error:
                self._connected().lost(reach, name, error)
            findings += self._acl_files.findings(name)
        findings += check_buses(reach.members[name] for name, _, _ in reach.each())
        for sentinel in self._connected().sentinels():
            with contextlib.suppress(Unreachable, Rejected):  # who answers no stranger is open to none
                findings += check_sentinel(sentinel)
        findings += [
            Finding("NodeUnproven", error.message)
            if reach.members[name].unproven
            else Finding("NodeUnreachable", f"{error.message}; tenants are served by the other nodes until it does")
            for name, error in reach.silent.items()
        ]
        versions = sorted({facts.version for _, _, facts in reach.each()})
        repaired, troubles = self._service.news() if self._service else ((), ())
        vacated = self._leaving and not reach.awaited(closing=True)
        return Survey(", ".join(versions), repaired, (*findings, *troubles), vacated)

    def observe(self, intents: Sequence[Intent]) -> Mapping[str, State | BackendError]:
        """What each node holds of each tenant: one round trip per node for 20 tenants."""
        reach = self._connected().reach()
        users = [naming.redis_user(intent.tenant.id) for intent in intents]
        found: dict[str, Mapping[str, Account | None]] = {}
        for name, node, facts in reach.each():
            try:
                found[name] = self._accounts(node, facts, users)
            except Unreachable as error:
                self._connected().lost(reach, name, error)
        return {intent.tenant.id: self._state(intent, reach, found) for intent in intents}

    def desired(self, intent: Intent) -> State:
        """What should exist. Pure."""
        return desired(intent)

    def plan(self, desired: State, observed: State) -> tuple[Action, ...]:
        """The steps from observed to desired. Pure."""
        return plan(desired, observed)

    def apply(self, plans: Plans) -> Mapping[str, Applied]:
        """Users are set, then keys purged, then users removed, each on all nodes and for all tenants at once."""
        if not any(plans.values()):
            return {tenant: Applied() for tenant in plans}
        reach = self._connected().reach()
        errors: dict[str, BackendError] = {}
        self._write(reach, plans, SetUser, errors)
        self._purge(reach, plans, errors)
        self._write(reach, plans, RemoveUser, errors)
        closing = any(_closes(action) for actions in plans.values() for action in actions)
        for name, node, _ in reach.each():
            self._acl_files.changed(name, closing=closing)
            self._acl_files.save_what_was_shut(node)
        return {tenant: Applied(errors.get(tenant)) for tenant in plans}

    def binding(self, intent: Intent) -> Mapping[str, str]:
        """What the tenant's Secret holds. Pure."""
        return binding(intent)

    def pulse(self) -> str:
        """A text that changes when a node was restarted, joined, left or came back: tenants are to be observed then.

        The gateways' user is put right at once. One round trip per node, two with gateways. Raises Unreachable
        when none answers.
        """
        reach = self._connected().reach()
        for name, node, facts in reach.each():
            try:
                self._serve(node, facts)
            except Unreachable as error:
                self._connected().lost(reach, name, error)
            self._acl_files.save_what_was_shut(node)
        return " ".join(sorted(f"{name}={facts.run_id}" for name, _, facts in reach.each()))

    def close(self) -> None:
        """Connections are closed."""
        if self._topology is not None:
            self._topology.close()

    def _serve(self, node: Node, facts: Facts) -> None:
        if self._service and self._service.keep(node, facts):
            self._acl_files.changed(node.name, closing=False)

    def _connected(self) -> Topology:
        if self._topology is None:
            spec = section(self._cluster)
            source = f"{self._cluster.metadata.namespace}/{spec.admin_secret_ref.name}"
            for key in ("username", "password"):
                if not self._admin.get(key):
                    raise Rejected("AdminSecretInvalid", f"Secret {source} has no key `{key}`: put it there")
            trust = Trust.of("spec.redis.tls", self._admin) if spec.tls and spec.tls.enabled else None
            login = Login(self._admin["username"], self._admin["password"], source, trust)
            self._topology = Topology(spec, login)
        return self._topology

    def _accounts(self, node: Node, facts: Facts, users: Sequence[str]) -> Mapping[str, Account | None]:
        vocabulary = node.vocabulary(facts.run_id)
        commands = self._allowed()
        accounts: dict[str, Account | None] = {}
        for chunk in _chunks(users, READS_PER_CALL):
            for user, reply in zip(chunk, node.call([("ACL", "GETUSER", user) for user in chunk]), strict=True):
                described = node.checked(reply)
                accounts[user] = acl.account(acl.fields(described), vocabulary, commands) if described else None
        return accounts

    def _state(self, intent: Intent, reach: Reach, found: Mapping[str, Mapping[str, Account | None]]) -> State:
        tenant = intent.tenant.id
        user = naming.redis_user(tenant)
        seen: dict[str, Seen] = {name: accounts[user] for name, accounts in found.items()}
        seen |= dict.fromkeys(reach.awaited(closing=intent.phase is not Phase.ACTIVE), Silence.SILENT)
        prefix = naming.redis_prefix(tenant)
        if intent.phase is not Phase.DELETED:
            self._sweep.forget(prefix)
        own = intent.held or holds(seen.values(), intent.owner)
        return State(tenant, intent.owner, collapsed(seen), data=own and not self._sweep.swept(prefix))

    def _allowed(self) -> frozenset[str]:
        return allowed(section(self._cluster).mode)

    def _write(self, reach: Reach, plans: Plans, kind: type[UserAction], errors: dict[str, BackendError]) -> None:
        """The users' actions of one kind, of the tenants without an error so far, on every node they name."""
        jobs = [
            (tenant, action)
            for tenant, actions in plans.items()
            for action in actions
            if tenant not in errors and isinstance(action, kind) and not isinstance(action, Purge)
        ]
        for name, node, facts in reach.each():
            vocabulary = node.vocabulary(facts.run_id)
            due = (
                acl.commands(action, vocabulary, self._allowed())
                for _, action in jobs
                if action.node in (EVERY_NODE, name)
            )
            try:
                for chunk in _chunks(due, WRITES_PER_CALL):
                    for reply in node.call([command for commands in chunk for command in commands]):
                        node.checked(reply)
            except Unreachable as error:
                self._connected().lost(reach, name, error)
        for tenant, action in jobs:
            for name, silence in reach.awaited(closing=_closes(action)).items():
                if action.node in (EVERY_NODE, name):
                    errors[tenant] = Transient("NodeUnreachable", silence.message)

    def _purge(self, reach: Reach, plans: Plans, errors: dict[str, BackendError]) -> None:
        """The keys of all tenants that wait for it, for about a second; who is not through yet is told so."""
        waiting = {
            action.prefix: tenant
            for tenant, actions in plans.items()
            for action in actions
            if tenant not in errors and isinstance(action, Purge)
        }
        if not waiting:
            return
        problem: BackendError | None = None
        done: frozenset[str] = frozenset()
        try:
            done = self._sweep.run(_masters(reach), waiting, SWEEP_SECONDS)
        except Transient as error:
            problem = error
        for prefix, tenant in waiting.items():
            if prefix not in done:
                errors[tenant] = problem or Transient(
                    "RemovingKeys",
                    f"Removing keys: {self._sweep.removed} so far, among some {self._sweep.looked_at} looked at",
                    retry_after=0.1,
                )


def _masters(reach: Reach) -> dict[str, Node]:
    """The servers that keys are removed on, by run id. Raises Transient when one that may be a master is silent."""
    for silence in reach.awaited(closing=False).values():
        raise Transient("NodeUnreachable", silence.message)
    masters = {facts.run_id: node for _, node, facts in reach.each() if facts.master}
    if not masters:
        raise Transient("NodeUnreachable", "no redis node that answers is a master: keys cannot be removed")
    return masters


def _closes(action: Action) -> bool:
    return isinstance(action, RemoveUser) or (isinstance(action, SetUser) and not action.account.enabled)


def _chunks(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    rest = iter(items)
    while chunk := tuple(islice(rest, size)):
        yield chunk
