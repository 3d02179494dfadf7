"""Streams in several processes: whoever posts wherever, people hear of it where their streams are, and miss nothing when they move."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.kernel.errors import Unauthorized, Unavailable
from rookery.kernel.visibility import Visibility
from rookery.services.live.contract import (
    Arrived,
    CameOnline,
    CaughtUp,
    End,
    Forgotten,
    Gone,
    Message,
    Resync,
    Stream,
    Told,
    WentOffline,
)
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import Client, Identity, NewPerson
from tests.conftest import MIGRATIONS
from tests.engines import Postgres, RedisServer, postgres, redis_alone
from tests.services.live.processes import Process, processes

__all__ = ["postgres", "redis_alone"]

WAIT = 20
"""Seconds in which what must happen happens, however busy the machine is."""


class Kept:
    """A client that keeps what it is told."""

    def __init__(self, offset: int | None = None) -> None:
        self.told: list[Message] = []
        self.offset = offset
        self.ended: End | None = None

    def tell(self, messages: Sequence[Told]) -> bool:
        for offset, message in messages:
            self.offset = offset
            self.told.append(message)
        return True

    def end(self, reason: End) -> None:
        self.ended = reason

    @property
    def tweets(self) -> list[int]:
        return [one.item.entry.tweet.id for one in self.told if isinstance(one, Arrived)]


class Here:
    """People, and the processes."""

    def __init__(self, made: dict[str, Process], people: dict[str, int], identities: dict[str, Identity]) -> None:
        self.processes = made
        self.people = people
        self.identities = identities

    def network(self, name: str) -> Any:
        return self.processes[name].network

    async def post(self, author: str, content: str = "hello", process: str = "gateway", **more: Any) -> int:
        made = await self.network(process).ingestion.post(
            self.people[author], NewTweet(content, Visibility.PUBLIC, **more)
        )
        return made.id

    async def open(self, who: str, process: str, client: Kept) -> Stream:
        live = self.network(process).live
        return await live.open(self.identities[who], client, after=client.offset, watch=())

    async def events(self, kind: type, process: str = "gateway") -> list[Any]:
        found: list[Any] = []
        upto = -1
        while (stretch := await self.network(process).log.read(max(upto, 0), 1_000)).upto > upto:
            found += [one.event for one in stretch.events if isinstance(one.event, kind)]
            upto = stretch.upto
        return found


async def until(true: Callable[[], Any], within: float = WAIT) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(within):
        while not (await found if isinstance(found := true(), Awaitable) else found):  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.01)


FOLLOWS = [("ann", "bob"), ("cat", "bob"), ("dan", "bob"), ("ann", "cat"), ("cat", "ann")]


@pytest.fixture
def store(postgres: Postgres) -> Iterator[str]:
    url = postgres.create()
    database = PostgresDatabase(url)
    migrate(database, MIGRATIONS)
    database.disconnect()
    yield url
    postgres.drop(url)


@pytest.fixture
async def here(store: str, redis_alone: RedisServer, tmp_path: Path) -> AsyncGenerator[Here]:
    named = {
        "gateway": ["gateway", "users", "graph", "tweets"],
        "processor-1": ["processor"],
        "processor-2": ["processor"],
        "live-1": ["live"],
        "live-2": ["live"],
    }
    async with processes(tmp_path, store, redis_alone.url, named) as made:
        gateway = made["gateway"].network
        people = dict(await gateway.users.import_people([NewPerson(name) for name in ("ann", "bob", "cat", "dan")]))
        identities: dict[str, Identity] = {}
        for name, id in people.items():
            token = (await gateway.users.issue(id, ("read", "write"), Client("tests"))).token
            identities[name] = await gateway.users.authenticate(token)
        for follower, followee in FOLLOWS:
            await gateway.graph.follow(people[follower], people[followee])
        yield Here(made, people, identities)


async def test_an_entry_reaches_the_processes_that_hold_its_people(here: Here):
    ann, cat, again = Kept(), Kept(), Kept()
    await here.open("ann", "live-1", ann)
    await here.open("ann", "live-2", again)
    await here.open("cat", "live-2", cat)
    first = await here.post("bob")
    await until(lambda: ann.tweets == again.tweets == cat.tweets == [first])
    own = await here.post("cat", process="live-1")
    await until(lambda: ann.tweets == again.tweets == cat.tweets == [first, own])
    assert len(await here.events(CameOnline)) == 2, "who comes to a second process was there before"


async def test_whom_i_begin_to_follow_elsewhere_is_told_from_then_on_and_what_they_delete(here: Here):
    dan = Kept()
    for _ in range(10):
        # As soon as they have followed, wherever that is heard of by then.
        await here.network("gateway").graph.follow(here.people["dan"], here.people["cat"])
        await here.open("dan", "live-1", dan)
        id = await here.post("cat")
        await until(lambda id=id: id in dan.tweets)
        await here.network("gateway").ingestion.delete(here.people["cat"], id)
        await until(lambda id=id: Gone(id) in dan.told)
        await here.network("gateway").graph.unfollow(here.people["dan"], here.people["cat"])


async def test_who_moves_misses_nothing_gets_nothing_twice_and_is_not_told_to_have_left(here: Here):
    posting, posted = True, list[int]()

    async def post() -> None:
        while posting:
            posted.append(await here.post("bob", f"number {len(posted)}"))

    ann = Kept()
    stream = await here.open("ann", "live-1", ann)
    task = asyncio.create_task(post())
    for number in range(12):
        await asyncio.sleep(0.1)
        stream.close()
        await asyncio.sleep(0.05 * (number % 3))
        stream = await here.open("ann", ("live-1", "live-2")[number % 2], ann)
    posting = False
    await task
    await until(lambda: len(ann.tweets) >= len(posted))
    assert sorted(ann.tweets) == posted
    assert not [one for one in ann.told if isinstance(one, Resync)]
    # The last stream may still be telling what was missed.
    await until(lambda: any(isinstance(one, CaughtUp) for one in ann.told))
    assert len(await here.events(CameOnline)) == 1
    assert not await here.events(WentOffline)


async def test_another_processor_takes_over_and_leaves_nothing_out(here: Here):
    clients = {"ann": Kept(), "cat": Kept()}
    await here.open("ann", "live-1", clients["ann"])
    await here.open("cat", "live-2", clients["cat"])
    posted = [await here.post("bob")]
    await until(lambda: all(one.tweets == posted for one in clients.values()))
    turn = "consumer timelines.live"
    had = next(name for name in ("processor-1", "processor-2") if here.processes[name].has(turn))
    other = "processor-2" if had == "processor-1" else "processor-1"
    dan = Kept()
    await here.open("dan", "live-2", dan)
    await here.processes[had].die()
    posted += [await here.post("bob", f"number {number}") for number in range(20)]
    late = Kept()
    await here.network("gateway").graph.follow(here.people["bob"], here.people["cat"])
    await here.open("bob", "live-1", late)
    own = await here.post("cat", "by cat")
    await until(lambda: len(dan.tweets) == 20, 8)
    assert here.processes[other].has(turn)
    await until(lambda: clients["cat"].tweets == [*posted, own])
    await until(lambda: clients["ann"].tweets == [*posted, own])
    assert dan.tweets == posted[1:]
    await until(lambda: own in late.tweets)
    # Of what was there before they came, only what was not in home timelines yet.
    assert late.tweets == [*posted, own][-len(late.tweets) :]
    assert posted[0] not in late.tweets


async def test_a_ticket_of_a_gateway_opens_a_stream_once_wherever(here: Here):
    gateway, ann = here.network("gateway"), here.identities["ann"]
    made = await gateway.live.ticket(ann)
    assert await here.network("live-2").live.redeem(made.ticket) == ann
    with pytest.raises(Unauthorized):
        await here.network("live-1").live.redeem(made.ticket)
    made = await gateway.live.ticket(ann)
    await gateway.users.revoke(ann.user_id, ann.session_id)
    with pytest.raises(Unauthorized):
        await here.network("live-2").live.redeem(made.ticket)


async def test_a_token_that_is_revoked_ends_its_streams_in_all_processes(here: Here):
    first, second, other = Kept(), Kept(), Kept()
    await here.open("ann", "live-1", first)
    await here.open("ann", "live-2", second)
    await here.open("cat", "live-2", other)
    ann = here.identities["ann"]
    await here.network("gateway").users.revoke(ann.user_id, ann.session_id)
    await until(lambda: first.ended is second.ended is End.TOKEN_REVOKED)
    assert other.ended is None
    # A process that let them in before it heard of it.
    await here.open("ann", "live-1", late := Kept())
    assert late.ended is End.TOKEN_REVOKED


async def test_gateways_know_who_is_there(here: Here):
    gateway = here.network("gateway").live
    ann, cat = here.people["ann"], here.people["cat"]
    first = await here.open("ann", "live-1", Kept())
    second = await here.open("ann", "live-2", Kept())
    assert await gateway.online([ann, cat]) == [ann]
    await gateway.show_presence(ann, True)
    assert (await gateway.presence(cat))[1] == [ann]
    first.close()
    await asyncio.sleep(5)
    assert await gateway.online([ann]) == [ann]
    assert not await here.events(WentOffline)
    second.close()
    await until(lambda: here.events(WentOffline))
    assert await gateway.online([ann]) == []
    (went,) = await here.events(WentOffline)
    assert (went.user_id, went.visible) == (ann, True)
    assert 5_000 <= went.duration < 9_000


async def test_who_was_in_a_process_that_died_is_told_to_have_left_unless_they_are_elsewhere(here: Here):
    for who in ("ann", "cat"):
        await here.open(who, "live-1", Kept())
    await here.processes["live-1"].die()
    moved = Kept()
    await here.open("cat", "live-2", moved)
    await until(lambda: here.events(WentOffline), 12)
    await asyncio.sleep(1)
    assert [one.user_id for one in await here.events(WentOffline)] == [here.people["ann"]]
    assert len(await here.events(CameOnline)) == 2
    assert await here.network("gateway").live.count() == 1
    # She comes back, and was delivered to meanwhile.
    id = await here.post("bob")
    await until(lambda: moved.tweets == [id])


async def test_without_redis_streams_go_on_and_nobody_is_known_to_be_there(here: Here, redis_alone: RedisServer):
    ann, cat = Kept(), Kept()
    gateway = here.network("gateway").live
    await here.open("ann", "live-1", ann)
    redis_alone.kill()
    posted = [await here.post("bob")]
    await until(lambda: ann.tweets == posted)
    # Home timelines do not have it, so who comes now is told, too.
    await here.open("cat", "live-2", cat)
    posted.append(await here.post("bob", "again"))
    await until(lambda: ann.tweets == cat.tweets == posted)
    assert await gateway.online(list(here.people.values())) == []
    assert await gateway.count() == 0
    with pytest.raises(Unavailable):
        await gateway.ticket(here.identities["ann"])
    await asyncio.sleep(5)
    redis_alone.start()
    await until(lambda: _two(gateway), 10)
    await asyncio.sleep(4)
    assert not await here.events(WentOffline)


async def _two(live: Any) -> bool:
    return await live.count() == 2


async def test_who_stays_away_is_forgotten_and_comes_anew(here: Here):
    ann = here.people["ann"]
    stream = await here.open("ann", "live-1", Kept())
    stream.close()
    await until(lambda: here.events(WentOffline))
    store = here.network("live-1").live_store
    assert ann in await store.people()
    # As if the time were over.
    now = here.network("live-1").clock.now()
    assert await store.forget(now, now + 60_000) == 1
    await until(lambda: here.events(Forgotten))
    gateway = here.network("gateway")
    turn = next(one for one in here.processes.values() if one.has("consumer timelines.live"))
    await until(lambda: ann not in turn.network.deliveries.audience)
    client = Kept(await gateway.live.offset())
    missed = await here.post("bob")
    await here.open("ann", "live-2", client)
    id = await here.post("bob", "again")
    await until(lambda: id in client.tweets)
    assert client.tweets == [missed, id]


async def test_a_process_that_was_taken_for_dead_says_that_its_people_are_there(here: Here):
    ann = here.people["ann"]
    client = Kept()
    await here.open("ann", "live-1", client)
    # Its signs of life stop for a while.
    presence: Any = here.processes["live-1"].network.presence
    await presence.workers[0].stop()
    await until(lambda: here.events(WentOffline), 15)
    await until(lambda: _came(here, 2))
    presence.workers[0].start()
    await until(lambda: here.network("gateway").live.online([ann]))
    id = await here.post("bob", secrets.token_hex(4))
    await until(lambda: client.tweets == [id])


async def _came(here: Here, times: int) -> bool:
    return len(await here.events(CameOnline)) >= times
