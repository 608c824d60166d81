"""What can be done to the part of a database that all tenants share. Each action prints as a sentence. Pure."""

from dataclasses import dataclass

from matrixhub.backends.postgres.state import GROUP, SCHEMA, Function, Name, Policy


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
