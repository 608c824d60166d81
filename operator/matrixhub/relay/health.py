"""What Kubernetes and Prometheus ask of a relay, on one port."""

from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from matrixhub.relay.loop import Relay


async def serve(relay: Relay, port: int) -> web.AppRunner:
    """`/healthz` (the loop turns), `/readyz` (the group has this relay) and `/metrics` answer on all addresses."""

    async def healthz(_: web.Request) -> web.Response:
        return _said(ok=relay.alive, otherwise="the loop does not turn")

    async def readyz(_: web.Request) -> web.Response:
        return _said(ok=relay.ready, otherwise="not in the consumer group yet")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)],
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _said(*, ok: bool, otherwise: str) -> web.Response:
    return web.Response(
        status=HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE, text="ok\n" if ok else f"{otherwise}\n"
    )
