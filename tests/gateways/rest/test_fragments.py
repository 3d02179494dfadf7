"""Tweets as the JSON that clients get, joined from ready pieces."""

import json

import msgspec
import pytest

from rookery.gateways.rest import shapes
from rookery.gateways.rest.fragments import Fragments
from rookery.kernel.pages import Slice
from rookery.kernel.text import entities
from rookery.kernel.visibility import State, Visibility
from rookery.services.timelines.contract import Item, Reason, ReasonKind, Score
from rookery.services.tweets.contract import (
    BOOKMARKED,
    FAVORITED,
    RETWEETED,
    Entry,
    Thread,
    Tombstone,
    Tweet,
    TweetCounts,
    TweetRecord,
    TweetType,
)
from rookery.services.users.contract import Role, User

NEW_YEAR = 1_767_225_600_000


def user(id: int, handle: str, version: int = 1) -> User:
    return User(id, handle, handle.title(), "", "", None, False, State.ACTIVE, Role.PERSON, NEW_YEAR, version)


ANN, BOB = user(1, "ann"), user(2, "bob")


def tweet(id: int, author: User, content: str, *, quoted: Tweet | None = None, marks: int = 0, **more: object) -> Tweet:
    fields: dict[str, object] = {
        "id": id,
        "author_id": author.id,
        "content": content,
        "visibility": Visibility.PUBLIC,
        "type": TweetType.TEXT,
        "created_at": NEW_YEAR + 5,
        "version": 1,
        "entities": entities(content),
        "counts": TweetCounts(1, 2, 3, 4),
        **more,
    }
    return Tweet(TweetRecord(**fields), author, quoted, marks)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def fragments() -> Fragments:
    return Fragments()


def shown(body: bytes):
    return json.loads(body)


def test_a_tweet_holds_all_that_the_design_promises(fragments: Fragments):
    big = 1 << 62
    told = tweet(big, ANN, "#Größe @Bob $ABC example.com 🐦 @nobody", mentions={"bob": 2})
    assert shown(fragments.tweet(told)) == {
        "id": str(big),
        "type": "text",
        "author": {"id": "1", "handle": "ann", "name": "Ann", "avatar_url": None},
        "content": "#Größe @Bob $ABC example.com 🐦 @nobody",
        "lang": None,
        "visibility": "public",
        "entities": {
            "mentions": [
                {"handle": "Bob", "user_id": "2", "indices": [7, 11]},
                {"handle": "nobody", "user_id": None, "indices": [31, 38]},
            ],
            "hashtags": [{"tag": "Größe", "key": "grösse", "indices": [0, 6]}],
            "cashtags": [{"symbol": "ABC", "indices": [12, 16]}],
            "urls": [{"url": "example.com", "indices": [17, 28]}],
        },
        "media": [],
        "reply_to": None,
        "reply_to_user_id": None,
        "quote_of": None,
        "quoted": None,
        "quote_detached": False,
        "reply_rule": "everyone",
        "hidden": False,
        "created_at": "2026-01-01T00:00:00.005Z",
        "edited_at": None,
        "imported": False,
        "label": None,
        "standing": None,
        "counts": {"replies": 1, "retweets": 2, "quotes": 3, "favorites": 4},
        "viewer": {"favorited": False, "retweeted": False, "bookmarked": False},
    }


def test_a_quote_carries_the_quoted_tweet_and_an_attachment_its_type(fragments: Fragments):
    quote = tweet(
        9, BOB, "look", quote_of=8, quoted=tweet(8, ANN, "hi"), type=TweetType.IMAGE, media_url="https://x/y.png"
    )
    told = shown(fragments.tweet(quote))
    assert (told["quote_of"], told["quoted"]["id"], told["quoted"]["quoted"]) == ("8", "8", None)
    assert told["media"] == [{"type": "image", "url": "https://x/y.png"}]


def test_items_of_timelines_say_why_they_are_there(fragments: Fragments):
    one = tweet(8, ANN, "hi")
    items = [
        Item(Entry(11, one, BOB), Reason(ReasonKind.RETWEET, BOB)),
        Item(Entry(8, one), Reason(ReasonKind.FOLLOW)),
        Item(Entry(7, tweet(7, BOB, "own")), Reason(ReasonKind.OWN)),
    ]
    told = shown(fragments.home(Slice(items, 7, 11)))
    assert (told["next"], told["prev"]) == ("7", "11")
    assert [(item["id"], item["tweet"]["id"]) for item in told["items"]] == [("11", "8"), ("8", "8"), ("7", "7")]
    assert [item["reason"] for item in told["items"]] == [
        {"kind": "retweet", "by": {"id": "2", "handle": "bob", "name": "Bob", "avatar_url": None}},
        {"kind": "follow"},
        {"kind": "own"},
    ]
    profile = shown(fragments.profile(Slice([Entry(11, one, BOB), Entry(8, one)])))
    assert [item["reason"]["kind"] for item in profile["items"]] == ["retweet", "own"]
    assert (profile["next"], profile["prev"]) == (None, None)


