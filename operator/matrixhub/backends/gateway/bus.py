"""The Redis through which the gateways find one another, reached as they reach it."""

from collections.abc import Mapping
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from matrixhub import metrics
from matrixhub.api.services import RedisBackend
from matrixhub.api.values import address
from matrixhub.backends.contract import ServiceAccount
from matrixhub.errors import Rejected
from matrixhub.tls import Files, Trust

TIMEOUT = 1.0
"""Seconds; whoever does not answer by then does not let gateways in either."""


class Bus:
    """Keeps nothing open. `trusted` is what `tls.Trust.of` reads."""

    def __init__(self, spec: RedisBackend, account: ServiceAccount, trusted: Mapping[str, str]) -> None:
        self._spec = spec
        self._login: dict[str, Any] = {"username": account.login, "password": account.password}
        self._trust = Trust.of("spec.redis.tls", trusted) if spec.tls and spec.tls.enabled else None

    def lets_in(self) -> bool:
        """Whether the gateways' login opens a new connection now."""
        metrics.BACKEND_REQUESTS.labels(backend="gateway").inc()
        files = None
        try:
            files = Files(self._trust) if self._trust else None
            with self._client(_options(files)) as client:
                return bool(client.ping())
        except (redis.RedisError, OSError, Rejected):
            return False
        finally:
            if files:
                files.close()

    def _client(self, options: dict[str, Any]) -> Any:
        if self._spec.mode == "sentinel":
            seeds = [address(node) for node in self._spec.nodes]
            sentinel = Sentinel(seeds, sentinel_kwargs=options, **options)  # type: ignore[no-untyped-call]  # the driver's
            return sentinel.master_for(self._spec.master_name or "", **self._login)  # type: ignore[no-untyped-call]  # own
        host, port = address(self._spec.nodes[0])
        return redis.Redis(host=host, port=port, **self._login, **options)


def _options(files: Files | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_connect_timeout": TIMEOUT,
        "socket_timeout": TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
        "protocol": 2,
    }
    if files:
        options |= {
            "ssl": True,
            "ssl_check_hostname": True,
            "ssl_ca_certs": files.ca or None,
            "ssl_certfile": files.certificate or None,
            "ssl_keyfile": files.key or None,
        }
    return options
