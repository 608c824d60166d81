"""What should exist of a tenant in the object store, and what its applications are told. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import ObjectStoreBackend
from matrixhub.backends.contract import Credential, Intent, Mark, Phase
from matrixhub.backends.objectstore.state import Bucket, Policy, State, User, canonical, flat
from matrixhub.errors import Rejected

RULE = "matrixhub"
"""The id of our lifecycle rule; on an untagged bucket it is evidence that we made it."""

UPLOAD_DAYS = 7
"""Days after which an unfinished multipart upload goes. MinIO has no such rule: it aborts them after 24 h by itself."""

ENCRYPTION = "AES256"
"""SSE-S3: the store's own keys."""

ISSUED = "issued"
"""The credential tag's value where the store chooses the secret (AWS)."""

_OBJECT_ACTIONS = (
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
_BUCKET_ACTIONS = (
    "s3:GetBucketLocation",
    "s3:GetBucketVersioning",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
)


def section(cluster: RealtimeCluster) -> ObjectStoreBackend:
    """The cluster's object store; raises Rejected when it has none."""
    if cluster.spec.object_store is None:
        raise Rejected("ObjectStoreMissing", f"RealtimeCluster {cluster.key} has no objectStore: add one to its spec")
    return cluster.spec.object_store


def fingerprint(credential: Credential) -> str:
    """32 hexadecimal digits that tell whether a user's secret is still the Secret's.

    Secrets are at least 32 random characters, so this gives nothing away.
    """
    return hashlib.sha256(f"{credential.username}\0{credential.password}".encode()).hexdigest()[:32]


def desired(intent: Intent) -> State:
    """The tenant's share in its phase. Raises `Rejected` for a wish that cannot be met."""
    store, tenant = section(intent.cluster), intent.tenant.id
    if intent.phase is Phase.DELETED:
        return State(tenant, intent.owner, store.provider)
    if intent.phase is Phase.RETAINED:
        return State(tenant, intent.owner, store.provider, bucket=_bucket(intent, store, credential=""))
    minio = store.provider == "minio"
    if minio and intent.credential is None:
        raise Rejected("CredentialMissing", f"tenant {tenant} has no credential for the object store yet")
    mark = Mark(intent.owner)
    document = sealed(store) if intent.phase is Phase.SUSPENDED else rights(tenant, store)
    user = User(
        mark=None if minio else mark,
        enabled=intent.phase is Phase.ACTIVE,
        policies=(naming.object_store_user(tenant),) if minio else (),
        secret=intent.credential.password if minio and intent.credential else "",
    )
    credential = fingerprint(intent.credential) if minio and intent.credential else ISSUED
    return State(
        tenant,
        intent.owner,
        store.provider,
        bucket=_bucket(intent, store, credential=credential),
        policy=Policy(mark if minio else None, canonical(document)),
        user=user,
    )


def _bucket(intent: Intent, store: ObjectStoreBackend, credential: str) -> Bucket:
    share, retained = intent.tenant.spec.object_store, intent.phase is Phase.RETAINED
    return Bucket(
        name=naming.bucket(store.bucket_prefix, intent.tenant.id),
        mark=Mark(intent.owner, retained=retained),
        tenant=intent.tenant.id,
        credential=credential,
        versioning=share.versioning,
        encryption=ENCRYPTION,
        expiration=share.noncurrent_expiration_days,
        quota=(share.storage or 0) if store.provider == "minio" and not retained else 0,
        policy=False,
        blocked=True,
    )


def lifecycle_rule(provider: str, noncurrent_days: int) -> dict[str, Any]:
    """The bucket's one lifecycle rule, as S3's API takes it."""
    rule: dict[str, Any] = {
        "ID": RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": noncurrent_days},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    }
    if provider == "aws":
        rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": UPLOAD_DAYS}
    return rule


def read_lifecycle(provider: str, rules: Sequence[Mapping[str, Any]]) -> tuple[int, tuple[str, ...]]:
    """The days of our rule (0 when it is missing or altered) and the ids of all other rules."""
    ours, strange = 0, []
    for rule in rules:
        days = int(rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", 0))
        if flat(rule) == flat(lifecycle_rule(provider, days)):
            ours = days
        elif rule.get("ID") != RULE:
            strange.append(str(rule.get("ID", "(without id)")))
    return ours, tuple(sorted(strange))


def rights(tenant: str, store: ObjectStoreBackend) -> dict[str, Any]:
    """What the tenant's user may do: objects below its prefix, looking at its own bucket, nothing else.

    MinIO allows deleting versions to whoever may delete objects, and lets every user change its own
    secret and mint further keys, unless it is denied: so these are denied.
    """
    bucket = f"arn:{_partition(store.region)}:s3:::{naming.bucket(store.bucket_prefix, tenant)}"
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": list(_BUCKET_ACTIONS), "Resource": [bucket]},
        {"Effect": "Allow", "Action": list(_OBJECT_ACTIONS), "Resource": [f"{bucket}/{naming.object_prefix(tenant)}*"]},
        {"Effect": "Deny", "Action": ["s3:DeleteObjectVersion"], "Resource": [f"{bucket}/*"]},
    ]
    if store.provider == "minio":
        statements.append({"Effect": "Deny", "Action": ["admin:*"]})
    return {"Version": "2012-10-17", "Statement": statements}


def sealed(store: ObjectStoreBackend) -> dict[str, Any]:
    """The rights of a suspended tenant's user: none, also for tokens that were issued before."""
    statements: list[dict[str, Any]] = [
        {"Effect": "Deny", "Action": ["s3:*"], "Resource": [f"arn:{_partition(store.region)}:s3:::*"]},
    ]
    if store.provider == "minio":
        statements.append({"Effect": "Deny", "Action": ["admin:*"]})
    return {"Version": "2012-10-17", "Statement": statements}


def _partition(region: str) -> str:
    """The ARN's partition: AWS has separate ones for China and GovCloud."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def binding(intent: Intent) -> Mapping[str, str]:
    """What the tenant's Secret holds for its object store; empty without a credential."""
    if intent.credential is None:
        return {}
    store, tenant = section(intent.cluster), intent.tenant.id
    endpoint = store.endpoint or _aws_endpoint(store.region)
    url = urlsplit(endpoint)
    bucket, prefix = naming.bucket(store.bucket_prefix, tenant), naming.object_prefix(tenant)
    name, secret = intent.credential.username, intent.credential.password
    return {
        "type": "s3",
        "provider": store.provider,
        "endpoint": endpoint,
        "host": url.hostname or "",
        "port": str(url.port or (80 if url.scheme == "http" else 443)),
        "region": store.region,
        "bucket": bucket,
        "prefix": prefix,
        "uri": f"s3://{bucket}/{prefix}",
        "username": name,
        "password": secret,
        "accessKey": name,
        "secretKey": secret,
        **({"ca.crt": intent.ca} if intent.ca else {}),
    }


def _aws_endpoint(region: str) -> str:
    return f"https://s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
