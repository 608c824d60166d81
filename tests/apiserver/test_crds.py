"""The CRDs on a real API server: every rule with what it takes and what it refuses, and what people then see."""

import copy
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from tests.apiserver.crd_examples import CLUSTER, CONSUMER, EXAMPLES, GROUP, ITEMS, ROUTE, SETS, TENANT, Body, Examples
from tests.support import ROOT, intent, parts, stand_variables

from matrixhub.api import conditions, crd
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.tenant import Tenant
from matrixhub.backends.namespace import desired as namespace
from matrixhub.kube.client import KubeApi
from matrixhub.main import kinds

BASE = {"Tenant": TENANT, "RealtimeCluster": CLUSTER}
BACKENDS = [kind for kind in kinds(cast("KubeApi", None)) if kind.shared_out]
UNPROCESSABLE, BAD_REQUEST = 422, 400


class ApiServer:
    """Creates, replaces and deletes our resources; refuses unknown fields as `kubectl apply` does."""

    def __init__(self, kubeconfig: str) -> None:
        self._api = client.CustomObjectsApi(config.new_client_from_config(kubeconfig))

    def _at(self, body: Body) -> dict[str, str]:
        plural = body["kind"].lower() + "s"
        where = {"namespace": body["metadata"]["namespace"]} if body["kind"] == "RealtimeCluster" else {}
        return {"group": GROUP, "version": "v1alpha1", "plural": plural, **where}

    def _call(self, verb: str, of: Body, **arguments: Any) -> Body:
        scope = "namespaced" if of["kind"] == "RealtimeCluster" else "cluster"
        made: Body = getattr(self._api, f"{verb}_{scope}_custom_object")(**self._at(of), **arguments)
        return made

    def create(self, body: Body, *, dry_run: bool = True, strict: bool = True) -> Body:
        how = {"dry_run": "All"} if dry_run else {}
        return self._call("create", body, body=body, field_validation="Strict" if strict else "Ignore", **how)

    def replace(self, body: Body) -> Body:
        return self._call(
            "replace", body, body=body, name=body["metadata"]["name"], field_validation="Strict", dry_run="All"
        )

    def tell(self, body: Body, status: Body) -> Body:
        """The object, once the operator has told this of it."""
        plural, name = f"{body['kind'].lower()}s", body["metadata"]["name"]
        made: Body = self._api.replace_namespaced_custom_object_status(
            GROUP, "v1alpha1", body["metadata"]["namespace"], plural, name, body | {"status": status}
        )
        return made

    def delete(self, body: Body) -> None:
        self._call("delete", body, name=body["metadata"]["name"])

    def refusal(self, ask: Callable[[Body], Body], body: Body) -> str:
        """What the API server answers to a body that it has to refuse as invalid."""
        with pytest.raises(ApiException) as caught:
            ask(body)
        answer = json.loads(caught.value.body or "")
        assert answer["code"] == UNPROCESSABLE, answer["message"]
        message: str = answer["message"]
        return message


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    """Of an API server that knows our kinds under the tests' own group."""
    path = stand_variables()["KUBECONFIG"]
    definitions = "".join((ROOT / "crds" / name).read_text(encoding="utf-8") + "---\n" for name in crd.files())
    ours = definitions.replace("matrixhub.io\n", f"{GROUP}\n")
    remove = ("delete", "--ignore-not-found", "--timeout=30s", "-f", "-")
    run(path, *remove, stdin=ours)  # with what a run that was cut short left behind
    run(path, "apply", "--server-side", "-f", "-", stdin=ours)
    run(path, "wait", "--for=condition=Established", "--timeout=30s", "-f", "-", stdin=ours)
    yield path
    run(path, *remove, stdin=ours)


@pytest.fixture(scope="session")
def server(kubeconfig: str) -> ApiServer:
    return ApiServer(kubeconfig)


@pytest.fixture
def made(server: ApiServer) -> Iterator[Callable[[Body], Body]]:
    """Makes an object that is gone after the test."""
    bodies: list[Body] = []

    def make(body: Body) -> Body:
        bodies.append(body)
        return server.create(body, dry_run=False)

    yield make
    for body in bodies:
        server.delete(body)


