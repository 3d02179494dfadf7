"""The User Live service: streams are opened and closed, and with them people come and go."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import structlog

from rookery.infra.events.port import Appended, Event, EventLog, KeepingUp
from rookery.infra.workers.port import Worker
from rookery.kernel.clock import SECOND, Clock, Millis
from rookery.kernel.errors import Unauthorized, Unavailable
from rookery.kernel.ids import first_id_at
from rookery.services.graph.contract import Graph
from rookery.services.live.caretaker import Caretaker
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
from rookery.services.live.presence import Presence, Tickets
from rookery.services.live.routes import PassedOn
from rookery.services.live.store import LiveStore
from rookery.services.live.stream import OpenStream
from rookery.services.live.streams import Figures, Hub
from rookery.services.timelines.contract import Hearers, LiveDeliveries, Timelines
from rookery.services.tweets.contract import TweetReads
from rookery.services.users.contract import Identity, Users

GROUP: Final = "live"
"""The consumer group that hands events to this process's streams."""

_TICKET_LIFE: Millis = 30 * SECOND

_REMEMBERED: Millis = 60 * SECOND
"""For which it is remembered whose sessions ended: longer than a ticket lives, or another process takes to hear of it."""

_GRACE: Millis = 3 * SECOND
"""Time for which somebody without a stream is still there: who leaves one page for another is not gone."""

_ROUND: Final = 1.0
"""Seconds between looks at who has left."""

_PULSE: Millis = 20 * SECOND

_LISTED: Final = 200
"""People who are there that one is told of."""

_log: Any = structlog.get_logger("rookery.live")


class _Person:
    """Somebody who has a stream in this process, or had one until a moment ago."""

    __slots__ = ("coming", "ended_at", "from_offset", "going", "known", "streams")

    def __init__(self) -> None:
        self.streams = 0
        self.known = False
        """Whether it is kept that they are there."""
        self.from_offset = 0
        self.ended_at: Millis = 0
        self.coming: asyncio.Task[None] | None = None
        """Until that is kept."""
        self.going: asyncio.Event | None = None
        """Set once it is kept that they have left, while that is under way."""


class _Ended(NamedTuple):
    """Streams were ended, and those that are about to begin must be, too."""

    before: int
    """Sessions with lower ids."""
    of: Callable[[Identity], bool]
    reason: End
    at: Millis


