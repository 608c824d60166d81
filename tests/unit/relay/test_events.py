"""From records to events: which route, which channel, which name; and what can never become an event."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrixhub.api.dataplane import Route
from matrixhub.relay.events import CHANNEL, Event, Poison, Record, Router

ROUTES = (
    Route(topics="*.institution.updates", channel="private-{key}", event="{domain}-{event}"),
    Route(topics="*.institution.*", channel="{domain}.{event}"),
    Route(topics="green.analytics.*", channel="presence-{tenant}", event="{key}"),
)
ROUTER = Router(ROUTES, data_bytes=20)


def record(topic: str = "green.institution.metrics", value: bytes | None = b"{}", key: bytes | None = None) -> Record:
    return Record(topic, 0, 7, key, value, 0.0)


@pytest.mark.parametrize(
    ("found", "event"),
    [
        (record(), Event("institution.metrics", "metrics", "{}")),
        (
            record("green.institution.updates", b"plain text", b"room-1"),
            Event("private-room-1", "institution-updates", "plain text"),
        ),
        (record("green.analytics.errors", b"", b"oops"), Event("presence-green", "oops", "")),
        (record(value="Zürich 😀".encode()), Event("institution.metrics", "metrics", "Zürich 😀")),
        (record("hill.institution.updates", key=b"{tenant}"), None),
    ],
)
def test_the_first_route_that_fits_is_taken(found, event):
    made = ROUTER.event(found)
    assert made == event if event else isinstance(made, Poison)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (record("hill.analytics.errors"), "NoRoute"),
        (record("green.relay.dead-letter"), "NoRoute"),
        (record(value=None), "NoValue"),
        (record(value=b"x" * 21), "TooLarge"),
        (record(value=b"\xff\xfe"), "NotText"),
        (record("green.institution.updates"), "NoKey"),
        (record("green.institution.updates", key=b"\xff"), "KeyNotText"),
        (record("green.institution.updates", key=b"a b"), "InvalidChannel"),
        (record("green.institution.updates", key=b"r" * 193), "InvalidChannel"),
        (record("green.institution.updates", key=b"encrypted-room"), "EncryptedChannel"),
        (record("green.analytics.errors", key=b""), "InvalidEvent"),
        (record("green.analytics.errors", key=b"e" * 201), "InvalidEvent"),
        (record("green.analytics.errors", key=b"pusher:error"), "ReservedEvent"),
        (record("green.analytics.errors", key=b"pusher_internal:subscription_succeeded"), "ReservedEvent"),
    ],
)
def test_what_can_never_become_an_event_is_poison_with_its_reason(found, reason):
    made = ROUTER.event(found)
    assert isinstance(made, Poison)
    assert made.reason == reason
    assert made.message


def test_the_topics_to_consume_are_those_with_a_route_and_never_the_relays_own():
    every = Router([Route(topics="*.*.*", channel="all")], data_bytes=20)
    topics = [
        "green.institution.metrics",
        "green.relay.dead-letter",
        "relay.a.b",
        "a.b",
        "a.b.c.d",
        "__consumer_offsets",
    ]
    assert [topic for topic in topics if re.match(every.topics, topic)] == ["green.institution.metrics", "relay.a.b"]
    assert [topic for topic in topics if re.match(ROUTER.topics, topic)] == ["green.institution.metrics"]


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(topic=st.tuples(NAMES, NAMES, NAMES), key=st.none() | st.binary(max_size=30), value=st.none() | st.binary())
def test_whatever_comes_becomes_an_event_that_the_gateway_takes_or_poison(topic, key, value):
    router = Router([Route(topics="*.*.*", channel="{tenant}-{key}", event="{key}")], data_bytes=20)
    made = router.event(Record(".".join(topic), 0, 0, key, value, 0.0))
    if isinstance(made, Event):
        assert CHANNEL.fullmatch(made.channel)
        assert made.data.encode() == value
        assert made.channel == f"{topic[0]}-{made.name}"
    else:
        assert made.reason.isalpha()
