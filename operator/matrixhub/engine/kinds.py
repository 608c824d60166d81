"""What the engine must know of each backend; main.py fills it in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Backend, Intent


@dataclass(frozen=True)
class Kind:
    """One backend beside the namespace: how to reach it and what its tenants' Secret is called."""

    name: str
    secret_name: str
    section: Callable[[RealtimeCluster], Any]
    """The backend's part of a RealtimeCluster's spec, or None where it has none."""
    client: Callable[[RealtimeCluster, Mapping[str, str]], Backend[Any, Any]]
    binding: Callable[[Intent], Mapping[str, str]]
    username: Callable[[str], str]
    issues: Callable[[RealtimeCluster], bool] = lambda _: False
    """Whether the backend itself chooses the credentials (AWS access keys)."""
