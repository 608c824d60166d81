"""The table that the gateways read their apps from, in SQL: what it is, what is asked, what is written. Pure."""

# ruff: noqa: S608 - what is put into these texts are constants of ours; values are parameters or quoted literals

import json
from collections.abc import Mapping
from typing import Any

from matrixhub.backends.gateway.plan import Action, RemoveApp
from matrixhub.backends.gateway.state import FIXED, App

LOCKED = "locked-"
"""What a secret begins with that the database made up and nobody was told."""

CREATE = """
CREATE TABLE {table} (
    id varchar(255) PRIMARY KEY, key varchar(255) UNIQUE NOT NULL, secret varchar(255) NOT NULL,
    max_connections integer NOT NULL, enable_client_messages boolean NOT NULL DEFAULT false,
    enabled boolean NOT NULL DEFAULT true, max_backend_events_per_second integer,
    max_client_events_per_second integer NOT NULL, max_read_requests_per_second integer,
    max_presence_members_per_channel integer, max_presence_member_size_in_kb integer,
    max_channel_name_length integer, max_event_channels_at_once integer, max_event_name_length integer,
    max_event_payload_in_kb integer, max_event_batch_size integer, enable_user_authentication boolean,
    enable_watchlist_events boolean, policy jsonb, webhooks jsonb, allowed_origins jsonb,
    channel_delta_compression jsonb, idempotency jsonb, connection_recovery jsonb,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP, updated_at timestamp DEFAULT CURRENT_TIMESTAMP)
"""
"""As sockudo 5.2.0 makes it itself (sockudo-app, pg_app_manager.rs), each column that it would add included."""

_JSON = frozenset({"policy", "webhooks", "channel_delta_compression", "idempotency", "connection_recovery"})
_FIXED = ", ".join(
    f"CASE WHEN {name} IS NOT NULL THEN true END AS {name}" if name in _JSON else name for name, _ in FIXED
)
_OWN = (
    "key",
    "secret",
    "enabled",
    "max_connections",
    "max_client_events_per_second",
    "max_presence_members_per_channel",
    "allowed_origins",
)
"""Columns that differ from app to app, beside the id."""
_COLUMNS = ("id", *_OWN, *(name for name, _ in FIXED))
OBSERVE = f"SELECT id, {', '.join(_OWN)}, {_FIXED} FROM {{table}} WHERE id = ANY(%(ids)s)"

_VALUES = ", ".join(
    f"coalesce(%({name})s, '{LOCKED}' || gen_random_uuid())" if name == "secret" else f"%({name})s" for name in _COLUMNS
)


def _set(*changed: str) -> str:
    updates = ", ".join(f"{name} = excluded.{name}" for name in changed)
    return (
        f"INSERT INTO {{table}} ({', '.join(_COLUMNS)}) VALUES ({_VALUES}) "
        f"ON CONFLICT (id) DO UPDATE SET {updates}, updated_at = CURRENT_TIMESTAMP"
    )


SET = _set(*_COLUMNS[1:])
LOCK = _set(*(name for name in _COLUMNS[1:] if name != "key"))
"""The key of an app that is there is left alone, so that no other app's key can keep it open."""
IDS = "SELECT id FROM {table}"
CLEAR = "DELETE FROM {table} WHERE id = ANY(%(ids)s) RETURNING id"
REMOVE = "DELETE FROM {table} WHERE id = %(id)s"


def app(row: Mapping[str, Any]) -> App:
    """The app that a row holds."""
    return App(
        key=row["key"],
        secret=None if row["secret"].startswith(LOCKED) else row["secret"],
        enabled=row["enabled"],
        max_connections=row["max_connections"],
        client_events_per_second=row["max_client_events_per_second"],
        max_presence_members=row["max_presence_members_per_channel"] or 0,
        allowed_origins=_origins(row["allowed_origins"]),
        fixed=tuple((name, row[name]) for name, _ in FIXED),
    )


def _origins(found: Any) -> frozenset[str]:
    """The origins in a JSON column, into which others may have written anything."""
    if found is None:
        return frozenset()
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset({str(found)})


def statement(action: Action) -> tuple[str, dict[str, Any]]:
    """The statement, with `{table}` in it, and the values that carry the action out."""
    if isinstance(action, RemoveApp):
        return REMOVE, {"id": action.id}
    return SET if action.app.enabled else LOCK, values(action.id, action.app)


def values(identity: str, app: App) -> dict[str, Any]:
    """What each column is set to."""
    return {
        "id": identity,
        "key": app.key,
        "secret": app.secret,
        "enabled": app.enabled,
        "max_connections": app.max_connections,
        "max_client_events_per_second": app.client_events_per_second,
        "max_presence_members_per_channel": app.max_presence_members,
        "allowed_origins": json.dumps(sorted(app.allowed_origins)) if app.allowed_origins else None,
        **dict(app.fixed),
    }
