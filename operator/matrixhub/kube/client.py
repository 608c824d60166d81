"""The Kubernetes API client: plain dictionaries in and out, errors as ours."""

import json
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import urllib3.exceptions
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTResponse

from matrixhub import metrics
from matrixhub.api import naming
from matrixhub.errors import Conflict, Rejected, Transient, Unreachable
from matrixhub.kube.resources import Manifest, Resource, path_of

TIMEOUT = (3.0, 30.0)
"""Seconds to connect and to read."""
WATCH_TIMEOUT = (3.0, 120.0)
"""The same for a watch: twice the time between two bookmarks of the API server."""
JSON = "application/json"
METADATA = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Lists whose items are nothing but their metadata."""
NOT_LEADER = "does not hold the Lease"
"""The words of the chart's leader-fence. A new leader is refused for as long as an API server has not heard of it."""
_PASSING = frozenset({HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS})


class KubeApi:
    """Requests to one API server; safe to share between threads.

    Every method raises `Unreachable` when the server does not answer, `Rejected` when it refuses
    (`PermissionDenied`, `Invalid`), `Conflict` for HTTP 409 and `Transient` for throttling and server errors.
    """

    def __init__(
        self,
        kubeconfig: str | None = None,
        *,
        connections: int = 48,
        timeout: tuple[float, float] = TIMEOUT,
        on_write: Callable[[Manifest], None] = lambda _: None,
        fence: Callable[[], None] = lambda: None,
    ) -> None:
        """Reads the service account's, or else the given or usual kubeconfig.

        `on_write` hears each write's answer; `fence` is called before each write and raises when there must be none.
        """
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            config.load_kube_config(kubeconfig, client_configuration=configuration)
        configuration.connection_pool_maxsize = connections
        configuration.retries = 1
        self._client = client.ApiClient(configuration)
        self._configuration = configuration
        self._timeout = timeout
        self._on_write = on_write
        self.fence = fence

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Manifest | None:
        """The object, or None when it does not exist."""
        try:
            return _content(self._open("GET", resource.path(name, namespace)))
        except _NotFound:
            return None

    def list(self, resource: Resource, namespace: str | None = None, labels: str = "") -> Iterator[Manifest]:
        """All objects that carry the labels, read in pages."""
        for page in self.pages(resource, namespace, labels):
            yield from map(resource.whole, page["items"])

    def pages(
        self, resource: Resource, namespace: str | None = None, labels: str = "", *, metadata_only: bool = False
    ) -> Iterator[Manifest]:
        """The same as the pages of the list itself, which all have its resource version."""
        token: str | None = ""
        accept = METADATA if metadata_only else JSON
        while token is not None:
            query = {"labelSelector": labels, "limit": str(resource.page), "continue": token}
            page = _content(self._open("GET", resource.collection(namespace), query, accept=accept))
            page["items"] = page["items"] or []  # null, in an empty list of metadata
            yield page
            token = page["metadata"].get("continue") or None

    def watch(self, resource: Resource, version: str, labels: str = "") -> Iterator[tuple[str, Manifest]]:
        """Every change after the version, until the server ends the stream, as it does after some minutes.

        A change is `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK` with the object. A silent stream is taken for broken:
        servers send bookmarks. Raises Transient when the version is too old to go on from.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version, "labelSelector": labels}
        path = resource.collection()
        response = self._open("GET", path, query, timeout=WATCH_TIMEOUT).response
        try:
            for line in _lines(response.stream()):
                change = json.loads(line)
                if change["type"] == "ERROR":
                    raise _translated(_answered(change["object"]["code"], line), "GET", path)
                yield change["type"], change["object"]
        except urllib3.exceptions.ReadTimeoutError:
            return
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(error) from None
        finally:
            response.close()

    def create(self, manifest: Manifest) -> Manifest:
        """The object exists as described; raises Conflict when one of that name was there before."""
        path = path_of(manifest).rsplit("/", 1)[0]
        return self._noted(_content(self._open("POST", path, {"fieldManager": naming.FIELD_MANAGER}, manifest)))

    def apply(self, manifest: Manifest) -> Manifest:
        """The fields of the manifest are as described and ours, whoever had set them (server-side apply)."""
        return self._apply(path_of(manifest), manifest)

    def apply_status(self, manifest: Manifest) -> Manifest:
        """The status is as described; raises Conflict when the object is gone or of another uid."""
        try:
            return self._apply(f"{path_of(manifest)}/status", manifest)
        except _NotFound:
            raise Conflict(f"{manifest['kind']} {manifest['metadata']['name']} is gone", "nobody") from None

    def patch(self, resource: Resource, name: str, namespace: str | None, patch: Manifest) -> Manifest:
        """The fields of the JSON merge patch are as in it, those that are null there are gone.

        Raises Conflict when `metadata.uid` in it is not the object's, Rejected (`NotFound`) when there is none.
        """
        path, query = resource.path(name, namespace), {"fieldManager": naming.FIELD_MANAGER}
        try:
            return self._noted(_content(self._open("PATCH", path, query, patch, "application/merge-patch+json")))
        except Rejected as error:
            if "metadata.uid: Invalid value" in error.message:
                raise Conflict(error.message, "another writer") from None
            raise

    def delete(self, resource: Resource, name: str, namespace: str | None = None, uid: str = "") -> None:
        """The object is gone or on its way out; with a `uid`, only the one of that uid (Conflict otherwise)."""
        options: Manifest = {"propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            _content(self._open("DELETE", resource.path(name, namespace), None, options))
        except _NotFound:
            return

    def replicas(self, resource: Resource, name: str, namespace: str) -> int | None:
        """How many replicas the workload is to have, or None when there is no such workload."""
        try:
            scale = _content(self._open("GET", f"{resource.path(name, namespace)}/scale"))
        except _NotFound:
            return None
        return int(scale["spec"].get("replicas", 0))

    def scale(self, resource: Resource, name: str, namespace: str, replicas: int) -> None:
        """The workload is to have so many replicas; its other fields are nobody's business here."""
        path, query = f"{resource.path(name, namespace)}/scale", {"fieldManager": naming.SCALER}
        body = {"spec": {"replicas": replicas}}
        _content(self._open("PATCH", path, query, body, "application/merge-patch+json"))

    def version(self) -> str:
        """The server's version, such as `v1.34.4`."""
        return str(_content(self._open("GET", "/version"))["gitVersion"])

    def _apply(self, path: str, manifest: Manifest) -> Manifest:
        query = {"fieldManager": naming.FIELD_MANAGER, "force": "true"}
        return self._noted(_content(self._open("PATCH", path, query, manifest, "application/apply-patch+yaml")))

    def _noted(self, answer: Manifest) -> Manifest:
        self._on_write(answer)
        return answer

    def _open(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        *,
        accept: str = JSON,
        timeout: tuple[float, float] | None = None,
    ) -> RESTResponse:
        """The answer to a request that was granted, not read yet."""
        if method != "GET":
            self.fence()
        headers = {"Accept": accept, "Content-Type": content_type}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        filled = {name: value for name, value in (query or {}).items() if value}
        url = f"{self._configuration.host}{path}" + (f"?{urlencode(filled)}" if filled else "")
        # A string body is sent as it is; JSON is YAML, which server-side apply asks for.
        payload = body if content_type.endswith("json") else json.dumps(body)
        metrics.KUBERNETES_REQUESTS.labels(verb=method.lower()).inc()
        try:
            response = self._client.call_api(method, url, headers, payload, _request_timeout=timeout or self._timeout)
            refused = response.read() if response.status >= HTTPStatus.BAD_REQUEST else b""
        except ApiException as error:
            raise _translated(error, method, path) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(error) from None
        if refused:
            raise _translated(_answered(response.status, refused), method, path)
        return response


class _NotFound(Rejected):
    """HTTP 404."""


def _content(response: RESTResponse) -> Manifest:
    try:
        data = response.read()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(error) from None
    return json.loads(data) if data else {}


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a text that comes in pieces."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _answered(status: int, body: bytes) -> ApiException:
    return ApiException(status=status, reason=body.decode())


def _unreachable(error: Exception) -> Unreachable:
    return Unreachable(f"the Kubernetes API does not answer: {type(error).__name__}")


def _translated(error: ApiException, method: str, path: str) -> Exception:
    sentence = _sentence(error)
    if error.status == HTTPStatus.NOT_FOUND:
        return _NotFound("NotFound", sentence)
    if error.status == HTTPStatus.CONFLICT:
        return Conflict(sentence, "another writer")
    passing = error.status in _PASSING or (error.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
    if passing or NOT_LEADER in sentence:
        return Transient("KubernetesBusy", sentence)
    if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Rejected("PermissionDenied", f"the Kubernetes API refused {method} {path}: {sentence}")
    if error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        return Rejected("Invalid", sentence)
    return error


def _sentence(error: ApiException) -> str:
    """The API server's own words."""
    text = error.body or error.reason or ""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return str(text)
