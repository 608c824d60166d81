"""The Lease by which one of several operators leads: read, held and released."""

from datetime import UTC, datetime

from matrixhub.api import naming
from matrixhub.kube.client import KubeApi
from matrixhub.kube.election import DURATION, Record, former, held
from matrixhub.kube.resources import LEASE, Manifest

TIMEOUT = (1.0, 1.5)
"""Seconds to connect and to read: what takes longer is tried again within the deadline of a renewal."""
RELEASED = 1.0
"""Seconds that a released Lease promises; it cannot be zero."""


class Lease:
    """One Lease, and the name under which this process holds it. `api` must not ask whether this process leads."""

    def __init__(self, api: KubeApi, namespace: str, name: str, identity: str) -> None:
        self._api, self._namespace, self._name = api, namespace, name
        self.identity = identity

    def read(self) -> Record | None:
        """What the Lease says, None where there is none."""
        lease = self._api.get(LEASE, self._name, self._namespace)
        return _record(lease) if lease else None

    def hold(self, record: Record | None) -> Record:
        """This process holds the Lease, renewed now. Raises Conflict when it says by now what is not in `record`."""
        after = held(record, self.identity, _now())
        return self._write(record, after) if record else self._create(after)

    def release(self, record: Record) -> None:
        """Nobody holds the Lease. Raises Conflict when it has changed since `record`."""
        self._write(record, Record("", RELEASED, record.acquired, _now(), record.transitions, former(record, "")))

    def _create(self, first: Record) -> Record:
        lease = _lease(first)
        lease["metadata"] |= {"name": self._name, "namespace": self._namespace}
        return _record(self._api.create({"apiVersion": LEASE.api_version, "kind": LEASE.kind, **lease}))

    def _write(self, before: Record, after: Record) -> Record:
        patch = _lease(after)
        patch["metadata"]["resourceVersion"] = before.version
        return _record(self._api.patch(LEASE, self._name, self._namespace, patch))


def _record(lease: Manifest) -> Record:
    spec, metadata = lease.get("spec") or {}, lease["metadata"]
    names = (metadata.get("annotations") or {}).get(naming.FORMER_HOLDERS, "")
    return Record(
        holder=spec.get("holderIdentity") or "",
        duration=float(spec.get("leaseDurationSeconds") or DURATION),
        acquired=spec.get("acquireTime") or "",
        renewed=spec.get("renewTime") or "",
        transitions=int(spec.get("leaseTransitions") or 0),
        former=tuple(names.split(",")) if names else (),
        version=metadata["resourceVersion"],
    )


def _lease(record: Record) -> Manifest:
    spec = {
        "holderIdentity": record.holder,
        "leaseDurationSeconds": int(record.duration),
        "acquireTime": record.acquired or None,
        "renewTime": record.renewed,
        "leaseTransitions": record.transitions,
    }
    return {"metadata": {"annotations": {naming.FORMER_HOLDERS: ",".join(record.former)}}, "spec": spec}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
