"""What the drivers' errors mean: the one place where they become ours."""

import zipfile

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from minio.error import MinioAdminException, MinioException
from urllib3.exceptions import HTTPError

from matrixhub.api.services import ObjectStoreBackend
from matrixhub.backends.objectstore.buckets import code
from matrixhub.backends.objectstore.minio import error_body
from matrixhub.errors import BackendError, Rejected, Transient, Unreachable
from matrixhub.tls import REASONS, Trust

DRIVER_ERRORS = (BotoCoreError, ClientError, MinioException, MinioAdminException, HTTPError, zipfile.BadZipFile)
_REASONS = {
    "InvalidAccessKeyId": "AuthenticationFailed",
    "SignatureDoesNotMatch": "AuthenticationFailed",
    "InvalidClientTokenId": "AuthenticationFailed",
    "AuthFailure": "AuthenticationFailed",
    "AccessDenied": "PermissionDenied",
    "AccessDeniedException": "PermissionDenied",
    "AllAccessDisabled": "PermissionDenied",
    "UnauthorizedOperation": "PermissionDenied",
    "403": "PermissionDenied",
    "BucketAlreadyExists": "BucketNameTaken",
}
_BUSY = (
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "ServiceUnavailable",
    "InternalError",
    "Throttling",
    "ThrottlingException",
    "RequestTimeout",
    "OperationAborted",
    "ConcurrentModification",
    "DeleteConflict",
    "XMinioServerNotInitialized",
    "XMinioIAMNotInitialized",
    "XMinioAdminBucketQuotaNotReady",
    "NoSuchBucket",
    "XMinioAdminNoSuchUser",
    "XMinioAdminNoSuchPolicy",
    "NoSuchEntity",
    "EntityAlreadyExists",
    "InvalidResponseError",
    "ServerError",
)
"""Passes by itself, or something was changed since it was looked at: observing anew settles it."""
WHOLE = ("Unreachable", "AuthenticationFailed", "PermissionDenied", *REASONS)
"""Reasons that speak of the store rather than of one tenant."""


def translate(error: Exception, store: ObjectStoreBackend, secret: str, trust: Trust) -> BackendError | None:
    """The error as one of ours, None if nobody foresaw it. Only codes are quoted: messages may name keys.

    `secret` is where the admin's credential stands, as `namespace/name`.
    """
    where = f"{store.provider} at {store.endpoint or store.region}"
    if refusal := trust.refusal(where, error):
        return refusal
    if isinstance(error, (NoConnection, HTTPClientError, HTTPError)):
        return Unreachable(f"{where} does not answer: {type(error).__name__}")
    if isinstance(error, zipfile.BadZipFile):
        return Transient("Busy", f"{where} broke off its list of buckets: one changed meanwhile")
    name, call = _said(error)
    sentences = {
        "AuthenticationFailed": f"{where} refused the admin in Secret {secret} ({name}): "
        "put the right `accessKey` and `secretKey` there",
        "PermissionDenied": f"{where} denied the admin {call}: "
        f"grant it the policy in manifests/admin-rights/{store.provider}.json",
        "BucketNameTaken": "the bucket's name is taken by another account: choose another objectStore.bucketPrefix",
        "EncryptionUnavailable": f"{where} has no key to encrypt with: set MINIO_KMS_SECRET_KEY on its servers",
    }
    reason = _reason(name, call)
    if reason == "Busy":
        return Transient(reason, f"{where} answered {call} with {name}")
    return Rejected(reason, sentences[reason]) if reason else None


def _reason(name: str, call: str) -> str:
    """The condition's reason for an error code; empty for one that nobody foresaw."""
    if name == "NotImplemented" and call == "PutBucketEncryption":
        return "EncryptionUnavailable"
    if name in _BUSY or name.startswith("5"):
        return "Busy"
    return _REASONS.get(name, "")


def _said(error: Exception) -> tuple[str, str]:
    """The error's code, and the call it answers."""
    if isinstance(error, ClientError):
        return code(error), error.operation_name
    if isinstance(error, MinioAdminException):
        name, path = error_body(error)
        return name, path.rpartition("/")[2]
    return type(error).__name__, ""
