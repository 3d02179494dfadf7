"""What the notifications are kept in, on SQL."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from rookery.infra.events.port import Appended, Event, Outbox
from rookery.infra.sql.port import Database, Reader, Row, Statement, Transaction
from rookery.kernel.clock import Millis
from rookery.kernel.erasing import Outcome
from rookery.kernel.ids import MAX_ID, IdGenerator
from rookery.kernel.pages import Page
from rookery.services.notifications import tables as t
from rookery.services.notifications.contract import Preferences
from rookery.services.notifications.rules import SPAN, Act, Topic, acts
from rookery.services.notifications.tables import METADATA as METADATA
from rookery.services.tweets.contract import Edited, Moderated, Posted

_ROWS = 500
"""Rows that are removed in one transaction."""

_STEP = 20_000
"""Acts that are looked through on one view."""

_AUDITED = 2_000

_preferences_of = msgspec.json.Decoder(Preferences).decode


class ItemRow(msgspec.Struct, frozen=True, gc=False):
    """A row of the list: a group of acts, by its newest one."""

    id: int
    topic: int
    tweet_id: int
    group_id: int
    count: int
    at: Millis


class Untold(NamedTuple):
    """A row that somebody may have to be told of."""

    item: ItemRow
    user_id: int


class Person(msgspec.Struct, frozen=True):
    """What is kept of somebody: up to where they have read, of whom they want to hear."""

    read_upto: int = 0
    preferences: Preferences = Preferences()


class NotificationStore:
    """Acts that concern somebody, their groups, and what is kept of the readers."""

    def __init__(self, database: Database, outbox: Outbox, ids: IdGenerator) -> None:
        self._database = database
        self._outbox = outbox
        self._ids = ids
        self._heard: Callable[[], None] | None = None

    def on_news(self, call: Callable[[], None]) -> None:
        """Have `call` called, on the event loop, whenever acts were added."""
        self._heard = call

    # --- learning

    def handle(self, tx: Transaction, batch: Sequence[Appended]) -> None:
        """Take in what events say, for a durable consumer. Of repeats and of events that come late, the newest about an act
        stands.
        """
        for item in batch:
            match item.event:
                case Posted(held=True) as event:
                    tx.run(t.HOLD, tweet_id=event.tweet_id, user_id=0, author_id=event.author_id, released=0)
                    self._say(tx, event.tweet_id, item)
                case Edited() as event:
                    self._say(tx, event.tweet_id, item)
                case Moderated() as event if not event.withheld:
                    self._release(tx, event, item)
                case event:
                    for act in acts(event):
                        self._learn(tx, act, item.at, item.offset)
        if (heard := self._heard) is not None:
            tx.after_commit(heard)

    def _say(self, tx: Transaction, tweet_id: int, item: Appended) -> None:
        """Tell whom a tweet concerns that may be held, as soon as it is not."""
        row = tx.one(t.HELD_TWEET, tweet_id=tweet_id)
        waits = row is not None and not row[0]
        for act in acts(item.event):
            if waits:
                tx.run(t.HOLD, tweet_id=tweet_id, user_id=act.user_id, author_id=act.actor_id, released=0)
            else:
                self._learn(tx, act, item.at, item.offset)

    def _release(self, tx: Transaction, event: Moderated, item: Appended) -> None:
        tx.run(t.HOLD, tweet_id=event.tweet_id, user_id=0, author_id=event.author_id, released=1)
        tx.run(t.RELEASE, of_tweet=event.tweet_id)
        for user_id, author_id in tx.all(t.HELD_FROM, tweet_id=event.tweet_id):
            self._learn(tx, Act(user_id, Topic.SAID, event.tweet_id, author_id), item.at, item.offset)
        tx.run(t.DROP_HELD_FROM, tweet_id=event.tweet_id)

    def _learn(self, tx: Transaction, act: Act, at: Millis, offset: int) -> None:
        key = {"user_id_": act.user_id, "topic_": int(act.topic), "tweet_id_": act.tweet_id, "actor_id_": act.actor_id}
        row = tx.one(t.ACT, **key)
        if row is None:
            if act.undone:
                # Should the act itself come later, it is known to be over.
                self._put(tx, act, self._ids.next(), at, 0, offset)
            else:
                self._add(tx, act, at, offset)
            return
        _, since, group_id, standing, newest = row
        if newest >= offset:
            return
        if bool(standing) is not act.undone:
            tx.run(t.NOTE_ACT, to_standing=standing, to_offset=offset, **key)
        elif act.undone:
            tx.run(t.NOTE_ACT, to_standing=0, to_offset=offset, **key)
            self._recount(tx, act, group_id, -1)
        elif group_id and at - since < SPAN:
            tx.run(t.NOTE_ACT, to_standing=1, to_offset=offset, **key)
            self._recount(tx, act, group_id, 1)
        else:
            self._add(tx, act, at, offset)

    def _add(self, tx: Transaction, act: Act, at: Millis, offset: int) -> None:
        """Add an act, to the group that is open, or in a new one."""
        # Issued on the thread that writes: what was committed before has a smaller id.
        id = self._ids.next()
        topic = int(act.topic)
        group: Row | None = None
        if act.topic.grouped:
            group = tx.one(t.NEWEST_GROUP, user_id=act.user_id, topic=topic, tweet_id=act.tweet_id)
        if group is not None and at - group[1] < SPAN:
            group_id: int = group[0]
            self._put(tx, act, id, at, group_id, offset)
            key = _group_key(act, group_id)
            row = tx.one(t.GROUP_SIZE, **key)
            assert row is not None
            tx.run(t.SET_ITEM, to_id=id, to_at=at, to_count=row[0] + 1, **key)
            return
        self._put(tx, act, id, at, id, offset)
        tx.run(
            t.ADD_ITEM,
            user_id=act.user_id,
            topic=topic,
            tweet_id=act.tweet_id,
            group_id=id,
            id=id,
            at=at,
            first_at=at,
            count=1,
        )

    def _put(self, tx: Transaction, act: Act, id: int, at: Millis, group_id: int, offset: int) -> None:
        tx.run(
            t.PUT_ACT,
            user_id=act.user_id,
            topic=int(act.topic),
            tweet_id=act.tweet_id,
            actor_id=act.actor_id,
            id=id,
            at=at,
            group_id=group_id,
            standing=int(not act.undone),
            offset=offset,
        )

    def _recount(self, tx: Transaction, act: Act, group_id: int, change: int) -> None:
        """An act of the group stands no more, or again: how many do, and which is the newest. An empty group stays, unlisted, for
        those who come back.
        """
        key = _group_key(act, group_id)
        size, newest = tx.one(t.GROUP_SIZE, **key), tx.one(t.NEWEST_ACT, group_id=group_id)
        if size is None:
            return
        if newest is None:
            tx.run(t.SET_COUNT, to_count=0, **key)
        else:
            tx.run(t.SET_ITEM, to_id=newest[0], to_at=newest[1], to_count=size[0] + change, **key)

    # --- reading

    async def items(self, user_id: int, page: Page) -> list[ItemRow]:
        """Up to `page.limit` rows of a list, in the order of the search: newest first, or upwards from `after`."""
        if page.after is not None:
            rows = await self._database.all(t.UP, user_id=user_id, cursor=page.after, limit=page.limit)
        else:
            cursor = MAX_ID if page.before is None else page.before
            rows = await self._database.all(t.DOWN, user_id=user_id, cursor=cursor, limit=page.limit)
        return [ItemRow(*row) for row in rows]

    async def unread(self, user_id: int, after: int, before: int, limit: int) -> list[ItemRow]:
        """The newest rows between two ids, both exclusive."""
        rows = await self._database.all(t.UNREAD, user_id=user_id, after=after, before=before, limit=limit)
        return [ItemRow(*row) for row in rows]

    async def actors(self, group_id: int, before: int, limit: int) -> list[tuple[int, int]]:
        """The newest standing acts of a group below an id, each with who did it."""
        return [
            (id, actor)
            for id, actor in await self._database.all(t.ACTORS, group_id=group_id, before=before, limit=limit)
        ]

    async def actors_among(self, user_id: int, item: ItemRow, actor_ids: Sequence[int]) -> list[tuple[int, int]]:
        """The standing acts of a group by any of these, newest first, each with who did it."""

        def work(reader: Reader) -> list[Row]:
            return reader.all(
                t.ACTORS_AMONG,
                user_id=user_id,
                topic=item.topic,
                tweet_id=item.tweet_id,
                group_id=item.group_id,
                actors=actor_ids,
            )

        return [(id, actor) for id, actor in await self._database.scan(work)]

    async def person(self, user_id: int) -> Person:
        """What is kept of somebody."""
        return _person(await self._database.one(t.PERSON, user_id=user_id))

    # --- what readers do

    async def read(self, user_id: int, up_to: int, event: Callable[[int], Event]) -> None:
        """Mark what is there up to `up_to` as read, once; `event` tells of it, given the newest that is read. What comes later is
        not marked, whatever its id.
        """

        def work(tx: Transaction) -> None:
            newest = tx.one(t.NEWEST_OF, user_id=user_id)
            assert newest is not None
            read = min(up_to, newest[0])
            if read > _person(tx.one(t.PERSON, user_id=user_id)).read_upto:
                tx.run(t.SET_READ, user_id=user_id, read_upto=read)
                self._outbox.append(tx, event(read))

        await self._database.write(work, brief=True)

    async def prefer(self, user_id: int, change: Callable[[Preferences], Preferences]) -> Preferences:
        """Change the preferences of somebody."""

        def work(tx: Transaction) -> Preferences:
            old = _person(tx.one(t.PERSON, user_id=user_id)).preferences
            new = change(old)
            if new != old:
                tx.run(t.SET_PREFERENCES, user_id=user_id, preferences=msgspec.json.encode(new).decode())
            return new

        return await self._database.write(work, brief=True)

    # --- telling

    async def untold(self, limit: int) -> tuple[int, list[Untold]]:
        """Up to where people were told, and what came since, oldest first."""
        row = await self._database.one(t.TOLD_UPTO)
        upto = 0 if row is None else row[0]
        rows = await self._database.all(t.UNTOLD, after=upto, limit=limit)
        return upto, [Untold(ItemRow(*rest), user_id) for *rest, user_id in rows]

    async def told(self, since: int, upto: int, events: Sequence[Event]) -> None:
        """People were told by these events of what came after `since`, up to `upto`: both or neither. Nothing happens where
        somebody else told them meanwhile.
        """

        def work(tx: Transaction) -> None:
            row = tx.one(t.TOLD_UPTO)
            if since == (0 if row is None else row[0]):
                tx.run(t.SET_TOLD, upto=upto)
                self._outbox.append(tx, *events)

        await self._database.write(work)

    # --- upkeep

    async def newest_id(self) -> int:
        """The newest id that was issued here; 0 if none."""
        row = await self._database.one(t.NEWEST_ID)
        assert row is not None
        return row[0]

    async def trim(self, before: int) -> int:
        """Remove what nobody has joined in since the id `before`, in small transactions; how many rows."""
        total = 0
        while gone := await self._database.write(lambda tx: _drop_old(tx, before)):
            total += gone
        while await self._database.write(lambda tx: _drop_traces(tx, before)) == _ROWS:
            pass
        while await self._database.write(lambda tx: tx.run(t.DROP_OLD_HELD, before=before, limit=_ROWS)) == _ROWS:
            pass
        return total

    async def check(self, limit: int = 100) -> list[str]:
        """Up to `limit` differences between the groups and the acts that they count, in sentences."""
        found: list[str] = []
        after = 0
        while len(found) < limit:
            rows = await self._database.scan(lambda reader, at=after: reader.all(t.AUDIT, after=at, limit=_AUDITED))
            for id, user_id, group_id, count, standing, newest in rows:
                if count != standing:
                    found.append(
                        f"notification {group_id} of user {user_id} has {standing} acts, but the count says {count}"
                    )
                elif count and id != newest:
                    found.append(f"notification {group_id} of user {user_id} stands under {id} instead of {newest}")
            if len(rows) < _AUDITED:
                break
            after = rows[-1][0]
        return found[:limit]

    # --- erasing

    erases: Mapping[str, str] = {
        "notifications_items": "the person's are removed; others' no longer count what the person did",
        "notifications_acts": "removed: what was done to the person, and what the person did to others",
        "notifications_held": "removed",
        "notifications_people": "removed: what the person has read, and of whom they wanted to hear",
        "notifications_told": "nothing of anybody's is there",
    }

    async def erase(self, user_id: int, tell: Callable[[], None]) -> Outcome:
        """As `kernel.erasing.Eraser`."""
        total = 0
        for some, drop, names in (
            (t.ACTS_OF, t.DROP_ACT, _ACT),
            (t.ITEMS_OF, t.DROP_ITEM, _GROUP),
        ):
            while gone := await self._database.write(
                lambda tx, some=some, drop=drop, names=names: _drop_of(tx, user_id, some, drop, names)
            ):
                total += gone
                tell()
        # Nobody else asks for what somebody did, so there is no index; the walk holds no writer up.
        at: Sequence[int] = (0, 0, 0, 0)
        while rows := await self._database.scan(
            lambda reader, at=at: reader.all(t.STEP, limit=_STEP, **_key(_ACT, at))
        ):
            at = rows[-1][:4]
            mine = [row for row in rows if row[3] == user_id]
            for first in range(0, len(mine), _ROWS):
                chunk = mine[first : first + _ROWS]
                await self._database.write(lambda tx, chunk=chunk: self._withdraw(tx, chunk))
                total += len(chunk)
            tell()

        def rest(tx: Transaction) -> int:
            return tx.run(t.DROP_HELD_OF, user_id=user_id) + tx.run(t.DROP_PERSON, user_id=user_id)

        return Outcome(total + await self._database.write(rest))

    def _withdraw(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Remove acts, and count their groups anew."""
        for user_id, topic, tweet_id, actor_id, group_id, standing in rows:
            tx.run(t.DROP_ACT, **_key(_ACT, (user_id, topic, tweet_id, actor_id)))
            act = Act(user_id, Topic(topic), tweet_id, actor_id)
            if standing:
                self._recount(tx, act, group_id, -1)


