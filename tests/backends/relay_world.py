"""Real gateways and real relays as processes, on the stand's Kafka, Postgres and Redis; and a browser's place."""

import abc
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.backends.kafka_clients import Hub
from tests.patience import free_port, until
from tests.programs import Program
from tests.support import ROOT, cluster
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from matrixhub.api import naming
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Credential, Owner, Phase, ServiceAccount
from matrixhub.backends.gateway import settings as gateway_settings
from matrixhub.backends.gateway.apps import Apps
from matrixhub.backends.gateway.desired import CANARY, desired
from matrixhub.backends.gateway.plan import plan
from matrixhub.backends.gateway.state import State
from matrixhub.backends.kafka.client import Client as KafkaClient
from matrixhub.backends.postgres.client import Client as PostgresClient
from matrixhub.backends.redis.client import Client as RedisClient
from matrixhub.backends.relay import workload
from matrixhub.engine.vault import new_app
from stand.recipes import SOCKUDO

PASSWORD = "service-password-of-43-characters-0123456789"
PATIENCE = 30.0
DOMAIN = "news"
TOPICS = [{"domain": DOMAIN, "events": ["posted", "removed"], "partitions": 3, "retention": "1h"}]
ROUTES = [{"topics": f"*.{DOMAIN}.*", "channel": "{domain}", "event": "{event}"}]


