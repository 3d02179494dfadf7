"""Groups that are cut short in the middle of their work: what was in hand is handled once, and nothing waits for it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from rookery.infra.events.port import Appended, Event
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql.port import Statement, Transaction
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.infra.workers.port import Worker
from rookery.infra.workers.watchdog import Watchdog
from rookery.kernel.clock import ManualClock

WAIT = 20
"""Seconds after which a test gives up; nothing depends on how long anything takes."""

MAKE_EFFECTS = Statement(text("CREATE TABLE effects (at INTEGER PRIMARY KEY, number INTEGER NOT NULL)"))
ADD_EFFECT = Statement(text("INSERT INTO effects (number) VALUES (:number)"))
EFFECTS = Statement(text("SELECT number FROM effects ORDER BY at"))


class Fatal(BaseException):
    """Nothing that a loop which catches every Exception would catch."""


class Heard(Event, topic="hearsay"):
    """Something was heard."""

    number: int


def number_of(item: Appended) -> int:
    assert isinstance(item.event, Heard)
    return item.event.number


def heard(*numbers: int) -> list[Heard]:
    return [Heard(number) for number in numbers]


class Handler:
    """A volatile group's handler that does something terrible at some numbers, so many times each."""

    def __init__(self, terrible: Callable[[], Any], **times: int) -> None:
        self.terrible = terrible
        self.left = {int(name.removeprefix("at_")): count for name, count in times.items()}
        self.seen: list[int] = []
        self.entered = asyncio.Event()

    async def __call__(self, batch: Sequence[Appended]) -> None:
        self.entered.set()
        for number in map(number_of, batch):
            if self.left.get(number, 0):
                self.left[number] -= 1
                await self.terrible()
        self.seen += map(number_of, batch)


async def hang() -> None:
    await asyncio.get_running_loop().create_future()


async def fall() -> None:
    raise Fatal


@pytest.fixture
async def watchdog(log: SqlEventLog) -> AsyncIterator[Watchdog]:
    made = Watchdog(0.1)
    made.start()
    yield made
    made.stop()


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT):
        while not condition():  # noqa: ASYNC110 - the watchdog announces nothing
            await asyncio.sleep(0.005)


async def caught_up(log: SqlEventLog) -> None:
    for group in log.lags():
        assert await log.reached(group, await log.head(), WAIT), f"{group} did not catch up"


async def start(log: SqlEventLog, watchdog: Watchdog) -> None:
    await log.start()
    watchdog.watch(*log.workers)


@pytest.mark.parametrize(("terrible", "kind"), [(hang, "stalled"), (fall, "died")])
async def test_a_batch_whose_handler_hangs_or_falls_is_tried_one_by_one(log, watchdog, terrible, kind):
    handler = Handler(terrible, at_3=1)
    log.subscribe("g", ["hearsay"], handler)
    await start(log, watchdog)
    await log.publish(heard(1, 2, 3, 4))
    await caught_up(log)
    assert handler.seen == [1, 2, 3, 4]
    assert watchdog.restarts["consumer g", kind] == 1
    assert await log.parked() == []


@pytest.mark.parametrize(("terrible", "cause"), [(hang, "stalled: no sign"), (fall, "died: Fatal")])
async def test_an_event_that_always_does_it_waits_for_its_next_try_and_the_others_go_on(
    log, watchdog, clock, terrible, cause
):
    handler = Handler(terrible, at_2=3)
    log.subscribe("g", ["hearsay"], handler)
    await start(log, watchdog)
    await log.publish(heard(1, 2, 3))
    await caught_up(log)
    assert handler.seen == [1, 3]
    [parked] = await log.parked()
    assert (parked.offset, parked.attempts, parked.retry_at) == (2, 1, clock.now() + 100)
    assert cause in parked.error
    # The next try does it again, and counts.
    clock.advance(100)
    log.wake()
    await eventually(lambda: watchdog.restarts.total() == 3)
    await log.publish(heard(4))
    await caught_up(log)
    [parked] = await log.parked()
    assert (parked.attempts, parked.retry_at) == (2, clock.now() + 400)
    assert handler.seen == [1, 3, 4]
    # And the one after that goes well.
    clock.advance(400)
    log.wake()
    await eventually(lambda: 2 in handler.seen)
    await log.publish(heard(5))
    await caught_up(log)
    assert await log.parked() == []
    assert handler.seen == [1, 3, 4, 2, 5]


