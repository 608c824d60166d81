"""One connection to Postgres that heals by itself, and the only place where the driver's errors become ours."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.rows import dict_row

from matrixhub import metrics
from matrixhub.api.services import PostgresBackend
from matrixhub.errors import BackendError, Conflict, Rejected, Transient, Unreachable
from matrixhub.tls import Files, Trust

Connection = psycopg.Connection[dict[str, Any]]
Statement = sql.Composed | sql.SQL

CONNECT_SECONDS = 3
REQUEST_SECONDS = 10
LOCK_SECONDS = 2
"""Waiting for a lock queues everybody else behind us, so we don't wait long."""

_REFUSED = ("authentication failed", "no password supplied", "not permitted to log in", "no pg_hba.conf entry")


class Session:
    """A connection to one cluster's database. Opened at first use, again after it was lost.

    `admin` holds `username`, `password` and what `tls.Trust.of` reads; `secret` says where they came from, for
    messages.
    """

    def __init__(self, server: PostgresBackend, namespace: str, admin: Mapping[str, str], secret: str = "") -> None:
        self.server = server
        self.opened = 0
        """How many connections were opened so far: over another one, what was there may have been restored."""
        self._namespace = namespace
        self._secret = f"{namespace}/{secret or server.admin_secret_ref.name}"
        self._admin = admin
        self._connection: Connection | None = None
        self._trust = Trust.of("spec.postgres.tls", admin)
        self._files: Files | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Connection]:
        """A live connection in autocommit; errors of the whole backend come out as ours.

        Raises:
            Unreachable: Postgres does not answer, or stopped answering.
            Rejected: it refuses the admin.
        """
        connection = self._live()
        try:
            yield connection
        except psycopg.Error as error:
            if lost(error) or connection.closed or connection.broken:
                self.close_connection()
                raise self._unreachable(error) from error
            ours = translate(error, f"database {self.server.database}")
            if ours is None:
                raise
            raise ours from error

    @contextlib.contextmanager
    def deadline(self, connection: Connection, seconds: float = REQUEST_SECONDS) -> Iterator[None]:
        """The connection is cut when the block takes longer: a server that hangs must not hold its worker."""
        duplicate = socket.socket(fileno=socket.dup(connection.fileno()))
        cut = threading.Timer(seconds, _shut, (duplicate,))
        cut.daemon = True
        cut.start()
        try:
            yield
        finally:
            cut.cancel()
            cut.join()
            duplicate.close()

    def close_connection(self) -> None:
        """The connection is gone; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Nothing is left open, no file left behind."""
        self.close_connection()
        if self._files is not None:
            self._files.close()
            self._files = None

    def _live(self) -> Connection:
        if self._connection is not None:
            try:
                with self.deadline(self._connection, CONNECT_SECONDS):
                    metrics.BACKEND_REQUESTS.labels(backend="postgres").inc()
                    self._connection.execute("")
            except psycopg.Error:  # restarted, failed over, cut: a new connection tells which
                self.close_connection()
        if self._connection is None:
            self._connection = self._connect()
            self.opened += 1
        return self._connection

    def _connect(self) -> Connection:
        for key in ("username", "password"):
            if not self._admin.get(key):
                raise Rejected("AdminSecretInvalid", f"Secret {self._secret} has no key `{key}`, or it is empty")
        server = self.server
        if self._files is None:
            self._files = Files(self._trust)
        try:
            connection = psycopg.Connection[dict[str, Any]].connect(
                self._files.libpq(server.ssl_mode),
                host=server.host,
                port=server.port,
                dbname=server.database,
                user=self._admin["username"],
                password=self._admin["password"],
                connect_timeout=CONNECT_SECONDS,
                tcp_user_timeout=REQUEST_SECONDS * 1000,
                application_name="matrixhub",
                client_encoding="UTF8",
                # An empty path makes Postgres print every name in full, so that what we read can be compared.
                options=f"-c search_path= -c statement_timeout={REQUEST_SECONDS}s -c lock_timeout={LOCK_SECONDS}s"
                " -c idle_in_transaction_session_timeout=60s -c client_min_messages=error",
                autocommit=True,
                row_factory=dict_row,
            )
        except psycopg.OperationalError as error:
            raise self._refusal(error) from error
        connection.prepare_threshold = None  # no statement is run often enough to be worth preparing
        return connection

    def _refusal(self, error: psycopg.Error) -> BackendError:
        """Why there is no connection. libpq gives no code for this, only a text."""
        text = _one_line(error)
        if refusal := self._trust.refusal(self._where(), text):
            return refusal
        if "no encryption" in text:
            mode = "set `sslMode: verify-full`" if self.server.ssl_mode == "disable" else "allow it in pg_hba.conf"
            return Rejected("TlsRequired", f"{self._where()} takes no connection that is not encrypted: {mode}")
        if any(words in text for words in _REFUSED) or (" role " in text and "does not exist" in text):
            return Rejected(
                "AuthenticationFailed",
                f"{self._where()} refused the user in Secret {self._secret}: put the right `username` and "
                "`password` there",
            )
        if "database" in text and "does not exist" in text:
            return Rejected(
                "DatabaseMissing",
                f"{self._where()} has no database {self.server.database}: create it, or correct `postgres.database`",
            )
        if "permission denied for database" in text:
            grant = f'GRANT CONNECT ON DATABASE "{self.server.database}" TO "{self._admin["username"]}"'
            return Rejected("PermissionDenied", f"the admin of {self._where()} may not connect: {grant}")
        return self._unreachable(error)

    def _unreachable(self, error: psycopg.Error) -> Unreachable:
        return Unreachable(f"{self._where()} does not answer: {_one_line(error)}")

    def _where(self) -> str:
        return f"postgres at {self.server.host}:{self.server.port}"


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was closed already
        connection.shutdown(socket.SHUT_RDWR)


