"""What authors decide about their conversations, quotes and profiles."""

import pytest

from rookery.kernel.clock import DAY, ManualClock
from rookery.kernel.errors import Forbidden, Invalid, NotFound
from rookery.kernel.visibility import ReplyRule, Visibility
from rookery.services.moderation.contract import OPERATOR
from rookery.services.tweets.contract import (
    Conversation,
    QuoteDetached,
    ReplyHidden,
    Standing,
    StandingChange,
    Tweet,
    TweetChange,
)
from tests.services.tweets.conftest import World, ids, page


async def seen(world: World, tweet_id: int) -> Tweet:
    """As a guest sees it."""
    found = await world.get(tweet_id, 0)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (ReplyRule.EVERYONE, {"author", "follower", "mentioned", "stranger"}),
        (ReplyRule.FOLLOWERS, {"author", "follower", "mentioned"}),
        (ReplyRule.MENTIONED, {"author", "mentioned"}),
    ],
)
async def test_who_may_reply_holds_for_the_whole_conversation(world: World, rule: ReplyRule, allowed: set[str]) -> None:
    names = ("author", "follower", "mentioned", "stranger")
    people = dict(zip(names, await world.people(*names), strict=True))
    await world.graph.follow(people["follower"], people["author"])
    root = await world.post(people["author"], "hello @mentioned", reply_rule=rule)
    below = await world.post(people["mentioned"], "thanks", reply_to=root.id)
    for name, id in people.items():
        for above in (root, below):
            conversation = (await world.reads.thread(above.id, id, page())).conversation
            assert conversation == Conversation(people["author"], rule, name in allowed)
            if name in allowed:
                await world.post(id, "so?", reply_to=above.id)
                continue
            with pytest.raises(Forbidden) as caught:
                await world.post(id, "so?", reply_to=above.id)
            assert caught.value.code == "replies_limited"
    await world.post(people["stranger"], "look", quote_of=root.id)


async def test_an_author_changes_who_may_reply_at_any_time(world: World, clock: ManualClock) -> None:
    ann, bob = await world.people("ann", "bob")
    root = await world.post(ann, "hello", reply_rule=ReplyRule.MENTIONED)
    clock.advance(DAY)
    changed = await world.ingestion.edit(ann, root.id, TweetChange(reply_rule=ReplyRule.EVERYONE))
    assert (changed.record.reply_rule, changed.record.edited_at) == (ReplyRule.EVERYONE, None)
    assert len(await world.reads.revisions(root.id, bob)) == 1
    reply = await world.post(bob, "so?", reply_to=root.id)
    with pytest.raises(Invalid) as caught:
        await world.ingestion.edit(bob, reply.id, TweetChange(reply_rule=ReplyRule.FOLLOWERS))
    assert caught.value.code == "not_first"
    with pytest.raises(Invalid) as caught:
        await world.post(bob, "and?", reply_to=root.id, reply_rule=ReplyRule.FOLLOWERS)
    assert caught.value.code == "not_first"


async def test_a_hidden_reply_stands_apart_for_everybody_but_who_wrote_it(world: World) -> None:
    ann, bob, cat = await world.people("ann", "bob", "cat")
    root = await world.post(ann, "hello")
    fine = await world.post(cat, "hi", reply_to=root.id)
    rude = await world.post(bob, "boo", reply_to=root.id)
    below = await world.post(cat, "tut", reply_to=rude.id)
    everybody = (0, ann, cat)

    async def replies(viewer: int, *, hidden: bool = False) -> list[int]:
        return ids((await world.reads.replies(root.id, viewer, page(), hidden=hidden)).items)

    assert await replies(0) == [rude.id, fine.id]
    for _ in range(2):
        changed = await world.ingestion.hide_reply(ann, rude.id, True)
        assert changed is not None
        assert changed.record.hidden
    for viewer in everybody:
        assert await replies(viewer) == [fine.id]
        assert await replies(viewer, hidden=True) == [rude.id]
        assert ids((await world.reads.thread(root.id, viewer, page())).replies.items) == [fine.id]
        assert (await world.get(rude.id, viewer)) is not None, "it is there for whoever has its address"
        assert (await world.reads.thread(root.id, viewer, page())).hidden_replies
    assert await replies(bob) == [rude.id, fine.id]
    assert (await seen(world, root.id)).record.counts.replies == 2
    assert ids((await world.reads.replies(rude.id, 0, page())).items) == [below.id]
    await world.ingestion.hide_reply(ann, rude.id, False)
    assert await replies(0) == [rude.id, fine.id]
    assert await replies(0, hidden=True) == []
    assert not (await world.reads.thread(root.id, 0, page())).hidden_replies
    assert [one.hidden for one in await world.events(ReplyHidden) if isinstance(one, ReplyHidden)] == [True, False]


async def test_only_the_conversations_author_hides_and_only_replies(world: World) -> None:
    ann, bob, cat = await world.people("ann", "bob", "cat")
    root = await world.post(ann, "hello")
    reply = await world.post(bob, "boo", reply_to=root.id)
    deeper = await world.post(cat, "tut", reply_to=reply.id)
    for user, tweet in ((bob, reply), (bob, deeper), (cat, root), (ann, root)):
        with pytest.raises(Forbidden) as caught:
            await world.ingestion.hide_reply(user, tweet.id, True)
        assert caught.value.code == "not_yours"
    await world.ingestion.hide_reply(ann, deeper.id, True)
    await world.ingestion.delete(cat, deeper.id)
    with pytest.raises(NotFound):
        await world.ingestion.hide_reply(ann, deeper.id, False)


