"""Examples for every rule of the CRDs: what the API server takes and what it refuses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]

GROUP = "rules.matrixhub.io"
"""The CRDs are tried under a group of their own: no operator that may be running sees what the tests make."""

TENANT: Body = {
    "apiVersion": f"{GROUP}/v1alpha1",
    "kind": "Tenant",
    "metadata": {"name": "api-greenwood"},
    "spec": {"clusterRef": {"namespace": "api-nowhere", "name": "main"}},
}
CLUSTER: Body = {
    "apiVersion": f"{GROUP}/v1alpha1",
    "kind": "RealtimeCluster",
    "metadata": {"name": "api-main", "namespace": "default"},
    "spec": {
        "postgres": {
            "host": "postgres.example.org",
            "database": "hub",
            "adminSecretRef": {"name": "postgres-admin"},
        },
        "redis": {"nodes": ["redis:6379"], "adminSecretRef": {"name": "redis-admin"}},
        "kafka": {"bootstrapServers": ["kafka:9092"], "adminSecretRef": {"name": "kafka-admin"}},
        "objectStore": {
            "provider": "minio",
            "endpoint": "https://minio:9000",
            "adminSecretRef": {"name": "object-store-admin"},
        },
        # Bounds as wide as they go: a number of its own can then be tried from end to end.
        "gateway": {"image": "gateway:1", "minReplicas": 1, "maxReplicas": 1000, "connectionsPerReplica": 1000000},
        "relay": {
            "minReplicas": 1,
            "maxReplicas": 1000,
            "routes": [{"topics": "*.institution.*", "channel": "{domain}.{event}"}],
        },
        "autoscaling": {"gateway": {"targetConnectionsPerReplica": 1}},
    },
}
TOPIC: Body = {"domain": "exams", "events": ["started"]}
ROUTE: Body = {"topics": "*.exams.*", "channel": "exams"}
CONSUMER: Body = {
    "name": "grades",
    "targetRef": {"name": "grades-consumer"},
    "consumerGroup": "grades",
    "topics": ["*.exams.*"],
    "minReplicas": 1,
    "maxReplicas": 1000,
}
ITEMS: Mapping[str, Body] = {
    "topics": TOPIC,
    "routes": ROUTE,
    "consumers": CONSUMER,
    "owners": {"kind": "User", "name": "somebody"},
    "imagePullSecrets": {"name": "registry"},
}
"""By the name of a list, an item that the API server takes in it."""


@dataclass(frozen=True)
class Examples:
    """What stands at `at` (a path from the root of the object) when the rule at `rule` of `kind` is put to the test.

    `rule` is the path of the part that carries the rule, `says` a piece of its message that no other rule there has.
    `before` is what stood at `at` when the object was made, for a rule that compares with it, and `status` what the
    operator had told of it since.
    """

    kind: str
    rule: str
    says: str
    at: str
    accepted: tuple[object, ...]
    refused: tuple[object, ...]
    before: object = None
    status: Body | None = None


def tenant(rule: str, says: str, at: str, accepted: tuple[object, ...], refused: tuple[object, ...]) -> Examples:
    """Examples for a rule of the Tenant."""
    return Examples("Tenant", rule, says, at, accepted, refused)


def cluster(rule: str, says: str, at: str, accepted: tuple[object, ...], refused: tuple[object, ...]) -> Examples:
    """Examples for a rule of the RealtimeCluster."""
    return Examples("RealtimeCluster", rule, says, at, accepted, refused)


BYTES = (
    ("256Mi", "10Gi", "1.5Gi", "1e6", "2E+3", "1k", ".5Ki", 1, 1048576, "1E", "1Ei"),
    ("-1Mi", -1, 0, "0", "100m", "0.5", "lots", "", "1K", "1 Mi", "1Mib", "2Ei", "100Ei", "1e30", "2E", 2**62, "NaN"),
)
DURATIONS = (
    ("5s", "168h", "1h30m", "250ms", "1h2m3s4ms", "90m"),
    ("", "5", "0s", "0h0m", "-5s", "1.5h", "7d", "30m1h", "1 h", "1000000h", "5s\n"),
)
TOPIC_PARTS = (
    ("exams", "user-actions", "2026", "a", "x" * 63),
    ("Exams", "user_actions", "user.actions", "-a", "a-", "ä", "a b", "a\n"),
)
TOPICS: tuple[tuple[object, ...], tuple[object, ...]] = (
    (
        [],
        [{"domain": "exams", "events": ["started", "submitted"]}],
        [{"domain": "exams", "events": ["started"], "partitions": 3}, {"domain": "exams", "events": ["submitted"]}],
        [{"domain": "exams", "events": ["started"]}, {"domain": "courses", "events": ["started"]}],
        [{"domain": f"d{n}", "events": [f"e{m}" for m in range(32)]} for n in range(32)],
    ),
    (
        [{"domain": "exams", "events": ["started", "submitted"]}, {"domain": "exams", "events": ["submitted"]}],
        [{"domain": "exams", "events": ["started"]}, {"domain": "exams", "events": ["started"], "partitions": 3}],
    ),
)
ORIGINS = (
    (
        "https://app.example.org",
        "http://localhost:3000",
        "*.example.org",
        "https://*.example.org",
        "app.example.org",
    ),
    ("*", "https://", "https://a/b", "https://a/", "a*.example.org", "*.*.org", "ftp://a", "https://a:port", "a b"),
)
HOSTS = (
    ("postgres", "postgres.example.org", "10.0.0.1", "fd00::1", "::1", "PG-1", "db_1.internal"),
    (
        "postgres:5432",
        "db:5432",
        "postgres://db",
        "a b",
        "-a",
        "a-",
        "/tmp/socket",
        "10.0.0.1,10.0.0.2",
        "[fd00::1]",
        ":::",
    ),
)
ADDRESSES = (
    ("redis:6379", "redis.example.org:6379", "10.0.0.1:6379", "[fd00::1]:6379", "r:1", "r:65535"),
    (
        "redis",
        "redis:",
        ":6379",
        "redis:0",
        "redis:65536",
        "redis:99999",
        "redis://r:1",
        "fd00::1:6379",
        "r:1/0",
        "[:::]:6379",
    ),
)
URLS = (
    (
        "https://minio:9000",
        "http://10.0.0.1:9000",
        "https://s3.example.org/",
        "https://[fd00::1]:9000",
        "http://s:65535",
    ),
    (
        *("minio:9000", "ftp://minio", "https://", "https://user:pw@minio", "https://minio/path", "https://minio?a=b"),
        *("https://minio:0", "https://minio:65536", "https://minio:99999/", "https://[:::]:9000"),
    ),
)

OBJECT_NAMES = (
    ("redis-admin", "redis.admin", "a", "9", "a" * 63, "sh.helm.release.v1.hub.v1"),
    (
        *("../../kube-system/secrets/foo", "..", ".", "x/y", "x/../../../kube-system/deployments/coredns", "a%2Fb"),
        *("a?dryRun=All", "a#b", "Redis", "a_b", "-a", "a-", "a..b", "a.", "ä", "a b", "a\n"),
    ),
)
"""The refused ones first are what would lead to another namespace, if they were put into a path as they stand."""
LABEL_NAMES = (
    ("main", "a", "9", "edu-hub", "x" * 63),
    ("../kube-system", "..", "a/b", "a.b", "Main", "-a", "a-", "a_b", "a\n"),
)
SQL_NAMES = (
    ("hub", "tenant_id", "_t", "mandant_nö", "a$1", "edu-hub", "ÄGE"),
    ("a, b", 'a"b', "a'b", "a;b", "a b", "1a", "a/b", "hub?sslmode=disable", "host=evil", "a.b", "-a", "a\n"),
)
PATTERNS = (
    ("*.institution.*", "*.*.*", "greenwood.exams.started", "*.analytics.errors", "7-seas.user-actions.*"),
    ("institution.*", "*.institution", "*", "a.b.c.d", "*.insti*.x", "*.Institution.*", "*.a_b.*", "..x..", "*.a.b\n"),
)
TEMPLATES = (
    ("{domain}.{event}", "private-{domain}", "general", "{tenant}-{key}", "presence-class@{key}", "a=b,c;d_e"),
    ("{topic}", "{domain", "domain}", "{}", "a b", "a#b", "private-{Domain}", "a/b", "ä", "general\n"),
)
PUBLIC_URLS = (
    ("https://ws.example.org", "http://10.0.0.1:30080", "https://localhost:6001", "http://gateway"),
    (
        "ws.example.org",
        "wss://ws.example.org",
        "https://ws.example.org/app",
        "https://u:p@ws",
        "https://ws:0",
        "https://ws:65536",
        "http://",
    ),
)
QUANTITIES = (
    ({}, {"cpu": "100m", "memory": "128Mi"}, {"cpu": 1}, {"example.org/gpu": "2"}),
    ({"cpu": "-1"}, {"cpu": -1}, {"memory": "lots"}, {"memory": ""}, {"cpu": "1 "}),
)
BOUNDS = (
    ({"minReplicas": 1, "maxReplicas": 1}, {"minReplicas": 2, "maxReplicas": 20}, {"minReplicas": 1}),
    ({"minReplicas": 2, "maxReplicas": 1}, {"minReplicas": 1000, "maxReplicas": 999}, {"minReplicas": 21}),
)
BACKENDS = {name: CLUSTER["spec"][name] for name in ("postgres", "redis", "kafka", "objectStore")}


def without(service: str) -> Body:
    """The backends but one."""
    return {name: part for name, part in BACKENDS.items() if name != service}


CA, MTLS = {"caSecretRef": {"name": "ca"}}, {"clientCertSecretRef": {"name": "client"}}
"""What a backend's `tls` may name."""
GATEWAY, RELAY = CLUSTER["spec"]["gateway"], CLUSTER["spec"]["relay"]

