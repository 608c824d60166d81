"""What the tenants have in every backend, as its own administrator sees it: a part that is gone or altered shows."""

from collections.abc import Iterator

from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePatternFilter,
    ResourceType,
)
from tests.e2e import admins
from tests.e2e.hub import Hub

ROLES = """
SELECT rolname, rolcanlogin, rolbypassrls, rolconnlimit, rolpassword IS NOT NULL
FROM pg_authid WHERE rolname LIKE 'tenant\\_%'"""
POLICIES = "SELECT schemaname, tablename, policyname, permissive, roles, cmd, qual, with_check FROM pg_policies"
FORCED = "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
EVERY_ACL = ACLFilter(
    None,
    None,
    ACLOperation.ANY,
    ACLPermissionType.ANY,
    ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)


def shares(hub: Hub) -> set[str]:
    """A line for each role, policy, guarded table, ACL user, topic, Kafka ACL and bucket."""
    return {*_postgres(hub), *_redis(hub), *_kafka(hub), *_object_store(hub)}


def _postgres(hub: Hub) -> Iterator[str]:
    with admins.postgres(hub) as database:
        for query in (ROLES, POLICIES, FORCED):
            yield from (f"postgres {row}" for row in database.execute(query))


def _redis(hub: Hub) -> Iterator[str]:
    with admins.redis_root(hub) as root:
        for line in root.acl_list():
            if "user tenant-" in line:  # a restarted server tells commands in another order
                yield f"redis {sorted(line.split())}"


def _kafka(hub: Hub) -> Iterator[str]:
    with admins.kafka(hub) as broker:
        for topic in broker.describe_topics():
            if not topic["name"].startswith("__"):  # Kafka's own come when they are needed
                yield f"kafka topic {topic['name']} of {len(topic['partitions'])} partitions"
        found, _ = broker.describe_acls(EVERY_ACL)
        yield from (f"kafka {acl}" for acl in found)


def _object_store(hub: Hub) -> Iterator[str]:
    store = admins.s3(hub)
    for bucket in (each["Name"] for each in store.list_buckets()["Buckets"]):
        kept = [store.get_bucket_versioning(Bucket=bucket).get("Status")]
        kept += store.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        yield f"bucket {bucket}: {kept}"
    store.close()
