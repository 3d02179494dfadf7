"""What becomes of an entry at once: `timelines.delivered` names the live people who are to be told of it.

The event is appended in the transaction that moves the group on, so that no entry goes without it, whenever the process ends. Who
counts as live is said by the `live` service, before the group begins and ever after.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from rookery.infra.events.port import Appended, Event, EventLog
from rookery.infra.sql.port import Transaction
from rookery.kernel.visibility import Visibility
from rookery.services.graph.contract import Followed, Graph, HashtagFollowed
from rookery.services.timelines.audience import Audience
from rookery.services.timelines.contract import Delivered
from rookery.services.timelines.topics import topic
from rookery.services.tweets.contract import Edited, Moderated, Posted, Retweeted

GROUP: Final = "timelines.live"
"""The consumer group that tells of entries."""

_BATCH: Final = 500
"""Live followers that one event names."""

_LINGER: Final = 0.01
"""Seconds between two batches, in which entries gather: a commit for each would cost more than all of them."""

_SETTLED: Final = 1.0
"""Seconds that somebody waits for what is on its way."""


class LiveDelivery:
    """Tells whom an entry reaches at once. Implements `contract.LiveDeliveries`."""

    def __init__(self, graph: Graph, log: EventLog) -> None:
        self._graph = graph
        self._log = log
        self.audience = Audience()
        self.told = 0
        """Live people told of entries, for metrics."""

    async def begin(self, user_ids: Sequence[int]) -> None:
        """These are live from now on. What they follow while this is under way is heard of, too."""
        for user_id in user_ids:
            # First of all, so that a follow which the viewer may have been read before is not lost.
            self.audience.add(user_id)
            viewer = await self._graph.viewer(user_id)
            self.audience.add(user_id, [user_id, *viewer.following, *map(topic, viewer.hashtags)])

    async def end(self, user_ids: Sequence[int]) -> None:
        """These are live no more."""
        for user_id in user_ids:
            self.audience.remove(user_id)

    async def settled(self, offset: int) -> None:
        """Wait until entries up to here have been delivered, but not for ever."""
        await self._log.reached(GROUP, offset, _SETTLED)

    async def hearers(self, actor_ids: Sequence[int]) -> Sequence[int]:
        """Those among the live who may follow any of these."""
        return self.audience.of(actor_ids)

    # --- the group

    def wanted(self, event: Event) -> bool:
        """Whether the event is for anybody live. For nearly all of them, where nobody is, this is all that happens."""
        if not self.audience:
            return False
        match event:
            case Followed(follower_id=id) | HashtagFollowed(user_id=id):
                return id in self.audience
            case _:
                return any(map(self.audience.hears, _actors(event)))

    def handle(self, tx: Transaction, batch: Sequence[Appended]) -> None:
        """Append what is to be told. On the writer's thread; once more where the transaction comes to nothing."""
        for item in batch:
            match item.event:
                case Followed(follower_id=follower, followee_id=followee):
                    if follower in self.audience:
                        self.audience.add(follower, (followee,))
                case HashtagFollowed(user_id=follower, hashtag=key):
                    if follower in self.audience:
                        self.audience.add(follower, (topic(key),))
                case Posted() | Moderated() | Edited() as event:
                    self._tell(tx, event.tweet_id, event.tweet_id, event.author_id, self._hearers(event))
                case Retweeted() as event:
                    self._tell(tx, event.retweet_id, event.tweet_id, event.user_id, self._hearers(event))
                case _:
                    pass

    def _hearers(self, event: Event) -> Sequence[int]:
        hearers = self.audience.of(_actors(event))
        match event:
            case Posted(held=True, author_id=author):
                return [id for id in hearers if id == author]
            case Moderated(author_id=author):
                # Its author was told when it was posted.
                return [id for id in hearers if id != author]
            case Edited():
                known = set(self._knew(event))
                return [id for id in hearers if id not in known]
            case _:
                return hearers

    def _knew(self, event: Edited) -> Iterable[int]:
        """Who has been told of a tweet before it was edited, or is to be told by its author's entries alone."""
        author, before = event.author_id, event.visibility_before
        yield author
        yield from (id for id in event.mentioned_ids if id not in event.newly_mentioned_ids)
        if before is not Visibility.MENTIONED:
            followers = self.audience.of((author,))
            if event.visibility is Visibility.MENTIONED:
                newly = event.newly_mentioned_ids if before is None else ()
                yield from (id for id in followers if id not in newly)
            else:
                yield from followers
        if before is None:
            yield from self.audience.of([topic(key) for key in event.hashtags if key not in event.new_hashtags])

    def _tell(self, tx: Transaction, entry_id: int, tweet_id: int, actor_id: int, user_ids: Sequence[int]) -> None:
        self.told += len(user_ids)
        for at in range(0, len(user_ids), _BATCH):
            self._log.append(tx, Delivered(entry_id, tweet_id, actor_id, tuple(user_ids[at : at + _BATCH])))


def _actors(event: Event) -> Sequence[int]:
    """By following whom one hears of what happened, where it is something for home timelines."""
    match event:
        case Posted(author_id=author, hashtags=keys):
            return (author, *map(topic, keys)) if keys else (author,)
        case Retweeted(user_id=retweeter):
            return (retweeter,)
        case Edited(author_id=author, visibility=visibility, visibility_before=before):
            # A hashtag brings what is for everybody.
            keys = event.hashtags if before is not None else event.new_hashtags
            topics = [topic(key) for key in keys] if visibility is Visibility.PUBLIC else []
            return [author, *topics] if Visibility.MENTIONED in (before, visibility) else topics
        case Moderated(released=True, author_id=author):
            return (author,)
        case _:
            return ()


def react(log: EventLog, delivery: LiveDelivery, prepare: Callable[[], Awaitable[None]]) -> None:
    """Subscribe. `prepare` says who is live after a start."""
    log.subscribe_in_transaction(
        GROUP,
        ("tweets", "graph"),
        delivery.handle,
        wanted=delivery.wanted,
        linger=_LINGER,
        prepare=prepare,
        from_head=True,
    )
