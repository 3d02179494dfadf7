"""Affinities are learned from what people do: once, in bounds, and for as long as it matters."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from rookery.infra.events.port import Appended
from rookery.infra.sql.port import Statement, Transaction
from rookery.kernel.clock import DAY, MINUTE, ManualClock
from rookery.kernel.interest import Interest, InterestKind
from rookery.kernel.ranking import Weights
from rookery.services.analytics.contract import ProfileVisited, Read
from rookery.services.timelines import affinities
from rookery.services.timelines.affinities import MOST_AUTHORS, Affinities
from rookery.services.tweets.contract import Favorited, ImportedEntry, ImportedTweet, NewTweet
from rookery.services.users.contract import NewPerson
from rookery.wiring import Network
from tests.support import caught_up, network_in

ACTS = Weights().acts
COUNT = Statement(text("SELECT count(*) FROM timelines_affinities"))


class People:
    def __init__(self, network: Network, clock: ManualClock, ids: dict[str, int]) -> None:
        self.network = network
        self.clock = clock
        self.ids = ids

    async def post(self, author: str, reply_to: int | None = None) -> int:
        self.clock.advance(1)
        return (await self.network.ingestion.post(self.ids[author], NewTweet("so", reply_to=reply_to))).id

    async def points(self, reader: str, author: str) -> float:
        """What the reader's acts are worth now, once every event is handled."""
        await caught_up(self.network)
        return await points(self.network, self.ids[reader], self.ids[author])


async def points(network: Network, reader: int, author: int) -> float:
    found = await network.affinities.of(reader)
    now = network.clock.now()
    at = {id: (points, at) for id, points, at in zip(found.authors, found.points, found.at, strict=True)}
    if author not in at:
        return 0.0
    worth, since = at[author]
    return float(worth * 2 ** (-(now - since) / Weights().affinity_half_life))


async def rows(network: Network) -> int:
    return (await network.database.all(COUNT))[0][0]


async def people_in(network: Network, clock: ManualClock) -> People:
    found = await network.users.import_people([NewPerson(name) for name in ("ada", "bob", "cat")])
    return People(network, clock, dict(found))


@pytest.fixture
async def people(tmp_path: Path, clock: ManualClock) -> AsyncIterator[People]:
    async with network_in(tmp_path, clock) as network:
        yield await people_in(network, clock)


async def test_everything_that_people_do_counts_and_what_they_take_back_does_not(people: People) -> None:
    write, ada = people.network.ingestion, people.ids["ada"]
    theirs = await people.post("bob")
    answer = await people.post("ada", reply_to=theirs)
    assert await people.points("ada", "bob") == pytest.approx(ACTS[0])
    await write.retweet(ada, theirs)
    assert await people.points("ada", "bob") == pytest.approx(ACTS[0] + ACTS[2])
    await write.favorite(ada, theirs)
    assert await people.points("ada", "bob") == pytest.approx(ACTS[0] + ACTS[2] + ACTS[3])
    for kind, subject in (
        (InterestKind.PROFILE_VISIT, people.ids["bob"]),
        (InterestKind.READ, theirs),
        (InterestKind.LINK_CLICK, theirs),
    ):
        author = 0 if kind is InterestKind.PROFILE_VISIT else people.ids["bob"]
        people.network.interests.note(Interest(kind, ada, subject, people.clock.now(), author))
    await people.network.interests.flush()
    assert await people.points("ada", "bob") == pytest.approx(sum(ACTS) - ACTS[1])
    await write.delete(ada, answer)
    await write.unretweet(ada, theirs)
    await write.unfavorite(ada, theirs)
    assert await people.points("ada", "bob") == pytest.approx(sum(ACTS[4:]))
    assert await people.points("bob", "ada") == await people.points("ada", "cat") == 0


async def test_what_one_does_with_ones_own_tweets_and_what_is_imported_says_nothing(people: People) -> None:
    ada, bob = people.ids["ada"], people.ids["bob"]
    own = await people.post("ada")
    await people.post("ada", reply_to=own)
    await people.network.ingestion.favorite(ada, own)
    old = await people.network.ingestion.import_tweets(
        [
            ImportedTweet(bob, "old", people.clock.now() - DAY, "test", "1"),
            ImportedTweet(ada, "answer", people.clock.now() - DAY, "test", "2", reply_to_external_id="1"),
        ]
    )
    assert old[0] is not None
    assert old[1] is not None
    await people.network.ingestion.import_retweets([ImportedEntry(ada, old[0], people.clock.now() - MINUTE)])
    await people.network.ingestion.unretweet(ada, old[0])
    await people.network.ingestion.delete(ada, old[1])
    await caught_up(people.network)
    assert await rows(people.network) == 0


