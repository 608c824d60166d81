"""`kubectl get` without a process for each look: one costs 150 ms of CPU, and `until` looks five times a second."""

import argparse
import json
from collections.abc import Iterator
from functools import cached_property
from http import HTTPStatus
from typing import Any, NamedTuple

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, ApiException

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""One answer that lists every resource of the API server, since Kubernetes 1.30."""


def _words() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(exit_on_error=False)
    words.add_argument("kinds")
    words.add_argument("name", nargs="?", default="")
    words.add_argument("-n", dest="namespace", default="default")
    words.add_argument("-A", dest="everywhere", action="store_true")
    words.add_argument("-l", dest="labels", default="")
    words.add_argument("--field-selector", dest="fields", default="")
    return words


WORDS = _words()
"""What kubectl takes, as far as the tests say it."""


class Resource(NamedTuple):
    """A kind, and where its objects are."""

    kind: str
    version: str
    plural: str
    namespaced: bool

    def path(self, asked: argparse.Namespace) -> str:
        """Of the object or the list that is asked for."""
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        space = f"/namespaces/{asked.namespace}" if self.namespaced and not asked.everywhere else ""
        return "/".join(filter(None, (f"{root}{space}/{self.plural}", asked.name)))


class Looks:
    """Reads the API server of a kubeconfig, over connections that stay open."""

    def __init__(self, kubeconfig: str) -> None:
        self._kubeconfig = kubeconfig

    def get(self, *words: str) -> Any:
        """The object, or a list of the objects, that `kubectl get WORDS -o json` prints.

        AssertionError as of a failed command: the API server does not answer, or there is no such thing.
        """
        asked = WORDS.parse_intermixed_args(words)
        if asked.name:
            (found,) = self._found(asked)
            return found
        return {"items": list(self._found(asked))}

    def exists(self, *words: str) -> bool:
        """Whether the object is there."""
        asked = WORDS.parse_intermixed_args(words)
        fields = f"metadata.name={asked.name}"
        return bool(list(self._found(argparse.Namespace(**{**vars(asked), "name": "", "fields": fields}))))

    def _found(self, asked: argparse.Namespace) -> Iterator[Any]:
        for kind in asked.kinds.split(","):
            resource = self._resource(kind)
            query = [("labelSelector", asked.labels), ("fieldSelector", asked.fields)]
            answer = self._ask(resource.path(asked), [pair for pair in query if pair[1]])
            same = {"kind": resource.kind, "apiVersion": resource.version}
            yield from ({**same, **item} for item in ([answer] if asked.name else answer["items"]))

    def _resource(self, name: str) -> Resource:
        if name not in self._resources:
            del self._resources  # what was made since is not in it
        assert name in self._resources, f"the server has no resource type {name}"
        return self._resources[name]

    @cached_property
    def _resources(self) -> dict[str, Resource]:
        """By plural and singular; of two of one name kubectl means the one of the older group."""
        found: dict[str, Resource] = {}
        for path in ("/api", "/apis"):
            for group in self._ask(path, accept=AGGREGATED)["items"]:
                served = group["versions"][0]
                version = "/".join(filter(None, (group["metadata"].get("name"), served["version"])))
                for each in served.get("resources", ()):
                    names = (each["resource"], each.get("singularResource") or each["responseKind"]["kind"].lower())
                    namespaced = each["scope"] == "Namespaced"
                    resource = Resource(each["responseKind"]["kind"], version, each["resource"], namespaced)
                    found |= {name: resource for name in names if name not in found}
        return {**found, **{short: found[long] for short, long in {"crd": "customresourcedefinitions"}.items()}}

    @cached_property
    def _client(self) -> ApiClient:
        return config.new_client_from_config(self._kubeconfig)

    def _ask(self, path: str, query: list[tuple[str, str]] | None = None, accept: str = "application/json") -> Any:
        request = self._client.param_serialize(
            "GET", path, query_params=query or [], header_params={"Accept": accept}, auth_settings=["BearerToken"]
        )
        try:
            answer = self._client.call_api(*request, _request_timeout=10)
            body = answer.read()
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise AssertionError(f"GET {path}: {error}") from error
        assert answer.status == HTTPStatus.OK, f"GET {path}: {answer.status} {body.decode()}"
        return json.loads(body)
