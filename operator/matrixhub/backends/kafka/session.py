"""A connection to Kafka as the admin user: the only file that imports the driver, and where its errors become ours.

The driver's own admin client raises for a whole response when one item of it failed and knows no client quotas, so
requests are sent and answers read as the protocol's own messages, over the driver's connection manager. It is driven
by the calling thread: there is no thread of its own, and a session belongs to one thread at a time.
"""

import logging
import socket
import ssl
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from matrixhub import metrics
from matrixhub.api.realtimecluster import RealtimeCluster
from matrixhub.api.values import address
from matrixhub.backends.kafka.desired import section
from matrixhub.errors import BackendError, Rejected, Transient, Unreachable
from matrixhub.tls import Trust

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # importlib.resources.read_text, in kafka-python 3.0
    import kafka.errors  # type: ignore[import-untyped]  # the driver has no annotations
    from kafka.net.manager import KafkaConnectionManager  # type: ignore[import-untyped]  # likewise
    from kafka.net.selector import NetworkSelector  # type: ignore[import-untyped]  # likewise
    from kafka.partitioner import murmur2  # type: ignore[import-untyped]  # likewise
    from kafka.protocol import admin as messages  # type: ignore[import-untyped]  # likewise
    from kafka.protocol import consumer as protocol  # likewise
    from kafka.protocol import metadata, producer  # likewise
    from kafka.record import MemoryRecordsBuilder  # type: ignore[import-untyped]  # likewise

__all__ = ["MemoryRecordsBuilder", "Session", "chunks", "messages", "metadata", "murmur2", "producer", "protocol"]

CONNECT_SECONDS = 3.0
REQUEST_MILLISECONDS = 10_000
ATTEMPTS, PAUSE_SECONDS = 3, 0.2
"""A broker that hangs up so often in a row while we log in does so because of the password, not of a restart."""
WINDOW = 50
"""Requests on their way at once. The broker works off one connection's requests one by one."""

T = TypeVar("T")
_LOST = (
    kafka.errors.KafkaConnectionError,
    kafka.errors.KafkaTimeoutError,
    kafka.errors.RequestTimedOutError,
    kafka.errors.NodeNotReadyError,
    kafka.errors.UnknownBrokerIdError,
    kafka.errors.Cancelled,
    OSError,
)
_DENIED = (
    kafka.errors.TopicAuthorizationFailedError,
    kafka.errors.GroupAuthorizationFailedError,
    kafka.errors.ClusterAuthorizationFailedError,
)
_REASONS: dict[type, str] = {
    kafka.errors.InvalidReplicationFactorError: "NotEnoughBrokers",
    kafka.errors.InvalidTopicError: "InvalidTopic",
    kafka.errors.InvalidPartitionsError: "InvalidPartitions",
    kafka.errors.InvalidConfigurationError: "InvalidConfiguration",
    kafka.errors.InvalidRequestError: "InvalidRequest",
    kafka.errors.PolicyViolationError: "PolicyViolation",
    kafka.errors.SecurityDisabledError: "AuthorizerMissing",
}


def chunks(things: Sequence[T], size: int) -> Iterator[list[T]]:
    """The things in order, in lists of at most `size`."""
    rest = iter(things)
    while chunk := list(islice(rest, size)):
        yield chunk


