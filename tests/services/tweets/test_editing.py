"""Editing: what may be changed for how long, what is kept, and who hears of it."""

import asyncio

import pytest

from rookery.kernel.clock import DAY, MINUTE, ManualClock
from rookery.kernel.errors import Forbidden, Invalid, NotFound
from rookery.kernel.visibility import State, Visibility
from rookery.services.tweets.contract import Edited, Tweet, TweetChange, TweetType
from rookery.services.tweets.editing import MAX_EDITS
from tests.services.tweets.conftest import World, page


async def told(world: World, tweet_id: int, viewer_id: int = 0) -> list[str]:
    """The contents of all revisions that a viewer may read, newest first."""
    return [one.content for one in await world.reads.revisions(tweet_id, viewer_id)]


async def test_an_edit_shows_at_once_and_keeps_what_was_said(world: World, clock: ManualClock) -> None:
    ann, bob, cyd = await world.people("ann", "bob", "cyd")
    posted = await world.post(ann, "helo @bob #a", lang="en")
    await world.ingestion.favorite(bob, posted.id)
    assert await world.get(posted.id, cyd) is not None
    clock.advance(MINUTE)
    edited = await world.ingestion.edit(ann, posted.id, TweetChange("hello @cyd @bob #b https://example.org"))
    record = edited.record
    assert (record.content, record.lang, record.edited_at) == (
        "hello @cyd @bob #b https://example.org",
        "en",
        clock.now(),
    )
    assert (record.mentions, record.type, record.created_at) == (
        {"cyd": cyd, "bob": bob},
        TweetType.LINK,
        posted.record.created_at,
    )
    assert record.counts.favorites == 1
    for viewer in (0, ann, cyd):
        assert await world.get(posted.id, viewer) == edited
        assert (await world.reads.by_user(ann, viewer, page())).items[0].tweet == edited
    assert await world.events(Edited) == [
        Edited(posted.id, ann, record.version, Visibility.PUBLIC, True, (cyd, bob), (cyd,), ("b",), new_hashtags=("b",))
    ]
    newest, oldest = await world.reads.revisions(posted.id, 0)
    assert (newest.at, newest.content) == (clock.now(), record.content)
    assert (oldest.at, oldest.content, oldest.lang) == (posted.record.created_at, "helo @bob #a", "en")
    assert oldest.mentions == {"bob": bob}
    assert [tag.key for tag in oldest.entities.hashtags] == ["a"]


async def test_each_field_changes_by_itself(world: World) -> None:
    (ann,) = await world.people("ann")
    tweet = await world.post(ann, "look", lang="en", media_url="https://example.org/a.png")
    assert (await world.ingestion.edit(ann, tweet.id, TweetChange(lang=None))).record.lang is None
    clip = await world.ingestion.edit(ann, tweet.id, TweetChange(media_url="https://example.org/a.mp4"))
    assert (clip.record.type, clip.record.content) == (TweetType.VIDEO, "look")
    plain = await world.ingestion.edit(ann, tweet.id, TweetChange(media_url=None))
    assert (plain.record.type, plain.record.media_url) == (TweetType.TEXT, None)
    assert (await world.reads.by_user(ann, 0, page(), media=True)).items == []
    assert len(await told(world, tweet.id)) == 4


async def test_a_change_that_changes_nothing_does_nothing(world: World, clock: ManualClock) -> None:
    (ann,) = await world.people("ann")
    tweet = await world.post(ann, "as it is", media_url="https://example.org/a.png")
    clock.advance(DAY)
    same = TweetChange("as it is", Visibility.PUBLIC, "https://example.org/a.png", None)
    for change in (TweetChange(), same):
        assert await world.ingestion.edit(ann, tweet.id, change) == tweet
    assert await world.events(Edited) == []


async def test_time_for_edits_ends_but_never_for_letting_fewer_see_it(world: World, clock: ManualClock) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(ann, "for all")
    clock.advance(30 * MINUTE)
    await world.ingestion.edit(ann, tweet.id, TweetChange("for all!"))
    clock.advance(1)
    for late in (TweetChange("late"), TweetChange(lang="en"), TweetChange("late", Visibility.MENTIONED)):
        with pytest.raises(Forbidden) as error:
            await world.ingestion.edit(ann, tweet.id, late)
        assert (error.value.code, error.value.params) == ("edit_too_late", {"minutes": 30})
    narrow = await world.ingestion.edit(ann, tweet.id, TweetChange(visibility=Visibility.FOLLOWERS))
    assert narrow.record.visibility is Visibility.FOLLOWERS
    assert await world.get(tweet.id, bob) is None
    with pytest.raises(Forbidden, match="30 minutes"):
        await world.ingestion.edit(ann, tweet.id, TweetChange(visibility=Visibility.PUBLIC))
    # Whom it is for is no revision, and no edit of what it says.
    assert await told(world, tweet.id, ann) == ["for all!", "for all"]
    (_, event) = await world.events(Edited)
    assert isinstance(event, Edited)
    assert not event.reworded


