"""Collects interest in memory and appends it to the event log in batches: one transaction a second, however many look."""

import asyncio
from typing import Any

import structlog

from rookery.infra.events.port import Event, EventLog
from rookery.infra.workers.port import Worker
from rookery.kernel.interest import Interest, InterestKind
from rookery.services.analytics.contract import LinkClicked, ProfileVisited, Read

_MOST_WAITING = 10_000

_log: Any = structlog.get_logger("rookery.analytics")


class InterestRecorder:
    """Takes note of interest without waiting and without failing; what finds no room, or waits in a crash, is lost."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._waiting: list[Event] = []
        self.worker = Worker("interest", self._run)
        """Appends what waits once a second."""
        self.lost = 0
        """Notes that found no room, for metrics."""

    def note(self, interest: Interest) -> None:
        """Keep it for the next batch."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(_event(interest))
        else:
            self.lost += 1

    async def flush(self) -> None:
        """Append what waits."""
        batch, self._waiting = self._waiting, []
        await self._log.publish(batch)

    async def _run(self) -> None:
        while True:
            self.worker.rest()
            await asyncio.sleep(1)
            self.worker.beat()
            try:
                await self.flush()
            except Exception as error:
                _log.warning("interest was lost", error=repr(error))


def _event(interest: Interest) -> Event:
    match interest.kind:
        case InterestKind.READ:
            return Read(interest.user_id, interest.subject_id, interest.at, interest.author_id)
        case InterestKind.PROFILE_VISIT:
            return ProfileVisited(interest.user_id, interest.subject_id, interest.at)
        case InterestKind.LINK_CLICK:
            return LinkClicked(interest.user_id, interest.subject_id, interest.at, interest.author_id)
