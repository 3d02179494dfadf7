"""Top as its readers see it: the order, what is never in it, and pages that hold still."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rookery.kernel.clock import DAY, HOUR, MINUTE, SECOND, ManualClock
from rookery.kernel.errors import Gone, Invalid
from rookery.kernel.pages import Page
from rookery.kernel.ranking import Scores
from rookery.kernel.visibility import Visibility
from rookery.services.timelines.contract import Item
from rookery.services.timelines.rankings import Rankings, Snapshot
from rookery.services.timelines.top import LENGTH
from rookery.services.tweets.contract import ImportedTweet, NewTweet, TweetChange
from rookery.services.users.contract import NewPerson
from rookery.wiring import Network
from tests.support import caught_up, network_in

NAMES = ("ada", "bob", "cat", "dan")


class People:
    """Ada, who follows Bob, Cat and Dan."""

    def __init__(self, network: Network, clock: ManualClock, ids: dict[str, int]) -> None:
        self.network = network
        self.clock = clock
        self.ids = ids

    async def post(self, author: str, content: str = "", **fields: Any) -> int:
        self.clock.advance(1)
        return (await self.network.ingestion.post(self.ids[author], NewTweet(content or author, **fields))).id

    async def page(self, page: Page | None = None, *, explain: bool = False) -> Any:
        await caught_up(self.network)
        return await self.network.top.top(self.ids["ada"], page or Page(50), explain=explain)

    async def top(self) -> list[str]:
        return said((await self.page()).items)

    async def chatted(self, with_: str, times: int = 3) -> None:
        """Ada has talked with somebody, three days ago."""
        for _ in range(times):
            await self.post("ada", "oh", reply_to=await self.post(with_, "old"))
        self.clock.advance(3 * DAY)


def said(items: list[Item]) -> list[str]:
    return [item.entry.tweet.record.content for item in items]


async def opened(network: Network, clock: ManualClock) -> People:
    ids = dict(await network.users.import_people([NewPerson(name) for name in NAMES]))
    for followee in NAMES[1:]:
        await network.graph.follow(ids["ada"], ids[followee])
    return People(network, clock, ids)


@pytest.fixture
async def people(tmp_path: Path, clock: ManualClock) -> AsyncIterator[People]:
    async with network_in(tmp_path, clock) as network:
        yield await opened(network, clock)


# --- the order


async def test_somebody_i_often_answer_comes_before_somebody_i_never_do(people: People) -> None:
    await people.chatted("bob")
    await people.post("bob")
    await people.post("cat")
    await people.post("dan")
    assert (await people.top())[:3] == ["bob", "dan", "cat"]


async def test_what_others_answered_comes_before_what_they_passed_by_and_before_what_they_favorited(
    people: People,
) -> None:
    answered, favorited = await people.post("bob", "answered"), await people.post("cat", "favorited")
    await people.post("dan", "passed by")
    await people.post("dan", "so?", reply_to=answered)
    await people.network.ingestion.favorite(people.ids["dan"], favorited)
    found = await people.top()
    assert [one for one in found if one != "so?"] == ["answered", "favorited", "passed by"]


async def test_what_is_new_comes_before_what_is_old(people: People) -> None:
    await people.post("bob", "old")
    people.clock.advance(2 * DAY)
    await people.post("cat", "new")
    assert await people.top() == ["new", "old"]


async def test_what_a_friend_passes_on_counts_as_the_friends(people: People) -> None:
    await people.chatted("bob")
    stranger = (await people.network.users.import_people([NewPerson("eve")]))["eve"]
    theirs = await people.network.ingestion.post(stranger, NewTweet("by a stranger"))
    await people.post("cat")
    await people.network.ingestion.retweet(people.ids["bob"], theirs.id)
    await people.post("dan")
    assert (await people.top())[:3] == ["by a stranger", "dan", "cat"]


async def test_a_score_is_explained_by_its_factors_which_multiply_up_to_it(people: People) -> None:
    await people.chatted("bob", 1)
    await people.post("bob", "a picture", media_url="https://example.com/a.png")
    await people.post("cat")
    people.clock.advance(12 * HOUR)
    items = (await people.page(explain=True)).items
    by_content = {item.entry.tweet.record.content: item.reason.score for item in items}
    scores = [item.reason.score for item in items]
    assert all(one.score == one.affinity * one.weight * one.decay for one in scores)
    assert [one.score for one in scores] == sorted((one.score for one in scores), reverse=True)
    picture, plain = by_content["a picture"], by_content["cat"]
    assert picture.affinity > 4 > plain.affinity == 1
    assert (picture.weight, plain.weight) == (pytest.approx(1.2), 1)
    assert plain.decay == pytest.approx(0.5, rel=1e-4)
    assert all(item.reason.score is None for item in (await people.page()).items), "nobody asked"


# --- what is never in it


async def test_what_is_deleted_blocked_muted_or_kept_from_me_is_gone_from_pages_of_a_ranking_made_before(
    people: People,
) -> None:
    network, ada = people.network, people.ids["ada"]
    for number in range(3):
        await people.post("cat", f"cat {number}")
    deleted, narrowed = await people.post("bob", "deleted"), await people.post("bob", "narrowed")
    await people.post("bob", "stays")
    await people.post("dan", "dan")
    first = await people.page(Page(1))
    assert said(first.items) == ["dan"]
    rest = Page(50, before=first.next)
    assert len((await people.page(rest)).items) == 6
    await network.ingestion.delete(people.ids["bob"], deleted)
    await network.ingestion.edit(people.ids["bob"], narrowed, TweetChange(visibility=Visibility.MENTIONED))
    await network.graph.mute(ada, people.ids["cat"])
    assert said((await people.page(rest)).items) == ["stays"]
    await network.graph.unmute(ada, people.ids["cat"])
    await network.graph.block(people.ids["cat"], ada)
    await network.graph.unfollow(ada, people.ids["dan"])
    assert said((await people.page(rest)).items) == ["stays"]
    assert await people.top() == ["stays"]


async def test_somebody_i_no_longer_follow_leaves_the_pages_of_a_ranking_at_once(people: People) -> None:
    await people.post("cat")
    await people.post("bob")
    first = await people.page(Page(1))
    await people.network.graph.unfollow(people.ids["ada"], people.ids["cat"])
    rest = await people.page(Page(5, before=first.next))
    assert (said(rest.items), rest.next) == ([], None)


# --- pages


async def test_pages_hold_still_while_tweets_come(people: People) -> None:
    for number in range(12):
        await people.post("bob", str(number))
    page = await people.page(Page(5))
    found = said(page.items)
    while page.next is not None:
        await people.post("cat", "late")
        people.clock.advance(6 * MINUTE)
        await people.page(Page(5))  # another device looks, and gets a newer ranking
        page = await people.page(Page(5, before=page.next))
        found += said(page.items)
    assert found == [str(number) for number in reversed(range(12))]
    while page.prev is not None:
        page = await people.page(Page(5, after=page.prev))
        assert said(page.items) == found[-7:-2] or said(page.items) == found[:5] or said(page.items) == found[2:7]
    assert page.items[0].entry.tweet.record.content == "11", "and back to the top"
    assert page.next is not None


async def test_a_ranking_holds_the_newest_five_hundred(people: People) -> None:
    for number in range(LENGTH + 20):
        await people.post("bob", str(number))
    page, found = await people.page(Page(100)), list[str]()
    while True:
        found += said(page.items)
        if page.next is None:
            break
        page = await people.page(Page(100, before=page.next))
    assert found == [str(number) for number in reversed(range(20, LENGTH + 20))]


async def test_an_empty_timeline_has_an_empty_top(people: People) -> None:
    page = await people.page()
    assert (page.items, page.next, page.prev) == ([], None, None)


async def test_a_ranking_is_over_ten_minutes_after_its_last_page(people: People) -> None:
    for _ in range(3):
        await people.post("bob")
    page = await people.page(Page(1))
    for _ in range(3):
        people.clock.advance(9 * MINUTE)
        assert len((await people.page(Page(1, before=page.next))).items) == 1
    people.clock.advance(10 * MINUTE)
    with pytest.raises(Gone) as error:
        await people.page(Page(1, before=page.next))
    assert (error.value.code, error.value.status) == ("ranking_over", 410)


@pytest.mark.parametrize("field", ["before", "after"])
async def test_what_is_no_cursor_of_a_ranking_is_refused(people: People, field: str) -> None:
    tweet = await people.post("bob")
    for cursor in (tweet, (people.clock.now() << 9) + 501):
        with pytest.raises(Invalid) as error:
            await people.page(Page(5, **{field: cursor}))
        assert (error.value.code, error.value.params["field"]) == ("invalid_cursor", field)


async def test_nobody_pages_through_anothers_ranking(people: People) -> None:
    await people.post("bob")
    await people.post("bob")
    cursor = (await people.page(Page(1))).next
    with pytest.raises(Gone):
        await people.network.top.top(people.ids["dan"], Page(1, before=cursor))


# --- when it is made anew


async def test_what_i_write_myself_and_whom_i_follow_shows_at_once(people: People) -> None:
    assert await people.top() == []
    await people.post("ada", "mine")
    assert said((await people.network.top.top(people.ids["ada"], Page())).items) == ["mine"]
    eve = (await people.network.users.import_people([NewPerson("eve")]))["eve"]
    await people.network.ingestion.post(eve, NewTweet("by eve"))
    await people.network.graph.follow(people.ids["ada"], eve)
    assert sorted(await people.top()) == ["by eve", "mine"]


async def test_new_entries_wait_for_a_moment_and_age_alone_makes_it_anew_later(people: People) -> None:
    reads = people.network.top.reads
    await people.post("bob", "first")
    assert await people.top() == ["first"]
    await people.post("cat", "second")
    assert await people.top() == ["first"]
    assert reads == {"ready": 1, "ranked": 1}
    people.clock.advance(30 * SECOND)
    assert await people.top() == ["second", "first"]
    assert reads == {"ready": 1, "ranked": 2}
    people.clock.advance(4 * MINUTE)
    await people.top()
    assert reads == {"ready": 2, "ranked": 2}, "nothing new waits"
    people.clock.advance(MINUTE)
    await people.top()
    assert reads == {"ready": 2, "ranked": 3}


async def test_readers_who_come_at_once_share_one_ranking(people: People) -> None:
    await people.post("bob")
    await caught_up(people.network)
    pages = await asyncio.gather(*(people.network.top.top(people.ids["ada"], Page()) for _ in range(5)))
    assert [said(page.items) for page in pages] == [["bob"]] * 5
    assert len(people.network.top.kept) == 1


async def test_rankings_of_those_who_come_are_made_ahead_and_of_no_others(people: People) -> None:
    top = people.network.top
    assert await top.prepare() == 0, "nobody has come yet"
    await people.post("bob", "first")
    for reader in ("ada", "cat"):
        await people.network.timelines.home(people.ids[reader], Page())
    assert await top.prepare() == 0, "nobody has asked for Top yet"
    assert await people.top() == ["first"]
    assert await top.prepare() == 0, "it holds"
    people.clock.advance(5 * MINUTE)
    assert await top.prepare() == 0, "nobody has come since"
    await people.post("bob", "second")
    await caught_up(people.network)
    await people.network.timelines.home(people.ids["ada"], Page())
    people.clock.advance(5 * MINUTE)
    assert await top.prepare() == 1
    assert await people.top() == ["second", "first"]
    assert top.reads == {"ready": 1, "ranked": 1}
    people.clock.advance(4 * DAY)
    await people.network.timelines.expire()
    await top.prepare()
    assert len(top.kept) == 0, "those who turned passive keep none"


async def test_what_makes_rankings_ahead_does_so_by_itself(people: People) -> None:
    await people.top()
    people.clock.advance(5 * MINUTE)
    await people.network.timelines.home(people.ids["ada"], Page())
    people.network.top.worker.start()
    async with asyncio.timeout(10):
        while not people.network.top.ahead:  # noqa: ASYNC110 - it announces itself to nobody
            await asyncio.sleep(0.01)


async def test_after_a_restart_what_i_did_still_counts(tmp_path: Path, clock: ManualClock) -> None:
    async with network_in(tmp_path, clock) as network:
        people = await opened(network, clock)
        await people.chatted("bob")
        await people.post("bob")
        await people.post("cat")
        cursor = (await people.page(Page(1))).next
    clock.advance(SECOND)
    async with network_in(tmp_path, clock) as network:
        again = People(network, clock, people.ids)
        assert (await again.top())[:2] == ["bob", "cat"]
        with pytest.raises(Gone):
            await again.page(Page(1, before=cursor))


# --- memory


def snapshot(number: int, used: int = 0) -> Snapshot:
    none = np.zeros(0, np.int64)
    few = np.zeros(0, np.float32)
    made = Snapshot(
        number, at=number, version=1, written=0, newest=0, entry_ids=none, tweet_ids=none, scores=Scores(few, few, few)
    )
    made.used = used
    return made


def test_rankings_are_bounded_in_number_for_all_and_for_each() -> None:
    kept = Rankings(10)
    for user in range(50):
        for number in range(user % 7 + 1):
            kept.put(user, snapshot(number + 1, used=number + 1))
            assert len(kept) <= 10
    assert len(kept) == sum(len(found) for found in kept._of.values())
    assert max(len(found) for found in kept._of.values()) == 3
    newest = kept.newest(49)
    assert newest is not None
    assert kept.newest(1) is None, "who came least recently went first"


def test_a_ranking_that_nobody_pages_gives_way_to_its_successor() -> None:
    kept = Rankings(10)
    kept.put(1, snapshot(1))
    kept.put(1, snapshot(2))
    assert len(kept) == 1
    kept.expire(3, [1])
    assert len(kept) == 1
    kept.expire(3 + 11 * MINUTE, [1])
    assert len(kept) == 1, "an active reader's newest stays"
    kept.expire(3 + 11 * MINUTE, [])
    assert len(kept) == 0


async def test_where_nearly_everything_is_hidden_a_ranking_looks_at_a_bounded_part(people: People) -> None:
    """Somebody who mutes nearly all whom they follow costs no more than a few pages do."""
    looked = 0
    reads: Any = people.network.reads
    show = reads.show

    async def counted(entry_ids: Any, *rest: Any) -> Any:
        nonlocal looked
        looked += len(entry_ids)
        return await show(entry_ids, *rest)

    reads.show = counted
    old = [
        ImportedTweet(people.ids["bob"], "hidden", people.clock.now() - HOUR - number, "test", str(number))
        for number in range(12_000)
    ]
    await people.network.ingestion.import_tweets(old)
    await people.network.graph.mute(people.ids["ada"], people.ids["bob"])
    assert await people.top() == []
    assert looked < 6_000
