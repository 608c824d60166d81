"""What a RealtimeCluster no longer runs is taken away: its gateways, or its relay, once they are out of its spec."""

import asyncio
import logging
from collections.abc import Callable

from matrixhub.errors import BackendError
from matrixhub.kube.client import KubeApi
from matrixhub.kube.workload import clear

log = logging.getLogger(__name__)

RETRY = 5.0
"""Seconds until it is looked again whether all is gone."""


class Clearance:
    """Takes workloads away one after the other; runs until cancelled.

    `wanted` says of a RealtimeCluster's key and a component whether it is to run after all.
    """

    def __init__(self, api: KubeApi, wanted: Callable[[str, str], bool]) -> None:
        self._api = api
        self._wanted = wanted
        self._due: dict[tuple[str, str], None] = {}
        self._woken = asyncio.Event()

    def add(self, cluster: str, component: str) -> None:
        """The RealtimeCluster `namespace/name` does not run the component."""
        self._due[cluster, component] = None
        self._woken.set()

    async def run(self) -> None:
        """Never returns."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._due:
                cluster, component = next(iter(self._due))
                if not self._wanted(cluster, component):
                    await self._clear(cluster, component)
                self._due.pop((cluster, component), None)

    async def _clear(self, cluster: str, component: str) -> None:
        """Until nothing is found any more: a worker that was just dismissed may still end what it had begun."""
        namespace, _, name = cluster.partition("/")
        while not self._wanted(cluster, component):
            try:
                gone = await asyncio.to_thread(clear, self._api, namespace, name, component)
            except BackendError as error:
                log.warning("Cannot take away the %s of %s: %s", component, cluster, error.message)
            else:
                if not gone:
                    return
                for sentence in gone:
                    log.info("%s", sentence, extra={"cluster": cluster})
            await asyncio.sleep(RETRY)
