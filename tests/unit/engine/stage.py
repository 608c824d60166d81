"""The controller with its workers and its writer standing still: a test tells it what happened and looks at its wishes.

Nothing here stands for a backend or for the API server: outcomes and answers are handed in, as they would hand them in.
"""

# ruff: noqa: SLF001 - a stage has its audience behind the scenes

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from tests.unit.engine.toy import Toy

from matrixhub.api import naming
from matrixhub.backends.contract import Credential, Intent, Survey
from matrixhub.engine.controller import Controller
from matrixhub.engine.desk import Credentials
from matrixhub.engine.kinds import Kind
from matrixhub.engine.outcome import Outcome
from matrixhub.engine.registrar import Registrar, Writes, Written
from matrixhub.engine.roster import Plane
from matrixhub.engine.vault import Vault, named
from matrixhub.engine.worker import Worker
from matrixhub.errors import BackendError
from matrixhub.kube.client import KubeApi

MAIN = "hub/main"
SERVICES = ("redis", "kafka")


def kind(name: str) -> Kind:
    """A backend that a RealtimeCluster has when its spec says so."""
    return Kind(
        name=name,
        secret_name=name,
        section=lambda cluster: getattr(cluster.spec, name),
        client=lambda *_: Toy(),
        binding=lambda intent: {"user": intent.credential.username if intent.credential else ""},
        logins=lambda _: named(lambda tenant: tenant),
        account={"redis": "gateway", "kafka": "relay"}[name],
    )


SECTIONS: dict[str, dict[str, Any]] = {
    "redis": {"nodes": ["redis:6379"], "adminSecretRef": {"name": "redis"}},
    "kafka": {"bootstrapServers": ["kafka:9092"], "adminSecretRef": {"name": "kafka"}},
}


class NoServer:
    """No API server is asked, and nobody else leads."""

    @staticmethod
    def fence() -> None:
        """Writing is fine."""


class NoSecrets(Vault):
    """A vault of tenants that are new."""

    def __init__(self) -> None:
        """Nothing is read."""

    def read(self, owners: Any) -> dict[str, dict[str, Credential]]:
        return {}


