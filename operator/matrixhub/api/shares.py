"""What a Tenant is given of each backend."""

from typing import Annotated

from pydantic import Field

from matrixhub.api.values import ROUNDED, SET, Bytes, Duration, Model, PostgresTimeout, Rule, Whole

TopicPart = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Rule(
        "self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",
        "must be lower-case letters, digits and hyphens between them, such as user-actions: "
        "dots separate tenant, domain and event, and Kafka confuses underscores with dots",
    ),
]
Origin = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(
        r"self.matches('^(https?://)?([*][.])?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$')",
        "must be an origin, such as https://app.example.org or *.example.org: no path, a * only in front",
    ),
]


class PostgresShare(Model):
    """Limits of the tenant's Postgres role."""

    connection_limit: Whole = Field(default=20, ge=1, le=10000)
    """Sessions the tenant's login may have open at once.

    When changed: holds for new sessions within seconds; open ones stay, also above the limit.
    """
    statement_timeout: PostgresTimeout = Field(default="5s", validate_default=True)
    """How long a statement of the tenant may run, as a duration (h, m, s, ms).

    When changed: holds for new sessions within seconds.
    """
    storage: Bytes | None = None
    """Size of the tenant's rows, in bytes as a quantity. Kept for the metering to come: not enforced yet.

    When changed: nothing happens yet.
    """


class RedisShare(Model):
    """Limits of the tenant's Redis namespace."""

    memory: Bytes | None = None
    """Memory of the tenant's keys, as a quantity of bytes. Kept for the metering to come: not enforced yet.

    When changed: nothing happens yet.
    """


class Topics(Model):
    """Topics of one domain: each event becomes the topic `{tenant}.{domain}.{event}`."""

    domain: TopicPart
    """The middle part of the topics' names.

    When changed: topics of the new name are made; those of the old name stay, with their data and the access to them.
    """
    events: Annotated[tuple[TopicPart, ...], SET] = Field(min_length=1, max_length=32)
    """The last parts of the topics' names: one topic for each.

    When changed: a new one is made within seconds; one that is taken out stays, with its data and the access to it.
    """
    partitions: Whole = Field(default=1, ge=1, le=1000)
    """Partitions of each topic. Kafka can add partitions later but never remove any.

    When changed: more are added within seconds; fewer are refused with the reason PartitionsCannotShrink, and nothing
    is lost.
    """
    retention: Duration = Field(default="168h", validate_default=True)
    """How long records are kept, as a duration (h, m, s, ms).

    When changed: set on the topics within seconds; if it is shorter, Kafka deletes what is older.
    """


EACH_TOPIC_ONCE = Rule(
    "self.all(t, t.events.all(e, self.exists_one(u, u.domain == t.domain && e in u.events)))",
    "a topic (domain and event) stands here twice: leave it in one entry only",
)


class KafkaShare(Model):
    """Client quotas (bytes per second, percent of request threads), storage and own topics."""

    producer_byte_rate: Bytes | None = None
    """What the tenant may produce on each broker, in bytes per second. Without it there is no limit.

    When changed: holds within seconds, for open connections too.
    """
    consumer_byte_rate: Bytes | None = None
    """What the tenant may consume from each broker, in bytes per second. Without it there is no limit.

    When changed: holds within seconds, for open connections too.
    """
    request_percentage: Annotated[int, Field(ge=1, le=10000), ROUNDED] | None = None
    """Time on each broker's request threads, in percent of one thread. Without it there is no limit.

    When changed: holds within seconds, for open connections too.
    """
    storage: Bytes | None = None
    """Size of the topics, as a quantity of bytes, shared out as retention.bytes. Without it there is no limit.

    When changed: set on the topics of the spec within seconds; if it is less, Kafka deletes the oldest records.
    """
    topics: Annotated[tuple[Topics, ...], EACH_TOPIC_ONCE] = Field(default=(), max_length=32)
    """Topics of this tenant, beside those that the RealtimeCluster gives to every tenant.

    When changed: new topics are made within seconds; one that is taken out stays, with its data, until the Tenant is
    deleted with Delete.
    """


class ObjectStoreShare(Model):
    """The tenant's bucket."""

    storage: Bytes | None = None
    """Size of the tenant's objects, as a quantity of bytes, enforced by MinIO. Without it there is no limit.

    When changed: set within seconds; objects stay, also above the limit, and new ones are refused once MinIO has
    counted.
    """
    versioning: bool = True
    """Whether overwritten and deleted objects are kept as noncurrent versions.

    When changed: holds for writes within seconds; versions that exist stay.
    """
    noncurrent_expiration_days: Whole = Field(default=30, ge=1, le=36500)
    """Days after which noncurrent versions are deleted.

    When changed: set within seconds; if it is less, the store deletes the versions that are older.
    """


class GatewayShare(Model):
    """Limits of the tenant's app on the gateways."""

    max_connections: Whole = Field(default=500, ge=1, le=1000000)
    """Sockets the tenant may have open at once. When changed: holds for the next socket; open ones stay."""
    client_events_per_second: Whole = Field(default=10, ge=1, le=100000)
    """Client events per second and socket.

    When changed: holds for the next socket; open ones keep what they came with.
    """
    max_presence_members: Whole = Field(default=100, ge=1, le=10000)
    """Members of one presence channel. When changed: holds for the next socket; members that are in a channel stay."""
    allowed_origins: Annotated[tuple[Origin, ...], SET] = Field(default=(), max_length=64)
    """Origins that browsers may connect from; none means any.

    When changed: holds for the next socket; open ones stay.
    """
