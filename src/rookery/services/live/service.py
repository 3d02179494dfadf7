"""The User Live service: streams are opened and closed, and with them people come and go. Implements `contract.Live`."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from rookery.infra.events.port import Appended, EventLog
from rookery.infra.workers.port import Worker
from rookery.kernel.clock import SECOND, Clock, Millis
from rookery.kernel.errors import Unauthorized
from rookery.services.graph.contract import Graph
from rookery.services.live.contract import (
    MOST_WATCHED,
    End,
    Gone,
    Hello,
    Message,
    PresenceChoice,
    Resync,
    Sink,
    Stream,
    Ticket,
)
from rookery.services.live.routes import PassedOn
from rookery.services.live.store import LiveStore, Stay
from rookery.services.live.streams import Figures, Hub, OpenStream
from rookery.services.timelines.contract import LiveDeliveries, Timelines
from rookery.services.tweets.contract import TweetReads
from rookery.services.users.contract import Identity, Users

GROUP: Final = "live"
"""The consumer group that hands events to streams."""

_TICKET_LIFE: Millis = 30 * SECOND
_TICKETS: Final = 100_000

_GRACE: Millis = 3 * SECOND
"""Time for which somebody without a stream is still there: who leaves one page for another is not gone."""

_ROUND: Final = 1.0
"""Seconds between looks at who has left."""

_PULSE: Millis = 20 * SECOND

_LISTED: Final = 200
"""People who are there that one is told of."""

_log: Any = structlog.get_logger("rookery.live")


class _Person:
    """Somebody who is there, or was lately: entries are delivered to them."""

    __slots__ = ("coming", "ended_at", "from_offset", "started_at", "streams", "told")

    def __init__(self) -> None:
        self.streams = 0
        self.started_at: Millis = 0
        self.from_offset = 0
        self.ended_at: Millis | None = None
        self.told = True
        """Whether it was told that they are gone, if they are."""
        self.coming: asyncio.Task[None] | None = None
        """Until they are known."""


class LiveService:
    """Implements `contract.Live`."""

    def __init__(
        self,
        *,
        store: LiveStore,
        log: EventLog,
        users: Users,
        timelines: Timelines,
        reads: TweetReads,
        graph: Graph,
        deliveries: LiveDeliveries,
        clock: Clock,
        window: Millis,
        heartbeat: float,
        per_account: int,
        passed_on: PassedOn | None = None,
    ) -> None:
        """`window` is how old what is replayed may be, `heartbeat` the seconds between two, `per_account` how many streams one may
        have. `passed_on` tells what of other services' events people are told.
        """
        self._store = store
        self._log = log
        self._users = users
        self._timelines = timelines
        self._reads = reads
        self._graph = graph
        self._deliveries = deliveries
        self._clock = clock
        self._window = window
        self._heartbeat = max(heartbeat, _ROUND)
        self._per_account = per_account
        self.hub = Hub(
            log=log,
            timelines=timelines,
            reads=reads,
            graph=graph,
            deliveries=deliveries,
            clock=clock,
            window=window,
            passed_on=passed_on or {},
        )
        self._people: dict[int, _Person] = {}
        self._leaving: OrderedDict[int, Millis] = OrderedDict()
        """Who has no stream any more, by when the last one ended."""
        self._tickets: OrderedDict[str, tuple[Identity, Millis]] = OrderedDict()
        self._loaded = asyncio.Event()
        self._pulse: Millis = 0
        self._turn = 0
        self._slots: list[set[OpenStream]] = [set() for _ in range(round(self._heartbeat / _ROUND))]
        self._slot_of: dict[OpenStream, int] = {}
        self.worker = Worker("live", self._run)
        """Sends heartbeats, and sees who has left."""

    @property
    def figures(self) -> Figures:
        """For metrics."""
        return self.hub.figures

    @property
    def people(self) -> int:
        """How many people have a stream open."""
        return len(self.hub.by_user)

    # --- after a start

    async def prepare(self) -> None:
        """Take up those who were there when the process ended: entries are delivered to them for as long as they may come back."""
        stays, pulse = await self._store.stays()
        now = self._clock.now()
        stale = [
            stay._replace(ended_at=max(stay.started_at, min(pulse, now))) for stay in stays if stay.ended_at is None
        ]
        if stale:
            _log.info("people were there when the last process ended", number=len(stale))
            await self._store.went(stale)
        for stay in stays:
            person = self._people.setdefault(stay.user_id, _Person())
            person.started_at, person.from_offset, person.ended_at = stay.started_at, stay.from_offset, now
            if not person.streams:
                self._leaving[stay.user_id] = now
        self._loaded.set()
        await self._deliveries.begin([stay.user_id for stay in stays])

    # --- tickets

    async def ticket(self, identity: Identity) -> Ticket:
        made = Ticket(secrets.token_urlsafe(24), self._clock.now() + _TICKET_LIFE)
        self._tickets[made.ticket] = identity, made.expires_at
        if len(self._tickets) > _TICKETS:
            self._tickets.popitem(last=False)
        return made

    async def redeem(self, ticket: str) -> Identity:
        identity, expires_at = self._tickets.pop(ticket, (None, 0))
        if identity is None or min(expires_at, identity.expires_at) <= self._clock.now():
            raise Unauthorized("the ticket is used, expired or forged", code="invalid_ticket")
        return identity

    # --- streams

    async def open(self, identity: Identity, sink: Sink, *, after: int | None, watch: Sequence[int]) -> Stream:
        user_id = identity.user_id
        stream = _Counted(self, identity, sink)
        # First of all, so that a token that is revoked meanwhile ends it.
        self.hub.add(stream)
        slot = len(self._slot_of) % len(self._slots)
        self._slot_of[stream] = slot
        person = self._people.setdefault(user_id, _Person())
        person.streams += 1
        self._leaving.pop(user_id, None)
        try:
            own = self.hub.by_user[user_id]
            if len(own) > self._per_account:
                self.hub.end(own[0], End.TOO_MANY_STREAMS)
            await self._here(user_id, person)
            stream.from_offset = person.from_offset
            gone = await self._watch(stream, watch) if watch else ()
            head = await self._log.head()
            if after is not None:
                # Entries that are on their way are among what was missed.
                await self._deliveries.settled(head)
                head = await self._log.head()
            if stream.closed:
                return stream
            first: list[Message] = [Hello(False)]
            if after is None:
                self.hub.begin(stream, head)
            elif (reason := await self.hub.start(stream, after, head)) is not None:
                first.append(Resync(reason))
            else:
                first = [Hello(True)]
                stream.resumed = True
            if not stream.closed:
                first += [Gone(id) for id in gone]
                self.hub.tell(stream, [(stream.offset, one) for one in first])
                # No heartbeat comes before the beginning.
                self._slots[slot].add(stream)
                self.hub.go_on(stream)
            await self._seen(stream)
        except BaseException:
            self.hub.close(stream)
            raise
        return stream

    async def _here(self, user_id: int, person: _Person) -> None:
        """See to it that the person is there, in the store and for deliveries."""
        await self._loaded.wait()
        if person.from_offset and person.ended_at is None and person.coming is None:
            return
        if person.coming is None:
            person.coming = asyncio.create_task(self._come(user_id, person))
        await asyncio.shield(person.coming)

    async def _come(self, user_id: int, person: _Person) -> None:
        try:
            if person.ended_at is not None and not person.told:
                # Nobody has noticed that they had left.
                person.ended_at = None
                return
            await self._deliveries.begin([user_id])
            started = self._clock.now()
            from_offset = person.from_offset or max(1, await self._log.head())
            await self._store.came(user_id, started, from_offset)
            person.started_at, person.from_offset = started, from_offset
            person.ended_at = None
        finally:
            person.coming = None

    async def _seen(self, stream: OpenStream) -> None:
        user_id = stream.identity.user_id
        await self._users.seen(user_id)
        await self._timelines.visited(user_id)

    async def _watch(self, stream: OpenStream, tweet_ids: Sequence[int]) -> list[int]:
        """Watch those that the person may see; the others, which may have gone since the client has them."""
        wanted = list(dict.fromkeys(tweet_ids[:MOST_WATCHED]))
        seen = [tweet.id for tweet in await self._reads.get(wanted, stream.identity.user_id)]
        self.hub.watch(stream, seen)
        return [id for id in wanted if id not in seen]

    def watch(self, stream: OpenStream, tweet_ids: Sequence[int]) -> None:
        """As `contract.Stream.watch`; what may be seen of them is found out in the background."""

        async def watch() -> None:
            try:
                if gone := await self._watch(stream, tweet_ids):
                    self.hub.tell(stream, [(stream.offset, Gone(id)) for id in gone])
            except Exception:
                _log.exception("tweets could not be watched")
                self.hub.end(stream, End.TROUBLE)

        self.hub.spawn(watch())

    def closed(self, stream: OpenStream) -> None:
        """One of somebody's streams is gone."""
        slot = self._slot_of.pop(stream, None)
        if slot is None:
            return
        self._slots[slot].discard(stream)
        user_id = stream.identity.user_id
        person = self._people[user_id]
        person.streams -= 1
        if not person.streams:
            person.ended_at = self._clock.now()
            person.told = False
            self._leaving[user_id] = person.ended_at

    def end_sessions(self, user_id: int, of: Callable[[Identity], bool], reason: End) -> None:
        """End the streams of an account that were opened with such tokens, and their tickets."""
        for stream in list(self.hub.by_user.get(user_id, ())):
            if of(stream.identity):
                self.hub.end(stream, reason)
        for ticket, (identity, _) in list(self._tickets.items()):
            if identity.user_id == user_id and of(identity):
                del self._tickets[ticket]

    async def edges_changed(self, user_ids: Sequence[int], offset: int) -> None:
        """Whom these follow changed as a whole."""
        known = [id for id in user_ids if id in self._people]
        await self._deliveries.begin(known)
        for id in known:
            self.hub.reload(id, offset)

    async def hand_out(self, batch: Sequence[Appended]) -> None:
        """Give events to the streams that they concern."""
        await self.hub.hand_out(batch)

    # --- presence

    async def offset(self) -> int:
        return await self._log.head()

    async def online(self, user_ids: Sequence[int]) -> list[int]:
        return [id for id in user_ids if id in self.hub.by_user]

    async def count(self) -> int:
        return self.people

    async def presence(self, user_id: int) -> tuple[PresenceChoice, list[int]]:
        shown = await self._store.shown([user_id])
        viewer = await self._graph.viewer(user_id)
        there = [id for id in viewer.following if id in self.hub.by_user]
        followed_by = set(await self._followers_among(user_id, there))
        mutual = [id for id in there if id in followed_by]
        visible = await self._store.shown(mutual)
        return PresenceChoice(user_id in shown), [id for id in mutual if id in visible][:_LISTED]

    async def _followers_among(self, user_id: int, others: Sequence[int]) -> list[int]:
        return [one.user_id for one in await self._graph.relationships(user_id, others) if one.followed_by]

    async def show_presence(self, user_id: int, visible: bool) -> PresenceChoice:
        await self._store.choose(user_id, visible, user_id in self.hub.by_user)
        return PresenceChoice(visible)

    @property
    def erases(self) -> Mapping[str, str]:
        """As `kernel.erasing.Eraser`."""
        return self._store.erases

    # --- upkeep

    async def _run(self) -> None:
        while True:
            try:
                await self.tend()
            except Exception:
                _log.exception("the round of streams failed; it is tried again")
            self.worker.rest()
            await asyncio.sleep(_ROUND)
            self.worker.beat()

    async def tend(self, *, everybody: bool = False) -> None:
        """One round: heartbeats of those whose turn it is (or of `everybody`), tokens that expired, people who left."""
        await self._loaded.wait()
        now = self._clock.now()
        self._turn = (self._turn + 1) % len(self._slots)
        streams = list(self._slot_of) if everybody else list(self._slots[self._turn])
        if streams:
            for stream in streams:
                if stream.identity.expires_at <= now:
                    self.hub.end(stream, End.TOKEN_EXPIRED)
                else:
                    await self._seen(stream)
            head = await self._log.head()
            if await self._log.reached(GROUP, head, _ROUND):
                await self.hub.beat(streams, head)
            else:
                await self.hub.beat(streams, 0)
        if self._slot_of and not now - _PULSE < self._pulse <= now:
            self._pulse = now
            await self._store.beat(now)
        await self._leave(now)

    async def _leave(self, now: Millis, grace: Millis = _GRACE) -> None:
        gone: list[Stay] = []
        over: list[int] = []
        for user_id, at in list(self._leaving.items()):
            person = self._people[user_id]
            if not person.told and now - at >= grace:
                person.told = True
                gone.append(Stay(user_id, person.started_at, person.from_offset, at))
            # A moment in the future is one from before the clock was set back.
            if not now - self._window <= at <= now:
                over.append(user_id)
        if gone:
            await self._store.went(gone)
        if over:
            over = [user_id for user_id in over if user_id in self._leaving and self._people[user_id].coming is None]
            for user_id in over:
                del self._leaving[user_id], self._people[user_id]
            await self._deliveries.end(over)
            await self._store.forget(over)

    async def stop(self) -> None:
        """End the rounds; whoever is there leaves."""
        await self.worker.stop()
        await self.hub.stop()
        if self._loaded.is_set():
            await self._leave(self._clock.now(), 0)


class _Counted(OpenStream):
    """A stream that the service knows of."""

    __slots__ = ("_service",)

    def __init__(self, service: LiveService, identity: Identity, sink: Sink) -> None:
        super().__init__(service.hub, identity, sink)
        self._service = service

    def watch(self, tweet_ids: Sequence[int]) -> None:
        self._service.watch(self, tweet_ids)

    def left(self) -> None:
        self._service.closed(self)
