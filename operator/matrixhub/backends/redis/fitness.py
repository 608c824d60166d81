"""Whether a server is fit for tenants: its version, the operator's rights on it, and what everybody's rights undo."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from matrixhub.api.values import bracketed
from matrixhub.backends.contract import Finding
from matrixhub.backends.redis.acl import fields
from matrixhub.backends.redis.commands import ADMIN, SENTINEL_POWERS, Vocabulary
from matrixhub.backends.redis.node import Facts, Node, Reply, denied
from matrixhub.backends.redis.topology import Member
from matrixhub.errors import Rejected
from matrixhub.tls import takes_strangers

KEYS_TO_REMOVE = "~tenant:*"
OLDEST = 7
"""Selectors, which hold our mark, came with this version."""


def check(node: Node, facts: Facts) -> list[Finding]:
    """Version and the operator's own rights suffice; what everybody's rights undo is found. Raises Rejected."""
    if int(facts.version.split(".")[0]) < OLDEST:
        raise Rejected("UnsupportedVersion", f"redis at {node.name} is {facts.version}: {OLDEST}.0 or later is needed")
    vocabulary = node.vocabulary(facts.run_id)
    me = node.ask("ACL", "WHOAMI")
    replies = node.call([("ACL", "GETUSER", me), ("ACL", "GETUSER", "default")])
    mine, everybody = (fields(node.checked(reply) or ()) for reply in replies)
    _require(node, me, mine, vocabulary)
    findings = []
    if {"on", "nopass"} <= set(everybody.get("flags", ())):
        text = (
            f"redis at {node.name} lets anybody in without a password, past every tenant's bounds: "
            "ACL SETUSER default off, or give it a password"
        )
        findings.append(Finding("DefaultUserOpen", text))
    if vocabulary.withheld:
        text = (
            f"redis at {node.name}, {facts.version}, would let one tenant's script run inside another's "
            "(CVE-2025-46818), so tenants get no scripts there: upgrade to 7.2.11, 7.4.6, 8.0.4, 8.2.2 or later"
        )
        findings.append(Finding("ScriptsWithheld", text))
    return findings


def check_sentinel(stranger: Node) -> list[Finding]:
    """What those who come without a login, tenants among them, can do to the sentinel beyond asking is found."""
    replies = stranger.call(list(SENTINEL_POWERS.values()))
    open_to_all = [name for name, reply in zip(SENTINEL_POWERS, replies, strict=True) if not denied(reply)]
    if not open_to_all:
        return []
    text = (
        f"the sentinel at {stranger.name} lets anybody without a password call {', '.join(open_to_all)}: "
        "whoever names it another master is sent everybody's login; "
        "ACL SETUSER default reset $(cat manifests/admin-rights/sentinel.acl), as docs/operations.md has it"
    )
    return [Finding("SentinelOpen", text)]


def check_buses(members: Iterable[Member]) -> list[Finding]:
    """That nodes of a cluster take anybody at their bus, the operator for one, is found: all are tried at once."""
    nodes = [member for member in members if member.bus]
    with ThreadPoolExecutor(max_workers=64) as pool:
        takes = pool.map(lambda node: takes_strangers(node.host, node.bus), nodes)
    buses = [
        f"{bracketed(node.host)}:{node.bus}" for node, open_to_all in zip(nodes, takes, strict=True) if open_to_all
    ]
    if not buses:
        return []
    text = (
        f"the cluster bus at {', '.join(buses)} takes anybody's connection, and no certificate is asked for: whoever "
        "reaches it can become a node, be sent everybody's login and take over the data; "
        "let the nodes alone reach it, or set tls-cluster yes, as docs/operations.md has it"
    )
    return [Finding("ClusterBusOpen", text)]


def _require(node: Node, me: str, mine: Mapping[str, Reply], vocabulary: Vocabulary) -> None:
    """Raises Rejected when the operator's user lacks a right, with the command that grants it."""
    missing = (ADMIN & vocabulary.evaluate(["+@all"])) - vocabulary.evaluate(mine["commands"].split())
    rules = [f"+{name}" for name in sorted(missing)]
    if not {"~*", KEYS_TO_REMOVE} & set(mine["keys"].split()):
        rules.insert(0, KEYS_TO_REMOVE)
    if rules:
        grant = f"ACL SETUSER {me} {' '.join(rules)}"
        raise Rejected("PermissionDenied", f"redis user {me} at {node.name} lacks rights: {grant}")
