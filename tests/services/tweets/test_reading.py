"""User timelines, lists and threads, page by page."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rookery.kernel import filling
from rookery.kernel.errors import NotFound
from rookery.kernel.pages import Page, Slice
from rookery.kernel.visibility import State, Visibility
from rookery.services.tweets.contract import Tombstone
from tests.services.tweets.conftest import World, ids, page


async def walk(read: Callable[[Page], Awaitable[Slice[Any]]], limit: int) -> list[Any]:
    """Every item of a list, by walking its pages down; then checks that walking up gives the same."""
    down: list[Any] = []
    step = Page(limit)
    while True:
        found = await read(step)
        assert len(found.items) <= limit
        down += found.items
        if found.next is None:
            break
        step = Page(limit, before=found.next)
    up: list[Any] = []
    after = 0
    while True:
        found = await read(Page(limit, after=after))
        up = [*found.items, *up]
        if found.prev == after:
            break
        assert found.prev is not None
        after = found.prev
    assert up == down
    return down


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_a_user_timeline_merges_tweets_and_retweets_newest_first(world: World, limit: int) -> None:
    ann, bob, cleo = await world.people("ann", "bob", "cleo")
    expected: list[int] = []
    for number in range(6):
        mine = await world.post(bob, f"mine {number}")
        await world.post(bob, f"friends {number}", visibility=Visibility.FOLLOWERS)
        theirs = await world.post(ann, f"theirs {number}")
        await world.ingestion.retweet(bob, theirs.id)
        expected = [theirs.id, mine.id, *expected]
    entries = await walk(lambda step: world.reads.by_user(bob, cleo, step), limit)
    assert [entry.tweet.id for entry in entries] == expected
    assert [entry.retweeter.id if entry.retweeter else None for entry in entries] == [bob, None] * 6
    assert ids(entries) == sorted(ids(entries), reverse=True)


async def test_a_user_timeline_leaves_out_answers_to_others_or_all_without_attachment(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    root = await world.post(ann)
    answer = await world.post(bob, "to ann", reply_to=root.id)
    own = await world.post(bob, "picture", media_url="https://a.org/b.png")
    to_self = await world.post(bob, "more", reply_to=own.id)
    await world.ingestion.retweet(bob, root.id)

    async def tweets(**how: bool) -> list[int]:
        return [entry.tweet.id for entry in await walk(lambda step: world.reads.by_user(bob, 0, step, **how), 2)]

    assert await tweets() == [root.id, to_self.id, own.id, answer.id]
    assert await tweets(replies=False) == [root.id, to_self.id, own.id]
    assert await tweets(media=True) == [own.id]


async def test_profiles_of_inactive_unknown_and_blocked_people_are_not_there(world: World) -> None:
    ann, bob, cleo = await world.people("ann", "bob", "cleo")
    await world.graph.block(ann, bob)
    await world.users.set_state(cleo, State.SUSPENDED)
    for user, viewer in ((ann, bob), (bob, ann), (cleo, ann), (cleo, 0), (999, 0)):
        for read in (world.reads.by_user, world.reads.favorites):
            with pytest.raises(NotFound):
                await read(user, viewer, page())


async def test_a_page_goes_on_past_hidden_rows_and_ends_where_nothing_visible_follows(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    first = await world.post(ann, "first")
    for number in range(150):
        await world.post(ann, f"hidden {number}", visibility=Visibility.FOLLOWERS)
    last = await world.post(ann, "last")
    found = await world.reads.by_user(ann, bob, page(1))
    assert (ids(found.items), found.next) == ([last.id], last.id)
    found = await world.reads.by_user(ann, bob, page(1, before=found.next))
    assert (ids(found.items), found.next) == ([first.id], None)
    found = await world.reads.by_user(ann, bob, page(2))
    assert (ids(found.items), found.next) == ([last.id, first.id], None)


async def test_where_nearly_all_is_hidden_pages_are_short_and_cursors_go_on() -> None:
    rows = [(id,) for id in range(1, 5_000)]
    seen = {7, 2_500, 4_990}

    async def fetch(step: Page) -> list[tuple[int]]:
        if step.after is not None:
            return [row for row in rows if row[0] > step.after][: step.limit]
        return [row for row in reversed(rows) if step.before is None or row[0] < step.before][: step.limit]

    async def show(found: Any) -> list[int | None]:
        nonlocal looked
        looked += len(found)
        return [row[0] if row[0] in seen else None for row in found]

    async def read(step: Page) -> Slice[int]:
        nonlocal looked
        looked = 0
        found = await filling.fill(step, fetch, show)
        assert looked <= filling.MAX_ROWS
        return found

    looked = 0
    assert await walk(read, 2) == [4_990, 2_500, 7]
    assert (await read(Page(2))).items == [4_990]
    assert await read(Page(2, before=7)) == Slice([], None, 6)
    assert await read(Page(2, after=4_999)) == Slice([], 5_000, 4_999)


async def test_lists_of_people_and_tweets_are_newest_act_first(world: World) -> None:
    (ann,) = await world.people("ann")
    crowd = await world.people(*(f"c{number}" for number in range(7)))
    tweets = [await world.post(ann, str(number)) for number in range(5)]
    tweet = tweets[0].id
    for person in crowd:
        await world.ingestion.favorite(person, tweet)
        await world.ingestion.retweet(person, tweet)
        await world.post(person, reply_to=tweet)
        await world.post(person, quote_of=tweet)
    reads = world.reads
    for people in (reads.retweeters, reads.favoriters):
        assert ids(await walk(lambda step, read=people: read(tweet, 0, step), 3)) == crowd[::-1]
    for lines in (reads.replies, reads.quotes):
        found = await walk(lambda step, read=lines: read(tweet, 0, step), 3)
        assert [line.author.id for line in found] == crowd[::-1]
    order = [tweets[2].id, tweets[4].id, tweets[1].id]
    for id in order:
        await world.ingestion.favorite(ann, id)
        await world.ingestion.bookmark(ann, id)
    assert ids(await walk(lambda step: reads.favorites(ann, 0, step), 2)) == order[::-1]
    assert ids(await walk(lambda step: reads.bookmarks(ann, step), 2)) == order[::-1]
    for read in (reads.retweeters, reads.favoriters, reads.replies, reads.quotes, reads.thread):
        with pytest.raises(NotFound):
            await read(12345, 0, page())


async def test_a_thread_has_its_ancestors_above_and_its_answers_below_oldest_first(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    chain = [await world.post(ann, "0")]
    for number in range(1, 5):
        chain.append(await world.post((ann, bob)[number % 2], str(number), reply_to=chain[-1].id))
    await world.ingestion.delete(bob, chain[1].id)
    below = [await world.post(bob, f"below {number}", reply_to=chain[4].id) for number in range(3)]
    thread = await world.reads.thread(chain[4].id, 0, page(2))
    assert ids(thread.ancestors) == ids(chain[:4])
    assert thread.ancestors[1] == Tombstone(chain[1].id)
    assert thread.tweet == await world.get(chain[4].id, 0)
    assert ids(thread.replies.items) == ids(below[1:])
    rest = await world.reads.thread(chain[4].id, 0, page(2, before=thread.replies.next))
    assert (ids(rest.replies.items), rest.replies.next) == (ids(below[:1]), None)


async def test_a_long_conversation_shows_the_nearest_hundred_ancestors(world: World) -> None:
    (ann,) = await world.people("ann")
    chain = [await world.post(ann)]
    for _ in range(120):
        chain.append(await world.post(ann, reply_to=chain[-1].id))
    assert ids((await world.reads.thread(chain[-1].id, 0, page())).ancestors) == ids(chain[20:120])


async def test_a_tombstones_thread_is_for_those_who_could_read_the_tweet_and_only_with_answers(world: World) -> None:
    ann, bob, cleo = await world.people("ann", "bob", "cleo")
    await world.graph.follow(bob, ann)
    tweet = await world.post(ann, "friends", visibility=Visibility.FOLLOWERS)
    answer = await world.post(bob, "answer", reply_to=tweet.id)
    lonely = await world.post(ann, "lonely")
    await world.ingestion.delete(ann, tweet.id)
    await world.ingestion.delete(ann, lonely.id)
    assert (await world.reads.thread(tweet.id, bob, page())).tweet == Tombstone(tweet.id)
    assert ids((await world.reads.replies(tweet.id, bob, page())).items) == [answer.id]
    for id, viewer in ((tweet.id, cleo), (lonely.id, ann), (lonely.id, 0)):
        with pytest.raises(NotFound):
            await world.reads.thread(id, viewer, page())
    await world.ingestion.delete(bob, answer.id)
    with pytest.raises(NotFound):
        await world.reads.thread(tweet.id, bob, page())


async def test_a_bulk_read_keeps_the_order_and_leaves_out_what_is_not_there(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweets = [await world.post(ann, str(number)) for number in range(3)]
    hidden = await world.post(ann, visibility=Visibility.FOLLOWERS)
    wanted = [tweets[2].id, 999, hidden.id, tweets[0].id, tweets[2].id]
    assert ids(await world.reads.get(wanted, bob)) == [tweets[2].id, tweets[0].id, tweets[2].id]
    assert await world.reads.get([], bob) == []
