"""Open streams: what each has been told, and what it is told next.

All that a stream tells comes from events of the log, in its order, and is judged at the moment it is told. A stream that keeps up is handed events as they
come (`Hub`); one that does not, or comes back, reads them from the log (`replay`). Its offset is all that it needs to go from one to the other.
"""

import asyncio
from array import array
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final

import structlog

from rookery.infra.events.port import Appended, Event, EventLog, KeepingUp
from rookery.kernel.clock import Clock, Millis
from rookery.services.graph.contract import Graph
from rookery.services.live.contract import MOST_WATCHED, Beat, CaughtUp, End, Resync, Told
from rookery.services.live.judging import Judge
from rookery.services.live.replay import Block, Replay, picked
from rookery.services.live.routes import PassedOn, entry_of, route
from rookery.services.live.stream import OpenStream
from rookery.services.timelines.contract import Hearers, LiveDeliveries, Timelines
from rookery.services.tweets.contract import TweetReads

_QUEUED: Final = 200
"""Events that may wait for a stream; with more it is to read them from the log."""

_AT_ONCE: Final = 50
"""Events that are judged and sent in one go."""

_SEEN: Final = 100
"""Tweets by others than followees whose end a stream still tells, the last ones that it told of."""

_RETURNING: Final = 8
"""Streams that read the log at a time; the others wait."""

_MOST_REPLAYED: Final = 200_000
"""Events that are looked through for a stream that comes back."""

_log: Any = structlog.get_logger("rookery.live")


class Figures:
    """What metrics tell of streams."""

    def __init__(self) -> None:
        self.messages: dict[str, int] = {}
        """Messages told, by kind."""
        self.dropped = 0
        """Times that a stream was sent to read the log, as its peer was slow."""
        self.replayed = {"resumed": 0, "resync": 0}
        """Streams that came back with an offset: those that were told what they missed, and those that could not be."""


