"""The tenants' credentials live in their Secrets and nowhere else: read from there, or newly made."""

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from matrixhub.api import naming
from matrixhub.backends.contract import Credential, Mark, Owner
from matrixhub.engine.kinds import Kind, Logins
from matrixhub.kube.client import KubeApi
from matrixhub.kube.resources import NAMESPACE, SECRET, Manifest

FEW = 20
"""Up to so many tenants are read one by one, a request each, however many others there are."""
SHARE = 20
"""Reading one tenant's Secrets by themselves costs as much as this many Secrets in a list of all, measured."""
THREADS = 8

PASSWORD = re.compile(r"[A-Za-z0-9+/=_.~-]{32,256}")
"""What is taken for a password: made by us, or an access key's secret. Anything else was put there by hand."""
APP_KEY = re.compile(r"[0-9a-f]{20}")
"""What a key of an app looks like that `new_app` made."""
ACCESS_KEY = re.compile(r"[A-Z0-9]{16,128}")
"""What the id of an access key looks like that AWS issued."""
MASTER_KEY = "PUSHER_ENCRYPTION_MASTER_KEY_BASE64"
"""The key of a Secret under which an app's master key stands, named as Pusher's libraries have it."""
_MASTER_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
_BYTES = 32
"""Random bytes of a password: 43 characters."""


def new_password() -> str:
    """A new password of 43 characters that needs no quoting in a URI, a shell or a connection string."""
    password = secrets.token_urlsafe(_BYTES)
    while password.startswith("-"):  # would look like an option on a command line
        password = secrets.token_urlsafe(_BYTES)
    return password


def new_login(username: str) -> Credential:
    """A login with a new password."""
    return Credential(username, new_password())


def new_app() -> Credential:
    """A new app: its key (which opens public channels, so nobody may guess it), secret and master key."""
    return Credential(secrets.token_hex(10), new_password(), base64.b64encode(secrets.token_bytes(32)).decode())


def named(username: Callable[[str], str]) -> Logins:
    """Each tenant has one username, and a password of ours."""
    return Logins(lambda tenant, said: said == username(tenant), lambda tenant: new_login(username(tenant)))


APPS = Logins(lambda _, said: bool(APP_KEY.fullmatch(said)), lambda _: new_app())
"""Each tenant has an app of ours."""
ISSUED = Logins(lambda _, said: bool(ACCESS_KEY.fullmatch(said)))
"""Each tenant has an access key that AWS issued."""


class Vault:
    """Reads credentials of these kinds."""

    def __init__(self, api: KubeApi, kinds: Iterable[Kind]) -> None:
        self._api = api
        self._known = 0
        self._kinds = {kind.secret_name: kind for kind in kinds}

    def read(self, owners: Mapping[str, Owner]) -> Mapping[str, Mapping[str, Credential]]:
        """By tenant and backend, what the Secrets hold that are these owners'; a tenant without any is left out.

        What lies in a Namespace that an earlier Tenant left is known to whoever was its owner then, and who could log
        in with it as the next tenant of that name. A Secret's mark can be forged, that of the Namespace cannot.
        """
        found = credentials(self._secrets(list(owners)), owners, self._kinds)
        left = self._left({tenant: owners[tenant] for tenant in found})
        return {tenant: held for tenant, held in found.items() if tenant not in left}

    def _left(self, owners: Mapping[str, Owner]) -> set[str]:
        """The tenants whose Namespace was left by an earlier Tenant, retained or not, and is not taken over yet."""
        places = {naming.namespace(tenant): tenant for tenant in owners}
        if len(places) > FEW:
            houses: Iterable[Manifest | None] = self._api.list(NAMESPACE)
        else:
            with ThreadPoolExecutor(THREADS) as pool:
                houses = list(pool.map(lambda name: self._api.get(NAMESPACE, name), places))
        marks = {tenant: _mark(house["metadata"]) for house in houses if house and (tenant := places.get(_name(house)))}
        return {tenant for tenant, mark in marks.items() if mark and not mark.vouches_for(owners[tenant])}

    def _secrets(self, ids: Sequence[str]) -> Iterator[Manifest]:
        if len(ids) > FEW and len(ids) * SHARE > self._known:
            self._known = 0
            for each in self._api.list(SECRET, labels=naming.MANAGED_BY_SELECTOR):
                self._known += 1
                yield each
            return
        with ThreadPoolExecutor(THREADS) as pool:
            for found in pool.map(self._of_one, ids):
                yield from found

    def _of_one(self, tenant: str) -> list[Manifest]:
        return list(self._api.list(SECRET, naming.namespace(tenant), naming.MANAGED_BY_SELECTOR))


def credentials(
    secrets_found: Iterable[Manifest], owners: Mapping[str, Owner], kinds: Mapping[str, Kind]
) -> dict[str, dict[str, Credential]]:
    """By tenant and backend, the credentials in the Secrets that carry the tenant's mark, as its owner has it. Pure.

    `kinds` are by the Secret's name. What does not look like a password of ours is left out, so that new ones are made.
    """
    found: dict[str, dict[str, Credential]] = {}
    for secret in secrets_found:
        metadata = secret["metadata"]
        tenant = (metadata.get("labels") or {}).get(naming.TENANT_LABEL, "")
        kind, owner, mark = kinds.get(metadata["name"]), owners.get(tenant), _mark(metadata)
        if kind is None or owner is None or metadata.get("namespace") != naming.namespace(tenant):
            continue
        if mark is None or not mark.vouches_for(owner):
            continue
        if credential := _credential(secret.get("data") or {}):
            found.setdefault(tenant, {})[kind.name] = credential
    return found


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _mark(metadata: Mapping[str, Any]) -> Mark | None:
    annotations = metadata.get("annotations") or {}
    try:
        owner = Owner.parse(annotations.get(naming.OWNER_ANNOTATION, ""))
    except ValueError:
        return None
    return Mark(owner, annotations.get(naming.RETAINED_ANNOTATION) == "true")


def _credential(data: Mapping[str, str]) -> Credential | None:
    try:
        username, password = (base64.b64decode(data[key]).decode() for key in ("username", "password"))
    except (KeyError, binascii.Error, UnicodeDecodeError):
        return None
    if not PASSWORD.fullmatch(password):
        return None
    if MASTER_KEY not in data:
        return Credential(username, password)
    master_key = base64.b64decode(data[MASTER_KEY]).decode(errors="replace")
    return Credential(username, password, master_key) if _MASTER_KEY.fullmatch(master_key) else None
