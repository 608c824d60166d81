"""Everything that is known of Tenants and RealtimeClusters, in memory. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Owner, Phase, Survey
from matrixhub.engine.kinds import Kind
from matrixhub.engine.outcome import Basis
from matrixhub.engine.scales import Counts, Scales
from matrixhub.engine.standing import NAMESPACE, OBJECT_STORE, Entry, turn
from matrixhub.engine.status import Health
from matrixhub.errors import BackendError, Rejected, Transient
from matrixhub.scaling.report import Load, Report, joined


@dataclass
class Plane:
    """One RealtimeCluster as last seen, and the health of its backends."""

    cluster: RealtimeCluster
    health: dict[str, Health] = field(default_factory=dict)
    authorities: dict[str, str] = field(default_factory=dict)
    """By backend, the PEM text of the authority that signs its certificate, as last read from its Secret."""
    scales: Scales = field(default_factory=Scales)
    """What is told of scaling."""
    looks: dict[Load, Report] = field(default_factory=dict)
    """By load, what was last seen and decided of its workloads."""
    counts: Counts = field(default_factory=Counts)
    """Its Tenants' connections as last told."""
    bound: dict[str, str] = field(default_factory=dict)
    """By backend, the authority with which the tenants' Secrets were last composed."""
    settled: int = -1
    """The generation for which its workers were last appointed."""
    leaving: bool = False
    """Whether it is deleted and nobody lives on it, so that what it has of its own goes."""
    accounts: bool = False
    """Whether it ever ran something that logs in, so that what it logged in with may be in the backends."""

    @property
    def report(self) -> Report | None:
        """What was last seen and decided of all its workloads."""
        return joined(self.looks)

    @property
    def stored(self) -> Mapping[str, int]:
        """By bucket, the bytes in it, where its object store told them when it was last looked at."""
        health = self.health.get(OBJECT_STORE)
        return health.survey.stored if health and isinstance(health.survey, Survey) else {}

    @property
    def held(self) -> bool:
        """Whether our finalizer keeps it."""
        return naming.CLUSTER_FINALIZER in self.cluster.metadata.finalizers


@dataclass
class Roster:
    """Tenants by id and RealtimeClusters by `namespace/name`."""

    hub: str
    kinds: Sequence[Kind]
    entries: dict[str, Entry] = field(default_factory=dict)
    planes: dict[str, Plane] = field(default_factory=dict)

    def plane_of(self, entry: Entry) -> Plane | None:
        """The RealtimeCluster that the Tenant names, if it exists."""
        return self.planes.get(str(entry.tenant.spec.cluster_ref))

    def services(self, plane: Plane) -> tuple[Kind, ...]:
        """The backends that the RealtimeCluster has, beside the namespace; one that is leaving runs nothing."""
        return tuple(
            kind for kind in self.kinds if kind.section(plane.cluster) is not None and not (plane.leaving and kind.runs)
        )

    def shares(self, plane: Plane) -> tuple[Kind, ...]:
        """Those of which each tenant has a share."""
        return tuple(kind for kind in self.services(plane) if kind.shared_out)

    def backends(self, entry: Entry) -> tuple[str, ...]:
        """The backends whose conditions the Tenant shows; all, while its cluster is unknown."""
        plane = self.plane_of(entry)
        kinds = self.shares(plane) if plane else (kind for kind in self.kinds if kind.shared_out)
        return (NAMESPACE, *(kind.name for kind in kinds), *self.missing(entry))

    def missing(self, entry: Entry) -> dict[str, BackendError]:
        """The backends that the RealtimeCluster no longer names while the Tenant has its share there.

        What it has there can neither be shut nor removed, until they are named again or given up.
        """
        plane = self.plane_of(entry)
        if plane is None:
            return {}
        cluster = plane.cluster
        remedy = "put it back there, or, where all of it may stay as it is, name it in `spec.abandoned`"
        return {
            kind.name: Rejected(
                "ServiceMissing",
                f"RealtimeCluster {cluster.key} no longer says where its {kind.name} is, and what this Tenant has "
                f"there, access and data, is out of reach: {remedy}",
            )
            for kind in self.kinds
            if kind.name in entry.shares and kind.keeps and kind.section(cluster) is None
            if kind.name not in cluster.spec.given_up
        }

    def members(self, cluster: str) -> list[str]:
        """The ids of the tenants of one RealtimeCluster that may be worked on."""
        return [
            tenant
            for tenant, entry in self.entries.items()
            if str(entry.tenant.spec.cluster_ref) == cluster and not entry.invalid
        ]

    def phases(self, cluster: str) -> dict[str, Phase]:
        """What is wanted of each of them."""
        return {tenant: self.entries[tenant].phase for tenant in self.members(cluster)}

    def residents(self, cluster: str) -> list[str]:
        """The ids of all Tenants that name the RealtimeCluster, in order."""
        return sorted(t for t, entry in self.entries.items() if str(entry.tenant.spec.cluster_ref) == cluster)

    def deserted(self, plane: Plane) -> bool:
        """Whether the RealtimeCluster is deleted and no known Tenant names it."""
        return plane.cluster.metadata.deletion_timestamp is not None and not self.residents(plane.cluster.key)

    def basis(self, entry: Entry, plane: Plane) -> Basis:
        """The wish that is to be fulfilled now."""
        metadata = entry.tenant.metadata
        return Basis(metadata.uid, metadata.generation, plane.cluster.metadata.generation)

    def turn(self, entry: Entry, plane: Plane) -> tuple[str, ...]:
        """The backends that may work for the tenant now; the namespace goes only when nothing is missing."""
        names = turn(entry, tuple(kind.name for kind in self.shares(plane)), self.basis(entry, plane))
        return tuple(n for n in names if n != NAMESPACE) if entry.deleting and self.missing(entry) else names

    def due(self, tenant: str, backend: str) -> tuple[Entry, Plane] | None:
        """The tenant and its RealtimeCluster, if it is there and this backend may work for it now."""
        entry = self.entries.get(tenant)
        plane = self.plane_of(entry) if entry else None
        if entry is None or plane is None or not entry.admitted or backend not in self.turn(entry, plane):
            return None
        return entry, plane

    def wishes(self, tenants: Iterable[str]) -> dict[str, tuple[Basis, Phase]]:
        """What is wanted of each tenant, in short; those that are gone are left out."""
        found = {}
        for tenant in tenants:
            entry = self.entries.get(tenant)
            if entry and (plane := self.plane_of(entry)):
                found[tenant] = (self.basis(entry, plane), entry.phase)
        return found

    def owner(self, entry: Entry) -> Owner:
        """What the tenant's objects are marked with."""
        plane = self.plane_of(entry)
        return Owner(self.hub, entry.tenant.metadata.uid, plane.cluster.spec.adopt_from if plane else "")

    def obstacle(self, entry: Entry) -> BackendError | None:
        """What keeps every backend from beginning."""
        if self.plane_of(entry):
            return None
        remedy = "delete this Tenant and apply it with another clusterRef"
        if entry.deleting:
            remedy = f"remove the finalizer {naming.FINALIZER} to leave what this Tenant has on its backends"
        reference = entry.tenant.spec.cluster_ref
        return Transient("ClusterNotFound", f"RealtimeCluster {reference} does not exist: create it, or {remedy}")
