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
    """Takes workloads away, none waiting for another to be gone; runs until cancelled.

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
            for each in list(self._due):
                del self._due[each]  # before: what is added meanwhile is due anew
                if not await self._cleared(*each):
                    self._due[each] = None
            if self._due:
                await asyncio.sleep(RETRY)
                self._woken.set()

    async def _cleared(self, cluster: str, component: str) -> bool:
        """Whether nothing was found any more: a worker that was just dismissed may still end what it had begun."""
        if self._wanted(cluster, component):
            return True
        namespace, _, name = cluster.partition("/")
        try:
            gone = await asyncio.to_thread(clear, self._api, namespace, name, component)
        except BackendError as error:
            log.warning("Cannot take away the %s of %s: %s", component, cluster, error.message)
            return False
        for sentence in gone:
            log.info("%s", sentence, extra={"cluster": cluster})
        return not gone
