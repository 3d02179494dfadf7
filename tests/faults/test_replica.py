"""A read replica lags, is killed, stands still and comes back, and so does its primary: what readers see meanwhile."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from rookery.infra.events.sql import SqlEventLog
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.port import Reader, Statement
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.infra.sql.postgres_replica import Replica
from rookery.kernel import calling
from rookery.kernel.clock import ManualClock, SystemClock
from rookery.kernel.errors import Unavailable
from rookery.kernel.ids import IdGenerator
from rookery.kernel.pages import Page
from rookery.kernel.visibility import Visibility
from rookery.services.graph.store import GraphStore
from rookery.services.tweets.contract import TweetRecord, TweetType
from rookery.services.tweets.store import Listing, TweetStore
from rookery.services.users.store import UsersStore
from tests.conftest import MIGRATIONS, NEW_YEAR
from tests.engines import Postgres, PostgresReplica
from tests.gateways.rest.conftest import Person, serving

WAIT = 40
"""Seconds after which a test gives up."""

BOUNDED = 3.0
"""Seconds that no read takes, whatever the replica does."""

ADD = Statement(text("INSERT INTO kept (id) VALUES (:id)"))
KEPT = Statement(text("SELECT id FROM kept ORDER BY id"))

ANN, BOB, GUEST = 11, 12, 0


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Postgres, PostgresReplica]]:
    primary = Postgres()
    replica: Postgres | None = None
    try:
        primary.start()
        primary.execute("CREATE TABLE kept (id BIGINT PRIMARY KEY)", "CREATE DATABASE network")
        yield primary, (replica := PostgresReplica(primary))
    finally:
        for server in (replica, primary):
            if server is not None:
                server.end()


def running(server: Postgres) -> None:
    """Whatever a test left of it."""
    if server.child.pid is None:
        server.start()
    server.resume()


@pytest.fixture
def primary(servers: tuple[Postgres, PostgresReplica]) -> Postgres:
    """It may be killed."""
    primary, _ = servers
    running(primary)
    primary.execute("TRUNCATE kept")
    return primary


@pytest.fixture
def replica(servers: tuple[Postgres, PostgresReplica], primary: Postgres) -> PostgresReplica:
    """Likewise; it shows what the primary has."""
    _, replica = servers
    running(replica)
    replica.resume_replay()
    position = primary.ask("SELECT pg_current_wal_flush_lsn()")
    end = time.monotonic() + WAIT
    while not replica.ask(f"SELECT pg_last_wal_replay_lsn() >= '{position}'"):
        assert time.monotonic() < end, "the replica does not follow"
        time.sleep(0.02)
    return replica


@asynccontextmanager
async def opened(primary: Postgres, replica: Postgres, **options: Any) -> AsyncGenerator[PostgresDatabase]:
    """A process's database, once it reads from the replica."""
    limits: dict[str, Any] = {"read_limit": 1.0, "scan_limit": 1.0, "busy_timeout": 1.0, "patience": 1.0}
    database = PostgresDatabase(primary.url(), replica=replica.url(), **{**limits, **options})
    database.start()
    try:
        await read_there(database, GUEST)
        yield database
    finally:
        await database.close()


def of(database: PostgresDatabase) -> Replica:
    assert database.replica is not None
    return database.replica


async def look(database: PostgresDatabase, viewer: int) -> list[int]:
    with calling.viewing(viewer):
        return [id for (id,) in await database.lagging.all(KEPT)]


async def add(database: PostgresDatabase, id: int, viewer: int) -> None:
    with calling.viewing(viewer, acting=True):
        await database.write(lambda tx: tx.run(ADD, id=id))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT):
        while not await condition():  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.02)


async def read_there(database: PostgresDatabase, viewer: int) -> None:
    """Wait until the replica answers this viewer."""

    async def there() -> bool:
        before = of(database).reads["replica"]
        await look(database, viewer)
        return of(database).reads["replica"] > before

    await until(there)


# --- lag


