"""Events published through the gateways' HTTP API, signed as the tenant's app (Pusher's protocol)."""

import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from matrixhub.relay import metrics
from matrixhub.relay.answers import Answer, Verdict, read
from matrixhub.relay.apps import App
from matrixhub.relay.events import Event
from matrixhub.relay.settings import Gateway

TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=2.0)
"""Seconds. A gateway that is alive takes a connection at once; an answer may take as long as its fan-out."""


class Publisher:
    """Publishes to the gateways behind one URL. They close each connection after the answer, so none is kept."""

    def __init__(self, gateway: Gateway) -> None:
        """To be made where an event loop runs."""
        self._url = gateway.url.rstrip("/")
        tls = _only(gateway.certificate_file) if gateway.certificate_file else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls), timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def publish(self, app: App, events: Sequence[Event]) -> Answer:
        """The gateways' answer to all events in one request, in order."""
        batch = [{"channel": event.channel, "name": event.name, "data": event.data} for event in events]
        body = json.dumps({"batch": batch}, separators=(",", ":")).encode()
        target = signed(app, f"/apps/{app.id}/batch_events", body, int(time.time()))
        with metrics.PUBLISH_SECONDS.time():
            try:
                async with self._session.post(f"{self._url}{target}", data=body, headers=_HEADERS) as response:
                    text = await response.text(errors="replace")
                    return read(response.status, text, response.headers.get("Retry-After", ""))
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                return Answer(Verdict.AWAY, f"no gateway takes connections at {self._url}: {error}")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                return Answer(Verdict.TROUBLE, f"a gateway did not answer: {error or type(error).__name__}")

    async def close(self) -> None:
        """Connections are closed."""
        await self._session.close()


_HEADERS = {"Content-Type": "application/json"}


def signed(app: App, path: str, body: bytes, now: int) -> str:
    """The path with a query that proves who sends this body, and when (seconds since the epoch)."""
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    query = f"auth_key={app.key}&auth_timestamp={now}&auth_version=1.0&body_md5={digest}"
    signature = hmac.new(app.secret.encode(), f"POST\n{path}\n{query}".encode(), hashlib.sha256).hexdigest()
    return f"{path}?{query}&auth_signature={signature}"


def _only(certificate_file: str) -> ssl.SSLContext:
    """Trusts this very certificate, whatever name is in it: it is made for the name that browsers use.

    The file's first: those that follow are authorities, which sign others too.
    """
    first, end, _ = Path(certificate_file).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    context = ssl.create_default_context(cadata=first + end)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context
