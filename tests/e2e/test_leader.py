"""Two operators, one leader: whatever becomes of it, the other has the work within seconds, and no password is lost."""

import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import psycopg
import pytest
import redis
from tests.e2e.hub import Hub, Operator
from tests.e2e.told import page, value
from tests.e2e.wire import reached_by, wire_to_api_server
from tests.patience import until

from matrixhub.kube.election import DURATION
from matrixhub.leader import LOST
from matrixhub.owned import tenant_of

LEASE = ("lease", "matrixhub-operator", "-n", "matrixhub-system")
REQUESTS = "matrixhub_kubernetes_requests_total"
CROWD = 20
START = 60
"""Seconds that a process may take to begin on a busy machine; what is promised is counted from there."""


@dataclass
class Rival(Operator):
    """One of two operators that stand for election under one Lease."""

    name: str = ""

    def tell(self, what: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(what)

    def ends(self, seconds: float) -> int:
        """The exit status with which it ends, within the time."""
        assert self.process
        return self.process.wait(timeout=seconds)

    def said(self, sentence: str) -> bool:
        return sentence in self.log.read_text(encoding="utf-8")

    def asked(self, path: str) -> tuple[int, str]:
        """What a probe is answered; (0, "") while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.env['MATRIXHUB_HEALTH_PORT']}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def told(self) -> str:
        """Its page of metrics."""
        return page(f"127.0.0.1:{self.env['MATRIXHUB_METRICS_PORT']}")


@dataclass
class Rivals:
    """Both operators, who leads, and the Tenants they fight for."""

    hub: Hub
    folder: Path
    all: list[Rival]

    def start(self, name: str, **settings: str) -> Rival:
        first = int(self.hub.env["PGPORT"]) + 80 + 2 * len(self.all)  # this stand's own ports, of which it needs a few
        ports = {"MATRIXHUB_HEALTH_PORT": str(first), "MATRIXHUB_METRICS_PORT": str(first + 1)}
        election = {"MATRIXHUB_LEASE_NAMESPACE": "matrixhub-system", "MATRIXHUB_IDENTITY": name}
        rival = Rival({**self.hub.env, **election, **ports, **settings}, self.folder / f"{name}.log", name=name)
        rival.start()
        self.all.append(rival)
        return rival

    def holder(self) -> str:
        if not self.hub.exists(*LEASE):
            return ""
        return str(self.hub.get(*LEASE)["spec"].get("holderIdentity", ""))

    def pair(self) -> tuple[Rival, Rival]:
        """The leader, ready, and the standby, too."""
        leader = self.start("first")
        until(lambda: self.holder() == "first", START)
        standby = self.standby()
        until(lambda: [rival.asked("/readyz")[0] for rival in self.all] == [200, 200], START)
        return leader, standby

    def at_work(self, name: str) -> tuple[Rival, Rival, list[str]]:
        """The leader amid a crowd that it has begun to onboard, the standby, and the crowd's names."""
        leader, standby = self.pair()
        names = self.apply_crowd(name)
        until(lambda: self.hub.exists("namespace", f"tenant-{names[0]}"), 20)
        return leader, standby, names

    def standby(self) -> Rival:
        """The second, which has seen that the first leads."""
        second = self.start("second")
        until(lambda: second.said("Stands by: first leads"), START)
        return second

    def apply_crowd(self, name: str, size: int = 8) -> list[str]:
        names = [f"{name}-{number:02d}" for number in range(size)]
        self.hub.apply(*(self.hub.tenant(name) for name in names))
        return names

    def passwords(self, names: list[str]) -> dict[tuple[str, str], str]:
        kinds = ("postgres", "redis", "kafka", "gateway")
        return {(name, kind): self.hub.secret(name, kind)["password"] for name in names for kind in kinds}

    def versions(self) -> dict[str, str]:
        """The version of everything that an operator writes here, but for Tenants of tests that are over."""
        kinds = "tenants,realtimeclusters,secrets,namespaces,resourcequotas,limitranges,networkpolicies,deployments"
        found = self.hub.get(kinds, "-A")["items"]
        staying = [body for body in found if tenant_of(body["metadata"]) not in self.hub.leaving]
        return {f"{b['kind']} {b['metadata']['name']} {b['metadata']['uid']}": _wish(b) for b in staying}


def written(told: str) -> float:
    """How many requests to the API server were no reading."""
    return value(told, REQUESTS) - value(told, REQUESTS, verb="get")


def _wish(body: dict) -> str:
    """The version, but of objects whose controllers write a status now and then: their generation."""
    steady = body["kind"] in ("Tenant", "Secret", "LimitRange", "NetworkPolicy")
    return str(body["metadata"]["resourceVersion"] if steady else body["metadata"].get("generation"))


def let_in(hub: Hub, names: list[str]) -> None:
    """Each Tenant's Postgres and Redis let in whoever shows what is in its Secrets."""
    for name in names:
        secret = hub.secret(name, "postgres")
        with psycopg.connect(secret["uri"]) as connection:
            assert connection.execute("select current_user").fetchone() == (secret["username"],)
        secret = hub.secret(name, "redis")
        with redis.Redis.from_url(secret["uri"]) as client:
            assert client.set(f"tenant:{name}:word", "1")


@pytest.fixture
def rivals(hub: Hub, tmp_path: Path) -> Iterator[Rivals]:
    """No operator runs, and nobody holds the Lease."""
    hub.operator.kill()
    hub.kubectl("delete", *LEASE, "--ignore-not-found")
    made = Rivals(hub, tmp_path, [])
    yield made
    for rival in made.all:
        rival.kill()
        sys.stdout.write(f"--- {rival.name}\n{rival.log.read_text(encoding='utf-8')[-6000:]}")


def took(what: str, seconds: float) -> None:
    sys.stdout.write(f"{what}: {seconds:.1f} s\n")


def test_two_operators_started_at_once_write_as_one(hub: Hub, rivals: Rivals):
    first, second = rivals.start("first"), rivals.start("second")
    names = rivals.apply_crowd("both", CROWD)
    hub.ready(*names)
    passwords = rivals.passwords(names)
    leader, standby = (first, second) if rivals.holder() == "first" else (second, first)
    told = standby.told()
    tries = value(told, REQUESTS, verb="post")
    assert tries <= 1, "it stood for election with the other, once"
    assert written(told) == tries
    assert written(leader.told()) > CROWD
    assert standby.asked("/healthz") == standby.asked("/readyz") == leader.asked("/readyz") == (200, "ok\n")
    let_in(hub, names)
    sleep(3)
    assert rivals.passwords(names) == passwords
    assert hub.get(*LEASE)["spec"].get("leaseTransitions", 0) == 0


def test_a_standby_has_the_work_within_15_s_of_a_leaders_death(hub: Hub, rivals: Rivals):
    leader, standby, names = rivals.at_work("dead")
    died = monotonic()
    leader.kill()
    until(lambda: rivals.holder() == "second", 15)
    took("takeover after SIGKILL", monotonic() - died)
    hub.ready(*names)
    took("all Ready after SIGKILL", monotonic() - died)
    assert hub.get(*LEASE)["spec"]["leaseTransitions"] == 1
    passwords = rivals.passwords(names)
    let_in(hub, names)
    assert rivals.passwords(names) == passwords
    assert standby.asked("/healthz") == (200, "ok\n")


def test_a_leader_that_ends_leaves_its_work_whole_and_the_lease_free(hub: Hub, rivals: Rivals):
    leader, _, names = rivals.at_work("ended")
    leader.tell(signal.SIGTERM)
    told = monotonic()
    until(lambda: rivals.holder() == "second", 15)
    seconds = monotonic() - told
    took("takeover after SIGTERM", seconds)
    assert leader.ends(20) == 0, "Kopf takes its five seconds after that"
    assert leader.said("Released the Lease")
    assert seconds < DURATION, "it was handed over, it did not run out"
    hub.ready(*names)
    let_in(hub, names)


def test_a_leader_that_was_frozen_ends_without_a_word_to_anybody(hub: Hub, rivals: Rivals):
    leader, _, names = rivals.at_work("frozen")
    leader.tell(signal.SIGSTOP)
    frozen = monotonic()
    try:
        until(lambda: rivals.holder() == "second", 15)
        took("takeover after SIGSTOP", monotonic() - frozen)
        hub.ready(*names)
        passwords = rivals.passwords(names)
        sleep(2)
        before = rivals.versions()
    finally:
        leader.tell(signal.SIGCONT)
    woken = monotonic()
    assert leader.ends(5) == LOST
    took("end after SIGCONT", monotonic() - woken)
    assert leader.said("Leads no more, and ends at once")
    sleep(2)
    assert rivals.versions() == before
    assert rivals.passwords(names) == passwords
    let_in(hub, names)


def test_a_leader_that_cannot_reach_the_api_server_ends_before_another_leads(hub: Hub, rivals: Rivals, tmp_path: Path):
    with wire_to_api_server(hub.env) as wire:
        far = reached_by(wire, hub.env, tmp_path)
        leader = rivals.start("first", MATRIXHUB_OPERATOR_KUBECONFIG=far)
        until(lambda: rivals.holder() == "first", START)
        rivals.standby()
        wire.cut()
        cut = monotonic()
        assert leader.ends(DURATION) == LOST
        took("end after the API server was lost", monotonic() - cut)
        assert rivals.holder() == "first", "nobody else leads before the old leader has ended"
        until(lambda: rivals.holder() == "second", 15)


def test_a_watch_that_has_gone_silent_is_told_and_then_opened_anew(hub: Hub, rivals: Rivals, tmp_path: Path):
    settings = {"MATRIXHUB_WATCH_CHECK_SECONDS": "2", "MATRIXHUB_WATCH_SILENCE_SECONDS": "35"}
    with wire_to_api_server(hub.env) as wire:
        far = reached_by(wire, hub.env, tmp_path)
        leader = rivals.start("first", MATRIXHUB_OPERATOR_KUBECONFIG=far, **settings)
        until(lambda: leader.asked("/readyz")[0] == 200 and rivals.holder() == "first", START)
        assert leader.asked("/healthz") == (200, "ok\n")
        # What came after the listing came through the watch: it is open, and falls silent with the rest.
        hub.onboard("heard")
        wire.stall()
        hub.apply(hub.tenant("silent"))
        took("a silent watch told", until(lambda: leader.asked("/healthz")[0] == 500, 60))
        assert "Tenant silent " in leader.asked("/healthz")[1]
        took("and opened anew, after", until(lambda: leader.asked("/healthz")[0] == 200, 100))
        assert rivals.holder() == "first", "a new connection kept the Lease"