async def test_whoever_wrote_sees_it_at_once_and_others_once_the_replica_has_it(primary, replica):
    async with opened(primary, replica, max_lag=WAIT) as database:
        await read_there(database, ANN)
        await read_there(database, BOB)
        replica.pause_replay()
        await add(database, 1, ANN)
        for _ in range(20):
            assert await look(database, ANN) == [1]
            assert await look(database, BOB) == []
            await asyncio.sleep(0.05)
        assert [id for (id,) in await database.all(KEPT)] == [1]  # what must not lag never does
        replica.resume_replay()
        await read_there(database, ANN)
        assert await look(database, ANN) == [1]
        assert await look(database, BOB) == [1]


async def test_what_somebody_wrote_through_another_process_counts_too(primary, replica):
    async with opened(primary, replica, max_lag=WAIT) as one, opened(primary, replica, max_lag=WAIT) as other:
        await read_there(other, ANN)
        replica.pause_replay()
        for id in range(1, 30):
            await add(one, id, ANN)
            assert await look(other, ANN) == list(range(1, id + 1))
        assert await look(other, BOB) == []
        replica.resume_replay()
        await read_there(other, ANN)


async def test_a_read_that_was_under_way_when_its_reader_wrote_elsewhere_is_made_again(primary, replica):
    async with opened(primary, replica, scan_limit=10.0) as one, opened(primary, replica, scan_limit=10.0) as other:

        async def scanned_there() -> bool:
            before = of(other).reads["replica"]
            with calling.viewing(ANN):
                await other.lagging.scan(lambda reader: reader.all(KEPT))
            return of(other).reads["replica"] > before

        await until(scanned_there)
        replica.pause_replay()
        looks = 0

        def slowly(reader: Reader) -> list[int]:
            nonlocal looks
            looks += 1
            found = [id for (id,) in reader.all(KEPT)]
            if looks == 1:
                time.sleep(2)
            return found

        with calling.viewing(ANN):
            scanning = asyncio.create_task(other.lagging.scan(slowly))
        await asyncio.sleep(0.3)
        await add(one, 1, ANN)
        replica.resume_replay()
        assert await scanning == [1]
        assert looks == 2


async def test_beyond_the_bound_nobody_reads_the_replica(primary, replica):
    async with opened(primary, replica, max_lag=1.5) as database:
        replica.pause_replay()
        await add(database, 1, ANN)

        async def seen() -> bool:
            return await look(database, GUEST) == [1] == await look(database, BOB)

        await until(seen)
        assert of(database).health() == "lags"
        assert of(database).lag_bytes > 0
        replica.resume_replay()
        await read_there(database, GUEST)
        assert of(database).health() == "ok"


async def test_who_acts_and_who_is_not_known_reads_the_primary(primary, replica):
    async with opened(primary, replica) as database:
        replica.pause_replay()
        await add(database, 1, ANN)
        with calling.viewing(BOB, acting=True):
            assert await database.lagging.all(KEPT) == [(1,)]
        assert await database.lagging.all(KEPT) == [(1,)]
        assert await database.lagging.one(KEPT) == (1,)


async def test_an_idle_primary_is_not_taken_for_a_lag(primary, replica):
    async with opened(primary, replica, max_lag=3.0) as database:
        for _ in range(15):
            before = of(database).reads["replica"]
            await look(database, GUEST)
            assert of(database).reads["replica"] > before
            await asyncio.sleep(0.4)


# --- the replica is away


async def reading(database: PostgresDatabase, seconds: float) -> float:
    """Twenty people read for so long, and see all there is; the longest that one of them waited (s)."""
    end = time.monotonic() + seconds

    async def person(number: int) -> float:
        longest = 0.0
        while time.monotonic() < end:
            began = time.monotonic()
            assert await look(database, number) == [1]
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.01)
        return longest

    return max(await asyncio.gather(*map(person, range(20))))


