"""A watch is compared with what a real API server lists."""

import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
from tests.patience import until
from tests.support import ROOT, stand_variables

from matrixhub import freshness as module
from matrixhub.api import naming
from matrixhub.freshness import Freshness, Shown
from matrixhub.kube.client import KubeApi
from matrixhub.kube.follow import follow
from matrixhub.kube.resources import REALTIME_CLUSTER, TENANT, Manifest

EVERY = 0.5


@pytest.fixture(scope="module")
def api() -> KubeApi:
    kubeconfig = stand_variables()["KUBECONFIG"]
    crds = ["-f", str(ROOT / "crds")]
    for verb in (["apply", "--server-side", "--force-conflicts"], ["wait", "--for=condition=Established"]):
        subprocess.run(["kubectl", "--kubeconfig", kubeconfig, *verb, *crds], check=True, capture_output=True)
    return KubeApi(kubeconfig)


class Watch:
    """A real watch, of which a test may keep the later changes of its own Tenants back."""

    def __init__(self, api: KubeApi) -> None:
        self.shown = Shown()
        self.own = f"fresh-{secrets.token_hex(3)}"
        self.silent = False
        for resource in (TENANT, REALTIME_CLUSTER):
            threading.Thread(target=partial(follow, api, resource, "", self._see), daemon=True).start()

    def _see(self, change: str, body: Manifest) -> None:
        if self.silent and body["metadata"]["name"].startswith(self.own):
            return
        if change == "DELETED":
            self.shown.forget(body["metadata"]["uid"])
        else:
            self.shown.note(body["metadata"])


@pytest.fixture
def watch(api: KubeApi) -> Iterator[Watch]:
    made = Watch(api)
    yield made
    for body in list(api.list(TENANT)):
        if body["metadata"]["name"].startswith(made.own):
            api.delete(TENANT, body["metadata"]["name"])


def tenant(name: str, **spec: str) -> Manifest:
    spec = {"clusterRef": {"namespace": "matrixhub", "name": "main"}, **spec}
    return {"apiVersion": naming.API_VERSION, "kind": "Tenant", "metadata": {"name": name}, "spec": spec}


def compared(api: KubeApi, shown: Shown, gone: Callable[[str], None] = lambda _: None) -> Freshness:
    freshness = Freshness(api, shown, gone, EVERY)
    threading.Thread(target=freshness.run, daemon=True).start()
    return freshness


def test_a_change_that_the_watch_keeps_back_makes_it_stuck_until_it_is_shown(api: KubeApi, watch: Watch):
    name = f"{watch.own}-a"
    body = api.create(tenant(name))
    freshness = compared(api, watch.shown)
    until(lambda: freshness.listed, 10)
    time.sleep(2 * EVERY)
    assert freshness.stuck == ""
    watch.silent = True
    body = api.patch(TENANT, name, None, {"spec": {"suspended": True}})
    until(lambda: f"Tenant {name} " in freshness.stuck, 10)
    watch.shown.note(body["metadata"])
    until(lambda: freshness.stuck == "", 10)


def test_a_leader_is_ready_once_the_watch_has_shown_all_that_there_was(api: KubeApi, watch: Watch):
    watch.silent = True
    bodies = [api.create(tenant(f"{watch.own}-{letter}")) for letter in "ab"]
    freshness = compared(api, watch.shown)
    for body in bodies:
        time.sleep(0.3)
        assert not freshness.listed
        watch.shown.note(body["metadata"])
    until(lambda: freshness.listed, 10)


def test_what_is_gone_before_the_watch_could_show_it_is_nobodys_fault(api: KubeApi, watch: Watch):
    freshness = compared(api, watch.shown)
    until(lambda: freshness.listed, 10)
    watch.silent = True
    api.create(tenant(f"{watch.own}-short"))
    until(lambda: freshness._unseen, 10)  # noqa: SLF001 - the moment between two comparisons
    api.delete(TENANT, f"{watch.own}-short")
    until(lambda: not freshness._unseen, 10)  # noqa: SLF001 - as above
    assert freshness.stuck == ""


def test_all_pages_are_compared(api: KubeApi, watch: Watch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "TENANT", replace(TENANT, page=2))
    for letter in "abcde":
        api.create(tenant(f"{watch.own}-{letter}"))
    freshness = compared(api, watch.shown)
    until(lambda: freshness.listed, 10)
    watch.silent = True
    api.patch(TENANT, f"{watch.own}-e", None, {"spec": {"suspended": True}})
    until(lambda: f"{watch.own}-e " in freshness.stuck, 20)


def test_what_vanished_unshown_is_found_to_be_gone_and_nothing_else(api: KubeApi, watch: Watch):
    found: list[str] = []
    uids = {letter: api.create(tenant(f"{watch.own}-{letter}"))["metadata"]["uid"] for letter in "ab"}
    freshness = compared(api, watch.shown, found.append)
    until(lambda: freshness.listed and watch.shown.uids >= set(uids.values()), 10)
    api.create(tenant(f"{watch.own}-c"))
    api.delete(TENANT, f"{watch.own}-c")
    time.sleep(3 * EVERY)
    assert found == []
    watch.silent = True
    api.delete(TENANT, f"{watch.own}-a")
    until(lambda: found, 10)
    watch.shown.forget(uids["a"])
    number = len(found)
    time.sleep(3 * EVERY)
    assert found == [uids["a"]] * number
