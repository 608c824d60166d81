"""What a tenant should have in Kafka, from its Tenant and RealtimeCluster."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.services import KafkaBackend
from matrixhub.api.shares import Topics
from matrixhub.api.values import address
from matrixhub.backends.contract import Intent, Mark, Phase, fingerprint
from matrixhub.backends.kafka.state import Acl, Quota, RelayAcl, Scram, State, Topic, TopicClaim, UserClaim
from matrixhub.errors import Rejected

BASE_ITERATIONS = 4097
"""One above Kafka's least, which its tools use by default: a password that they set never looks like ours."""

FINGERPRINT_BITS = 10
"""Each iteration costs both sides of every login (0.7 microseconds), so the fingerprint adds at most a quarter."""

SMALLEST_SEGMENT = 16 * 1024**2
"""Bytes. A record batch must fit into a segment; brokers take batches of 1 MiB unless told otherwise."""

LARGEST_SEGMENT = 1024**3
"""Bytes; Kafka's own default."""

DEAD_LETTERS = Topics(domain=naming.RELAY_DOMAIN, events=("dead-letter",))
"""One partition, kept as long as other topics by default."""


def section(cluster: RealtimeCluster) -> KafkaBackend:
    """The cluster's Kafka; raises Rejected when it has none."""
    if cluster.spec.kafka is None:
        raise Rejected("BackendMissing", f"RealtimeCluster {cluster.key} has no `spec.kafka`")
    return cluster.spec.kafka


def iterations(password: str) -> int:
    """The SCRAM iteration count for this password: 4097 to 5120.

    Kafka shows of a login only its mechanism and iteration count. Ten bits of the password's SHA-256 in the count
    (Kafka takes 4096 to 16384) make a login that somebody else set visible, with nothing stored elsewhere: always
    when it was set with the default count of Kafka's tools, else with 1023 chances in 1024. That a password of ours
    was changed is known from the fingerprint in the user's mark, not from these ten bits.
    """
    digest = hashlib.sha256(password.encode()).digest()
    return BASE_ITERATIONS + int.from_bytes(digest[-4:], "big") % (1 << FINGERPRINT_BITS)


def topic_names(intent: Intent) -> dict[str, Topics]:
    """The topics of the spec by name: the cluster's, the tenant's own, which win where both name one, and the relay's.

    Kafka takes each: 160 of its characters at most, by the rules of the CRDs.
    """
    tenant = intent.tenant.id
    named = {
        naming.topic(tenant, group.domain, event): group
        for group in (*section(intent.cluster).topics, *intent.tenant.spec.kafka.topics)
        for event in group.events
    }
    if intent.cluster.spec.relay:
        named.setdefault(naming.dead_letters(tenant), DEAD_LETTERS)
    return named


def desired(intent: Intent) -> State:
    """What should exist in the intent's phase. Topics are named for ACTIVE only: no other phase makes or alters one.

    Raises Rejected when an active tenant has no credential, or names an impossible topic.
    """
    state = State(intent.tenant.id, intent.owner, intent.phase, section(intent.cluster).replication_factor)
    if intent.cluster.spec.relay and intent.phase.living:
        relay = naming.relay(intent.cluster.key)
        state = replace(state, relay_acls=frozenset(RelayAcl(relay, acl) for acl in relay_grants(intent.tenant.id)))
    if intent.phase is Phase.ACTIVE:
        return _active(intent, state)
    if intent.phase is Phase.SUSPENDED:
        return replace(
            state,
            user_claims=frozenset({UserClaim(Mark(intent.owner), "")}),
            acls=frozenset(denials(intent.tenant.id)),
            quotas=frozenset(_quotas(intent)),
        )
    return state


def _active(intent: Intent, state: State) -> State:
    if intent.credential is None:
        user = naming.kafka_user(intent.tenant.id)
        raise Rejected("CredentialMissing", f"there is no password yet for Kafka user {user}")
    password = intent.credential.password
    mark = Mark(intent.owner)
    topics = frozenset(_topics(intent))
    return replace(
        state,
        user_claims=frozenset({UserClaim(mark, fingerprint(password))}),
        topic_claims=frozenset(TopicClaim(mark, topic.name, topic.partitions) for topic in topics),
        topics=topics,
        logins=frozenset({Scram(section(intent.cluster).sasl_mechanism, iterations(password))}),
        acls=frozenset(grants(intent.tenant.id)),
        quotas=frozenset(_quotas(intent)),
        password=password,
    )


