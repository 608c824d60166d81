"""What exists of a tenant on the gateways: its app, a row of the table that they read. Pure."""

from dataclasses import dataclass, field

CLIENT_EVENTS = ("enable_client_messages", True)
FIXED: tuple[tuple[str, bool | int | None], ...] = (
    CLIENT_EVENTS,
    # Pusher's own limits (pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol and its
    # HTTP API), but for the payload: what its client libraries still send, 30 KB, plus what encryption adds.
    ("max_presence_member_size_in_kb", 2),
    ("max_channel_name_length", 200),
    ("max_event_channels_at_once", 100),
    ("max_event_name_length", 200),
    ("max_event_payload_in_kb", 48),
    ("max_event_batch_size", 100),
    # Whoever does not sign in would be disconnected after an hour.
    ("enable_user_authentication", False),
    ("enable_watchlist_events", False),
    # Kept by sockudo and enforced nowhere in 5.2.0, so they are not offered.
    ("max_backend_events_per_second", None),
    ("max_read_requests_per_second", None),
    # A policy would take the place of every other column.
    ("policy", None),
    ("webhooks", None),
    ("channel_delta_compression", None),
    ("idempotency", None),
    ("connection_recovery", None),
)
"""Columns that are the same for every app. A JSON column that is filled counts as True."""


@dataclass(frozen=True)
class App:
    """A tenant's app. `secret` is None when it is one that nobody knows, so that nobody can sign anything.

    `client_events_per_second` holds for each socket, `max_connections` for all gateways together.
    """

    key: str = field(repr=False)
    secret: str | None = field(repr=False)
    enabled: bool
    max_connections: int
    client_events_per_second: int
    max_presence_members: int
    allowed_origins: frozenset[str] = frozenset()
    fixed: tuple[tuple[str, bool | int | None], ...] = FIXED


@dataclass(frozen=True)
class State:
    """The tenant's app under its computed id; None when there is none."""

    tenant: str
    id: str
    app: App | None = None
