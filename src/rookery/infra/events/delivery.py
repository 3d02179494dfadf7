"""Events are handed to the groups of this process, and those that fail are parked: tried again after a while, in the end left to an operator."""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog

from rookery.infra.events import tables as t
from rookery.infra.events.groups import CutShort, Group, InHand
from rookery.infra.events.port import Appended, decode
from rookery.infra.sql.port import Database, Row, Transaction, Value
from rookery.kernel.clock import Clock, Millis
from rookery.kernel.errors import RookeryError, Unavailable
from rookery.kernel.ids import NO_LEASE

_BACKOFF: tuple[Millis, ...] = (100, 400, 1_600, 6_400, 25_600)
"""Waits before each further try (ms); after the last one an event is parked until an operator replays it."""

_log: Any = structlog.get_logger("rookery.events")


class Delivery:
    """Hands batches to groups, and knows what has become of each."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def decode(self, group: Group, rows: Sequence[Row]) -> list[Appended]:
        """The events of the group's topics among the rows; what can't be read is parked."""
        batch: list[Appended] = []
        for offset, at, topic, name, body in rows:
            if topic not in group.topics:
                continue
            try:
                event = decode(name, body)
            except msgspec.DecodeError as error:
                # Without the offset, which may not pass what was not handled yet.
                await self._park(group, offset, name, error)
                continue
            if event is not None:
                batch.append(Appended(offset, at, event))
        return batch

    async def deliver(self, group: Group, batch: Sequence[Appended], last: int) -> None:
        """Hand over what concerns the group of the events up to the offset `last`."""
        if batch:
            try:
                await self._handle(group, batch, lambda tx: self.save(tx, group, last))
            except Exception as error:
                if _is_away(group, error):
                    raise
                await self._one_by_one(group, batch, error)
            else:
                if group.durable:
                    group.saved = last
        group.move(last)

    async def resume(self, group: Group, cut: InHand) -> None:
        """Go on after a run that was cut short: what was in hand may be what it stalled at or died of, so one by one, and what
        was by itself already waits for its next try.
        """
        error = CutShort(group.worker.cause)
        batch = cut.batch
        if group.durable:
            # The transaction in hand may be committed, or be yet; one that comes after it knows.
            row = await self._database.write(lambda tx: tx.one(t.GROUP, name=group.stored_as))
            group.saved = row[0] if row else 0
            group.move(group.saved)
            if not cut.attempts:
                batch = [item for item in batch if item.offset > group.offset]
        group.in_hand = None
        if cut.attempts:
            for item in batch:
                await self._park(group, item.offset, item.event.name, error, attempts=cut.attempts + 1)
        elif batch:
            await self._one_by_one(group, batch, error)

    async def _one_by_one(self, group: Group, batch: Sequence[Appended], error: Exception) -> None:
        """Handle again each event of a batch that failed with `error`, and park those that fail by themselves."""
        if len(batch) > 1:
            _log.warning("a batch failed; one by one", group=group.name, error=repr(error))
        for item in batch:
            save = partial(self.save, group=group, offset=item.offset)
            failed = error if len(batch) == 1 else await self._attempt(group, item, save)
            if failed is not None:
                await self._park(group, item.offset, item.event.name, failed, save if group.durable else None)
            # At once: should the store fail now, what was handled is not handled again.
            if group.durable:
                group.saved = item.offset
            group.move(item.offset)
            group.worker.beat()

    async def _attempt(
        self, group: Group, item: Appended, then: Callable[[Transaction], object], attempts: int = 0
    ) -> Exception | None:
        try:
            await self._handle(group, [item], then, attempts)
        except Exception as error:
            if not attempts and _is_away(group, error):
                raise
            return error
        return None

    async def _handle(
        self, group: Group, batch: Sequence[Appended], then: Callable[[Transaction], object], attempts: int = 0
    ) -> None:
        """Hand `batch` to the group; `then` becomes part of a durable group's transaction."""
        group.in_hand = InHand(batch, attempts)
        try:
            await self._hand_over(group, batch, then, attempts)
        except Exception:
            group.in_hand = None
            raise
        # Where the run itself is cut short, it stays for the next one.
        group.in_hand = None

    async def _hand_over(
        self, group: Group, batch: Sequence[Appended], then: Callable[[Transaction], object], attempts: int
    ) -> None:
        if group.handler is None:
            handler = group.in_transaction
            assert handler is not None

            def work(tx: Transaction) -> None:
                row = None if attempts else tx.one(t.GROUP, name=group.stored_as)
                # A command that reacts to events beside the server may have handled them.
                fresh = batch if row is None else [item for item in batch if item.offset > row[0]]
                if then(tx) == 0 and attempts:
                    return  # another process has had the same try
                if fresh:
                    handler(tx, fresh)

            await self._database.write(work)
            return
        try:
            await group.handler(batch)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody has cancelled the consumer: it goes on, as after any other failure.
            raise RuntimeError("the handler waited for something that was cancelled") from error
        if group.durable:
            await self._database.write(then)

    async def _park(
        self,
        group: Group,
        offset: int,
        name: str,
        error: Exception,
        then: Callable[[Transaction], object] | None = None,
        *,
        attempts: int = 1,
    ) -> None:
        """Keep the event at `offset` for another try, or for an operator; `then` becomes part of the transaction."""
        group.failures += 1
        retry_at = self._clock.now() + _BACKOFF[attempts - 1] if attempts <= len(_BACKOFF) else None
        text = "".join(traceback.format_exception_only(error)).strip()
        _log.warning(
            "event parked" if retry_at is None else "event will be tried again",
            group=group.name, offset=offset, event_name=name, attempts=attempts, error=text,
        )  # fmt: skip

        def work(tx: Transaction) -> None:
            key: dict[str, Value] = {"group_name": group.stored_as, "offset": offset}
            if attempts == 1:
                tx.run(t.PARK, error=text, attempts=1, retry_at=retry_at, **key)
            else:
                # By now retention may have removed the event from the log.
                tx.run(t.PARK_AGAIN, new_error=text, new_attempts=attempts, new_retry_at=retry_at, **key)
            if then is not None:
                then(tx)

        await self._database.write(work)
        if retry_at is not None:
            group.retry_at = retry_at if group.retry_at is None else min(group.retry_at, retry_at)

    def is_due(self, retry_at: Millis) -> bool:
        """Whether the moment of another try has come."""
        # A moment that lies further ahead than any wait is one from before the clock was set back.
        return not 0 < retry_at - self._clock.now() <= _BACKOFF[-1]

    async def retry(self, group: Group) -> None:
        """Handle again what is due, and look up when the next is."""
        now = self._clock.now()
        due = await self._database.all(t.DUE, group_name=group.stored_as, now=now, ahead=now + _BACKOFF[-1])
        for offset, at, name, body, attempts in due:

            def unpark(tx: Transaction, offset: int = offset) -> int:
                return tx.run(t.UNPARK, group_name=group.stored_as, offset=offset)

            failed: Exception | None = None
            try:
                event = decode(name, body)
            except msgspec.DecodeError as error:
                event, failed = None, error
            if event is not None:
                failed = await self._attempt(group, Appended(offset, at, event), unpark, attempts)
            if failed is not None:
                await self._park(group, offset, name, failed, attempts=attempts + 1)
            elif event is None or not group.durable:
                await self._database.write(unpark)
            group.worker.beat()
        row = await self._database.one(t.NEXT_RETRY, group_name=group.stored_as)
        group.retry_at = row[0] if row else None

    def save(self, tx: Transaction, group: Group, offset: int) -> None:
        """Store how far the group has come."""
        tx.run(
            t.SAVE_GROUP,
            name=group.stored_as,
            offset=offset,
            durable=int(group.durable),
            topics=msgspec.json.encode(sorted(group.topics)).decode(),
        )

    async def save_offsets(self, groups: Sequence[Group]) -> None:
        """Store offsets that no effect was stored with: those of volatile groups, for operators to see, and those of durable
        groups whose newest events concerned others.
        """
        behind = [(group, group.offset) for group in groups if group.offset > group.saved]
        now = self._clock.now()
        for group, _ in behind:
            group.saved_at = now

        def work(tx: Transaction) -> None:
            for group, offset in behind:
                self.save(tx, group, offset)

        if not behind:
            return
        try:
            await self._database.write(work)
        except RookeryError as error:
            # Nothing is lost by it: the events are looked at again after a restart, and concern others again.
            _log.warning("offsets not stored", error=repr(error))
            return
        for group, offset in behind:
            group.saved = offset


def _is_away(group: Group, error: Exception) -> bool:
    """Whether no event is to blame, but an engine that the handler works on: the group waits for it, and who asks how far it has come is
    not told that it has handled what it has not. (A transaction's engine is the log's own, and fails in the log's own hands, too; but
    for the ids that it may need.)
    """
    return isinstance(error, Unavailable) and (group.handler is not None or error.code == NO_LEASE)
