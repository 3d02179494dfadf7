"""From ids to what a viewer sees: records → accounts → `visible` → quoted tweets → the viewer's marks → answers.

Every step is one bulk call, whatever the number of entries, and most are answered from memory.
"""

from collections.abc import Iterable, Mapping, Sequence

from rookery.infra.cache.port import Cache
from rookery.kernel.visibility import Place, Viewer, quoted_visible, visible
from rookery.services.graph.contract import Graph
from rookery.services.tweets.contract import Entry, Tweet, TweetRecord
from rookery.services.tweets.records import RetweetRecord, Stored
from rookery.services.tweets.remembered import Marks
from rookery.services.tweets.settled import Settled
from rookery.services.tweets.store import TweetStore
from rookery.services.users.contract import User, Users

_NO_MARKS: Mapping[int, int] = {}
_NO_RECORDS: Mapping[int, TweetRecord] = {}

_NO_ACTORS: Mapping[int, int] = {}


class Hydrator:
    """Turns ids into tweets and entries."""

    def __init__(
        self, store: TweetStore, marks: Marks, settled: Settled, users: Users, graph: Graph, cache: Cache[Stored]
    ) -> None:
        self._store = store
        self._marks = marks
        self._settled = settled
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
        found = await self.records(tweet_ids)
        actors = _NO_ACTORS if actor_id is None else dict.fromkeys(tweet_ids, actor_id)
        entries = await self._entries(tweet_ids, [found.get(id) for id in tweet_ids], actors, viewer_id, place)
        return [None if entry is None else entry.tweet for entry in entries]

    async def entries(
        self, entry_ids: Sequence[int], tweet_ids: Sequence[int], viewer_id: int, place: Place
    ) -> list[Entry | None]:
        """As `contract.TweetReads.show`."""
        viewer = await self._graph.viewer(viewer_id)
        if not viewer.unburdened:
            return await self._judged(entry_ids, tweet_ids, viewer_id, place)
        shown = self._settled.find(entry_ids, tweet_ids, place)
        missing = [index for index, entry in enumerate(shown) if entry is None] if None in shown else []
        if viewer_id and len(missing) < len(shown) and (marks := await self._marks.of(viewer_id, tweet_ids)):
            shown = [
                entry if entry is None or not (done := marks.get(entry.tweet.record.id)) else _marked(entry, done)
                for entry in shown
            ]
        if missing:
            judged = await self._judged(
                [entry_ids[index] for index in missing], [tweet_ids[index] for index in missing], viewer_id, place
            )
            for index, entry in zip(missing, judged, strict=True):
                shown[index] = entry
        return shown

    async def _judged(
        self, entry_ids: Sequence[int], tweet_ids: Sequence[int], viewer_id: int, place: Place
    ) -> list[Entry | None]:
        """The same, from the records."""
        generation = self._settled.generation
        if entry_ids == tweet_ids:
            stored = await self._cache.get_many(tweet_ids, self._store.load)
            records = [record if isinstance(record := stored.get(id), TweetRecord) else None for id in tweet_ids]
            return self._settle(await self._entries(entry_ids, records, _NO_ACTORS, viewer_id, place), generation)
        stored = await self._cache.get_many(list(dict.fromkeys((*tweet_ids, *entry_ids))), self._store.load)
        records = [_tweet_of(stored, entry, tweet) for entry, tweet in zip(entry_ids, tweet_ids, strict=True)]
        actors = {id: one.user_id for id in entry_ids if isinstance(one := stored.get(id), RetweetRecord)}
        return self._settle(await self._entries(entry_ids, records, actors, viewer_id, place), generation)

    def _settle(self, entries: list[Entry | None], generation: int) -> list[Entry | None]:
        for entry in entries:
            if entry is not None and not entry.tweet.marks:
                self._settled.keep(entry, generation)
        return entries

    async def _entries(
        self,
        entry_ids: Sequence[int],
        records: Sequence[TweetRecord | None],
        actors: Mapping[int, int],
        viewer_id: int,
        place: Place,
    ) -> list[Entry | None]:
        """`records[i]` is the tweet of `entry_ids[i]`; `actors` says who is answered for beside the author, by entry."""
        found = [record for record in records if record is not None]
        if not found:
            return [None] * len(records)
        people = {record.author_id for record in found}
        if actors:
            people.update(actors.values())
        quotes = [record.quote_of for record in found if record.quote_of is not None]
        quoted = await self.records(quotes) if quotes else _NO_RECORDS
        if quoted:
            people.update([record.author_id for record in quoted.values()])
        accounts = await self._users.get(list(people))
        viewer = await self._graph.viewer(viewer_id)
        marks = _NO_MARKS
        if viewer_id:
            # Not only of what will pass: a few more cost less than finding out first.
            marks = await self._marks.of(viewer_id, [record.id for record in found] + list(quoted))

        entries: list[Entry | None] = []
        show = entries.append
        for entry_id, record in zip(entry_ids, records, strict=True):
            if record is None or (author := accounts.get(record.author_id)) is None:
                show(None)
                continue
            actor = None
            if actors and (actor_id := actors.get(entry_id)) is not None and (actor := accounts.get(actor_id)) is None:
                show(None)
            elif visible(viewer, record, author, place, actor):
                inner = None
                if record.quote_of is not None:
                    inner = _quoted(quoted.get(record.quote_of), viewer, place, accounts, marks)
                show(Entry(entry_id, Tweet(record, author, inner, marks.get(record.id, 0)), actor))
            else:
                show(None)
        return entries


def _marked(entry: Entry, marks: int) -> Entry:
    return Entry(entry.id, Tweet(entry.tweet.record, entry.tweet.author, None, marks), entry.retweeter)


def _tweet_of(stored: Mapping[int, Stored], entry_id: int, tweet_id: int) -> TweetRecord | None:
    """The tweet of an entry, where the entry stands and is one on this tweet."""
    record = stored.get(tweet_id)
    if not isinstance(record, TweetRecord):
        return None
    if entry_id != tweet_id:
        retweet = stored.get(entry_id)
        if not isinstance(retweet, RetweetRecord) or retweet.tweet_id != tweet_id:
            return None
    return record


def _quoted(
    record: TweetRecord | None, viewer: Viewer, place: Place, accounts: Mapping[int, User], marks: Mapping[int, int]
) -> Tweet | None:
    """A quoted tweet, where the viewer may see it, and keeps it away from no such place."""
    author = None if record is None else accounts.get(record.author_id)
    if record is None or author is None or not quoted_visible(viewer, record, author, place):
        return None
    return Tweet(record, author, None, marks.get(record.id, 0))
