"""Reading ahead: a file is read and parsed in a thread while what was read before is written."""

import asyncio
from asyncio import Event, Queue
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from threading import Semaphore, Thread
from typing import Final, TypeVar

T = TypeVar("T")

_ITEMS: Final = 2


async def ahead(items: Iterator[T], stop: Event) -> AsyncGenerator[T, None]:
    """`items`, each made in a thread while the one before is dealt with, until they end or `stop` is set.

    The thread is left behind where it waits for input that does not come: it ends with the program. What `items` raises is
    raised here.
    """
    loop = asyncio.get_running_loop()
    queue: Queue[T | BaseException | None] = Queue()
    room = Semaphore(_ITEMS)
    left = False

    def make() -> None:
        last: BaseException | None = None
        # A loop that is closed needs nothing any more.
        with suppress(RuntimeError):
            try:
                for item in items:
                    room.acquire()
                    if left:
                        return
                    loop.call_soon_threadsafe(queue.put_nowait, item)
            except BaseException as error:
                last = error
            loop.call_soon_threadsafe(queue.put_nowait, last)

    async def watch() -> None:
        await stop.wait()
        queue.put_nowait(None)

    Thread(target=make, name="reading", daemon=True).start()
    watching = loop.create_task(watch())
    try:
        while True:
            item = await queue.get()
            if stop.is_set() or item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
            room.release()
    finally:
        left = True
        room.release()
        watching.cancel()