class Process(abc.ABC):
    """A program that is started, asked to end, or killed; its log is in `folder`."""

    def __init__(self, name: str, folder: Path) -> None:
        self._log = folder / f"{name}-{time.monotonic_ns()}.log"
        self.process: subprocess.Popen[bytes] | Program | None = None

    @abc.abstractmethod
    def start(self) -> None:
        """It runs, and answers."""

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """The exit status, and nothing in the log that looks like a bug."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(25)
        assert "Traceback" not in self.said(), self.said()
        return status

    def _lives(self) -> None:
        """Nobody waits for one that has ended."""
        if self.process is None or self.process.poll() is not None:
            pytest.fail(self.said()[-2000:])

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")


class World:
    """A RealtimeCluster with gateways and a relay, and tenants that are apps on it."""

    def __init__(self, stand: Mapping[str, str], folder: Path) -> None:
        self.stand, self.folder = stand, folder
        self.cluster = self._cluster()
        self.gateway_account = self._account(naming.gateway(self.cluster.key))
        self.relay_account = self._account(naming.relay(self.cluster.key))
        self.hub = Hub(stand)
        self.hub.cluster = self.cluster
        self.hub.client.close()
        admin = {"username": stand["KAFKA_ADMIN_USER"], "password": stand["KAFKA_ADMIN_PASSWORD"]}
        self.hub.client = KafkaClient(self.cluster, admin, self.relay_account)
        self.hub.client.prepare()
        self._give_accounts()
        postgres = self.cluster.spec.postgres
        assert postgres is not None
        self._apps = Apps(self.cluster, postgres, self.gateway_account, {}, new_app)
        self._apps.prepare()
        self._left: list[Callable[[], object]] = []
        self.publishing = self.holding = self.gateway()

    def _cluster(self) -> RealtimeCluster:
        kafka = {
            "bootstrapServers": [self.stand["KAFKA_BOOTSTRAP"]],
            "securityProtocol": "SASL_PLAINTEXT",
            "adminSecretRef": {"name": "kafka-admin"},
            "replicationFactor": 1,
            "topics": TOPICS,
        }
        made = cluster(self.stand, kafka=kafka, gateway={"image": "none"}, relay={"routes": ROUTES})
        return made.model_copy(update={"metadata": made.metadata.model_copy(update={"name": "relay-world"})})

    def _account(self, login: str) -> ServiceAccount:
        return ServiceAccount(Owner("hub", self.cluster.metadata.uid), login, PASSWORD)

    def _give_accounts(self) -> None:
        stand = self.stand
        for client in (
            PostgresClient(
                self.cluster,
                {"username": stand["PG_ADMIN_USER"], "password": stand["PG_ADMIN_PASSWORD"]},
                self.gateway_account,
            ),
            RedisClient(
                self.cluster,
                {"username": stand["REDIS_ADMIN_USER"], "password": stand["REDIS_ADMIN_PASSWORD"]},
                self.gateway_account,
            ),
        ):
            findings = client.prepare().findings
            assert "Conflict" not in {finding.reason for finding in findings}, findings
            client.close()

    def tenant(self, name: str, phase: Phase = Phase.ACTIVE) -> None:
        """The tenant's share of Kafka and its app are as the phase says."""
        self.hub.converge(self.hub.intent(name, phase))
        self.app(name, phase)

    def app(self, name: str, phase: Phase = Phase.ACTIVE, *, secret: str = "") -> None:
        """The app alone."""
        wish = self.hub.intent(name, phase)
        credential = Credential(f"key-{name}", (secret or f"secret-{name}").ljust(43, "x"))
        wanted = desired(replace(wish, credential=credential if wish.credential else None))
        found = State(name, wanted.id, self._apps.read([wanted.id]).get(wanted.id))
        assert self._apps.apply({name: plan(wanted, found)})[name].error is None

    def gateway(self, **variables: str) -> "Gateway":
        made = Gateway(self, variables)
        self._left.append(made.kill)
        made.start()
        return made

    def relay(self, topics: str = "", postgres: int = 0) -> "RelayProcess":
        """`topics`: what it relays instead of all; `postgres`: the port at which it finds Postgres, if not its own."""
        made = RelayProcess(self, topics, postgres)
        self._left.append(made.end)
        made.start()
        return made

    def browser(self, tenant: str, channel: str = DOMAIN) -> "Browser":
        made = Browser(self.holding.port, f"key-{tenant}", channel)
        self._left.append(made.close)
        return made

    def produce(
        self,
        tenant: str,
        numbers: range,
        event: str = "posted",
        key: Callable[[int], str] = lambda n: "",
        **settings: Any,
    ) -> None:
        """Each number as a record of its own, in the partition that it is congruent to; all are in Kafka."""
        producer = self.hub.login(tenant).producer(linger_ms=2, **settings)
        for number in numbers:
            text = json.dumps({"number": number})
            topic = naming.topic(tenant, DOMAIN, event)
            producer.send(topic, text.encode(), key(number).encode() or None, partition=number % 3)
        producer.flush(timeout=20)
        producer.close()

    @contextlib.contextmanager
    def stream(self, tenant: str, first: int, rate: float) -> Iterator["Stream"]:
        """So many numbers a second, from the first on, are produced meanwhile; at the end all are in Kafka."""
        made = Stream(first)
        thread = threading.Thread(target=made.run, args=(self.hub.login(tenant).producer(linger_ms=0), tenant, rate))
        thread.start()
        try:
            yield made
        finally:
            made.over.set()
            thread.join()

    def stand_does(self, verb: str, part: str) -> None:
        """The stand's own command, such as `restart kafka`."""
        subprocess.run([sys.executable, str(ROOT / "dev" / "stand"), verb, part], check=True, capture_output=True)

    def leave(self) -> None:
        """Browsers, relays and gateways of one test are gone; the first gateway stays."""
        self.publishing = self.holding
        for end in self._left[1:]:
            end()
        del self._left[1:]

    def close(self) -> None:
        for end in self._left:
            end()
        self._apps.close()
        self._forget_accounts()
        self.hub.close()

    def _forget_accounts(self) -> None:
        login = self.gateway_account.login
        with psycopg.connect(self._root(), autocommit=True) as root:
            root.execute(f'DROP OWNED BY "{login}" CASCADE')
            root.execute("DELETE FROM matrixhub.tenant WHERE role = %s", [login])
        with psycopg.connect(self._root(admin=True), autocommit=True) as admin:
            admin.execute(f'REVOKE CONNECT ON DATABASE "{self.stand["PGDATABASE"]}" FROM "{login}"')
        with psycopg.connect(self._root(), autocommit=True) as root:
            root.execute(f'DROP ROLE "{login}"')

    def _root(self, *, admin: bool = False) -> str:
        user, password = ("PG_ADMIN_USER", "PG_ADMIN_PASSWORD") if admin else ("PGUSER", "PGPASSWORD")
        where = f"host={self.stand['PGHOST']} port={self.stand['PGPORT']} dbname={self.stand['PGDATABASE']}"
        return f"{where} user={self.stand[user]} password={self.stand[password]}"


