"""Events for what a person would want to know. Pure."""

import uuid
from datetime import datetime
from typing import NamedTuple

from matrixhub.api import naming
from matrixhub.engine.status import timestamp
from matrixhub.kube.resources import Manifest

NOTE_LIMIT = 1024
"""Characters of a message, the limit of the events API."""


class Subject(NamedTuple):
    """What an Event is about; cluster-scoped where the namespace is empty."""

    kind: str
    name: str
    namespace: str
    uid: str


def event(about: Subject, *, type_: str, reason: str, message: str, now: datetime) -> Manifest:
    """An Event about one of our resources; those about cluster-scoped ones live in namespace `default`."""
    # The name only has to be unique: derived from what it says, so the same word twice in a second is one Event.
    stamp = uuid.uuid5(uuid.NAMESPACE_OID, f"{about}/{reason}/{message}/{timestamp(now)}")
    involved = {name: value for name, value in about._asdict().items() if value}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about.name}.{stamp.hex[:16]}", "namespace": about.namespace or "default"},
        "involvedObject": {"apiVersion": naming.API_VERSION, **involved},
        "type": type_,
        "reason": reason,
        "message": message[:NOTE_LIMIT],
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
        "source": {"component": "matrixhub"},
        "reportingComponent": "matrixhub",
    }