class Hub:
    """All open streams of this process. For the event loop only."""

    def __init__(
        self,
        *,
        log: EventLog,
        timelines: Timelines,
        reads: TweetReads,
        graph: Graph,
        hearers: Hearers,
        deliveries: LiveDeliveries,
        keeping_up: KeepingUp,
        clock: Clock,
        window: Millis,
        passed_on: PassedOn,
    ) -> None:
        """`window` is how old what is replayed may be. What is told is judged once the process's memory is `keeping_up` with it."""
        self._log = log
        self._graph = graph
        self._hearers = hearers
        self._deliveries = deliveries
        self._keeping_up = keeping_up
        self._clock = clock
        self._window = window
        self._passed_on = passed_on
        self._judge = Judge(timelines=timelines, reads=reads, graph=graph, passed_on=passed_on, saw=self._saw)
        self._replay = Replay(log, passed_on)
        self._returning = asyncio.Semaphore(_RETURNING)
        self.by_user: dict[int, list[OpenStream]] = {}
        self._watchers: dict[int, list[OpenStream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.position = 0
        """Events up to here have been handed out."""
        self.count = 0
        self.figures = Figures()

    # --- streams

    def add(self, stream: OpenStream) -> None:
        """The stream is there; it is told nothing before `start`."""
        self.by_user.setdefault(stream.identity.user_id, []).append(stream)
        self.count += 1

    async def start(self, stream: OpenStream, after: int, head: int) -> str | None:
        """Have the stream go on behind `after`, where the log's head is `head`. Why that can't be, where it can't: then it goes on
        from the head.
        """
        reason = await self._gap(after, head)
        stream.offset = after
        if reason:
            self.begin(stream, head)
        self.figures.replayed["resync" if reason else "resumed"] += 1
        return reason

    async def begin_at(self, stream: OpenStream, filled: int, head: int) -> None:
        """Have the stream begin at the log's head, which is `head`, or before the entries that are on no page yet: home timelines
        have those up to `filled`.
        """
        stream.offset = filled
        if filled < head:
            # Nearly always that somebody came is all that there is.
            stretch = await self._log.read(filled, _AT_ONCE)
            on_the_way = stretch.upto < head or any(entry_of(item.event) for item in stretch.events)
            if on_the_way and not await self._gap(filled, head):
                return
        self.begin(stream, head)

    def begin(self, stream: OpenStream, head: int) -> None:
        """Have the stream told what comes from now on, where the log's head was `head` a moment ago."""
        # What was handed out in that moment passed it by.
        stream.offset = max(head, self.position)
        stream.behind = stream.resumed = False

    def close(self, stream: OpenStream) -> None:
        """Forget the stream."""
        if stream.closed:
            return
        stream.closed = True
        self.count -= 1
        user_id = stream.identity.user_id
        streams = self.by_user[user_id]
        streams.remove(stream)
        if not streams:
            del self.by_user[user_id]
        for ids in (stream.watched, stream.seen):
            self._unwatch(stream, ids or ())
        stream.watched = stream.seen = stream.pending = None
        stream.left()

    def end(self, stream: OpenStream, reason: End) -> None:
        """Close the stream and its connection."""
        if not stream.closed:
            self.close(stream)
            stream.sink.end(reason)

    def watch(self, stream: OpenStream, tweet_ids: Sequence[int]) -> None:
        """The stream watches these from now on, and no others."""
        if stream.closed:
            return
        self._unwatch(stream, stream.watched or ())
        stream.watched = array("q", dict.fromkeys(tweet_ids[:MOST_WATCHED]))
        for id in stream.watched:
            self._watchers.setdefault(id, []).append(stream)

    def _unwatch(self, stream: OpenStream, tweet_ids: Iterable[int]) -> None:
        for id in tweet_ids:
            watchers = self._watchers[id]
            watchers.remove(stream)
            if not watchers:
                del self._watchers[id]

    def _saw(self, stream: OpenStream, tweet_id: int) -> None:
        """The stream told of a tweet whose author the person does not follow: its end is to be told, too."""
        seen = stream.seen
        if seen is None:
            seen = stream.seen = array("q")
        if tweet_id in seen:
            return
        if len(seen) >= _SEEN:
            self._unwatch(stream, (seen.pop(0),))
        seen.append(tweet_id)
        self._watchers.setdefault(tweet_id, []).append(stream)

    # --- events as they come

    async def hand_out(self, batch: Sequence[Appended]) -> None:
        """Give each event to those whom it concerns."""
        for item in batch:
            if self.by_user:
                for stream in self._concerned(item.event):
                    self._give(stream, item)
            self.position = item.offset

    def _concerned(self, event: Event) -> Sequence[OpenStream]:
        users, authors, tweets = route(event, self._passed_on)
        if authors:
            users = (*users, *self._hearers.of(authors))
        by_user, watchers = self.by_user, self._watchers
        found = {stream: None for id in users for stream in by_user.get(id, ())}
        for id in tweets:
            if id in watchers:
                found.update(dict.fromkeys(watchers[id]))
        return list(found)

    def _give(self, stream: OpenStream, item: Appended) -> None:
        if stream.behind or item.offset <= stream.offset:
            return
        if stream.pending is None:
            stream.pending = [item]
        elif len(stream.pending) < _QUEUED:
            stream.pending.append(item)
        else:
            stream.pending = None
            stream.behind = True
            self.figures.dropped += 1
        self.go_on(stream)

    def go_on(self, stream: OpenStream) -> None:
        """Tell the stream what there is to tell, if its peer takes it."""
        if stream.running or stream.blocked or stream.closed or not (stream.behind or stream.pending):
            return
        stream.running = True
        self.spawn(self._run(stream))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End what is being done."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reload(self, user_id: int, offset: int) -> None:
        """The home timeline of somebody changed as a whole."""
        for stream in list(self.by_user.get(user_id, ())):
            if not stream.behind and stream.offset <= offset:
                self.tell(stream, [(stream.offset, Resync("home_changed"))])

    async def beat(self, streams: Iterable[OpenStream], head: int) -> None:
        """Tell these that all is well, and where the log is: everything up to `head` has been handed out."""
        for stream in streams:
            if stream.closed or stream.blocked:
                continue
            if not (stream.behind or stream.pending or stream.running):
                stream.offset = max(stream.offset, head)
                stream.early = None
            self.tell(stream, [(stream.offset, Beat())])

    def tell(self, stream: OpenStream, messages: Sequence[Told]) -> None:
        """Send messages."""
        if stream.closed:
            return
        counted = self.figures.messages
        for _, message in messages:
            kind = type(message).__name__
            counted[kind] = counted.get(kind, 0) + 1
        if not stream.sink.tell(messages):
            stream.blocked = True

    # --- a stream at work

    async def _run(self, stream: OpenStream) -> None:
        try:
            while not (stream.closed or stream.blocked):
                if stream.behind:
                    async with self._returning:
                        await self._catch_up(stream)
                elif stream.pending:
                    batch, rest = stream.pending[:_AT_ONCE], stream.pending[_AT_ONCE:]
                    stream.pending = rest or None
                    await self._tell(stream, batch, batch[-1].offset)
                else:
                    break
        except Exception:
            _log.exception("a stream failed; its client is to come again")
            self.end(stream, End.TROUBLE)
        finally:
            stream.running = False
        # What came between the last look and here.
        self.go_on(stream)

    async def _catch_up(self, stream: OpenStream) -> None:
        """Read the log from where the stream is, until it can be handed events again, or its peer does not take any."""
        if reason := await self._gap(stream.offset, await self._log.head()):
            self.begin(stream, await self._log.head())
            self.tell(stream, [(stream.offset, Resync(reason))])
            return
        on_the_way, waited = 0, False
        while not (stream.closed or stream.blocked):
            block = await self._replay.behind(stream.offset)
            # Here the log ends. Whatever has been handed out has been read, and what will be has not.
            if block.upto <= stream.offset and stream.offset >= self.position:
                if not on_the_way or waited:
                    break
                # Once: where they write all the time, there is always something on its way.
                waited = True
                await self._deliveries.settled(on_the_way)
                continue
            # The block is everybody's, and grows while this stream is told of what is in it now.
            upto = block.upto
            await self._keeping_up.with_(upto)
            if stream.resumed and not (waited or self._keeping_up.alone):
                on_the_way = max(on_the_way, await self._on_the_way(stream, block))
            items = await self._missed(stream, block, upto)
            for at in range(0, len(items), _AT_ONCE):
                part = items[at : at + _AT_ONCE]
                last = at + _AT_ONCE >= len(items)
                await self._tell(stream, part, upto if last else part[-1].offset)
                if stream.blocked or stream.closed:
                    return
            stream.offset = max(stream.offset, upto)
            await asyncio.sleep(0)
        if not stream.closed and not stream.blocked:
            stream.behind = False
            if stream.resumed:
                stream.resumed = False
                self.tell(stream, [(stream.offset, CaughtUp())])

    async def _missed(self, stream: OpenStream, block: Block, upto: int) -> list[Appended]:
        """What concerns the stream in a block, behind its offset and up to `upto`."""
        user_id = stream.identity.user_id
        viewer = await self._graph.viewer(user_id)
        own = (user_id,)
        found = picked(block.users, own) + picked(block.authors, viewer.following) + picked(block.authors, own)
        if stream.watched:
            found += picked(block.tweets, stream.watched)
        if stream.seen:
            found += picked(block.tweets, stream.seen)
        if stream.offset < stream.from_offset:
            entries = picked(block.entries, viewer.following) + picked(block.entries, own)
            if viewer.hashtags:
                entries += picked(block.entries, viewer.hashtags)
            found += [item for item in entries if item.offset <= stream.from_offset]
        kept = {item.offset: item for item in found if stream.offset < item.offset <= upto}
        return [kept[offset] for offset in sorted(kept)]

    async def _on_the_way(self, stream: OpenStream, block: Block) -> int:
        """The last offset in a block, behind the stream's, of an entry that is yet to be delivered to them, as far as can be seen here;
        0 where there is none.
        """
        user_id = stream.identity.user_id
        viewer = await self._graph.viewer(user_id)
        entries = picked(block.entries, viewer.following) + picked(block.entries, (user_id,))
        if viewer.hashtags:
            entries += picked(block.entries, viewer.hashtags)
        since = max(stream.offset, stream.from_offset)
        return max((item.offset for item in entries if item.offset > since), default=0)

    async def _gap(self, after: int, head: int) -> str | None:
        """Why what is behind `after` can't be told; None where it can."""
        if after > head:
            return "unknown_offset"
        if after < head:
            at = await self._log.next_at(after)
            if head - after > _MOST_REPLAYED or (at is not None and at < self._clock.now() - self._window):
                return "too_old"
        return None

    async def _tell(self, stream: OpenStream, batch: Sequence[Appended], upto: int) -> None:
        """Tell what these events mean, which are all that concern the stream up to the offset `upto`."""
        await self._keeping_up.with_(upto)
        told = await self._judge.messages(stream, batch)
        if stream.closed:
            return
        stream.offset = max(stream.offset, upto)
        if told:
            self.tell(stream, told)
