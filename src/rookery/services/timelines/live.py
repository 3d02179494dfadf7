"""What becomes of an entry at once: `timelines.delivered` names the live people who are to be told of it.

The event is appended in the transaction that moves the group on, so that no entry goes without it, whenever the process ends. Who
counts as live is said by the `live` service, before the group begins and ever after.
"""

from collections.abc import Awaitable, Callable, Sequence
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
            case Edited(author_id=author):
                # Most of those who follow its author have it; those who follow one of its hashtags may not.
                followers = set(self.audience.of((author,)))
                known = _knew(event, followers)
                return [id for id in hearers if id not in known]
            case _:
                return hearers

    def _tell(self, tx: Transaction, entry_id: int, tweet_id: int, actor_id: int, user_ids: Sequence[int]) -> None:
        self.told += len(user_ids)
        for at in range(0, len(user_ids), _BATCH):
            self._log.append(tx, Delivered(entry_id, tweet_id, actor_id, tuple(user_ids[at : at + _BATCH])))


def _knew(event: Edited, followers: set[int]) -> set[int]:
    """Which of its author's followers have been told of the tweet before it was edited."""
    mentioned = set(event.mentioned_ids) - set(event.newly_mentioned_ids)
    if event.opened:
        return mentioned | {event.author_id}
    if event.visibility is Visibility.MENTIONED:
        return followers - set(event.newly_mentioned_ids) | {event.author_id}
    return followers


def _actors(event: Event) -> Sequence[int]:
    """By following whom one hears of what happened, where it is something for home timelines."""
    match event:
        case Posted(author_id=author, hashtags=keys):
            return (author, *map(topic, keys)) if keys else (author,)
        case Retweeted(user_id=retweeter):
            return (retweeter,)
        case Edited(author_id=author, hashtags=keys):
            topics = [topic(key) for key in keys]
            return [author, *topics] if event.opened or event.visibility is Visibility.MENTIONED else topics
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
