"""What becomes of an entry at once: `timelines.delivered` names the live people who are to be told of it.

The event is appended in the transaction that moves the group on, so that no entry goes without it, whenever the process ends. Who
counts as live follows from the log, and from what the `live` service keeps when the group begins.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from rookery.infra.events.port import Appended, Event, EventLog, KeepingUp
from rookery.infra.sql.port import Transaction
from rookery.kernel.visibility import Visibility
from rookery.services.graph.contract import Followed, FollowsImported, Graph, HashtagFollowed, Recounted, Viewer
from rookery.services.live.contract import CameOnline, Forgotten
from rookery.services.timelines.audience import Audience
from rookery.services.timelines.contract import Delivered
from rookery.services.timelines.topics import topic
from rookery.services.tweets.contract import Edited, Moderated, Posted, Retweeted
from rookery.services.users.contract import Erased

GROUP: Final = "timelines.live"
"""The consumer group that tells of entries."""

_BATCH: Final = 500
"""Live followers that one event names."""

_LINGER: Final = 0.01
"""Seconds between two batches, in which entries gather: a commit for each would cost more than all of them."""

_LOADED: Final = 16
"""People whose edges are read at a time."""

_LOCAL: Final = 1
_EVERYWHERE: Final = 2
"""Why somebody is in an audience."""

_SETTLED: Final = 1.0
"""Seconds that somebody waits for what is on its way."""


class LocalHearers:
    """Who hears of whom among the people of this process. Implements `contract.Hearers`."""

    def __init__(self, graph: Graph, audience: Audience, keeping_up: KeepingUp) -> None:
        """`keeping_up` is what the graph's memory does here."""
        self._graph = graph
        self._audience = audience
        self._keeping_up = keeping_up

    async def begin(self, user_ids: Sequence[int], upto: int = 0) -> None:
        for user_id in user_ids:
            self._audience.hold(user_id, _LOCAL)
            # First of all, so that a follow which the viewer may have been read before is not lost.
            self._audience.add(user_id)
        await self._keeping_up.with_(upto)
        for user_id in user_ids:
            self._audience.add(user_id, _heard(await self._graph.viewer(user_id)))

    def end(self, user_ids: Sequence[int]) -> None:
        for user_id in user_ids:
            self._audience.release(user_id, _LOCAL)

    def note(self, event: Event) -> None:
        _note(self._audience, event)

    def of(self, actor_ids: Sequence[int]) -> Sequence[int]:
        return self._audience.of(actor_ids)


class LiveDelivery:
    """Tells whom an entry reaches at once. Implements `contract.LiveDeliveries`.

    Its audience are the live people of all processes, and follows from the log alone: at each offset it has all those whose streams
    rely on it since then. So whichever process has the turn appends the same.
    """

    def __init__(
        self,
        graph: Graph,
        log: EventLog,
        audience: Audience,
        people: Callable[[], Awaitable[Mapping[int, int]]],
        keeping_up: KeepingUp,
    ) -> None:
        """`people` tells who is live, or was so lately, for a start, and behind which offsets entries are for them. `audience` may be that of the process's `LocalHearers`, too;
        `keeping_up` is what the graph's memory does here.
        """
        self._graph = graph
        self._log = log
        self._people = people
        self._keeping_up = keeping_up
        self.audience = audience
        self._since: dict[int, int] = {}
        """Behind which offsets entries are for those who came lately; what was there before, their streams find themselves."""
        self.told = 0
        """Live people told of entries, for metrics."""

    async def settled(self, offset: int) -> None:
        """Wait until entries up to here have been delivered, but not for ever."""
        await self._log.reached(GROUP, offset, _SETTLED)

    async def prepare(self) -> None:
        """Load the audience: what this process knew before, others may have changed."""
        for user_id in self.audience.held(_EVERYWHERE):
            self.audience.release(user_id, _EVERYWHERE)
        await self._keeping_up.with_(await self._log.head())
        people = await self._people()
        self._since = dict(people)
        await self._load(list(people))

    async def look(self, batch: Sequence[Appended]) -> None:
        """Take in who came and who is forgotten, before the entries of the batch are judged."""
        first = batch[0].offset
        self._since = {id: offset for id, offset in self._since.items() if offset >= first}
        came: dict[int, int] = {}
        anew: set[int] = set()
        for item in batch:
            match item.event:
                case CameOnline(user_id=id):
                    came[id] = item.offset
                case Forgotten(user_ids=ids):
                    came.update(dict.fromkeys(ids, 0))
                case Erased(user_id=id):
                    came[id] = 0
                case FollowsImported(follower_ids=ids) | Recounted(user_ids=ids):
                    anew.update(id for id in ids if id in self.audience)
                case _:
                    pass
        if not (came or anew):
            return
        # Whoever is held has been kept up to date ever since.
        known = set(self.audience.held(_EVERYWHERE))
        for user_id in known:
            if came.get(user_id) == 0:
                self.audience.release(user_id, _EVERYWHERE)
        wanted = {id for id, offset in came.items() if offset and id not in known}
        self._since.update((id, came[id]) for id in wanted)
        if self._keeping_up.alone:
            for user_id in [id for id in wanted if id in self.audience]:
                # Their stream is here, and whom they follow was read for it; nobody else changes that.
                wanted.discard(user_id)
                self.audience.hold(user_id, _EVERYWHERE)
        if wanted or anew:
            await self._keeping_up.with_(batch[-1].offset)
            await self._load([*wanted, *(anew - wanted)])

    async def _load(self, user_ids: Sequence[int]) -> None:
        for at in range(0, len(user_ids), _LOADED):
            part = user_ids[at : at + _LOADED]
            viewers = await asyncio.gather(*map(self._graph.viewer, part))
            for user_id, viewer in zip(part, viewers, strict=True):
                self.audience.hold(user_id, _EVERYWHERE)
                self.audience.add(user_id, _heard(viewer))

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
                case Followed() | HashtagFollowed() as event:
                    _note(self.audience, event)
                case Posted() | Moderated() | Edited() as event:
                    self._tell(tx, event.tweet_id, event.tweet_id, event.author_id, self._hearers(item))
                case Retweeted() as event:
                    self._tell(tx, event.retweet_id, event.tweet_id, event.user_id, self._hearers(item))
                case _:
                    pass

    def _hearers(self, item: Appended) -> Sequence[int]:
        event, since = item.event, self._since
        hearers = self.audience.of(_actors(event))
        if since:
            hearers = [id for id in hearers if since.get(id, 0) < item.offset]
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


def _heard(viewer: Viewer) -> list[int]:
    """By whose entries, or which hashtags', somebody hears."""
    return [viewer.id, *viewer.following, *map(topic, viewer.hashtags)]


def _note(audience: Audience, event: Event) -> None:
    """Somebody in the audience may hear of somebody more."""
    match event:
        case Followed(follower_id=follower, followee_id=followee) if follower in audience:
            audience.add(follower, (followee,))
        case HashtagFollowed(user_id=follower, hashtag=key) if follower in audience:
            audience.add(follower, (topic(key),))
        case _:
            pass


def react(log: EventLog, delivery: LiveDelivery) -> None:
    """Subscribe."""
    log.subscribe_in_transaction(
        GROUP,
        ("tweets", "graph", "live", "users"),
        delivery.handle,
        wanted=delivery.wanted,
        linger=_LINGER,
        prepare=delivery.prepare,
        before=delivery.look,
        from_head=True,
    )