class LiveService:
    """Implements `contract.Live` and, where the process has streams, `contract.Streams`."""

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
        hearers: Hearers,
        presence: Presence,
        tickets: Tickets,
        clock: Clock,
        window: Millis,
        heartbeat: float,
        per_account: int,
        fan_out: str,
        passed_on: PassedOn | None = None,
        keeping_up: KeepingUp | None = None,
        has_turn: Callable[[], bool] = lambda: True,
    ) -> None:
        """`window` is how old what is replayed may be, `heartbeat` the seconds between two, `per_account` how many streams one may
        have in this process. `fan_out` is the group that fills home timelines; `passed_on` tells what of other services' events
        people are told. Where several processes have streams, `keeping_up` is what its memory does, and `has_turn` whether it does
        what one does for all.
        """
        self._store = store
        self._log = log
        self._users = users
        self._timelines = timelines
        self._reads = reads
        self._graph = graph
        self._deliveries = deliveries
        self._hearers = hearers
        self._there = presence
        self._tickets = tickets
        self._clock = clock
        self._heartbeat = max(heartbeat, _ROUND)
        self._per_account = per_account
        self._fan_out = fan_out
        keeping_up = keeping_up or KeepingUp(log, ())
        self._alone = keeping_up.alone
        self.hub = Hub(
            log=log,
            timelines=timelines,
            reads=reads,
            graph=graph,
            hearers=hearers,
            deliveries=deliveries,
            keeping_up=keeping_up,
            clock=clock,
            window=window,
            passed_on=passed_on or {},
        )
        self._caretaker = Caretaker(store, presence, clock, window=window, grace=_GRACE, has_turn=has_turn)
        self._people: dict[int, _Person] = {}
        self._leaving: OrderedDict[int, Millis] = OrderedDict()
        """Who has no stream here any more, by when the last one ended."""
        self._ended: OrderedDict[int, list[_Ended]] = OrderedDict()
        """Whose streams were ended lately."""
        self._began = clock.now()
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
        """How many people have a stream open in this process."""
        return len(self.hub.by_user)

    # --- tickets

    async def ticket(self, identity: Identity) -> Ticket:
        made = Ticket(secrets.token_urlsafe(24), self._clock.now() + _TICKET_LIFE)
        await self._tickets.put(made.ticket, identity, made.expires_at)
        return made

    async def redeem(self, ticket: str) -> Identity:
        identity, expires_at = await self._tickets.take(ticket) or (None, 0)
        now = self._clock.now()
        if identity is None or min(expires_at, identity.expires_at) <= now or self._ended_for(identity) is not None:
            raise _no_good()
        if now - self._began < _TICKET_LIFE:
            # What happened to the session before this process began, it has not heard.
            sessions = await self._users.sessions(identity.user_id)
            if all(one.id != identity.session_id for one in sessions):
                raise _no_good()
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
            if after is not None and self._alone:
                # Entries that are on their way are among what was missed. (Elsewhere, only those that are for them are waited for.)
                await self._deliveries.settled(head)
                head = await self._log.head()
            if stream.closed:
                return stream
            if (reason := self._ended_for(identity)) is not None:
                self.hub.end(stream, reason)
                return stream
            first: list[Message] = [Hello(False)]
            if after is None:
                await self.hub.begin_at(stream, await self.offset(), head)
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
        """See to it that all processes know that the person is there, and that this one knows whom they hear of."""
        if person.known and person.coming is None:
            return
        if person.coming is None:
            person.coming = asyncio.create_task(self._come(user_id, person))
        await asyncio.shield(person.coming)

    async def _come(self, user_id: int, person: _Person) -> None:
        try:
            while person.going is not None:
                await person.going.wait()
            await self._hearers.begin([user_id], self.hub.position)
            # First of all: who sees that they are not there yet finds that they have come since.
            with suppress(Unavailable):
                await self._there.put([user_id])
            person.from_offset = await self._store.came(user_id, self._clock.now())
            person.known = True
        finally:
            person.coming = None

    async def still_here(self, user_ids: Sequence[int], offset: int) -> None:
        """It was told that these have left, as this process was not heard for a while; those who have streams here have not."""
        for user_id in user_ids:
            person = self._people.get(user_id)
            if person is None or not person.known or not person.streams:
                continue
            before = person.from_offset
            person.known = False
            await self._here(user_id, person)
            if person.from_offset != before:
                # Nothing was delivered to them meanwhile.
                self.hub.reload(user_id, offset)

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
            self._leaving[user_id] = person.ended_at

    def end_sessions(self, user_id: int, of: Callable[[Identity], bool], reason: End, at: Millis) -> None:
        """End the streams of an account that were opened with such tokens, and have their tickets be no good, as of the moment `at`."""
        for stream in list(self.hub.by_user.get(user_id, ())):
            if of(stream.identity):
                self.hub.end(stream, reason)
        known = [one for one in self._ended.get(user_id, ()) if 0 <= at - one.at < _REMEMBERED]
        self._ended[user_id] = [*known, _Ended(first_id_at(at), of, reason, at)]
        self._ended.move_to_end(user_id)
        oldest = next(iter(self._ended.values()))
        if len(self._ended) > 1 and not 0 <= at - oldest[-1].at < _REMEMBERED:
            self._ended.popitem(last=False)

    def _ended_for(self, identity: Identity) -> End | None:
        """Why this token's streams were ended lately. Another process may have let it in before it heard of that."""
        for one in self._ended.get(identity.user_id, ()):
            if identity.session_id < one.before and one.of(identity):
                return one.reason
        return None

    async def edges_changed(self, user_ids: Sequence[int], offset: int) -> None:
        """Whom these follow changed as a whole."""
        known = [id for id in user_ids if id in self._people]
        await self._hearers.begin(known, offset)
        for id in known:
            self.hub.reload(id, offset)

    def note(self, event: Event) -> None:
        """Somebody may hear of somebody more."""
        self._hearers.note(event)

    async def hand_out(self, batch: Sequence[Appended]) -> None:
        """Give events to the streams that they concern."""
        await self.hub.hand_out(batch)

    # --- presence

    async def offset(self) -> int:
        # An entry that is not in cached timelines yet is not on a page, and has to be told.
        return self._log.position(self._fan_out)

    async def online(self, user_ids: Sequence[int]) -> list[int]:
        try:
            there = await self._there.there(user_ids)
        except Unavailable:
            return []
        return [id for id in user_ids if id in there]

    async def count(self) -> int:
        try:
            return await self._there.count()
        except Unavailable:
            return 0

    async def presence(self, user_id: int) -> tuple[PresenceChoice, list[int]]:
        shown = await self._store.shown([user_id])
        viewer = await self._graph.viewer(user_id)
        there = await self.online(list(viewer.following))
        followed_by = set(await self._followers_among(user_id, there))
        mutual = [id for id in there if id in followed_by]
        visible = await self._store.shown(mutual)
        return PresenceChoice(user_id in shown), [id for id in mutual if id in visible][:_LISTED]

    async def _followers_among(self, user_id: int, others: Sequence[int]) -> list[int]:
        return [one.user_id for one in await self._graph.relationships(user_id, others) if one.followed_by]

    async def show_presence(self, user_id: int, visible: bool) -> PresenceChoice:
        await self._store.choose(user_id, visible, bool(await self.online([user_id])))
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
        await self._leave(now, _GRACE)
        await self._caretaker.tend()

    async def _leave(self, now: Millis, grace: Millis) -> None:
        """Those who have had no stream here for so long have left, unless they have one elsewhere."""
        # A moment in the future is one from before the clock was set back.
        due = [user_id for user_id, at in self._leaving.items() if not now - grace < at <= now]
        if not due:
            return
        going = asyncio.Event()
        people: dict[int, _Person] = {}
        for user_id in due:
            del self._leaving[user_id]
            person = people[user_id] = self._people[user_id]
            person.known, person.going = False, going
        try:
            await self._left(people)
        finally:
            going.set()
            for user_id, person in people.items():
                person.going = None
                if not person.streams:
                    del self._people[user_id]
                    self._hearers.end([user_id])

    async def _left(self, people: Mapping[int, _Person]) -> None:
        try:
            await self._there.remove(list(people))
            # In this order: whoever comes elsewhere meanwhile is seen, or changes what was read.
            stays = await self._store.there(list(people))
            there = await self._there.there(list(people))
        except Unavailable:
            # Whether they are anywhere else is found out once that can be known.
            return
        gone = [(one, people[one.user_id].ended_at) for one in stays if one.user_id not in there]
        if gone:
            await self._store.went(gone)

    async def stop(self) -> None:
        """End the rounds; whoever was there leaves, or is left to the other processes, which see who comes to them."""
        await self.worker.stop()
        await self.hub.stop()
        if self._leaving:
            try:
                others = await self._there.nodes() - {self._there.node}
            except Unavailable:
                others = {""}
            if not others:
                await self._leave(self._clock.now(), 0)
        with suppress(Unavailable):
            await self._there.leave()


def _no_good() -> Unauthorized:
    return Unauthorized("the ticket is used, expired or forged", code="invalid_ticket")


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
