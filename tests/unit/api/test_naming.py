import re
import string

from hypothesis import assume, given
from hypothesis import strategies as st

from matrixhub.api import naming

ALPHABET = string.ascii_lowercase + string.digits
LONGEST_PREFIX = "b" * 24
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

ids = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True, alphabet=ALPHABET + "-")
topic_parts = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True, alphabet=ALPHABET + "-")


@st.composite
def near_pairs(draw: st.DrawFn) -> tuple[str, str]:
    """Two ids of which one often begins with the other: the pairs that prefixes could confuse."""
    first = draw(ids)
    second = draw(st.one_of(ids, st.text(ALPHABET + "-", max_size=6).map(lambda more: first + more)))
    assume(second != first and len(second) <= 32 and LABEL.fullmatch(second))
    return first, second


@given(ids)
def test_a_namespace_is_a_dns_label(tenant: str) -> None:
    assert LABEL.fullmatch(naming.namespace(tenant))


@given(ids)
def test_a_postgres_role_fits_63_bytes_and_is_no_role_of_postgres_itself(tenant: str) -> None:
    role = naming.postgres_role(tenant)
    assert len(role.encode()) <= 63
    assert not role.startswith("pg_")


@given(ids)
def test_a_redis_user_and_pattern_hold_nothing_that_redis_would_read_as_a_pattern_or_a_second_word(
    tenant: str,
) -> None:
    assert not set(naming.redis_user(tenant) + naming.redis_prefix(tenant)) & set("*?[]^\\ \t\n")


@given(ids, topic_parts, topic_parts)
def test_a_topic_is_one_that_kafka_takes_and_lies_under_the_prefix(tenant: str, domain: str, event: str) -> None:
    topic = naming.topic(tenant, domain, event)
    assert re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", topic)
    assert topic.startswith(naming.kafka_prefix(tenant))


@given(ids, topic_parts, topic_parts, near_pairs())
def test_no_two_topics_share_the_name_that_kafkas_metrics_give_them(
    tenant: str, domain: str, event: str, pair: tuple[str, str]
) -> None:
    """Kafka refuses a topic that differs from another only in `.` and `_`: ours have no underscore."""
    topics = {naming.topic(tenant, domain, event), *(naming.topic(each, domain, event) for each in pair)}
    assert len({topic.replace(".", "_") for topic in topics}) == len(topics)


@given(ids)
def test_a_bucket_is_one_that_s3_takes_even_under_the_longest_prefix(tenant: str) -> None:
    for prefix in ("h", LONGEST_PREFIX):
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", naming.bucket(prefix, tenant))


@given(ids)
def test_an_object_store_user_fits_minio_and_iam(tenant: str) -> None:
    assert re.fullmatch(r"[\w+=,.@-]{3,64}", naming.object_store_user(tenant))


@given(near_pairs())
def test_no_name_of_a_tenant_is_anothers_and_no_prefix_reaches_another(pair: tuple[str, str]) -> None:
    one, other = pair
    for name in (
        naming.namespace,
        naming.postgres_role,
        naming.redis_user,
        naming.kafka_user,
        naming.object_store_user,
    ):
        assert name(one) != name(other)
    assert naming.bucket("hub", one) != naming.bucket("hub", other)
    for prefix in (naming.redis_prefix, naming.kafka_prefix, naming.object_prefix):
        assert not prefix(other).startswith(prefix(one))
        assert not prefix(one).startswith(prefix(other))
