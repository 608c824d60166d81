"""From a record to an event on a channel, or why it can never become one. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matrixhub.api import naming
from matrixhub.api.dataplane import Route

LONGEST_NAME = 200
"""Characters of a channel's and of an event's name: Pusher's limit, and the gateway's."""
DATA_BYTES = 10 * 1024
"""The largest event: Pusher's limit, which its client libraries keep to."""
CHANNEL = re.compile(rf"[A-Za-z0-9_=@,.;-]{{1,{LONGEST_NAME}}}")
"""Pusher's rule for channel names; the gateway refuses a whole request in which one breaks it."""
REASONS = (
    "Unreadable",
    "NoRoute",
    "NoKey",
    "KeyNotText",
    "NoValue",
    "TooLarge",
    "NotText",
    "InvalidChannel",
    "EncryptedChannel",
    "InvalidEvent",
    "ReservedEvent",
    "Refused",
)
"""Why a record cannot be delivered."""
RESERVED_EVENTS = ("pusher:", "pusher_internal:", "client-")
"""What a server never publishes; the gateway would pass it on, and clients would take it for the gateway's own word."""
ENCRYPTED_CHANNELS = "private-encrypted-"
"""Only who has the tenant's encryption key can publish there: the relay has not."""

OVERHEAD = 512
"""Bytes of memory that a record takes beside its key and its value."""

_PLACEHOLDER = re.compile(r"\{(tenant|domain|event|key)\}")


@dataclass(frozen=True)
class Record:
    """A record as it came from Kafka; `timestamp` in seconds since the epoch."""

    topic: str
    partition: int
    offset: int
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    timestamp: float
    unreadable: str = ""
    """Why it has neither key nor value: it stands for what could not be read, up to its offset."""

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return OVERHEAD + len(self.key or b"") + len(self.value or b"")


@dataclass(frozen=True)
class Event:
    """What subscribers of the channel get."""

    channel: str
    name: str
    data: str = field(repr=False)


@dataclass(frozen=True)
class Poison:
    """Why a record can never become an event: one CamelCase word, and a sentence."""

    reason: str
    message: str


def tenant_of(topic: str) -> str:
    """The tenant whose topic this is."""
    return topic.partition(".")[0]


class Router:
    """The routes of one relay: the first whose pattern fits a topic is taken."""

    def __init__(self, routes: Sequence[Route], data_bytes: int = DATA_BYTES) -> None:
        self._routes = [(re.compile(naming.relayed_expression(route.topics)), route) for route in routes]
        self._by_topic: dict[str, Route | None] = {}
        self._data_bytes = data_bytes

    @property
    def topics(self) -> str:
        """A regular expression that fits every topic with a route, from its beginning to its end."""
        return "|".join(f"(?:{expression.pattern})" for expression, _ in self._routes)

    def event(self, record: Record) -> Event | Poison:
        """What the record becomes."""
        if record.unreadable:
            return Poison("Unreadable", record.unreadable)
        route = self._route(record.topic)
        if route is None:
            return Poison("NoRoute", f"no route fits topic {record.topic}")
        data = self._data(record.value)
        if isinstance(data, Poison):
            return data
        try:
            words = _words(record)
            channel, name = _filled(route.channel, words), _filled(route.event, words)
        except KeyError:
            return Poison("NoKey", "the route takes the record's key, and it has none")
        except UnicodeDecodeError:
            return Poison("KeyNotText", "the route takes the record's key, which is no UTF-8")
        return _misnamed(channel, name) or Event(channel, name, data)

    def _route(self, topic: str) -> Route | None:
        if topic not in self._by_topic:
            fitting = (route for expression, route in self._routes if expression.match(topic))
            self._by_topic[topic] = next(fitting, None)
        return self._by_topic[topic]

    def _data(self, value: bytes | None) -> str | Poison:
        if value is None:
            return Poison("NoValue", "the record has no value")
        if len(value) > self._data_bytes:
            return Poison("TooLarge", f"{len(value)} bytes are more than an event may have: {self._data_bytes}")
        try:
            return value.decode()
        except UnicodeDecodeError:
            return Poison("NotText", "the value is no UTF-8")


def _words(record: Record) -> Mapping[str, str]:
    tenant, domain, event = record.topic.split(".")
    words = {"tenant": tenant, "domain": domain, "event": event}
    return words if record.key is None else words | {"key": record.key.decode()}


def _filled(template: str, words: Mapping[str, str]) -> str:
    """The template with each placeholder's word in its place. Raises KeyError for a word that there is not."""
    return _PLACEHOLDER.sub(lambda match: words[match.group(1)], template)


def _misnamed(channel: str, name: str) -> Poison | None:
    if not CHANNEL.fullmatch(channel):
        return Poison(
            "InvalidChannel",
            f"{channel[:LONGEST_NAME]!r} is no name of a channel: up to {LONGEST_NAME} letters, digits, _ - = @ , . ;",
        )
    if channel.startswith(ENCRYPTED_CHANNELS):
        return Poison("EncryptedChannel", f"the relay has no key to encrypt for {channel}")
    if not name or len(name) > LONGEST_NAME:
        return Poison("InvalidEvent", f"{name[:LONGEST_NAME]!r} is no name of an event: 1 to {LONGEST_NAME} characters")
    if name.startswith(RESERVED_EVENTS):
        return Poison("ReservedEvent", f"{name!r} is a name that only the gateway, or a client, may use")
    return None