@pytest.mark.parametrize("how", ["kill", "stop", "pause"])
async def test_a_replica_that_goes_away_is_missed_by_nobody_and_used_again_when_it_is_back(primary, replica, how):
    async with opened(primary, replica) as database:
        await add(database, 1, ANN)
        await read_there(database, ANN)
        people = asyncio.create_task(reading(database, 5))
        await asyncio.sleep(1)
        getattr(replica, how)()
        assert await people < BOUNDED
        assert of(database).health() != "ok"
        assert await reading(database, 0.5) < 0.9  # it is not tried by readers
        replica.resume() if how == "pause" else replica.start()
        await read_there(database, ANN)
        assert await look(database, ANN) == [1]


async def test_a_replica_that_was_killed_and_comes_back_further_behind_is_not_believed(primary, replica):
    async with opened(primary, replica) as database:
        for id in range(1, 4):
            await add(database, id, ANN)
            await read_there(database, ANN)
            replica.kill()
            replica.start()
            seen = time.monotonic() + 1.0
            while time.monotonic() < seen:
                assert await look(database, ANN) == list(range(1, id + 1))


async def test_a_process_begins_without_its_replica(primary, replica):
    replica.kill()
    database = PostgresDatabase(primary.url(), replica=replica.url())
    database.start()
    try:
        await add(database, 1, ANN)
        assert await look(database, BOB) == [1]
        replica.start()
        await read_there(database, BOB)
    finally:
        await database.close()


async def test_a_server_that_is_no_replica_of_the_primary_is_not_read(primary):
    stranger = Postgres()
    try:
        stranger.start()
        stranger.execute("CREATE TABLE kept (id BIGINT PRIMARY KEY)", "INSERT INTO kept VALUES (99)")
        for server in (stranger, primary):
            database = PostgresDatabase(primary.url(), replica=server.url())
            database.start()
            try:

                async def found_out(database: PostgresDatabase = database) -> bool:
                    assert await look(database, BOB) == []
                    return "no replica" in of(database).health()

                await until(found_out)
                assert of(database).reads["replica"] == 0
            finally:
                await database.close()
    finally:
        stranger.end()


async def test_a_replica_that_became_a_primary_is_not_read_any_more(primary):
    replica = PostgresReplica(primary)
    try:
        replica.start()
        async with opened(primary, replica) as database:
            replica.execute("SELECT pg_promote()")

            async def found_out() -> bool:
                return "no replica" in of(database).health()

            await until(found_out)
            replica.execute("INSERT INTO kept VALUES (99)")
            assert await look(database, BOB) == []
    finally:
        replica.end()


# --- the primary is away


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_what_bears_lag_is_read_while_the_primary_is_away(primary, replica, how):
    async with opened(primary, replica) as database:
        await add(database, 1, ANN)
        await read_there(database, ANN)
        people = asyncio.create_task(reading(database, 8))
        await asyncio.sleep(1)
        getattr(primary, how)()
        assert await people < BOUNDED
        with pytest.raises(Unavailable):
            await database.all(KEPT)
        assert await reading(database, 0.5) < 0.9  # the primary is not waited for
        primary.resume() if how == "pause" else primary.start()

        async def written() -> bool:
            try:
                await add(database, 2, ANN)
            except (Unavailable, psycopg.Error):
                return False
            return True

        await until(written)
        assert await look(database, ANN) == [1, 2]
        await read_there(database, ANN)


async def test_what_a_reader_wrote_is_not_hidden_by_a_primary_that_is_away(primary, replica):
    async with opened(primary, replica, max_lag=WAIT) as database:
        replica.pause_replay()
        await add(database, 1, ANN)
        primary.kill()
        with pytest.raises(Unavailable):
            await look(database, ANN)
        assert await look(database, BOB) == []


