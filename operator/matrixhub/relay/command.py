"""The command `matrixhub relay`."""

import asyncio
import signal
from pathlib import Path

from matrixhub import log
from matrixhub.config import Config
from matrixhub.relay import health
from matrixhub.relay.loop import Relay
from matrixhub.relay.settings import Logins, Settings


async def _run(settings: Settings, logins: Logins) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    relay = Relay(settings, logins)
    serving = await health.serve(relay, settings.port)
    try:
        await relay.run(stop)
    finally:
        await serving.cleanup()


def main(file: Path) -> int:
    """Relays until SIGTERM or SIGINT; the exit status."""
    config = Config.from_environment()
    log.configure(config.log_format, config.log_level)
    asyncio.run(_run(Settings.read(file), Logins.from_environment()))
    return 0
