"""The suite of the event log: appended with the change, delivered in order, at least once, and never in the way."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from rookery.infra.events import tables as t
from rookery.infra.events.port import Appended, Event
from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql import postgres_listen, sqlite
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.port import Statement, Transaction
from rookery.kernel.clock import HOUR, SECOND, ManualClock, Millis
from rookery.kernel.errors import Unavailable
from rookery.kernel.pages import Page
from tests.conftest import MIGRATIONS
from tests.contracts.conftest import Opened, Place, open_store

WAIT = 20
"""Seconds after which a test gives up; nothing depends on how long anything takes."""


class Noted(Event, topic="notes"):
    """Something was noted."""

    number: int
    text: str = ""


class Sung(Event, topic="songs"):
    """What nobody here listens to, as a rule."""

    number: int


def number_of(item: Appended) -> int:
    assert isinstance(item.event, Noted | Sung)
    return item.event.number


def notes(*numbers: int) -> list[Noted]:
    return [Noted(number) for number in numbers]


class Listener:
    """A volatile group's handler that fails for some numbers, and remembers what it was handed."""

    def __init__(self, *fails: int) -> None:
        self.fails = set(fails)
        self.batches: list[list[int]] = []
        self.seen: list[int] = []
        """Numbers that it handled."""
        self.tries: list[int] = []
        """Numbers that it was handed by themselves."""
        self.appended: list[Appended] = []

    async def __call__(self, batch: Sequence[Appended]) -> None:
        numbers = [number_of(item) for item in batch]
        self.batches.append(numbers)
        if len(numbers) == 1:
            self.tries += numbers
        if self.fails & set(numbers):
            raise ValueError(f"can't bear {sorted(self.fails & set(numbers))}")
        self.seen += numbers
        self.appended += batch


EFFECTS_TABLE = "CREATE TABLE IF NOT EXISTS effects (at {} PRIMARY KEY, number INTEGER NOT NULL)"
MAKE_EFFECTS = {
    "sqlite": Statement(text(EFFECTS_TABLE.format("INTEGER"))),
    "postgresql": Statement(text(EFFECTS_TABLE.format("BIGSERIAL"))),
}
ADD_EFFECT = Statement(text("INSERT INTO effects (number) VALUES (:number)"))
EFFECTS = Statement(text("SELECT number FROM effects ORDER BY at"))


class Effects:
    """A durable group's handler: a row for each event, which repeats would show."""

    def __init__(self, *fails: int) -> None:
        self.fails = set(fails)

    def __call__(self, tx: Transaction, batch: Sequence[Appended]) -> None:
        for item in batch:
            tx.run(ADD_EFFECT, number=number_of(item))
            if number_of(item) in self.fails:
                raise ValueError(f"can't bear {number_of(item)}")


@pytest.fixture
async def effects(database: Opened) -> Callable[[], Any]:
    await database.write(lambda tx: tx.run(MAKE_EFFECTS[database.dialect]))

    async def read() -> list[int]:
        return [number for (number,) in await database.all(EFFECTS)]

    return read


@asynccontextmanager
async def running(database: Opened, clock: ManualClock, **groups: Any) -> AsyncGenerator[SqlEventLog]:
    """A log, started, with these groups on the topic `notes`, named as the arguments are; a next life after a restart."""
    log = SqlEventLog(database, clock)
    subscribe(log, **groups)
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


def subscribe(log: SqlEventLog, **groups: Any) -> None:
    for name, handler in groups.items():
        if isinstance(handler, Effects):
            log.subscribe_in_transaction(name, ["notes"], handler)
        else:
            log.subscribe(name, ["notes"], handler)


def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody hear of other processes' commits."""
    monkeypatch.setattr(sqlite, "_FOREIGN_POLL", 3_600)
    monkeypatch.setattr(postgres_listen, "_LISTEN", b"SELECT 1")