async def test_nobody_ever_misses_an_own_write_under_load(primary, replica):
    async with opened(primary, replica) as one, opened(primary, replica) as other:
        end = time.monotonic() + 5

        async def person(number: int) -> None:
            mine: list[int] = []
            while time.monotonic() < end:
                mine.append(number * 1_000_000 + len(mine))
                await add((one, other)[len(mine) % 2], mine[-1], number)
                for database in (one, other, one):
                    found = set(await look(database, number))
                    assert found.issuperset(mine)
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(person(number) for number in range(1, 16)))
        assert of(one).reads["replica"] > 0 < of(other).reads["replica"]


# --- what bears lag


async def test_lists_and_counts_lag_and_what_is_decided_by_does_not(servers, primary, replica):
    database = PostgresDatabase(primary.url("network"), replica=replica.url("network"), max_lag=WAIT)
    try:
        migrate(database, MIGRATIONS)
        database.start()
        log, ids = SqlEventLog(database, clock := SystemClock()), IdGenerator(clock, node=0)
        graph, users = GraphStore(database, log, ids), UsersStore(database, log)
        tweets = TweetStore(database, log)

        def record(author_id: int) -> TweetRecord:
            return TweetRecord(
                0, author_id, "x", Visibility.PUBLIC, TweetType.TEXT, created_at=clock.now(), version=1, counted=True
            )

        async def follows_there() -> bool:
            with calling.viewing(BOB):
                before = of(database).reads["replica"]
                await graph.followers(BOB, Page(10))
                return of(database).reads["replica"] > before

        await until(follows_there)
        replica.pause_replay()
        with calling.viewing(ANN, acting=True):
            await graph.follow(ANN, BOB, protected=False)
            first = await tweets.post(record(ANN), ids.next)
        for viewer, seen in ((ANN, True), (BOB, False)):
            with calling.viewing(viewer):
                # Shown, and forgotten.
                assert bool((await graph.followers(BOB, Page(10))).items) == seen
                assert bool((await graph.following(ANN, Page(10))).items) == seen
                assert bool(await graph.counts([ANN])) == bool(await tweets.tweet_counts([ANN])) == seen
                assert bool(await tweets.rows(Listing.ENTRIES, ANN, Page(10, before=first + 1), lag=True)) == seen
                assert bool(await tweets.written(ANN, 0, 10)) == seen
                # Decided by, or kept for others.
                assert BOB in (await graph.viewer(ANN, 0)).following
                assert await graph.followers_among(BOB, [ANN]) == {ANN}
                assert first in await tweets.load([first])
                assert await tweets.rows(Listing.ENTRIES, ANN, Page(10))
                assert await users.identity(b"none") is None
        reads = of(database).reads["replica"]
        # Nobody looks: a consumer, a command, a worker.
        assert (await graph.followers(BOB, Page(10))).items
        assert of(database).reads["replica"] == reads
    finally:
        await database.close()
        replica.resume_replay()


async def test_a_network_reads_its_replica_for_those_who_look(servers, primary, replica, tmp_path):
    primary.execute("DROP DATABASE IF EXISTS whole", "CREATE DATABASE whole")
    urls = {"database": primary.url("whole"), "replica": replica.url("whole")}
    async with serving(tmp_path, ManualClock(NEW_YEAR), **urls) as server:
        ann, bob, guest = await server.person("ann"), await server.person("bob"), server.client()
        database = server.network.database

        async def followers(person: Person) -> list[str]:
            answer = await person.get(f"/v1/users/{bob.id}/followers")
            assert answer.status_code == 200, answer.text
            return [one["handle"] for one in answer.json()["items"]]

        async def there() -> bool:
            before = of(database).reads["replica"]
            await followers(guest)
            await followers(bob)
            return of(database).reads["replica"] >= before + 2

        await until(there)
        replica.pause_replay()
        assert (await ann.put(f"/v1/users/{bob.id}/follow")).status_code == 200
        assert await followers(ann) == ["ann"]
        assert await followers(guest) == await followers(bob) == []
        assert (await bob.get(f"/v1/users/{ann.id}/relationship")).json()["followed_by"]
        replica.resume_replay()

        async def seen() -> bool:
            return await followers(guest) == await followers(bob) == ["ann"]

        await until(seen)
