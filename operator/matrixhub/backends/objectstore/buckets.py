"""S3's own API, the same on both providers: what a bucket is like, and every step that changes one."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote_plus

from botocore.exceptions import ClientError

from matrixhub.api import naming
from matrixhub.backends.contract import Mark, Owner
from matrixhub.backends.objectstore import actions, desired
from matrixhub.backends.objectstore.state import Bucket
from matrixhub.errors import Rejected, Transient

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

OWNER_TAG, TENANT_TAG, RETAINED_TAG = naming.OWNER_ANNOTATION, naming.TENANT_LABEL, naming.RETAINED_ANNOTATION
"""Buckets and users are marked in the words that objects in Kubernetes are marked with."""
CREDENTIAL_TAG = f"{naming.GROUP}/credential"
_TAGS = (OWNER_TAG, TENANT_TAG, RETAINED_TAG, CREDENTIAL_TAG)

NOT_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that a key may have, and no XML 1.0: its production Char."""
PAGE = 1000
"""Keys per delete request: the most that S3 takes."""


def code(error: ClientError) -> str:
    """The error's code, such as `NoSuchBucket`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def unless(codes: tuple[str, ...], call: Callable[[], T]) -> T | None:
    """What the call returns; None when the store answers with one of these codes."""
    try:
        return call()
    except ClientError as error:
        if code(error) in codes:
            return None
        raise


def marked(tags: Mapping[str, str]) -> Mark | None:
    """The ownership mark among tags; None when it is not there or was never written by us."""
    try:
        return Mark(Owner.parse(tags.get(OWNER_TAG, "")), retained=tags.get(RETAINED_TAG) == "true")
    except ValueError:
        return None


def bucket_state(name: str, provider: str, tags: Mapping[str, str], settings: Mapping[str, Any]) -> Bucket:
    """The bucket's state, from its tags and its settings in the form of S3's API (`Rules`, `Status`, ...)."""
    rules = settings.get("rules", [])
    expiration, strange = desired.read_lifecycle(provider, rules)
    return Bucket(
        name=name,
        mark=marked(tags),
        tenant=tags.get(TENANT_TAG, ""),
        credential=tags.get(CREDENTIAL_TAG, ""),
        versioning=settings.get("versioning") == "Enabled",
        encryption=settings.get("encryption", ""),
        expiration=expiration,
        quota=settings.get("quota", 0),
        policy=settings.get("policy", False),
        blocked=settings.get("blocked", provider == "minio"),
        strange_rules=strange,
        claimable=bool(tags.get(OWNER_TAG)) or any(rule.get("ID") == desired.RULE for rule in rules),
        tags=tuple(sorted((key, value) for key, value in tags.items() if key not in _TAGS)),
    )


class Buckets:
    """The buckets that the admin can reach. Raises botocore's errors; the Client translates them."""

    def __init__(self, s3: "S3Client", provider: str, region: str) -> None:
        self._s3, self._provider, self._region = s3, provider, region

    def probe(self, name: str) -> str:
        """Asks for a bucket that does not exist; returns the server's name. Raises when the admin is refused."""
        try:
            answer: Mapping[str, Any] = self._s3.get_bucket_location(Bucket=name)
        except ClientError as error:
            if code(error) != "NoSuchBucket":
                raise
            answer = error.response
        return str(answer["ResponseMetadata"]["HTTPHeaders"].get("server", "S3"))

    def is_empty(self, name: str) -> bool:
        """Whether the bucket holds no version and no delete marker."""
        page = self._s3.list_object_versions(Bucket=name, MaxKeys=1)
        return not page.get("Versions") and not page.get("DeleteMarkers")

    def claim(self, bucket: Bucket) -> Bucket:
        """An unmarked bucket without our lifecycle rule may only be ours if it is empty."""
        return replace(bucket, claimable=self.is_empty(bucket.name))

    def read(self, name: str) -> Bucket | None:
        """The bucket, by one request per setting; None when it does not exist."""
        s3 = self._s3
        if unless(("NoSuchBucket",), lambda: s3.get_bucket_location(Bucket=name)) is None:
            return None
        tags = unless(("NoSuchTagSet",), lambda: s3.get_bucket_tagging(Bucket=name))
        rules = unless(("NoSuchLifecycleConfiguration",), lambda: s3.get_bucket_lifecycle_configuration(Bucket=name))
        policy = unless(("NoSuchBucketPolicy",), lambda: s3.get_bucket_policy(Bucket=name))
        settings = {
            "rules": rules["Rules"] if rules else [],
            "versioning": s3.get_bucket_versioning(Bucket=name).get("Status"),
            "encryption": self._encryption(name),
            "policy": policy is not None,
            "blocked": self._blocked(name),
        }
        return bucket_state(
            name, self._provider, {tag["Key"]: tag["Value"] for tag in (tags or {"TagSet": []})["TagSet"]}, settings
        )

    def _encryption(self, name: str) -> str:
        found = unless(
            ("ServerSideEncryptionConfigurationNotFoundError",), lambda: self._s3.get_bucket_encryption(Bucket=name)
        )
        rules = found["ServerSideEncryptionConfiguration"]["Rules"] if found else []
        return str(rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", "")) if rules else ""

    def _blocked(self, name: str) -> bool:
        found = unless(("NoSuchPublicAccessBlockConfiguration",), lambda: self._s3.get_public_access_block(Bucket=name))
        return found is not None and all(found["PublicAccessBlockConfiguration"].get(key) for key in _BLOCKS)

    def do(self, action: actions.BucketAction, deadline: float) -> None:
        """Carries out one step; each may be repeated."""
        name = action.name
        match action:
            case actions.CreateBucket():
                self._create(name)
            case actions.TagBucket():
                self._tag(action)
            case actions.RemoveBucketPolicy():
                self._s3.delete_bucket_policy(Bucket=name)
            case actions.EmptyBucket():
                self._empty(name, deadline)
            case actions.DeleteBucket():
                self._delete(name)
            case _:
                self._set(action)

    def _set(self, action: actions.BucketAction) -> None:
        """One setting of the bucket."""
        name, wanted = action.name, _setting(action, self._provider)
        match action:
            case actions.BlockPublicAccess():
                self._s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=wanted)
            case actions.SetVersioning():
                self._s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=wanted)
            case actions.SetEncryption():
                self._s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=wanted)
            case actions.SetLifecycle():
                self._s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=wanted)

    def _create(self, name: str) -> None:
        """The bucket exists. Raises `Transient` when somebody made it since it was looked for: that is judged anew."""
        try:
            self._make(name)
        except ClientError as error:
            if code(error) == "BucketAlreadyOwnedByYou":
                raise Transient("BucketAppeared", f"bucket {name} was just made by somebody else", 1) from error
            raise

    def _make(self, name: str) -> None:
        where = (
            {} if self._region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        )
        self._s3.create_bucket(Bucket=name, **where)  # type: ignore[arg-type]  # region names are a literal in the stubs

    def _tag(self, action: actions.TagBucket) -> None:
        tags = dict(action.others) | {TENANT_TAG: action.tenant}
        if action.mark:
            tags[OWNER_TAG] = str(action.mark.owner)
        if action.mark and action.mark.retained:
            tags[RETAINED_TAG] = "true"
        if action.credential:
            tags[CREDENTIAL_TAG] = action.credential
        self._put_tags(action.name, tags)

    def _put_tags(self, name: str, tags: Mapping[str, str]) -> None:
        tag_set = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
        self._s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_set})  # type: ignore[typeddict-item]  # plain dicts

    def _empty(self, name: str, deadline: float) -> None:
        """Nothing is left in the bucket. Raises `Transient` once `deadline` (monotonic seconds) has passed."""
        removed = 0
        while keys := self._page(name):
            self._remove(name, keys)
            removed += len(keys)
            _still_time(name, removed, deadline)
        # The driver asks for encoded keys by itself where it lists objects, and only there.
        while uploads := self._s3.list_multipart_uploads(Bucket=name, EncodingType="url").get("Uploads"):
            for upload in uploads:
                self._s3.abort_multipart_upload(
                    Bucket=name, Key=unquote_plus(upload["Key"]), UploadId=upload["UploadId"]
                )
            removed += len(uploads)
            _still_time(name, removed, deadline)

    def _remove(self, name: str, keys: Sequence[Mapping[str, str]]) -> None:
        """These versions are gone: those whose key XML cannot carry one by one, each in a URL."""
        for each in keys:
            if NOT_XML.search(each["Key"]):
                self._s3.delete_object(Bucket=name, Key=each["Key"], VersionId=each["VersionId"])
        others = [each for each in keys if not NOT_XML.search(each["Key"])]
        if not others:
            return
        answer = self._s3.delete_objects(Bucket=name, Delete={"Objects": others, "Quiet": True})  # type: ignore[typeddict-item]  # plain dicts
        if failed := answer.get("Errors"):
            raise Rejected(
                "DeletionRefused",
                f"the object store refuses to delete {len(failed)} objects of bucket {name} "
                f"({failed[0].get('Code')}): lift their retention or legal hold",
            )

    def _page(self, name: str) -> list[dict[str, str]]:
        page = self._s3.list_object_versions(Bucket=name, MaxKeys=PAGE)
        found: list[Any] = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        return [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]

    def _delete(self, name: str) -> None:
        try:
            unless(("NoSuchBucket",), lambda: self._s3.delete_bucket(Bucket=name))
        except ClientError as error:
            if code(error) == "BucketNotEmpty":
                raise Transient("Deleting", f"bucket {name} was written to while it was emptied", 1) from error
            raise


def _setting(action: actions.BucketAction, provider: str) -> Any:
    """The setting as S3's API takes it."""
    match action:
        case actions.BlockPublicAccess():
            return dict.fromkeys(_BLOCKS, True)
        case actions.SetVersioning():
            return {"Status": "Enabled" if action.on else "Suspended"}
        case actions.SetEncryption():
            return {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": action.algorithm}}]}
        case actions.SetLifecycle():
            return {"Rules": [desired.lifecycle_rule(provider, action.days)]}
        case _:
            raise NotImplementedError(action)


_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def _still_time(name: str, removed: int, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise Transient("Deleting", f"bucket {name} is being emptied: {removed} objects removed just now", 1)
