"""What a probe is answered, over HTTP, while a real event loop turns or does not."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.patience import until

from matrixhub import health as module
from matrixhub.freshness import Shown
from matrixhub.health import Health, serve
from matrixhub.kube.resources import Manifest

Ask = Callable[[str], tuple[int, str]]


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def ask(health: Health) -> Iterator[Ask]:
    server = serve(health, 0)

    def answer(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    yield answer
    server.shutdown()
    server.server_close()


def test_a_standby_is_alive_and_ready(ask: Ask):
    assert ask("/healthz") == (200, "ok\n")
    assert ask("/readyz") == (200, "ok\n")
    assert ask("/secrets")[0] == 404


def test_a_loop_that_is_blocked_is_told_and_one_that_turns_again_as_well(
    health: Health, ask: Ask, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.3)
    monkeypatch.setattr(module, "BEAT", 0.01)

    def told(status: int, beginning: str) -> None:
        until(lambda: (answer := ask("/healthz"))[0] == status and answer[1].startswith(beginning), 10)

    async def scene() -> None:
        beating = asyncio.create_task(health.beat())
        await asyncio.to_thread(told, 200, "ok\n")
        with ThreadPoolExecutor() as elsewhere:
            blocked = elsewhere.submit(told, 500, "the event loop has not turned")
            blocked.result()  # waits on the loop's own thread: the very thing
        await asyncio.to_thread(told, 200, "ok\n")
        beating.cancel()

    asyncio.run(scene())


def tenant(name: str, generation: int = 1, **metadata: str) -> Manifest:
    return {"name": name, "uid": f"uid-{name}", "generation": generation, **metadata}


def test_what_the_watch_shows_may_be_newer_than_the_list():
    shown = Shown()
    shown.note(tenant("a", 3))
    assert shown.knows(tenant("a", 2))
    assert not shown.knows(tenant("a", 4))
    shown.forget("uid-a")
    assert not shown.knows(tenant("a", 1))


def test_a_tenant_that_is_deleted_is_not_the_one_that_was_shown():
    shown = Shown()
    shown.note(tenant("a"))
    assert not shown.knows(tenant("a", deletionTimestamp="2026-01-01T00:00:00Z"))
    assert not shown.knows({**tenant("a"), "uid": "uid-of-its-successor"})