async def test_a_handler_that_fails_is_no_stall(log, watchdog):
    async def fail() -> None:
        raise ValueError

    handler = Handler(fail, at_1=1_000)
    log.subscribe("g", ["hearsay"], handler)
    log.subscribe("hanging", ["hearsay"], Handler(hang, at_2=2))
    await start(log, watchdog)
    await log.publish(heard(1, 2))
    # By then both have been looked at for as long.
    await eventually(lambda: watchdog.restarts["consumer hanging", "stalled"] == 2)
    assert watchdog.restarts["consumer g", "stalled"] == watchdog.restarts["consumer g", "died"] == 0
    assert handler.seen == [2]


async def test_a_store_that_is_away_is_no_stall(database: SqliteDatabase, log: SqlEventLog, watchdog: Watchdog):
    handler = Handler(hang)
    log.subscribe("g", ["hearsay"], handler)
    await start(log, watchdog)
    await log.publish(heard(1))
    await caught_up(log)
    hanging = Worker("hanging", hang)
    watchdog.watch(hanging)
    await database.write(lambda tx: tx.run(Statement(text("ALTER TABLE events_log RENAME TO elsewhere"))))
    with capture_logs() as logs:
        log.wake()
        await eventually(lambda: any(line.get("chore") == "event log" for line in logs))
    hanging.start()
    # By then both have been looked at for as long.
    await eventually(lambda: watchdog.restarts["hanging", "stalled"] == 2)
    await hanging.stop()
    await database.write(lambda tx: tx.run(Statement(text("ALTER TABLE elsewhere RENAME TO events_log"))))
    await log.publish(heard(2))
    await caught_up(log)
    assert handler.seen == [1, 2]
    assert watchdog.restarts["consumer g", "stalled"] == watchdog.restarts["consumer g", "died"] == 0


class Effects:
    """A durable group's handler: a row for each event, which repeats would show. The first one waits in the writer."""

    def __init__(self, *fatal: int) -> None:
        self.entered, self.release = threading.Event(), threading.Event()
        self.fatal = set(fatal)

    def __call__(self, tx: Transaction, batch: Sequence[Appended]) -> None:
        self.entered.set()
        assert self.release.wait(WAIT)
        for item in batch:
            tx.run(ADD_EFFECT, number=number_of(item))
            if number_of(item) in self.fatal:
                raise Fatal


async def test_a_transaction_that_is_committed_after_its_group_was_restarted_counts_once(
    database: SqliteDatabase, log: SqlEventLog, watchdog: Watchdog
):
    await database.write(lambda tx: tx.run(MAKE_EFFECTS))
    effects = Effects()
    log.subscribe_in_transaction("g", ["hearsay"], effects)
    await start(log, watchdog)
    await log.publish(heard(1, 2))
    await asyncio.to_thread(effects.entered.wait, WAIT)
    # The writer is not watched here: that its consumer has no news of it is enough.
    await eventually(lambda: watchdog.restarts["consumer g", "stalled"] == 1)
    effects.release.set()
    await caught_up(log)
    await log.publish(heard(3))
    await caught_up(log)
    assert await database.all(EFFECTS) == [(1,), (2,), (3,)]
    assert await log.parked() == []


async def test_an_event_that_kills_a_durable_group_is_parked_and_the_others_count_once(
    database: SqliteDatabase, log: SqlEventLog, watchdog: Watchdog
):
    await database.write(lambda tx: tx.run(MAKE_EFFECTS))
    effects = Effects(2)
    effects.release.set()
    log.subscribe_in_transaction("g", ["hearsay"], effects)
    await start(log, watchdog)
    await log.publish(heard(1, 2, 3))
    await caught_up(log)
    assert await database.all(EFFECTS) == [(1,), (3,)]
    assert [(parked.offset, parked.attempts) for parked in await log.parked()] == [(2, 1)]


async def test_a_handler_that_hangs_does_not_keep_the_log_from_stopping(
    database: SqliteDatabase, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("rookery.infra.events.sql._STOP_GRACE", 0.01)
    log = SqlEventLog(database, clock)
    handler = Handler(hang, at_1=1)
    log.subscribe("g", ["hearsay"], handler)
    await log.start()
    await log.publish(heard(1))
    await handler.entered.wait()
    with capture_logs() as logs:
        async with asyncio.timeout(WAIT):
            await log.stop()
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
