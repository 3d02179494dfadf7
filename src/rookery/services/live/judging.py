"""What events come to for one person, at the moment they are told."""

from array import array
from collections.abc import Callable, Sequence

from rookery.infra.events.port import Appended
from rookery.kernel.clock import DAY
from rookery.kernel.ids import first_id_at, moment_of
from rookery.services.graph.contract import Graph
from rookery.services.live.contract import (
    Arrived,
    CameOnline,
    Changed,
    Counted,
    Gone,
    Message,
    Presence,
    PresenceChosen,
    Removed,
    Told,
    WentOffline,
)
from rookery.services.live.routes import CHANGES, PassedOn, entry_of
from rookery.services.live.stream import OpenStream
from rookery.services.timelines.contract import Delivered, Timelines
from rookery.services.tweets.contract import Deleted, Edited, TweetReads, Unretweeted


class Judge:
    """Knows what each may be told."""

    def __init__(
        self,
        *,
        timelines: Timelines,
        reads: TweetReads,
        graph: Graph,
        passed_on: PassedOn,
        saw: Callable[[OpenStream, int], None],
    ) -> None:
        """`saw` is called where a stream tells of a tweet whose author the person does not follow."""
        self._timelines = timelines
        self._reads = reads
        self._graph = graph
        self._passed_on = passed_on
        self._saw = saw

    async def messages(self, stream: OpenStream, batch: Sequence[Appended]) -> list[Told]:
        """What these events, all of which concern the stream, come to for its person."""
        told: list[Told] = []
        arrived = await self._arrived(stream, batch)
        tweets = await self._tweets(stream, batch)
        counted: set[int] = set()
        # The last of what is counted says all.
        for item in reversed(batch):
            messages = await self._messages(stream, item, arrived, tweets, counted)
            # Only with the last message of an event has all of it been told.
            told += [(item.offset if at == 0 else item.offset - 1, one) for at, one in enumerate(reversed(messages))]
        told.reverse()
        return told

    async def _arrived(self, stream: OpenStream, batch: Sequence[Appended]) -> dict[int, Arrived]:
        """The new entries among these, by the offset of their events."""
        wanted: dict[int, tuple[int, int]] = {}
        for item in batch:
            event = item.event
            if isinstance(event, Delivered):
                wanted[item.offset] = event.entry_id, event.tweet_id
                if stream.early is not None and event.entry_id in stream.early:
                    del wanted[item.offset]
            elif item.offset <= stream.from_offset and (entry := entry_of(event)) is not None:
                wanted[item.offset] = entry[0], entry[1]
        if not wanted:
            return {}
        ids = list(dict.fromkeys(wanted.values()))
        user_id = stream.identity.user_id
        items = await self._timelines.arrived(user_id, [entry for entry, _ in ids], [tweet for _, tweet in ids])
        found = {item.entry.id: item for item in items}
        viewer = await self._graph.viewer(user_id)
        arrived: dict[int, Arrived] = {}
        for offset, (entry_id, tweet_id) in wanted.items():
            # Each entry once, even where two events tell of it.
            if (item := found.pop(entry_id, None)) is not None:
                arrived[offset] = Arrived(item)
                if offset <= stream.from_offset:
                    stream.early = stream.early or set()
                    stream.early.add(entry_id)
                author = item.entry.tweet.author.id
                if not stream.closed and author != user_id and author not in viewer.following:
                    self._saw(stream, tweet_id)
        return arrived

    async def _tweets(self, stream: OpenStream, batch: Sequence[Appended]) -> dict[int, Message]:
        """What the tweets that these events changed or counted are now."""
        ids: dict[int, None] = {}
        watched = stream.watched or ()
        for item in batch:
            event = item.event
            if isinstance(event, CHANGES) and not isinstance(event, Deleted):
                ids[event.tweet_id] = None
            for id, _ in getattr(event, "touched", ()):
                if id in watched:
                    ids[id] = None
        if not ids:
            return {}
        found = await self._reads.get(list(ids), stream.identity.user_id)
        return {**{id: Gone(id) for id in ids}, **{tweet.id: Changed(tweet) for tweet in found}}

    async def _messages(
        self,
        stream: OpenStream,
        item: Appended,
        arrived: dict[int, Arrived],
        tweets: dict[int, Message],
        counted: set[int],
    ) -> list[Message]:
        event = item.event
        found: list[Message] = []
        if (entry := arrived.get(item.offset)) is not None:
            found.append(entry)
        elif isinstance(event, Deleted):
            found.append(Gone(event.tweet_id))
        elif isinstance(event, CHANGES):
            found.append(tweets[event.tweet_id])
            counted.add(event.tweet_id)
            if isinstance(event, Edited) and isinstance(found[0], Changed):
                found += await self._untagged(stream, event)
        elif isinstance(event, Unretweeted):
            found += await self._unretweeted(stream, event)
        elif isinstance(event, (CameOnline, WentOffline, PresenceChosen)):
            found += await self._presence(stream, event)
        elif (make := self._passed_on.get(type(event))) is not None and (made := make(event)) is not None:
            found.append(made[1])
        for id, _ in getattr(event, "touched", ()):
            if id not in counted and stream.watched is not None and id in stream.watched:
                counted.add(id)
                now = tweets[id]
                found.append(Counted(now.tweet) if isinstance(now, Changed) else now)
        return found

    async def _untagged(self, stream: OpenStream, event: Edited) -> list[Message]:
        """What an edit took out of the home timeline, where it stood for a hashtag."""
        user_id = stream.identity.user_id
        viewer = await self._graph.viewer(user_id)
        if not viewer.hashtags or event.author_id == user_id or event.author_id in viewer.following:
            return []
        stands = await self._timelines.arrived(user_id, [event.tweet_id], [event.tweet_id])
        return [] if stands else [Removed(event.tweet_id)]

    async def _unretweeted(self, stream: OpenStream, event: Unretweeted) -> list[Message]:
        user_id = stream.identity.user_id
        viewer = await self._graph.viewer(user_id)
        if event.user_id != user_id and event.user_id not in viewer.following:
            return []
        found: list[Message] = [Removed(event.retweet_id)]
        # What was hidden because of it may stand there now.
        upto = first_id_at(moment_of(event.retweet_id) + DAY)
        actors = array("q", (*viewer.following, user_id)).tobytes()
        others = await self._reads.retweets_of(event.tweet_id, actors, event.retweet_id, upto)
        ids = array("q", others.entry_ids)
        if ids:
            items = await self._timelines.arrived(user_id, ids, [event.tweet_id] * len(ids))
            found += map(Arrived, items)
        return found

    async def _presence(self, stream: OpenStream, event: CameOnline | WentOffline | PresenceChosen) -> list[Message]:
        me, other = stream.identity.user_id, event.user_id
        if me == other or (isinstance(event, PresenceChosen) and not event.online):
            return []
        mine, theirs = await self._graph.viewer(me), await self._graph.viewer(other)
        if other not in mine.following or me not in theirs.following:
            return []
        there = isinstance(event, CameOnline) or (isinstance(event, PresenceChosen) and event.visible)
        return [Presence(other, there)]
