"""The steps from what the shared part of a database is to what it should be. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from matrixhub.backends.postgres.state import GROUP, SCHEMA, Database, Function, Grant, Name, Policy, Table


@dataclass(frozen=True)
class CreateGroup:
    """The group or the pool exists: no login, inherits from nobody."""

    role: str

    def __str__(self) -> str:
        return f"Created role {self.role}"


@dataclass(frozen=True)
class Narrow:
    """The group or the pool is no member of another role."""

    role: str
    other: str

    def __str__(self) -> str:
        return f"Revoked {self.role}'s membership in {self.other}"


@dataclass(frozen=True)
class CreateSchema:
    """Our schema exists."""

    def __str__(self) -> str:
        return f"Created schema {SCHEMA}"


@dataclass(frozen=True)
class CreateRegistry:
    """The table of tenants exists."""

    def __str__(self) -> str:
        return f"Created table {SCHEMA}.tenant"


@dataclass(frozen=True)
class HideRegistry:
    """A grantee has no privilege on the table of tenants."""

    grantee: str

    def __str__(self) -> str:
        return f"Revoked what {self.grantee} could do with {SCHEMA}.tenant"


@dataclass(frozen=True)
class SetFunction:
    """A function of ours is what it should be."""

    function: Function

    def __str__(self) -> str:
        return f"Defined function {SCHEMA}.{self.function.name}"


@dataclass(frozen=True)
class PermitConnect:
    """The group may connect to the database."""

    def __str__(self) -> str:
        return f"Granted connect on the database to {GROUP}"


@dataclass(frozen=True)
class PermitUsage:
    """The group may use a schema."""

    schema: str

    def __str__(self) -> str:
        return f"Granted usage on schema {self.schema} to {GROUP}"


@dataclass(frozen=True)
class ForbidCreate:
    """A grantee may not create objects in a schema."""

    schema: str
    grantee: str

    def __str__(self) -> str:
        return f"Revoked create on schema {self.schema} from {self.grantee}"


@dataclass(frozen=True)
class Secure:
    """Row security is on for a table or partition, for its owner too."""

    table: Name

    def __str__(self) -> str:
        return f"Enabled and forced row security on {self.table}"


@dataclass(frozen=True)
class SetPolicy:
    """A table has this policy of ours, and none other under its name."""

    table: Name
    policy: Policy

    def __str__(self) -> str:
        return f"Set policy {self.policy.name} on {self.table}"


@dataclass(frozen=True)
class SetDefault:
    """The tenant column is filled with the tenant who inserts."""

    table: Name
    expression: str

    def __str__(self) -> str:
        return f"Set the default of the tenant column on {self.table}"


@dataclass(frozen=True)
class Withdraw:
    """A grantee has lost privileges on a table or partition."""

    table: Name
    grantee: str
    privileges: tuple[str, ...]

    def __str__(self) -> str:
        return f"Revoked {', '.join(self.privileges).lower()} on {self.table} from {self.grantee}"


@dataclass(frozen=True)
class Permit:
    """A grantee has privileges on a table."""

    table: Name
    grantee: str
    privileges: tuple[str, ...]

    def __str__(self) -> str:
        return f"Granted {', '.join(self.privileges).lower()} on {self.table} to {self.grantee}"


@dataclass(frozen=True)
class PermitSequence:
    """The group may draw from a sequence."""

    table: Name
    sequence: Name

    def __str__(self) -> str:
        return f"Granted usage on sequence {self.sequence} to {GROUP}"


@dataclass(frozen=True)
class AddIndex:
    """A lookup by tenant is cheap. Built without blocking writers, so it may take long and goes last."""

    table: Name

    def __str__(self) -> str:
        return f"Added an index led by the tenant column to {self.table}"


Base = (
    CreateGroup
    | Narrow
    | CreateSchema
    | CreateRegistry
    | HideRegistry
    | SetFunction
    | PermitConnect
    | PermitUsage
    | ForbidCreate
)
TableAction = Secure | SetPolicy | SetDefault | Withdraw | Permit | PermitSequence | AddIndex
Action = Base | TableAction


def plan_database(desired: Database, observed: Database) -> tuple[Action, ...]:
    """The steps from observed to desired: what all tables need first, then each table's, no door before its wall."""
    steps: list[Action] = [*_base(desired, observed)]
    found = {table.name: table for table in observed.tables}
    for want in sorted(desired.tables, key=lambda table: table.name):
        steps += _table(want, found[want.name])
    pieces = {piece.name: piece for piece in observed.pieces}
    for wanted in sorted(desired.pieces, key=lambda piece: piece.name):
        piece = pieces[wanted.name]
        if (wanted.secured, wanted.forced) != (piece.secured, piece.forced):
            steps.append(Secure(piece.name))
        steps += _withdraw(piece.name, piece.grants - wanted.grants)
    return tuple(steps)


def by_table(actions: Sequence[Action]) -> tuple[tuple[Name | None, tuple[Action, ...]], ...]:
    """The plan cut into what is done together: what is no table's, then each table's own; indexes by themselves."""
    cut: dict[tuple[Name | None, bool], list[Action]] = {}
    for action in actions:
        table = None if isinstance(action, Base) else action.table
        cut.setdefault((table, isinstance(action, AddIndex)), []).append(action)
    return tuple((table, tuple(group)) for (table, _), group in cut.items())


def _base(desired: Database, observed: Database) -> list[Base]:
    steps: list[Base] = [CreateGroup(role) for role in sorted(desired.roles - observed.roles)]
    steps += [Narrow(role, other) for role, other in sorted(observed.widened - desired.widened)]
    if desired.schema and not observed.schema:
        steps.append(CreateSchema())
    if desired.registry and not observed.registry:
        steps.append(CreateRegistry())
    steps += [HideRegistry(grantee) for grantee in sorted({g.grantee for g in observed.exposed - desired.exposed})]
    steps += [SetFunction(function) for function in sorted(desired.functions - observed.functions)]
    if desired.connect and not observed.connect:
        steps.append(PermitConnect())
    steps += [PermitUsage(schema) for schema in sorted(desired.usage - observed.usage)]
    steps += [ForbidCreate(schema, grantee) for schema, grantee in sorted(observed.creators - desired.creators)]
    return steps


def _table(want: Table, have: Table) -> list[TableAction]:
    steps: list[TableAction] = []
    if (want.secured, want.forced) != (have.secured, have.forced):
        steps.append(Secure(want.name))
    steps += [SetPolicy(want.name, policy) for policy in sorted(want.policies - have.policies)]
    if want.default != have.default:
        steps.append(SetDefault(want.name, want.default))
    steps += _withdraw(want.name, have.grants - want.grants)
    by_grantee = _by_grantee(want.grants - have.grants)
    steps += [Permit(want.name, grantee, privileges) for grantee, privileges in by_grantee]
    steps += [PermitSequence(want.name, name) for name, _ in sorted(want.sequences - have.sequences)]
    if want.indexed and not have.indexed:
        steps.append(AddIndex(want.name))
    return steps


def _withdraw(table: Name, grants: frozenset[Grant]) -> list[TableAction]:
    return [Withdraw(table, grantee, privileges) for grantee, privileges in _by_grantee(grants)]


def _by_grantee(grants: frozenset[Grant]) -> list[tuple[str, tuple[str, ...]]]:
    grantees = sorted({grant.grantee for grant in grants})
    return [(name, tuple(sorted(g.privilege for g in grants if g.grantee == name))) for name in grantees]
