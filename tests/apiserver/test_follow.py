"""What is followed is seen as it is, then as it changes, whatever becomes of the connection."""

import queue
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from tests.support import stand_variables

from matrixhub.errors import Transient
from matrixhub.kube import client
from matrixhub.kube.client import KubeApi
from matrixhub.kube.follow import follow
from matrixhub.kube.resources import CONFIG_MAP, Manifest, Resource

Seen = tuple[str, str, str | None]


def config_map(place: str, name: str, word: str) -> Manifest:
    """It carries its namespace's name as the label by which it is followed."""
    metadata = {"name": name, "namespace": place, "labels": {"follow": place}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"word": word}}


def test_a_list_then_every_change_and_nothing_else(api: KubeApi, place: str):
    seen: queue.Queue[Seen] = queue.Queue()

    def see(change: str, body: Manifest) -> None:
        seen.put((change, f"{body['kind']} {body['metadata']['name']}", body["data"].get("word")))

    api.create(config_map(place, "there", "old"))
    other = config_map(place, "strange", "none")
    del other["metadata"]["labels"]
    api.create(other)
    threading.Thread(target=partial(follow, api, CONFIG_MAP, f"follow={place}", see), daemon=True).start()
    assert seen.get(timeout=10) == ("LISTED", "ConfigMap there", "old")
    api.create(config_map(place, "later", "new"))
    assert seen.get(timeout=10) == ("ADDED", "ConfigMap later", "new")
    api.patch(CONFIG_MAP, "there", place, {"data": {"word": "changed"}})
    assert seen.get(timeout=10) == ("MODIFIED", "ConfigMap there", "changed")
    api.delete(CONFIG_MAP, "later", place)
    assert seen.get(timeout=10) == ("DELETED", "ConfigMap later", "new")
    assert seen.empty()


class Forgetful(KubeApi):
    """An API server that tells nothing of what happens until it has `restarted`; then the watch has lost its place."""

    def __init__(self, kubeconfig: str) -> None:
        super().__init__(kubeconfig)
        self.restarted = threading.Event()

    def watch(self, resource: Resource, version: str, labels: str = "") -> Iterator[tuple[str, Manifest]]:
        if not self.restarted.is_set():
            self.restarted.wait()
            raise Transient("KubernetesBusy", "too old resource version")
        yield from super().watch(resource, version, labels)


def test_what_vanished_before_a_new_list_is_seen_to_be_gone(api: KubeApi, place: str):
    seen: queue.Queue[tuple[str, str, str]] = queue.Queue()
    forgetful = Forgetful(stand_variables()["KUBECONFIG"])
    uids = {name: api.create(config_map(place, name, "old"))["metadata"]["uid"] for name in ("again", "gone", "stays")}

    def see(change: str, body: Manifest) -> None:
        metadata = body["metadata"]
        assert (body["kind"], metadata["namespace"], metadata["labels"]) == ("ConfigMap", place, {"follow": place})
        seen.put((change, metadata["name"], metadata["uid"]))

    def next_seen(number: int) -> list[tuple[str, str, str]]:
        return sorted(seen.get(timeout=10) for _ in range(number))

    threading.Thread(target=partial(follow, forgetful, CONFIG_MAP, f"follow={place}", see), daemon=True).start()
    assert next_seen(3) == [("LISTED", name, uid) for name, uid in uids.items()]
    for name in ("again", "gone"):
        api.delete(CONFIG_MAP, name, place)
    another = api.create(config_map(place, "again", "new"))["metadata"]["uid"]
    forgetful.restarted.set()
    assert next_seen(4) == [
        ("DELETED", "again", uids["again"]),
        ("DELETED", "gone", uids["gone"]),
        ("LISTED", "again", another),
        ("LISTED", "stays", uids["stays"]),
    ]
    api.delete(CONFIG_MAP, "again", place)
    assert next_seen(1) == [("DELETED", "again", another)]
    assert seen.empty()


def test_a_place_that_the_server_has_forgotten_is_transient(api: KubeApi):
    with pytest.raises(Transient, match="too old"):
        next(api.watch(CONFIG_MAP, "1"))


def test_what_happened_while_a_silent_stream_was_given_up_is_seen_once(
    api: KubeApi, place: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client, "WATCH_TIMEOUT", (3.0, 0.5))
    seen: queue.Queue[Seen] = queue.Queue()

    see = lambda change, body: seen.put((change, body["metadata"]["name"], body["data"]["word"]))  # noqa: E731 - one line, used once
    threading.Thread(target=partial(follow, api, CONFIG_MAP, f"follow={place}", see), daemon=True).start()
    for word in ("one", "two", "three"):
        api.create(config_map(place, word, word))
        time.sleep(0.8)
    assert [seen.get(timeout=10)[1:] for _ in range(3)] == [(word, word) for word in ("one", "two", "three")]
    assert seen.empty()
