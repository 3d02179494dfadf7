"""What the Tweet Service does when something happened: it forgets cached tweets that any process changed."""

from collections.abc import Awaitable, Callable, Sequence

from rookery.infra.events.port import Appended, EventLog
from rookery.services.tweets.reads import ReadService

GROUP = "tweets.cache"
SHARED = "tweets.shared"


def react(log: EventLog, reads: ReadService) -> None:
    """Subscribe the cache. Versions make this harmless for what this process wrote itself, and in any order."""

    async def handle(batch: Sequence[Appended]) -> None:
        reads.happened(batch)

    log.subscribe(GROUP, ("tweets", "ops"), handle)


def react_shared(log: EventLog, reads: ReadService, settled: Callable[[], Awaitable[None]]) -> None:
    """Subscribe a cache that processes share. The group is durable: what a process that died has not told the cache is told by another.
    `settled` waits until the cache has heard of it.
    """

    async def handle(batch: Sequence[Appended]) -> None:
        reads.happened(batch)
        await settled()

    log.subscribe(SHARED, ("tweets", "ops"), handle, durable=True)
