"""Posting, answering, quoting, deleting."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from rookery.infra.sql.port import Statement
from rookery.kernel.clock import DAY, ManualClock
from rookery.kernel.errors import Forbidden, Invalid, NotFound
from rookery.kernel.text import flaw, normal
from rookery.kernel.visibility import State, Visibility
from rookery.services.tweets import rules
from rookery.services.tweets.contract import (
    Deleted,
    IdempotencyKey,
    NewTweet,
    Posted,
    Tombstone,
    TweetCounts,
    TweetType,
)
from rookery.services.tweets.tables import KEYS
from tests.services.tweets.conftest import World, ids, page


async def test_a_tweet_comes_back_as_it_was_posted_and_neighbours_hear_of_it(world: World, clock: ManualClock) -> None:
    ann, bob, _ = await world.people("ann", "Bob", "cleo")
    content = "Hi @bob and @nobody, see #Löwe https://example.org/a"
    tweet = await world.post(ann, content, lang="de-CH", visibility=Visibility.UNLISTED)
    assert (tweet.record.content, tweet.record.lang, tweet.record.visibility) == (content, "de-CH", Visibility.UNLISTED)
    assert tweet.author.handle == "ann"
    assert tweet.record.mentions == {"bob": bob}
    assert [tag.key for tag in tweet.record.entities.hashtags] == ["löwe"]
    assert tweet.record.type is TweetType.LINK
    assert tweet.record.created_at == clock.now()
    assert tweet.record.counts == TweetCounts()
    assert await world.get(tweet.id, 0) == tweet
    assert await world.events(Posted) == [
        Posted(tweet.id, ann, Visibility.UNLISTED, mentioned_ids=(bob,), hashtags=("löwe",))
    ]
    assert await world.reads.tweet_counts([ann, bob]) == {ann: 1, bob: 0}


async def test_text_is_kept_in_its_normal_form(world: World) -> None:
    (ann,) = await world.people("ann")
    assert (await world.post(ann, "a\r\nb\rc e\u0301")).record.content == "a\nb\nc \u00e9"


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"content": ""}, "content", "empty"),
        ({"content": " \n\t"}, "content", "empty"),
        ({"content": "x" * 281}, "content", "too_long"),
        ({"content": "a\0b"}, "content", "control_character"),
        ({"content": "a\ud800b"}, "content", "surrogate"),
        ({"content": "a\ufffe"}, "content", "invalid_character"),
        ({"content": "a", "media_url": "ftp://example.org/a.png"}, "media_url", "invalid_url"),
        ({"content": "a", "media_url": "javascript:alert(1)"}, "media_url", "invalid_url"),
        ({"content": "a", "media_url": "https:///a.png"}, "media_url", "invalid_url"),
        ({"content": "a", "media_url": "https://a:99999/"}, "media_url", "invalid_url"),
        ({"content": "a", "media_url": "https://[::1/a"}, "media_url", "invalid_url"),
        ({"content": "a", "media_url": "https://a.org/\n"}, "media_url", "invalid_url"),
        ({"content": "a", "media_url": "https://a.org/\ud800"}, "media_url", "invalid_url"),
        ({"content": "a", "media_url": ""}, "media_url", "invalid_url"),
        ({"content": "a", "media_url": "https://a.org/" + "x" * 2048}, "media_url", "too_long"),
        ({"content": "a", "lang": "x"}, "lang", "invalid_lang"),
        ({"content": "a", "lang": "en_US"}, "lang", "invalid_lang"),
        ({"content": "a", "lang": "en\n"}, "lang", "invalid_lang"),
        ({"content": "a", "lang": "en-" + "-".join(["abcdefgh"] * 5)}, "lang", "invalid_lang"),
    ],
)
async def test_bad_input_is_refused_by_the_fields_name_and_nothing_is_written(
    world: World, fields: dict[str, Any], field: str, code: str
) -> None:
    (ann,) = await world.people("ann")
    with pytest.raises(Invalid) as refused:
        await world.ingestion.post(ann, NewTweet(**fields))
    assert [(error.field, error.code) for error in refused.value.errors] == [(field, code)]
    assert refused.value.sentence()
    assert await world.events(Posted) == []


async def test_every_wrong_field_is_named_at_once(world: World) -> None:
    (ann,) = await world.people("ann")
    with pytest.raises(Invalid) as refused:
        await world.post(ann, "", media_url="no", lang="?")
    assert [error.field for error in refused.value.errors] == ["content", "media_url", "lang"]


@given(st.text(st.characters(codec=None), max_size=400))
def test_any_text_is_either_kept_whole_or_refused(text: str) -> None:
    wrong = flaw(normal(text))
    if wrong is not None:
        with pytest.raises(Invalid) as refused:
            rules.checked(NewTweet(text))
        assert [error.code for error in refused.value.errors] == [wrong]
        return
    content, found = rules.checked(NewTweet(text))
    assert content == normal(text)
    content.encode()
    for entity in (*found.mentions, *found.urls, *found.hashtags, *found.cashtags):
        assert 0 <= entity.start < entity.end <= len(content)


@given(st.text(st.characters(codec=None), max_size=400))
def test_any_old_text_can_be_kept(text: str) -> None:
    kept = rules.imported_content(text)
    kept.encode()
    assert "\0" not in kept
    assert rules.imported_content(kept) == kept


@given(st.text(st.characters(codec=None)))
def test_any_attachment_and_language_is_judged_without_an_error(text: str) -> None:
    for url in (text, "https://" + text, "https://example.org/" + text):
        if rules.media_url_flaw(url) is None:
            assert url.startswith(("http://", "https://"))
            assert isinstance(rules.type_of(url, rules.entities("")), TweetType)
    if rules.is_lang(text):
        assert text.isascii()


@pytest.mark.parametrize(
    ("url", "type"),
    [
        ("https://a.org/b.JPG?w=1", TweetType.IMAGE),
        ("https://a.org/b.webm#t", TweetType.VIDEO),
        ("https://a.org/b.mp3", TweetType.AUDIO),
        ("https://a.org/b.pdf", TweetType.LINK),
        ("https://a.org/", TweetType.LINK),
    ],
)
async def test_the_type_follows_from_the_attachment(world: World, url: str, type: TweetType) -> None:
    (ann,) = await world.people("ann")
    tweet = await world.post(ann, "look", media_url=url)
    assert (tweet.record.type, tweet.record.media_url) == (type, url)


# --- answers and quotes


async def test_answers_and_quotes_count_and_carry_what_they_refer_to(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    first = await world.post(ann, "first")
    answer = await world.post(bob, "answer", reply_to=first.id)
    quote = await world.post(bob, "quote", quote_of=first.id)
    assert (answer.record.reply_to, answer.record.reply_to_user_id) == (first.id, ann)
    assert quote.quoted is not None
    assert (quote.quoted.id, quote.quoted.quoted) == (first.id, None)
    shown = await world.get(first.id, ann)
    assert shown is not None
    assert shown.record.counts == TweetCounts(replies=1, quotes=1)
    posted = await world.events(Posted)
    assert isinstance(posted[1], Posted)
    assert posted[1].reply_to_user_id == ann
    assert isinstance(posted[2], Posted)
    assert posted[2].quoted_user_id == ann
    quote_of_quote = await world.post(ann, "again", quote_of=quote.id)
    assert quote_of_quote.quoted is not None
    assert quote_of_quote.quoted.quoted is None


async def test_only_answers_for_everybody_are_counted(world: World) -> None:
    ann, bob, prot = await world.people("ann", "bob", "prot")
    await world.protect(prot)
    first = await world.post(ann, "first")
    await world.post(bob, "@ann psst", reply_to=first.id, visibility=Visibility.MENTIONED)
    await world.post(bob, "friends", quote_of=first.id, visibility=Visibility.FOLLOWERS)
    await world.post(prot, "protected", reply_to=first.id)
    shown = await world.get(first.id, ann)
    assert shown is not None
    assert shown.record.counts == TweetCounts()
    await world.post(bob, "aloud", reply_to=first.id, quote_of=first.id, visibility=Visibility.UNLISTED)
    shown = await world.get(first.id, ann)
    assert shown is not None
    assert shown.record.counts == TweetCounts(replies=1, quotes=1)
    assert await world.store.check() == []


async def test_what_one_may_not_see_one_can_neither_answer_nor_quote(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    hidden = await world.post(ann, "friends", visibility=Visibility.FOLLOWERS)
    gone = await world.post(ann, "gone")
    await world.ingestion.delete(ann, gone.id)
    for id in (hidden.id, gone.id, 999):
        for field in ("reply_to", "quote_of"):
            with pytest.raises(NotFound) as refused:
                await world.post(bob, "hm", **{field: id})
            assert [(e.field, e.code) for e in refused.value.errors] == [(field, "not_found")]


@pytest.mark.parametrize("mine", [True, False])
async def test_blocked_parties_answer_neither_each_other_nor_in_each_others_conversations(
    world: World, mine: bool
) -> None:
    ann, bob, cleo = await world.people("ann", "bob", "cleo")
    root = await world.post(ann, "root")
    answer = await world.post(cleo, "answer", reply_to=root.id)
    deeper = await world.post(cleo, "deeper", reply_to=answer.id)
    await world.graph.block(*((bob, ann) if mine else (ann, bob)))
    for fields in ({"reply_to": root.id}, {"quote_of": root.id}, {"reply_to": answer.id}, {"reply_to": deeper.id}):
        with pytest.raises(Forbidden) as refused:
            await world.post(bob, "hm", **fields)
        assert refused.value.code == "blocked"
    thread = await world.reads.thread(deeper.id, bob, page())
    assert not thread.conversation.may_reply
    assert not (await world.reads.thread(deeper.id, 0, page())).conversation.may_reply
    await world.post(bob, "a quote of cleo's does not join the conversation", quote_of=answer.id)


async def test_inactive_people_write_nothing_and_nothing_is_done_to_their_tweets(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(ann)
    await world.users.set_state(ann, State.SUSPENDED)
    act = world.ingestion
    for call in (act.favorite, act.retweet, act.bookmark, act.delete):
        with pytest.raises(NotFound):
            await call(bob, tweet.id)
    with pytest.raises(NotFound):
        await world.post(bob, reply_to=tweet.id)
    for call in (act.favorite, act.unfavorite, act.retweet, act.unretweet, act.bookmark, act.unbookmark, act.delete):
        with pytest.raises(Forbidden) as refused:
            await call(ann, tweet.id)
        assert refused.value.code == "inactive"
    with pytest.raises(Forbidden):
        await world.post(ann)
    with pytest.raises(Forbidden):
        await world.post(12345)


async def test_a_parent_deleted_in_the_meantime_is_noticed_inside_the_transaction(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweets = [await world.post(ann) for _ in range(20)]
    results = await asyncio.gather(
        *(world.ingestion.delete(ann, tweet.id) for tweet in tweets),
        *(world.post(bob, reply_to=tweet.id) for tweet in tweets),
        *(world.ingestion.favorite(bob, tweet.id) for tweet in tweets),
        return_exceptions=True,
    )
    assert {type(result) for result in results if isinstance(result, BaseException)} <= {NotFound}
    assert await world.store.check() == []


# --- deleting


async def test_a_deleted_tweet_is_gone_its_text_too_and_its_answers_remain(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    root = await world.post(bob, "root")
    tweet = await world.post(ann, "secret #zebra @bob", reply_to=root.id, media_url="https://a.org/b.png")
    answer = await world.post(bob, "answer", reply_to=tweet.id)
    quote = await world.post(bob, "quote", quote_of=tweet.id)
    await world.ingestion.delete(ann, tweet.id)
    assert await world.get(tweet.id, ann) is None
    (record,) = (await world.store.load([tweet.id])).values()
    assert "secret" not in repr(record)
    assert "zebra" not in repr(record)
    assert "a.org" not in repr(record)
    shown = await world.get(root.id, bob)
    assert shown is not None
    assert shown.record.counts.replies == 0
    thread = await world.reads.thread(tweet.id, bob, page())
    assert thread.tweet == Tombstone(tweet.id)
    assert ids(thread.ancestors) == [root.id]
    assert ids(thread.replies.items) == [answer.id]
    assert ids((await world.reads.thread(answer.id, bob, page())).ancestors) == [root.id, tweet.id]
    shown = await world.get(quote.id, bob)
    assert shown is not None
    assert (shown.record.quote_of, shown.quoted) == (tweet.id, None)
    await world.ingestion.delete(ann, tweet.id)
    deleted = await world.events(Deleted)
    assert [event.key for event in deleted] == [tweet.id]
    assert await world.reads.tweet_counts([ann]) == {ann: 0}
    assert await world.store.check() == []


async def test_only_ones_own_tweets_can_be_deleted(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    tweet = await world.post(ann)
    hidden = await world.post(ann, visibility=Visibility.FOLLOWERS)
    with pytest.raises(Forbidden) as refused:
        await world.ingestion.delete(bob, tweet.id)
    assert refused.value.code == "not_yours"
    for id in (hidden.id, 999):
        with pytest.raises(NotFound):
            await world.ingestion.delete(bob, id)


# --- repeats


async def test_a_repeated_key_answers_the_same_tweet_for_a_day(world: World, clock: ManualClock) -> None:
    ann, bob = await world.people("ann", "bob")
    key = IdempotencyKey("k-1", b"hash")
    new = NewTweet("once")
    first = await world.ingestion.post(ann, new, key)
    assert await world.ingestion.post(ann, new, key) == first
    with pytest.raises(Invalid) as refused:
        await world.ingestion.post(ann, NewTweet("other"), IdempotencyKey("k-1", b"other"))
    assert refused.value.code == "idempotency_key_reused"
    assert (await world.ingestion.post(bob, new, key)).id != first.id
    clock.advance(DAY - 1)
    assert (await world.ingestion.post(ann, new, key)).id == first.id
    clock.advance(1)
    assert (await world.ingestion.post(ann, new, key)).id != first.id


async def test_concurrent_repeats_post_once(world: World) -> None:
    (ann,) = await world.people("ann")
    key = IdempotencyKey("k", b"hash")
    posted = await asyncio.gather(*(world.ingestion.post(ann, NewTweet("once"), key) for _ in range(50)))
    assert len(set(ids(posted))) == 1
    assert len(await world.events(Posted)) == 1
    results = await asyncio.gather(
        *(world.ingestion.post(ann, NewTweet("x"), IdempotencyKey("z", bytes([i % 2]))) for i in range(20)),
        return_exceptions=True,
    )
    assert len({result.id for result in results if not isinstance(result, BaseException)}) == 1
    assert sum(isinstance(result, Invalid) for result in results) == 10


async def test_a_repeat_is_answered_though_the_parent_is_gone(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    parent = await world.post(ann)
    key = IdempotencyKey("k", b"h")
    answer = await world.ingestion.post(bob, NewTweet("yes", reply_to=parent.id), key)
    await world.ingestion.delete(ann, parent.id)
    assert (await world.ingestion.post(bob, NewTweet("yes", reply_to=parent.id), key)).id == answer.id


async def test_keys_out_of_date_go_as_new_ones_come(world: World, clock: ManualClock) -> None:
    (ann,) = await world.people("ann")
    for number in range(12):
        await world.ingestion.post(ann, NewTweet("x"), IdempotencyKey(f"old{number}", b""))
        clock.advance(1)
    clock.advance(DAY)
    for number in range(4):
        await world.ingestion.post(ann, NewTweet("x"), IdempotencyKey(f"new{number}", b""))
    assert await world.network.database.one(Statement(select(func.count()).select_from(KEYS))) == (4,)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "é"])
async def test_a_key_that_is_none_is_refused(world: World, key: str) -> None:
    (ann,) = await world.people("ann")
    with pytest.raises(Invalid):
        await world.ingestion.post(ann, NewTweet("x"), IdempotencyKey(key, b""))


async def test_ones_newest_write_is_known_by_its_offset(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    assert await world.reads.last_write(ann) == 0
    tweet = await world.post(ann)
    assert await world.reads.last_write(ann) == await world.network.log.head()
    await world.ingestion.retweet(bob, tweet.id)
    assert await world.reads.last_write(bob) == await world.network.log.head()
    assert await world.reads.last_write(ann) < await world.network.log.head()