def lost(error: psycopg.Error) -> bool:
    """Whether the error is about the connection, not about what was asked."""
    if isinstance(
        error, errors.AdminShutdown | errors.CrashShutdown | errors.CannotConnectNow | errors.IdleSessionTimeout
    ):
        return True
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and error.sqlstate is None


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def translate(error: psycopg.Error, what: str) -> BackendError | None:
    """Our error for what Postgres said of one tenant or table; None when it is a bug of ours, to be raised as it is.

    `what` names the tenant or table.
    """
    text = error.diag.message_primary or _one_line(error)
    for kinds, reason, sentence in _PASSING:
        if isinstance(error, kinds):
            return Transient(reason, f"{what}: {sentence} ({text})")
    match error:
        case errors.DuplicateObject() | errors.UniqueViolation() | errors.DuplicateTable():
            return Conflict(f"{what}: {text}", owner="unknown: it was made by somebody else just now")
        case errors.DependentObjectsStillExist():
            where = "; ".join((error.diag.message_detail or "").splitlines())
            return Rejected(
                "RoleInUse",
                f"{what}: access is gone, but the role cannot be dropped. It owns or was granted something outside "
                f"this database ({where}): there, run REASSIGN OWNED BY, to a role without any power (functions act as "
                "their owner), and DROP OWNED BY",
            )
        case errors.ForeignKeyViolation():
            return Rejected("RowsInUse", f"{what}: rows are referred to by rows that are not the tenant's: {text}")
        case errors.InsufficientPrivilege():
            return Rejected(
                "PermissionDenied", f"{what}: {text}. manifests/admin-rights/postgres.sql grants what is needed"
            )
        case _:
            return None


_PASSING: tuple[tuple[tuple[type[psycopg.Error], ...], str, str], ...] = (
    ((errors.LockNotAvailable,), "Locked", f"waited {LOCK_SECONDS} s for another session's lock"),
    ((errors.QueryCanceled,), "TimedOut", "took too long"),
    # "tuple concurrently updated" is an internal error; what was there a moment ago was dropped by somebody
    (
        (
            errors.DeadlockDetected,
            errors.SerializationFailure,
            errors.InternalError_,
            errors.UndefinedObject,
            errors.UndefinedTable,
            errors.InvalidSchemaName,
        ),
        "Raced",
        "another session changed the same",
    ),
    ((errors.TooManyConnections, errors.OutOfMemory, errors.DiskFull), "OutOfResources", "the server has no room"),
)


def together(connection: Connection, statements: Sequence[Statement]) -> None:
    """The statements are carried out, all or none, in one round trip: a simple query is one implicit transaction."""
    metrics.BACKEND_REQUESTS.labels(backend="postgres").inc()
    connection.execute(sql.SQL("; ").join(statements))


def ask(
    connection: Connection, questions: Mapping[str, str], values: Mapping[str, object]
) -> dict[str, list[dict[str, Any]]]:
    """The answers to some queries by name, in one round trip."""
    metrics.BACKEND_REQUESTS.labels(backend="postgres").inc()
    with connection.pipeline():
        cursors = {name: connection.execute(question.encode(), values) for name, question in questions.items()}
    return {name: cursor.fetchall() for name, cursor in cursors.items()}
