"""Brief transactions: they run on the event loop where that is possible, and nobody can tell from what becomes of them."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, bindparam, select

from rookery.infra.sql.port import Duplicate, Statement, Transaction, insert
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.kernel.errors import Unavailable

NUMBERS = Table("numbers", MetaData(), Column("id", Integer, primary_key=True))
ADD = Statement(insert(NUMBERS).values(id=bindparam("id")))
IDS = Statement(select(NUMBERS.c.id).order_by(NUMBERS.c.id))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "numbers.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(file)
    database.script("CREATE TABLE numbers (id INTEGER PRIMARY KEY) STRICT")
    database.start()
    await database.write(lambda _: None)
    try:
        yield database
    finally:
        await database.close()


async def ids(store: SqliteDatabase) -> list[int]:
    return [row[0] for row in await store.all(IDS)]


def add(id: int, done: Callable[[], None] = lambda: None) -> Callable[[Transaction], int]:
    def work(tx: Transaction) -> int:
        tx.run(ADD, id=id)
        tx.after_commit(done)
        return threading.get_ident()

    return work


async def test_those_that_come_together_share_a_commit_and_run_on_the_loop_in_their_order(file: Path) -> None:
    batches: list[int] = []
    store = SqliteDatabase(file, on_batch=batches.append)
    store.script("CREATE TABLE numbers (id INTEGER PRIMARY KEY) STRICT")
    store.start()
    await store.write(lambda _: None)
    order: list[int] = []
    found = await asyncio.gather(*(store.write(add(n, lambda n=n: order.append(n)), brief=True) for n in range(50)))
    assert set(found) == {threading.get_ident()}
    assert order == list(range(50))
    assert batches == [1, 50]
    assert await ids(store) == list(range(50))
    await store.close()
    with closing(apsw.Connection(str(file))) as other:
        assert other.execute("SELECT count(*) FROM numbers").fetchall() == [(50,)]


async def test_one_that_fails_undoes_itself_alone(store: SqliteDatabase) -> None:
    def half(tx: Transaction) -> None:
        tx.run(ADD, id=7)
        raise LookupError("no")

    writes = (add(1), half, add(1), add(2))
    found = await asyncio.gather(*(store.write(work, brief=True) for work in writes), return_exceptions=True)
    assert [type(one) for one in found] == [int, LookupError, Duplicate, int]
    assert await ids(store) == [1, 2]


async def test_while_another_process_writes_they_wait_and_the_loop_does_not(store: SqliteDatabase, file: Path) -> None:
    with closing(apsw.Connection(str(file))) as other:
        other.execute("BEGIN IMMEDIATE; INSERT INTO numbers VALUES (100)")
        waiting = [asyncio.create_task(store.write(add(n), brief=True)) for n in range(5)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        assert await ids(store) == []
        other.execute("COMMIT")
        where = await asyncio.gather(*waiting)
    assert threading.get_ident() not in where
    assert await ids(store) == [*range(5), 100]


async def test_mixed_with_others_each_happens_once(store: SqliteDatabase) -> None:
    draw = random.Random(5)
    told: list[int] = []

    async def client(numbers: range) -> None:
        for n in numbers:
            where = await store.write(add(n, lambda n=n: told.append(n)), brief=draw.random() < 0.8)
            assert where
            assert n in told
            if draw.random() < 0.3:
                await asyncio.sleep(0)

    await asyncio.gather(*(client(range(start, start + 40)) for start in range(0, 1200, 40)))
    assert sorted(told) == await ids(store) == list(range(1200))


async def test_what_waits_at_the_end_is_still_written(store: SqliteDatabase, file: Path) -> None:
    writes = [asyncio.create_task(store.write(add(n), brief=True)) for n in range(10)]
    await asyncio.sleep(0)
    await store.close()
    assert len(await asyncio.gather(*writes)) == 10
    with pytest.raises(Unavailable):
        await store.write(add(99), brief=True)
    with closing(apsw.Connection(str(file))) as other:
        assert other.execute("SELECT count(*) FROM numbers").fetchall() == [(10,)]


async def test_a_caller_that_goes_away_undoes_nothing(store: SqliteDatabase) -> None:
    leaving = asyncio.create_task(store.write(add(1), brief=True))
    await asyncio.sleep(0)
    leaving.cancel()
    await store.write(add(2), brief=True)
    assert await ids(store) == [1, 2]
