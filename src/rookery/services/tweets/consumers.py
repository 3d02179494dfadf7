"""What the Tweet Service does when something happened: it forgets cached tweets that any process changed."""

from collections.abc import Sequence

from rookery.infra.events.port import Appended, EventLog
from rookery.services.tweets.reads import ReadService

GROUP = "tweets.cache"


def react(log: EventLog, reads: ReadService) -> None:
    """Subscribe the cache. Versions make this harmless for what this process wrote itself, and in any order."""

    async def handle(batch: Sequence[Appended]) -> None:
        reads.happened(item.event for item in batch)

    log.subscribe(GROUP, ("tweets", "ops"), handle)
