"""What exists in Postgres: one tenant's share, and the part of the database that all tenants share.

The same types say what should exist and what does.
"""

from dataclasses import dataclass, field

from matrixhub.api import naming
from matrixhub.backends.contract import Mark, Owner

GROUP = "matrixhub_tenants"
"""Every tenant's role is a member; policies and grants name this role, so a tenant costs none of its own."""
POOL = "matrixhub_pool"
"""Is a member of every tenant's role, inherits from none: a login that is put into it may SET ROLE to any tenant."""
LEFT = "matrixhub_left_"
"""Begins the name of each heir: the role, without any power, that has what a dropped role owned, and nothing else."""
SCHEMA = "matrixhub"
"""Ours: the registry and the functions."""
ISOLATION, ACCESS = "matrixhub_isolation", "matrixhub_access"
"""Our policies on each table: the wall, and the door in it."""


def of_tenants(role: str) -> bool:
    """Whether the role is a tenant's, or the heir of one, by its name."""
    return role.startswith((naming.postgres_role(""), LEFT))


@dataclass(frozen=True, order=True)
class Name:
    """A relation's schema and name, unquoted."""

    schema: str
    relation: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.relation}"


# One tenant's share


@dataclass(frozen=True)
class Role:
    """A tenant's login role.

    Attributes:
        powers: those of SUPERUSER, BYPASSRLS, REPLICATION, CREATEROLE, CREATEDB that it has.
        valid_until: when the password ends; empty for never.
        memberships: roles it is a member of.
        pooled: whether the pool may SET ROLE to it.
        settings: (database or "" for all, "name=value") as in pg_db_role_setting.
        fingerprint: of the password we set last; None in a desired role leaves the password as it is,
            empty in an observed one means that it isn't known.
        sessions: whether sessions are open although it may not log in.
    """

    login: bool = True
    inherit: bool = True
    connection_limit: int = -1
    valid_until: str = ""
    powers: frozenset[str] = frozenset()
    memberships: frozenset[str] = frozenset()
    pooled: bool = False
    settings: frozenset[tuple[str, str]] = frozenset()
    fingerprint: str | None = None
    sessions: bool = False


@dataclass(frozen=True, order=True)
class Partition:
    """A partition that holds the rows of one tenant and no other.

    For one that is still to be made, `taken` says what stands under its name, when something does,
    and `owner` whose it is to be, when not the admin's.
    """

    table: Name
    name: Name
    taken: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Share:
    """One tenant's share of the database.

    Attributes:
        tenant: its id.
        role_name: the name of its role, whether that exists or not.
        owner: for whom this was looked at or wished for.
        mark: its row in the registry; None without one.
        role: None when there is no such role.
        partitions: partitions for it alone; None in a desired share leaves them as they are.
        lacking: list-partitioned tables without a place for its rows; None in a desired share: never mind.
        password: only in a desired share, and no part of any comparison.
    """

    tenant: str
    role_name: str
    owner: Owner
    mark: Mark | None = None
    role: Role | None = None
    partitions: frozenset[Partition] | None = frozenset()
    lacking: frozenset[Partition] | None = frozenset()
    password: str = field(default="", repr=False, compare=False)


# What all tenants share


@dataclass(frozen=True, order=True)
class Policy:
    """A row security policy; `using` and `check` as Postgres prints them."""

    name: str
    restrictive: bool
    command: str
    roles: tuple[str, ...]
    using: str
    check: str


@dataclass(frozen=True, order=True)
class Grant:
    """A privilege of PUBLIC, of the group, or of a tenant's role (`PUBLIC` stands for the first)."""

    grantee: str
    privilege: str


@dataclass(frozen=True)
class Table:
    """A table with the tenant column.

    Attributes:
        column: the tenant column, quoted if its name needs that, and cast as a policy must.
        partitioned: has partitions, so rows and indexes live elsewhere.
        policies: ours alone; what others created is theirs.
        default: of the tenant column, as Postgres prints it.
        indexed: whether a lookup by tenant is cheap (an index led by the column, or partitions by tenant).
        sequences: those its columns own and draw from, by whether the group may use each.
        obstacle: why we cannot manage it; empty when we can.
        remedy: what a person can do about the obstacle.
    """

    name: Name
    column: str
    partitioned: bool = False
    secured: bool = False
    forced: bool = False
    policies: frozenset[Policy] = frozenset()
    default: str = ""
    indexed: bool = False
    grants: frozenset[Grant] = frozenset()
    sequences: frozenset[tuple[Name, bool]] = frozenset()
    obstacle: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Piece:
    """A partition that deviates: reached by its own name, it must refuse everybody."""

    name: Name
    secured: bool
    forced: bool
    grants: frozenset[Grant]


@dataclass(frozen=True, order=True)
class Function:
    """One of our functions, as far as its meaning goes."""

    name: str
    volatility: str
    definer: bool
    body: str
    executable: bool


@dataclass(frozen=True)
class Database:
    """The part of one database that all its tenants share.

    Attributes:
        roles: those of the group and the pool that exist.
        widened: (role, what it is a member of) for the group and the pool: they must be members of nothing foreign.
        schema: whether ours exists.
        registry: whether the table of tenants exists.
        functions: ours.
        connect: whether the group may connect.
        usage: schemas (ours and the managed ones) that the group may use.
        creators: (schema, PUBLIC or the group) that may create objects in it.
        exposed: privileges of PUBLIC, group or tenants on the registry.
        tables: managed tables, partitions left out.
        pieces: partitions that deviate.
    """

    tenant_column: str
    schemas: frozenset[str]
    roles: frozenset[str] = frozenset()
    widened: frozenset[tuple[str, str]] = frozenset()
    schema: bool = False
    registry: bool = False
    functions: frozenset[Function] = frozenset()
    connect: bool = False
    usage: frozenset[str] = frozenset()
    creators: frozenset[tuple[str, str]] = frozenset()
    exposed: frozenset[Grant] = frozenset()
    tables: frozenset[Table] = frozenset()
    pieces: frozenset[Piece] = frozenset()
