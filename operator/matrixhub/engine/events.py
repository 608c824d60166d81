"""Events for what a person would want to know. Pure."""

import uuid
from datetime import datetime

from matrixhub.engine.status import timestamp
from matrixhub.kube.resources import Manifest

NOTE_LIMIT = 1024
"""Characters of a message, the limit of the events API."""


def event(
    kind: str, name: str, namespace: str, uid: str, *, type_: str, reason: str, message: str, now: datetime
) -> Manifest:
    """An Event about one of our resources; those about cluster-scoped ones live in namespace `default`."""
    # The name only has to be unique: derived from what it says, so the same word twice in a second is one Event.
    stamp = uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{namespace}/{name}/{reason}/{message}/{timestamp(now)}")
    involved = {"apiVersion": "matrixhub.io/v1alpha1", "kind": kind, "name": name, "uid": uid}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{stamp.hex[:16]}", "namespace": namespace or "default"},
        "involvedObject": {**involved, "namespace": namespace} if namespace else involved,
        "type": type_,
        "reason": reason,
        "message": message[:NOTE_LIMIT],
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
        "source": {"component": "matrixhub"},
        "reportingComponent": "matrixhub",
    }
