"""The event log in the database of the changes it tells of: appended in their transactions, read in the order of commits.

SQLite serialises writing transactions, so offsets become visible in ascending order and a consumer that remembers one number
misses nothing. Consumers are woken by the commit itself and by commits of other processes on the same file.
"""

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec
import structlog

from rookery.infra.events import tables as t
from rookery.infra.events.port import (
    Appended,
    Event,
    GroupStatus,
    Handler,
    Parked,
    TransactionHandler,
    decode,
    encode,
)
from rookery.infra.sql.port import Database, Reader, Row, Transaction
from rookery.kernel.clock import SECOND, Clock, Millis

_BATCH = 500
_TRIM_CHUNK = 2_000
_SAVE_EVERY: Millis = 5 * SECOND
_BACKOFF: tuple[Millis, ...] = (100, 400, 1_600, 6_400, 25_600)
"""Waits before each further try (ms); after the last one an event is parked until an operator replays it."""

_log: Any = structlog.get_logger("rookery.events")


class Watched(Database, Protocol):
    """A database that tells when another process may have changed it."""

    def on_foreign_commit(self, call: Callable[[], None]) -> None: ...


class _Group:
    """One consumer group in this process."""

    def __init__(
        self, name: str, topics: Sequence[str], handler: Handler | None, in_transaction: TransactionHandler | None
    ) -> None:
        self.name = name
        self.topics = frozenset(topics)
        self.handler = handler
        self.in_transaction = in_transaction
        self.offset = 0
        self.handled = 0
        self.failures = 0
        self.wake = asyncio.Event()
        self.retry_at: Millis | None = None
        """When the next parked event is due; looked up again after a commit of another process."""
        self.waiters: list[tuple[int, asyncio.Future[None]]] = []

    def move(self, offset: int) -> None:
        self.offset = offset
        if self.waiters:
            due = [future for at, future in self.waiters if at <= offset and not future.done()]
            self.waiters = [waiter for waiter in self.waiters if waiter[0] > offset and not waiter[1].done()]
            for future in due:
                future.set_result(None)


