"""Private Redis servers for tests that stop them, and what tests of Redis share."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.patience import free_port, until
from tests.support import ROOT

from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.backends.contract import Applied, Intent
from matrixhub.backends.redis.client import Client
from matrixhub.backends.redis.state import State

ADMIN, ADMIN_PASSWORD, ROOT_PASSWORD = "matrixhub", "an-admin-of-redis", "the-root-of-redis"
RIGHTS = (ROOT / "manifests/admin-rights/redis.acl").read_text(encoding="utf-8").split()
SENTINEL_RIGHTS = (ROOT / "manifests/admin-rights/sentinel.acl").read_text(encoding="utf-8").strip()
SECRET = {"username": ADMIN, "password": ADMIN_PASSWORD}


class Server:
    """One redis-server of the test's own: root by password, and the operator's admin with its weak rights."""

    def __init__(self, folder: Path, *options: str, sentinel: bool = False, aclfile: bool = False) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder / str(self.port)
        self._folder.mkdir(parents=True)
        users = [
            f"user default on >{ROOT_PASSWORD} ~* &* +@all",
            f"user {ADMIN} on >{ADMIN_PASSWORD} {' '.join(RIGHTS)}",
        ]
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self._folder}", *options]
        if aclfile:
            (self._folder / "users.acl").write_text("\n".join(users) + "\n")
            lines.append(f"aclfile {self._folder}/users.acl")
        elif not sentinel:
            lines += [*users, 'save ""', f"masterauth {ROOT_PASSWORD}", "repl-diskless-sync-delay 0"]
        self._config = self._folder / "redis.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """It answers."""
        words = ["redis-server", str(self._config), *(["--sentinel"] if self._sentinel else [])]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        until(self._answers, 15)

    def stop(self) -> None:
        """It is gone, without a farewell."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """It is a new process that has forgotten the users made at run time."""
        self.stop()
        self.start()

    def root(self, **options: Any) -> "redis.Redis":
        """A connection that may do anything."""
        password = None if self._sentinel else ROOT_PASSWORD
        return redis.Redis(port=self.port, password=password, decode_responses=True, **options)

    def _answers(self) -> bool:
        try:
            with self.root() as root:
                return bool(root.ping())
        except redis.ConnectionError:
            return False


def redis_cluster(*nodes: str, **spec: Any) -> RealtimeCluster:
    """A RealtimeCluster with nothing but these Redis nodes."""
    part = {"nodes": list(nodes), "adminSecretRef": {"name": "redis-admin"}} | spec
    metadata = {"name": "main", "namespace": "matrixhub"}
    return RealtimeCluster.model_validate({"metadata": metadata, "spec": {"redis": part}})


def step(client: Client, intents: Sequence[Intent]) -> tuple[Mapping[str, Applied], dict[str, list[str]]]:
    """What the engine does with a batch: observe, plan, apply. The outcomes, and the sentences."""
    observed = client.observe(intents)
    plans = {}
    for intent in intents:
        state = observed[intent.tenant.id]
        assert isinstance(state, State)
        plans[intent.tenant.id] = client.plan(client.desired(intent), state)
    return client.apply(plans), {tenant: [str(action) for action in plan] for tenant, plan in plans.items()}


def converge(client: Client, *intents: Intent) -> list[str]:
    """All is as wanted, and a second look finds nothing left to do; the sentences of the first."""
    applied, sentences = step(client, intents)
    assert {tenant: one.error for tenant, one in applied.items()} == dict.fromkeys(applied)
    assert step(client, intents)[1] == {tenant: [] for tenant in applied}
    return [sentence for one in sentences.values() for sentence in one]


def login(port: int, intent: Intent, host: str = "127.0.0.1", **options: Any) -> "redis.Redis":
    """A tenant's application: a plain client with what the tenant's Secret says."""
    assert intent.credential is not None
    return redis.Redis(
        host=host,
        port=port,
        username=intent.credential.username,
        password=intent.credential.password,
        decode_responses=True,
        retry=Retry(NoBackoff(), 1),  # the driver's own would wait seconds for a door that stays shut
        **options,
    )
