"""What moderation does when something happened: a list that another process changed is loaded again."""

from collections.abc import Sequence

from rookery.infra.events.port import Appended, EventLog
from rookery.services.moderation.contract import BlocklistChanged
from rookery.services.moderation.service import ModerationService

GROUP = "moderation.lists"


def react(log: EventLog, service: ModerationService) -> None:
    """Subscribe the lists in memory. Each is read whole, so that order and repeats do no harm."""

    async def handle(batch: Sequence[Appended]) -> None:
        changed = {item.event.list for item in batch if isinstance(item.event, BlocklistChanged)}
        await service.load(changed)

    log.subscribe(GROUP, ("moderation",), handle)
