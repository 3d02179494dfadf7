"""The suite of relational storage: every engine of `infra.sql.port.Database` passes it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from rookery.infra.sql.port import Duplicate, Statement, Transaction, insert, one_of
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.kernel.errors import Invalid, Unavailable
from tests.contracts.conftest import Opened, Place, open_store
from tests.engines import Postgres

NOTES = Table(
    "notes",
    MetaData(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("text", Text, unique=True),
    Column("count", Integer, nullable=False),
    Column("blob", LargeBinary),
    sqlite_strict=True,
)
c = NOTES.c

ADD = Statement(insert(NOTES).values(id=bindparam("id"), text=bindparam("text", None), count=0))
ADD_RETURNING = Statement(ADD.clause.returning(c.id))  # pyright: ignore[reportAttributeAccessIssue]
ADD_ONCE = Statement(ADD.clause.on_conflict_do_nothing(index_elements=["id"]))  # pyright: ignore[reportAttributeAccessIssue]
_more = insert(NOTES).values(id=bindparam("id"), count=1)
ADD_OR_COUNT = Statement(
    _more.on_conflict_do_update(index_elements=["id"], set_={"count": c.count + _more.excluded.count})
)
GET = Statement(select(c.id, c.text, c.count).where(c.id == bindparam("id")))
IDS = Statement(select(c.id).order_by(c.id))
HOW_MANY = Statement(select(func.count()).select_from(NOTES))
COUNT_UP = Statement(update(NOTES).values(count=c.count + bindparam("by", 1)).where(c.id == bindparam("of")))
DROP = Statement(delete(NOTES).where(one_of(c.id, "ids")))
BY_IDS = Statement(select(c.id).where(one_of(c.id, "ids")).order_by(c.id))
BY_TEXTS = Statement(select(c.id).where(one_of(c.text, "texts")).order_by(c.id))

LOOKS: dict[str, tuple[str, Any]] = {
    "sqlite": ("SELECT name FROM sqlite_master WHERE name = 'notes'", sqlite.dialect()),
    "postgresql": ("SELECT 1 WHERE to_regclass('notes') IS NOT NULL", postgresql.dialect()),
}
"""How each engine is asked whether the table is there, and how it is made."""

Open = Callable[..., AbstractAsyncContextManager[Opened]]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        yield tmp_path / "notes.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture
def engine(place: Place) -> Open:
    """Opens the same store each time; its options are those that all engines have."""

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncGenerator[Opened]:
        database = open_store(place, **options)
        look, dialect = LOOKS[database.dialect]
        if not database.rows(look):
            database.script(str(CreateTable(NOTES).compile(dialect=dialect)))
        database.start()
        try:
            yield database
        finally:
            await database.close()

    return opened


@pytest.fixture
async def store(engine: Open) -> AsyncIterator[Opened]:
    async with engine() as opened:
        yield opened


def add(*ids: int) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for id in ids:
            tx.run(ADD, id=id)

    return work


async def ids(store: Opened) -> list[int]:
    return [id for (id,) in await store.all(IDS)]


@asynccontextmanager
async def writer_held(store: Opened) -> AsyncGenerator[None]:
    """While inside, the writer is busy with a transaction, and others queue up behind it."""
    running, release = threading.Event(), threading.Event()

    def work(_: Transaction) -> None:
        running.set()
        assert release.wait(30)

    holding = asyncio.create_task(store.write(work))
    await asyncio.to_thread(running.wait)
    try:
        yield
        await asyncio.sleep(0)  # lets those who were started put their transactions into the queue
    finally:
        release.set()
        await holding


# --- reading and writing


async def test_what_was_written_is_read(store):
    result = await store.write(lambda tx: tx.run(ADD, id=1, text="ä"))
    assert result == 1
    assert await store.one(GET, id=1) == (1, "ä", 0)
    assert await store.one(GET, id=2) is None
    assert await store.all(GET, id=1) == [(1, "ä", 0)]
    assert await store.all(GET, id=2) == []
    assert await store.scan(lambda reader: (reader.one(GET, id=1), reader.all(IDS))) == ((1, "ä", 0), [(1,)])


async def test_one_is_the_first_of_many(store):
    await store.write(add(3, 1, 2))
    assert await store.one(IDS) == (1,)


async def test_a_transaction_sees_what_it_has_written_and_others_do_not_until_it_is_committed(store):
    written, looked = threading.Event(), threading.Event()

    def work(tx: Transaction) -> Any:
        tx.run(ADD, id=1)
        written.set()
        assert looked.wait(30)
        return tx.one(GET, id=1)

    writing = asyncio.create_task(store.write(work))
    await asyncio.to_thread(written.wait)
    before = await store.one(GET, id=1)
    looked.set()
    assert (await writing, before) == ((1, None, 0), None)
    assert await store.one(GET, id=1) == (1, None, 0)


async def test_what_may_lag_is_there_where_there_is_nowhere_else_to_read(store):
    await store.write(lambda tx: tx.run(ADD, id=1))
    assert await store.lagging.one(GET, id=1) == (1, None, 0)
    assert await store.lagging.all(IDS) == await store.lagging.scan(lambda reader: reader.all(IDS)) == [(1,)]


async def test_values_of_every_kind_come_back_as_they_were(store):
    full = Statement(insert(NOTES).values({name: bindparam(name) for name in ("id", "text", "count", "blob")}))
    big, text, blob = (1 << 63) - 1, "😀 it''s 100%_ :x\u0001\n", bytes(range(256))
    await store.write(lambda tx: tx.run(full, id=big, text=text, count=-(1 << 63) + 1, blob=blob))
    got = await store.one(Statement(select(c.id, c.text, c.count, c.blob)))
    assert got == (big, text, -(1 << 63) + 1, blob)


async def test_text_with_a_nul_comes_back_or_is_refused_as_invalid(store):
    try:
        await store.write(lambda tx: tx.run(ADD, id=1, text="a\u0000b"))
    except Invalid:
        assert isinstance(store, PostgresDatabase)
        assert await ids(store) == []
        with pytest.raises(Invalid):
            await store.all(BY_TEXTS, texts=["a\u0000b"])
    else:
        assert await store.one(GET, id=1) == (1, "a\u0000b", 0)


async def test_changes_count_the_rows_they_touched(store):
    def work(tx: Transaction) -> list[int]:
        return [
            tx.run(ADD, id=1),
            tx.run(ADD_ONCE, id=1),
            tx.run(ADD_ONCE, id=2),
            tx.run(ADD_OR_COUNT, id=2),
            tx.run(ADD_RETURNING, id=3),
            tx.run(COUNT_UP, of=9),
            tx.run(COUNT_UP, of=2),
            tx.run(Statement(update(NOTES).values(count=7))),
            tx.run(GET, id=1),
            tx.run(DROP, ids=[1, 2, 8]),
            tx.run(Statement(delete(NOTES))),
        ]

    assert await store.write(work) == [1, 0, 1, 1, 1, 0, 1, 3, 0, 2, 1]


async def test_a_change_can_return_rows(store):
    assert await store.write(lambda tx: (tx.one(ADD_RETURNING, id=4), tx.all(ADD_RETURNING, id=5))) == ((4,), [(5,)])
    assert await ids(store) == [4, 5]


async def test_many_executes_once_for_each_row_and_leaves_the_rows_alone(store):
    rows = [{"id": id, "text": str(id)} for id in range(1_000)]
    await store.write(lambda tx: tx.many(ADD, rows))
    lists = [{"ids": [0, 1]}, {"ids": [2]}]
    await store.write(lambda tx: tx.many(DROP, lists))
    assert await store.one(HOW_MANY) == (997,)
    assert lists == [{"ids": [0, 1]}, {"ids": [2]}]


# --- statements


async def test_values_that_stand_in_a_statement_need_no_parameters(store):
    await store.write(lambda tx: tx.many(ADD, [{"id": id, "text": f"t{id}"} for id in range(5)]))
    for clause, expected in (
        (select(c.id).where(c.id == 3), [3]),
        (select(c.id).where(c.text == "t2"), [2]),
        (select(c.id).where(c.id.in_((1, 4))).order_by(c.id), [1, 4]),
        (select(c.id).where(c.id.in_(())), []),
        (select(c.id).order_by(c.id).limit(2).offset(1), [1, 2]),
        (select(c.id).where(c.text.like("t_")).order_by(c.id.desc()).limit(1), [4]),
    ):
        assert [id for (id,) in await store.all(Statement(clause))] == expected, str(clause)
    mixed = Statement(select(c.id).where(c.id.in_((1, 2, 3)), c.text == bindparam("text")))
    assert await store.all(mixed, text="t2") == [(2,)]


async def test_a_parameter_may_have_a_default(store):
    await store.write(add(1))
    await store.write(lambda tx: (tx.run(COUNT_UP, of=1), tx.run(COUNT_UP, of=1, by=10)))
    assert await store.one(GET, id=1) == (1, None, 11)


async def test_a_forgotten_parameter_is_an_error_and_writes_nothing(store):
    with pytest.raises(Exception, match="text"):
        await store.write(
            lambda tx: (
                tx.run(ADD, id=1),
                tx.run(Statement(insert(NOTES).values(id=2, text=bindparam("text"), count=0))),
            )
        )
    assert await ids(store) == []


async def test_the_same_statement_serves_loop_scans_and_writer(store):
    statement = Statement(select(c.id).where(one_of(c.id, "ids")))
    await store.write(add(1))
    assert await store.all(statement, ids=[1]) == [(1,)]
    assert await store.scan(lambda reader: reader.all(statement, ids=[1])) == [(1,)]
    assert await store.write(lambda tx: tx.all(statement, ids=[1])) == [(1,)]


# --- one_of


BIG = (1 << 53) + 1


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ([], []),
        ([1], [1]),
        ([1, 1, 2, 99], [1, 2]),
        ([-5, 2], [-5, 2]),
        ([BIG], [BIG]),
        ([BIG - 1], []),
        ([(1 << 63) - 1, -(1 << 63)], [-(1 << 63), (1 << 63) - 1]),
        ((2,), [2]),
        ({1: 0}.keys(), [1]),
        (range(-100_000, 100_000), [-5, 1, 2]),
    ],
)
async def test_one_of_takes_lists_of_any_length_and_sign(store, asked, found):
    await store.write(add(-(1 << 63), -5, 1, 2, BIG, (1 << 63) - 1))
    assert [id for (id,) in await store.all(BY_IDS, ids=asked)] == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [(["a"], [1]), (["b", "a"], [1, 2]), (['"', "'", "\\", "ä😀", "1"], [3, 4, 5, 6, 7]), ([], []), (["A"], [])],
)
async def test_one_of_takes_strings(store, asked, found):
    texts = ["a", "b", '"', "'", "\\", "ä😀", "1"]
    await store.write(lambda tx: tx.many(ADD, [{"id": id, "text": text} for id, text in enumerate(texts, 1)]))
    assert [id for (id,) in await store.all(BY_TEXTS, texts=asked)] == found


async def test_one_list_may_be_asked_for_in_several_places(store):
    both = Statement(select(c.id).where(or_(one_of(c.id, "ids"), one_of(c.count, "ids"))).order_by(c.id))
    deep = Statement(select(func.count()).where(c.id.in_(select(c.id).where(one_of(c.id, "ids")))))
    negated = Statement(select(c.id).where(~one_of(c.id, "ids")))
    await store.write(
        lambda tx: (tx.run(ADD, id=1), tx.run(ADD, id=2), tx.run(COUNT_UP, of=2, by=7), tx.run(ADD, id=3))
    )
    assert await store.all(both, ids=[1, 7]) == [(1,), (2,)]
    assert await store.one(deep, ids=[1, 2, 9]) == (2,)
    assert await store.all(negated, ids=[1, 2]) == [(3,)]


# --- failures


class Refused(Exception):
    pass


async def test_a_failing_transaction_leaves_nothing_and_its_neighbours_stand(engine):
    sizes: list[int] = []

    def fail(tx: Transaction) -> None:
        tx.run(ADD, id=50)
        tx.after_commit(lambda: pytest.fail("called although nothing was committed"))
        raise Refused

    async with engine(on_batch=sizes.append) as store:
        async with writer_held(store):
            tasks = [asyncio.create_task(store.write(fail if id == 5 else add(id))) for id in range(10)]
        results = await asyncio.gather(*tasks, return_exceptions=True)

        assert sizes == [1, 10], "they were in one batch"
        assert [type(result) for result in results] == [type(None)] * 5 + [Refused] + [type(None)] * 4
        assert await ids(store) == [0, 1, 2, 3, 4, 6, 7, 8, 9]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_whatever_work_raises_its_caller_gets_and_the_writer_lives_on(store, error):
    def fail(_: Transaction) -> None:
        raise error

    async def caller() -> BaseException | None:
        try:
            await store.write(fail)
        except BaseException as raised:
            return raised
        return None

    async with writer_held(store):
        failing = asyncio.create_task(caller())
        fine = asyncio.create_task(store.write(add(1)))
    assert await failing is error
    await fine
    assert await ids(store) == [1]


async def test_work_that_asks_an_empty_iterator_fails_alone(store):
    async with writer_held(store):
        failing = asyncio.create_task(store.write(lambda _: next(iter(()))))
        fine = asyncio.create_task(store.write(add(1)))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await failing
    await fine


async def test_a_second_row_under_a_unique_key_is_a_duplicate(store):
    await store.write(lambda tx: tx.run(ADD, id=1, text="a"))
    for work in (
        lambda tx: tx.run(ADD, id=1),
        lambda tx: tx.run(ADD, id=2, text="a"),
        lambda tx: tx.one(ADD_RETURNING, id=1),
        lambda tx: tx.many(ADD, [{"id": 3}, {"id": 1}]),
    ):
        with pytest.raises(Duplicate):
            await store.write(work)
    assert await ids(store) == [1]


async def test_other_broken_constraints_are_no_duplicates(store):
    nothing = Statement(insert(NOTES).values(id=bindparam("id"), count=bindparam("count")))
    with pytest.raises(Exception, match=r"(?i)not.null") as refused:
        await store.write(lambda tx: tx.run(nothing, id=1, count=None))
    assert not isinstance(refused.value, Duplicate)


# --- group commit


async def test_transactions_that_wait_together_share_a_commit(engine):
    sizes: list[int] = []
    async with engine(on_batch=sizes.append) as store:
        async with writer_held(store):
            tasks = [asyncio.create_task(store.write(add(id))) for id in range(300)]
        await asyncio.gather(*tasks)
        assert sizes == [1, 300]
        assert await ids(store) == list(range(300))


async def test_a_batch_is_bounded_so_that_the_first_do_not_wait_for_all(engine):
    sizes: list[int] = []
    async with engine(on_batch=sizes.append) as store:
        async with writer_held(store):
            tasks = [asyncio.create_task(store.write(add(id))) for id in range(600)]
        await asyncio.gather(*tasks)
    assert sizes == [1, 512, 88]


async def test_transactions_run_one_after_the_other_in_the_order_they_came(store):
    seen: list[Any] = []
    async with writer_held(store):
        tasks = [
            asyncio.create_task(store.write(lambda tx, id=id: (tx.run(ADD, id=id), seen.append(tx.all(IDS)))))
            for id in range(5)
        ]
    await asyncio.gather(*tasks)
    assert seen == [[(id,) for id in range(upto + 1)] for upto in range(5)]


# --- after the commit


async def test_callbacks_run_on_the_loop_in_the_order_of_commits_before_their_callers_go_on(store):
    order: list[Any] = []

    def note(id: int, part: str) -> None:
        order.append((id, part, threading.get_ident(), asyncio.get_running_loop()))

    async def caller(id: int) -> None:
        def work(tx: Transaction) -> None:
            tx.run(ADD, id=id)
            for part in "ab":
                tx.after_commit(partial(note, id, part))

        await store.write(work)
        order.append(id)

    async with writer_held(store):
        tasks = [asyncio.create_task(caller(id)) for id in range(4)]
    await asyncio.gather(*tasks)

    here = (threading.get_ident(), asyncio.get_running_loop())
    called = [item for item in order if isinstance(item, tuple)]
    assert called == [(id, part, *here) for id in range(4) for part in "ab"]
    assert all(order.index(id) > order.index((id, "b", *here)) for id in range(4))


async def test_a_callback_sees_the_change_as_committed(store):
    seen: list[Any] = []

    def work(tx: Transaction) -> None:
        tx.run(ADD, id=1)
        tx.after_commit(lambda: seen.append(asyncio.ensure_future(store.one(GET, id=1))))

    await store.write(work)
    assert await seen[0] == (1, None, 0)


async def test_a_failing_callback_keeps_nobody_else_from_hearing(engine):
    heard: list[int] = []

    def work(tx: Transaction) -> None:
        tx.after_commit(lambda: print(1 // 0))
        tx.after_commit(lambda: heard.append(1))

    def on_batch(_: int) -> None:
        raise RuntimeError("the metrics are broken")

    async with engine(on_batch=on_batch) as store:
        async with writer_held(store):
            tasks = [asyncio.create_task(store.write(work)) for _ in range(2)]
        await asyncio.gather(*tasks)
    assert heard == [1, 1]


async def test_a_caller_that_is_cancelled_undoes_nothing_and_disturbs_nobody(store):
    heard: list[int] = []
    async with writer_held(store):
        gone = asyncio.create_task(
            store.write(lambda tx: (tx.run(ADD, id=1), tx.after_commit(lambda: heard.append(1))))
        )
        stays = asyncio.create_task(store.write(add(2)))
        await asyncio.sleep(0)
        gone.cancel()
    await stays
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await ids(store) == [1, 2]
    assert heard == [1]


# --- scans


async def test_a_scan_sees_one_state_while_writes_go_on(store):
    await store.write(add(1))
    looked, written = threading.Event(), threading.Event()

    def work(reader: Any) -> Any:
        first = reader.all(IDS)
        looked.set()
        assert written.wait(30)
        return first, reader.all(IDS)

    scanning = asyncio.create_task(store.scan(work))
    await asyncio.to_thread(looked.wait)
    await store.write(add(2))
    assert await ids(store) == [1, 2]
    written.set()
    assert await scanning == ([(1,)], [(1,)])
    assert await store.scan(lambda reader: reader.all(IDS)) == [(1,), (2,)], "the next one sees the present"


ENDLESS = Statement(select(func.count()).select_from(*(NOTES.alias(f"n{n}") for n in range(8))))


@pytest.mark.parametrize("statement", [ENDLESS, GET], ids=["one long read", "many short ones"])
async def test_a_scan_that_takes_too_long_is_ended_and_the_next_one_works(engine, statement):
    async with engine(scan_limit=0.2, scan_threads=1) as store:
        await store.write(add(*range(100)))

        def work(reader: Any) -> None:
            while True:
                reader.all(statement, **({"id": 1} if statement is GET else {}))

        with pytest.raises(Unavailable) as refused:
            await store.scan(work)
        assert refused.value.code == "timeout"
        assert await store.scan(lambda reader: reader.one(HOW_MANY)) == (100,)
        await store.write(add(100))


async def test_an_error_of_a_scan_reaches_its_caller_and_the_next_one_works(engine):
    async with engine(scan_threads=1) as store:

        def work(reader: Any) -> None:
            reader.all(IDS)
            raise Refused

        with pytest.raises(Refused):
            await store.scan(work)
        await store.write(add(1))
        assert await store.scan(lambda reader: reader.all(IDS)) == [(1,)]


# --- the end


async def test_what_was_committed_is_there_after_reopening(engine):
    async with engine() as store:
        await store.write(add(1, 2))
    async with engine() as store:
        assert await ids(store) == [1, 2]


async def test_closing_finishes_what_waits_callbacks_too(engine):
    heard: list[int] = []
    async with engine() as store:
        async with writer_held(store):
            tasks = [
                asyncio.create_task(
                    store.write(lambda tx, id=id: (tx.run(ADD, id=id), tx.after_commit(lambda: heard.append(id))))
                )
                for id in range(3)
            ]
            await asyncio.sleep(0)
            closing = asyncio.create_task(store.close())
            await asyncio.sleep(0)
        await closing
        assert heard == [0, 1, 2]
        await asyncio.gather(*tasks)
    async with engine() as store:
        assert await ids(store) == [0, 1, 2]


async def test_a_closed_store_says_so(engine):
    async with engine() as store:
        await store.close()
        for call in (
            lambda: store.write(add(1)),
            lambda: store.one(GET, id=1),
            lambda: store.all(IDS),
            lambda: store.scan(lambda reader: reader.all(IDS)),
        ):
            with pytest.raises(Unavailable, match="closed"):
                await call()
        await store.close()
