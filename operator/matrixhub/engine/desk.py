"""What a worker is handed: its tenants' intents, and a client made from the RealtimeCluster and its admin Secret."""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.values import SecretRef
from matrixhub.backends.contract import Backend, Credential, Intent, Owner, Phase, Survey
from matrixhub.engine.accounts import Accounts
from matrixhub.engine.kinds import Kind
from matrixhub.engine.outcome import Basis, Outcome
from matrixhub.engine.roster import Plane, Roster
from matrixhub.engine.standing import NAMESPACE, Entry
from matrixhub.engine.vault import Vault
from matrixhub.errors import BackendError, Rejected, Transient
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import SECRET
from matrixhub.tls import CERTIFICATE_KEYS


class Inbox(Protocol):
    """Who hears of outcomes and surveys."""

    def report(self, outcome: Outcome) -> None:
        """A tenant's share was brought to its desired state, or was not."""
        ...

    def surveyed(self, cluster: str, backend: str, survey: Survey | BackendError) -> None:
        """The shared part of a backend was looked at."""
        ...


@dataclass(frozen=True)
class ServiceDesk:
    """The desk of one backend of one RealtimeCluster."""

    kind: Kind
    cluster: str
    roster: Roster
    credentials: "Credentials"
    accounts: Accounts
    api: KubeApi
    inbox: Inbox
    held: dict[str, str] = field(default_factory=dict, repr=False)
    """The admin's credentials that the client was made with."""

    def connect(self) -> Backend[Any, Any]:
        """A client whose admin credentials were just read; raises Rejected when they are missing."""
        plane, admin = self._admin()
        self.held.clear()
        self.held.update(admin)
        plane.authorities[self.kind.name] = admin.get("ca.crt", "")
        account = self.accounts.of(plane.cluster, self.kind.account, leaving=plane.leaving)
        return self.kind.client(plane.cluster, admin, account)

    def renewed(self) -> bool:
        """Whether the admin's credentials are others by now, certificates included; False where nobody can say."""
        try:
            _, admin = self._admin()
        except Transient:
            return False
        except Rejected:  # told by the client that is made now
            return True
        return admin != self.held

    def _admin(self) -> tuple[Plane, dict[str, str]]:
        plane = self.roster.planes.get(self.cluster)
        if plane is None or (section := self.kind.section(plane.cluster)) is None:
            raise Rejected("ClusterNotFound", f"RealtimeCluster {self.cluster} no longer has this backend")
        return plane, admin_of(self.api, plane.cluster, section)

    def members(self) -> Iterable[str]:
        """Every tenant of the RealtimeCluster whose credentials are known, if it has a share."""
        if not self.kind.shared_out:
            return []
        return [t for t in self.roster.members(self.cluster) if self.roster.entries[t].housed]

    def wishes(self, tenants: Iterable[str]) -> Mapping[str, tuple[Basis, Phase]]:
        """What is wanted of each tenant, in short."""
        return self.roster.wishes(tenants)

    def intents(self, tenants: Iterable[str]) -> Mapping[str, Intent]:
        """What is wanted now of each tenant whose turn it is."""
        intents = {}
        for tenant in tenants:
            if not (due := self.roster.due(tenant, self.kind.name)):
                continue
            entry, plane = due
            credential = self.credentials.of(tenant, self.kind, plane.cluster) if entry.phase.living else None
            owner, held = self.roster.owner(entry), self.kind.name in entry.shares
            intents[tenant] = Intent(entry.tenant, plane.cluster, entry.phase, owner, credential, held=held)
        return intents

    def report(self, outcome: Outcome) -> None:
        """Passed on."""
        self.inbox.report(outcome)

    def surveyed(self, backend: str, survey: Survey | BackendError) -> None:
        """Passed on."""
        self.inbox.surveyed(self.cluster, backend, survey)


@dataclass(frozen=True)
class HousingDesk:
    """The desk of the namespace backend: one for all RealtimeClusters, and the one that makes credentials."""

    client: Callable[[], Backend[Any, Any]]
    roster: Roster
    credentials: "Credentials"
    api: KubeApi
    inbox: Inbox

    def connect(self) -> Backend[Any, Any]:
        """A fresh client of the Kubernetes API."""
        return self.client()

    def renewed(self) -> bool:
        """Never: the Kubernetes client reads its own token anew."""
        return False

    def members(self) -> Iterable[str]:
        """Every tenant."""
        return [tenant for cluster in self.roster.planes for tenant in self.roster.members(cluster)]

    def wishes(self, tenants: Iterable[str]) -> Mapping[str, tuple[Basis, Phase]]:
        """What is wanted of each tenant, in short."""
        return self.roster.wishes(tenants)

    def intents(self, tenants: Iterable[str]) -> Mapping[str, Intent]:
        """What is wanted now of each tenant whose turn it is, with what its Secrets are to hold."""
        known = {tenant: due for tenant in tenants if (due := self.roster.due(tenant, NAMESPACE))}
        self.credentials.read({t: self.roster.owner(entry) for t, (entry, _) in known.items() if entry.phase.living})
        intents = {}
        for tenant, (entry, plane) in known.items():
            owner = self.roster.owner(entry)
            secrets = self._secrets(entry, plane) if entry.phase.living else {}
            intents[tenant] = Intent(entry.tenant, plane.cluster, entry.phase, owner, None, secrets=secrets)
        return intents

    def _secrets(self, entry: Entry, plane: Plane) -> dict[str, Mapping[str, str]]:
        """By name, what the tenant's Secrets are to hold."""
        owner, secrets = self.roster.owner(entry), {}
        for kind in self.roster.shares(plane):
            credential = self.credentials.ensure(entry.tenant.id, kind, plane.cluster)
            ca = plane.bound[kind.name] = self._known_authority(plane, kind)
            if credential:
                intent = Intent(entry.tenant, plane.cluster, entry.phase, owner, credential, ca)
                secrets[kind.secret_name] = kind.binding(intent)
        return secrets

    def _known_authority(self, plane: Plane, kind: Kind) -> str:
        """What the backend's worker has read; before it has, read here, so that no Secret loses it at a start."""
        if kind.name not in plane.authorities:
            try:
                authority = _authority(self.api, plane.cluster, kind.section(plane.cluster))
            except Rejected:  # told by the backend's worker
                authority = ""
            plane.authorities.setdefault(kind.name, authority)
        return plane.authorities[kind.name]

    def report(self, outcome: Outcome) -> None:
        """Passed on."""
        self.inbox.report(outcome)

    def surveyed(self, backend: str, survey: Survey | BackendError) -> None:
        """The Kubernetes API belongs to no RealtimeCluster: each hears of it."""
        for cluster in list(self.roster.planes):
            self.inbox.surveyed(cluster, backend, survey)


