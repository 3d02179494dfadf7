"""Leases of nodes in PostgreSQL: whatever stops, dies, or has a wrong clock, no id is issued twice."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rookery.infra.leases.sql import NodeLease
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.port import Statement
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.kernel.clock import HOUR, MINUTE, SECOND, Clock, ManualClock, SystemClock
from rookery.kernel.errors import Unavailable
from rookery.kernel.ids import MAX_ID, NO_LEASE, ClockAhead, ClockBehind, IdGenerator, first_id_at, moment_of
from tests.conftest import MIGRATIONS
from tests.contracts.conftest import migrated as migrated
from tests.contracts.conftest import postgres as postgres
from tests.engines import Postgres

WAIT = 40
"""Seconds after which a test gives up."""

QUICK: dict[str, Any] = {"read_limit": 1.0, "scan_limit": 1.0, "busy_timeout": 1.0, "patience": 1.0}

HELD = Statement(text("SELECT node, token, end_at FROM leases_nodes ORDER BY node"))
EXPIRE = Statement(text("UPDATE leases_nodes SET expires_at = 0"))
FILL = Statement(
    text(
        "INSERT INTO leases_nodes SELECT node, 'x', 1, 0, 9000000000000000 FROM generate_series(1, 959) AS made (node)"
    )
)


def node_of(id: int) -> int:
    return id >> 12 & 1023


@pytest.fixture
def url(migrated: Postgres) -> Iterator[str]:
    made = migrated.create("rookery")
    yield made
    migrated.drop(made)


@pytest.fixture
async def store(url: str) -> AsyncGenerator[PostgresDatabase]:
    opened = PostgresDatabase(url, **QUICK)
    opened.start()
    yield opened
    await opened.close()


def lease_of(store: PostgresDatabase, clock: Clock | None = None, **options: Any) -> NodeLease:
    return NodeLease(store, clock or SystemClock(), "test", **{"allow_ahead": MAX_ID, **options})


async def expire(store: PostgresDatabase) -> None:
    """Let the time of all leases pass."""
    await store.write(lambda tx: tx.run(EXPIRE))


async def issued(ids: IdGenerator) -> int:
    """An id, as soon as one may be issued."""
    async with asyncio.timeout(WAIT):
        while True:
            try:
                return ids.next()
            except Unavailable:
                await asyncio.sleep(0.01)


async def test_each_holder_has_a_node_of_its_own_and_gives_it_back(store):
    clock = ManualClock(SystemClock().now())
    first, second = lease_of(store, clock), lease_of(store, clock)
    ids, others = await first.take(), await second.take()
    assert [node_of(ids.next()), node_of(others.next())] == [0, 1]
    last = [ids.next() for _ in range(5_000)][-1]

    await first.release()

    with pytest.raises(Unavailable):
        ids.next()
    clock.advance(SECOND)  # what it issued borrowed from the future
    again = lease_of(store, clock)
    next_ids = await again.take()
    assert again.node == 0
    assert next_ids.next() > last
    await first.release()
    await again.renew()
    assert again.node == 0, "what is not held any more can't be released"


async def test_a_node_that_is_not_renewed_is_taken_once_the_database_says_so_behind_all_that_was_given(store):
    clock = ManualClock(SystemClock().now())
    stopped = lease_of(store, clock)
    ids = await stopped.take()
    before = [ids.next()]
    clock.advance(2 * MINUTE)
    patient = lease_of(store, clock)
    assert node_of((await patient.take()).next()) == 1, "by the database's clock the first one is held"
    await expire(store)
    await patient.renew()
    heir = lease_of(store, clock)
    theirs = await heir.take()
    assert heir.node == 0
    with pytest.raises(Unavailable) as refused:
        ids.next()
    assert refused.value.code == NO_LEASE
    clock.advance(-2 * MINUTE)  # the worst of clocks: back into the time of its lease
    before += [ids.next() for _ in range(100)]
    after = [theirs.next() for _ in range(100)]
    assert max(before) < min(after)
    assert max(map(moment_of, before)) < stopped.ids.position + MINUTE <= min(map(moment_of, after)) + 1

    await stopped.renew()

    assert stopped.node == 2
    assert ids.next() > before[-1]


async def test_a_node_whose_time_lies_ahead_of_the_takers_clock_is_left_alone(store):
    now = SystemClock().now()
    ahead = lease_of(store, ManualClock(now + HOUR))
    (await ahead.take()).next()
    await expire(store)
    behind = lease_of(store, ManualClock(now))
    (await behind.take()).next()
    assert behind.node == 1


async def test_a_clock_that_jumps_ahead_is_followed_by_a_renewal_at_once(store):
    clock = ManualClock(SystemClock().now())
    lease = lease_of(store, clock)
    ids = await lease.take()
    lease.start()
    before = ids.next()
    clock.advance(10 * MINUTE)
    with pytest.raises(Unavailable):
        ids.next()
    async with asyncio.timeout(WAIT):
        after = await issued(ids)
    assert after > before
    assert node_of(after) == 0
    await lease.release()


async def test_ids_go_on_after_the_newest_one_also_where_another_nodes_clock_was_ahead(store):
    clock = ManualClock(SystemClock().now())
    newest = first_id_at(clock.now() + HOUR)
    lease = lease_of(store, clock)
    ids = await lease.take()
    await lease.resume(newest)
    assert ids.next() > newest
    with pytest.raises(ClockBehind):
        await lease.resume(first_id_at(clock.now() + HOUR + 1))
    await lease.release()
    other = lease_of(store, ManualClock(clock.now()))
    await other.take()
    await other.resume(0)
    assert other.node == 1, "node 0 was used up to an hour ahead"


async def test_a_clock_far_ahead_of_the_databases_numbers_nothing(store):
    clock = ManualClock(SystemClock().now() + HOUR + MINUTE)
    with pytest.raises(ClockAhead, match="seconds ahead of the database's"):
        await NodeLease(store, clock, "test").take()
    clock.advance(-HOUR)
    lease = NodeLease(store, clock, "test")
    await lease.take()
    assert 0 < lease.skew <= MINUTE
    clock.advance(HOUR)
    with pytest.raises(ClockAhead):
        await lease.renew()


async def test_where_every_node_is_held_there_is_none(store):
    lease = lease_of(store)
    await lease.take()
    await store.write(lambda tx: tx.run(FILL))
    with pytest.raises(Unavailable) as refused:
        await lease_of(store).take()
    assert refused.value.code == "no_node"
    await lease.release()
    await asyncio.sleep(0.01)
    (await lease_of(store).take()).next()


async def test_a_renewal_on_its_way_does_not_bring_back_the_ids_of_a_node_that_was_released(store):
    lease = lease_of(store)
    ids = await lease.take()
    renewing = asyncio.create_task(lease.renew())
    await asyncio.sleep(0)
    await asyncio.gather(lease.release(), renewing, return_exceptions=True)
    with pytest.raises(Unavailable):
        ids.next()
    heir = lease_of(store)
    await asyncio.sleep(0.01)
    await heir.take()
    assert heir.node == 0


# --- the database is away, processes stand still


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One that the test may kill."""
    made = Postgres()
    try:
        made.start()
        yield made
    finally:
        made.end()