def _topics(intent: Intent) -> Iterator[Topic]:
    """Each topic with its configs; storage is shared out evenly over all the partitions of the spec."""
    named = topic_names(intent)
    storage = intent.tenant.spec.kafka.storage
    partitions = sum(group.partitions for group in named.values())
    for name, group in named.items():
        configs = {"retention.ms": int(group.retention.total_seconds() * 1000)}
        if storage is not None:
            configs["retention.bytes"] = storage // partitions
            configs["segment.bytes"] = min(max(storage // partitions // 4, SMALLEST_SEGMENT), LARGEST_SEGMENT)
        yield Topic(name, group.partitions, frozenset((key, str(value)) for key, value in configs.items()))


def grants(tenant: str) -> Iterator[Acl]:
    """What the tenant's user may do: nothing that creates, alters or deletes.

    Read and write imply describe. Idempotent write would also follow from any write on a topic, but then each start
    of a producer makes the broker walk through all ACLs there are.
    """
    prefix = naming.kafka_prefix(tenant)
    for operation in ("read", "write", "describe-configs"):
        yield Acl("topic", prefix, "prefixed", operation)
    yield Acl("group", prefix, "prefixed", "read")
    yield Acl("transactional-id", prefix, "prefixed", "write")
    yield Acl("cluster", "kafka-cluster", "literal", "idempotent-write")


def denials(tenant: str) -> Iterator[Acl]:
    """What shuts the tenant out whatever anybody else grants; Kafka asks the ACLs at every request, so at once."""
    for resource in ("topic", "group", "transactional-id"):
        yield Acl(resource, naming.kafka_prefix(tenant), "prefixed", "all", "deny")


def relay_grants(tenant: str) -> frozenset[Acl]:
    """What the relay of the tenant's RealtimeCluster may do: read its topics, write down what it could not deliver.

    So a relay does not even see the topics of tenants of another RealtimeCluster on the same Kafka.
    """
    read = Acl("topic", naming.kafka_prefix(tenant), "prefixed", "read")
    return frozenset({read, Acl("topic", naming.dead_letters(tenant), "literal", "write")})


def _quotas(intent: Intent) -> Iterator[Quota]:
    share = intent.tenant.spec.kafka
    for key, value in (
        ("producer_byte_rate", share.producer_byte_rate),
        ("consumer_byte_rate", share.consumer_byte_rate),
        ("request_percentage", share.request_percentage),
    ):
        if value is not None:
            yield Quota(key, float(value))


def binding(intent: Intent) -> Mapping[str, str]:
    """What the tenant's Secret holds for Kafka: empty without a credential; `ca.crt` where the cluster names its CA."""
    if intent.credential is None:
        return {}
    kafka, tenant = section(intent.cluster), intent.tenant.id
    username, password = intent.credential.username, intent.credential.password
    host, port = address(kafka.bootstrap_servers[0])
    prefix = naming.kafka_prefix(tenant)
    return {
        "type": "kafka",
        "provider": "matrixhub",
        "host": host,
        "port": str(port),
        "uri": "kafka://" + ",".join(kafka.bootstrap_servers),
        "bootstrapServers": ",".join(kafka.bootstrap_servers),
        "securityProtocol": kafka.security_protocol,
        "saslMechanism": kafka.sasl_mechanism,
        "saslJaasConfig": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required "
            f'username="{_quoted(username)}" password="{_quoted(password)}";'
        ),
        "username": username,
        "password": password,
        "topicPrefix": prefix,
        "groupPrefix": prefix,
        "transactionalIdPrefix": prefix,
        "topics": ",".join(sorted(topic_names(intent))),
        **({"ca.crt": intent.ca} if intent.ca else {}),
    }


def _quoted(text: str) -> str:
    """The text as it stands between double quotes in a JAAS file."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
