"""The role and schema that a RealtimeCluster's own gateways log in with: what should be, and the steps to it. Pure.

The role is held by the same registry and the same steps as a tenant's, without any of a tenant's memberships.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matrixhub.api.dataplane import SESSIONS_PER_GATEWAY, SESSIONS_PER_RELAY
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Mark, ServiceAccount, fingerprint
from matrixhub.backends.postgres import catalog
from matrixhub.backends.postgres.actions import Action, DropRole, Forget, Retain
from matrixhub.backends.postgres.plan import UNALTERABLE, plan
from matrixhub.backends.postgres.questions import ROLES, TENANTS
from matrixhub.backends.postgres.state import Role, Share
from matrixhub.errors import Conflict, Rejected

_REGISTERED = "account/"
"""What an account's row in the registry begins with: no tenant's id has a slash."""
SESSIONS_TO_SPARE = 6
"""For the operator itself, and for pods that are on their way out."""
SETTINGS = frozenset({("", "statement_timeout=10s"), ("", "idle_in_transaction_session_timeout=60s")})

HOME = """
SELECT pg_get_userbyid(n.nspowner)::text AS owner,
    ARRAY(SELECT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(acl.grantee)::text END
          FROM aclexplode(n.nspacl) acl WHERE acl.grantee <> n.nspowner GROUP BY 1) AS guests
FROM pg_namespace n WHERE n.nspname = %(login)s
"""
CONNECT = """
SELECT current_user::text AS admin, current_database()::text AS database,
    has_database_privilege(oid, current_database(), 'CONNECT') AS connect
FROM pg_roles WHERE rolname = %(login)s
"""
QUESTIONS = {"tenants": TENANTS, "roles": ROLES, "home": HOME, "connect": CONNECT}


@dataclass(frozen=True)
class Account:
    """The role as a share without rows, whose schema it is, who else may enter that, and whether it may connect."""

    share: Share
    home: str = ""
    guests: frozenset[str] = frozenset()
    connect: bool = False


@dataclass(frozen=True)
class CreateHome:
    """The role has a schema of its name and owns it."""

    role: str

    def __str__(self) -> str:
        return f"Created schema {self.role}"


@dataclass(frozen=True)
class ShutHome:
    """A grantee has no privilege on the role's schema."""

    role: str
    guest: str

    def __str__(self) -> str:
        return f"Revoked what {self.guest} could do with schema {self.role}"


@dataclass(frozen=True)
class PermitRole:
    """The role may connect to the database."""

    role: str

    def __str__(self) -> str:
        return f"Granted connect on the database to {self.role}"


@dataclass(frozen=True)
class DropHome:
    """The role's schema is gone, with the table of apps in it."""

    role: str

    def __str__(self) -> str:
        return f"Dropped schema {self.role}"


AccountAction = Action | CreateHome | ShutHome | PermitRole | DropHome


def questions(account: ServiceAccount) -> Mapping[str, object]:
    """The values that `QUESTIONS` are asked with."""
    return {"login": account.login, "ids": [_REGISTERED + account.login], "roles": [account.login]}


def desired(account: ServiceAccount, cluster: RealtimeCluster) -> Account:
    """A login of its own schema and nothing else, with as many sessions as all its pods may open; or nothing at all."""
    if account.leaving:
        gone = Mark(account.owner, retained=True)
        bare = Share(
            _REGISTERED + account.login, account.login, account.owner, gone, None, partitions=None, lacking=None
        )
        return Account(bare)
    role = Role(connection_limit=_sessions(cluster), settings=SETTINGS, fingerprint=fingerprint(account.password))
    share = Share(
        _REGISTERED + account.login,
        account.login,
        account.owner,
        Mark(account.owner),
        role,
        partitions=None,
        lacking=None,
        password=account.password,
    )
    return Account(share, account.login, frozenset(), connect=True)


def observed(account: ServiceAccount, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Account:
    """The account as it is; `rows` are the answers to `QUESTIONS`. Raises Rejected for a mark that cannot be read."""
    registered, found = (next(iter(rows[name]), None) for name in ("tenants", "roles"))
    share = Share(
        _REGISTERED + account.login,
        account.login,
        account.owner,
        catalog.mark(registered) if registered else None,
        catalog.role(found, registered) if found else None,
        partitions=None,
        lacking=None,
    )
    homes, connect = rows["home"], any(row["connect"] for row in rows["connect"])
    if not homes:
        return Account(share, connect=connect)
    return Account(share, homes[0]["owner"], frozenset(homes[0]["guests"]), connect)


def plan_account(wanted: Account, found: Account) -> tuple[AccountAction, ...]:
    """The steps from found to wanted. Where nothing is wanted, what is not ours is left alone.

    Raises:
        Conflict: the role or the schema is somebody else's.
        Rejected: the role has a power that the operator may not take away without breaking what it owns.
    """
    name = wanted.share.role_name
    if wanted.share.role is None:
        return tuple(_removal(wanted, found))
    if found.share.role and (powers := found.share.role.powers & UNALTERABLE):
        taken = " ".join(f"NO{power}" for power in sorted(powers))
        text = f"somebody gave role {name} {' and '.join(sorted(powers))}, which only a superuser can take away"
        raise Rejected("AccountTooStrong", f'{text}: ALTER ROLE "{name}" {taken}')
    if found.home not in ("", name):
        raise Conflict(
            f"schema {name} belongs to role {found.home}: the gateways keep their apps in a schema of that name; "
            f'rename it (ALTER SCHEMA "{name}" RENAME TO ...), or give it to them (ALTER SCHEMA "{name}" '
            f'OWNER TO "{name}")',
            owner=found.home,
        )
    steps: list[AccountAction] = [*plan(wanted.share, found.share)]
    if not found.connect:
        steps.append(PermitRole(name))
    if not found.home:
        steps.append(CreateHome(name))
    steps += [ShutHome(name, guest) for guest in sorted(found.guests)]
    return tuple(steps)


def _removal(wanted: Account, found: Account) -> Iterator[AccountAction]:
    """The steps of a tenant's role that goes, with the schema before the role, and nothing kept in the registry."""
    for step in plan(wanted.share, found.share):
        if isinstance(step, DropRole) and found.home == step.role:
            yield DropHome(step.role)
        yield Forget(wanted.share.tenant) if isinstance(step, Retain) else step


def _sessions(cluster: RealtimeCluster) -> int:
    gateways = cluster.spec.gateway.max_replicas + 1 if cluster.spec.gateway else 0
    relays = cluster.spec.relay.max_replicas + 1 if cluster.spec.relay else 0
    return SESSIONS_PER_GATEWAY * gateways + SESSIONS_PER_RELAY * relays + SESSIONS_TO_SPARE