async def caught_up(log: SqlEventLog, *groups: str) -> None:
    for group in groups or tuple(log.lags()):
        assert await log.reached(group, await log.head(), WAIT), f"{group} did not catch up"


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait for what a consumer does of itself."""
    async with asyncio.timeout(WAIT):
        while not await condition():  # noqa: ASYNC110 - what it waits for stands in the store, and announces itself to nobody
            await asyncio.sleep(0.001)


async def attempts(log: SqlEventLog, group: str = "g") -> list[tuple[int, int, Millis | None]]:
    return [(parked.offset, parked.attempts, parked.retry_at) for parked in await log.parked(group)]


async def stored(database: Opened, group: str) -> int:
    row = await database.one(t.GROUP, name=group)
    assert row is not None
    return row[0]


# --- appending


async def test_an_event_is_appended_with_its_change_or_not_at_all(database, log):
    listener = Listener()
    subscribe(log, g=listener)
    await log.start()

    def fail(tx: Transaction) -> None:
        log.append(tx, Noted(1))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(fail)
    assert await log.head() == 0

    offset = await database.write(lambda tx: log.append(tx, Noted(2), Noted(3)))

    assert offset == await log.head() == 2
    await caught_up(log)
    assert listener.seen == [2, 3]
    assert log.appended == {"notes.noted": 2}


async def test_an_event_is_delivered_as_it_was_with_its_place_and_moment(log, clock):
    listener = Listener()
    subscribe(log, g=listener)
    await log.start()
    await log.publish([Noted(1, "zürich 😀")])
    clock.advance(5)
    await log.publish(notes(2))
    await caught_up(log)
    now = clock.now()
    assert listener.appended == [Appended(1, now - 5, Noted(1, "zürich 😀")), Appended(2, now, Noted(2))]


async def test_events_arrive_in_the_order_of_commits_each_once(log):
    listener = Listener()
    subscribe(log, g=listener)
    await log.start()
    await asyncio.gather(*(log.publish(notes(2 * n, 2 * n + 1)) for n in range(300)))
    await caught_up(log)
    assert listener.seen == list(range(600))
    assert [item.offset for item in listener.appended] == list(range(1, 601))


async def test_publishing_nothing_appends_nothing(log):
    await log.publish([])
    assert await log.head() == 0


# --- groups


async def test_groups_have_the_topics_they_asked_for(log):
    both, one = Listener(), Listener()
    log.subscribe("both", ["notes", "songs"], both)
    log.subscribe("one", ["songs"], one)
    await log.start()
    await log.publish([Noted(1), Sung(2), Noted(3)])
    await caught_up(log)
    assert (both.seen, one.seen) == ([1, 2, 3], [2])


async def test_a_volatile_group_starts_at_the_head(database, clock):
    first, second = Listener(), Listener()
    async with running(database, clock, g=first) as log:
        await log.publish(notes(1))
        await caught_up(log)
    await log.publish(notes(2))
    async with running(database, clock, g=second) as log:
        await log.publish(notes(3))
        await caught_up(log)
    assert (first.seen, second.seen) == ([1], [3])


async def test_a_durable_group_starts_at_the_beginning_and_goes_on_where_it_was(place, clock):
    async def life(*published: int) -> list[int]:
        database = open_store(place)
        migrate(database, MIGRATIONS)
        database.start()
        await database.write(lambda tx: tx.run(MAKE_EFFECTS[database.dialect]))
        if not published:
            await SqlEventLog(database, clock).publish(notes(1, 2))
        async with running(database, clock, g=Effects()) as log:
            await log.publish(notes(*published))
            await caught_up(log)
        await log.publish(notes(*(10 * number for number in published)))
        found = [number for (number,) in await database.all(EFFECTS)]
        await database.close()
        return found

    assert await life() == [1, 2]
    assert await life(3) == [1, 2, 3]
    assert await life(4) == [1, 2, 3, 30, 4]


async def test_a_group_is_woken_by_the_commit_itself(log, monkeypatch):
    deaf(monkeypatch)
    listener = Listener()
    subscribe(log, g=listener)
    await log.start()
    await caught_up(log)
    for number in range(20):
        await log.publish(notes(number))
        await caught_up(log)
    assert listener.batches == [[number] for number in range(20)]


CHILD = """
import asyncio, os, sys
from pathlib import Path
from rookery.infra.events.sql import SqlEventLog
from rookery.kernel.clock import SystemClock
from tests.contracts.conftest import open_store
from tests.contracts.test_event_log import Effects, notes
class Killed(Effects):
    def __call__(self, tx, batch):
        for item in batch:
            super().__call__(tx, [item])
            if item.event.number == 250:
                os._exit(9)
async def main():
    place = sys.argv[1]
    database = open_store(place if place.startswith('postgresql:') else Path(place))
    database.start()
    log = SqlEventLog(database, SystemClock())
    match sys.argv[2]:
        case "publish":
            await log.publish(notes(*map(int, sys.argv[3:])))
        case "replay":
            print(await log.replay())
        case "consume":
            log.subscribe_in_transaction("g", ["notes"], Killed())
            await log.start()
            await log.reached("g", await log.head(), 60)
    await database.close()
