"""A RealtimeCluster that is deleted leaves once nobody lives on it; the API server is asked whether that is so."""

import asyncio
import logging
from collections.abc import Callable

from matrixhub.api import naming
from matrixhub.errors import BackendError
from matrixhub.kube.client import KubeApi
from matrixhub.kube.residents import residents
from matrixhub.kube.resources import SECRET

log = logging.getLogger(__name__)

RETRY = 5.0
"""Seconds until the API server is asked again."""


class Departure:
    """Runs until cancelled.

    An operator that has just started may not have seen the Tenants yet, so what it knows (`deserted`, of a
    RealtimeCluster's key) is not enough to take accounts away. `leave` is called when the API server knows none either,
    and told whether there is a Secret of accounts: without one, none was ever made.
    """

    def __init__(self, api: KubeApi, deserted: Callable[[str], bool], leave: Callable[[str, bool], None]) -> None:
        self._api = api
        self._deserted = deserted
        self._leave = leave
        self._due: dict[str, None] = {}
        self._woken = asyncio.Event()

    def add(self, cluster: str) -> None:
        """The RealtimeCluster `namespace/name` may leave."""
        self._due[cluster] = None
        self._woken.set()

    async def run(self) -> None:
        """Never returns."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            for cluster in list(self._due):
                if not self._deserted(cluster) or await self._left(cluster):
                    self._due.pop(cluster)
            if self._due:
                await asyncio.sleep(RETRY)
                self._woken.set()

    async def _left(self, cluster: str) -> bool:
        try:
            inhabited = await asyncio.to_thread(self._inhabited, cluster)
            accounts = not inhabited and await asyncio.to_thread(self._has_accounts, cluster)
        except BackendError as error:
            log.warning("Cannot see who lives on %s, which is deleted: %s", cluster, error.message)
            return False
        if inhabited or not self._deserted(cluster):
            return False
        self._leave(cluster, accounts)
        return True

    def _has_accounts(self, cluster: str) -> bool:
        namespace, _, name = cluster.partition("/")
        return self._api.get(SECRET, naming.accounts_secret(name), namespace) is not None

    def _inhabited(self, cluster: str) -> bool:
        """Whether a Tenant names the RealtimeCluster."""
        return any(residents(self._api, cluster))