SENTINEL = BACKENDS["redis"] | {"mode": "sentinel"}
OWNER = {"kind": "Group", "name": "greenwood-admins"}
ACCOUNT = {"kind": "ServiceAccount", "name": "ci", "namespace": "ci"}

EXAMPLES: tuple[Examples, ...] = (
    tenant("", "no dots", "metadata.name", ("api-green-wood", "7-seas"), ("api-green.wood", "a.b.c")),
    tenant("", "at most 32", "metadata.name", ("a" * 32,), ("a" * 33, "a" * 253)),
    tenant(
        "",
        "is reserved",
        "metadata.name",
        ("public-school", "kube", "default-high", "my-matrixhub"),
        ("default", "system", "admin", "tenants", "pool", "kube-system", "matrixhub", "matrixhub-tenants"),
    ),
    tenant(
        "",
        "must not end in",
        "metadata.name",
        ("s3alias", "api-x-s3"),
        ("green-s3alias", "green--ol-s3", "green--x-s3", "green--table-s3"),
    ),
    Examples(
        "Tenant",
        "spec.clusterRef",
        "stays on its RealtimeCluster",
        "spec.clusterRef",
        accepted=({"namespace": "api-nowhere", "name": "main"},),
        refused=({"namespace": "api-nowhere", "name": "other"}, {"namespace": "other", "name": "main"}),
        before={"namespace": "api-nowhere", "name": "main"},
    ),
    tenant(
        "spec.owners",
        "stands here twice",
        "spec.owners",
        (
            [],
            [OWNER, OWNER | {"kind": "User"}, OWNER | {"name": "other"}],
            [ACCOUNT, ACCOUNT | {"namespace": "other"}],
        ),
        ([OWNER, OWNER], [OWNER, OWNER | {"role": "admin"}], [ACCOUNT, ACCOUNT]),
    ),
    tenant(
        "spec.owners[]",
        "needs its `namespace`",
        "spec.owners",
        ([ACCOUNT],),
        ([{"kind": "ServiceAccount", "name": "ci"}],),
    ),
    tenant(
        "spec.owners[]",
        "only a ServiceAccount",
        "spec.owners",
        ([OWNER], [OWNER | {"kind": "User"}]),
        ([OWNER | {"namespace": "ci"}], [OWNER | {"kind": "User", "namespace": "ci"}]),
    ),
    *(
        tenant(f"spec.{path}", "must be a quantity from 1 to 1Ei", f"spec.{path}", *BYTES)
        for path in (
            "postgres.storage",
            "redis.memory",
            "kafka.producerByteRate",
            "kafka.consumerByteRate",
            "kafka.storage",
            "objectStore.storage",
        )
    ),
    tenant(
        "spec.postgres.statementTimeout",
        "at most 596h",
        "spec.postgres.statementTimeout",
        (*DURATIONS[0], "596h"),
        (*DURATIONS[1], "596h1ms", "999999h"),
    ),
    tenant("spec.kafka.topics", "stands here twice", "spec.kafka.topics", *TOPICS),
    cluster("spec.kafka.topics", "stands here twice", "spec.kafka.topics", *TOPICS),
    *(
        Examples(
            kind,
            f"spec.kafka.topics[].{part}",
            says,
            "spec.kafka.topics",
            accepted=tuple([{"domain": "exams", "events": ["started"]} | {field: wrap(one)}] for one in accepted),
            refused=tuple([{"domain": "exams", "events": ["started"]} | {field: wrap(one)}] for one in refused),
        )
        for kind in ("Tenant", "RealtimeCluster")
        for part, field, says, wrap, (accepted, refused) in (
            ("domain", "domain", "must be lower-case letters", lambda one: one, TOPIC_PARTS),
            ("events[]", "events", "must be lower-case letters", lambda one: [one], TOPIC_PARTS),
            ("retention", "retention", "must be a duration", lambda one: one, DURATIONS),
        )
    ),
    tenant(
        "spec.gateway.allowedOrigins[]",
        "must be an origin",
        "spec.gateway.allowedOrigins",
        tuple([one] for one in ORIGINS[0]),
        tuple([one] for one in ORIGINS[1]),
    ),
    tenant(
        "spec.compute",
        "names that a ResourceQuota counts",
        "spec.compute",
        (
            {},
            {"requests.cpu": "4", "requests.memory": "8Gi", "pods": "50"},
            {"pods": 50, "limits.cpu": "500m", "count/jobs.batch": 5, "requests.nvidia.com/gpu": 1},
            {"gold.storageclass.storage.k8s.io/requests.storage": "10Gi"},
        ),
        ({"cpus": "4"}, {"request.cpu": "4"}, {"requests.gpu": "1"}, {"Pods": "5"}, {"": "1"}, {"disk": "1Gi"}),
    ),
    tenant(
        "spec.compute",
        "requests must not be above limits",
        "spec.compute",
        (
            {"requests.cpu": "4", "limits.cpu": 4},
            {"requests.cpu": "500m", "limits.cpu": "1"},
            {"requests.memory": "1Gi", "limits.memory": "1024Mi"},
            {"requests.memory": "8Gi", "limits.cpu": "1"},
        ),
        (
            {"requests.cpu": "4", "limits.cpu": "2"},
            {"requests.cpu": 4, "limits.cpu": "3999m"},
            {"requests.memory": "1Gi", "limits.memory": "1G"},
            {"requests.ephemeral-storage": "2Gi", "limits.ephemeral-storage": "1Gi"},
        ),
    ),
    tenant(
        "spec.compute[]",
        "must be a quantity that is not negative",
        "spec.compute",
        ({"pods": 0}, {"pods": "50"}, {"requests.cpu": "1500m"}, {"requests.cpu": "0.5"}, {"requests.memory": "1e9"}),
        ({"pods": -1}, {"pods": "-1"}, {"requests.memory": "lots"}, {"requests.memory": ""}, {"requests.cpu": "1 "}),
    ),
    *(
        Examples(
            "RealtimeCluster",
            "",
            f"have logins and data in {service}",
            "spec",
            accepted=(BACKENDS, without(service) | {"abandoned": [service]}),
            refused=(without(service), without(service) | {"abandoned": [other]}),
            before=BACKENDS,
            status={"tenants": 1},
        )
        for service, other in zip(BACKENDS, [*BACKENDS][1:] + [*BACKENDS][:1], strict=True)
    ),
    cluster(
        "spec",
        "`abandoned` names what is no longer in the spec",
        "spec",
        ({"redis": BACKENDS["redis"], "abandoned": ["postgres", "kafka", "objectStore"]},),
        tuple({service: part, "abandoned": [service]} for service, part in BACKENDS.items()),
    ),
    *(
        tenant(
            f"spec.clusterRef.{part}", "lower-case letters, digits and hyphens", f"spec.clusterRef.{part}", *LABEL_NAMES
        )
        for part in ("namespace", "name")
    ),
    tenant(
        "spec.owners[].namespace",
        "lower-case letters, digits and hyphens",
        "spec.owners",
        tuple([ACCOUNT | {"namespace": one}] for one in LABEL_NAMES[0]),
        tuple([ACCOUNT | {"namespace": one}] for one in LABEL_NAMES[1]),
    ),
    cluster(
        "",
        "at most 47 characters",
        "metadata.name",
        ("a" * 47, "main", "main-2", "m"),
        ("a" * 48, "main.prod", "1main"),
    ),
    cluster(
        "",
        "scales its own gateways and relays",
        "spec.consumers",
        (
            [CONSUMER],
            [CONSUMER | {"targetRef": {"name": "my-gateway"}}],
            [CONSUMER | {"targetRef": {"kind": "StatefulSet", "name": "api-main-relay"}}],
        ),
        tuple([CONSUMER | {"targetRef": {"name": f"api-main-{own}"}}] for own in ("gateway", "relay")),
    ),
    *(
        cluster(f"spec.{path}.name", "the name alone of an object", f"spec.{path}.name", *OBJECT_NAMES)
        for path in (
            *(f"{backend}.adminSecretRef" for backend in ("postgres", "redis", "kafka", "objectStore")),
            *(f"{backend}.tls.caSecretRef" for backend in ("postgres", "redis", "kafka", "objectStore")),
            *(f"{backend}.tls.clientCertSecretRef" for backend in ("postgres", "redis", "kafka")),
            "consumers[].targetRef",
            "gateway.imagePullSecrets[]",
            "relay.imagePullSecrets[]",
        )
    ),
    cluster(
        "spec.gateway.tls.caSecretRef.name",
        "the name alone of an object",
        "spec.gateway.tls",
        tuple({"secretName": "tls", "caSecretRef": {"name": one}} for one in OBJECT_NAMES[0]),
        tuple({"secretName": "tls", "caSecretRef": {"name": one}} for one in OBJECT_NAMES[1]),
    ),
    cluster("spec.gateway.tls.secretName", "the name alone of an object", "spec.gateway.tls.secretName", *OBJECT_NAMES),
    *(
        cluster(f"spec.postgres.{part}", "begins with a letter or _", f"spec.postgres.{part}", *SQL_NAMES)
        for part in ("database", "tenantColumn")
    ),
    cluster(
        "spec.postgres.schemas[]",
        "begins with a letter or _",
        "spec.postgres.schemas",
        tuple([one] for one in SQL_NAMES[0]),
        tuple([one] for one in SQL_NAMES[1]),
    ),
    cluster(
        "spec.redis.masterName",
        "as Redis Sentinel has it",
        "spec.redis",
        tuple(SENTINEL | {"masterName": one} for one in ("mymaster", "hub-1", "a.b_c", "9")),
        tuple(SENTINEL | {"masterName": one} for one in ("a b", "a&b=c", 'a"b', "ä", "a/b", "a\n")),
    ),
    cluster(
        "spec.objectStore.region",
        "AWS's addresses are made of it",
        "spec.objectStore.region",
        ("us-east-1", "eu-central-1", "r", "Home1"),
        ("evil.org/#", "us_east", "a.b", "-a", "a-", "a b", "a\n"),
    ),
    cluster(
        "spec",
        "at least one backend",
        "spec",
        tuple({name: part} for name, part in BACKENDS.items()),
        ({}, {"autoscaling": {}}),
    ),
    cluster(
        "spec",
        "gateways keep their apps in Postgres",
        "spec",
        ({name: BACKENDS[name] for name in ("postgres", "redis")} | {"gateway": GATEWAY},),
        tuple({name: part, "gateway": GATEWAY} for name, part in BACKENDS.items()),
    ),
    cluster(
        "spec",
        "a relay brings records of Kafka",
        "spec",
        (BACKENDS | {"gateway": GATEWAY, "relay": RELAY},),
        (
            BACKENDS | {"relay": RELAY},
            {name: BACKENDS[name] for name in ("postgres", "redis")} | {"gateway": GATEWAY, "relay": RELAY},
        ),
    ),
    cluster(
        "spec",
        "consumers are scaled from the lag",
        "spec",
        (
            {"kafka": BACKENDS["kafka"], "consumers": [CONSUMER]},
            {"redis": BACKENDS["redis"], "consumers": []},
        ),
        ({"redis": BACKENDS["redis"], "consumers": [CONSUMER]},),
    ),
    cluster(
        "spec",
        "targetConnectionsPerReplica must not be above",
        "spec.autoscaling.gateway.targetConnectionsPerReplica",
        (1, 999999, 1000000),
        (1000001,),
    ),
    *(
        cluster(
            "spec.postgres",
            says,
            "spec.postgres",
            tuple(BACKENDS["postgres"] | each for each in accepted),
            tuple(BACKENDS["postgres"] | each for each in refused),
        )
        for says, accepted, refused in (
            (
                "disable` encrypts nothing",
                ({"sslMode": "disable"}, {"tls": CA | MTLS}, {"sslMode": "require", "tls": MTLS}),
                ({"sslMode": "disable", "tls": {}}, {"sslMode": "disable", "tls": MTLS}),
            ),
            (
                "checks no certificate",
                ({"sslMode": "require"}, {"sslMode": "require", "tls": MTLS}, {"sslMode": "verify-ca", "tls": CA}),
                ({"sslMode": "require", "tls": CA},),
            ),
            (
                "needs `tls.caSecretRef`",
                ({"sslMode": "verify-ca", "tls": CA}, {"sslMode": "verify-full"}, {}),
                ({"sslMode": "verify-ca"}, {"sslMode": "verify-ca", "tls": MTLS}),
            ),
        )
    ),
    cluster(
        "spec.redis.tls",
        "encrypts nothing",
        "spec.redis.tls",
        ({}, CA | MTLS, {"enabled": False}, CA | {"enabled": True}),
        (CA | {"enabled": False}, MTLS | {"enabled": False}),
    ),
    cluster(
        "spec.kafka",
        "encrypts nothing",
        "spec.kafka",
        tuple(BACKENDS["kafka"] | each for each in ({"tls": CA | MTLS}, {"securityProtocol": "SASL_PLAINTEXT"})),
        (BACKENDS["kafka"] | {"securityProtocol": "SASL_PLAINTEXT", "tls": CA},),
    ),
    cluster(
        "spec.objectStore",
        "encrypts nothing",
        "spec.objectStore",
        (
            BACKENDS["objectStore"] | {"tls": CA},
            BACKENDS["objectStore"] | {"endpoint": "http://minio:9000"},
            {"provider": "aws", "adminSecretRef": {"name": "a"}, "tls": CA},
        ),
        (BACKENDS["objectStore"] | {"endpoint": "http://minio:9000", "tls": CA},),
    ),
    cluster(
        "spec.gateway",
        "minReplicas must not be above",
        "spec.gateway",
        tuple({"image": "gateway:1"} | each for each in BOUNDS[0]),
        tuple({"image": "gateway:1"} | each for each in BOUNDS[1]),
    ),
    cluster(
        "spec.relay",
        "minReplicas must not be above",
        "spec.relay",
        tuple({"routes": [ROUTE]} | each for each in BOUNDS[0]),
        tuple({"routes": [ROUTE]} | each for each in BOUNDS[1]),
    ),
    cluster(
        "spec.consumers[]",
        "minReplicas must not be above",
        "spec.consumers",
        tuple([CONSUMER | each] for each in BOUNDS[0]),
        tuple([CONSUMER | each] for each in BOUNDS[1][:2]),
    ),
    cluster(
        "spec.consumers",
        "are the RealtimeCluster's own",
        "spec.consumers",
        ([CONSUMER], [CONSUMER | {"name": "relays"}], [CONSUMER | {"name": "my-gateway"}]),
        (
            [CONSUMER | {"name": "relay"}],
            [CONSUMER, CONSUMER | {"name": "gateway", "targetRef": {"name": "other"}}],
        ),
    ),
    cluster(
        "spec.consumers",
        "would be scaled by both",
        "spec.consumers",
        (
            [CONSUMER, CONSUMER | {"name": "b", "targetRef": {"name": "b"}}],
            [CONSUMER, CONSUMER | {"name": "b", "targetRef": {"kind": "StatefulSet", "name": "grades-consumer"}}],
        ),
        ([CONSUMER, CONSUMER | {"name": "b"}],),
    ),
    cluster("spec.gateway.publicUrl", "must be a URL", "spec.gateway.publicUrl", *PUBLIC_URLS),
    *(
        cluster(f"spec.{path}[]", "must be a quantity that is not negative", f"spec.{path}", *QUANTITIES)
        for path in (
            "gateway.resources.requests",
            "gateway.resources.limits",
            "relay.resources.requests",
            "relay.resources.limits",
        )
    ),
    *(
        cluster(f"spec.{path}", "must be a duration", f"spec.{path}", *DURATIONS)
        for path in (
            "relay.targetDrain",
            "consumers[].targetDrain",
            "autoscaling.gateway.scaleDownStabilization",
            "autoscaling.consumers.scaleDownStabilization",
        )
    ),
    cluster("spec.relay.routes[].topics", "must be tenant.domain.event", "spec.relay.routes[].topics", *PATTERNS),
    cluster(
        "spec.consumers[].topics[]",
        "must be tenant.domain.event",
        "spec.consumers[].topics",
        tuple([one] for one in PATTERNS[0]),
        tuple([one] for one in PATTERNS[1]),
    ),
    *(
        cluster(f"spec.relay.routes[].{part}", "must be letters, digits", f"spec.relay.routes[].{part}", *TEMPLATES)
        for part in ("channel", "event")
    ),
    cluster(
        "spec.adoptFrom",
        "must be the uid of the lost cluster",
        "spec.adoptFrom",
        ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", ""),
        ("lost-hub", "3f2504e0-4f89-41d3-9a0c-0305e82c330/", "3F2504E0-4F89-41D3-9A0C-0305E82C3301"),
    ),
    cluster("spec.postgres.host", "must be a host name", "spec.postgres.host", *HOSTS),
    cluster(
        "spec.postgres.schemas[]",
        "must be a schema of your applications",
        "spec.postgres.schemas",
        (["public"], ["public", "school"], ["page"]),
        (["pg_catalog"], ["public", "pg_toast"], ["information_schema"], ["matrixhub"]),
    ),
    cluster(
        "spec.redis",
        "mode sentinel needs",
        "spec.redis",
        (CLUSTER["spec"]["redis"] | {"mode": "sentinel", "masterName": "hub"},),
        (CLUSTER["spec"]["redis"] | {"mode": "sentinel"},),
    ),
    cluster(
        "spec.redis",
        "belongs to mode sentinel",
        "spec.redis",
        (CLUSTER["spec"]["redis"] | {"mode": "cluster"}, CLUSTER["spec"]["redis"]),
        (CLUSTER["spec"]["redis"] | {"masterName": "hub"},),
    ),
    *(
        cluster(
            f"spec.{path}[]",
            "must be host:port",
            f"spec.{path}",
            tuple([one] for one in ADDRESSES[0]),
            tuple([one] for one in ADDRESSES[1]),
        )
        for path in ("redis.nodes", "kafka.bootstrapServers")
    ),
    cluster(
        "spec.objectStore",
        "provider minio needs",
        "spec.objectStore",
        (CLUSTER["spec"]["objectStore"], {"provider": "aws", "adminSecretRef": {"name": "a"}}),
        ({"provider": "minio", "adminSecretRef": {"name": "a"}},),
    ),
    cluster(
        "spec.objectStore",
        "belongs to provider aws",
        "spec.objectStore",
        ({"provider": "aws", "iamEndpoint": "https://iam", "adminSecretRef": {"name": "a"}},),
        (CLUSTER["spec"]["objectStore"] | {"iamEndpoint": "https://iam"},),
    ),
    Examples(
        "RealtimeCluster",
        "spec.objectStore",
        "`bucketPrefix` stays",
        "spec.objectStore.bucketPrefix",
        accepted=("hub",),
        refused=("other",),
        before="hub",
    ),
    cluster(
        "spec.objectStore.bucketPrefix",
        "must be lower-case letters",
        "spec.objectStore.bucketPrefix",
        ("hub", "edu-hub", "h", "9", "x" * 24),
        ("Hub", "a_b", "a.b", "-a", "a-", "xn--a", "sthree-a", "amzn-s3-demo-a"),
    ),
    cluster("spec.objectStore.endpoint", "must be a URL", "spec.objectStore.endpoint", *URLS),
    Examples(
        "RealtimeCluster",
        "spec.objectStore.iamEndpoint",
        "must be a URL",
        "spec.objectStore",
        accepted=tuple({"provider": "aws", "iamEndpoint": one, "adminSecretRef": {"name": "a"}} for one in URLS[0]),
        refused=tuple({"provider": "aws", "iamEndpoint": one, "adminSecretRef": {"name": "a"}} for one in URLS[1]),
    ),
)

SETS: Mapping[str, tuple[str, list[str]]] = {
    "spec.kafka.topics[].events": ("spec.kafka.topics[].events", ["a", "a"]),
    "spec.consumers[].topics": ("spec.consumers[].topics", ["*.a.b", "*.a.b"]),
    "spec.gateway.allowedOrigins": ("spec.gateway.allowedOrigins", ["a.org", "a.org"]),
    "spec.postgres.schemas": ("spec.postgres.schemas", ["public", "public"]),
    "spec.abandoned": ("spec.abandoned", ["redis", "redis"]),
    "spec.redis.nodes": ("spec.redis.nodes", ["r:1", "r:1"]),
    "spec.kafka.bootstrapServers": ("spec.kafka.bootstrapServers", ["k:1", "k:1"]),
}
"""For each list without duplicates: where it stands, and one with a duplicate."""