_ACT = ("user_id_", "topic_", "tweet_id_", "actor_id_")
_GROUP = ("user_id_", "topic_", "tweet_id_", "group_id_")


def _key(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


def _act_key(row: Row) -> dict[str, Any]:
    return _key(_ACT, row[:4])


def _group_key(act: Act, group_id: int) -> dict[str, int]:
    return _key(_GROUP, (act.user_id, int(act.topic), act.tweet_id, group_id))


def _person(row: Row | None) -> Person:
    if row is None:
        return Person()
    read_upto, preferences = row
    return Person(read_upto) if preferences is None else Person(read_upto, _preferences_of(preferences))


def _drop_old(tx: Transaction, before: int) -> int:
    """Remove some old groups, or a part of a large one; how many rows."""
    left = _ROWS
    for *key, count in tx.all(t.OLD_ITEMS, before=before, limit=_ROWS):
        group = _key(_GROUP, key)
        rows = tx.all(t.ACTS_OF_GROUP, group_id=group["group_id_"], limit=left)
        tx.many(t.DROP_ACT, map(_act_key, rows))
        left -= len(rows)
        if left <= 0:
            tx.run(t.SET_COUNT, to_count=count - sum(row[4] for row in rows), **group)
            break
        tx.run(t.DROP_ITEM, **group)
        left -= 1
        if left <= 0:
            break
    return _ROWS - left


def _drop_traces(tx: Transaction, before: int) -> int:
    rows = tx.all(t.OLD_TRACES, before=before, limit=_ROWS)
    tx.many(t.DROP_ACT, map(_act_key, rows))
    return len(rows)


def _drop_of(tx: Transaction, user_id: int, some: Statement, drop: Statement, names: Sequence[str]) -> int:
    rows = tx.all(some, user_id=user_id, limit=_ROWS)
    tx.many(drop, (_key(names, row) for row in rows))
    return len(rows)