@asynccontextmanager
async def opened(server: Postgres) -> AsyncGenerator[PostgresDatabase]:
    database = PostgresDatabase(server.url(), **QUICK)
    migrate(database, MIGRATIONS)
    database.start()
    try:
        yield database
    finally:
        await database.close()


async def test_while_the_database_is_away_ids_last_as_long_as_the_lease_and_come_back_with_it(server):
    async with opened(server) as database:
        lease = lease_of(database, length=3 * SECOND)
        ids = await lease.take()
        lease.start()
        seen = [ids.next()]
        await asyncio.to_thread(server.kill)
        seen.append(ids.next())
        with pytest.raises(Unavailable) as refused:  # noqa: PT012 - until it is refused
            async with asyncio.timeout(WAIT):
                while True:
                    seen.append(ids.next())
                    await asyncio.sleep(0.01)
        assert refused.value.code == NO_LEASE
        assert len(seen) > 20
        await asyncio.to_thread(server.start)
        seen.append(await issued(ids))
        assert seen == sorted(set(seen))
        assert lease.node == 0, "nobody has taken it"
        await lease.release()


CHILD = """
import asyncio, sys, threading
from rookery.infra.leases.sql import NodeLease
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.kernel.clock import SystemClock
from rookery.kernel.errors import Unavailable
async def main():
    database = PostgresDatabase(sys.argv[1])
    database.start()
    lease = NodeLease(database, SystemClock(), "child", length=int(sys.argv[2]))
    ids = await lease.take()
    lease.start()
    ending = threading.Event()
    def issue():
        with open(sys.argv[3], "w") as file:
            while not ending.wait(0.0002):
                try:
                    file.write(f"{ids.next()}\\n")
                except Unavailable:
                    pass
    issuing = asyncio.create_task(asyncio.to_thread(issue))
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    ending.set()
    await issuing
    await lease.release()
    await database.close()
asyncio.run(main())
"""

LENGTH = 2 * SECOND


async def child(server: Postgres, file: Path) -> asyncio.subprocess.Process:
    """Another process that issues ids without a pause until it is told to end, and notes them."""
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, server.url(), str(LENGTH), str(file)),
        cwd=Path(__file__).parents[3], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert made.stdout is not None
    async with asyncio.timeout(WAIT):
        while (said := await made.stdout.readline()) != b"ready\n":
            assert said, "it has ended"
    return made


def noted(file: Path) -> list[int]:
    # The last one of a process that was killed may be cut off.
    return [int(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


async def test_processes_that_stand_still_past_their_leases_issue_no_id_twice(server, tmp_path):
    async with opened(server) as database:
        files = [tmp_path / str(number) for number in range(4)]
        children = [await child(server, file) for file in files[:2]]
        try:
            for stopped in children:
                await asyncio.sleep(0.5)
                stopped.send_signal(signal.SIGSTOP)
            await asyncio.sleep(LENGTH / SECOND + 0.5)
            # Others take what they had, while they do not know.
            children += [await child(server, file) for file in files[2:]]
            await asyncio.sleep(0.5)
            for stopped in children[:2]:
                stopped.send_signal(signal.SIGCONT)
            await asyncio.sleep(1)
            held = await database.all(HELD)
            children[3].kill()
            for one in children[:3]:
                await one.communicate(b"\n")
        finally:
            for one in children:
                with suppress(ProcessLookupError):
                    one.kill()
                await one.wait()
        runs = [noted(file) for file in files]
        assert [(node, token) for node, token, _ in held] == [(0, 2), (1, 2), (2, 1), (3, 1)]
        for run in runs:
            assert len(run) > 100
            assert run == sorted(set(run))
        assert [len({node_of(id) for id in run}) for run in runs] == [2, 2, 1, 1]
        everything = [id for run in runs for id in run]
        assert len(set(everything)) == len(everything)
        for node in (0, 1):
            former, heir = ([id for id in run if node_of(id) == node] for run in (runs[node], runs[node + 2]))
            assert moment_of(former[-1]) < moment_of(heir[0]), "an id of a moment is of who held the node then"
