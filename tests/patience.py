"""How tests wait for what comes to be."""

import asyncio
from collections.abc import Callable


async def soon(condition: Callable[[], object]) -> None:
    """The condition holds; raises TimeoutError when it does not within 10 s."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)
