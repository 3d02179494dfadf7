"""PostgreSQL is killed, stands still and comes back, and so do the processes that share it."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.port import Statement, Transaction
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.infra.sql.postgres_writer import Writer
from rookery.kernel.clock import SystemClock
from rookery.kernel.errors import Unavailable
from tests.conftest import MIGRATIONS
from tests.contracts.test_event_log import EFFECTS, MAKE_EFFECTS, Effects, Listener, notes
from tests.engines import Postgres

WAIT = 40
"""Seconds after which a test gives up."""

QUICK: dict[str, Any] = {"read_limit": 1.0, "scan_limit": 1.0, "busy_timeout": 1.0, "patience": 1.0}
"""Limits that make tests short."""

ADD = Statement(text("INSERT INTO kept (id) VALUES (:id)"))
GET = Statement(text("SELECT id FROM kept WHERE id = :id"))
KEPT = Statement(text("SELECT id FROM kept ORDER BY id"))


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One that the test may kill."""
    made = Postgres()
    try:
        made.start()
        made.execute("CREATE TABLE kept (id BIGINT PRIMARY KEY)")
        yield made
    finally:
        made.end()


@asynccontextmanager
async def opened(server: Postgres, **options: Any) -> AsyncGenerator[PostgresDatabase]:
    database = PostgresDatabase(server.url(), **{**QUICK, **options})
    database.start()
    try:
        yield database
    finally:
        await database.close()


def add(id: int) -> Callable[[Transaction], int]:
    return lambda tx: tx.run(ADD, id=id)


async def kept(database: PostgresDatabase) -> list[int]:
    return [id for (id,) in await database.all(KEPT)]


async def answered(call: Callable[[], Any]) -> Any:
    """What a call that is tried again and again answers once the store is back."""
    async with asyncio.timeout(WAIT):
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(0.05)


class Writing:
    """People who write as fast as they are answered, each id once."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._next = 0
        self.acknowledged: set[int] = set()
        self.refused: set[int] = set()
        self.doubtful: set[int] = set()
        self._ending = False
        self._tasks = [asyncio.create_task(self._write()) for _ in range(20)]

    async def _write(self) -> None:
        while not self._ending:
            self._next += 1
            id = self._next
            try:
                await self._database.write(add(id))
            except Unavailable as error:
                (self.doubtful if error.code == "in_doubt" else self.refused).add(id)
                await asyncio.sleep(0.01)
            else:
                self.acknowledged.add(id)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT):
            while not condition():  # noqa: ASYNC110 - counted by many
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        self._ending = True
        async with asyncio.timeout(WAIT):
            await asyncio.gather(*self._tasks)


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_every_acknowledged_write_is_there_after_the_server_was_ended_and_nobody_lends_a_hand(server, how):
    async with opened(server) as database:
        writing = Writing(database)
        for _ in range(3):
            before = len(writing.acknowledged)
            await writing.until(lambda before=before: len(writing.acknowledged) > before + 100)
            refused = len(writing.refused | writing.doubtful)
            await asyncio.to_thread(getattr(server, how))
            await writing.until(lambda refused=refused: len(writing.refused | writing.doubtful) > refused)
            with pytest.raises(Unavailable):
                await database.one(GET, id=1)
            await asyncio.to_thread(server.start)
            assert await answered(lambda: database.one(GET, id=1)) == (1,)
        before = len(writing.acknowledged)
        await writing.until(lambda: len(writing.acknowledged) > before + 100)
        await writing.end()
        found = set(await kept(database))
        assert writing.acknowledged <= found
        assert not writing.refused & found, "these were told that nothing was written"
        assert database.health() == {"store": "ok"}


async def test_while_the_server_stands_still_everybody_is_answered_and_all_goes_on_after_it(server):
    async with opened(server, read_threads=2) as database:
        writing = Writing(database)
        await writing.until(lambda: len(writing.acknowledged) > 100)
        server.pause()
        try:
            async with asyncio.timeout(20):
                calls = [database.one(GET, id=1) for _ in range(10)] + [database.scan(lambda reader: reader.all(KEPT))]
                for outcome in await asyncio.gather(*calls, return_exceptions=True):
                    assert isinstance(outcome, Unavailable)
                    assert outcome.retry_after
            refused = len(writing.refused | writing.doubtful)
            await writing.until(lambda: len(writing.refused | writing.doubtful) > refused + 20)
        finally:
            server.resume()
        before = len(writing.acknowledged)
        await writing.until(lambda: len(writing.acknowledged) > before + 100)
        await writing.end()
        found = set(await answered(lambda: kept(database)))
        assert writing.acknowledged <= found
        assert not writing.refused & found


@pytest.mark.parametrize("committed", [True, False])
async def test_a_commit_whose_answer_is_lost_is_asked_about(server, monkeypatch, committed):
    real, lost = Writer._execute, []

    def losing(writer: Writer, script: bytes) -> Any:
        if b"COMMIT" not in script or lost:
            return real(writer, script)
        lost.append(script)
        if committed:
            real(writer, script)
        writer.raw.pgconn.finish()
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(Writer, "_execute", losing)
    heard: list[int] = []
    async with opened(server) as database:

        def work(tx: Transaction) -> str:
            tx.run(ADD, id=1)
            tx.after_commit(lambda: heard.append(1))
            return "done"

        if committed:
            assert await database.write(work) == "done"
        else:
            with pytest.raises(Unavailable, match="nothing was written"):
                await database.write(work)
        assert (await kept(database), heard) == (([1], [1]) if committed else ([], []))
        await database.write(add(2))
    assert lost


async def test_an_offset_is_given_only_when_the_one_before_it_is_decided(server):
    database = PostgresDatabase(server.url())
    migrate(database, MIGRATIONS)
    database.disconnect()
    append = (
        "INSERT INTO events_log (at, topic, name, version, key, body) VALUES (1, 't', 't.n', 1, 'k', '{}') "
        'RETURNING "offset"'
    )
    with psycopg.connect(server.url()) as first, psycopg.connect(server.url()) as second:
        assert first.execute(append).fetchone() == (1,)
        second.execute("SET lock_timeout = 200")
        second.commit()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute(append)
        second.rollback()
        first.rollback()
        assert second.execute(append).fetchone() == (1,), "without a gap"


# --- processes that share it

CHILD = """
import asyncio, sys, time
from rookery.infra.events.sql import SqlEventLog
from rookery.kernel.clock import SystemClock
from tests.contracts.test_event_log import Effects
from tests.faults.test_postgres import ADD, QUICK, PostgresDatabase
async def consume(database):
    log = SqlEventLog(database, SystemClock())
    log.subscribe_in_transaction("g", ["notes"], Effects())
    await log.start()
    while not await log.reached("g", 3, 0.05):
        pass
    print("ready", flush=True)
    await asyncio.Event().wait()