@pytest.mark.parametrize("how", ["i block", "blocks me"])
async def test_a_block_keeps_no_author_from_hiding_replies_and_detaching_quotes(world: World, how: str) -> None:
    ann, bob, cat = await world.people("ann", "bob", "cat")
    mine, others = await world.post(ann, "mine"), await world.post(cat, "another's")
    reply = await world.post(bob, "boo", reply_to=mine.id)
    quote = await world.post(bob, "look", quote_of=mine.id)
    elsewhere = await world.post(bob, "hi", reply_to=others.id, quote_of=others.id)
    await world.graph.block(*((ann, bob) if how == "i block" else (bob, ann)))
    hide, detach = world.ingestion.hide_reply, world.ingestion.detach_quote
    for decided in (True, True, False, False, True):
        assert await hide(ann, reply.id, decided) is None, "they may not see it"
        assert await detach(ann, quote.id, decided) is None
        assert (await seen(world, reply.id)).record.hidden is decided
        assert ((await seen(world, quote.id)).quoted is None) is decided
    for tweet_id in (elsewhere.id, 1):
        for act in (hide, detach):
            with pytest.raises(NotFound):
                await act(ann, tweet_id, True)
    for act, tweet_id in ((hide, quote.id), (detach, reply.id)):
        with pytest.raises(NotFound):
            await act(ann, tweet_id, True)
    await world.ingestion.delete(bob, quote.id)
    with pytest.raises(NotFound):
        await detach(ann, quote.id, False)
    assert await world.store.check() == []


async def test_a_reply_or_quote_for_others_alone_is_hidden_and_detached_by_whom_it_concerns(world: World) -> None:
    ann, bob, cat, dee = await world.people("ann", "bob", "cat", "dee")
    await world.graph.follow(cat, bob)
    mine = await world.post(ann, "mine")
    both = await world.post(bob, "look", reply_to=mine.id, quote_of=mine.id, visibility=Visibility.FOLLOWERS)
    assert await world.get(both.id, ann) is None
    for act in (world.ingestion.hide_reply, world.ingestion.detach_quote):
        with pytest.raises(NotFound):
            await act(dee, both.id, True)
        assert await act(ann, both.id, True) is None
    found = await world.get(both.id, cat)
    assert found is not None
    assert (found.record.hidden, found.quoted, found.record.detached_from) == (True, None, mine.id)


async def test_what_is_withheld_stays_as_if_deleted_to_those_whom_it_concerns(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    mine = await world.post(ann, "mine")
    both = await world.post(bob, "boo", reply_to=mine.id, quote_of=mine.id)
    change = StandingChange(standing=Standing.WITHHELD)
    await world.network.moderation.stand(OPERATOR, both.id, change, "why")
    for act in (world.ingestion.hide_reply, world.ingestion.detach_quote):
        with pytest.raises(NotFound):
            await act(ann, both.id, True)


async def test_a_detached_quote_shows_and_counts_nothing_and_can_be_put_back(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    mine = await world.post(ann, "mine")
    quote = await world.post(bob, "look", quote_of=mine.id)

    async def state() -> tuple[object, ...]:
        found = await seen(world, quote.id)
        listed = ids((await world.reads.quotes(mine.id, 0, page())).items)
        counts = (await seen(world, mine.id)).record.counts.quotes
        return found.record.quote_of, found.quoted is not None, found.record.detached_from, listed, counts

    there = (mine.id, True, None, [quote.id], 1)
    assert await state() == there
    for _ in range(2):
        await world.ingestion.detach_quote(ann, quote.id, True)
    assert await state() == (None, False, mine.id, [], 0)
    assert await world.store.check() == []
    for _ in range(2):
        await world.ingestion.detach_quote(ann, quote.id, False)
    assert await state() == there
    assert await world.store.check() == []
    assert [one.detached for one in await world.events(QuoteDetached) if isinstance(one, QuoteDetached)] == [
        True,
        False,
    ]


async def test_only_who_is_quoted_detaches(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    mine = await world.post(ann, "mine")
    quote = await world.post(bob, "look", quote_of=mine.id)
    for user, tweet in ((bob, quote), (ann, mine)):
        with pytest.raises(Forbidden) as caught:
            await world.ingestion.detach_quote(user, tweet.id, True)
        assert caught.value.code == "not_yours"
    await world.ingestion.detach_quote(ann, quote.id, True)
    await world.ingestion.delete(ann, mine.id)
    with pytest.raises(NotFound):
        await world.ingestion.detach_quote(ann, quote.id, False)


async def test_an_answer_that_quotes_what_it_answers_still_counts_as_an_answer(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    mine = await world.post(ann, "mine")
    both = await world.post(bob, "look", reply_to=mine.id, quote_of=mine.id)
    await world.ingestion.detach_quote(ann, both.id, True)
    counts = (await seen(world, mine.id)).record.counts
    assert (counts.replies, counts.quotes) == (1, 0)
    await world.ingestion.delete(bob, both.id)
    assert await world.store.check() == []


async def test_one_tweet_is_pinned_until_another_is_or_it_goes(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    first, second = await world.post(ann, "one"), await world.post(ann, "two")
    pinned = world.reads.pinned
    assert await pinned([ann, bob]) == {}
    for tweet in (first, second, second):
        await world.ingestion.pin(ann, tweet.id, True)
        assert await pinned([ann, bob]) == {ann: tweet.id}
    await world.ingestion.pin(ann, first.id, False)
    assert await pinned([ann]) == {ann: second.id}, "another one is not touched"
    await world.ingestion.delete(ann, second.id)
    assert await pinned([ann]) == {}
    with pytest.raises(NotFound):
        await world.ingestion.pin(ann, second.id, True)
    with pytest.raises(Forbidden):
        await world.ingestion.pin(bob, first.id, True)
