"""The tweets with a hashtag."""

import pytest
from msgspec.structs import replace

from rookery.kernel.clock import MINUTE, ManualClock
from rookery.kernel.errors import Invalid
from rookery.kernel.visibility import Visibility
from rookery.services.tweets.contract import ImportedTweet, TweetChange
from rookery.services.tweets.suggesting import KEYS, MOST
from tests.services.tweets.conftest import World, ids, page


async def tagged(world: World, hashtag: str, viewer_id: int = 0) -> list[int]:
    return ids((await world.reads.tagged(hashtag, viewer_id, page())).items)


async def test_all_spellings_meet_newest_first(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    first = await world.post(ann, "#Löwe and #löwe, the same")
    second = await world.post(bob, "a #LÖWE", reply_to=first.id)
    await world.post(bob, "a #tiger")
    for spelling in ("löwe", "Löwe", "LO\u0308WE"):
        assert await tagged(world, spelling) == [second.id, first.id]
    assert await tagged(world, "nobody") == []
    newest = await world.reads.tagged("löwe", 0, page(1))
    assert (ids(newest.items), newest.next) == ([second.id], second.id)
    assert ids((await world.reads.tagged("löwe", 0, page(1, before=newest.next))).items) == [first.id]
    assert ids((await world.reads.tagged("löwe", 0, page(1, after=first.id))).items) == [second.id]


async def test_it_is_a_place_of_discovery(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    for visibility in Visibility:
        await world.post(ann, "#tag", visibility=visibility)
    public = await tagged(world, "tag", bob)
    assert len(public) == 1
    await world.graph.mute(bob, ann)
    assert await tagged(world, "tag", bob) == []
    assert await tagged(world, "tag") == public
    await world.protect(ann)
    assert await tagged(world, "tag") == []


async def test_it_follows_edits_and_deletions(world: World) -> None:
    (ann,) = await world.people("ann")
    tweet = await world.post(ann, "#a #b")
    await world.ingestion.edit(ann, tweet.id, TweetChange("#b #c"))
    assert [await tagged(world, tag) for tag in "abc"] == [[], [tweet.id], [tweet.id]]
    await world.ingestion.delete(ann, tweet.id)
    assert [await tagged(world, tag) for tag in "abc"] == [[], [], []]
    assert world.network.database.rows("SELECT * FROM tweets_hashtags") == []


async def test_imported_tweets_stand_among_them(world: World) -> None:
    (ann,) = await world.people("ann")
    old = [ImportedTweet(ann, "#Old #old", 1_500_000_000_000 + n, "there", str(n)) for n in range(2)]
    made = await world.ingestion.import_tweets(old)
    new = await world.post(ann, "#old")
    assert await tagged(world, "old") == [new.id, made[1], made[0]]


@pytest.mark.parametrize("text", ["", "#tag", "two words", "123", "a.b", "\0"])
async def test_what_is_no_hashtag_is_refused(world: World, text: str) -> None:
    with pytest.raises(Invalid) as error:
        await world.reads.tagged(text, 0, page())
    assert (error.value.code, [one.field for one in error.value.errors]) == ("invalid_hashtag", ["tag"])


async def test_hashtags_are_found_by_how_they_begin_the_most_used_first(world: World, clock: ManualClock) -> None:
    (ann,) = await world.people("ann")
    for text in ("#Löwe", "#löwe again", "#löwin", "#tiger", "#Löwenzahn and #löwin", "#löwin"):
        await world.post(ann, text)
    assert await world.reads.hashtags_like("LÖ", 8) == ["löwin", "löwe", "löwenzahn"]
    assert await world.reads.hashtags_like("lö", 2) == ["löwin", "löwe"]
    assert await world.reads.hashtags_like("löwen", 8) == ["löwenzahn"]
    for nothing in ("", "x", "%", "lö_", "\U0010ffff"):
        assert await world.reads.hashtags_like(nothing, 8) == []


async def test_hashtags_that_nobody_may_find_are_not_suggested(world: World, clock: ManualClock) -> None:
    ann, bob = await world.people("ann", "bob")
    for visibility in (Visibility.UNLISTED, Visibility.FOLLOWERS, Visibility.MENTIONED):
        await world.post(ann, f"#secret_{visibility.value}", visibility=visibility)
    await world.protect(bob)
    await world.post(bob, "#secret_bob")
    tweet = await world.post(ann, "#secret_not")
    assert await world.reads.hashtags_like("secret", 8) == ["secret_not"]
    await world.ingestion.delete(ann, tweet.id)
    clock.advance(MINUTE)
    assert await world.reads.hashtags_like("secret", 8) == []


async def test_a_search_for_hashtags_is_bounded(world: World) -> None:
    (ann,) = await world.people("ann")
    old = [ImportedTweet(ann, f"#a{n:04}", 1_500_000_000_000 + n, "there", str(n)) for n in range(KEYS + 1)]
    await world.ingestion.import_tweets([*old, *(replace(old[KEYS], external_id=f"again {n}") for n in range(3))])
    assert len(await world.reads.hashtags_like("a", 100)) == MOST
    assert f"a{KEYS:04}" not in await world.reads.hashtags_like("a", 100)
    assert (await world.reads.hashtags_like("a05", 1)) == [f"a{KEYS:04}"]