asyncio.run(main())
"""


async def in_another_process(place: Place, *arguments: str, code: int = 0) -> str:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", CHILD, str(place), *arguments),
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    out, _ = await child.communicate()
    assert child.returncode == code
    return out.decode().strip()


async def test_a_group_hears_of_what_another_process_appends(place, database, log):
    listener = Listener()
    subscribe(log, g=listener)
    await log.start()
    await in_another_process(place, "publish", "7", "8")
    await caught_up(log)
    assert listener.seen == [7, 8]


async def test_a_group_that_is_killed_in_the_middle_has_each_effect_once(place, database, clock, effects):
    log = SqlEventLog(database, clock)
    await log.publish(notes(*range(100)))
    await log.publish(notes(*range(100, 700)))

    await in_another_process(place, "consume", code=9)

    before = await effects()
    assert before == list(range(len(before))), "whole batches"
    assert before == [] or len(before) == await stored(database, "g")
    async with running(database, clock, g=Effects()) as log:
        await caught_up(log)
    assert await effects() == list(range(700))


async def test_two_groups_of_one_name_are_refused(log):
    subscribe(log, g=Listener())
    with pytest.raises(ValueError, match="the group g is subscribed already"):
        subscribe(log, g=Effects())
    await log.start()
    with pytest.raises(RuntimeError, match="before the log is started"):
        subscribe(log, late=Listener())


# --- failures


async def test_one_event_of_500_that_fails_is_parked_alone(log, clock, effects):
    listener = Listener(250)
    subscribe(log, g=listener, h=Effects(250))
    await log.start()
    await log.publish(notes(*range(500)))
    await caught_up(log)

    others = [number for number in range(500) if number != 250]
    assert listener.seen == others
    assert await effects() == others, "what the failed handler wrote is undone"
    for group in "gh":
        (parked,) = await log.parked(group)
        assert (parked.offset, parked.name, parked.key, parked.body) == (251, "notes.noted", "250", '{"number":250}')
        assert (parked.attempts, parked.retry_at) == (1, clock.now() + 100)
        assert "can't bear" in parked.error
    assert log.failures() == {"g": 1, "h": 1}


@pytest.mark.parametrize("kind", [Listener, Effects])
async def test_a_failing_event_is_tried_six_times_in_growing_intervals_then_waits_for_an_operator(
    log, clock, effects, kind
):
    handler = kind(1)
    subscribe(log, g=handler)
    await log.start()
    await log.publish(notes(1))
    await caught_up(log)
    tries = 1
    for wait in (100, 400, 1_600, 6_400, 25_600):
        assert await attempts(log) == [(1, tries, clock.now() + wait)]
        clock.advance(wait - 1)
        await log.publish(notes(10 + tries))
        await caught_up(log)
        assert [tried for _, tried, _ in await attempts(log)] == [tries], "not before its time"
        clock.advance(1)
        log.wake()
        tries += 1

        async def tried_again(expected: int = tries) -> bool:
            return [tried for _, tried, _ in await attempts(log)] == [expected]

        await eventually(tried_again)
    assert await attempts(log) == [(1, 6, None)]
    clock.advance(24 * HOUR)
    await log.publish(notes(20))
    await caught_up(log)
    assert await attempts(log) == [(1, 6, None)]
    if isinstance(handler, Listener):
        assert handler.tries.count(1) == 6
    assert log.failures() == {"g": 6}


async def test_an_event_that_fails_does_not_hold_up_later_ones_and_is_handled_once_it_can_be(log, clock, effects):
    listener, durable = Listener(1), Effects(1)
    subscribe(log, g=listener, h=durable)
    await log.start()
    await log.publish([Noted(1), Noted(1, "again"), Noted(2)])
    await log.publish(notes(3))
    await caught_up(log)
    assert listener.seen == [2, 3]

    listener.fails.clear()
    durable.fails.clear()
    clock.advance(SECOND)
    log.wake()

    async def nothing_parked() -> bool:
        return not await log.parked()

    await eventually(nothing_parked)
    assert listener.seen == [2, 3, 1, 1]
    assert await effects() == [2, 3, 1, 1]


async def park_for_good(log: SqlEventLog, clock: ManualClock) -> None:
    """Let time pass until what failed waits for an operator."""

    async def given_up() -> bool:
        clock.advance(HOUR)
        log.wake()
        return all(retry_at is None for _, _, retry_at in await attempts(log))

    await eventually(given_up)


@pytest.mark.parametrize("where", ["this process", "another process"])
async def test_a_parked_event_is_handled_when_an_operator_replays_it(place, database, log, clock, effects, where):
    durable = Effects(1, 2)
    subscribe(log, g=durable)
    await log.start()
    await log.publish(notes(1, 2, 3))
    await caught_up(log)
    await park_for_good(log, clock)
    durable.fails = {2}

    count = await log.replay() if where == "this process" else int(await in_another_process(place, "replay"))

    assert count == 2

    async def one_left() -> bool:
        return await attempts(log) == [(2, 7, None)]

    await eventually(one_left)
    assert await effects() == [3, 1]


async def test_a_replay_is_not_lost_while_another_event_fails(log, clock, monkeypatch):
    deaf(monkeypatch)
    listener, entered, release = Listener(1, 2), asyncio.Event(), asyncio.Event()

    async def handler(batch: Sequence[Appended]) -> None:
        if number_of(batch[0]) == 2:
            entered.set()
            await release.wait()
        await listener(batch)

    subscribe(log, g=handler)
    await log.start()
    await log.publish(notes(1))
    await caught_up(log)
    await park_for_good(log, clock)
    await log.publish(notes(2))
    await entered.wait()
    listener.fails = {2}
    await log.replay("g", 1)
    release.set()

    async def only_the_other_left() -> bool:
        return [offset for offset, _, _ in await attempts(log)] == [2]

    await eventually(only_the_other_left)
    assert listener.seen == [1]


async def test_parked_events_are_paged_by_event_newest_first_and_none_is_cut_in_two(log, clock):
    subscribe(log, g=Listener(1, 2, 4), h=Listener(2, 4))
    await log.start()
    await log.publish(notes(1, 2, 3, 4))
    await caught_up(log)

    async def page(group: str | None = None, **at: int) -> list[tuple[int, str]]:
        return [(one.offset, one.group) for one in await log.parked_page(group, Page(**at))]

    assert await page() == [(4, "g"), (4, "h"), (2, "g"), (2, "h"), (1, "g")]
    assert await page(limit=1) == [(4, "g"), (4, "h")]
    assert await page(limit=2, before=4) == [(2, "g"), (2, "h"), (1, "g")]
    assert await page("h") == [(4, "h"), (2, "h")]
    # Upwards the search runs from the oldest.
    assert await page(limit=1, after=1) == [(2, "g"), (2, "h")]
    assert await page(before=0) == await page(after=4) == await page("nobody") == []


async def test_a_replay_may_choose_the_group_and_the_event(log, clock):
    subscribe(log, g=Listener(1, 2), h=Listener(1, 2))
    await log.start()
    await log.publish(notes(1, 2))
    await caught_up(log)
    await park_for_good(log, clock)
    assert await log.replay("g", 2) == 1
    assert await log.replay("h") == 2
    assert await log.replay(None, 1) == 2
    assert await log.replay("nobody") == 0


async def test_what_can_not_be_read_is_parked_as_it_stands_and_the_group_goes_on(database, log, effects):
    listener = Listener()
    subscribe(log, g=listener, h=Effects())
    await log.start()

    def append(body: str) -> Callable[[Transaction], object]:
        return lambda tx: tx.one(t.APPEND, at=1, topic="notes", name="notes.noted", version=1, key="5", body=body)

    await log.publish(notes(1))
    await database.write(append('{"number":"five"}'))
    await database.write(append("{"))
    await log.publish(notes(2))
    await caught_up(log)

    assert listener.seen == await effects() == [1, 2]
    assert [(parked.offset, parked.key, parked.body) for parked in await log.parked("h")] == [
        (2, "5", '{"number":"five"}'),
        (3, "5", "{"),
    ]


async def test_a_parked_event_keeps_the_fields_that_this_version_does_not_know(database, log, clock):
    listener = Listener(5)
    subscribe(log, g=listener)
    await log.start()
    body = '{"number":5,"mood":"good"}'
    await database.write(
        lambda tx: tx.one(t.APPEND, at=1, topic="notes", name="notes.noted", version=2, key="5", body=body)
    )
    await log.publish(notes(6))
    await caught_up(log)
    assert [parked.body for parked in await log.parked()] == [body]


async def test_a_handler_that_awaits_something_cancelled_has_failed_and_its_group_lives_on(log):
    seen: list[int] = []

    async def handler(batch: Sequence[Appended]) -> None:
        for item in batch:
            if number_of(item) == 1:
                future = asyncio.get_running_loop().create_future()
                future.cancel()
                await future
            seen.append(number_of(item))

    subscribe(log, g=handler)
    await log.start()
    await log.publish(notes(1))
    await log.publish(notes(2))
    await caught_up(log)
    assert seen == [2]
    assert [worker.died() for worker in log.workers] == [None]
    assert [parked.offset for parked in await log.parked()] == [1]


# --- the store fails


def sql(statement: str) -> Callable[[Transaction], object]:
    return lambda tx: tx.run(Statement(text(statement)))


async def be_away(database: Opened, act: str) -> None:
    """Have the store fail wherever an event is parked ("INSERT") or not parked any more ("DELETE")."""
    when = f"CREATE TRIGGER away BEFORE {act} ON events_parked"
    if database.dialect == "sqlite":
        await database.write(sql(f"{when} BEGIN SELECT RAISE(ABORT, 'the store is away'); END"))
        return
    raising = "BEGIN RAISE EXCEPTION 'the store is away'; END"
    await database.write(
        sql(f"CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS '{raising.replace(chr(39), chr(39) * 2)}'")
    )
    await database.write(sql(f"{when} FOR EACH ROW EXECUTE FUNCTION away()"))


async def be_back(database: Opened) -> None:
    await database.write(sql("DROP TRIGGER away" + ("" if database.dialect == "sqlite" else " ON events_parked")))


async def failed(log: SqlEventLog, times: int = 1) -> None:
    async def so_often() -> bool:
        return sum(log.failures().values()) >= times

    await eventually(so_often)


async def test_a_group_survives_a_store_that_is_away_and_misses_nothing(database, log):
    listener = Listener()
    subscribe(log, g=listener)
    await log.start()
    await log.publish(notes(1))
    await caught_up(log)
    await database.write(sql("ALTER TABLE events_log RENAME TO events_away"))

    async def looked() -> bool:
        return any(line.get("chore") == "event log" for line in logs)

    with capture_logs() as logs:
        log.wake()
        await eventually(looked)
    await database.write(sql("ALTER TABLE events_away RENAME TO events_log"))
    await log.publish(notes(2))
    await caught_up(log)
    assert listener.seen == [1, 2]


async def test_a_group_waits_for_an_engine_of_its_handlers_and_parks_nothing(log, monkeypatch):
    monkeypatch.setattr("rookery.infra.events.sql._STUMBLE", 0.01)
    handled: list[int] = []
    away = True

    async def handle(batch: Sequence[Appended]) -> None:
        if away:
            raise Unavailable("the cache is away")
        handled.extend(number_of(item) for item in batch)

    log.subscribe("g", ("notes",), handle)
    await log.start()
    await log.publish(notes(1, 2, 3))
    await failed(log, 3)
    assert not await log.reached("g", await log.head(), 0)
    assert await attempts(log) == []
    away = False
    await caught_up(log, "g")
    assert handled == [1, 2, 3]


async def test_effects_are_not_repeated_where_the_store_fails_between_them(database, log, effects):
    subscribe(log, g=Effects(3))
    await log.start()
    await be_away(database, "INSERT")
    await log.publish(notes(1, 2, 3, 4))
    await failed(log, 2)
    assert await effects() == [1, 2]
    await be_back(database)
    await caught_up(log)
    assert await effects() == [1, 2, 4]
    assert [parked.offset for parked in await log.parked()] == [3]


async def test_a_retrys_effect_and_its_end_are_committed_together(database, log, clock, effects):
    durable = Effects(1)
    subscribe(log, g=durable)
    await log.start()
    await log.publish(notes(1))
    await caught_up(log)
    durable.fails.clear()
    await be_away(database, "DELETE")
    clock.advance(SECOND)
    log.wake()
    await failed(log, 2)

    async def counted() -> bool:
        return [tried for _, tried, _ in await attempts(log)] == [2]

    await eventually(counted)
    assert await effects() == []
    await be_back(database)
    clock.advance(SECOND)
    log.wake()

    async def nothing_parked() -> bool:
        return not await log.parked()

    await eventually(nothing_parked)
    assert await effects() == [1]


# --- offsets


async def test_events_of_others_move_a_group_along_without_a_write_for_each(place, clock):
    batches: list[int] = []
    database = open_store(place, on_batch=batches.append)
    migrate(database, MIGRATIONS)
    database.start()
    await database.write(lambda tx: tx.run(MAKE_EFFECTS[database.dialect]))
    async with running(database, clock, g=Effects(), h=Listener()) as log:
        del batches[:]
        for number in range(20):
            await log.publish([Sung(number)])
            await caught_up(log)
        assert len(batches) == 20, "the appends themselves"
        assert await stored(database, "g") == 0

        clock.advance(5 * SECOND)
        log.wake()

        async def both_stored() -> bool:
            return [await stored(database, group) for group in "gh"] == [20, 20]

        await eventually(both_stored)
        assert len(batches) <= 22

        await log.publish(notes(7))
        await caught_up(log)
        assert await stored(database, "g") == 21, "with the effect, at once"
        assert await stored(database, "h") == 20
        await log.publish([Sung(8)])
        await caught_up(log)
    assert [await stored(database, group) for group in "gh"] == [22, 22], "stored at the end"
    await database.close()


async def test_reached_answers_for_what_is_past_what_comes_and_what_does_not_come(log):
    entered, release = asyncio.Event(), asyncio.Event()

    async def handler(batch: Sequence[Appended]) -> None:
        entered.set()
        await release.wait()

    subscribe(log, g=handler)
    await log.start()
    assert await log.reached("g", 0, 0)
    assert not await log.reached("g", 1, 0.01), "nothing was appended"
    await log.publish(notes(1))
    await entered.wait()
    assert not await log.reached("g", 1, 0.01), "it is being handled"
    waiting = [asyncio.create_task(log.reached("g", offset, WAIT)) for offset in (1, 2)]
    gone = asyncio.create_task(log.reached("g", 1, WAIT))
    await asyncio.sleep(0)
    gone.cancel()
    release.set()
    assert await waiting[0]
    assert not waiting[1].done()
    await log.publish([Sung(2)])
    assert await waiting[1], "events of other topics count"


async def test_events_of_types_unknown_here_are_skipped(database, log, effects):
    listener = Listener()
    subscribe(log, g=listener, h=Effects())
    await log.start()
    await database.write(
        lambda tx: tx.one(t.APPEND, at=1, topic="notes", name="notes.of_tomorrow", version=1, key="1", body="{}")
    )
    await log.publish(notes(1))
    await caught_up(log)
    assert listener.seen == await effects() == [1]
    assert await log.parked() == []


async def test_older_and_newer_shapes_of_an_event_are_read(database, log):
    listener = Listener()
    subscribe(log, g=listener)
    await log.start()
    for version, body in ((0, '{"number":1}'), (9, '{"number":2,"text":"x","mood":{"deep":[1]}}')):
        await database.write(
            lambda tx, version=version, body=body: tx.one(
                t.APPEND, at=1, topic="notes", name="notes.noted", version=version, key="1", body=body
            )
        )
    log.wake()
    await caught_up(log)
    assert [item.event for item in listener.appended] == [Noted(1), Noted(2, "x")]


async def test_stopping_lets_the_batch_in_hand_be_finished_and_begins_no_other(database, clock):
    entered, release = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def handler(batch: Sequence[Appended]) -> None:
        entered.set()
        await release.wait()
        seen.extend(number_of(item) for item in batch)

    log = SqlEventLog(database, clock)
    subscribe(log, g=handler)
    await log.start()
    await log.publish(notes(1, 2))
    await entered.wait()
    await log.publish(notes(3))
    stopping = asyncio.create_task(log.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    release.set()
    await stopping
    assert seen == [1, 2]
    assert await stored(database, "g") == 2
    await log.stop()


async def test_a_stopped_volatile_group_forgets_its_retries_and_keeps_what_waits_for_an_operator(database, clock):
    listener = Listener(1)
    async with running(database, clock, g=listener) as log:
        await log.publish(notes(1))
        await caught_up(log)
        await park_for_good(log, clock)
        listener.fails.add(2)
        await log.publish(notes(2))
        await caught_up(log)
        assert len(await log.parked()) == 2
    async with running(database, clock, g=Listener()) as log:
        assert [parked.offset for parked in await log.parked()] == [1]


# --- retention


async def numbers_kept(database: Opened) -> list[int]:
    return [offset for offset, *_ in await database.all(t.READ, after=0, limit=10_000)]


async def test_old_events_go_once_every_group_has_handled_them(database, clock):
    async with running(database, clock, g=Listener(), h=Effects(), i=Listener(3)) as log:
        await database.write(lambda tx: tx.run(MAKE_EFFECTS[database.dialect]))
        await log.publish(notes(*range(1, 4_101)))
        await caught_up(log)
        assert await log.trim(HOUR) == 0, "they are young"
        clock.advance(HOUR + 1)
        await log.publish(notes(5_000))
        await caught_up(log)
        assert await log.trim(HOUR) == 4_100
        assert await numbers_kept(database) == [4_101]
        clock.advance(2 * HOUR)
        assert await log.trim(HOUR) == 0, "the newest one stays"
        assert [parked.offset for parked in await log.parked("i")] == [3], "parked ones have a copy of their own"
        await log.publish(notes(6_000))
        await caught_up(log)
        assert await log.head() == 4_102, "offsets go on"


async def test_an_event_that_retention_removed_is_still_tried_again(database, log, clock):
    listener = Listener(1)
    subscribe(log, g=listener)
    await log.start()
    await log.publish(notes(1))
    await log.publish(notes(2))
    await caught_up(log)
    listener.tries.clear()
    clock.advance(HOUR)
    assert await log.trim(0) == 1
    log.wake()

    async def second_try() -> bool:
        return [tried for _, tried, _ in await attempts(log)] == [2]

    await eventually(second_try)
    listener.fails.clear()
    clock.advance(SECOND)
    log.wake()

    async def nothing_parked() -> bool:
        return not await log.parked()

    await eventually(nothing_parked)
    assert listener.seen == [2, 1]


async def test_what_a_durable_group_has_not_handled_stays_even_if_it_runs_elsewhere_or_not_at_all(
    database, clock, effects
):
    async with running(database, clock, away=Effects()) as log:
        await log.publish(notes(1))
        await caught_up(log)
    async with running(database, clock, here=Listener()) as log:
        await log.publish(notes(2, 3))
        await log.publish(notes(4))
        await caught_up(log)
        clock.advance(HOUR)
        assert await log.trim(0) == 1
        assert await numbers_kept(database) == [2, 3, 4]


async def test_a_durable_group_that_no_process_has_any_more_is_told_of(database, clock, effects):
    async with running(database, clock, away=Effects(), h=Listener()) as log:
        await log.publish(notes(1))
        await caught_up(log)
        other = SqlEventLog(database, clock)
        subscribe(other, gone_with_its_process=Listener())
        await other.start()
        await other.stop()
    async with running(database, clock, here=Effects()) as log:
        await log.publish(notes(2, 3))
        await caught_up(log)
        clock.advance(HOUR)
        with capture_logs() as logs:
            await log.trim(0)
            assert (log.deserted, logs) == (set(), []), "it may be on its way from one process to another"
            for _ in range(3):
                await log.trim(0)
                assert log.deserted == {"away"}
        assert [(entry["group"], entry["offset"]) for entry in logs] == [("away", 1)]
        assert await numbers_kept(database) == [2, 3]


# --- for operators


async def test_the_status_tells_how_far_each_group_is(database, log, clock):
    release, entered = asyncio.Event(), asyncio.Event()

    async def slow(batch: Sequence[Appended]) -> None:
        entered.set()
        await release.wait()

    subscribe(log, fast=Listener(1), slow=slow)
    await log.start()
    await log.publish(notes(1))
    await entered.wait()
    first = clock.now()
    clock.advance(7)
    await log.publish([Noted(2), Sung(3), Sung(4)])
    await caught_up(log, "fast")

    fast, behind = await log.status()

    assert (fast.group, fast.offset, fast.lag, fast.oldest, fast.parked) == ("fast", 4, 0, None, 1)
    assert (behind.group, behind.offset, behind.lag, behind.oldest, behind.parked) == ("slow", 0, 2, first, 0)
    assert log.lags() == {"fast": 0, "slow": 4}
    elsewhere = {status.group: status for status in await SqlEventLog(database, clock).status()}
    assert elsewhere["slow"].lag == 2
    release.set()
    await caught_up(log)
    assert [status.lag for status in await log.status()] == [0, 0]


async def test_a_log_that_was_not_started_says_so(log):
    assert log.workers == []
    assert await log.status() == []
    subscribe(log, g=Listener())
    await log.start()
    assert [(worker.name, worker.died()) for worker in log.workers] == [("consumer g", None)]


async def test_the_status_tells_the_age_of_what_waits_and_where_offsets_are_kept(database, log, clock):
    async def never(batch: Sequence[Appended]) -> None:
        await asyncio.Event().wait()

    log.subscribe("volatile", ("notes",), never)
    log.subscribe_in_transaction("durable", ("notes",), lambda tx, batch: None)
    await log.start()
    await log.publish(notes(1))
    clock.advance(2_500)
    await caught_up(log, "durable")

    durable, volatile = await log.status()

    assert (durable.group, durable.durable, durable.lag, durable.lag_seconds) == ("durable", True, 0, 0.0)
    assert (volatile.group, volatile.durable, volatile.lag, volatile.lag_seconds) == ("volatile", False, 1, 2.5)
    assert await log.lag_seconds() == {"volatile": 2.5, "durable": 0.0}


async def test_an_operator_skips_one_parked_event_or_all_of_a_group_and_the_log_says_so(database, log, clock):
    subscribe(log, g=Listener(1, 2, 3), h=Listener(2))
    await log.start()
    await log.publish([Noted(n) for n in range(1, 5)])
    await caught_up(log)
    assert await log.parked_numbers() == {"g": 3, "h": 1}

    (one,) = await log.skip("g", 2)

    assert (one.group, one.offset, one.body) == ("g", 2, '{"number":2}')
    assert [(kept.group, kept.offset) for kept in await log.parked()] == [("g", 1), ("h", 2), ("g", 3)]
    # As from another process.
    assert [gone.offset for gone in await SqlEventLog(database, clock).skip("g")] == [1, 3]
    assert await log.skip("g") == []
    assert await log.parked_numbers() == {"g": 0, "h": 1}
    noted = [await log.find(offset) for offset in (5, 6, 7)]
    assert [event.name for event in noted if event is not None] == ["events.skipped"] * 3
    assert "can't bear" in noted[0].body


async def test_a_skipped_event_is_not_tried_again(log, clock):
    listener = Listener(1)
    subscribe(log, g=listener)
    await log.start()
    await log.publish([Noted(1)])
    await caught_up(log)
    await log.skip("g", 1)
    listener.fails.clear()
    clock.advance(HOUR)
    log.wake()
    await log.publish([Noted(2)])
    await caught_up(log)
    assert listener.seen == [2]


async def test_an_event_is_found_in_the_log_or_among_the_parked(database, log, clock):
    subscribe(log, g=Listener(1))
    await log.start()
    await log.publish([Noted(n) for n in range(1, 4)])
    await caught_up(log)
    found = await log.find(2)
    assert (found.offset, found.name, found.key, found.body) == (2, "notes.noted", "2", '{"number":2}')
    clock.advance(HOUR)
    await log.trim(0)
    assert await log.find(2) is None
    assert (await log.find(1)).body == '{"number":1}'
    assert await log.find(99) is None


# --- groups that are in no hurry, and pass over much


async def test_what_a_group_does_not_want_costs_it_no_transaction(database, clock, effects):
    log = SqlEventLog(database, clock)
    asked: list[int] = []

    class Counted(Effects):
        def __call__(self, tx: Transaction, batch: Sequence[Appended]) -> None:
            asked.append(len(batch))
            super().__call__(tx, batch)

    log.subscribe_in_transaction("g", ["notes"], Counted(), wanted=lambda event: event.number % 2 == 0)  # pyright: ignore[reportAttributeAccessIssue]
    await log.publish(notes(1, 2, 3))  # read from the store
    await log.start()
    await caught_up(log)
    await log.publish(notes(5, 7))  # taken from memory
    await caught_up(log)
    await log.publish(notes(8, 9))
    await caught_up(log)
    await log.stop()
    assert (await effects(), asked) == ([2, 8], [1, 1])


async def test_a_group_that_lingers_is_hurried_by_whoever_waits_for_it_and_by_the_end(database, clock, effects):
    log = SqlEventLog(database, clock)
    log.subscribe_in_transaction("g", ["notes"], Effects(), linger=1_000_000)
    await log.start()
    for number in range(3):
        await log.publish(notes(number))
        await caught_up(log)
    await log.publish(notes(7))
    async with asyncio.timeout(WAIT):
        await log.stop()
    assert (await effects())[:3] == [0, 1, 2]


async def test_a_group_in_two_processes_has_each_effect_once(database, place, clock, effects):
    """A command may consume beside a server."""
    beside = open_store(place)
    beside.start()
    async with running(database, clock, g=Effects()) as one, running(beside, clock, g=Effects()) as other:
        await one.publish(notes(*range(5)))
        await caught_up(one)
        await caught_up(other)
        await other.publish(notes(*range(5, 10)))
        await caught_up(other)
        await caught_up(one)
    await beside.close()
    assert await effects() == list(range(10))
    async with running(database, clock, g=Effects()) as again:
        await caught_up(again)
    assert await effects() == list(range(10))


# --- groups that load something first, and readers without a group


async def test_a_group_gets_nothing_before_it_is_prepared_and_others_do(database, log, effects):
    ready = asyncio.Event()
    prepared = list[str]()

    async def prepare() -> None:
        prepared.append("begun")
        await ready.wait()

    listener = Listener()
    log.subscribe("other", ["notes"], listener)
    log.subscribe_in_transaction("g", ["notes"], Effects(), prepare=prepare)
    await log.start()
    await log.publish(notes(1, 2))
    await caught_up(log, "other")

    async def begun() -> bool:
        return prepared == ["begun"]

    await eventually(begun)  # where there are turns, it has to get its own first
    assert (listener.seen, await effects()) == ([1, 2], [])
    ready.set()
    await caught_up(log)
    assert (await effects(), prepared) == ([1, 2], ["begun"])


async def test_a_new_group_may_begin_at_the_end_and_goes_on_where_it_was(database, clock, effects):
    for numbers in ((1, 2), (3,), (5,)):
        log = SqlEventLog(database, clock)
        log.subscribe_in_transaction("g", ["notes"], Effects(), from_head=True)
        if numbers != (3,):
            await log.publish(notes(*numbers))
        await log.start()
        if numbers == (3,):
            await log.publish(notes(*numbers))
        await caught_up(log)
        await log.stop()
    assert await effects() == [3, 5]


@pytest.mark.parametrize("where", ["memory", "store"])
async def test_anybody_can_read_what_happened_behind_an_offset(database, log, clock, where):
    await log.publish([Noted(1), Sung(2), Noted(3)])
    clock.advance(SECOND)
    await log.publish(notes(4))
    reader = log if where == "memory" else SqlEventLog(database, clock)
    first = await reader.read(0, 2)
    assert ([number_of(item) for item in first.events], first.upto) == ([1, 2], 2)
    rest = await reader.read(first.upto, 100)
    assert ([number_of(item) for item in rest.events], rest.upto) == ([3, 4], 4)
    assert [item.at for item in rest.events] == [clock.now() - SECOND, clock.now()]
    assert (await reader.read(4, 100)).upto == 4
    assert not (await reader.read(4, 100)).events
    assert await reader.next_at(3) == clock.now()
    assert await reader.next_at(4) is None


# --- groups whose effects lie outside of the database, and those of other processes


async def test_a_durable_group_with_a_handler_of_its_own_goes_on_where_it_was_and_begins_at_the_head(database, clock):
    before = SqlEventLog(database, clock)
    await before.publish(notes(1))
    for expected, numbers in (([2, 3], (2, 3)), ([4, 5], (5,))):
        log = SqlEventLog(database, clock)
        listener = Listener()
        log.subscribe("g", ["notes"], listener, durable=True)
        await log.start()
        await log.publish(notes(*numbers))
        await caught_up(log)
        assert listener.seen == expected
        assert await stored(database, "g") == await log.head(), "stored when the handler was done"
        await log.stop()
        await log.publish(notes(4))


async def test_such_a_group_waits_for_its_engine_and_parks_what_is_to_blame_itself(log, clock):
    listener, away = Listener(2), True

    async def handle(batch: Sequence[Appended]) -> None:
        if away:
            raise Unavailable("the engine is away")
        await listener(batch)

    log.subscribe("g", ["notes"], handle, durable=True)
    await log.start()
    await log.publish(notes(1, 2, 3))
    assert not await log.reached("g", 1, 0.2)
    away = False
    await caught_up(log)
    assert listener.seen == [1, 3]
    assert [(offset, tries) for offset, tries, _ in await attempts(log)] == [(2, 1)]
    listener.fails.clear()
    clock.advance(SECOND)
    log.wake()
    await eventually(lambda: _none_parked(log))
    assert listener.seen == [1, 3, 2]


async def _none_parked(log: SqlEventLog) -> bool:
    return not await log.parked("g")


async def test_a_group_of_other_processes_is_followed(database, place, clock, effects):
    beside = open_store(place)
    beside.start()
    follower = SqlEventLog(beside, clock, "gateway-1")
    follower.follow("g")
    await follower.start()
    assert not await follower.reached("g", 1, 0.05)
    async with running(database, clock, g=Effects()) as log:
        await log.publish(notes(1, 2))
        assert await follower.reached("g", 2, WAIT)
    await follower.publish(notes(3))
    assert not await follower.reached("g", 3, 0.05)
    assert (await follower.handled(), await effects()) == (2, [1, 2]), (
        "it holds nothing back but what the group has yet to do"
    )
    await follower.stop()
    await beside.close()


async def test_groups_in_the_memories_of_several_processes_are_told_apart(database, place, clock):
    beside = open_store(place)
    beside.start()
    logs = SqlEventLog(database, clock, "gateway-1"), SqlEventLog(beside, clock, "gateway-2")
    listeners = Listener(2), Listener()
    for log, listener in zip(logs, listeners, strict=True):
        log.subscribe("g", ["notes"], listener)
        await log.start()
    await logs[0].publish(notes(1, 2))
    for log in logs:
        await caught_up(log)
    assert [listener.seen for listener in listeners] == [[1], [1, 2]]
    assert [parked.group for parked in await logs[1].parked()] == ["g@gateway-1"]
    assert sorted(status.group for status in await logs[0].status()) == ["g@gateway-1", "g@gateway-2"]
    for log in logs:
        await log.stop()
    await beside.close()
