"""Many real WebSocket subscribers, in an event loop of their own beside whoever asks."""

import asyncio
import json
import threading
import time
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

T = TypeVar("T")
AT_ONCE = 50
"""Sockets that are being opened at the same moment."""


class Received(NamedTuple):
    """One event at one socket; `at` is when it came, in seconds of the monotonic clock."""

    channel: str
    event: str
    data: str
    at: float


class Sockets:
    """Opens sockets, keeps them alive, and counts those that the server closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._open: dict[str, list[ClientConnection]] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.events: list[Received] = []
        """Every event received by any of the sockets, in order."""

    def open(self, address: str, key: str, count: int, *channels: str) -> None:
        """So many more sockets of the app are open at the address (host:port), each subscribed to the channels."""
        self._do(self._open_all(address, key, count, channels))

    def close(self, address: str, keep: int = 0) -> None:
        """All but `keep` of the sockets at the address are closed by their clients."""
        self._do(self._close_all(address, keep))

    def alive(self, address: str) -> int:
        """How many sockets at the address are open."""
        return sum(socket.close_code is None for socket in self._open.get(address, []))

    def end(self) -> None:
        """Every socket is closed and the loop has ended."""
        for address in list(self._open):
            self.close(address)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _open_all(self, address: str, key: str, count: int, channels: tuple[str, ...]) -> None:
        opened = await asyncio.gather(*(self._open_one(address, key, channels) for _ in range(count)))
        self._open.setdefault(address, []).extend(opened)

    async def _open_one(self, address: str, key: str, channels: tuple[str, ...]) -> ClientConnection:
        async with self._slots:
            socket = await connect(f"ws://{address}/app/{key}?protocol=7&client=test&version=1", open_timeout=20)
            assert json.loads(await socket.recv())["event"] == "pusher:connection_established"
            for channel in channels:
                await socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}}))
                assert "subscription_succeeded" in json.loads(await socket.recv())["event"]
        reader = self._loop.create_task(self._read(socket))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        return socket

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                message = json.loads(text)
                if message["event"] == "pusher:ping":
                    await socket.send('{"event":"pusher:pong","data":{}}')
                elif not message["event"].startswith("pusher"):
                    data, at = message.get("data", ""), time.monotonic()
                    self.events.append(Received(message.get("channel", ""), message["event"], data, at))
        except ConnectionClosed:
            return

    async def _close_all(self, address: str, keep: int) -> None:
        sockets = self._open.get(address, [])
        going, self._open[address] = sockets[keep:], sockets[:keep]
        await asyncio.gather(*(socket.close() for socket in going))
