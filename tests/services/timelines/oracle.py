"""The oracle: what a home timeline is, by pure pull over the stored truth.

Written without regard to cost and without the code under test: it reads whole tables and shares `visible` alone.
"""

from typing import Any, NamedTuple

import msgspec

from rookery.kernel.clock import DAY
from rookery.kernel.ids import moment_of
from rookery.kernel.idset import IdSet
from rookery.kernel.text import hashtag_key
from rookery.kernel.visibility import Place, State, Viewer, Visibility, visible
from rookery.kernel.words import Words
from tests import support


class Account(NamedTuple):
    id: int
    state: State
    protected: bool


class Stored(NamedTuple):
    id: int
    author_id: int
    visibility: Visibility
    reply_to_user_id: int | None
    mentioned_ids: frozenset[int]
    deleted: bool
    root: int
    content: str
    hidden: bool
    hashtags: tuple[str, ...]
    withheld: bool


class Line(NamedTuple):
    """An entry of the timeline."""

    id: int
    tweet_id: int
    reason: str
    by: int | None
    hashtag: str | None = None


class Truth:
    """Everything that is stored, as it stands now."""

    def __init__(self, database: Any) -> None:
        """`database` is any engine's."""

        def rows(text: str) -> list[Any]:
            return support.rows(database, text)

        self.accounts = {
            id: Account(id, State(state), bool(protected))
            for id, state, protected in rows("SELECT id, state, protected FROM users_accounts")
        }
        self.tweets = {
            id: Stored(
                id,
                author,
                Visibility(visibility),
                answered,
                frozenset(msgspec.json.decode(mentions).values()) if mentions else frozenset(),
                deleted is not None,
                root or id,
                content,
                hidden == 1,
                tuple(hashtag_key(tag["tag"]) for tag in msgspec.json.decode(entities)["hashtags"]) if entities else (),
                standing is not None,
            )
            for id, author, visibility, answered, mentions, deleted, root, content, hidden, entities, standing in rows(
                "SELECT id, author_id, visibility, reply_to_user_id, mentions, deleted_at, root_id, content, hidden, "
                "entities, standing FROM tweets_tweets"
            )
        }
        self.retweets = rows("SELECT id, user_id, tweet_id FROM tweets_retweets")
        self.follows = set(rows("SELECT follower_id, followee_id FROM graph_following"))
        self.blocks = set(rows("SELECT blocker_id, blocked_id FROM graph_blocks"))
        self.mutes = set(rows("SELECT muter_id, muted_id FROM graph_mutes"))
        self.conversations = rows("SELECT user_id, root_id FROM graph_muted_conversations")
        self.filters = rows("SELECT user_id, phrase, expires_at FROM graph_filters")
        self.hashtags = rows("SELECT user_id, key FROM graph_hashtags")

    def home(self, viewer_id: int, now: int) -> list[Line]:
        """The whole home timeline, newest first."""
        following = {b for a, b in self.follows if a == viewer_id}
        viewer = Viewer(
            viewer_id,
            following=IdSet(following),
            blocking=IdSet(b for a, b in self.blocks if a == viewer_id),
            blocked_by=IdSet(a for a, b in self.blocks if b == viewer_id),
            muting=IdSet(b for a, b in self.mutes if a == viewer_id),
            muted_conversations=IdSet(root for a, root in self.conversations if a == viewer_id),
            words=Words(word for a, word, ends in self.filters if a == viewer_id and (ends is None or ends > now)),
        )
        followed = {key for a, key in self.hashtags if a == viewer_id}
        actors = following | {viewer_id}
        eligible: list[tuple[int, Stored, int | None]] = [
            (tweet.id, tweet, None)
            for tweet in self.tweets.values()
            if tweet.author_id in actors and visible(viewer, tweet, self.accounts[tweet.author_id], Place.HOME)
        ]
        tagged: dict[int, str] = {}
        for tweet in self.tweets.values():
            key = next((key for key in tweet.hashtags if key in followed), None)
            author = self.accounts[tweet.author_id]
            if key and tweet.author_id not in actors and visible(viewer, tweet, author, Place.TOPIC):
                eligible.append((tweet.id, tweet, None))
                tagged[tweet.id] = key
        for id, user, tweet_id in self.retweets:
            tweet = self.tweets[tweet_id]
            author = self.accounts[tweet.author_id]
            if user in actors and visible(viewer, tweet, author, Place.HOME, self.accounts[user]):
                eligible.append((id, tweet, user))
        on_tweet: dict[int, list[int]] = {}
        for id, tweet, _ in eligible:
            on_tweet.setdefault(tweet.id, []).append(id)
        lines: list[Line] = []
        for id, tweet, retweeter in eligible:
            if any(other < id and moment_of(id) - moment_of(other) <= DAY for other in on_tweet[tweet.id]):
                continue
            actor = tweet.author_id if retweeter is None else retweeter
            kind = "own" if actor == viewer_id else "follow" if retweeter is None else "retweet"
            lines.append(Line(id, tweet.id, "hashtag" if id in tagged else kind, retweeter, tagged.get(id)))
        return sorted(lines, reverse=True)
