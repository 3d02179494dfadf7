"""The Tweet Processor: fans entries out to the cached timelines of those who follow their actors."""

from collections.abc import Sequence
from itertools import groupby

from rookery.infra.events.port import Appended, EventLog
from rookery.services.graph.contract import BecameFamous, CeasedFamous, FameInterval, Graph
from rookery.services.timelines.contract import RebuildRequested
from rookery.services.timelines.service import GROUP, TimelineService
from rookery.services.timelines.store import Delivery, TimelineStore, author_list
from rookery.services.timelines.topics import topic
from rookery.services.tweets.contract import Edited, Imported, Posted, Retweeted
from rookery.services.users.contract import Erased


class Processor:
    """Handles the events that change timelines.

    It converges: an entry that was delivered is inserted by id, so a repeat or another order changes nothing.
    """

    def __init__(self, timelines: TimelineService, store: TimelineStore, graph: Graph) -> None:
        self._timelines = timelines
        self._store = store
        self._graph = graph
        self.deliveries = 0
        """Entries times timelines that got them, for metrics."""

    async def handle(self, batch: Sequence[Appended]) -> None:
        """Deliver the entries of a batch of events; runs of entries go to the store at once."""
        for is_entry, run in groupby((item.event for item in batch), lambda e: isinstance(e, _ENTRIES)):
            if is_entry:
                events = list(run)
                await self.deliver([entry for event in events for entry in _entries(event)])
                if tagged := [pair for event in events for pair in _tagged(event)]:
                    await self.deliver_tagged(tagged)
                continue
            for event in run:
                match event:
                    case BecameFamous():
                        await self._timelines.famous_changed(event.author_id, True)
                    case CeasedFamous():
                        await self._timelines.famous_changed(event.author_id, False)
                    case Erased():
                        await self._timelines.forget([event.user_id, author_list(event.user_id)])
                    case RebuildRequested():
                        await self._timelines.forget(list(event.user_ids) or None)
                    case _:
                        pass

    async def deliver(self, entries: Sequence[tuple[int, int, int]]) -> None:
        """Deliver (entry, tweet, actor) ids. Whether an author is famous is judged by the entry's id, not by now."""
        intervals: dict[int, list[FameInterval]] = {}
        for interval in await self._graph.fame(list(dict.fromkeys(actor for _, _, actor in entries))):
            intervals.setdefault(interval.author_id, []).append(interval)
        self.deliveries += await self._store.deliver(
            [
                Delivery(entry, tweet, actor, any(i.holds(entry) for i in intervals.get(actor, ())))
                for entry, tweet, actor in entries
            ]
        )

    async def deliver_tagged(self, tagged: Sequence[tuple[int, str]]) -> None:
        """Deliver (tweet, hashtag's key) to those who follow the hashtag, or to its list where it is busy."""
        topics = self._timelines.topics
        if topics.shared:
            await topics.learn(dict.fromkeys(key for _, key in tagged))
        for _, key in tagged:
            topics.used(key)
        self.deliveries += await self._store.deliver(
            [Delivery(tweet, tweet, topic(key), topics.is_busy(key)) for tweet, key in tagged]
        )


_ENTRIES = (Posted, Retweeted, Imported, Edited)


def _entries(event: object) -> Sequence[tuple[int, int, int]]:
    match event:
        case Posted():
            return [(event.tweet_id, event.tweet_id, event.author_id)]
        case Retweeted():
            return [(event.retweet_id, event.tweet_id, event.user_id)]
        case Imported():
            return list(zip(event.entry_ids, event.tweet_ids, event.actor_ids, strict=True))
        case _:
            return ()


def _tagged(event: object) -> Sequence[tuple[int, str]]:
    match event:
        case Posted(hashtags=keys) | Edited(hashtags=keys):
            return [(event.tweet_id, key) for key in keys]
        case Imported():
            return event.hashtags
        case _:
            return ()


def react(log: EventLog, processor: Processor, *, durable: bool = False) -> None:
    """Subscribe the processor. Where timelines live in memory, it starts at the log's head, and they are rebuilt after a start. Where
    they outlive it, the group is `durable`: what is posted meanwhile is delivered afterwards.
    """
    log.subscribe(GROUP, ("tweets", "graph", "timelines", "users"), processor.handle, durable=durable)


def remember(log: EventLog, timelines: TimelineService) -> None:
    """Subscribe what a process remembers that reads timelines which another one fills."""

    async def handle(batch: Sequence[Appended]) -> None:
        for item in batch:
            for _, key in _tagged(item.event):
                timelines.topics.used(key)

    log.subscribe("timelines.memory", ("tweets",), handle)
