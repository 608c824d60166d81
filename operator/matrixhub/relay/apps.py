"""The tenants' apps, read from the gateways' own table in Postgres."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from matrixhub.api import naming
from matrixhub.errors import Rejected, Unreachable
from matrixhub.relay.settings import Apps as Place
from matrixhub.relay.settings import Logins
from matrixhub.tls import Files

FRESH_SECONDS = 5.0
"""How long what was read is believed, as the gateways believe theirs."""
CONNECT_SECONDS = 3
REQUEST_SECONDS = 5


@dataclass(frozen=True)
class App:
    """One tenant's app. The secret is in no repr."""

    id: str
    key: str
    secret: str = field(repr=False)
    enabled: bool


@dataclass(frozen=True)
class Known:
    """What the table held of one tenant (None: no app), and when, by the monotonic clock."""

    app: App | None
    at: float


class Apps:
    """A cache in front of the table. Whoever asks at the same time shares one query."""

    def __init__(self, place: Place, logins: Logins) -> None:
        self._place = place
        self._logins = logins
        self._query = sql.SQL("SELECT id, key, secret, enabled FROM {} WHERE id = ANY(%s)").format(
            sql.Identifier(place.schema_name, naming.APPS_TABLE)
        )
        self._known: dict[str, Known] = {}
        self._wanted: set[str] = set()
        self._alone = asyncio.Lock()
        self._failure, self._failed_at = "", 0.0
        self._connection: psycopg.AsyncConnection | None = None

    async def get(self, tenant: str) -> App | None:
        """The tenant's app, None when it has none; as it last was while Postgres is away.

        Raises Unreachable when Postgres is away and nothing is known of the tenant.
        """
        known = self._known.get(tenant)
        if known is None or time.monotonic() - known.at > FRESH_SECONDS:
            try:
                await self.look([tenant])
            except Unreachable:
                if known is None:
                    raise
        return self._known[tenant].app

    async def look(self, tenants: Iterable[str]) -> frozenset[str]:
        """Those of the tenants whose app is enabled, read now. Raises Unreachable."""
        asked, began = frozenset(tenants), time.monotonic()
        self._wanted |= asked
        async with self._alone:
            if self._failed_at >= began:
                raise Unreachable(self._failure)
            if not all(tenant in self._known and self._known[tenant].at >= began for tenant in asked):
                await self._read()
        return frozenset(t for t in asked if (app := self._known[t].app) is not None and app.enabled)

    async def _read(self) -> None:
        wanted, self._wanted = self._wanted, set()
        began = time.monotonic()
        by_id = {naming.app_id(tenant): tenant for tenant in wanted}
        try:
            rows = await self._rows(list(by_id))
        except (psycopg.Error, Rejected, OSError) as error:
            await self.close()
            place = f"{self._place.host}:{self._place.port}"
            self._failure, self._failed_at = (
                f"the gateways' apps in postgres at {place} cannot be read",
                time.monotonic(),
            )
            raise Unreachable(self._failure) from error
        found = {by_id[row[0]]: App(*row) for row in rows}
        self._known |= {tenant: Known(found.get(tenant), began) for tenant in wanted}

    async def _rows(self, ids: list[str]) -> list[tuple[str, str, str, bool]]:
        if self._connection is None or self._connection.closed:
            self._connection = await self._connected()
        with _deadline(self._connection):
            cursor = await self._connection.execute(self._query, (ids,))
            return await cursor.fetchall()

    async def _connected(self) -> psycopg.AsyncConnection:
        """A new connection, with the certificates as they are now."""
        files = Files(self._place.tls.trust("spec.postgres.tls"))
        try:
            return await psycopg.AsyncConnection.connect(
                files.libpq(self._place.ssl_mode),
                host=self._place.host,
                port=self._place.port,
                dbname=self._place.database,
                user=self._logins.apps_username,
                password=self._logins.apps_password,
                connect_timeout=CONNECT_SECONDS,
                options=f"-c statement_timeout={REQUEST_SECONDS}s",
                application_name="matrixhub-relay",
                autocommit=True,
            )
        finally:
            files.close()

    async def close(self) -> None:
        """The connection is closed; the next question opens one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@contextlib.contextmanager
def _deadline(connection: psycopg.AsyncConnection) -> Iterator[None]:
    """The connection is cut when the block takes longer: a way that went silent must not hold every tenant's events."""
    # A cancelled task takes 10 s more, in which psycopg asks the server to end the query; TCP's own timers do not see a
    # server that takes every byte and answers none.
    cut = asyncio.get_running_loop().call_later(REQUEST_SECONDS, _shut, connection)
    try:
        yield
    finally:
        cut.cancel()


def _shut(connection: psycopg.AsyncConnection) -> None:
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=socket.dup(connection.fileno())) as way:
        way.shutdown(socket.SHUT_RDWR)
