"""What the store holds, row by row, compared with the model, with the events, and with itself."""

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from rookery.infra.sql.sqlite_connect import connect
from tests.faults.model import ABSENT, ACTIVE, BLOCKS, DEACTIVATED, DELETED, FOLLOWS, MUTES, STANDING, Model

Pair = tuple[int, int]

_IDS = (
    "SELECT id FROM users_accounts", "SELECT id FROM users_sessions", "SELECT edge_id FROM graph_following",
    "SELECT edge_id FROM graph_blocks", "SELECT edge_id FROM graph_mutes", "SELECT id FROM tweets_tweets",
    "SELECT id FROM tweets_retweets", "SELECT id FROM tweets_favorites", "SELECT id FROM tweets_bookmarks",
)  # fmt: skip


@dataclass
class Truth:
    """Everything that the store held at one moment."""

    tweets: dict[int, tuple[int, str, bool]]
    """(author, content, deleted) by id; imported ones are not among them."""
    imported: int
    retweets: dict[int, Pair]
    """(user, tweet) by id."""
    marks: dict[str, set[Pair]]
    """(user, tweet) of favorites and bookmarks."""
    edges: dict[str, set[Pair]]
    """(who, whom) of follows, blocks, mutes."""
    followers: set[Pair]
    """The follows again, from the other direction's rows."""
    people: dict[int, tuple[str, str, str, int]]
    """(handle, name, state, version) by id."""
    keys: list[tuple[int, str, int, int]]
    """(user, key, tweet, at) of idempotency keys."""
    events: list[tuple[int, str, Any]]
    """(offset, name, body)."""
    repeated_ids: list[int]
    flaws: list[str] = field(default_factory=list)
    """What SQLite finds wrong with its file."""


def read(database: Path) -> Truth:
    """Look at a store that a server may be working on: one moment of it."""
    with closing(connect(database, busy_timeout=10, read_only=True)) as raw:

        def rows(text: str) -> list[Any]:
            return cast("list[Any]", raw.execute(text).fetchall())

        raw.execute("BEGIN")
        ids = [id for text in _IDS for (id,) in rows(text)]
        return Truth(
            tweets={
                id: (author, content, deleted is not None)
                for id, author, content, deleted in rows(
                    "SELECT id, author_id, content, deleted_at FROM tweets_tweets WHERE external_id IS NULL"
                )
            },
            imported=rows("SELECT count(*) FROM tweets_tweets WHERE external_id IS NOT NULL")[0][0],
            retweets={
                id: (user, tweet) for id, user, tweet in rows("SELECT id, user_id, tweet_id FROM tweets_retweets")
            },
            marks={
                "favorite": set(rows("SELECT user_id, tweet_id FROM tweets_favorites")),
                "bookmark": set(rows("SELECT user_id, tweet_id FROM tweets_bookmarks")),
            },
            edges={
                FOLLOWS: set(rows("SELECT follower_id, followee_id FROM graph_following")),
                BLOCKS: set(rows("SELECT blocker_id, blocked_id FROM graph_blocks")),
                MUTES: set(rows("SELECT muter_id, muted_id FROM graph_mutes")),
            },
            followers=set(rows("SELECT follower_id, followee_id FROM graph_followers")),
            people={row[0]: row[1:] for row in rows("SELECT id, handle, name, state, version FROM users_accounts")},
            keys=rows("SELECT user_id, key, tweet_id, at FROM tweets_idempotency"),
            events=[
                (offset, name, json.loads(body))
                for offset, name, body in rows('SELECT "offset", name, body FROM events_log ORDER BY "offset"')
            ],
            repeated_ids=[id for id, times in Counter(ids).items() if times > 1],
            flaws=[text for (text,) in rows("PRAGMA quick_check") if text != "ok"],
        )


def compare(model: Model, truth: Truth) -> list[str]:
    """Settle every cell of the model by the store; what could not have come of the requests that were sent."""
    wrong = [f"the file: {flaw}" for flaw in truth.flaws]
    wrong += [f"the id {id} was issued twice" for id in truth.repeated_ids]
    if truth.edges[FOLLOWS] != truth.followers:
        wrong.append(f"follows in one direction only: {sorted(truth.edges[FOLLOWS] ^ truth.followers)[:5]}")
    handle_of = {person.id: handle for handle, person in model.people.items()}
    wrong += _people(model, truth) + _tweets(model, truth, handle_of)
    content_of = {id: content for content, id in model.ids.items()}
    found: dict[str, set[Any]] = {
        kind: {(handle_of.get(user), content_of.get(tweet)) for user, tweet in pairs}
        for kind, pairs in (("retweet", truth.retweets.values()), *truth.marks.items())
    }
    if len(found["retweet"]) < len(truth.retweets):
        wrong.append("somebody retweeted a tweet twice")
    for kind, pairs in found.items():
        cells = {cell[1:] for cell in model.known(kind)}
        wrong += [f"nobody asked for the {kind} {pair}" for pair in pairs - cells]
        wrong += _observed(model.observe((kind, *pair), pair in pairs) for pair in cells)
    return wrong + _pairs(model, truth, handle_of)


