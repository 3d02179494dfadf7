"""What services answer, as the JSON that clients get."""

import json

from rookery.gateways.rest import present
from rookery.kernel.pages import Slice
from rookery.kernel.text import entities
from rookery.kernel.visibility import State, Visibility
from rookery.services.graph.contract import Counts
from rookery.services.timelines.contract import Item, Reason, ReasonKind
from rookery.services.tweets.contract import (
    Entry,
    Thread,
    Tombstone,
    Tweet,
    TweetCounts,
    TweetType,
    ViewerMarks,
)
from rookery.services.users.contract import Account, Role, User

NEW_YEAR = 1_767_225_600_000


def user(id: int, handle: str) -> User:
    return User(id, handle, handle.title(), "", "", None, False, State.ACTIVE, Role.PERSON, NEW_YEAR, 1)


ANN, BOB = user(1, "ann"), user(2, "bob")


def tweet(id: int, author: User, content: str, **more: object) -> Tweet:
    fields: dict[str, object] = {
        "id": id,
        "type": TweetType.TEXT,
        "author": author,
        "content": content,
        "lang": None,
        "visibility": Visibility.PUBLIC,
        "entities": entities(content),
        "mentions": {},
        "media_url": None,
        "reply_to": None,
        "reply_to_user_id": None,
        "quote_of": None,
        "quoted": None,
        "created_at": NEW_YEAR + 5,
        "edited_at": None,
        "imported": False,
        "counts": TweetCounts(1, 2, 3, 4),
        "marks": ViewerMarks(),
        **more,
    }
    return Tweet(**fields)  # pyright: ignore[reportArgumentType]


def shown(shape: object):
    return json.loads(present.encode(shape))


def test_moments_are_rfc_3339_in_utc_with_milliseconds():
    assert present.rfc3339(NEW_YEAR) == "2026-01-01T00:00:00.000Z"
    assert present.rfc3339(NEW_YEAR + 1_234) == "2026-01-01T00:00:01.234Z"
    assert present.rfc3339(-1) == "1969-12-31T23:59:59.999Z"


def test_a_tweet_holds_all_that_the_design_promises():
    big = 1 << 62
    told = tweet(big, ANN, "#Größe @Bob $ABC example.com 🐦 @nobody", mentions={"bob": 2})
    assert shown(present.tweet(told)) == {
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
        "created_at": "2026-01-01T00:00:00.005Z",
        "edited_at": None,
        "imported": False,
        "counts": {"replies": 1, "retweets": 2, "quotes": 3, "favorites": 4},
        "viewer": {"favorited": False, "retweeted": False, "bookmarked": False},
    }


def test_a_quote_carries_the_quoted_tweet_and_an_attachment_its_type():
    quote = tweet(
        9, BOB, "look", quote_of=8, quoted=tweet(8, ANN, "hi"), type=TweetType.IMAGE, media_url="https://x/y.png"
    )
    told = shown(present.tweet(quote))
    assert (told["quote_of"], told["quoted"]["id"], told["quoted"]["quoted"]) == ("8", "8", None)
    assert told["media"] == [{"type": "image", "url": "https://x/y.png"}]


def test_items_of_timelines_say_why_they_are_there():
    one = tweet(8, ANN, "hi")
    items = [
        Item(Entry(11, one, BOB), Reason(ReasonKind.RETWEET, BOB)),
        Item(Entry(8, one), Reason(ReasonKind.FOLLOW)),
        Item(Entry(7, one), Reason(ReasonKind.OWN)),
    ]
    told = shown(present.home(Slice(items, 7, 11)))
    assert (told["next"], told["prev"]) == ("7", "11")
    assert [(item["id"], item["tweet"]["id"]) for item in told["items"]] == [("11", "8"), ("8", "8"), ("7", "8")]
    assert [item["reason"] for item in told["items"]] == [
        {"kind": "retweet", "by": {"id": "2", "handle": "bob", "name": "Bob", "avatar_url": None}},
        {"kind": "follow"},
        {"kind": "own"},
    ]
    profile = shown(present.profile(Slice([Entry(11, one, BOB), Entry(8, one)])))
    assert [item["reason"]["kind"] for item in profile["items"]] == ["retweet", "own"]
    assert (profile["next"], profile["prev"]) == (None, None)


def test_a_thread_shows_where_a_tweet_is_missing():
    told = shown(present.thread(Thread([Tombstone(5)], tweet(8, ANN, "hi"), Slice([]))))
    assert told["ancestors"] == [{"id": "5", "tombstone": True}]
    assert told["tweet"]["id"] == "8"
    assert told["replies"] == {"items": [], "next": None, "prev": None}


def test_only_the_owner_is_shown_what_is_private():
    public = shown(present.user(ANN, Counts(3, 4), 5))
    assert public["counts"] == {"followers": 3, "following": 4, "tweets": 5}
    own = shown(present.account(Account(ANN, "ann@example.com", "2000-01-02", "AT", NEW_YEAR), Counts(3, 4), 5))
    assert set(own) - set(public) == {"state", "email", "date_of_birth", "country", "last_active"}
    assert {key: own[key] for key in public} == public
