"""Backups again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

FIRST_RETRY: Final = 10.0
"""Seconds after which a round that failed is tried again; each further failure doubles them, up to the usual distance."""


async def run_rounds(
    make: Callable[[], Awaitable[None]],
    every: float,
    stop: asyncio.Event,
    failed: Callable[[Exception, float], None],
    *,
    first_retry: float = FIRST_RETRY,
) -> None:
    """Have `make` called at once, and then every `every` seconds from begin to begin, until `stop`; rounds never overlap.

    A round under way at the stop is cancelled. `failed` is told why a round failed, and in how many seconds it is tried again.
    """
    stopping = asyncio.create_task(stop.wait())
    failures = 0
    try:
        while not stop.is_set():
            began = time.monotonic()
            wait = every
            round_ = asyncio.ensure_future(make())
            await asyncio.wait((round_, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not round_.done():
                round_.cancel()
                await asyncio.gather(round_, return_exceptions=True)
                return
            if (error := round_.exception()) is None:
                failures = 0
            elif isinstance(error, Exception):
                wait = min(first_retry * 2 ** min(failures, 20), every)
                failures += 1
                failed(error, wait)
            else:
                raise error
            rest = wait if failures else max(0.0, began + every - time.monotonic())
            await asyncio.wait((stopping,), timeout=rest)
    finally:
        stopping.cancel()
