"""Which servers a RealtimeCluster's Redis consists of, and which of them answer.

ACLs are not replicated, so each server counts.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from matrixhub.api.services import RedisBackend
from matrixhub.api.values import address
from matrixhub.backends.redis.acl import fields
from matrixhub.backends.redis.node import Facts, Login, Node, Reply
from matrixhub.errors import Rejected, Unreachable

SILENCE_REMEMBERED = 5.0
"""Seconds for which one server among several is not asked again after it did not answer."""

_ON_THE_WAY = "["
"""Begins a slot that moves to or from the node that was asked, in CLUSTER NODES."""

_UNPROVEN = (
    "redis at {name} is in the cluster, holds no slots and copies no node that does: no login is sent there, "
    "since whoever reaches the cluster bus can add such a node; give it slots, name it in spec.redis.nodes, "
    "or CLUSTER FORGET it on every node"
)


@dataclass(frozen=True)
class Member:
    """One server. `replica` is False too where nothing says that it is one."""

    host: str
    port: int
    replica: bool = False
    bus: int = 0
    """The port at which the nodes of a cluster speak to each other; 0 where it is none."""
    unproven: bool = False
    """In a cluster: nobody but the node itself says that it belongs there, which any that reaches the bus can."""


@dataclass(frozen=True)
class Reach:
    """The servers as found at the start of a call, by name; one that falls silent moves over."""

    members: Mapping[str, Member]
    nodes: dict[str, tuple[Node, Facts]] = field(default_factory=dict)
    silent: dict[str, Unreachable] = field(default_factory=dict)

    def each(self) -> tuple[tuple[str, Node, Facts], ...]:
        """Name, connection and facts of every server that has answered so far."""
        return tuple((name, node, facts) for name, (node, facts) in self.nodes.items())

    def awaited(self, *, closing: bool) -> dict[str, Unreachable]:
        """The silent servers that have to answer before the work is done.

        A replica that is away holds no door shut that should be open, and is served when it is back;
        but what is to be shut has to be shut there too. So it is with a node that proves nothing: it may
        have been one of ours, and come back with the users that it had.
        """
        return {name: error for name, error in self.silent.items() if closing or not self._may_wait(name)}

    def _may_wait(self, name: str) -> bool:
        return self.members[name].replica or self.members[name].unproven


class Topology:
    """Finds the members, anew each time: nodes listed (standalone), or asked for (sentinel, cluster)."""

    def __init__(self, spec: RedisBackend, login: Login) -> None:
        self._spec = spec
        self._login = login
        self._nodes: dict[tuple[str, int, bool], Node] = {}
        self._deaf_until: dict[str, float] = {}
        self._informant: Member | None = None

    def reach(self) -> Reach:
        """Who answers, in one round trip to each. Raises Unreachable when nobody does.

        One that proves nothing is sent no login, and counts as silent.
        """
        reach = Reach({self.node(member).name: member for member in self.members()})
        for name, member in reach.members.items():
            if member.unproven:
                reach.silent[name] = Unreachable(_UNPROVEN.format(name=name))
                continue
            node = self.node(member)
            if len(reach.members) > 1 and time.monotonic() < self._deaf_until.get(name, 0.0):
                reach.silent[name] = Unreachable(f"redis at {name} does not answer")
                continue
            try:
                reach.nodes[name] = (node, node.facts())
            except Unreachable as error:
                self._silent(reach, name, error)
        if not reach.nodes:
            raise next(iter(reach.silent.values()))
        return reach

    def lost(self, reach: Reach, name: str, error: Unreachable) -> None:
        """The server counts as silent from here on; raises the error if no other is left."""
        reach.nodes.pop(name, None)
        self._silent(reach, name, error)
        if not reach.nodes:
            raise error

    def _silent(self, reach: Reach, name: str, error: Unreachable) -> None:
        reach.silent[name] = error
        self._deaf_until[name] = time.monotonic() + SILENCE_REMEMBERED

    def members(self) -> tuple[Member, ...]:
        """All servers, silent ones included. Raises Unreachable when nobody can say which they are."""
        seeds = tuple(Member(*address(text)) for text in self._spec.nodes)
        if self._spec.mode == "sentinel":
            return self._first(seeds, self._ask_sentinel, "sentinel")
        if self._spec.mode == "cluster":
            return self._first(seeds, self._ask_cluster, "node")
        return seeds

    def sentinels(self) -> tuple[Node, ...]:
        """Connections to the sentinels without a login, as a stranger has them; none in another mode."""
        listed = self._spec.nodes if self._spec.mode == "sentinel" else ()
        return tuple(self._stranger(*address(text)) for text in listed)

    def node(self, member: Member) -> Node:
        """The connection to a member, kept from call to call."""
        return self._node(member.host, member.port, self._login)

    def close(self) -> None:
        """All connections are closed."""
        while self._nodes:
            self._nodes.popitem()[1].close()

    def _stranger(self, host: str, port: int) -> Node:
        return self._node(host, port, replace(self._login, username=None, password=None))

    def _node(self, host: str, port: int, login: Login) -> Node:
        key = (host, port, login.username is not None)
        if key not in self._nodes:
            self._nodes[key] = Node(host, port, login)
        return self._nodes[key]

    def _first(
        self, seeds: Sequence[Member], ask: Callable[[Member], tuple[Member, ...]], what: str
    ) -> tuple[Member, ...]:
        """What the first one to answer says; who answered last time is asked first."""
        silent = []
        for seed in sorted(seeds, key=lambda member: member != self._informant):
            try:
                found = ask(seed)
            except Unreachable as error:
                silent.append(error.message)
            else:
                self._informant = seed
                return found
        raise Unreachable(f"no redis {what} answers: {'; '.join(silent)}")

    def _ask_cluster(self, seed: Member) -> tuple[Member, ...]:
        node = self.node(seed)
        reply = node.call([("CLUSTER", "NODES")])[0]
        if isinstance(reply, Exception) and "cluster support disabled" in str(reply):
            raise Rejected(
                "NotACluster",
                f"redis at {node.name} does not run as a cluster: set spec.redis.mode to standalone or sentinel",
            )
        return members_of_cluster(node.checked(reply), seed.host, {address(text) for text in self._spec.nodes})

    def _ask_sentinel(self, seed: Member) -> tuple[Member, ...]:
        """Sentinels often ask for no password; one that does is given the admin's."""
        name = self._spec.master_name or ""
        questions = [("SENTINEL", "MASTER", name), ("SENTINEL", "REPLICAS", name)]
        sentinel = self._stranger(seed.host, seed.port)
        try:
            replies = sentinel.call(questions)
        except Rejected:
            sentinel = self.node(seed)
            replies = sentinel.call(questions)
        if isinstance(replies[0], Exception) and "No such master" in str(replies[0]):
            raise Rejected(
                "MasterUnknown",
                f"the sentinel at {sentinel.name} does not watch a master named {name}: correct spec.redis.masterName",
            )
        master, replicas = (sentinel.checked(reply) for reply in replies)
        return members_of_sentinel(master, replicas)


