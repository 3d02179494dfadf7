"""The event log in the database of the changes it tells of: appended in their transactions, read in the order of commits.

Writing transactions are serialised, so offsets become visible in ascending order and a consumer that remembers one number misses
nothing. Consumers are woken by the commit itself and by commits of other processes on the same store. Where an engine deals out
turns, the process whose turn it is handles a durable group's events, and the others follow how far it has come.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import structlog

from rookery.infra.events import admin
from rookery.infra.events import tables as t
from rookery.infra.events.delivery import Delivery
from rookery.infra.events.groups import Group, turn_of
from rookery.infra.events.port import (
    Appended,
    Event,
    GroupStatus,
    Handler,
    Logged,
    Parked,
    Stretch,
    TransactionHandler,
    decode,
    encode,
)
from rookery.infra.events.recent import Recent
from rookery.infra.events.retention import Retention
from rookery.infra.events.turns import Watched
from rookery.infra.sql.port import Row, Transaction
from rookery.infra.workers.port import Chore, Worker
from rookery.kernel.clock import SECOND, Clock, Millis
from rookery.kernel.pages import Page

_BATCH = 500
_SAVE_EVERY: Millis = 5 * SECOND
_STOP_GRACE = 3.0
"""Seconds that a group has to finish the batch in hand when the log is stopped."""

_STUMBLE = 1.0
"""Seconds between tries to go on while the store is away."""

_log: Any = structlog.get_logger("rookery.events")


class SqlEventLog:
    """The engine of `infra.events.port.EventLog` and `EventAdmin` inside an SQL database."""

    def __init__(self, database: Watched, clock: Clock, process: str = "") -> None:
        """`process` is what this one is called among several, so that their groups in memory are told apart."""
        self._database = database
        self._clock = clock
        self._process = process
        self._groups: dict[str, Group] = {}
        self.workers: list[Worker] = []
        """One for each group, once the log is started."""
        self._stopping = asyncio.Event()
        self._newest = 0
        self._recent = Recent()
        self._heard = False
        """Whether another process may have committed since this one looked."""
        self._looking = Chore("event log", lambda: self._heard, self._look)
        self._delivery = Delivery(database, clock)
        self._retention = Retention(database, clock, self._groups, self.head, lambda: bool(self.workers))
        self.appended: Counter[str] = Counter()
        """Events committed by this process, by name."""

    # --- appending

    def append(self, tx: Transaction, *events: Event) -> int:
        offset = 0
        now = self._clock.now()
        for event in events:
            row = tx.one(
                t.APPEND,
                at=now,
                topic=event.topic,
                name=event.name,
                version=event.version,
                key=str(event.key),
                body=encode(event),
            )
            assert row is not None
            offset = row[0]
        if events:
            tx.after_commit(lambda: self._committed(events, offset, now))
        return offset

    async def publish(self, events: Sequence[Event]) -> None:
        if events:
            await self._database.write(lambda tx: self.append(tx, *events))

    async def head(self) -> int:
        row = await self._database.one(t.HEAD)
        assert row is not None
        return row[0]

    async def read(self, after: int, limit: int) -> Stretch:
        if recent := self._recent.after(after, limit):
            return Stretch(recent, recent[-1].offset)
        rows = await self._database.all(t.READ, after=after, limit=limit)
        found: list[Appended] = []
        for offset, at, _, name, body in rows:
            # What can't be read was parked by those whom it concerned.
            with suppress(msgspec.DecodeError):
                if (event := decode(name, body)) is not None:
                    found.append(Appended(offset, at, event))
        return Stretch(found, rows[-1][0] if rows else after)

    async def next_at(self, after: int) -> Millis | None:
        row = await self._database.one(t.NEXT_AT, after=after)
        return None if row is None else row[0]

    def _committed(self, events: Sequence[Event], offset: int, at: Millis) -> None:
        self._newest = offset
        self.appended.update(event.name for event in events)
        if self._recent.add(events, offset, at):
            self._wake_at_work()
        else:
            self._hear()  # of what another process has appended before it

    @property
    def newest(self) -> int:
        """The offset of the newest event that this process committed; 0 before the first."""
        return self._newest

    def wake(self) -> None:
        """Have every group look, now, at the log and at what is due. Whoever moves the clock should do it."""
        for group in self._groups.values():
            group.wake.set()
        self._hear()

    def _wake_at_work(self) -> None:
        for group in self._groups.values():
            if self._has_turn(group):
                group.wake.set()

    # --- what other processes do

    def _hear(self) -> None:
        """Another process may have appended events, moved a group that is not at work here, or asked for a replay."""
        self._heard = True
        if self.workers:
            self._looking.wake()

    async def _look(self) -> bool:
        """Look once for all groups: each commit of any process is heard of by all, and each has a dozen groups."""
        self._heard = False
        try:
            rows = await self._database.all(t.READ, after=self._recent.last, limit=_BATCH)
            retries: dict[str, Millis] = dict(await self._database.all(t.NEXT_RETRIES))
            offsets: dict[str, int] = {}
            if any(not self._has_turn(group) for group in self._groups.values()):
                offsets = {name: offset for name, offset, _, _ in await self._database.all(t.ALL_GROUPS)}
        except BaseException:
            self._heard = True
            raise
        for offset, at, _, name, body in rows:
            self._recent.read(offset, _decoded(offset, at, name, body))
        for group in self._groups.values():
            if not self._has_turn(group):
                self._follow(group, offsets.get(group.stored_as, 0))
                continue
            retry_at = retries.get(group.stored_as)
            if retry_at is not None and (group.retry_at is None or retry_at < group.retry_at):
                group.retry_at = retry_at
                group.wake.set()
            if rows:
                group.wake.set()
        if len(rows) == _BATCH:
            self._heard = True
        return True

    def _follow(self, group: Group, offset: int) -> None:
        """The group has come so far in another process."""
        if offset > group.offset:
            group.saved = offset
            group.move(offset)

    # --- groups

    def subscribe(self, group: str, topics: Sequence[str], handler: Handler, *, durable: bool = False) -> None:
        stored_as = f"{group}@{self._process}" if self._process and not durable else group
        self._add(Group(group, topics, handler, None, durable=durable, from_head=durable, stored_as=stored_as))

    def follow(self, group: str) -> None:
        self._add(Group(group, (), None, None, durable=True))

    def subscribe_in_transaction(
        self,
        group: str,
        topics: Sequence[str],
        handler: TransactionHandler,
        *,
        wanted: Callable[[Event], bool] | None = None,
        linger: float = 0.0,
        prepare: Callable[[], Awaitable[None]] | None = None,
        before: Handler | None = None,
        from_head: bool = False,
    ) -> None:
        self._add(
            Group(
                group, topics, None, handler,
                wanted=wanted, linger=linger, prepare=prepare, before=before, from_head=from_head,
            )
        )  # fmt: skip

    def _add(self, group: Group) -> None:
        if group.name in self._groups:
            raise ValueError(f"the group {group.name} is subscribed already")
        if self.workers:
            raise RuntimeError("groups are subscribed before the log is started")
        self._groups[group.name] = group

    async def start(self) -> None:
        """Begin to deliver to the groups subscribed so far."""
        groups = list(self._groups.values())

        def work(tx: Transaction) -> list[int]:
            head = tx.one(t.HEAD)
            assert head is not None
            offsets: list[int] = [head[0]]
            for group in groups:
                if not group.durable:
                    offsets.append(head[0])
                    # What a volatile group failed at died with the memory that it kept.
                    tx.run(t.DROP_RETRIES, group_name=group.stored_as)
                else:
                    row = tx.one(t.GROUP, name=group.stored_as)
                    offsets.append(row[0] if row else head[0] if group.from_head else 0)
                if not group.elsewhere:
                    self._delivery.save(tx, group, offsets[-1])
            return offsets

        head, *offsets = await self._database.write(work)
        self._recent.begin(head)
        for group, offset in zip(groups, offsets, strict=True):
            group.offset = group.saved = offset
            group.saved_at = self._clock.now()
            group.retry_at = 0
        self._database.on_foreign_commit(self._hear)
        for group in groups:
            if group.durable and not group.elsewhere and self._database.turns is not None:
                self._database.turns.want(turn_of(group.name), self.wake)
            group.worker = Worker(f"consumer {group.name}", partial(self._consume, group))
            group.worker.start()
            self.workers.append(group.worker)
        # What was committed elsewhere while this one got ready, nobody tells it again.
        self._hear()

    async def stop(self) -> None:
        """Let each group finish the batch in hand, if it does within some seconds, and store the offsets."""
        if not self.workers:
            return
        self._stopping.set()
        await self._looking.close()
        for group in self._groups.values():
            group.wake.set()
        for group in self._groups.values():
            group.hurry.set()
        await asyncio.gather(*(worker.stop(_STOP_GRACE) for worker in self.workers))
        self.workers = []
        await self._delivery.save_offsets([group for group in self._groups.values() if self._has_turn(group)])
        if self._database.turns is not None:
            await self._database.turns.drop(self.wake)

    async def reached(self, group: str, offset: int, timeout: float) -> bool:
        found = self._groups[group]
        if found.offset >= offset:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        found.waiters.append((offset, future))
        found.hurry.set()
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            return False
        return True

    def position(self, group: str) -> int:
        return self._groups[group].offset

    # --- consuming

    async def _consume(self, group: Group) -> None:
        while not self._stopping.is_set():
            group.wake.clear()
            try:
                if not self._has_turn(group):
                    await self._stand_by(group)
                    continue
                if group.prepare is not None and not group.prepared:
                    group.worker.rest()
                    await group.prepare()
                    group.worker.beat()
                    group.prepared = True
                if group.in_hand is not None:
                    await self._delivery.resume(group, group.in_hand)
                if group.retry_at is not None and self._delivery.is_due(group.retry_at):
                    await self._delivery.retry(group)
                rows: Sequence[Row] = ()
                if recent := self._recent.after(group.offset, _BATCH):
                    await self._delivery.deliver(group, await self._choose(group, recent), recent[-1].offset)
                elif group.offset < self._recent.last and (rows := await self._behind(group)):
                    items = await self._delivery.decode(group, rows)
                    await self._delivery.deliver(group, await self._choose(group, items), rows[-1][0])
                if recent or rows:
                    group.worker.beat()
                    # A busy group must not keep requests waiting.
                    await asyncio.sleep(0)
                    if group.linger and len(recent or rows) < _BATCH:
                        await self._linger(group)
                else:
                    await self._pause(group)
            except Exception:
                # The store, or an engine of the handler's, is away: the events are still there when it is back.
                group.failures += 1
                _log.exception("consumer stumbled", group=group.name)
                group.worker.rest()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_STUMBLE):
                        await self._stopping.wait()
                group.worker.beat()

    async def _behind(self, group: Group) -> Sequence[Row]:
        """What follows for a group that is behind the run that this process knows; what follows that run is looked for for all at once."""
        return await self._database.all(t.READ, after=group.offset, limit=_BATCH)

    def _has_turn(self, group: Group) -> bool:
        turns = self._database.turns
        return not group.elsewhere and (turns is None or not group.durable or turns.has(turn_of(group.name)))

    async def _stand_by(self, group: Group) -> None:
        """Follow the process whose turn it is, until it ends; then go on where it was."""
        group.in_hand = None
        group.prepared = group.prepare is None
        row = await self._database.one(t.GROUP, name=group.stored_as)
        self._follow(group, 0 if row is None else row[0])
        group.retry_at = 0  # what it has parked is looked up when it is this one's turn
        group.worker.rest()
        await group.wake.wait()
        group.worker.beat()

    async def _linger(self, group: Group) -> None:
        """Let events gather, unless somebody waits for the group."""
        if group.waiters or self._stopping.is_set():
            return
        group.hurry.clear()
        group.worker.rest()
        with suppress(TimeoutError):
            async with asyncio.timeout(group.linger):
                await group.hurry.wait()
        group.worker.beat()

    async def _pause(self, group: Group) -> None:
        """Wait for the next event, the next try, or the time to store the offset."""
        now = self._clock.now()
        due: list[Millis] = [] if group.retry_at is None else [group.retry_at]
        if group.offset > group.saved:
            # A moment in the future is one from before the clock was set back.
            if not now - _SAVE_EVERY < group.saved_at <= now:
                await self._delivery.save_offsets([group])
                return
            due.append(group.saved_at + _SAVE_EVERY)
        wait = max(0, min(due) - now) / 1000 if due else None
        group.worker.rest()
        with suppress(TimeoutError):
            # Not wait_for: before Python 3.12 it forgets a cancellation that comes together with what is waited for.
            async with asyncio.timeout(wait):
                await group.wake.wait()
        group.worker.beat()

    async def _choose(self, group: Group, items: Sequence[Appended]) -> list[Appended]:
        """Those that concern the group, once it has looked at all of its topics' before."""
        if group.before is not None and (known := [item for item in items if item.event.topic in group.topics]):
            await group.before(known)
        return [item for item in items if group.concerns(item.event)]

    # --- for operators

    async def trim(self, keep: Millis) -> int:
        """As `Retention.trim`."""
        return await self._retention.trim(keep)

    async def handled(self) -> int:
        """As `Retention.handled`."""
        return await self._retention.handled()

    @property
    def deserted(self) -> set[str]:
        """As `Retention.deserted`."""
        return self._retention.deserted

    async def unattended(self, groups: Collection[str]) -> set[str]:
        """Those of these durable groups of other processes that nobody handles events for now."""
        return await admin.unattended(self._database, groups)

    async def status(self) -> list[GroupStatus]:
        live = {group.stored_as: group.offset for group in self._groups.values() if self.workers}
        return await admin.status(self._database, live, self._clock.now())

    def lags(self) -> dict[str, int]:
        """Offsets between the newest event seen and each group of this process: what a gauge shows, without a scan."""
        newest = max((group.offset for group in self._groups.values()), default=0)
        newest = max(newest, self._newest, self._recent.last)
        return {name: newest - group.offset for name, group in self._groups.items()}

    async def lag_seconds(self) -> dict[str, float]:
        """The age (s) of the oldest event that each group of this process has not looked at; 0 where there is none."""
        now = self._clock.now()
        found: dict[str, float] = {}
        for name, group in self._groups.items():
            row = await self._database.one(t.NEXT_AT, after=group.offset)
            found[name] = 0.0 if row is None else max(0, now - row[0]) / 1000
        return found

    async def parked_numbers(self) -> dict[str, int]:
        """How many events of each group of this process, and of any other that has some, are parked."""
        kept: dict[str, int] = dict(await self._database.scan(lambda reader: reader.all(t.PARKED_COUNTS)))
        return {group.stored_as: 0 for group in self._groups.values()} | kept

    def failures(self) -> dict[str, int]:
        """Failed tries of each group of this process."""
        return {name: group.failures for name, group in self._groups.items()}

    async def parked(self, group: str | None = None) -> list[Parked]:
        return await admin.parked(self._database, group)

    async def parked_page(self, group: str | None, page: Page) -> list[Parked]:
        return await admin.parked_page(self._database, group, page)

    async def find(self, offset: int) -> Logged | None:
        return await admin.find(self._database, offset)

    async def replay(self, group: str | None = None, offset: int | None = None) -> int:
        def work(tx: Transaction) -> int:
            count = tx.run(t.REPLAY, group_name=group or "", offset=offset or 0)
            tx.after_commit(self._hear)
            return count

        return await self._database.write(work)

    async def skip(self, group: str, offset: int | None = None) -> list[Parked]:
        return await admin.skip(self._database, self, group, offset)


def _decoded(offset: int, at: Millis, name: str, body: str) -> Appended | None:
    """The event, or None for one that can't be read, or that this version does not know."""
    try:
        event = decode(name, body)
    except msgspec.DecodeError:
        return None
    return None if event is None else Appended(offset, at, event)