class Credentials:
    """The tenants' credentials: read from their Secrets once, made when missing, kept in memory.

    Only the namespace's worker reads and makes them; other threads look them up.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._known: dict[str, dict[str, Credential]] = {}
        self._former: dict[str, str] = {}
        """By tenant, the lost hub whose Secrets were read as its own."""

    def of(self, tenant: str, kind: Kind, cluster: RealtimeCluster) -> Credential | None:
        """The credential, if there is one yet of a username that the tenant has in the backend as it now is.

        Another was put into the Secret by hand, or is of the service that was there before.
        """
        known = self._known.get(tenant, {}).get(kind.name)
        return known if known and kind.logins(cluster).ours(tenant, known.username) else None

    def read(self, owners: Mapping[str, Owner]) -> None:
        """Those of tenants not seen before, or that adopt what a lost hub left, are read from their Secrets."""
        unknown = {tenant: owner for tenant, owner in owners.items() if self._unread(tenant, owner)}
        if unknown:
            found = self._vault.read(unknown)
            for tenant, owner in unknown.items():
                self._known[tenant] = {**self._known.get(tenant, {}), **found.get(tenant, {})}
                self._former[tenant] = owner.former

    def _unread(self, tenant: str, owner: Owner) -> bool:
        return tenant not in self._known or bool(owner.former and owner.former != self._former.get(tenant))

    def ensure(self, tenant: str, kind: Kind, cluster: RealtimeCluster) -> Credential | None:
        """The credential, made now if missing; None while a backend that issues its own has not."""
        known, new = self.of(tenant, kind, cluster), kind.logins(cluster).new
        if known is None and new:
            known = new(tenant)
            self.store(tenant, kind.name, known)
        return known

    def complete(self, tenant: str, kinds: Iterable[Kind], cluster: RealtimeCluster) -> bool:
        """Whether there is one for each of these backends, but for those that issue their own."""
        return all(self.of(tenant, kind, cluster) or kind.logins(cluster).new is None for kind in kinds)

    def begin(self, tenant: str) -> None:
        """The tenant was made just now: it has no credentials that could be read."""
        self._known[tenant] = {}

    def store(self, tenant: str, backend: str, credential: Credential) -> None:
        """A credential that was made or issued takes the place of the former."""
        self._known.setdefault(tenant, {})[backend] = credential

    def forget(self, tenant: str) -> None:
        """The tenant is gone, and its credentials with it."""
        self._known.pop(tenant, None)
        self._former.pop(tenant, None)


def admin_of(api: KubeApi, cluster: RealtimeCluster, section: Any) -> dict[str, str]:
    """The admin's credentials for one backend as they now stand in its Secret.

    And `ca.crt`, `tls.crt` and `tls.key` where the section names Secrets with these, and no others.
    Raises Rejected when a Secret or a key of it is missing.
    """
    namespace, reference = cluster.metadata.namespace, getattr(section, "admin_secret_ref", None)
    admin = _secret(api, namespace, reference) if reference else {}
    found = {key: value for key, value in admin.items() if key not in ("ca.crt", *CERTIFICATE_KEYS)}
    if authority := _authority(api, cluster, section):
        found["ca.crt"] = authority
    if shown := getattr(getattr(section, "tls", None), "client_cert_secret_ref", None):
        secret = _secret(api, namespace, shown)
        found |= {key: _key(secret, key, namespace, shown) for key in CERTIFICATE_KEYS}
    return found


def _authority(api: KubeApi, cluster: RealtimeCluster, section: Any) -> str:
    """The PEM text of the authority that signs the backend's certificate; empty where none is named."""
    namespace, reference = cluster.metadata.namespace, getattr(getattr(section, "tls", None), "ca_secret_ref", None)
    return _key(_secret(api, namespace, reference), "ca.crt", namespace, reference) if reference else ""


def _secret(api: KubeApi, namespace: str, reference: SecretRef) -> dict[str, str]:
    """What the Secret holds; bytes that are no text, such as a keystore's, are of no use here."""
    secret = api.get(SECRET, reference.name, namespace)
    if secret is None:
        raise Rejected(
            "SecretNotFound",
            f"Secret {namespace}/{reference.name} does not exist: create it, or name another",
        )
    return {
        name: base64.b64decode(value).decode(errors="replace") for name, value in (secret.get("data") or {}).items()
    }


def _key(secret: Mapping[str, str], key: str, namespace: str, reference: SecretRef) -> str:
    if key not in secret:
        raise Rejected("SecretInvalid", f"Secret {namespace}/{reference.name} has no key `{key}`: add it")
    return secret[key]
