"""A Tenant as the watch shows it. Pure."""

from pydantic import ValidationError

from matrixhub.api.tenant import ClusterRef, Tenant, TenantSpec
from matrixhub.api.values import Metadata, describe
from matrixhub.backends.contract import Phase
from matrixhub.kube.resources import Manifest


def read_tenant(body: Manifest) -> tuple[Tenant, str]:
    """The Tenant, and what is wrong with it; one that cannot be parsed keeps its metadata alone."""
    try:
        return Tenant.model_validate(body), ""
    except ValidationError as error:
        metadata = Metadata.model_validate(body["metadata"])
        spec = TenantSpec(cluster_ref=ClusterRef(namespace="", name=""))
        return Tenant(metadata=metadata, spec=spec, status=body.get("status") or {}), describe(error)


def wish(tenant: Tenant) -> tuple[str, int, bool]:
    """What changes whenever something else is wanted."""
    metadata = tenant.metadata
    return metadata.uid, metadata.generation, metadata.deletion_timestamp is not None


def phase(tenant: Tenant) -> Phase:
    """What is wanted of the tenant's shares."""
    spec = tenant.spec
    if tenant.metadata.deletion_timestamp is not None:
        return Phase.DELETED if spec.deletion_policy == "Delete" else Phase.RETAINED
    return Phase.SUSPENDED if spec.suspended else Phase.ACTIVE


def older(tenant: Tenant, known: Tenant) -> bool:
    """Whether a write of ours, or a successor of the same name, has overtaken it (versions are ordered: KEP-5504)."""
    return int(tenant.metadata.resource_version or 0) < int(known.metadata.resource_version or 0)


def echoes(body: Manifest, known: Tenant) -> bool:
    """Whether it shows what the answer to a write of ours has shown before."""
    metadata = body["metadata"]
    return (
        metadata["uid"],
        metadata.get("resourceVersion"),
        metadata.get("generation"),
        metadata.get("deletionTimestamp") is not None,
    ) == (known.metadata.uid, known.metadata.resource_version, *wish(known)[1:])
