"""From ids to what a viewer sees: records → accounts → `visible` → quoted tweets → the viewer's marks → answers.

Every step is one bulk call, whatever the number of entries, and most are answered from memory.
"""

from collections.abc import Iterable, Mapping, Sequence

from rookery.infra.cache.port import Cache
from rookery.kernel.visibility import Place, Viewer, visible
from rookery.services.graph.contract import Graph
from rookery.services.tweets.contract import Entry, Tweet, TweetRecord
from rookery.services.tweets.marks import Marks
from rookery.services.tweets.records import RetweetRecord, Stored
from rookery.services.tweets.store import TweetStore
from rookery.services.users.contract import User, Users

_NO_MARKS: Mapping[int, int] = {}
_NOBODY: Mapping[int, User] = {}
_NO_RECORDS: Mapping[int, TweetRecord] = {}

Line = tuple[TweetRecord, int | None]
"""A tweet, and who is answered for beside its author: the one who retweeted or favorited it."""


class Hydrator:
    """Turns ids into tweets and entries."""

    def __init__(self, store: TweetStore, marks: Marks, users: Users, graph: Graph, cache: Cache[Stored]) -> None:
        self._store = store
        self._marks = marks
        self._users = users
        self._graph = graph
        self._cache = cache

    async def records(self, tweet_ids: Iterable[int]) -> dict[int, TweetRecord]:
        """These tweets and tombstones, whoever looks; unknown ids are left out."""
        stored = await self._cache.get_many(list(dict.fromkeys(tweet_ids)), self._store.load)
        return {id: record for id, record in stored.items() if isinstance(record, TweetRecord)}

    async def tweets(
        self, tweet_ids: Sequence[int], viewer_id: int, place: Place, actor_id: int | None = None
    ) -> list[Tweet | None]:
        """These tweets as the viewer sees them at `place`, None for the hidden ones.

        With `actor_id` they are shown as that person's favorites: hidden, too, where a retweet by the same person would be.
        """
        records = await self.records(tweet_ids)
        lines = [None if (record := records.get(id)) is None else (record, actor_id) for id in tweet_ids]
        return [
            None if entry is None else entry.tweet for entry in await self._entries(tweet_ids, lines, viewer_id, place)
        ]

    async def entries(
        self, entry_ids: Sequence[int], tweet_ids: Sequence[int], viewer_id: int, place: Place
    ) -> list[Entry | None]:
        """As `contract.TweetReads.show`."""
        wanted = tweet_ids if entry_ids == tweet_ids else list(dict.fromkeys((*tweet_ids, *entry_ids)))
        stored = await self._cache.get_many(wanted, self._store.load)
        lines: list[Line | None] = []
        for entry_id, tweet_id in zip(entry_ids, tweet_ids, strict=True):
            record = stored.get(tweet_id)
            if not isinstance(record, TweetRecord):
                lines.append(None)
            elif entry_id == tweet_id:
                lines.append((record, None))
            else:
                retweet = stored.get(entry_id)
                if isinstance(retweet, RetweetRecord) and retweet.tweet_id == tweet_id:
                    lines.append((record, retweet.user_id))
                else:
                    lines.append(None)
        return await self._entries(entry_ids, lines, viewer_id, place)

    async def _entries(
        self, entry_ids: Sequence[int], lines: Sequence[Line | None], viewer_id: int, place: Place
    ) -> list[Entry | None]:
        people: set[int] = set()
        quotes: set[int] = set()
        for line in lines:
            if line is not None:
                record, actor_id = line
                people.add(record.author_id)
                if actor_id is not None:
                    people.add(actor_id)
                if record.quote_of is not None:
                    quotes.add(record.quote_of)
        quoted = await self.records(quotes) if quotes else _NO_RECORDS
        people.update(record.author_id for record in quoted.values())
        accounts = await self._users.get(list(people)) if people else _NOBODY
        viewer = await self._graph.viewer(viewer_id)

        passed = [line if line is not None and _passes(viewer, line, accounts, place) else None for line in lines]
        inner = {
            id: record
            for id, record in quoted.items()
            if (author := accounts.get(record.author_id)) is not None and visible(viewer, record, author, Place.DIRECT)
        }
        marks = _NO_MARKS
        if viewer_id and (shown := [line[0].id for line in passed if line is not None]):
            # Not only the quoted tweets of what is shown: a few more cost less than finding out which they are.
            marks = await self._marks.of(viewer_id, [*shown, *inner] if inner else shown)

        entries: list[Entry | None] = []
        for entry_id, line in zip(entry_ids, passed, strict=True):
            if line is None:
                entries.append(None)
                continue
            record, actor_id = line
            part = inner.get(record.quote_of) if record.quote_of is not None else None
            below = None if part is None else Tweet(part, accounts[part.author_id], None, marks.get(part.id, 0))
            tweet = Tweet(record, accounts[record.author_id], below, marks.get(record.id, 0))
            entries.append(Entry(entry_id, tweet, None if actor_id is None else accounts[actor_id]))
        return entries


def _passes(viewer: Viewer, line: Line, accounts: Mapping[int, User], place: Place) -> bool:
    record, actor_id = line
    author = accounts.get(record.author_id)
    if author is None:
        return False
    if actor_id is None:
        return visible(viewer, record, author, place)
    actor = accounts.get(actor_id)
    return actor is not None and visible(viewer, record, author, place, actor)