def test_a_thread_shows_where_a_tweet_is_missing(fragments: Fragments):
    told = shown(fragments.thread(Thread([Tombstone(5)], tweet(8, ANN, "hi"), Slice([]))))
    assert told["ancestors"] == [{"id": "5", "tombstone": True}]
    assert told["tweet"]["id"] == "8"
    assert told["replies"] == {"items": [], "next": None, "prev": None}


def test_the_joined_pieces_are_what_the_shapes_say(fragments: Fragments):
    """Byte for byte, so that the pieces are cut nowhere else than the shapes have their fields."""
    inner = tweet(8, ANN, 'hi "\\\0\x7f<&> 🐦')
    outer = tweet(9, BOB, "look", quote_of=8, quoted=inner, marks=FAVORITED)
    gone = tweet(10, BOB, "look", quote_of=7, quoted=None)
    items = [Item(Entry(one.id, one), Reason(ReasonKind.FOLLOW)) for one in (gone, outer, inner)]
    items.append(Item(Entry(12, outer, ANN), Reason(ReasonKind.RETWEET, ANN)))
    score = Score(1.5, 3.0, 1.0, 0.5)
    explained = [Item(item.entry, Reason(item.reason.kind, item.reason.by, score=score)) for item in items]
    for body, shape in (
        (fragments.explained(Slice(explained, 8, None)), shapes.Timeline),
        (fragments.tweet(outer), shapes.Tweet),
        (fragments.tweets(Slice([gone, inner], 8, None)), shapes.TweetList),
        (fragments.home(Slice(items, 8, 12)), shapes.Timeline),
        (fragments.home(Slice([], None, 5)), shapes.Timeline),
        (fragments.thread(Thread([Tombstone(3), inner], outer, Slice([gone]))), shapes.Thread),
    ):
        assert msgspec.json.encode(msgspec.json.decode(body, type=shape, strict=True)) == body


@pytest.mark.parametrize("marks", range(8))
def test_each_viewer_gets_their_own_marks(fragments: Fragments, marks: int):
    told = shown(fragments.tweet(tweet(8, ANN, "hi", marks=marks)))
    assert told["viewer"] == {
        "favorited": bool(marks & FAVORITED),
        "retweeted": bool(marks & RETWEETED),
        "bookmarked": bool(marks & BOOKMARKED),
    }


def test_a_new_count_or_a_new_name_shows_at_once(fragments: Fragments):
    assert shown(fragments.tweet(tweet(8, ANN, "hi")))["counts"]["favorites"] == 4
    counted = tweet(8, user(1, "anna", version=2), "hi", version=2, counts=TweetCounts(favorites=5))
    told = shown(fragments.tweet(counted))
    assert (told["counts"]["favorites"], told["author"]["handle"]) == (5, "anna")


def test_more_tweets_than_are_kept_are_still_told():
    few = Fragments(tweets=2, authors=1)
    for id in (5, 6, 7, 5, 6, 7):
        told = shown(few.tweet(tweet(id, user(id, f"p{id}"), f"says {id}")))
        assert (told["content"], told["author"]["handle"]) == (f"says {id}", f"p{id}")


def test_what_was_ready_and_what_had_to_be_cut_is_counted(fragments: Fragments):
    one, two = (Entry(id, tweet(id, ANN, "hello")) for id in (5, 6))
    own = [Item(entry, Reason(ReasonKind.OWN)) for entry in (one, two)]
    fragments.home(Slice(own))
    assert (fragments.hits, fragments.misses, len(fragments)) == (0, 2, 2)
    fragments.home(Slice(own))
    fragments.profile(Slice([one]))
    fragments.tweets(Slice([two.tweet, tweet(7, BOB, "new", quoted=one.tweet, quote_of=5)]))
    assert (fragments.hits, fragments.misses, len(fragments)) == (5, 3, 3)
    fragments.clear()
    fragments.tweet(one.tweet)
    assert (fragments.hits, fragments.misses, len(fragments)) == (5, 4, 1)
