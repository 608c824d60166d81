"""What the engine must know of each backend; main.py fills it in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Backend, Credential, Intent, ServiceAccount


@dataclass(frozen=True)
class Logins:
    """What tenants log in to a backend with."""

    ours: Callable[[str, str], bool] = lambda _tenant, _username: False
    """Whether a tenant, the first, has this username; a credential that says another is not believed."""
    new: Callable[[str], Credential] | None = None
    """New credentials for a tenant; None where the backend itself chooses them (AWS access keys)."""


@dataclass(frozen=True)
class Kind:
    """One backend beside the namespace: how to reach it and what its tenants' Secret is called."""

    name: str
    section: Callable[[RealtimeCluster], Any]
    """The backend's part of a RealtimeCluster's spec, or None where it has none."""
    client: Callable[[RealtimeCluster, Mapping[str, str], ServiceAccount | None], Backend[Any, Any]]
    """From the RealtimeCluster, the admin's credentials, and the service account that this backend is to know."""
    secret_name: str = ""
    """The Secret in which each tenant finds its credentials; empty where tenants have no share."""
    logins: Callable[[RealtimeCluster], Logins] = lambda _: Logins()
    """What tenants log in with, as the RealtimeCluster has the backend."""
    binding: Callable[[Intent], Mapping[str, str]] = lambda _: {}
    """What the tenant's Secret is to hold."""
    account: str = ""
    """Which service account this backend is to know: `gateway`, `relay` or none."""
    runs: bool = False
    """Whether it runs pods in the RealtimeCluster's namespace."""

    @property
    def shared_out(self) -> bool:
        """Whether each tenant has a share of it."""
        return bool(self.secret_name)

    @property
    def keeps(self) -> bool:
        """Whether a tenant's share outlives the section of the spec that names the backend."""
        return self.shared_out and not self.runs