def members_of_cluster(text: str, asked: str, named: Collection[tuple[str, int]] = ()) -> tuple[Member, ...]:
    """The members in a reply of CLUSTER NODES; `asked` is the host for a node that does not know its own.

    A line is `<id> <ip>:<port>@<bus port>[,<hostname>] <flags> <master> <ping> <pong> <epoch> <link> <slot>...`;
    a node still in handshake has no data and no stable name, one without address cannot be reached by anybody.
    Proven are those that hold slots or copy one that does, the one that was asked, and those that are `named`.
    """
    rows = [line.split() for line in text.splitlines()]
    holders = {row[0] for row in rows if any(not slot.startswith(_ON_THE_WAY) for slot in row[8:])}
    found: dict[tuple[str, int], Member] = {}
    for name, place, listed, master, *_ in rows:
        flags = set(listed.split(","))
        if {"handshake", "noaddr"} & flags:
            continue
        endpoint, _, more = place.partition("@")
        bus, _, names = more.partition(",")
        hostname = names.partition(",")[0]
        ip, _, port = endpoint.rpartition(":")
        at = (hostname or ip or asked, int(port))
        proven = "myself" in flags or at in named or bool({name, master} & holders)
        if proven or at not in found:  # or whoever gives the address of another would take its place
            found[at] = Member(*at, replica="slave" in flags, bus=int(bus), unproven=not proven)
    return tuple(found[at] for at in sorted(found))


def members_of_sentinel(master: Sequence[Reply], replicas: Sequence[Sequence[Reply]]) -> tuple[Member, ...]:
    """The members in the replies of SENTINEL MASTER and SENTINEL REPLICAS."""
    found = [Member(fields(flat)["ip"], int(fields(flat)["port"]), replica=True) for flat in replicas]
    head = fields(master)
    return (Member(head["ip"], int(head["port"])), *sorted(found, key=lambda member: (member.host, member.port)))
