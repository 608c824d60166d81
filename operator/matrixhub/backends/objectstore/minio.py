"""MinIO's admin API: policies, users, quotas, and the state of many tenants in a few requests."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from itertools import count
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

from Crypto.Cipher import AES
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin
from urllib3 import PoolManager

from matrixhub import metrics
from matrixhub.api import naming
from matrixhub.backends.contract import Credential, Intent, Mark, Owner
from matrixhub.backends.objectstore import actions
from matrixhub.backends.objectstore.buckets import Buckets, bucket_state
from matrixhub.backends.objectstore.desired import section
from matrixhub.backends.objectstore.state import Bucket, Policy, State, User, canonical

T = TypeVar("T")

_MARK = "matrixhub:"
"""What the id of a policy of ours begins with; the owner follows."""

_PBKDF2 = b"\x02"
_PBKDF2_ROUNDS = 8192
"""madmin-go's encrypt.go: the envelope's third key derivation, which its FIPS builds use."""


class _Command(Enum):
    """Calls of the admin API that `MinioAdmin` does not have, or not with our envelope."""

    ADD_USER = "add-user"
    EXPORT_BUCKETS = "export-bucket-metadata"
    REVOKE_TOKENS = "revoke-tokens/builtin"


class _Seal:
    """Puts payloads into the admin API's encrypted envelope, keyed by PBKDF2 instead of Argon2.

    Argon2 costs 50 to 400 ms of a core and 64 MiB, once here and once in the server, which does them one
    at a time; PBKDF2 costs 4 ms, and here once for all payloads: they share a salt and so a key, and no two have
    the same nonce. Both keep the payload from whoever sees the request without the admin's
    secret; guessing a weak admin secret from a recorded request is cheaper with PBKDF2, so it must be random.
    """

    def __init__(self, secret: str) -> None:
        self._salt = os.urandom(32)
        self._key = hashlib.pbkdf2_hmac("sha256", secret.encode(), self._salt, _PBKDF2_ROUNDS, 32)
        self._nonces = count()

    def sealed(self, payload: bytes) -> bytes:
        """One chunk of at most 16 KiB: salt (32), algorithm (1), nonce (8), AES-GCM text, tag."""
        nonce = next(self._nonces).to_bytes(8, "little")
        head = AES.new(self._key, AES.MODE_GCM, nonce + bytes(4)).digest()
        cipher = AES.new(self._key, AES.MODE_GCM, nonce + (1).to_bytes(4, "little"))
        cipher.update(b"\x80" + head)
        text, tag = cipher.encrypt_and_digest(payload)
        return self._salt + _PBKDF2 + nonce + text + tag


class _Admin(MinioAdmin):
    """`MinioAdmin` with the calls it lacks, counted."""

    def __init__(self, *, credentials: StaticProvider, **named: Any) -> None:
        super().__init__(credentials=credentials, **named)
        self._seal = _Seal(credentials.retrieve().secret_key)

    def _url_open(self, *args: Any, **named: Any) -> Any:
        metrics.BACKEND_REQUESTS.labels(backend="objectstore").inc()
        return super()._url_open(*args, **named)

    def set_user(self, name: str, secret: str) -> None:
        """The user exists, is enabled and has this secret."""
        body = json.dumps({"status": "enabled", "secretKey": secret}).encode()
        self._url_open(
            method="PUT",
            command=_Command.ADD_USER,
            query_params={"accessKey": name},
            body=self._seal.sealed(body),
        )

    def revoke_tokens(self, name: str) -> None:
        """No temporary token works that the user got so far; the user need not exist."""
        query = {"user": name, "fullRevoke": "true"}
        self._url_open(method="POST", command=_Command.REVOKE_TOKENS, query_params=query)

    def export_buckets(self, name: str = "") -> bytes:
        """A zip of the settings of one bucket, or of all."""
        query = {"bucket": name} if name else None
        found = self._url_open(method="GET", command=_Command.EXPORT_BUCKETS, query_params=query)
        return bytes(found.data)


class Minio:
    """The tenants' access on one MinIO. Raises the drivers' errors; the Client translates them."""

    def __init__(self, endpoint: str, key: str, secret: str, pool: PoolManager, buckets: Buckets) -> None:
        secure = endpoint.startswith("https://")
        address = endpoint.split("://", 1)[-1].rstrip("/")
        self._admin = _Admin(endpoint=address, credentials=StaticProvider(key, secret), secure=secure, http_client=pool)
        self._buckets = buckets
        self._total = 0

    def probe(self, user: str) -> None:
        """Asks for a policy that does not exist. Raises when the admin is refused."""
        _unless_missing(lambda: self._admin.policy_info(user))

    def stored(self, prefix: str) -> dict[str, int]:
        """By bucket whose name begins so, the bytes of all versions as MinIO's scanner last counted; one request."""
        usage = json.loads(self._admin.get_data_usage_info())  # type: ignore[no-untyped-call]  # the driver's own
        told = usage.get("bucketsUsageInfo") or {}
        return {bucket: each["size"] for bucket, each in told.items() if bucket.startswith(prefix)}

    def listing_pays(self, wanted: int) -> bool:
        """Whether listing everything is cheaper than three requests per tenant.

        Measured: a tenant asked for by itself costs as much as eight that are listed.
        """
        return wanted > max(20, self._total // 8)

    def observe_all(self, intents: Sequence[Intent]) -> dict[str, State]:
        """Every tenant's state, in three requests however many there are (plus one per unmarked bucket)."""
        policies: dict[str, Any] = json.loads(self._admin.policy_list())
        users: dict[str, Any] = json.loads(self._admin.user_list())
        names = {_bucket_name(intent) for intent in intents}
        buckets = _read_export(self._admin.export_buckets(), names)
        self._total = max(len(policies), len(users))
        found = {}
        for intent in intents:
            user = naming.object_store_user(intent.tenant.id)
            bucket = buckets.get(_bucket_name(intent))
            found[intent.tenant.id] = self._state(intent, bucket, policies.get(user), users.get(user))
        return found

    def observe(self, intent: Intent) -> State:
        """One tenant's state, in three requests."""
        user, bucket = naming.object_store_user(intent.tenant.id), _bucket_name(intent)
        policy = _unless_missing(lambda: json.loads(self._admin.policy_info(user)))
        about = _unless_missing(lambda: json.loads(self._admin.user_info(user)))
        export = _unless_missing(lambda: self._admin.export_buckets(bucket))
        return self._state(intent, _read_export(export, {bucket}).get(bucket) if export else None, policy, about)

    def _state(self, intent: Intent, bucket: Bucket | None, policy: Any, user: Any) -> State:
        if bucket and not bucket.claimable:
            bucket = self._buckets.claim(bucket)
        return State(intent.tenant.id, intent.owner, "minio", bucket, _policy(policy), _user(user))

    def do(self, action: actions.AccessAction) -> Credential | None:
        """Carries out one step; each may be repeated."""
        admin, name = self._admin, action.name
        match action:
            case actions.SetPolicy():
                document = {"Version": "2012-10-17", "Statement": action.statements()}
                identity = {"ID": f"{_MARK}{action.mark.owner}"} if action.mark else {}
                admin.policy_add(name, policy=identity | document)
            case actions.RemovePolicy():
                _unless_missing(lambda: admin.policy_remove(name))
            case actions.CreateUser():
                admin.revoke_tokens(name)  # of an earlier user of that name: MinIO keeps them when it removes a user
                admin.set_user(name, action.secret)
            case actions.SetSecret():
                admin.set_user(name, action.secret)
            case actions.RevokeTokens():
                admin.revoke_tokens(name)
            case actions.SetPolicies():
                admin.policy_set(",".join(action.policies), user=name)
            case actions.EnableUser():
                admin.user_enable(name)
            case actions.DisableUser():
                admin.user_disable(name)
            case _:
                self._do_other(action)
        return None  # nothing is issued: MinIO takes the secret that it is given

    def _do_other(self, action: actions.AccessAction) -> None:
        name = action.name
        match action:
            case actions.RemoveUser():
                _unless_missing(lambda: self._admin.user_disable(name))
                self._admin.revoke_tokens(name)
                _unless_missing(lambda: self._admin.user_remove(name))
            case actions.LeaveGroups():
                for group in action.groups:
                    self._admin.group_remove(group, [name])  # type: ignore[arg-type]  # annotated str, sent as the JSON list it must be
            case actions.SetQuota():
                self._admin.bucket_quota_set(name, action.limit)
            case _:
                raise NotImplementedError(action)


def error_body(error: MinioAdminException) -> tuple[str, str]:
    """The code (`XMinioAdminNoSuchUser`, ...) and the path of the call; without a body, the HTTP status."""
    status, _, text = str(error).partition(", Body: ")
    try:
        body = json.loads(text)
    except ValueError:
        return status.rpartition(" ")[2], ""
    return str(body.get("Code", "")), str(body.get("Resource", ""))


def _unless_missing(call: Callable[[], T]) -> T | None:
    """What the call returns; None when what it is about does not exist."""
    try:
        return call()
    except MinioAdminException as error:
        if error_body(error)[0] in ("XMinioAdminNoSuchUser", "XMinioAdminNoSuchPolicy", "NoSuchBucket"):
            return None
        raise


def _bucket_name(intent: Intent) -> str:
    return naming.bucket(section(intent.cluster).bucket_prefix, intent.tenant.id)


def _policy(document: Mapping[str, Any] | None) -> Policy | None:
    if document is None:
        return None
    try:
        mark = Mark(Owner.parse(str(document.get("ID", "")).removeprefix(_MARK)))
    except ValueError:
        mark = None
    return Policy(mark, canonical(document))


def _user(about: Mapping[str, Any] | None) -> User | None:
    if about is None:
        return None
    names = about.get("policyName") or ""
    return User(
        mark=None,
        enabled=about.get("status") == "enabled",
        policies=tuple(sorted(name for name in names.split(",") if name)),
        groups=tuple(sorted(about.get("memberOf") or ())),
    )


def _read_export(export: bytes, names: set[str]) -> dict[str, Bucket]:
    """The buckets of that name in an export. Each has at least its notification settings in there."""
    files: dict[str, dict[str, bytes]] = {}
    with zipfile.ZipFile(io.BytesIO(export)) as archive:
        for path in archive.namelist():
            name, _, file = path.partition("/")
            if name in names:
                files.setdefault(name, {})[file] = archive.read(path)
    return {name: _bucket(name, parts) for name, parts in files.items()}


def _bucket(name: str, files: Mapping[str, bytes]) -> Bucket:
    # The XML is the store's own, sent to its admin: no stranger wrote it.
    parts = {file: _tree(ET.fromstring(text)) for file, text in files.items() if file in _XML}  # noqa: S314
    tags = _items(parts.get("tagging.xml", {}).get("TagSet") or {}, "Tag")
    encryption = _items(parts.get("bucket-encryption.xml", {}), "Rule")
    quota = json.loads(files.get("quota.json", b"{}"))
    settings = {
        "rules": _items(parts.get("lifecycle.xml", {}), "Rule"),
        "versioning": parts.get("versioning.xml", {}).get("Status"),
        "encryption": _algorithm(encryption),
        "quota": int(quota.get("quota") or quota.get("size") or 0),
        "policy": "policy.json" in files,
    }
    return bucket_state(name, "minio", {tag["Key"]: tag.get("Value") or "" for tag in tags}, settings)


def _algorithm(rules: Sequence[Any]) -> str:
    default = rules[0].get("ApplyServerSideEncryptionByDefault") if rules else None
    return str(default.get("SSEAlgorithm", "")) if default else ""


_XML = ("lifecycle.xml", "bucket-encryption.xml", "tagging.xml", "versioning.xml")


def _tree(element: ET.Element) -> Any:
    """An element as the nested structure that S3's JSON-like form has; a repeated child becomes a list."""
    if not len(element):
        return element.text or ""
    found: dict[str, Any] = {}
    for child in element:
        tag, value = child.tag.rpartition("}")[2], _tree(child)
        if tag in found:
            found[tag] = [*found[tag], value] if isinstance(found[tag], list) else [found[tag], value]
        else:
            found[tag] = value
    return found


def _items(parent: Any, tag: str) -> list[Any]:
    """The children of that name, also when there is one or none."""
    found = parent.get(tag, []) if isinstance(parent, Mapping) else []
    return found if isinstance(found, list) else [found]