class Session:
    """Requests to one Kafka cluster. Connects at the first request, and anew after a lost connection."""

    def __init__(self, cluster: RealtimeCluster, secret: Mapping[str, str]) -> None:
        self._kafka = section(cluster)
        self._secret = secret
        self._trust = Trust.of("spec.kafka.tls", secret) if self._kafka.security_protocol == "SASL_SSL" else None
        self._secret_name = f"{cluster.metadata.namespace}/{self._kafka.admin_secret_ref.name}"
        self._manager: Any = None
        self._net: Any = None
        self._node = -1
        # Its debug lines hold the password, its warnings repeat what becomes our errors.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)

    def send(self, requests: Sequence[Any]) -> list[Any]:
        """The answers to requests that may be sent twice, in order, all from one broker so that each sees the last.

        Raises:
            Unreachable: no broker answers. The session connects again at the next call.
            Rejected: the broker refuses the admin user, or its certificate is not the CA's.
        """
        return self._run([(request, None) for request in requests])

    def send_to(self, requests: Sequence[tuple[Any, int]]) -> list[Any]:
        """The same for requests that only a certain broker can answer: pairs of request and broker id."""
        return self._run(requests)

    def brokers(self) -> list[int]:
        """The ids of the brokers that there are now."""
        [answer] = self.send([metadata.MetadataRequest(topics=[])])
        return sorted(broker.node_id for broker in answer.brokers)

    @property
    def version(self) -> str:
        """What the broker's set of requests tells of its version, such as `4.1`; "" before the first request."""
        if self._manager is None:
            return ""
        return ".".join(str(part) for part in self._manager.broker_version)

    def close(self) -> None:
        """The connection is closed; the next request opens one."""
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.close()
            self._net.close()

    def _run(self, pairs: Sequence[tuple[Any, int | None]]) -> list[Any]:
        stale = self._manager is not None
        try:
            return self._try(pairs)
        except Unreachable:
            if not stale:
                raise
        # Brokers close idle connections, and a restarted one has lost ours: one more try with a new one.
        return self._try(pairs)

    def _try(self, pairs: Sequence[tuple[Any, int | None]]) -> list[Any]:
        fresh = self._manager is None
        try:
            if fresh:
                self._connect()
            return [answer for window in chunks(pairs, WINDOW) for answer in self._net.run(self._exchange, window)]
        except (kafka.errors.KafkaError, OSError) as error:
            self.close()
            ours = self._translated(error)
            if fresh and isinstance(ours, Unreachable):
                ours = self._distrust(error) or ours
            raise ours from error

    async def _exchange(self, pairs: Sequence[tuple[Any, int | None]]) -> list[Any]:
        metrics.BACKEND_REQUESTS.labels(backend="kafka").inc(len(pairs))
        futures = [self._manager.send(request, node_id=self._node if node is None else node) for request, node in pairs]
        return [await future for future in futures]

    def _connect(self) -> None:
        tls = self._trust.context() if self._trust else None
        host, port = self._answering(tls)
        settings = {
            "bootstrap_servers": [f"{host}:{port}"],
            "client_id": "matrixhub",
            "request_timeout_ms": REQUEST_MILLISECONDS,
            "socket_connection_setup_timeout_ms": CONNECT_SECONDS * 1000,
            "reconnect_backoff_max_ms": 200,
            "receive_message_max_bytes": 512 * 1024**2,
            "max_in_flight_requests_per_connection": 2 * WINDOW,
            "security_protocol": self._kafka.security_protocol,
            "ssl_context": tls,
            "sasl_mechanism": self._kafka.sasl_mechanism,
            "sasl_plain_username": self._key("username"),
            "sasl_plain_password": self._key("password"),
        }
        for attempt in range(ATTEMPTS):
            self._net = NetworkSelector(**settings)
            self._manager = KafkaConnectionManager(self._net, **settings)
            try:
                self._net.run(self._meet_cluster)
                break
            except kafka.errors.KafkaConnectionError as error:
                # The driver loses a refusal when the broker hangs up right after it, as it does after a wrong password.
                greeted = self._manager.broker_version_data is not None
                self.close()
                if not greeted:
                    raise
                if attempt == ATTEMPTS - 1:
                    raise kafka.errors.SaslAuthenticationFailedError(str(error)) from error
                time.sleep(PAUSE_SECONDS)
        self._node = min(broker.node_id for broker in self._manager.cluster.brokers())

    async def _meet_cluster(self) -> None:
        """The cluster's brokers are known. The driver's own way to this tries again and again with a wrong password."""
        [server] = self._manager.cluster.bootstrap_brokers()
        connection = self._manager.get_connection(
            server.node_id,
            timeout_ms=CONNECT_SECONDS * 1000,
            pop_on_close=False,
            refresh_metadata_on_err=False,
        )
        try:
            await connection
        finally:
            self._manager.broker_version_data = connection.broker_version_data
        await self._manager.cluster.refresh_metadata(server.node_id)

    def _answering(self, tls: ssl.SSLContext | None) -> tuple[str, int]:
        """The first bootstrap server that takes a connection, and shows its certificate where there is to be one.

        The driver would go on trying a dead one, and leaves a socket open where the certificate is wrong.
        """
        problem: OSError = TimeoutError("no bootstrap server was tried")
        deadline = time.monotonic() + 2 * CONNECT_SECONDS
        for server in self._kafka.bootstrap_servers:
            wait = min(CONNECT_SECONDS, deadline - time.monotonic())
            if wait <= 0:
                break
            host, port = address(server)
            try:
                with socket.create_connection((host, port), timeout=wait) as plain:
                    if tls:
                        tls.wrap_socket(plain, server_hostname=host).close()
            except OSError as error:
                problem = error
            else:
                return host, port
        raise problem

    def _key(self, name: str) -> str:
        try:
            return self._secret[name]
        except KeyError:
            raise Rejected("AdminSecretInvalid", f"Secret {self._secret_name} has no key `{name}`: add it") from None

    def _distrust(self, error: Exception) -> BackendError | None:
        """Our error for one that came of a certificate, the brokers' or ours."""
        if self._trust is None:
            return None
        server = f"kafka at {','.join(self._kafka.bootstrap_servers)}"
        if refusal := self._trust.refusal(server, error):
            return refusal
        complaints = (self._trust.complaint(*address(each)) for each in self._kafka.bootstrap_servers)
        return next((told for each in complaints if each and (told := self._trust.refusal(server, each))), None)

    def _translated(self, error: Exception) -> Exception:
        """Our error for one that concerns the whole backend; the same error when it is none we know."""
        servers = ",".join(self._kafka.bootstrap_servers)
        if isinstance(error, (kafka.errors.SaslAuthenticationFailedError, kafka.errors.UnsupportedSaslMechanismError)):
            return Rejected(
                "AuthenticationFailed",
                f"kafka at {servers} refused the user in Secret {self._secret_name} with "
                f"{self._kafka.sasl_mechanism}: put the right `username` and `password` there",
            )
        if isinstance(error, _LOST):
            return Unreachable(f"kafka at {servers} does not answer: {error}")
        return error

    def require(self, answer: Any, doing: str) -> Any:
        """The answer, if it is a good one. Raises our error for one that concerns the whole backend."""
        if problem := self.problem(answer, doing):
            raise problem
        return answer

    def problem(self, item: Any, doing: str) -> BackendError | None:
        """Our error for one item of an answer (anything with `error_code`), or None when it went well.

        `doing` completes "Kafka ... when <doing>".
        """
        kind = kafka.errors.for_code(item.error_code)
        if kind is kafka.errors.NoError:
            return None
        said = getattr(item, "error_message", None) or kind.description or kind.__name__
        if issubclass(kind, _DENIED):
            return Rejected(
                "PermissionDenied",
                f"kafka refused the user in Secret {self._secret_name} when {doing} ({said}): "
                f"give it the ACLs that manifests/admin-rights/kafka.acls lists, with kafka-acls --add",
            )
        if kind in _REASONS:
            return Rejected(_REASONS[kind], f"kafka refused when {doing}: {said}")
        if kind is kafka.errors.NonEmptyGroupError:
            return Transient("GroupInUse", f"kafka refused when {doing}: its consumers have not left yet", 10.0)
        return Transient("KafkaError", f"kafka answered {kind.__name__} when {doing}: {said}")