class SqlEventLog:
    """The engine of `infra.events.port.EventLog` and `EventAdmin` inside an SQL database."""

    def __init__(self, database: Watched, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._groups: dict[str, _Group] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._saved_at: Millis = 0
        self._stopping = False
        self._newest = 0
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
            tx.after_commit(lambda: self._committed(events, offset))
        return offset

    async def publish(self, events: Sequence[Event]) -> None:
        if events:
            await self._database.write(lambda tx: self.append(tx, *events))

    async def head(self) -> int:
        row = await self._database.one(t.HEAD)
        assert row is not None
        return row[0]

    def _committed(self, events: Sequence[Event], offset: int) -> None:
        self._newest = offset
        self.appended.update(event.name for event in events)
        self._wake()

    def _wake(self) -> None:
        for group in self._groups.values():
            group.wake.set()

    def _wake_for_foreign(self) -> None:
        for group in self._groups.values():
            group.retry_at = 0  # an operator may have asked for a replay
            group.wake.set()

    # --- groups

    def subscribe(self, group: str, topics: Sequence[str], handler: Handler) -> None:
        self._add(_Group(group, topics, handler, None))

    def subscribe_in_transaction(self, group: str, topics: Sequence[str], handler: TransactionHandler) -> None:
        self._add(_Group(group, topics, None, handler))

    def _add(self, group: _Group) -> None:
        if group.name in self._groups:
            raise ValueError(f"the group {group.name} is subscribed already")
        if self._tasks:
            raise RuntimeError("groups are subscribed before the log is started")
        self._groups[group.name] = group

    async def start(self) -> None:
        """Begin to deliver to the groups subscribed so far."""
        head = await self.head()
        for group in self._groups.values():
            if group.handler is not None:
                group.offset = head
                # What a volatile group failed at died with the memory that it kept.
                await self._database.write(lambda tx, name=group.name: tx.run(t.DROP_RETRIES, group_name=name))
            else:
                row = await self._database.one(t.GROUP, name=group.name)
                group.offset = row[0] if row else 0
            group.retry_at = 0
        await self._save_offsets()
        self._database.on_foreign_commit(self._wake_for_foreign)
        self._tasks = [
            asyncio.create_task(self._consume(group), name=f"consumer {group.name}") for group in self._groups.values()
        ]

    async def stop(self) -> None:
        """Let each group finish the batch in hand, and store the offsets."""
        if not self._tasks:
            return
        self._stopping = True
        self._wake()
        await asyncio.gather(*self._tasks)
        self._tasks = []
        await self._save_offsets()

    async def reached(self, group: str, offset: int, timeout: float) -> bool:
        found = self._groups[group]
        if found.offset >= offset:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        found.waiters.append((offset, future))
        try:
            await asyncio.wait_for(future, timeout)
        except TimeoutError:
            return False
        return True

    # --- consuming

    async def _consume(self, group: _Group) -> None:
        while not self._stopping:
            group.wake.clear()
            try:
                if group.retry_at is not None and group.retry_at <= self._clock.now():
                    await self._retry(group)
                rows = await self._database.all(t.READ, after=group.offset, limit=_BATCH)
                if rows:
                    await self._deliver(group, rows)
                    # A busy group must not keep requests waiting.
                    await asyncio.sleep(0)
                else:
                    await self._pause(group)
            except Exception:
                # The store is away: the events are still there when it is back.
                group.failures += 1
                _log.exception("consumer stumbled", group=group.name)
                await asyncio.sleep(1)

    async def _pause(self, group: _Group) -> None:
        if self._clock.now() - self._saved_at >= _SAVE_EVERY:
            await self._save_offsets()
        wait = None
        if group.retry_at is not None:
            wait = max(0.0, (group.retry_at - self._clock.now()) / 1000)
        with suppress(TimeoutError):
            await asyncio.wait_for(group.wake.wait(), wait)

    async def _deliver(self, group: _Group, rows: Sequence[Row]) -> None:
        last = rows[-1][0]
        batch = [
            Appended(offset, at, event)
            for offset, at, topic, name, body in rows
            if topic in group.topics and (event := decode(name, body)) is not None
        ]
        if not batch and group.handler is None:
            await self._database.write(lambda tx: self._save(tx, group, last))
        elif batch:
            try:
                await self._handle(group, batch, last)
            except Exception as error:
                _log.warning("a batch failed; one by one", group=group.name, error=repr(error))
                await self._one_by_one(group, batch, last)
        group.handled += len(batch)
        group.move(last)

    async def _handle(self, group: _Group, batch: Sequence[Appended], offset: int | None) -> None:
        """Hand `batch` to the group; a durable one stores `offset` with the effect."""
        if group.handler is not None:
            await group.handler(batch)
            return
        handler = group.in_transaction
        assert handler is not None

        def work(tx: Transaction) -> None:
            handler(tx, batch)
            if offset is not None:
                self._save(tx, group, offset)

        await self._database.write(work)

    async def _one_by_one(self, group: _Group, batch: Sequence[Appended], last: int) -> None:
        for item in batch:
            try:
                await self._handle(group, [item], item.offset)
            except Exception as error:
                await self._park(group, item, 1, error)
        if group.handler is None:
            await self._database.write(lambda tx: self._save(tx, group, last))

    async def _park(self, group: _Group, item: Appended, attempts: int, error: Exception) -> None:
        group.failures += 1
        retry_at = self._clock.now() + _BACKOFF[attempts - 1] if attempts <= len(_BACKOFF) else None
        text = "".join(traceback.format_exception_only(error)).strip()
        _log.warning(
            "event parked" if retry_at is None else "event will be tried again",
            group=group.name, offset=item.offset, event_name=item.event.name, attempts=attempts, error=text,
        )  # fmt: skip

        def work(tx: Transaction) -> None:
            tx.run(
                t.PARK,
                group_name=group.name,
                offset=item.offset,
                at=item.at,
                name=item.event.name,
                key=str(item.event.key),
                body=encode(item.event),
                error=text,
                attempts=attempts,
                retry_at=retry_at,
            )
            if group.handler is None and item.offset > group.offset:
                self._save(tx, group, item.offset)

        await self._database.write(work)
        if retry_at is not None:
            group.retry_at = min(group.retry_at or retry_at, retry_at)

    async def _retry(self, group: _Group) -> None:
        for offset, at, name, body, attempts in await self._database.all(
            t.DUE, group_name=group.name, now=self._clock.now()
        ):
            event = decode(name, body)
            if event is not None:
                item = Appended(offset, at, event)
                try:
                    await self._handle(group, [item], None)
                except Exception as error:
                    await self._park(group, item, attempts + 1, error)
                    continue
            await self._database.write(
                lambda tx, offset=offset: tx.run(t.UNPARK, group_name=group.name, offset=offset)
            )
        row = await self._database.one(t.NEXT_RETRY, group_name=group.name)
        group.retry_at = row[0] if row else None

    def _save(self, tx: Transaction, group: _Group, offset: int) -> None:
        tx.run(
            t.SAVE_GROUP,
            name=group.name,
            offset=offset,
            durable=int(group.handler is None),
            topics=msgspec.json.encode(sorted(group.topics)).decode(),
        )

    async def _save_offsets(self) -> None:
        """Store the offsets of volatile groups, for operators to see; durable ones store theirs with their effects."""
        self._saved_at = self._clock.now()
        volatile = [(group, group.offset) for group in self._groups.values() if group.handler is not None]

        def work(tx: Transaction) -> None:
            for group, offset in volatile:
                self._save(tx, group, offset)

        if volatile:
            await self._database.write(work)

    # --- retention

    async def trim(self, keep: Millis) -> int:
        """Delete events older than `keep` ms that every group has handled; how many. Events of no group go by age alone."""
        groups = await self._database.all(t.ALL_GROUPS)
        offsets = [offset for name, offset, durable, _ in groups if durable and name not in self._groups]
        offsets += [group.offset for group in self._groups.values()]
        # The newest event stays, so that the log never looks as if nothing had ever happened.
        upto = min([*offsets, await self.head() - 1])
        before = self._clock.now() - keep
        total = 0
        while True:
            # In chunks, so that no request waits long for the writer.
            gone = await self._database.write(
                lambda tx: tx.run(t.TRIM, upto=upto, before=before, limit=_TRIM_CHUNK)
            )
            total += gone
            if gone < _TRIM_CHUNK:
                return total

    # --- for operators

    async def status(self) -> list[GroupStatus]:
        parked = {name: count for name, count in await self._database.all(t.PARKED_COUNTS)}
        rows = await self._database.all(t.ALL_GROUPS)
        live = {name: group.offset for name, group in self._groups.items() if self._tasks}

        def work(reader: Reader) -> list[GroupStatus]:
            found: list[GroupStatus] = []
            for name, stored, _, topics in rows:
                offset: int = live[name] if name in live else stored
                wanted = set(msgspec.json.decode(topics))
                waiting = [row for row in reader.all(t.COUNT_TOPICS_AFTER, after=offset) if row[0] in wanted]
                oldest: int | None = min((row[2] for row in waiting), default=None)
                lag = sum(row[1] for row in waiting)
                found.append(GroupStatus(name, offset, lag, oldest, parked.get(name, 0)))
            return found

        return await self._database.scan(work)

    def lags(self) -> dict[str, int]:
        """Offsets between the newest event seen and each group of this process: what a gauge shows, without a scan."""
        newest = max((group.offset for group in self._groups.values()), default=0)
        newest = max(newest, self._newest)
        return {name: newest - group.offset for name, group in self._groups.items()}

    def health(self) -> dict[str, str]:
        """Each consumer, and "ok" or what is wrong with it."""
        states = {task.get_name(): "ended" if task.done() else "ok" for task in self._tasks}
        return states if states else {"consumers": "not started"}

    def failures(self) -> dict[str, int]:
        """Failed tries of each group of this process."""
        return {name: group.failures for name, group in self._groups.items()}

    async def parked(self, group: str | None = None) -> list[Parked]:
        rows = await self._database.all(t.LIST_PARKED)
        return [Parked(*row) for row in rows if group is None or row[0] == group]

    async def replay(self, group: str | None = None, offset: int | None = None) -> int:
        def work(tx: Transaction) -> int:
            count = tx.run(t.REPLAY, group_name=group or "", offset=offset or 0)
            tx.after_commit(self._wake_for_foreign)
            return count

        return await self._database.write(work)
