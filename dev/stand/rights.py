"""The rights of the operator's admin users, as they are handed out anywhere."""

from __future__ import annotations

from pathlib import Path

from stand.state import CHECKOUT


def rights(name: str) -> Path:
    """The file with the admin user's rights in one system."""
    return CHECKOUT / "manifests" / "admin-rights" / name
