"""Schools at work: each one's service produces numbered events, its browsers watch every gateway and come back."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

from demo.event import login

TOPIC = "institution.updates"
PERIOD = 0.05
"""Seconds between two events of one school."""
LOOK = 1.0
"""Seconds between two looks at which gateways there are."""
RETRY, FAREWELL = 0.5, 1.0
"""Seconds until a browser comes back, and that it waits for the gateway to take its leave."""
AWAY = (OSError, EOFError, WebSocketException)
"""What a gateway that is going, gone or not there yet does to a browser."""


@dataclass
class School:
    """A tenant, the numbers that Kafka has taken from it, and those that one of its browsers has shown."""

    name: str
    key: str
    origin: str | None
    taken: set[int] = field(default_factory=set)
    shown: set[int] = field(default_factory=set)
    refused: int = 0

    @property
    def missing(self) -> set[int]:
        """What was produced and not shown."""
        return self.taken - self.shown


class Traffic:
    """Runs from `start` to `end`. `gateways` answers the addresses, host:port, of those that are ready."""

    def __init__(self, env: Mapping[str, str], schools: list[School], gateways: Callable[[], set[str]]) -> None:
        self.schools = schools
        self._env, self._gateways = env, gateways
        self._over = threading.Event()
        self._producers = [threading.Thread(target=self._produce, args=(school,)) for school in schools]
        self._browsers = threading.Thread(target=lambda: asyncio.run(self._browse()))
        self._closed = threading.Event()

    def start(self) -> None:
        """Browsers watch; then events flow."""
        self._browsers.start()
        for producer in self._producers:
            producer.start()

    def stop_producing(self) -> None:
        """Nothing new is produced, and Kafka has answered all that was."""
        self._over.set()
        for producer in self._producers:
            producer.join(150)

    def end(self) -> None:
        """Every thread has ended."""
        self.stop_producing()
        self._closed.set()
        self._browsers.join(20)

    def flows(self) -> bool:
        """Whether what each school produced a moment ago is shown."""
        marks = [max(school.taken, default=0) for school in self.schools]
        time.sleep(PERIOD * 4)
        return all(mark and mark in school.shown for mark, school in zip(marks, self.schools, strict=True))

    def _produce(self, school: School) -> None:
        with login(self._env, school.name) as producer:
            number = 0
            while not self._over.wait(PERIOD):
                number += 1
                sent = producer.send(f"{school.name}.{TOPIC}", json.dumps({"number": number}).encode())
                sent.add_callback(lambda _, number=number: school.taken.add(number))
                sent.add_errback(lambda _: self._refused(school))
            producer.flush(120)

    @staticmethod
    def _refused(school: School) -> None:
        school.refused += 1

    async def _browse(self) -> None:
        """Each school has a browser at every gateway."""
        addresses: set[str] = set()
        schools = {school.name: school for school in self.schools}
        tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        leaving: list[asyncio.Task[None]] = []
        while not self._closed.is_set():
            with contextlib.suppress(AssertionError):  # the API server is away: browsers stay where they are
                addresses = await asyncio.to_thread(self._gateways)
            for address, name in {(address, name) for address in addresses for name in schools} - tasks.keys():
                tasks[address, name] = asyncio.create_task(_watch(address, schools[name]))
            for place in [place for place in tasks if place[0] not in addresses]:
                task = tasks.pop(place)
                task.cancel()
                leaving.append(task)
            await asyncio.sleep(LOOK)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*leaving, *tasks.values(), return_exceptions=True)


async def _watch(address: str, school: School) -> None:
    """Never returns; comes back whenever its socket is closed, and closes it when it is cancelled."""
    origin = Origin(school.origin) if school.origin else None
    url = f"ws://{address}/app/{school.key}?protocol=7&client=proof&version=1"
    while True:
        with contextlib.suppress(*AWAY):
            async with connect(url, origin=origin, close_timeout=FAREWELL) as socket:
                await _show(socket, school)
        await asyncio.sleep(RETRY)


async def _show(socket: ClientConnection, school: School) -> None:
    """The browser's page: until the socket closes it notes the number of every event."""
    await socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": TOPIC}}))
    async for text in socket:
        message = json.loads(text)
        if message["event"] == "pusher:ping":
            await socket.send('{"event":"pusher:pong","data":{}}')
        elif message.get("channel") == TOPIC and not message["event"].startswith("pusher"):
            school.shown.add(json.loads(message["data"])["number"])
