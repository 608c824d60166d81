"""What every backend is given and what it answers. Pure."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeVar

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.errors import BackendError


class Phase(Enum):
    """What is wanted of a tenant's share."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    """Data untouched, every door shut."""
    RETAINED = "Retained"
    """The Tenant is deleted: access is gone, data stays and can be adopted again."""
    DELETED = "Deleted"
    """The Tenant is deleted: access and data are gone."""

    @property
    def living(self) -> bool:
        """Whether the tenant has its share, be its doors shut."""
        return self in (Phase.ACTIVE, Phase.SUSPENDED)


@dataclass(frozen=True)
class Owner:
    """Who an object in a backend belongs to; written into every mark as `str(owner)`.

    `hub` is the uid of the Kubernetes cluster's kube-system namespace, `uid` the Tenant's.
    Tenant names are unique in a hub, so an object marked by this hub under another uid was left
    by a deleted Tenant of the same name and is adopted. `former` is a hub that is lost: what it marked
    is adopted, too. It is not part of the mark.
    """

    hub: str
    uid: str
    former: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.hub}/{self.uid}"

    @classmethod
    def parse(cls, text: str) -> "Owner":
        """The owner whose string this is; raises ValueError for another form."""
        hub, slash, uid = text.partition("/")
        if not (slash and hub and uid):
            raise ValueError(f"{text!r} is not an owner's mark (hub/uid)")
        return cls(hub, uid)

    @property
    def elsewhere(self) -> str:
        """Whose it is and what to do about it, for an object of another hub."""
        return (
            f"another Matrix Hub ({self}): remove it there, or name this one otherwise; "
            f"if that Kubernetes cluster is lost, write `adoptFrom: {self.hub}` into the RealtimeCluster"
        )


@dataclass(frozen=True)
class Mark:
    """The ownership mark found on an object; `retained` once its Tenant was deleted with `Retain`."""

    owner: Owner
    retained: bool = False

    def admits(self, owner: Owner) -> bool:
        """Whether `owner` may take the object over: it is its own, its predecessor's, or was left behind."""
        return self.retained or self.owner.hub in (owner.hub, owner.former)

    def vouches_for(self, owner: Owner) -> bool:
        """Whether a credential under it is `owner`'s: never one that an earlier Tenant left, whoever knows it."""
        return not self.retained and (self.owner == owner or self.owner.hub == owner.former)

    def ends_with(self, owner: Owner) -> bool:
        """Whether the data goes with `owner`: never what an earlier Tenant left and this one never took over."""
        return self.owner == owner


@dataclass(frozen=True)
class Credential:
    """What a tenant's applications log in with. No secret ever appears in a repr."""

    username: str
    password: str = field(repr=False)
    master_key: str = field(default="", repr=False)
    """Of a gateway's app: 32 bytes in base64 that encrypt channels end to end and that no gateway ever sees."""


def fingerprint(password: str) -> str:
    """64 bits of the password's SHA-256: shows that a random one was changed, and gives neither away."""
    return hashlib.sha256(password.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ServiceAccount:
    """What a RealtimeCluster's own gateways or relay log in with. `owner.uid` is the RealtimeCluster's.

    `leaving`: the RealtimeCluster goes, and the account with all that belongs to it is to be gone.
    """

    owner: Owner
    login: str
    password: str = field(repr=False)
    leaving: bool = False


@dataclass(frozen=True)
class Intent:
    """What is wanted for one tenant in one backend.

    `credential` is None when access is to be removed, and for a backend that issues its own until it has.
    `held` says that this Tenant is known to have had its share, for a backend whose data carries no mark.
    `ca` is the PEM text of the authority that signs the backend's certificate, empty where the system's are used.
    `secrets` is filled for the namespace backend alone: by Secret name, what each is to hold.
    """

    tenant: Tenant
    cluster: RealtimeCluster
    phase: Phase
    owner: Owner
    credential: Credential | None
    ca: str = ""
    held: bool = False
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Finding:
    """Something about the shared backend that the operator cannot mend: reported on the RealtimeCluster.

    One that nobody can mend, in the nature of the system, keeps the RealtimeCluster from nothing: `mendable` is False.
    """

    reason: str
    message: str
    mendable: bool = True


@dataclass(frozen=True)
class Survey:
    """The shared part of a backend, after `prepare`: its version, what was changed there, what is wrong.

    `vacated`: the account that is leaving has left, wherever it was ours.
    """

    version: str
    repaired: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    vacated: bool = False
    stored: Mapping[str, int] = field(default_factory=dict)
    """By bucket, the bytes in it, where they were asked for and the backend tells of all at once."""


@dataclass(frozen=True)
class Applied:
    """What became of one tenant's plan.

    `error` is None when all of it was done. `issued` is a credential that the backend itself chose
    (AWS access keys, an app's whose key was another's) and that is to be stored in the tenant's Secret.
    """

    error: BackendError | None = None
    issued: Credential | None = None


class Action(Hashable, Protocol):
    """One step of a plan: a small frozen dataclass. `str()` is a sentence without any secret."""

    def __str__(self) -> str: ...


S = TypeVar("S")
A = TypeVar("A", bound=Action)


class Backend(Protocol[S, A]):
    """One external system of one RealtimeCluster. Reading, deciding and writing never mix.

    All methods are synchronous, called from one thread at a time. `prepare`, `observe` and `apply` raise
    `Unreachable` when the system does not answer and `Rejected` when it refuses the admin as a whole
    (reason `AuthenticationFailed`, `PermissionDenied`); what concerns one tenant is in that tenant's result.
    """

    def prepare(self) -> Survey:
        """The shared part is in place and healthy; called at first and at each resync."""
        ...

    def observe(self, intents: Sequence[Intent]) -> Mapping[str, S | BackendError]:
        """What exists now of each tenant (by id), read in as few round trips as the system allows."""
        ...

    def desired(self, intent: Intent) -> S:
        """What should exist. Pure. Raises `Rejected` for a wish that cannot be met, `Conflict` never."""
        ...

    def plan(self, desired: S, observed: S) -> tuple[A, ...]:
        """The steps from observed to desired, of objects with our mark only. Pure. Raises `Conflict` or `Rejected`."""
        ...

    def apply(self, plans: Mapping[str, tuple[A, ...]]) -> Mapping[str, Applied]:
        """Each tenant's plan is carried out, batched across tenants; every step is idempotent."""
        ...

    def binding(self, intent: Intent) -> Mapping[str, str]:
        """What the tenant's Secret holds for this backend, in the Service Binding layout. Pure."""
        ...

    def close(self) -> None:
        """Connections are closed."""
        ...