def run(kubeconfig: str, *arguments: str, stdin: str = "", fails: bool = False) -> str:
    """What kubectl printed; `fails` says whether it has to exit with an error."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig", kubeconfig, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def put(kind: str, path: str, value: object) -> Body:
    """A valid object of the kind with `value` at `path`; `[]` in the path stands for the one item of a list."""
    body = copy.deepcopy(BASE[kind])
    *parents, last = path.split(".")
    part = body
    for name in parents:
        if name.endswith("[]"):
            part[name[:-2]] = [copy.deepcopy(ITEMS[name[:-2]])]
            part = part[name[:-2]][0]
        else:
            part = part.setdefault(name, {})
    part[last.removesuffix("[]")] = [value] if last.endswith("[]") else value
    return body


def read(body: Body) -> Tenant | RealtimeCluster:
    """The object as the operator reads it."""
    return (Tenant if body["kind"] == "Tenant" else RealtimeCluster).model_validate(body)


CHECKED_IN = [yaml.safe_load((ROOT / "crds" / name).read_text(encoding="utf-8"))["spec"] for name in crd.files()]
PARTS = [
    (each["names"]["kind"], path, part)
    for each in CHECKED_IN
    for path, part in parts(each["versions"][0]["schema"]["openAPIV3Schema"])
    if not path.startswith("status")
]


def cases(side: str) -> list[Any]:
    return [
        pytest.param(each, value, id=f"{each.kind}-{each.rule or 'root'}-{each.says}-{value}"[:120])
        for each in EXAMPLES
        for value in getattr(each, side)
    ]


def test_the_checked_in_files_are_accepted_as_they_stand(kubeconfig: str) -> None:
    run(kubeconfig, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(ROOT / "crds"))


def test_no_rule_is_without_an_accepted_and_a_refused_example() -> None:
    for kind, path, part in PARTS:
        for rule in part.get("x-kubernetes-validations", []):
            of_rule = [e for e in EXAMPLES if (e.kind, e.rule) == (kind, path) and e.says in rule["message"]]
            assert len(of_rule) == 1, f"{kind} {path}: {rule['message']}"
            assert of_rule[0].accepted
            assert of_rule[0].refused


@pytest.mark.parametrize(("example", "value"), cases("accepted"))
def test_what_a_rule_takes_is_accepted_and_parses(server: ApiServer, example: Examples, value: object) -> None:
    read(server.create(put(example.kind, example.at, value)))


@pytest.mark.parametrize(("example", "value"), [case for case in cases("refused") if not case.values[0].before])
def test_what_a_rule_refuses_is_answered_with_its_sentence(server: ApiServer, example: Examples, value: object) -> None:
    assert example.says in server.refusal(server.create, put(example.kind, example.at, value))


@pytest.mark.parametrize("example", [each for each in EXAMPLES if each.before])
def test_what_must_stay_cannot_be_changed(server: ApiServer, made: Callable[[Body], Body], example: Examples) -> None:
    body = made(put(example.kind, example.at, example.before))
    version = (server.tell(body, example.status) if example.status else body)["metadata"]["resourceVersion"]

    def changed(value: object) -> Body:
        body = put(example.kind, example.at, value)
        body["metadata"]["resourceVersion"] = version
        return body

    for value in example.accepted:
        server.replace(changed(value))
    for value in example.refused:
        assert example.says in server.refusal(server.replace, changed(value))


def test_a_service_is_taken_out_freely_where_no_tenant_lives(server: ApiServer, made: Callable[[Body], Body]) -> None:
    body = made(CLUSTER)
    fewer = {name: part for name, part in body["spec"].items() if name != "objectStore"}
    assert "objectStore" not in server.replace(body | {"spec": fewer})["spec"]
    body = server.tell(body, {"tenants": 0})
    assert "objectStore" not in server.replace(body | {"spec": fewer})["spec"]


NUMBERS = [
    pytest.param(kind, path, part, id=f"{kind}-{path}") for kind, path, part in PARTS if part.get("type") == "integer"
]
CHOICES = [pytest.param(kind, path, part, id=f"{kind}-{path}") for kind, path, part in PARTS if "enum" in part]


@pytest.mark.parametrize(("kind", "path", "part"), NUMBERS)
def test_a_number_is_accepted_up_to_its_bounds_and_refused_beyond(
    server: ApiServer, kind: str, path: str, part: Body
) -> None:
    for number in (part["minimum"], part["maximum"]):
        read(server.create(put(kind, path, number)))
    for number in (part["minimum"] - 1, part["maximum"] + 1):
        assert "should be" in server.refusal(server.create, put(kind, path, number))


@pytest.mark.parametrize(("kind", "path", "part"), CHOICES)
def test_a_word_that_is_not_among_the_choices_is_refused_with_them(
    server: ApiServer, kind: str, path: str, part: Body
) -> None:
    refusal = server.refusal(server.create, put(kind, path, "nonsense"))
    assert all(f'"{choice}"' in refusal for choice in part["enum"])


def test_a_list_without_duplicates_refuses_one(server: ApiServer) -> None:
    sets = {path: kind for kind, path, part in PARTS if part.get("x-kubernetes-list-type") == "set"}
    assert sets.keys() == SETS.keys()
    for path, (at, twice) in SETS.items():
        assert "Duplicate value" in server.refusal(server.create, put(sets[path], at, twice))


quantities = st.from_regex(r"[+-]?[0-9]{0,4}\.?[0-9]{0,3}([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?", fullmatch=True)
durations = st.one_of(
    st.from_regex(r"([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?([0-9]{1,7}ms)?", fullmatch=True),
    st.text("0123456789hms", max_size=8),
)
names = st.text("abz09-._ /:*é\n", min_size=0, max_size=6)


labels = st.dictionaries(names, names | st.integers())
ports = st.integers(0, 70000) | st.integers(65530, 65540)
addresses = st.builds("{}:{}".format, st.sampled_from(["a", "a_b.c", "[fd00::1]", "[::1.2.3.4]", "[:::]"]), ports)
urls = st.builds("{}://{}{}".format, st.sampled_from(["http", "https"]), addresses, st.sampled_from(["", "/"]))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    choice=st.one_of(
        st.tuples(st.just("Tenant.spec.redis.memory"), quantities | st.integers() | st.floats(0, 9e30)),
        st.tuples(st.just("Tenant.spec.compute"), st.dictionaries(st.just("pods") | names, quantities | st.integers())),
        st.tuples(st.just("Tenant.spec.postgres.statementTimeout"), durations),
        st.tuples(st.just("Tenant.spec.kafka.topics[].retention"), durations),
        st.tuples(st.just("Tenant.spec.kafka.topics[].domain"), names),
        st.tuples(st.just("Tenant.spec.gateway.allowedOrigins"), st.lists(names)),
        st.tuples(st.just("Tenant.spec.gateway.maxConnections"), st.integers(0, 10) | st.floats(1, 5)),
        st.tuples(st.just("Tenant.spec.displayName"), st.text() | st.none()),
        st.tuples(st.just("Tenant.spec.postgres"), st.none() | st.just({})),
        st.tuples(st.just("Tenant.spec.owners"), st.none() | st.just([])),
        st.tuples(st.just("RealtimeCluster.spec.gateway.minReplicas"), st.integers(0, 10) | st.floats(1, 5)),
        st.tuples(st.just("RealtimeCluster.spec.gateway.resources.limits"), st.dictionaries(names, quantities)),
        st.tuples(st.just("RealtimeCluster.spec.gateway.nodeSelector"), labels),
        st.tuples(st.just("RealtimeCluster.spec.gateway.tolerations"), st.lists(labels)),
        st.tuples(st.just("RealtimeCluster.spec.gateway.tls"), st.none() | labels),
        st.tuples(st.just("RealtimeCluster.spec.gateway.publicUrl"), st.none() | names | urls),
        st.tuples(st.just("RealtimeCluster.spec.objectStore.endpoint"), urls),
        st.tuples(st.just("RealtimeCluster.spec.redis.nodes[]"), addresses),
        st.tuples(st.just("RealtimeCluster.spec.kafka.bootstrapServers[]"), addresses),
        st.tuples(st.just("RealtimeCluster.spec.relay.routes[].channel"), names),
        st.tuples(st.just("RealtimeCluster.spec.relay.routes"), st.none() | st.just([])),
        st.tuples(st.just("RealtimeCluster.spec.consumers[].targetDrain"), durations),
        st.tuples(st.just("RealtimeCluster.spec.consumers"), st.none() | st.just([])),
        st.tuples(st.just("RealtimeCluster.spec.autoscaling"), st.none() | st.just({})),
    )
)
def test_whatever_is_admitted_can_be_worked_with(server: ApiServer, choice: tuple[str, object]) -> None:
    kind, _, path = choice[0].partition(".")
    try:
        admitted = server.create(put(kind, path, choice[1]))
    except ApiException as refused:
        assert refused.status in {UNPROCESSABLE, BAD_REQUEST}, refused.body  # noqa: PT017 - or it is admitted
        return
    resource = read(admitted)
    if isinstance(resource, RealtimeCluster):
        wish = intent("greenwood", resource)
        for backend in BACKENDS:
            assert backend.binding(wish)
        assert namespace.desired(wish).objects


def test_a_tenant_at_every_limit_is_judged_within_the_budget_of_the_rules(server: ApiServer) -> None:
    """The API server refuses a request whose rules cost too much: the largest that the schema admits does not."""
    topics = [{"domain": "d" * 61 + f"{n:02}", "events": ["e" * 61 + f"{m:02}" for m in range(32)]} for n in range(32)]
    owners = [{"kind": "ServiceAccount", "name": "o" * 250 + f"{n:03}", "namespace": "n" * 63} for n in range(64)]
    body = put("Tenant", "spec.kafka.topics", topics)
    body["spec"]["owners"] = owners
    body["spec"]["compute"] = {f"count/{n}.{'x' * 200}": "1" for n in range(64)}
    body["spec"]["gateway"] = {"allowedOrigins": [f"https://{'a' * 240}{n:02}" for n in range(64)]}
    read(server.create(body))


def test_a_cluster_at_every_limit_is_judged_within_the_budget_of_the_rules(server: ApiServer) -> None:
    body = put("RealtimeCluster", "spec.relay.routes", [ROUTE | {"channel": "c" * 200, "event": "e" * 200}] * 32)
    patterns = [f"*.{'d' * 61}{n:02}.*" for n in range(32)]
    names = [f"{'c' * 61}{n:02}" for n in range(64)]
    targets = [".".join([name] * 3) for name in names]
    body["spec"]["consumers"] = [
        CONSUMER | {"name": name, "targetRef": {"name": target}, "topics": patterns}
        for name, target in zip(names, targets, strict=True)
    ]
    body["spec"]["gateway"]["resources"] = {"limits": {f"{'r' * 200}{n:02}": "1" for n in range(16)}}
    read(server.create(body))


DESIGN_TENANT = """
apiVersion: GROUP/v1alpha1
kind: Tenant
metadata: {name: greenwood-api-example}
spec:
  displayName: Greenwood High School
  clusterRef: {namespace: matrixhub, name: main}
  owners: [{kind: Group, name: greenwood-admins, role: admin}]
  suspended: false
  deletionPolicy: Retain
  postgres: {connectionLimit: 20, statementTimeout: 5s, storage: 10Gi}
  redis: {memory: 256Mi}
  kafka:
    producerByteRate: 1Mi
    consumerByteRate: 2Mi
    requestPercentage: 50
    storage: 5Gi
    topics: [{domain: exams, events: [started, submitted], partitions: 3, retention: 168h}]
  objectStore: {storage: 50Gi, versioning: true, noncurrentExpirationDays: 30}
  gateway: {maxConnections: 500, clientEventsPerSecond: 10, maxPresenceMembers: 100, allowedOrigins: []}
  compute: {requests.cpu: "4", requests.memory: 8Gi, pods: "50"}
