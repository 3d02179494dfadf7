"""From ids to what a viewer sees: records → accounts → `visible` → quoted tweets → the viewer's marks → answers.

Every step is one bulk call, whatever the number of entries, and most are answered from memory.
"""

from collections.abc import Iterable, Mapping, Sequence

from rookery.infra.cache.port import Cache
from rookery.kernel.visibility import Place, Viewer, visible
from rookery.services.graph.contract import Graph
from rookery.services.tweets.contract import Entry, Tweet, TweetRecord
from rookery.services.tweets.records import RetweetRecord, Stored
from rookery.services.tweets.remembered import Marks
from rookery.services.tweets.store import TweetStore
from rookery.services.users.contract import User, Users

_NO_MARKS: Mapping[int, int] = {}
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
        if entry_ids == tweet_ids:
            records = await self._cache.get_many(tweet_ids, self._store.load)
            lines = [(record, None) if isinstance(record := records.get(id), TweetRecord) else None for id in tweet_ids]
        else:
            stored = await self._cache.get_many(list(dict.fromkeys((*tweet_ids, *entry_ids))), self._store.load)
            lines = [_line(stored, entry, tweet) for entry, tweet in zip(entry_ids, tweet_ids, strict=True)]
        return await self._entries(entry_ids, lines, viewer_id, place)

    async def _entries(
        self, entry_ids: Sequence[int], lines: Sequence[Line | None], viewer_id: int, place: Place
    ) -> list[Entry | None]:
        found = [line for line in lines if line is not None]
        if not found:
            return [None] * len(lines)
        people = {record.author_id for record, _ in found}
        people.update([actor for _, actor in found if actor is not None])
        quotes = [record.quote_of for record, _ in found if record.quote_of is not None]
        quoted = await self.records(quotes) if quotes else _NO_RECORDS
        if quoted:
            people.update([record.author_id for record in quoted.values()])
        accounts = await self._users.get(list(people))
        viewer = await self._graph.viewer(viewer_id)
        marks = _NO_MARKS
        if viewer_id:
            # Not only of what will pass: a few more cost less than finding out first.
            marks = await self._marks.of(viewer_id, [*(record.id for record, _ in found), *quoted])

        entries: list[Entry | None] = []
        for entry_id, line in zip(entry_ids, lines, strict=True):
            shown = None
            if line is not None:
                record, actor_id = line
                author = accounts.get(record.author_id)
                actor = None if actor_id is None else accounts.get(actor_id)
                if (
                    author is not None
                    and (actor_id is None or actor is not None)
                    and visible(viewer, record, author, place, actor)
                ):
                    inner = None
                    if record.quote_of is not None:
                        inner = _quoted(quoted.get(record.quote_of), viewer, accounts, marks)
                    shown = Entry(entry_id, Tweet(record, author, inner, marks.get(record.id, 0)), actor)
            entries.append(shown)
        return entries


def _line(stored: Mapping[int, Stored], entry_id: int, tweet_id: int) -> Line | None:
    record = stored.get(tweet_id)
    if not isinstance(record, TweetRecord):
        return None
    if entry_id == tweet_id:
        return record, None
    retweet = stored.get(entry_id)
    if isinstance(retweet, RetweetRecord) and retweet.tweet_id == tweet_id:
        return record, retweet.user_id
    return None


def _quoted(
    record: TweetRecord | None, viewer: Viewer, accounts: Mapping[int, User], marks: Mapping[int, int]
) -> Tweet | None:
    """A quoted tweet, where the viewer may see it."""
    author = None if record is None else accounts.get(record.author_id)
    if record is None or author is None or not visible(viewer, record, author, Place.DIRECT):
        return None
    return Tweet(record, author, None, marks.get(record.id, 0))