def _people(model: Model, truth: Truth) -> list[str]:
    wrong: list[str] = []
    for handle, person in model.people.items():
        if person.id not in truth.people:
            wrong.append(f"the account @{handle} is lost")
            continue
        _, name, state, _ = truth.people[person.id]
        wrong += _observed([model.observe(("name", handle), name)])
        wrong += _observed([model.observe(("state", handle), {"active": ACTIVE, "deactivated": DEACTIVATED}[state])])
    return wrong


def _tweets(model: Model, truth: Truth, handle_of: dict[int, str]) -> list[str]:
    wrong: list[str] = []
    known = {id: content for content, id in model.ids.items()}
    fates: dict[str, str] = {}
    for id, (author_id, content, deleted) in truth.tweets.items():
        content = known.get(id, content)
        if content not in model.written:
            wrong.append(f"nobody wrote the tweet {id}: {content!r}")
        elif content in fates:
            wrong.append(f"{content!r} is there twice")
        elif handle_of.get(author_id) != model.written[content].author:
            wrong.append(f"{content!r} is by {handle_of.get(author_id)}")
        else:
            fates[content] = DELETED if deleted else STANDING
            if model.ids.setdefault(content, id) != id:
                wrong.append(f"{content!r} was {model.ids[content]} and is {id}")
    wrong += _observed(model.observe(("tweet", content), fates.get(content, ABSENT)) for content in model.written)
    # A key and its tweet are one: neither is there without the other, and no tweet is anybody else's.
    for user_id, key, tweet_id, _ in truth.keys:
        if tweet_id not in truth.tweets or truth.tweets[tweet_id][0] != user_id:
            wrong.append(f"the key {key!r} leads to no tweet of its owner")
    kept = {key: tweet_id for _, key, tweet_id, _ in truth.keys}
    for content, tweet in model.written.items():
        if tweet.key is not None and (content in fates) != (tweet.key in kept):
            wrong.append(
                f"{content!r} is {fates.get(content, ABSENT)}, but its key is {'' if tweet.key in kept else 'not '}there"
            )
    return wrong


def _pairs(model: Model, truth: Truth, handle_of: dict[int, str]) -> list[str]:
    facts: dict[Any, set[tuple[str, str, str]]] = {}
    for kind, pairs in truth.edges.items():
        for who, whom in pairs:
            if who in handle_of and whom in handle_of:
                one, other = handle_of[who], handle_of[whom]
                facts.setdefault(model.pair(one, other), set()).add((kind, one, other))
    cells = {cell for cell in model.known("pair") if cell[1] in model.people and cell[2] in model.people}
    wrong = [f"nobody asked for {sorted(facts[cell])}" for cell in facts.keys() - cells]
    return wrong + _observed(model.observe(cell, frozenset(facts.get(cell, ()))) for cell in cells)


def _observed(found: Iterable[str | None]) -> list[str]:
    return [text for text in found if text is not None]


# --- events


def follow_events(before: Truth, after: Truth, *, complete: bool) -> list[str]:
    """Whether the events since `before` tell exactly what changed since: no change without its event, no event without its change,
    none twice. Where retention was at work (not `complete`), only what is left of the log is looked at.
    """
    seen = max((offset for offset, _, _ in before.events), default=0)
    fresh = [event for event in after.events if event[0] > seen]
    if not complete:
        return [
            f"the event {name} at {offset} tells of a tweet that is not there"
            for offset, name, body in fresh
            if name == "tweets.posted" and body["tweet_id"] not in after.tweets
        ]
    wrong: list[str] = []
    if [offset for offset, _, _ in fresh] != list(range(seen + 1, seen + 1 + len(fresh))):
        wrong.append(f"the log has gaps after {seen}")
    told = _Told(before)
    for offset, name, body in fresh:
        wrong += [f"event {offset} ({name} {body}): {text}" for text in told.apply(name, body)]
    return wrong + told.differences(after)