class Gateway(Process):
    """A sockudo as the operator's pods run it."""

    def __init__(self, world: World, variables: Mapping[str, str]) -> None:
        self.port = free_port()
        config = world.folder / f"gateway-{self.port}.toml"
        config.write_text(gateway_settings.config(world.cluster), encoding="utf-8")
        told = {each["name"]: each["value"] for each in gateway_settings.environment(world.cluster) if "value" in each}
        own = {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "METRICS_HOST": "127.0.0.1",
            "METRICS_PORT": str(free_port()),
            "INSTANCE_PROCESS_ID": f"gateway-{self.port}",
            "SHUTDOWN_GRACE_PERIOD": "0",
            "DATABASE_POSTGRES_PASSWORD": PASSWORD,
            "DATABASE_REDIS_PASSWORD": PASSWORD,
        }
        self._command = [str(SOCKUDO.folder / "bin" / "sockudo"), "--config", str(config)]
        self._environment = told | own | variables
        super().__init__(f"gateway-{self.port}", world.folder)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)
        until(self._ready, PATIENCE, "the gateway's start")

    def _ready(self) -> bool:
        self._lives()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/up/{CANARY}", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class RelayProcess(Process):
    """`matrixhub relay`, told what the operator's pods are told, and publishing to the world's first gateway."""

    def __init__(self, world: World, topics: str = "", postgres: int = 0) -> None:
        self.port = free_port()
        told = json.loads(workload.config(world.cluster, f"127.0.0.1:{world.publishing.port}")) | {"port": self.port}
        if topics:
            told["routes"] = [route | {"topics": topics} for route in told["routes"]]
        if postgres:
            told["apps"] |= {"host": "127.0.0.1", "port": postgres}
        file = world.folder / f"relay-{self.port}.json"
        file.write_text(json.dumps(told), encoding="utf-8")
        logins = {
            "KAFKA_USERNAME": world.relay_account.login,
            "KAFKA_PASSWORD": PASSWORD,
            "APPS_USERNAME": world.gateway_account.login,
            "APPS_PASSWORD": PASSWORD,
        }
        self._words = ["relay", "--config", str(file)]
        self._environment = os.environ | {f"MATRIXHUB_RELAY_{name}": value for name, value in logins.items()}
        super().__init__(f"relay-{self.port}", world.folder)

    def start(self) -> None:
        self.process = Program(self._words, self._environment, self._log)
        until(lambda: self.answers("readyz"), PATIENCE, "the relay's start")

    def end(self) -> None:
        """The process is gone, and has told its group, which otherwise waits for it in the next test."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        self.kill()

    def answers(self, path: str) -> bool:
        self._lives()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


class Stream:
    """A producer at work; `numbers` that it has produced until now."""

    def __init__(self, first: int) -> None:
        self.numbers = range(first, first)
        self.over = threading.Event()

    def run(self, producer: Any, tenant: str, rate: float) -> None:
        topic = naming.topic(tenant, DOMAIN, "posted")
        while not self.over.wait(1 / rate):
            number = self.numbers.stop
            producer.send(topic, json.dumps({"number": number}).encode(), partition=number % 3)
            self.numbers = range(self.numbers.start, number + 1)
        producer.close(timeout=20)


class Browser:
    """A subscriber of one channel; `seen` holds the numbers of each event's records in the order of their arrival."""

    def __init__(self, port: int, key: str, channel: str) -> None:
        self.seen: dict[str, list[int]] = defaultdict(list)
        self.texts: list[str] = []
        self.times: dict[int, list[float]] = defaultdict(list)
        """By partition, when each of its numbers arrived."""
        self._open = contextlib.ExitStack()
        url = f"ws://127.0.0.1:{port}/app/{key}?protocol=7&client=test&version=1"
        self._socket = self._open.enter_context(connect(url, max_queue=None))
        self._expect("pusher:connection_established")
        self._socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}}))
        self._expect("pusher_internal:subscription_succeeded")
        threading.Thread(target=self._listen, daemon=True).start()

    def _expect(self, event: str) -> None:
        assert json.loads(self._socket.recv(timeout=PATIENCE))["event"] == event

    def _listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            for text in self._socket:
                message: dict[str, Any] = json.loads(text)
                if message["event"] == "pusher:ping":
                    self._socket.send(json.dumps({"event": "pusher:pong", "data": {}}))
                elif not message["event"].startswith("pusher"):
                    self._take(message["event"], message["data"])

    def _take(self, event: str, data: str) -> None:
        self.texts.append(data)
        with contextlib.suppress(ValueError, TypeError):
            number = json.loads(data)["number"]
            self.seen[event].append(number)
            self.times[number % 3].append(time.monotonic())

    def has(self, numbers: range, event: str = "posted") -> bool:
        return set(numbers) <= set(self.seen[event])

    def wait_for(self, numbers: range, event: str = "posted") -> None:
        def arrived() -> bool:
            missing = sorted(set(numbers) - set(self.seen[event]))
            assert not missing, f"{len(missing)} of {len(numbers)} did not arrive, such as {missing[:10]}"
            return True

        until(arrived, PATIENCE, "their arrival")

    @property
    def longest_silence(self) -> float:
        """Seconds between two neighbours of one partition, at most."""
        return max(after - before for times in self.times.values() for before, after in pairwise(times))

    def first_seen(self, event: str = "posted") -> dict[int, list[int]]:
        """By partition, the numbers in the order in which they were seen for the first time."""
        by_partition: dict[int, list[int]] = defaultdict(list)
        for number in dict.fromkeys(self.seen[event]):
            by_partition[number % 3].append(number)
        return by_partition

    def in_order(self, event: str = "posted") -> bool:
        return all(numbers == sorted(numbers) for numbers in self.first_seen(event).values())

    def close(self) -> None:
        self._open.close()


def world_on(stand: Mapping[str, str], folder: Path) -> Iterator[World]:
    made = World(stand, folder)
    try:
        yield made
    finally:
        made.close()
