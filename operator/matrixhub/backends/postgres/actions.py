"""What can be done to one tenant's share. Each action prints as a sentence. Pure."""

from dataclasses import dataclass, field

from matrixhub.backends.contract import Owner
from matrixhub.backends.postgres.state import SCHEMA, Partition


@dataclass(frozen=True)
class Claim:
    """The registry says whose the tenant is. Goes before anything else is made."""

    tenant: str
    role: str
    owner: Owner

    def __str__(self) -> str:
        return f"Entered tenant {self.tenant} in {SCHEMA}.tenant"


@dataclass(frozen=True)
class CreateRole:
    """The role exists, with a password when one is given."""

    tenant: str
    role: str
    login: bool
    connection_limit: int
    member: bool
    pooled: bool
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"Created role {self.role}"


@dataclass(frozen=True)
class AlterRole:
    """The role has these attributes."""

    role: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"Set {', '.join(self.options)} on role {self.role}"


@dataclass(frozen=True)
class SetPassword:
    """The role's password is the one in the Secret."""

    tenant: str
    role: str
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"Set the password of role {self.role}"


@dataclass(frozen=True)
class Join:
    """The role is a member of another."""

    member: str
    role: str

    def __str__(self) -> str:
        return f"Made {self.member} a member of {self.role}"


@dataclass(frozen=True)
class Leave:
    """The role is not a member of another."""

    member: str
    role: str

    def __str__(self) -> str:
        return f"Revoked {self.member}'s membership in {self.role}"


@dataclass(frozen=True)
class Configure:
    """The role has exactly these settings, in every database; `reset` are databases ("" for all) to clear first."""

    role: str
    settings: tuple[tuple[str, str], ...]
    reset: tuple[str, ...]

    def __str__(self) -> str:
        return f"Set {', '.join(setting for _, setting in self.settings)} on role {self.role}"


@dataclass(frozen=True)
class EndSessions:
    """No session of the role is open."""

    role: str

    def __str__(self) -> str:
        return f"Ended the sessions of role {self.role}"


@dataclass(frozen=True)
class DropRole:
    """The role is gone; what it owned in this database belongs to a role that has no power and nothing else."""

    role: str
    because: str = ""

    def __str__(self) -> str:
        return f"Dropped role {self.role}{self.because}"


@dataclass(frozen=True)
class AddPartition:
    """A list-partitioned table has a place for the tenant's rows."""

    tenant: str
    partition: Partition

    def __str__(self) -> str:
        return f"Added partition {self.partition.name} to {self.partition.table}"


@dataclass(frozen=True)
class DeleteData:
    """No managed table holds a row of the tenant, and its partitions are gone."""

    tenant: str
    role: str
    partitions: frozenset[Partition]

    def __str__(self) -> str:
        return f"Deleted the rows of tenant {self.tenant} and its {len(self.partitions)} partitions"


@dataclass(frozen=True)
class Retain:
    """The registry says that the tenant is gone and its data was kept."""

    tenant: str
    owner: Owner

    def __str__(self) -> str:
        return f"Marked the data of tenant {self.tenant} as retained"


@dataclass(frozen=True)
class Forget:
    """The registry has no row of the tenant."""

    tenant: str

    def __str__(self) -> str:
        return f"Removed tenant {self.tenant} from {SCHEMA}.tenant"


Action = (
    Claim
    | CreateRole
    | AlterRole
    | SetPassword
    | Join
    | Leave
    | Configure
    | EndSessions
    | DropRole
    | AddPartition
    | DeleteData
    | Retain
    | Forget
)