async def test_what_was_not_for_somebody_when_it_was_written_never_is(world: World) -> None:
    ann, bob, cyd = await world.people("ann", "bob", "cyd")
    tweet = await world.post(ann, "a secret for @bob", visibility=Visibility.MENTIONED)
    await world.ingestion.edit(ann, tweet.id, TweetChange("good news", Visibility.PUBLIC))
    assert await told(world, tweet.id, cyd) == ["good news"]
    assert await told(world, tweet.id) == ["good news"]
    for insider in (ann, bob):
        assert await told(world, tweet.id, insider) == ["good news", "a secret for @bob"]


async def test_answers_and_quotes_count_as_long_as_they_are_public(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(ann, "what do you think?")
    both = await world.post(bob, "this", reply_to=tweet.id, quote_of=tweet.id)

    async def counts() -> tuple[int, int]:
        found = await world.get(tweet.id, 0)
        assert found is not None
        return found.record.counts.replies, found.record.counts.quotes

    assert await counts() == (1, 1)
    for _ in range(2):
        await world.ingestion.edit(bob, both.id, TweetChange(visibility=Visibility.FOLLOWERS))
        assert await counts() == (0, 0)
        await world.ingestion.edit(bob, both.id, TweetChange(visibility=Visibility.UNLISTED))
        assert await counts() == (1, 1)
    await world.ingestion.edit(bob, both.id, TweetChange(visibility=Visibility.FOLLOWERS))
    await world.ingestion.delete(bob, both.id)
    assert await counts() == (0, 0)
    assert await world.store.check() == []


async def test_only_the_author_edits_and_only_what_stands(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(ann)
    hidden = await world.post(ann, visibility=Visibility.FOLLOWERS)
    with pytest.raises(Forbidden, match="not yours"):
        await world.ingestion.edit(bob, tweet.id, TweetChange("mine"))
    for unknown in (hidden.id, 1):
        with pytest.raises(NotFound):
            await world.ingestion.edit(bob, unknown, TweetChange("mine"))
    await world.ingestion.edit(ann, tweet.id, TweetChange("once"))
    await world.ingestion.delete(ann, tweet.id)
    with pytest.raises(NotFound):
        await world.ingestion.edit(ann, tweet.id, TweetChange("again"))
    with pytest.raises(NotFound):
        await world.reads.revisions(tweet.id, ann)
    assert await world.store.revisions(tweet.id) == []
    await world.users.set_state(ann, State.SUSPENDED)
    with pytest.raises(Forbidden, match="not active"):
        await world.ingestion.edit(ann, hidden.id, TweetChange("again"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (TweetChange(""), "content"),
        (TweetChange("x" * 281), "content"),
        (TweetChange(media_url=""), "media_url"),
        (TweetChange(media_url="javascript:alert(1)"), "media_url"),
        (TweetChange(lang=""), "lang"),
    ],
)
async def test_what_can_not_be_posted_can_not_be_edited_in(world: World, change: TweetChange, field: str) -> None:
    (ann,) = await world.people("ann")
    tweet = await world.post(ann)
    with pytest.raises(Invalid) as error:
        await world.ingestion.edit(ann, tweet.id, change)
    assert [one.field for one in error.value.errors] == [field]
    assert await world.get(tweet.id, ann) == tweet


async def test_edits_at_the_same_time_are_all_kept_and_bounded(world: World) -> None:
    (ann,) = await world.people("ann")
    tweet = await world.post(ann, "0")
    changes = [TweetChange(str(n)) for n in range(1, MAX_EDITS + 1)]
    edited = await asyncio.gather(*(world.ingestion.edit(ann, tweet.id, change) for change in changes))
    assert all(isinstance(one, Tweet) for one in edited)
    assert sorted(map(int, await told(world, tweet.id))) == list(range(MAX_EDITS + 1))
    with pytest.raises(Forbidden, match=f"{MAX_EDITS} times"):
        await world.ingestion.edit(ann, tweet.id, TweetChange("one more"))
    assert (await world.ingestion.edit(ann, tweet.id, TweetChange(visibility=Visibility.MENTIONED))).record.version > 1