@dataclass
class Stage:
    """A world of one controller; every method is something that happens, or a look at what is to be done."""

    controller: Controller
    version: int = 0
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)

    def cluster(self, *services: str, generation: int = 1, uid: str = "c", spec: Any = None, **metadata: Any) -> None:
        """The RealtimeCluster is seen with these backends, and what else its spec says."""
        metadata = {"name": "main", "namespace": "hub", "uid": uid, "generation": generation, **metadata}
        said = {**{name: SECTIONS[name] for name in services}, **(spec or {})}
        self.controller.clusters.seen({"metadata": metadata, "spec": said})

    def tenant(self, name: str = "a", *, initial: bool = False, spec: Any = None, **metadata: Any) -> None:
        """The Tenant is seen, with our finalizer unless it is said otherwise."""
        self.version += 1
        known = {"name": name, "uid": f"uid-{name}", "generation": 1, "finalizers": [naming.FINALIZER]}
        body = {
            "metadata": {**known, "resourceVersion": str(self.version), **metadata},
            "spec": {"clusterRef": {"namespace": "hub", "name": "main"}, **(spec or {})},
            "status": self.resources.get(name, {}).get("status", {}),
        }
        self.resources[name] = body
        self.controller.tenant_seen(body, initial=initial)

    def deleted(self, name: str = "a", **metadata: Any) -> None:
        """The Tenant waits for its finalizer."""
        self.tenant(name, **{"generation": 2, "deletionTimestamp": "2026-01-31T12:00:00Z", **metadata})

    def ends(self, *backends: str, name: str = "a", **outcome: Any) -> None:
        """The tenant's present wish was carried out in these backends, or was not."""
        for backend in backends:
            basis, phase = self.controller.roster.wishes([name])[name]
            self.controller.report(Outcome(name, backend, **{"basis": basis, "phase": phase, **outcome}))

    def onboarded(self, name: str = "a") -> None:
        """The Tenant is seen and Ready, and says so."""
        self.tenant(name)
        self.ends("namespace", *SERVICES, name=name, actions=("Made it",))
        self.written(name)
        self.rest()

    def written(self, name: str = "a", writes: Writes | None = None, **metadata: Any) -> None:
        """What is (or was) to be written of the Tenant is written, and answered."""
        writes, body = writes or self.composed(name), self.resources[name]
        self.version += 1
        changed = {"resourceVersion": str(self.version), **metadata}
        if said := writes.finalizer or writes.farewell:
            changed["finalizers"] = said["metadata"]["finalizers"] or []
        body = {**body, "metadata": {**body["metadata"], **changed}}
        if writes.status:
            body["status"] = writes.status["status"]
        self.resources[name] = body
        self.controller._written(Written(f"Tenant/{name}", body))

    def composed(self, name: str = "a") -> Writes:
        """What is to be written of the Tenant now."""
        return self.controller._composer.compose(f"Tenant/{name}")

    def condition(self, kind_: str = "Ready", name: str = "a") -> dict[str, Any]:
        """A condition of the Tenant as it would be written now; empty where there is none."""
        return next((each for each in self.status(name)["conditions"] if each["type"] == kind_), {})

    def status(self, name: str = "a") -> dict[str, Any]:
        """The Tenant's status as it would be written now."""
        return dict((self.composed(name).status or self.resources[name])["status"])

    def worker(self, backend: str) -> Worker:
        """The worker of a backend."""
        found = self.controller._staff.worker(MAIN, backend)
        assert found
        return found

    def queued(self, backend: str) -> list[str]:
        """Who waits to be worked on in a backend."""
        return self.worker(backend).queue.waiting()

    def may(self, backend: str, name: str = "a") -> bool:
        """Whether the backend would be told a wish of the tenant now."""
        return self.intent(backend, name) is not None

    def intent(self, backend: str, name: str = "a") -> Intent | None:
        """What the backend would be told of the tenant now."""
        return self.worker(backend)._desk.intents([name]).get(name)

    def known(self, backend: str, credential: Credential, name: str = "a") -> None:
        """This is the credential that is known of the tenant."""
        self.controller._credentials.store(name, backend, credential)

    def writing(self) -> list[str]:
        """What waits to be composed and written."""
        return self.controller.registrar._queue.waiting()

    def rest(self) -> None:
        """What was queued is done with."""
        for worker in (self.controller._housing, *self.controller._staff._workers.values()):
            while keys := worker.queue.take(1e12, 1000)[0]:
                for key in keys:
                    worker.queue.done(key)

    def cluster_deleted(self, at: str = "2026-01-31T12:00:00Z", finalizers: Any = (naming.CLUSTER_FINALIZER,)) -> None:
        """The RealtimeCluster waits for its finalizers."""
        self.cluster(*SERVICES, generation=2, deletionTimestamp=at, finalizers=finalizers)

    def cluster_writes(self) -> Writes:
        """What is to be written of the RealtimeCluster now."""
        return self.controller._composer.compose(f"RealtimeCluster/{MAIN}")

    def departing(self) -> list[str]:
        """The RealtimeClusters of which the API server is asked who lives on them."""
        return list(self.controller.clusters._departure._due)

    def plane(self) -> Plane:
        """The RealtimeCluster as it is known."""
        return self.controller.roster.planes[MAIN]

    def survey(self, backend: str, found: Survey | BackendError) -> None:
        """The shared part of a backend was looked at."""
        self.controller.surveyed(MAIN, backend, found)


def play(monkeypatch: pytest.MonkeyPatch, scene: Callable[[Stage], None], cluster: tuple[str, ...] = SERVICES) -> None:
    """The scene, in an event loop; the RealtimeCluster is there already."""

    async def stand_still(_: object) -> None:
        await asyncio.Event().wait()

    for actor in (Worker, Registrar):
        monkeypatch.setattr(actor, "run", stand_still)

    async def performance() -> None:
        controller = Controller(
            hub="hub",
            kinds=tuple(kind(name) for name in SERVICES),
            housing=Toy,
            credentials=Credentials(NoSecrets()),
            api=cast("KubeApi", NoServer()),
            resync=60.0,
        )
        running = asyncio.create_task(controller.run())
        await asyncio.sleep(0)
        stage = Stage(controller)
        if cluster:
            stage.cluster(*cluster)
        scene(stage)
        running.cancel()

    asyncio.run(performance())
