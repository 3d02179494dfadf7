"""The operators' view. It keeps nothing but a short memory of figures."""

import asyncio
import re
import time
from collections.abc import Callable
from itertools import groupby
from typing import Any, Final

import structlog
from msgspec.structs import replace

from rookery.infra.events.port import EventAdmin, Parked
from rookery.infra.workers.port import Worker
from rookery.kernel.clock import Clock
from rookery.kernel.errors import Invalid, NotFound, Unavailable
from rookery.kernel.ids import MAX_ID
from rookery.kernel.pages import Page, Slice, slice_of
from rookery.services.moderation.contract import Act, Actor, Acts, Note, Target
from rookery.services.ops.contract import Failure, Overview, ParkedEvent, Sample, Span, Storage
from rookery.services.ops.history import (
    COARSE_EVERY,
    EVERY,
    History,
    Moment,
    cache_figures,
    percentile,
    rate,
    request_rates,
)
from rookery.services.ops.sources import Sources
from rookery.services.users.contract import Role

_GROUP: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_SAMPLES_A_MINUTE: Final = round(COARSE_EVERY / EVERY)

_log: Any = structlog.get_logger("rookery.ops")


class OpsService:
    """Implements `contract.Ops`. For the event loop only."""

    def __init__(
        self,
        *,
        acts: Acts,
        events: EventAdmin,
        sources: Sources,
        clock: Clock,
        version: str,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timer` tells seconds and never jumps."""
        self._acts = acts
        self._events = events
        self._sources = sources
        self._clock = clock
        self._version = version
        self._timer = timer
        self._started = timer()
        self._history = History()
        self._sampled = 0
        self._database = 0
        self.worker = Worker("figures", self._run)
        """Takes a sample every five seconds."""

    # --- figures

    async def overview(self, actor: Actor) -> Overview:
        await self._acts.require(actor, Role.MODERATOR)
        groups = await self._events.status()
        storage = await self._storage() if await self._acts.holds(actor, Role.ADMIN) else None
        now = self._moment()
        before = self._history.minute_ago(now)
        old, new, present = before.figures, now.figures, self._sources.present()
        return Overview(
            at=self._clock.now(),
            version=self._version,
            uptime=now.time - self._started,
            seconds=now.time - before.time,
            parts=present.parts,
            requests=request_rates(before, now),
            p50=percentile(old, new, 0.5),
            p99=percentile(old, new, 0.99),
            tweets=rate(before, now, (old.tweets, new.tweets)),
            deliveries=rate(before, now, (old.deliveries, new.deliveries)),
            groups=groups,
            caches=cache_figures(before, now),
            online=new.online,
            timelines=await self._timelines(),
            timeline_bytes=present.timeline_bytes,
            connections=present.connections,
            at_work=present.at_work,
            memory=new.memory,
            storage=storage,
        )

    async def history(self, actor: Actor, span: Span) -> list[Sample]:
        await self._acts.require(actor, Role.MODERATOR)
        found = self._history.samples(span)
        return found if await self._acts.holds(actor, Role.ADMIN) else [replace(one, database=0) for one in found]

    async def sample(self) -> None:
        """Take the figures of this moment in, and once a minute the disk's."""
        if self._sampled % _SAMPLES_A_MINUTE == 0:
            storage = await self._storage()
            self._database = 0 if storage is None else storage.database + storage.log
        self._sampled += 1
        self._history.note(self._moment(), self._clock.now(), self._database)

    def _moment(self) -> Moment:
        return Moment(self._timer(), self._sources.figures())

    async def _timelines(self) -> int:
        """As many as are cached; 0 where what caches them is away, for then nobody has one."""
        try:
            return await self._sources.timelines()
        except Unavailable:
            return 0

    async def _storage(self) -> Storage | None:
        """What the disk says; None where it says nothing, which must not hide all the rest."""
        try:
            return await self._sources.storage()
        except OSError as error:
            _log.warning("the disk does not tell its figures", error=repr(error))
            return None

    async def _run(self) -> None:
        while True:
            try:
                await self.sample()
            except Exception:
                _log.exception("figures could not be read; it is tried again")
            self.worker.rest()
            await asyncio.sleep(EVERY)
            self.worker.beat()

    # --- what consumers could not handle

    async def parked(self, actor: Actor, group: str | None, page: Page) -> Slice[ParkedEvent]:
        await self._acts.require(actor, Role.ADMIN)
        _check(group, None)
        # One event more tells that there are more.
        rows = await self._events.parked_page(group, Page(page.limit + 1, page.before, page.after))
        events = [_event(list(same)) for _, same in groupby(rows, lambda row: row.offset)]
        return slice_of(events, page, lambda event: event.offset)

    async def replay(self, actor: Actor, group: str | None, offset: int | None, reason: str) -> int:
        await self._acts.require(actor, Role.ADMIN)
        _check(group, offset)
        note = Note(Act.REPLAY, Target.EVENT, offset or 0, reason, after=group)
        return await self._acts.noted(actor, note, lambda: self._events.replay(group, offset))

    async def skip(self, actor: Actor, group: str, offset: int | None, reason: str) -> list[Parked]:
        await self._acts.require(actor, Role.ADMIN)
        _check(group, offset)

        async def work() -> list[Parked]:
            skipped = await self._events.skip(group, offset)
            if offset is not None and not skipped:
                raise NotFound(
                    "the group {group} has no event {offset} parked", code="not_parked", group=group, offset=offset
                )
            return skipped

        return await self._acts.noted(actor, Note(Act.SKIP, Target.EVENT, offset or 0, reason, after=group), work)


def _check(group: str | None, offset: int | None) -> None:
    """Raises Invalid for what can't be the name of a group, or an offset."""
    if group is not None and not _GROUP.fullmatch(group):
        raise Invalid("{field} is not the name of a group", field="group", code="invalid_group")
    if offset is not None and not 0 < offset <= MAX_ID:
        raise Invalid("{field} is not the offset of an event", field="offset", code="invalid_offset")


def _event(rows: list[Parked]) -> ParkedEvent:
    first = rows[0]
    failures = [Failure(one.group, one.error, one.attempts, one.retry_at) for one in rows]
    return ParkedEvent(first.offset, first.name, first.key, first.body, failures)
