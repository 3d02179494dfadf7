"""Home timelines as their readers see them, and the paths that serve them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rookery.kernel.clock import DAY, HOUR, MINUTE, ManualClock
from rookery.kernel.pages import Page
from rookery.services.timelines.contract import RebuildRequested
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import NewPerson
from rookery.wiring import Network
from tests.support import caught_up, network_in


class People:
    """Ada, Bob, Cat and Dan, who say and do things."""

    def __init__(self, network: Network, clock: ManualClock, ids: dict[str, int]) -> None:
        self.network = network
        self.clock = clock
        self.ids = ids

    async def follow(self, follower: str, *followees: str) -> None:
        for followee in followees:
            await self.network.graph.follow(self.ids[follower], self.ids[followee])

    async def post(self, author: str, content: str, **fields: Any) -> int:
        self.clock.advance(1)
        return (await self.network.ingestion.post(self.ids[author], NewTweet(content, **fields))).id

    async def retweet(self, who: str, tweet_id: int) -> None:
        self.clock.advance(1)
        await self.network.ingestion.retweet(self.ids[who], tweet_id)

    async def home(self, reader: str) -> list[str]:
        """Contents with reasons, newest first."""
        await caught_up(self.network)
        page = await self.network.timelines.home(self.ids[reader], Page(50))
        return [f"{i.entry.tweet.record.content} ({i.reason.kind}{_by(i.reason.by)})" for i in page.items]


def _by(user: Any) -> str:
    return "" if user is None else f" by {user.handle}"


async def people_in(network: Network, clock: ManualClock) -> People:
    names = ("ada", "bob", "cat", "dan")
    return People(network, clock, dict(await network.users.import_people([NewPerson(name) for name in names])))


@pytest.fixture
async def people(tmp_path: Path, clock: ManualClock) -> AsyncIterator[People]:
    async with network_in(tmp_path, clock, famous_followers=2) as network:
        yield await people_in(network, clock)


async def test_every_entry_says_why_it_is_there(people: People) -> None:
    await people.follow("ada", "bob")
    await people.post("bob", "from bob")
    theirs = await people.post("cat", "from cat")
    await people.retweet("bob", theirs)
    await people.post("ada", "mine")
    another = await people.post("dan", "from dan")
    await people.retweet("ada", another)
    assert await people.home("ada") == [
        "from dan (own by ada)",
        "mine (own)",
        "from cat (retweet by bob)",
        "from bob (follow)",
    ]


async def test_a_reply_stands_if_i_follow_both_or_am_part_of_it(people: People) -> None:
    await people.follow("ada", "bob", "cat")
    first = {name: await people.post(name, f"first of {name}") for name in ("ada", "cat", "dan")}
    await people.post("bob", "to cat", reply_to=first["cat"])
    await people.post("bob", "to dan", reply_to=first["dan"])
    await people.post("bob", "to ada", reply_to=first["ada"])
    await people.post("ada", "to dan, by me", reply_to=first["dan"])
    contents = [line.rpartition(" (")[0] for line in await people.home("ada")]
    assert contents == ["to dan, by me", "to ada", "to cat", "first of cat", "first of ada"]


async def test_a_tweet_comes_back_by_a_retweet_only_after_a_day(people: People) -> None:
    await people.follow("ada", "bob", "cat")
    tweet = await people.post("bob", "again")
    people.clock.advance(20 * HOUR)
    await people.retweet("cat", tweet)
    assert await people.home("ada") == ["again (follow)"]
    people.clock.advance(25 * HOUR)
    await people.retweet("bob", tweet)
    assert await people.home("ada") == ["again (retweet by bob)", "again (follow)"]


async def test_paths_are_rebuilt_then_cached_and_merged_for_the_famous(people: People) -> None:
    await people.follow("ada", "bob")
    await people.post("bob", "one")
    reads = people.network.timelines.reads
    await people.home("ada")
    assert reads == {"cached": 0, "merged": 0, "rebuilt": 1, "pulled": 0}
    await people.home("ada")
    assert reads == {"cached": 1, "merged": 0, "rebuilt": 1, "pulled": 0}
    await people.follow("cat", "bob")
    await people.post("bob", "two")
    assert await people.home("ada") == ["two (follow)", "one (follow)"]
    assert reads == {"cached": 1, "merged": 1, "rebuilt": 1, "pulled": 0}


async def test_a_famous_authors_entry_is_pushed_to_readers_who_are_famous_themselves_alone(people: People) -> None:
    await people.follow("ada", "bob")
    await people.follow("cat", "bob")
    await people.follow("bob", "cat")
    await people.follow("dan", "cat")
    for reader in ("ada", "cat"):
        await people.home(reader)
    before = people.network.processor.deliveries
    tweet = await people.post("bob", "famous word")
    await caught_up(people.network)
    pushed = {
        reader: tweet in cached.entry_ids.tolist()
        for reader in ("ada", "cat")
        if (cached := await people.network.timeline_store.read(people.ids[reader])) is not None
    }
    assert pushed == {"ada": False, "cat": True}
    assert people.network.processor.deliveries - before >= 1
    for reader in ("ada", "cat"):
        assert (await people.home(reader))[0] == "famous word (follow)"


async def test_who_stays_away_for_three_days_loses_the_cached_timeline_and_nothing_else(people: People) -> None:
    await people.follow("ada", "bob")
    await people.home("ada")
    people.clock.advance(2 * DAY)
    await people.network.timelines.visited(people.ids["ada"])
    people.clock.advance(2 * DAY)
    assert await people.network.timelines.expire() == 0
    people.clock.advance(2 * DAY)
    assert await people.network.timelines.expire() == 1
    assert await people.network.timeline_store.owners() == []
    await people.post("bob", "while you were away")
    assert await people.home("ada") == ["while you were away (follow)"]


async def test_an_operator_has_timelines_made_again(people: People) -> None:
    await people.follow("ada", "bob")
    await people.post("bob", "one")
    await people.home("ada")
    await people.network.log.publish([RebuildRequested()])
    await caught_up(people.network)
    assert await people.network.timeline_store.owners() == []
    assert await people.home("ada") == ["one (follow)"]


async def test_merged_entries_may_be_as_old_as_the_setting_but_never_show_what_is_hidden(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with network_in(tmp_path, clock, famous_followers=2, famous_refresh_seconds=60) as network:
        people = await people_in(network, clock)
        await people.follow("ada", "bob")
        await people.follow("cat", "bob")
        first = await people.post("bob", "first")
        assert await people.home("ada") == ["first (follow)"]
        await people.post("bob", "second")
        assert await people.home("ada") == ["first (follow)"], "merged within the last minute"
        await network.ingestion.delete(people.ids["bob"], first)
        assert await people.home("ada") == []
        clock.advance(MINUTE)
        assert await people.home("ada") == ["second (follow)"]


async def test_a_reader_can_scroll_as_far_back_as_tweets_go_while_new_ones_arrive(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with network_in(tmp_path, clock, timeline_entries=20) as network:
        people = await people_in(network, clock)
        await people.follow("ada", "bob", "cat")
        old = [await people.post(("bob", "cat")[n % 2], f"tweet {n}") for n in range(90)]
        seen: list[int] = []
        page = await network.timelines.home(people.ids["ada"], Page(7))
        while page.next is not None:
            seen += [item.entry.id for item in page.items]
            await people.post("bob", "new")
            page = await network.timelines.home(people.ids["ada"], Page(7, before=page.next))
        seen += [item.entry.id for item in page.items]
        await caught_up(network)
        assert seen == old[::-1]


async def test_the_cached_timelines_of_a_running_network_equal_the_truth(people: People) -> None:
    await people.follow("ada", "bob", "cat")
    await people.post("bob", "one")
    await people.home("ada")
    timelines = people.network.timelines
    assert await timelines.differences(await timelines.sample(10, seed=1)) == []
    ada, none = people.ids["ada"], np.zeros(0, np.int64)
    version = (await people.network.graph.viewer(ada)).version
    await people.network.timeline_store.begin(ada, version, none)
    await people.network.timeline_store.fill(ada, version, none, none, 0)
    (difference,) = await timelines.differences([ada])
    assert "lacks" in difference