async def test_interest_fades_by_half_in_a_month_and_is_removed_when_nothing_is_left(people: People) -> None:
    theirs = await people.post("bob")
    await people.network.ingestion.favorite(people.ids["ada"], theirs)
    assert await people.points("ada", "bob") == pytest.approx(ACTS[3])
    people.clock.advance(30 * DAY)
    assert await people.points("ada", "bob") == pytest.approx(ACTS[3] / 2)
    assert await people.network.affinities.tidy() == 0
    people.clock.advance(300 * DAY)
    assert await people.network.affinities.tidy() == 1
    assert await rows(people.network) == 0


async def test_after_a_restart_affinities_are_there_and_nothing_counts_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with network_in(tmp_path, clock) as network:
        people = await people_in(network, clock)
        ids = people.ids
        await people.post("ada", reply_to=await people.post("bob"))
        assert await people.points("ada", "bob") == pytest.approx(ACTS[0])
    for _ in range(2):
        async with network_in(tmp_path, clock) as network:
            await caught_up(network)
            assert await points(network, ids["ada"], ids["bob"]) == pytest.approx(ACTS[0])


class Cut(Exception):
    """The process dies here."""


async def test_an_event_that_is_delivered_again_after_a_crash_counts_once(tmp_path: Path, clock: ManualClock) -> None:
    async with network_in(tmp_path, clock) as network:
        people = await people_in(network, clock)
        first = await people.post("bob")
        await caught_up(network)
        whole, tries = network.affinities.handle, 0

        def cut(tx: Transaction, batch: Sequence[Appended]) -> None:
            nonlocal tries
            tries += 1
            whole(tx, batch)
            if tries < 3:
                raise Cut

        group = network.log._groups[affinities.GROUP]
        group.in_transaction = cut
        await network.ingestion.favorite(people.ids["ada"], first)
        await caught_up(network)
        assert tries, "the first try came to nothing after its points were written"
        for _ in range(20):
            clock.advance(MINUTE)
            # What comes meanwhile goes on.
            await network.log.publish([ProfileVisited(people.ids["cat"], people.ids["ada"], clock.now())])
            await caught_up(network)
            if not await network.log.parked():
                break
        assert tries > 2
        assert await people.points("ada", "bob") == pytest.approx(ACTS[3], rel=0.01)


async def test_two_processes_that_consume_side_by_side_count_each_event_once(people: People) -> None:
    """As a command does that looks after timelines beside a server."""
    theirs = await people.post("bob")
    await people.network.ingestion.favorite(people.ids["ada"], theirs)
    settings = people.network.settings
    async with network_in(settings.data, people.clock) as other:
        await people.network.log.publish(
            [
                Favorited(theirs, people.ids["cat"], people.ids["bob"]),
                Read(people.ids["cat"], theirs, people.clock.now()),
            ]
        )
        await caught_up(other)
        await caught_up(people.network)
        assert await points(other, people.ids["ada"], people.ids["bob"]) == pytest.approx(ACTS[3])
        assert await points(other, people.ids["cat"], people.ids["bob"]) == pytest.approx(ACTS[3])


async def test_a_reader_keeps_the_strongest_authors_and_no_more(people: People) -> None:
    ada, now = people.ids["ada"], people.clock.now()
    strong = [ProfileVisited(ada, 1_000 + author, now) for author in range(MOST_AUTHORS) for _ in range(2)]
    weak = [ProfileVisited(ada, 9_000 + author, now) for author in range(MOST_AUTHORS)]
    for at in range(0, len(weak), 30):
        await people.network.log.publish([*strong[2 * at : 2 * at + 60], *weak[at : at + 30]])
        await caught_up(people.network)
    found = await people.network.affinities.of(ada)
    assert len(found.authors) <= MOST_AUTHORS + 20
    kept = set(found.authors.tolist())
    assert kept >= {1_000 + author for author in range(MOST_AUTHORS)}


async def test_memory_holds_a_bounded_number_of_readers(people: People) -> None:
    memory = Affinities(people.network.database, people.clock, Weights(), capacity=3)
    for reader in range(1, 10):
        await memory.of(reader)
    assert len(memory) == 3


async def test_plain_tweets_cost_the_consumer_no_transaction(people: People) -> None:
    handled: list[int] = []
    group = people.network.log._groups[affinities.GROUP]
    whole = group.in_transaction
    assert whole is not None
    group.in_transaction = lambda tx, batch: (handled.append(len(batch)), whole(tx, batch))[1]
    for _ in range(5):
        await people.post("bob")
    await caught_up(people.network)
    assert handled == []
    await people.post("ada", reply_to=await people.post("bob"))
    await caught_up(people.network)
    assert handled == [1]
