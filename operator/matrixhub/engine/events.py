"""Events for what a person would want to know. Pure."""

import uuid
from datetime import datetime
from typing import NamedTuple

from matrixhub.api import naming
from matrixhub.api.values import timestamp
from matrixhub.kube.resources import Manifest

NOTE_LIMIT = 1024
"""Characters of a message, the limit of the events API."""


class Subject(NamedTuple):
    """What an Event is about; cluster-scoped where the namespace is empty."""

    kind: str
    name: str
    namespace: str
    uid: str


class News(NamedTuple):
    """What is to be told once, and when it happened."""

    reason: str
    message: str
    time: datetime
    type_: str = "Normal"


def name_of(about: Subject, news: News) -> str:
    """The Event's name. Derived from what it says, so the same word twice in a second is one Event."""
    stamp = uuid.uuid5(uuid.NAMESPACE_OID, f"{about}/{news.reason}/{news.message}/{timestamp(news.time)}")
    return f"{about.name}.{stamp.hex[:16]}"


def event(about: Subject, news: News) -> Manifest:
    """An Event about one of our resources; those about cluster-scoped ones live in namespace `default`."""
    involved = {name: value for name, value in about._asdict().items() if value}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name_of(about, news), "namespace": about.namespace or "default"},
        "involvedObject": {"apiVersion": naming.API_VERSION, **involved},
        "type": news.type_,
        "reason": news.reason,
        "message": news.message[:NOTE_LIMIT],
        "firstTimestamp": timestamp(news.time),
        "lastTimestamp": timestamp(news.time),
        "count": 1,
        "source": {"component": "matrixhub"},
        "reportingComponent": "matrixhub",
    }
