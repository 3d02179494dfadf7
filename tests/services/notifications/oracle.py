"""What somebody's notifications are, from the stored truth: without regard to cost, and without the code under test. It reads whole
tables and shares `visible` alone.
"""

import json
from typing import Any, NamedTuple

from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.kernel.ids import is_imported
from rookery.kernel.idset import IdSet
from rookery.kernel.visibility import Place, Viewer, account_visible, visible
from rookery.kernel.words import Words
from rookery.services.notifications.contract import From, Preferences
from tests.services.timelines.oracle import Stored, Truth


class Told(NamedTuple):
    """That `actor` did something of this kind, with a tweet or not."""

    kind: str
    tweet_id: int
    actor_id: int


class NotificationTruth(Truth):
    """Everything that is stored, with what notifications are made of."""

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__(database)

        def rows(text: str) -> list[Any]:
            return database._reader.raw.execute(text).fetchall()

        self.quotes: dict[int, int] = dict(
            database._reader.raw.execute("SELECT id, quoted_user_id FROM tweets_tweets WHERE quote_of IS NOT NULL")
        )
        self.favorites = rows("SELECT id, user_id, tweet_id FROM tweets_favorites")
        self.requests = rows("SELECT follower_id, followee_id FROM graph_requests")
        self.begun: dict[tuple[int, int], bool] = {}
        """How the follows began that people made themselves: whether they were approved."""
        for name, text in database._reader.raw.execute(
            "SELECT name, body FROM events_log WHERE name IN ('graph.followed', 'graph.unfollowed') ORDER BY \"offset\""
        ):
            body = json.loads(str(text))
            pair = body["follower_id"], body["followee_id"]
            if name == "graph.followed":
                self.begun[pair] = body.get("approved", False)
            else:
                self.begun.pop(pair, None)

    def notifications(self, me: int, preferences: Preferences, now: int) -> set[Told]:
        """Everything that somebody is to hear of."""
        viewer = Viewer(
            me,
            following=IdSet(b for a, b in self.follows if a == me),
            blocking=IdSet(b for a, b in self.blocks if a == me),
            blocked_by=IdSet(a for a, b in self.blocks if b == me),
            muting=IdSet(b for a, b in self.mutes if a == me),
            muted_conversations=IdSet(root for a, root in self.conversations if a == me),
            words=Words(word for a, word, ends in self.filters if a == me and (ends is None or ends > now)),
        )
        found: set[Told] = set()
        for tweet in self.tweets.values():
            kind = self._said(tweet, me)
            if kind is not None and visible(viewer, tweet, self.accounts[tweet.author_id], Place.NOTIFICATIONS):
                found.add(Told(kind, tweet.id, tweet.author_id))
        for kind, marks in (("favorite", self.favorites), ("retweet", self.retweets)):
            for id, actor, tweet_id in marks:
                tweet = self.tweets[tweet_id]
                # Nobody is told of what was imported.
                if is_imported(id) or tweet.author_id != me or actor == me:
                    continue
                if visible(viewer, tweet, self.accounts[me], Place.NOTIFICATIONS, self.accounts[actor]):
                    found.add(Told(kind, tweet_id, actor))
        people = [
            *(Told("follow_request", 0, a) for a, b in self.requests if b == me),
            *(Told("follow", 0, a) for (a, b), approved in self.begun.items() if b == me and not approved),
            *(Told("follow_approved", 0, b) for (a, b), approved in self.begun.items() if a == me and approved),
        ]
        found |= {one for one in people if account_visible(viewer, self.accounts[one.actor_id], Place.NOTIFICATIONS)}
        wanted = {From.EVERYBODY: lambda _: True, From.FOLLOWING: viewer.following.__contains__}
        return {
            one
            for one in found
            if (of := getattr(preferences, one.kind)) is not From.NOBODY and wanted[of](one.actor_id)
        }

    def _said(self, tweet: Stored, me: int) -> str | None:
        if tweet.author_id == me:
            return None
        if tweet.reply_to_user_id == me:
            return "reply"
        if self.quotes.get(tweet.id) == me:
            return "quote"
        return "mention" if me in tweet.mentioned_ids else None
