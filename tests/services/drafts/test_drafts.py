"""Drafts, and tweets that are posted at their time, once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rookery.kernel.clock import DAY, HOUR, MINUTE, ManualClock
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from rookery.kernel.pages import Page
from rookery.kernel.visibility import State, Visibility
from rookery.services.drafts.contract import DraftChange, Drafts, ImportedDraft
from rookery.services.drafts.service import MOST
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import NewPerson
from rookery.wiring import Network
from tests.remote import called
from tests.support import network_in


@pytest.fixture(params=["local", "remote"])
async def network(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Network]:
    async with network_in(tmp_path, clock) as made, called(request.param, made, "drafts", Drafts):
        yield made


async def person(network: Network, handle: str) -> int:
    return (await network.users.import_people([NewPerson(handle)]))[handle]


async def contents(network: Network, user_id: int) -> list[str]:
    entries = (await network.reads.by_user(user_id, user_id, Page(100))).items
    return [entry.tweet.record.content for entry in entries]


async def test_a_draft_is_kept_changed_and_thrown_away(network: Network, clock: ManualClock) -> None:
    ann, bob = await person(network, "ann"), await person(network, "bob")
    tweet = NewTweet("", Visibility.FOLLOWERS, reply_to=1, lang="en")
    draft = await network.drafts.create(ann, tweet)
    assert (draft.tweet, draft.author_id, draft.publish_at, draft.failure) == (tweet, ann, None, None)
    assert await network.drafts.get(ann, draft.id) == draft
    clock.advance(MINUTE)
    changed = await network.drafts.edit(
        ann, draft.id, DraftChange("better", reply_to=None, publish_at=clock.now() + DAY)
    )
    assert changed.tweet == NewTweet("better", Visibility.FOLLOWERS, lang="en")
    assert (changed.publish_at, changed.created_at, changed.updated_at) == (
        clock.now() + DAY,
        draft.created_at,
        clock.now(),
    )
    assert await network.drafts.get(ann, draft.id) == changed
    for act in (network.drafts.get, network.drafts.delete, network.drafts.publish):
        with pytest.raises(NotFound):
            await act(bob, draft.id)
    with pytest.raises(NotFound):
        await network.drafts.edit(bob, draft.id, DraftChange("mine"))
    await network.drafts.delete(ann, draft.id)
    with pytest.raises(NotFound):
        await network.drafts.get(ann, draft.id)


async def test_drafts_are_listed_in_pages(network: Network) -> None:
    ann, bob = await person(network, "ann"), await person(network, "bob")
    made = [await network.drafts.create(ann, NewTweet(str(n))) for n in range(5)]
    await network.drafts.create(bob, NewTweet("another's"))
    first = await network.drafts.mine(ann, Page(2))
    assert first.items == made[:2:-1]
    second = await network.drafts.mine(ann, Page(2, before=first.next))
    assert second.items == made[2:0:-1]
    assert (await network.drafts.mine(ann, Page(2, after=second.prev))).items == made[:2:-1]


async def test_publishing_posts_once_and_forgets_the_draft(network: Network) -> None:
    ann = await person(network, "ann")
    draft = await network.drafts.create(ann, NewTweet("hello"))
    both = await asyncio.gather(*(network.drafts.publish(ann, draft.id) for _ in range(2)))
    assert both[0] == both[1]
    assert await contents(network, ann) == ["hello"]
    with pytest.raises(NotFound):
        await network.drafts.publish(ann, draft.id)


async def test_what_can_not_be_posted_stays_and_can_be_mended(network: Network) -> None:
    ann = await person(network, "ann")
    draft = await network.drafts.create(ann, NewTweet("x" * 300))
    with pytest.raises(Invalid):
        await network.drafts.publish(ann, draft.id)
    await network.drafts.edit(ann, draft.id, DraftChange("short"))
    await network.drafts.publish(ann, draft.id)
    assert await contents(network, ann) == ["short"]


async def test_scheduled_tweets_are_posted_at_their_time(network: Network, clock: ManualClock) -> None:
    ann = await person(network, "ann")
    for hours in (3, 1, 2):
        await network.drafts.create(ann, NewTweet(f"in {hours}"), clock.now() + hours * HOUR)
    clock.advance(HOUR - 1)
    assert await network.drafts.publish_due() == 0
    clock.advance(1)
    assert await network.drafts.publish_due() == 1
    assert await contents(network, ann) == ["in 1"]
    clock.advance(5 * HOUR)
    assert await network.drafts.publish_due() == 2
    assert await contents(network, ann) == ["in 3", "in 2", "in 1"]
    assert await network.drafts.publish_due() == 0
    assert (await network.drafts.mine(ann, Page(10))).items == []


async def test_a_failure_is_told_and_the_others_are_posted(network: Network, clock: ManualClock) -> None:
    ann, bob = await person(network, "ann"), await person(network, "bob")
    parent = await network.ingestion.post(bob, NewTweet("soon gone"))
    at = clock.now() + HOUR
    answer = await network.drafts.create(ann, NewTweet("answer", reply_to=parent.id), at)
    await network.drafts.create(ann, NewTweet("fine"), at)
    silenced = await network.drafts.create(bob, NewTweet("silenced"), at)
    await network.ingestion.delete(bob, parent.id)
    await network.users.set_state(bob, State.SUSPENDED)
    clock.advance(HOUR)
    await network.drafts.publish_due()
    assert await contents(network, ann) == ["fine"]
    failed = await network.drafts.get(ann, answer.id)
    assert (failed.failure, failed.publish_at) == ("not_found", None)
    assert (await network.drafts.get(bob, silenced.id)).failure == "inactive"
    mended = await network.drafts.edit(ann, answer.id, DraftChange(reply_to=None, publish_at=clock.now() + HOUR))
    assert mended.failure is None
    clock.advance(HOUR)
    await network.drafts.publish_due()
    assert await contents(network, ann) == ["answer", "fine"]


@pytest.mark.parametrize("hours", [1, 30])
async def test_a_crash_between_posting_and_forgetting_posts_nothing_twice(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    async with network_in(tmp_path, clock) as network:
        ann = await person(network, "ann")
        draft = await network.drafts.create(ann, NewTweet("once"), clock.now() + HOUR)
        clock.advance(HOUR)

        async def gone(_id: int) -> None:
            raise Unavailable("the store is away")

        monkeypatch.setattr(network.drafts._store, "posted", gone)
        with pytest.raises(Unavailable):
            await network.drafts.publish_due()
        with pytest.raises(Conflict):
            await network.drafts.edit(ann, draft.id, DraftChange("twice"))
    clock.advance(hours * HOUR)
    async with network_in(tmp_path, clock) as network:
        await network.drafts.publish_due()
        assert await contents(network, ann) == ["once"]
        left = (await network.drafts.mine(ann, Page(10))).items
        assert [one.failure for one in left] == ([] if hours == 1 else ["uncertain"])


async def test_a_draft_that_nobody_foresaw_does_not_keep_the_others_waiting(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with network_in(tmp_path, clock) as network:
        ann = await person(network, "ann")
        for number, text in enumerate(("breaks", "stands")):
            await network.drafts.create(ann, NewTweet(text), clock.now() + HOUR + number)
        clock.advance(2 * HOUR)
        post = network.ingestion.post

        async def breaking(author_id: int, tweet: NewTweet, key: Any = None) -> Any:
            if tweet.content == "breaks":
                raise ValueError("nobody thought of this")
            return await post(author_id, tweet, key)

        monkeypatch.setattr(network.drafts._ingestion, "post", breaking)
        assert await network.drafts.publish_due() == 2
        assert await contents(network, ann) == ["stands"]
        (left,) = (await network.drafts.mine(ann, Page(10))).items
        assert (left.tweet.content, left.failure) == ("breaks", "uncertain")
        assert await network.drafts.publish_due() == 0


async def test_the_server_posts_them_by_itself(network: Network, clock: ManualClock) -> None:
    ann = await person(network, "ann")
    await network.drafts.create(ann, NewTweet("by itself"), clock.now() + 1)
    clock.advance(1)
    network.drafts.worker.start()
    for _ in range(200):
        if await contents(network, ann):
            break
        await asyncio.sleep(0.01)
    assert await contents(network, ann) == ["by itself"]


@pytest.mark.parametrize(
    ("tweet", "after", "field"),
    [
        (NewTweet("x" * 10_001), None, "content"),
        (NewTweet("\ud800"), None, "content"),
        (NewTweet("", media_url="x" * 3_000), None, "media_url"),
        (NewTweet("x" * 281), HOUR, "content"),
        (NewTweet(""), HOUR, "content"),
        (NewTweet("now"), 0, "publish_at"),
        (NewTweet("far"), 400 * DAY, "publish_at"),
    ],
)
async def test_what_no_draft_can_be_is_refused(
    network: Network, clock: ManualClock, tweet: NewTweet, after: int | None, field: str
) -> None:
    ann = await person(network, "ann")
    with pytest.raises(Invalid) as error:
        await network.drafts.create(ann, tweet, None if after is None else clock.now() + after)
    assert [one.field for one in error.value.errors] == [field]


async def test_drafts_are_bounded(network: Network) -> None:
    ann = await person(network, "ann")
    made = await asyncio.gather(*(network.drafts.create(ann, NewTweet(str(n))) for n in range(MOST)))
    with pytest.raises(Forbidden, match=str(MOST)):
        await network.drafts.create(ann, NewTweet("one more"))
    await network.drafts.delete(ann, made[0].id)
    await network.drafts.create(ann, NewTweet("one more"))


async def test_drafts_from_elsewhere_come_once_and_only_as_many_as_fit(network: Network, clock: ManualClock) -> None:
    ann = await person(network, "ann")
    now = clock.now()

    def old(number: int, content: str = "", **fields: Any) -> ImportedDraft:
        tweet = NewTweet(content or f"draft {number}", **fields)
        return ImportedDraft("rookery:x", str(number), tweet, now - DAY + number, now - HOUR)

    three = [old(1), old(2, "x" * 10_001), replace(old(3), publish_at=now + DAY), replace(old(4), publish_at=now - 1)]
    assert await network.drafts.import_drafts(ann, three) == 3, "what no draft can be is left out"
    kept = (await network.drafts.mine(ann, Page(10))).items
    assert [(one.tweet.content, one.publish_at, one.failure) for one in kept] == [
        ("draft 4", None, "missed"),
        ("draft 3", now + DAY, None),
        ("draft 1", None, None),
    ]
    assert await network.drafts.import_drafts(ann, three) == 0
    await network.drafts.delete(ann, kept[0].id)
    again = [replace(one, again=True) for one in three]
    assert await network.drafts.import_drafts(ann, again) == 0, "what has come before does not come back"
    # It is connected as long as it is as it came.
    tweet = (await network.ingestion.post(ann, NewTweet("parent"))).id
    answers = [replace(old(1, reply_to=tweet), again=True), replace(old(3, reply_to=tweet), again=True)]
    await network.drafts.edit(ann, kept[1].id, DraftChange(content="changed"))
    assert await network.drafts.import_drafts(ann, answers) == 0
    assert (await network.drafts.get(ann, kept[2].id)).tweet.reply_to == tweet
    assert (await network.drafts.get(ann, kept[1].id)).tweet == NewTweet("changed")
    assert await network.drafts.import_drafts(ann, [old(number) for number in range(10, 10 + MOST)]) == MOST - 2
