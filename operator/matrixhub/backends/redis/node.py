"""Talking to single nodes of Redis: connections, round trips, and the one place where driver errors become ours."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from matrixhub import metrics
from matrixhub.api.values import bracketed
from matrixhub.backends.redis.acl import Command
from matrixhub.backends.redis.commands import PROBE, SCRIPTS, Vocabulary
from matrixhub.errors import Rejected, Transient, Unreachable
from matrixhub.tls import Files, Trust

CONNECT_TIMEOUT = 3.0
REQUEST_TIMEOUT = 10.0

Reply = Any
"""What RESP2 holds: text, number, None, a list of these, or the error itself (a value, not raised)."""


@dataclass(frozen=True)
class Login:
    """How the operator logs in; `source` names the Secret for a message."""

    username: str | None
    password: str | None
    source: str
    trust: Trust | None = None
    """What connections are encrypted with, if they are."""

    def __repr__(self) -> str:
        return f"Login({self.source})"


@dataclass(frozen=True)
class Facts:
    """What a node says of itself."""

    version: str
    run_id: str
    master: bool


class Node:
    """One Redis server. Connects when first asked, and again by itself after an outage."""

    def __init__(self, host: str, port: int, login: Login) -> None:
        self.name = f"{bracketed(host)}:{port}"
        self._login = login
        self._at = (host, port)
        self._files = Files(login.trust) if login.trust else None
        options: dict[str, Any] = {}
        if self._files:
            options = {
                "connection_class": redis.SSLConnection,
                "ssl_check_hostname": True,
                "ssl_ca_certs": self._files.ca or None,
                "ssl_certfile": self._files.certificate or None,
                "ssl_keyfile": self._files.key or None,
            }
        self._pool = redis.ConnectionPool(
            host=host,
            port=port,
            username=login.username,
            password=login.password,
            protocol=2,
            decode_responses=True,
            encoding_errors="surrogateescape",  # a key's name is bytes: it comes back as it was
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=REQUEST_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,  # CLIENT SETINFO would be one more right for the operator
            max_connections=8,
            **options,
        )
        self._vocabulary: tuple[str, Vocabulary] | None = None

    def call(self, commands: Sequence[Command]) -> list[Reply]:
        """The replies, in order, of commands sent in one round trip. An error reply is returned, not raised.

        Raises Unreachable, Rejected and Transient where the node answers none of them.
        """
        if not commands:
            return []
        metrics.BACKEND_REQUESTS.labels(backend="redis").inc()
        with self._translated():
            connection = self._pool.get_connection()
            try:
                connection.send_packed_command(connection.pack_commands(commands))  # type: ignore[no-untyped-call]  # the driver's own
                return [self._reply(connection) for _ in commands]
            except BaseException:  # whatever it is, it goes on from here
                connection.disconnect()  # type: ignore[no-untyped-call]  # replies left over must not meet the next caller
                raise
            finally:
                self._pool.release(connection)

    def ask(self, *command: str | int) -> Reply:
        """The reply of one command; an error reply is raised."""
        return self.checked(self.call([command])[0])

    def checked(self, reply: Reply) -> Reply:
        """The reply itself; raises the error if it is one, or holds one."""
        with self._translated():
            for part in reply if isinstance(reply, list) else (reply,):
                if isinstance(part, Exception):
                    raise part
        return reply

    def facts(self) -> Facts:
        """Version, run id and role, as they are now."""
        replies = self.call([("INFO", "server"), ("INFO", "replication")])
        lines = "\n".join(str(self.checked(reply)) for reply in replies).splitlines()
        info = dict(line.split(":", 1) for line in lines if ":" in line)
        return Facts(info["redis_version"], info["run_id"], info["role"] == "master")

    def vocabulary(self, run_id: str) -> Vocabulary:
        """The commands this server knows, without scripts where those are not kept apart; read once per start."""
        if self._vocabulary is None or self._vocabulary[0] != run_id:
            names = self.ask("ACL", "CAT")
            replies = self.call([("ACL", "CAT", name) for name in names])
            categories = {name: self.checked(reply) for name, reply in zip(names, replies, strict=True)}
            leaks = self.ask("EVAL", PROBE, 0) == 1
            self._vocabulary = (run_id, Vocabulary(categories, SCRIPTS if leaks else frozenset()))
        return self._vocabulary[1]

    def close(self) -> None:
        """Its connections are closed."""
        self._pool.disconnect()
        if self._files:
            self._files.close()

    def _distrust(self, error: Exception) -> Rejected | None:
        """Our error for one that came of a certificate, the server's or ours."""
        if (trust := self._login.trust) is None:
            return None
        server = f"redis at {self.name}"
        return trust.refusal(server, error) or trust.refusal(server, trust.complaint(*self._at))

    @staticmethod
    def _reply(connection: Any) -> Reply:
        try:
            return connection.read_response()
        except redis.ResponseError as error:
            return error

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except redis.BusyLoadingError as error:
            raise Unreachable(f"redis at {self.name} is still loading its data") from error
        except (redis.AuthenticationError, redis.exceptions.AuthorizationError) as error:
            raise Rejected(
                "AuthenticationFailed",
                f"redis at {self.name} refused the user in Secret {self._login.source}: "
                "put the right `username` and `password` there",
            ) from error
        except redis.exceptions.NoPermissionError as error:
            user, command = self._login.username or "default", re.search(r"'([\w|-]+)' command", str(error))
            raise Rejected(
                "PermissionDenied",
                f"redis at {self.name}: {error}; ACL SETUSER {user} {f'+{command[1]}' if command else '~tenant:*'}",
            ) from error
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise self._distrust(error) or Unreachable(f"redis at {self.name} does not answer: {error}") from error
        except (redis.ReadOnlyError, redis.exceptions.MasterDownError, redis.exceptions.ClusterDownError,
                redis.exceptions.TryAgainError) as error:  # fmt: skip
            raise Transient("Failover", f"redis at {self.name} is changing roles: {error}") from error
        except redis.ResponseError as error:
            word = str(error).partition(" ")[0]
            if word == "BUSY":
                raise Transient(
                    "Busy", f"redis at {self.name} is busy with a script that does not end: SCRIPT KILL ends it"
                ) from error
            if word == "MISCONF":
                raise Transient("WritesRefused", f"redis at {self.name} refuses writes: {error}") from error
            raise


def denied(reply: Reply) -> bool:
    """Whether the user lacks the right to call this."""
    return isinstance(reply, redis.exceptions.NoPermissionError)


def moved(reply: Reply) -> bool:
    """Whether a node of a cluster answers that the key lies elsewhere by now."""
    return isinstance(reply, redis.exceptions.MovedError | redis.exceptions.AskError)
