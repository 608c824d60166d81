"""AWS's IAM API: one user per tenant, its inline policy and its access key."""

import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from matrixhub.api import naming
from matrixhub.backends.contract import Credential, Intent
from matrixhub.backends.objectstore import actions
from matrixhub.backends.objectstore.buckets import CREDENTIAL_TAG, OWNER_TAG, Buckets, code, marked, unless
from matrixhub.backends.objectstore.desired import fingerprint, section
from matrixhub.backends.objectstore.state import Bucket, Policy, State, User, canonical
from matrixhub.errors import Rejected

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

_MISSING = ("NoSuchEntity",)


class Aws:
    """The tenants' access in one AWS account. Raises botocore's errors; the Client translates them."""

    def __init__(self, iam: "IAMClient", buckets: Buckets) -> None:
        self._iam, self._buckets = iam, buckets

    def probe(self, user: str) -> None:
        """Asks for a user that does not exist. Raises when the admin is refused."""
        unless(_MISSING, lambda: self._iam.get_user(UserName=user))

    def observe(self, intent: Intent) -> State:
        """One tenant's state, in 13 requests: neither S3 nor IAM lists this for many at once."""
        bucket = self._bucket(intent)
        if bucket and not bucket.claimable:
            bucket = self._buckets.claim(bucket)
        return State(intent.tenant.id, intent.owner, "aws", bucket, *self._access(intent))

    def _bucket(self, intent: Intent) -> Bucket | None:
        """The tenant's bucket. Names are shared by all of AWS: one that is refused to us is another account's."""
        name = naming.bucket(section(intent.cluster).bucket_prefix, intent.tenant.id)
        try:
            return self._buckets.read(name)
        except ClientError as error:
            if code(error) not in ("AccessDenied", "403"):
                raise
            if not intent.phase.living:
                return None
            raise Rejected(
                "BucketNameTaken",
                f"bucket {name} is refused to the admin: it is another account's, then choose another "
                "objectStore.bucketPrefix, or the admin lacks the policy in manifests/admin-rights/aws.json",
            ) from error

    def _access(self, intent: Intent) -> tuple[Policy | None, User | None]:
        iam, name = self._iam, naming.object_store_user(intent.tenant.id)
        found = unless(_MISSING, lambda: iam.get_user(UserName=name))
        if found is None:
            return None, None
        tags = {tag["Key"]: tag["Value"] for tag in found["User"].get("Tags", [])}
        keys = {key["AccessKeyId"]: key["Status"] for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]}
        wanted = intent.credential
        known = bool(wanted and tags.get(CREDENTIAL_TAG) == fingerprint(wanted) and wanted.username in keys)
        strange = [key for key in keys if not (known and wanted and key == wanted.username)]
        user = User(
            mark=marked(tags),
            enabled=bool(known and wanted and keys[wanted.username] == "Active"),
            policies=self._policies(name),
            groups=tuple(sorted(group["GroupName"] for group in iam.list_groups_for_user(UserName=name)["Groups"])),
            key=known,
            strange_keys=tuple(sorted(strange)),
        )
        return self._policy(name), user

    def _policy(self, name: str) -> Policy | None:
        found = unless(_MISSING, lambda: self._iam.get_user_policy(UserName=name, PolicyName=name))
        if found is None:
            return None
        document: Any = found["PolicyDocument"]
        return Policy(None, canonical(document if isinstance(document, Mapping) else json.loads(unquote(document))))

    def _policies(self, name: str) -> tuple[str, ...]:
        """What is attached besides its own inline policy: names of inline ones, ARNs of managed ones."""
        inline = self._iam.list_user_policies(UserName=name)["PolicyNames"]
        managed = self._iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
        return tuple(sorted([item for item in inline if item != name] + [item["PolicyArn"] for item in managed]))

    def do(self, action: actions.AccessAction) -> Credential | None:
        """Carries out one step; each may be repeated. Returns the credential that was issued, if one was."""
        iam, name = self._iam, action.name
        match action:
            case actions.SetPolicy():
                document = {"Version": "2012-10-17", "Statement": action.statements()}
                iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(document))
            case actions.RemovePolicy():
                unless(_MISSING, lambda: iam.delete_user_policy(UserName=name, PolicyName=name))
            case actions.CreateUser():
                tags = [{"Key": OWNER_TAG, "Value": str(action.mark.owner)}] if action.mark else []
                iam.create_user(UserName=name, Tags=tags)  # type: ignore[arg-type]  # a plain dict is what TagTypeDict is
            case actions.MarkUser():
                self._mark(action)
            case actions.SetPolicies():
                self._take(name, action.strange)
            case actions.LeaveGroups():
                for group in action.groups:
                    unless(_MISSING, partial(iam.remove_user_from_group, UserName=name, GroupName=group))
            case actions.RemoveUser():
                self._remove(name)
            case _:
                return self._do_key(action)
        return None

    def _do_key(self, action: actions.AccessAction) -> Credential | None:
        match action:
            case actions.IssueKey():
                return self._issue(action.name)
            case actions.DeleteKeys():
                self._delete_keys(action.name, action.keys)
            case actions.EnableUser():
                self._switch(action.name, "Active")
            case actions.DisableUser():
                self._switch(action.name, "Inactive")
            case _:
                raise NotImplementedError(action)
        return None

    def _mark(self, action: actions.MarkUser) -> None:
        if action.mark:
            tags = [{"Key": OWNER_TAG, "Value": str(action.mark.owner)}]
            self._iam.tag_user(UserName=action.name, Tags=tags)  # type: ignore[arg-type]  # see create_user

    def _take(self, name: str, policies: tuple[str, ...]) -> None:
        for policy in policies:
            if policy.startswith("arn:"):
                unless(_MISSING, partial(self._iam.detach_user_policy, UserName=name, PolicyArn=policy))
            else:
                unless(_MISSING, partial(self._iam.delete_user_policy, UserName=name, PolicyName=policy))

    def _keys(self, name: str) -> list[str]:
        found = unless(_MISSING, lambda: self._iam.list_access_keys(UserName=name))
        return [key["AccessKeyId"] for key in found["AccessKeyMetadata"]] if found else []

    def _delete_keys(self, name: str, keys: tuple[str, ...]) -> None:
        for key in keys:
            unless(_MISSING, partial(self._iam.delete_access_key, UserName=name, AccessKeyId=key))

    def _switch(self, name: str, status: str) -> None:
        for key in self._keys(name):
            self._iam.update_access_key(UserName=name, AccessKeyId=key, Status=status)  # type: ignore[arg-type]  # a literal

    def _issue(self, name: str) -> Credential:
        """A new key. Its fingerprint is tagged after it: a crash between leaves a key that is deleted as strange."""
        key = self._iam.create_access_key(UserName=name)["AccessKey"]
        issued = Credential(key["AccessKeyId"], key["SecretAccessKey"])
        self._iam.tag_user(UserName=name, Tags=[{"Key": CREDENTIAL_TAG, "Value": fingerprint(issued)}])
        return issued

    def _remove(self, name: str) -> None:
        """IAM deletes a user only once nothing hangs on it."""
        iam = self._iam
        if unless(_MISSING, lambda: iam.get_user(UserName=name)) is None:
            return
        self._delete_keys(name, tuple(self._keys(name)))
        self._take(name, (*self._policies(name), name))
        for group in iam.list_groups_for_user(UserName=name)["Groups"]:
            iam.remove_user_from_group(UserName=name, GroupName=group["GroupName"])
        unless(_MISSING, lambda: iam.delete_user(UserName=name))