""".replace("GROUP", GROUP)
DESIGN_CLUSTER = """
apiVersion: GROUP/v1alpha1
kind: RealtimeCluster
metadata: {name: api-design, namespace: default}
spec:
  postgres: {host: postgres, port: 5432, database: hub, sslMode: verify-full, adminSecretRef: {name: postgres-admin},
             schemas: [public], tenantColumn: tenant_id}
  redis: {mode: standalone, nodes: ["redis:6379"], tls: {caSecretRef: {name: redis-ca}},
          adminSecretRef: {name: redis-admin}}
  kafka: {bootstrapServers: ["kafka:9092"], securityProtocol: SASL_SSL, saslMechanism: SCRAM-SHA-512,
          adminSecretRef: {name: kafka-admin}, replicationFactor: 3,
          topics: [{domain: user-actions, events: [login, activity, permissions]},
                   {domain: institution, events: [registration, updates, metrics]},
                   {domain: analytics, events: [tracking, performance, errors]}]}
  objectStore: {provider: minio, endpoint: "https://minio:9000", region: us-east-1, bucketPrefix: hub,
                adminSecretRef: {name: object-store-admin}}
  gateway: {image: "registry.example.org/sockudo:5.2.0", minReplicas: 2, maxReplicas: 20, connectionsPerReplica: 5000,
            resources: {limits: {cpu: "2", memory: 512Mi}}, tls: {secretName: gateway-tls}}
  autoscaling: {gateway: {targetConnectionsPerReplica: 3000, scaleDownStabilization: 5m}}
  consumers:
    - {name: analytics, targetRef: {kind: Deployment, name: analytics-consumer}, consumerGroup: analytics,
       topics: ["*.analytics.*"], minReplicas: 1, maxReplicas: 12, targetDrain: 30s}
