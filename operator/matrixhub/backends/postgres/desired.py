"""What should exist in Postgres, from a tenant and its cluster, or from the tables that were found. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import PostgresBackend
from matrixhub.api.values import bracketed
from matrixhub.backends.contract import Intent, Mark, Phase, fingerprint
from matrixhub.backends.postgres.state import (
    ACCESS,
    GROUP,
    ISOLATION,
    POOL,
    SCHEMA,
    Database,
    Function,
    Grant,
    Name,
    Piece,
    Policy,
    Role,
    Share,
    Table,
)
from matrixhub.errors import Rejected

IDLE_IN_TRANSACTION = timedelta(seconds=60)
"""A transaction left open this long holds back vacuum for every tenant: its session is ended."""

_MAX_NAME = 63

_PREFIX = naming.postgres_role("")
_TENANT_OF = (
    f"SELECT CASE WHEN pg_catalog.starts_with({{0}}::pg_catalog.text, '{_PREFIX}')"
    f" THEN pg_catalog.substr({{0}}::pg_catalog.text, {len(_PREFIX) + 1}) END"
)
FUNCTIONS = frozenset(
    {
        # For policies alone: the label lets the planner fold it and prune partitions while planning. It is sound
        # there because a plan that depends on row security is made anew when the role changes; elsewhere
        # (an index, a generated column, PL/pgSQL) a folded value could outlive the role.
        Function(
            "current_tenant()", "immutable", definer=False, body=_TENANT_OF.format("current_user"), executable=True
        ),
        # For everything else. The label is true, so CURRENT_USER is read each time.
        Function("tenant_of(role name)", "immutable", definer=False, body=_TENANT_OF.format("role"), executable=True),
    }
)
DEFAULT = f"{SCHEMA}.tenant_of(CURRENT_USER)"

PRIVILEGES = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
"""Never TRUNCATE (row security does not see it), REFERENCES or TRIGGER."""


def section(cluster: RealtimeCluster) -> PostgresBackend:
    """The cluster's Postgres; raises Rejected when it has none."""
    if cluster.spec.postgres is None:
        raise Rejected("BackendMissing", f"RealtimeCluster {cluster.key} has no `spec.postgres`")
    return cluster.spec.postgres


def share(intent: Intent) -> Share:
    """The tenant's share in the phase that is wanted.

    Raises:
        Rejected: the credential is missing.
    """
    tenant = intent.tenant.id
    bare = Share(tenant, naming.postgres_role(tenant), intent.owner, partitions=None, lacking=None)
    match intent.phase:
        case Phase.DELETED:
            return replace(bare, partitions=frozenset())
        case Phase.RETAINED:
            return replace(bare, mark=Mark(intent.owner, retained=True))
        case Phase.SUSPENDED:
            password = intent.credential.password if intent.credential else ""
            shut = Role(login=False, connection_limit=_limit(intent), settings=_settings(intent))
            return replace(bare, mark=Mark(intent.owner), role=shut, password=password)
        case Phase.ACTIVE:
            return _active(intent, bare)


def _active(intent: Intent, bare: Share) -> Share:
    if intent.credential is None:
        raise Rejected("CredentialMissing", f"there is no password yet for Postgres role {bare.role_name}")
    role = Role(
        connection_limit=_limit(intent),
        memberships=frozenset({GROUP}),
        pooled=True,
        settings=_settings(intent),
        fingerprint=fingerprint(intent.credential.password),
    )
    mark = Mark(intent.owner)
    return replace(bare, mark=mark, role=role, lacking=frozenset(), password=intent.credential.password)


def _limit(intent: Intent) -> int:
    return intent.tenant.spec.postgres.connection_limit


def _settings(intent: Intent) -> frozenset[tuple[str, str]]:
    timeout = intent.tenant.spec.postgres.statement_timeout
    path = ", ".join(section(intent.cluster).schemas)
    return frozenset(
        {
            ("", f"statement_timeout={_milliseconds(timeout)}ms"),
            ("", f"idle_in_transaction_session_timeout={_milliseconds(IDLE_IN_TRANSACTION)}ms"),
            ("", f"search_path={path}"),
        }
    )


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def partition_name(table: Name, tenant: str) -> Name:
    """The name of a tenant's partition: table and id."""
    return _named_after(table, f"_{tenant}")


def index_name(table: Name) -> Name:
    """The name of our index on a table."""
    return _named_after(table, "_matrixhub_idx")


def _named_after(table: Name, ending: str) -> Name:
    """The table's name and an ending, shortened with a hash when Postgres would cut it: another might be cut alike."""
    plain = f"{table.relation}{ending}"
    if len(plain.encode()) > _MAX_NAME:
        ending = f"_{hashlib.sha256(table.relation.encode()).hexdigest()[:8]}{ending}"
        room = _MAX_NAME - len(ending.encode())
        plain = f"{table.relation.encode()[:room].decode(errors='ignore')}{ending}"
    return Name(table.schema, plain)


def binding(intent: Intent) -> Mapping[str, str]:
    """What the tenant's Secret holds, in the Service Binding layout; empty without a credential."""
    if intent.credential is None:
        return {}
    server = section(intent.cluster)
    user, password = intent.credential.username, intent.credential.password
    return {
        "type": "postgresql",
        "provider": "matrixhub",
        "host": server.host,
        "port": str(server.port),
        "database": server.database,
        "username": user,
        "password": password,
        "sslmode": server.ssl_mode,
        "uri": f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{bracketed(server.host)}:{server.port}"
        f"/{quote(server.database, safe='')}?sslmode={server.ssl_mode}",
        **({"ca.crt": intent.ca} if intent.ca else {}),
    }


def database(observed: Database) -> Database:
    """The shared part as it should be, for the tables that were found."""
    return Database(
        tenant_column=observed.tenant_column,
        schemas=observed.schemas,
        roles=frozenset({GROUP, POOL}),
        schema=True,
        registry=True,
        functions=FUNCTIONS,
        connect=True,
        usage=observed.schemas | {SCHEMA},
        tables=frozenset(table(found) for found in observed.tables),
        pieces=frozenset(Piece(p.name, secured=True, forced=True, grants=frozenset()) for p in observed.pieces),
    )


def table(found: Table) -> Table:
    """The table as it should be; one that cannot be managed stays as it is."""
    if found.obstacle:
        return found
    return replace(
        found,
        secured=True,
        forced=True,
        policies=policies(found.column),
        default=DEFAULT,
        # The index of a partitioned table cannot be built without blocking its writers: that hour a person chooses.
        indexed=found.indexed or not found.partitioned,
        grants=frozenset(Grant(GROUP, privilege) for privilege in PRIVILEGES),
        sequences=frozenset((name, True) for name, _ in found.sequences),
    )


def is_walled(table: Table) -> bool:
    """Whether our policies on the table are what they should be; they bind nobody while row security is off."""
    return table.policies == policies(table.column)


def policies(column: str) -> frozenset[Policy]:
    """A wall that no other policy can widen, and a door for the group in it.

    The door asks for the tenant too: were the function dropped, with everything that depends on it, an open door
    would be left without its wall.
    """
    wall = f"({column} = {SCHEMA}.current_tenant())"
    return frozenset(
        Policy(name, restrictive, "ALL", (GROUP,), wall, wall)
        for name, restrictive in ((ISOLATION, True), (ACCESS, False))
    )
