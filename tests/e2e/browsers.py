"""A school's browsers (the official pusher-js) and its server (the official `pusher`), on real gateways."""

import base64
import contextlib
import hashlib
import hmac
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pusher
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
CLUSTER = ("-n", "matrixhub")


def installed() -> None:
    """The official client is there, exactly as locked."""
    if not (CLIENTS / "node_modules" / "pusher-js").is_dir():
        done = subprocess.run(["npm", "ci"], cwd=CLIENTS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class School:
    """A tenant's server: what it finds in its Secret, and no more. `host` and `port` are where gateways are."""

    def __init__(self, secret: Mapping[str, str], host: str, port: int) -> None:
        self.secret = secret
        self.id, self.key = secret["PUSHER_APP_ID"], secret["PUSHER_APP_KEY"]
        self.host, self.port = host, port
        self.server = self._server()

    def _server(self, **other: str) -> "pusher.Pusher":
        login = {"app_id": self.id, "key": self.key, "secret": self.secret["PUSHER_APP_SECRET"]} | other
        master = base64.b64decode(self.secret["PUSHER_ENCRYPTION_MASTER_KEY_BASE64"])
        return pusher.Pusher(
            **login,
            ssl=False,
            host=self.host,
            port=self.port,
            encryption_master_key_base64=base64.b64encode(master).decode(),
        )

    def posing_as(self, other: "School") -> "pusher.Pusher":
        """This school's server, publishing to the other's app with its own secret."""
        return self._server(app_id=other.id, key=other.key)

    def publish(self, channel: str, event: str, data: object) -> None:
        self.server.trigger(channel, event, data)

    def post(self, path: str, body: object) -> int:
        """The HTTP status of a call that is signed as it should be, whatever the client library would allow."""
        text = json.dumps(body)
        query = (
            f"auth_key={self.key}&auth_timestamp={int(time.time())}&auth_version=1.0"
            f"&body_md5={hashlib.md5(text.encode()).hexdigest()}"
        )
        path = f"/apps/{self.id}{path}"
        sign = signature(self.secret["PUSHER_APP_SECRET"], f"POST\n{path}\n{query}")
        request = urllib.request.Request(
            f"http://{self.host}:{self.port}{path}?{query}&auth_signature={sign}",
            data=text.encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def authorization(self, channel: str, socket: str, member: str = "") -> dict[str, str]:
        """What the school's server answers to a browser that asks to enter a channel."""
        who = {"user_id": member, "user_info": {"name": member}} if channel.startswith("presence-") else None
        answer: dict[str, str] = self.server.authenticate(channel=channel, socket_id=socket, custom_data=who)
        return answer


class Browser:
    """One pusher-js in a process of its own; everything that happens to it is kept."""

    def __init__(self, school: School, member: str = "", *, key: str = "", pod: str = "") -> None:
        self.told: list[dict[str, Any]] = []
        self._school, self._member = school, member
        self._changed = threading.Condition()
        where = {"host": pod or school.host, "port": 6001 if pod else school.port}
        options = json.dumps({"key": key or school.key, **where})
        self._process = subprocess.Popen(
            ["node", str(CLIENTS / "browser.cjs"), options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            said = json.loads(line)
            if "authorize" in said:
                answer = self._school.authorization(said["channel"], said["socket"], self._member)
                self.ask("authorized", id=said["authorize"], data=answer)
                continue
            with self._changed:
                self.told.append(said)
                self._changed.notify_all()

    def ask(self, do: str, **arguments: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, **arguments}, default=bytes.decode) + "\n")
        self._process.stdin.flush()

    def hears(self, seconds: float = 10.0, *, since: int = 0, **said: object) -> dict[str, Any]:
        """What it told that has all of this in it; fails when it does not in time."""
        return self._told(lambda each: all(each.get(key) == value for key, value in said.items()), seconds, since, said)

    def refused(self, code: int, *, since: int = 0) -> None:
        """The gateway told it an error of this code."""
        self._told(lambda each: isinstance(each.get("error"), dict) and each["error"]["code"] == code, 10, since, code)

    def _told(self, fits: Callable[[dict[str, Any]], bool], seconds: float, since: int, what: object) -> dict[str, Any]:
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                for each in self.told[since:]:
                    if fits(each):
                        return each
                if not self._changed.wait(end - time.monotonic()) or time.monotonic() > end:
                    pytest.fail(f"not within {seconds} s: {what}; but {self.told[-8:]}")

    def connected(self, seconds: float = 10.0, *, since: int = 0) -> "Browser":
        self.hears(seconds, since=since, state="connected")
        return self

    def enters(self, channel: str) -> "Browser":
        self.ask("subscribe", channel=channel)
        self.hears(channel=channel, event="pusher:subscription_succeeded")
        return self

    def events(self, channel: str) -> list[tuple[str, object]]:
        """The school's own events that it heard on a channel."""
        heard = [each for each in self.told if each.get("channel") == channel]
        return [(each["event"], each["data"]) for each in heard if not each["event"].startswith("pusher")]

    def members(self, channel: str) -> set[str]:
        since = len(self.told)
        self.ask("members", channel=channel)
        with self._changed:
            self._changed.wait_for(lambda: any("members" in each for each in self.told[since:]), 5)
        return set(next(each["members"] for each in self.told[since:] if "members" in each))

    def end(self) -> None:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        assert self._process.stdout
        self._process.stdout.close()


@contextlib.contextmanager
def raw(host: str, port: int, key: str, **options: Any) -> Iterator[tuple[ClientConnection, str]]:
    """A bare WebSocket that was let in, and its id; raises Refused, or what `websockets` raises."""
    with connect(f"ws://{host}:{port}/app/{key}?protocol=7&client=t&version=1", open_timeout=10, **options) as socket:
        try:
            first = json.loads(socket.recv(5))
        except ConnectionClosed as closed:  # over the cap, without an app: sockudo says nothing
            raise Refused(str(closed)) from closed
        if first["event"] != "pusher:connection_established":
            raise Refused(str(first))
        yield socket, json.loads(first["data"])["socket_id"]


class Refused(Exception):
    """The gateway answered, and did not let the socket in."""


def admits(host: str, port: int, key: str, **options: Any) -> bool:
    """Whether the gateway lets a new socket in."""
    try:
        with raw(host, port, key, **options):
            return True
    except Refused:
        return False


def admits_by_now(host: str, port: int, key: str) -> bool:
    """The same of a gateway that may be away."""
    try:
        return admits(host, port, key)
    except (OSError, InvalidHandshake):
        return False


def signature(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