""".replace("GROUP", GROUP)


def test_the_designs_examples_are_accepted(kubeconfig: str) -> None:
    for example in (DESIGN_TENANT, DESIGN_CLUSTER):
        assert "created (server dry run)" in run(kubeconfig, "apply", "--dry-run=server", "-f", "-", stdin=example)


def test_a_cluster_without_data_plane_is_not_given_one(server: ApiServer) -> None:
    spec = server.create(CLUSTER | {"spec": {"redis": CLUSTER["spec"]["redis"]}})["spec"]
    assert {"gateway", "relay", "consumers"}.isdisjoint(spec)


def test_a_gateway_that_only_names_its_image_gets_the_rest(server: ApiServer) -> None:
    gateway = server.create(put("RealtimeCluster", "spec.gateway", {"image": "gateway:1"}))["spec"]["gateway"]
    assert (gateway["minReplicas"], gateway["maxReplicas"], gateway["connectionsPerReplica"]) == (2, 20, 5000)
    assert gateway["service"] == {"type": "ClusterIP"}
    assert gateway["resources"]["limits"] == {"cpu": "1", "memory": "512Mi"}


def test_kubectl_apply_prints_the_sentence(kubeconfig: str) -> None:
    bad = yaml.safe_dump(put("Tenant", "spec.redis.memory", "-1Mi") | {"metadata": {"name": "green.wood"}})
    told = run(kubeconfig, "apply", "--dry-run=server", "-f", "-", stdin=bad, fails=True)
    assert "metadata.name: Invalid value" in told
    assert "a tenant's name has no dots: write green-wood rather than green.wood" in told
    assert "spec.redis.memory: Invalid value" in told
    assert "must be a quantity from 1 to 1Ei, such as 256Mi" in told


def test_a_misspelt_field_is_refused(kubeconfig: str) -> None:
    bad = yaml.safe_dump(put("Tenant", "spec.redis.memmory", "1Mi"))
    told = run(kubeconfig, "apply", "--dry-run=server", "-f", "-", stdin=bad, fails=True)
    assert 'unknown field "spec.redis.memmory"' in told


def test_a_tenant_shows_what_it_gets_though_it_asked_for_nothing(server: ApiServer) -> None:
    spec = server.create(TENANT)["spec"]
    assert spec["postgres"] == {"connectionLimit": 20, "statementTimeout": "5s"}
    assert spec["objectStore"] == {"versioning": True, "noncurrentExpirationDays": 30}
    assert spec["deletionPolicy"] == "Retain"
    assert spec["suspended"] is False


TENANTS, CLUSTERS = f"tenants.{GROUP}", f"realtimeclusters.{GROUP}"


def write_status(kubeconfig: str, kind: str, name: str, status: Body) -> None:
    patch = json.dumps({"status": status})
    run(kubeconfig, "-n", "default", "patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


def condition(type_: str, status: str) -> Body:
    return {
        "type": type_,
        "status": status,
        "reason": "Succeeded" if status == "True" else "Unreachable",
        "message": "",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
        "observedGeneration": 1,
    }


def test_until_the_operator_has_seen_it_nothing_takes_a_tenant_for_ready(
    kubeconfig: str, made: Callable[[Body], Body]
) -> None:
    """For kstatus, `observedGeneration: -1` is in progress, while no status at all would be ready."""
    name = made(TENANT)["metadata"]["name"]
    fresh = json.loads(run(kubeconfig, "get", TENANTS, name, "-o", "json"))["status"]
    assert fresh["observedGeneration"] == -1
    assert [(each.type, each.status) for each in conditions.parse(fresh)] == [("Ready", "Unknown")]
    shown = run(kubeconfig, "get", TENANTS, name, "--no-headers")
    assert " ".join(shown.split()).startswith(f"{name} main Unknown Waiting for the operator")
    waiting = ("wait", "--for=condition=Ready", f"{TENANTS}/{name}", "--timeout=1s")
    assert "timed out" in run(kubeconfig, *waiting, fails=True)


def test_the_first_status_that_is_written_takes_the_place_of_all_that_stood_there(
    kubeconfig: str, made: Callable[[Body], Body]
) -> None:
    name = made(TENANT)["metadata"]["name"]
    status = {
        "observedGeneration": 1,
        "message": "All backends are ready",
        "conditions": [condition("Ready", "True"), condition("RedisReady", "True")],
    }
    applied = json.dumps({key: TENANT[key] for key in ("apiVersion", "kind", "metadata")} | {"status": status})
    server_side = ("apply", "--server-side", "--field-manager=matrixhub", "--subresource=status", "-f", "-")
    run(kubeconfig, *server_side, stdin=applied)
    assert json.loads(run(kubeconfig, "get", TENANTS, name, "-o", "json"))["status"] == status


def table(printed: str) -> dict[str, str]:
    heads, row = (line.split() for line in printed.splitlines())
    return dict(zip(heads, row, strict=True))


def test_kubectl_get_shows_a_tenants_state_in_words(kubeconfig: str, made: Callable[[Body], Body]) -> None:
    made(TENANT)
    name = TENANT["metadata"]["name"]
    types = ("Namespace", "Postgres", "Redis", "Kafka", "ObjectStore", "Gateway")
    told = [condition("Ready", "False")] + [
        condition(f"{each}Ready", "False" if each == "Redis" else "True") for each in types
    ]
    status = {"message": "Unreachable", "connections": 7, "conditions": told}
    write_status(kubeconfig, TENANTS, name, status)

    brief = table(run(kubeconfig, "get", TENANTS, name))
    wide = table(run(kubeconfig, "get", TENANTS, name, "-o", "wide"))

    assert list(brief) == ["NAME", "CLUSTER", "READY", "STATUS", "CONNECTIONS", "AGE"]
    assert list(brief.values())[:-1] == [name, "main", "False", "Unreachable", "7"]
    assert list(wide)[6:] == ["NAMESPACE", "POSTGRES", "REDIS", "KAFKA", "OBJECTSTORE", "GATEWAY"]
    assert list(wide.values())[6:] == ["True", "True", "False", "True", "True", "True"]


def test_kubectl_get_shows_a_clusters_state_in_words(kubeconfig: str, made: Callable[[Body], Body]) -> None:
    made(CLUSTER)
    types = ("Postgres", "Redis", "Kafka", "ObjectStore", "Gateway", "Relay")
    told = [condition(f"{each}Ready", "Unknown" if each == "Kafka" else "True") for each in types]
    backends = [{"name": "redis", "reachable": True, "since": "2026-01-02T03:04:05Z", "version": "7.0.15"}]
    findings = [{"backend": "postgres", "reason": "UnsafeView", "message": "view public.grades sees all rows"}]
    status = {
        "observedGeneration": 1,
        "message": "Fine",
        "tenants": 3,
        "conditions": [condition("Ready", "True"), *told],
        "backends": backends,
        "findings": findings,
        "gateway": {
            "replicas": 3,
            "ready": 2,
            "connections": 450,
            "pods": [{"name": "main-gateway-x", "ready": True, "connections": 450}],
        },
        "scaling": [
            {"name": "gateway", "replicas": 2, "desiredReplicas": 3, "reason": "Connections", "message": "450 sockets"}
        ],
    }
    write_status(kubeconfig, CLUSTERS, "api-main", status)

    wide = table(run(kubeconfig, "-n", "default", "get", CLUSTERS, "api-main", "-o", "wide"))

    assert list(wide) == [
        *("NAME", "READY", "STATUS", "TENANTS", "GATEWAYS", "CONNECTIONS", "AGE"),
        *("POSTGRES", "REDIS", "KAFKA", "OBJECTSTORE", "GATEWAY", "RELAY"),
    ]
    assert list(wide.values())[:6] == ["api-main", "True", "Fine", "3", "2", "450"]
    assert [wide["KAFKA"], wide["RELAY"]] == ["Unknown", "True"]
    kept = json.loads(run(kubeconfig, "-n", "default", "get", CLUSTERS, "api-main", "-o", "json"))["status"]
    assert kept == status


def test_kubectl_wait_waits_for_ready_of_this_generation(kubeconfig: str, made: Callable[[Body], Body]) -> None:
    made(TENANT)
    name = TENANT["metadata"]["name"]
    waiting = ("wait", "--for=condition=Ready", f"{TENANTS}/{name}")
    write_status(kubeconfig, TENANTS, name, {"conditions": [condition("Ready", "False")]})
    assert "timed out" in run(kubeconfig, *waiting, "--timeout=1s", fails=True)
    write_status(kubeconfig, TENANTS, name, {"conditions": [condition("Ready", "True")]})
    assert "condition met" in run(kubeconfig, *waiting, "--timeout=5s")
    run(kubeconfig, "patch", TENANTS, name, "--type=merge", "-p", '{"spec":{"suspended":true}}')
    assert "timed out" in run(kubeconfig, *waiting, "--timeout=1s", fails=True)


def test_kubectl_explain_tells_what_a_field_means_and_its_default(kubeconfig: str) -> None:
    told = " ".join(
        run(kubeconfig, "explain", "tenants.spec.postgres.statementTimeout", f"--api-version={GROUP}/v1alpha1").split()
    )
    assert "How long a statement of the tenant may run, as a duration (h, m, s, ms)." in told
    assert "When changed: holds for new sessions within seconds." in told
    assert "Default: 5s." in told


def test_kubectl_get_matrixhub_lists_both_kinds(kubeconfig: str, made: Callable[[Body], Body]) -> None:
    made(TENANT)
    made(CLUSTER)
    listed = run(kubeconfig, "-n", "default", "get", "matrixhub", "-o", "name")
    assert f"tenant.{GROUP}/api-greenwood" in listed
    assert f"realtimecluster.{GROUP}/api-main" in listed


def test_short_names_and_scopes_are_as_documented(kubeconfig: str) -> None:
    listed = run(kubeconfig, "api-resources", f"--api-group={GROUP}", "--no-headers").splitlines()
    assert sorted((line.split()[0], line.split()[1], line.split()[3]) for line in listed) == [
        ("realtimeclusters", "rtc", "true"),
        ("tenants", "tn", "false"),
    ]
