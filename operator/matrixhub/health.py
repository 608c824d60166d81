"""What Kubernetes asks of an operator, on one port, answered by a thread that does not need the event loop."""

import asyncio
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from matrixhub.freshness import Freshness

STUCK_SECONDS = 30.0
"""A loop that did not turn for so long is not going to."""
BEAT = 1.0
"""Seconds between two turns that are noted."""


class Health:
    """What is wrong with this process, in words; nothing is while they are empty. `freshness` is a leader's."""

    def __init__(self) -> None:
        self.freshness: Freshness | None = None
        self._turned = time.monotonic()

    async def beat(self) -> None:
        """Never returns; notes that the event loop turns."""
        while True:
            self._turned = time.monotonic()
            await asyncio.sleep(BEAT)

    def dead(self) -> str:
        """Why this process has to be started anew."""
        still = time.monotonic() - self._turned
        if still >= STUCK_SECONDS:
            return f"the event loop has not turned for {still:.0f} s"
        return self.freshness.stuck if self.freshness else ""

    def busy(self) -> str:
        """Why this process does not do its work yet. A standby's is to stand by."""
        if self.freshness and not self.freshness.listed:
            return "leads, but has not seen all Tenants and RealtimeClusters yet"
        return ""


def serve(health: Health, port: int) -> ThreadingHTTPServer:
    """`/healthz` and `/readyz` answer on all addresses, 200 or 500; closed with the process."""
    asked: dict[str, Callable[[], str]] = {"/healthz": health.dead, "/readyz": health.busy}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in asked:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            wrong = asked[self.path]()
            body = f"{wrong or 'ok'}\n".encode()
            self.send_response(HTTPStatus.INTERNAL_SERVER_ERROR if wrong else HTTPStatus.OK)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """A probe is no news."""

    server = ThreadingHTTPServer(("", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