class _Told:
    """The state that events tell of, beginning with a state that was looked at."""

    def __init__(self, start: Truth) -> None:
        self.tweets = set(start.tweets)
        self.tombstones = {id for id, (_, _, deleted) in start.tweets.items() if deleted}
        self.retweets = dict(start.retweets)
        self.retweets_ever = set(start.retweets)
        self.favorites = set(start.marks["favorite"])
        self.edges = {kind: set(pairs) for kind, pairs in start.edges.items()}
        self.versions = {id: row[3] for id, row in start.people.items()}
        self.states = {id: row[2] for id, row in start.people.items()}
        self.imported_to: set[int] = set()
        self.imported = start.imported

    def apply(self, name: str, body: Any) -> list[str]:
        """Take in an event; what is wrong with it."""
        match name:
            case "tweets.posted":
                return _add(self.tweets, body["tweet_id"])
            case "tweets.deleted":
                return _add(self.tombstones, body["tweet_id"])
            case "tweets.imported":
                self.imported += len(body["entry_ids"])
            case "tweets.retweeted":
                self.retweets[body["retweet_id"]] = (body["user_id"], body["tweet_id"])
                return _add(self.retweets_ever, body["retweet_id"])
            case "tweets.unretweeted":
                return [] if self.retweets.pop(body["retweet_id"], None) is not None else ["there was none"]
            case "tweets.favorited":
                return _add(self.favorites, (body["user_id"], body["tweet_id"]))
            case "tweets.unfavorited":
                return _remove(self.favorites, (body["user_id"], body["tweet_id"]))
            case "graph.follows_imported":
                self.imported_to |= set(body["follower_ids"])
            case "graph.followed":
                return _add(self.edges[FOLLOWS], (body["follower_id"], body["followee_id"]))
            case "graph.unfollowed":
                return _remove(self.edges[FOLLOWS], (body["follower_id"], body["followee_id"]))
            case "graph.blocked":
                return _add(self.edges[BLOCKS], (body["blocker_id"], body["blocked_id"]))
            case "graph.unblocked":
                return _remove(self.edges[BLOCKS], (body["blocker_id"], body["blocked_id"]))
            case "graph.muted":
                return _add(self.edges[MUTES], (body["muter_id"], body["muted_id"]))
            case "graph.unmuted":
                return _remove(self.edges[MUTES], (body["muter_id"], body["muted_id"]))
            case "users.registered":
                self.versions[body["user_id"]], self.states[body["user_id"]] = body["user_version"], ACTIVE
            case "users.imported":
                self.versions |= dict.fromkeys(body["user_ids"], 1)
                self.states |= dict.fromkeys(body["user_ids"], ACTIVE)
            case "users.changed" | "users.state_changed":
                old = self.versions.get(body["user_id"], 0)
                self.versions[body["user_id"]] = body["user_version"]
                if name == "users.state_changed":
                    self.states[body["user_id"]] = body["new"]
                return [] if body["user_version"] == old + 1 else [f"the version before was {old}"]
            case _:
                pass
        return []

    def differences(self, truth: Truth) -> list[str]:
        """Where the store holds something else than was told."""
        edges = {kind: set(pairs) for kind, pairs in truth.edges.items()}
        # Which follows were imported, the event does not tell: whose, it does.
        for follows in (edges[FOLLOWS], self.edges[FOLLOWS]):
            follows -= {pair for pair in follows if pair[0] in self.imported_to}
        pairs: list[tuple[str, Any, Any]] = [
            ("tweets", set(truth.tweets), self.tweets),
            ("tombstones", {id for id, (_, _, deleted) in truth.tweets.items() if deleted}, self.tombstones),
            ("imported tweets", {truth.imported}, {self.imported}),
            ("retweets", set(truth.retweets.items()), set(self.retweets.items())),
            ("favorites", truth.marks["favorite"], self.favorites),
            *((kind, edges[kind], self.edges[kind]) for kind in edges),
            ("versions of accounts", {(id, row[3]) for id, row in truth.people.items()}, set(self.versions.items())),
            ("states of accounts", {(id, row[2]) for id, row in truth.people.items()}, set(self.states.items())),
        ]
        return [
            f"{what}: without an event {sorted(there - told)[:5]}, told and not there {sorted(told - there)[:5]}"
            for what, there, told in pairs
            if there != told
        ]


def _add(known: set[Any], what: Any) -> list[str]:
    if what in known:
        return ["that was so already"]
    known.add(what)
    return []


def _remove(known: set[Any], what: Any) -> list[str]:
    if what not in known:
        return ["there was none"]
    known.remove(what)
    return []
