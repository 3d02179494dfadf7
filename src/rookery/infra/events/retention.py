"""What is old goes from the event log, once every group has handled it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from rookery.infra.events import admin
from rookery.infra.events import tables as t
from rookery.infra.events.groups import Group
from rookery.infra.events.partitions import Partitions
from rookery.infra.events.turns import Watched
from rookery.kernel.clock import Clock, Millis

_CHUNK = 2_000

_log: Any = structlog.get_logger("rookery.events")


class Retention:
    """Trims the log."""

    def __init__(
        self,
        database: Watched,
        clock: Clock,
        groups: Mapping[str, Group],
        head: Callable[[], Awaitable[int]],
        at_work: Callable[[], bool],
    ) -> None:
        """`groups` are those of this process, which are `at_work` once the log is started; `head` is the log's."""
        self._database = database
        self._clock = clock
        self._groups = groups
        self._head = head
        self._at_work = at_work
        self._partitions = Partitions(database) if database.dialect == "postgresql" else None
        self._suspected: set[str] = set()
        self.deserted: set[str] = set()
        """Durable groups that nobody handles events for, as of the last two rounds, while they keep it from going on."""

    async def trim(self, keep: Millis) -> int:
        """Delete events older than `keep` ms that every group has handled; how many. Events of no group go by age alone."""
        upto = await self.handled()
        await self._look_for_deserted(upto)
        now = self._clock.now()
        before = now - keep
        total = 0
        if self._partitions is not None:
            await self._partitions.make(now, keep)
            total, upto = await self._partitions.trim(upto, before, keep)
        while True:
            # In chunks, so that no request waits long for the writer.
            gone = await self._database.write(lambda tx: tx.run(t.TRIM, upto=upto, before=before, limit=_CHUNK))
            total += gone
            if gone < _CHUNK:
                return total

    async def _look_for_deserted(self, upto: int) -> None:
        """Tell of durable groups that hold events back and that nobody handles any for, this time and the time before."""
        if not self._at_work():
            return
        rows = await self._database.all(t.ALL_GROUPS)
        here = {group.name for group in self._groups.values() if not group.elsewhere}
        # Another process may have a group of a service that this one does not run.
        names = {name for name, offset, durable, _ in rows if durable and offset == upto and name not in here}
        found = await admin.unattended(self._database, names)
        for name in sorted(found & self._suspected - self.deserted):
            _log.warning("nobody handles the events of a group, and no later ones are removed", group=name, offset=upto)
        self.deserted = found & self._suspected
        self._suspected = found

    async def handled(self) -> int:
        """The offset up to which every group has handled all, and events may be removed. The newest event stays, so that the log
        never looks as if nothing had ever happened.
        """
        groups = await self._database.all(t.ALL_GROUPS)
        here = {group.stored_as: group.offset for group in self._groups.values()}
        offsets = [offset for name, offset, durable, _ in groups if durable and name not in here]
        offsets += here.values()
        return min([*offsets, await self._head() - 1])