async def hold(database):
    def work(tx):
        tx.run(ADD, id=1)
        print("ready", flush=True)
        time.sleep(0.2)
        tx.run(ADD, id=2)
        time.sleep(3600)
    await database.write(work)
async def main():
    database = PostgresDatabase(sys.argv[1], **QUICK)
    database.start()
    await globals()[sys.argv[2]](database)
asyncio.run(main())
"""


@asynccontextmanager
async def another_process(server: Postgres, does: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, server.url(), does), cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(WAIT):
            assert await child.stdout.readline() == b"ready\n"
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_group_goes_on_in_another_process_when_the_one_that_had_it_dies_or_stands_still(server, number):
    database = PostgresDatabase(server.url(), **QUICK)
    migrate(database, MIGRATIONS)
    database.start()
    await database.write(lambda tx: tx.run(MAKE_EFFECTS["postgresql"]))
    log = SqlEventLog(database, SystemClock())
    await log.publish(notes(1, 2, 3))
    async with another_process(server, "consume") as child:
        log.subscribe_in_transaction("g", ["notes"], Effects())
        await log.start()
        await log.publish(notes(4))
        assert await log.reached("g", 4, WAIT), "by the other one"
        assert not database.turns.has("consumer g")
        for _ in range(3):
            await log.trim(0)
        assert log.deserted == set(), "another process has it"
        child.send_signal(number)
        await log.publish(notes(5, 6))
        assert await log.reached("g", 6, WAIT)
        assert database.turns.has("consumer g")
        if number == signal.SIGSTOP:
            child.send_signal(signal.SIGCONT)
            await log.publish(notes(7))
            assert await log.reached("g", 7, WAIT)
            assert database.turns.has("consumer g"), "what was given to another is not taken back"
    effects = [number for (number,) in await database.all(EFFECTS)]
    assert effects == list(range(1, 8 if number == signal.SIGSTOP else 7)), "each once"
    await log.stop()
    await database.close()


async def test_a_process_that_stands_still_in_a_transaction_keeps_others_from_writing_for_seconds_only(server):
    async with opened(server) as database, another_process(server, "hold") as child:
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(Unavailable, match="busy"):
            await database.write(add(7))
        assert await database.all(KEPT) == [], "reading goes on"
        await answered(lambda: database.write(add(8)))
        assert await kept(database) == [8]


async def test_other_processes_are_heard_again_after_the_server_was_restarted(server):
    database = PostgresDatabase(server.url(), **QUICK)
    migrate(database, MIGRATIONS)
    database.start()
    log = SqlEventLog(database, SystemClock())
    listener = Listener()
    log.subscribe("g", ["notes"], listener)
    await log.start()
    async with opened(server) as beside:
        other = SqlEventLog(beside, SystemClock())
        await other.publish(notes(1))
        assert await log.reached("g", 1, WAIT)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await answered(lambda: other.publish(notes(2)))
        assert await log.reached("g", 2, WAIT)
    assert listener.seen == [1, 2]
    await log.stop()
    await database.close()
