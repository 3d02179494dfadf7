"""The Notification Service: who did what that concerns me, judged at every read, and told once."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from msgspec import UNSET

from rookery.infra.workers.port import Worker
from rookery.kernel.clock import MINUTE, Clock, Millis
from rookery.kernel.filling import MAX_ROWS, Keyed, fill
from rookery.kernel.ids import MAX_ID, first_id_at
from rookery.kernel.pages import Page, Slice
from rookery.kernel.visibility import Place, Viewer, account_visible, visible
from rookery.services.graph.contract import Graph
from rookery.services.notifications.contract import (
    MOST_PEOPLE,
    MOST_UNREAD,
    From,
    Kind,
    Notification,
    Notified,
    Preferences,
    PreferencesChange,
    Read,
)
from rookery.services.notifications.rules import FRESH, KINDS, Topic, said, wanted
from rookery.services.notifications.store import ItemRow, NotificationStore, Person
from rookery.services.tweets.contract import Tweet, TweetReads
from rookery.services.users.contract import User, Users

_LOOKED: Final = 30
"""The newest acts of a group that are looked at; where they are all of it, its count is exact."""

_DEEPEST: Final = 300
"""Acts that are looked at where none of the newest may be seen."""

_AT_ONCE: Final = 200
"""Notifications that people are told of in one transaction."""

_FULL_FOR: Final[Millis] = MINUTE
"""Time for which somebody with MOST_UNREAD is taken to have so many still, when they are told of more."""

_MANY_FULL: Final = 10_000
"""People for whom that is remembered."""

_STUMBLE: Final = 1.0
"""Seconds between tries to tell, while the store is away."""

_log: Any = structlog.get_logger("rookery.notifications")


class _Shown(msgspec.Struct, frozen=True):
    """A notification, and the newest act of it that its reader may see: that is what they have read or not."""

    notification: Notification
    newest: int


class NotificationService:
    """Implements `contract.Notifications`. `worker` tells people of what is new."""

    def __init__(
        self, *, store: NotificationStore, users: Users, graph: Graph, reads: TweetReads, clock: Clock, lifetime: Millis
    ) -> None:
        """What nobody has joined in for `lifetime` is removed by `tidy`."""
        self._store = store
        self._users = users
        self._graph = graph
        self._reads = reads
        self._clock = clock
        self._lifetime = lifetime
        self._full: dict[int, tuple[Person, Millis]] = {}
        """People who have MOST_UNREAD, as they were when that was counted, and until when it holds."""
        self._wake = asyncio.Event()
        store.on_news(self._wake.set)
        self.worker = Worker("notifications", self._run)
        """Tells people of what is new, by events."""

    # --- reading

    async def mine(self, user_id: int, page: Page) -> Slice[Notification]:
        person = await self._store.person(user_id)

        async def fetch(step: Page) -> Sequence[Keyed]:
            return [(item.id, item) for item in await self._store.items(user_id, step)]

        async def show(rows: Sequence[Keyed]) -> Sequence[Notification | None]:
            shown = await self._show(user_id, person, [item for _, item in rows])
            return [None if one is None else one.notification for one in shown]

        return await fill(page, fetch, show)

    async def unread_count(self, user_id: int) -> int:
        person = await self._store.person(user_id)
        return await self._unread(user_id, person, person.read_upto)

    async def _unread(self, user_id: int, person: Person, after: int) -> int:
        """How many notifications newer than `after` there are, up to MOST_UNREAD."""
        count, looked, before = 0, 0, MAX_ID
        while looked < MAX_ROWS:
            rows = await self._store.unread(user_id, after, before, MOST_UNREAD)
            if rows:
                shown = await self._show(user_id, person, rows)
                count += sum(one is not None and one.newest > after for one in shown)
                looked += len(rows)
                before = rows[-1].id
            if len(rows) < MOST_UNREAD or count >= MOST_UNREAD:
                break
        return min(count, MOST_UNREAD)

    async def read(self, user_id: int, up_to: int) -> int:
        person = await self._store.person(user_id)
        unread = await self._unread(user_id, person, max(up_to, person.read_upto))
        await self._store.read(user_id, up_to, lambda read: Read(user_id, read, unread))
        return unread

    async def preferences(self, user_id: int) -> Preferences:
        return (await self._store.person(user_id)).preferences

    async def prefer(self, user_id: int, change: PreferencesChange) -> Preferences:
        given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
        return await self._store.prefer(user_id, lambda old: msgspec.structs.replace(old, **given))

    # --- judging

    async def _show(self, user_id: int, person: Person, items: Sequence[ItemRow]) -> list[_Shown | None]:
        """What the reader may see of these; every step is a bulk call, but for the groups' people."""
        viewer = await self._graph.viewer(user_id)
        tweet_ids = list(dict.fromkeys([item.tweet_id for item in items if item.tweet_id]))
        tweets: dict[int, Tweet] = {}
        if tweet_ids:
            found = await self._reads.show(tweet_ids, tweet_ids, user_id, Place.NOTIFICATIONS)
            tweets = {entry.id: entry.tweet for entry in found if entry is not None}
        judging = _Judging(viewer, person.preferences, tweets)
        acts: dict[int, list[tuple[int, int]]] = {}
        for item in items:
            if item.topic != Topic.SAID and judging.may_show(item):
                acts[item.group_id] = await self._acts(item, judging, MAX_ID)
        accounts = await self._users.get(list({actor for group in acts.values() for _, actor in group}))
        shown: list[_Shown | None] = []
        for item in items:
            if item.topic == Topic.SAID:
                shown.append(judging.said(item, person.read_upto))
            elif (group := acts.get(item.group_id)) is None:
                shown.append(None)
            else:
                shown.append(await self._grouped(item, judging, group, accounts, person.read_upto))
        return shown

    async def _acts(self, item: ItemRow, judging: "_Judging", before: int) -> list[tuple[int, int]]:
        """The acts to look at: the newest; or where there are many, and only those whom the reader follows are wanted, theirs."""
        if item.count > _LOOKED and judging.of(item) is From.FOLLOWING:
            return await self._store.actors_among(judging.viewer.id, item, list(judging.viewer.following))
        return await self._store.actors(item.group_id, before, _LOOKED)

    async def _grouped(
        self,
        item: ItemRow,
        judging: "_Judging",
        acts: Sequence[tuple[int, int]],
        accounts: Mapping[int, User],
        read_upto: int,
    ) -> _Shown | None:
        among = item.count > _LOOKED and judging.of(item) is From.FOLLOWING
        looked = len(acts)
        seen = judging.seen(item, acts, accounts)
        while not seen and not among and len(acts) == _LOOKED and looked < _DEEPEST:
            acts = await self._acts(item, judging, acts[-1][0])
            looked += len(acts)
            seen = judging.seen(item, acts, await self._users.get([actor for _, actor in acts]))
        if not seen:
            return None
        # Of those who were not looked at nobody knows whether they may be seen.
        count = len(seen) if among or item.count <= _LOOKED else max(len(seen), item.count - (looked - len(seen)))
        newest = seen[0][0]
        return _Shown(
            Notification(
                item.id,
                KINDS[Topic(item.topic)],
                item.at,
                newest <= read_upto,
                tuple(user for _, user in seen[:MOST_PEOPLE]),
                count,
                judging.tweets.get(item.tweet_id),
            ),
            newest,
        )

    # --- telling

    async def announce(self) -> int:
        """Tell people of what came since the last time, oldest first; how many notifications were looked at."""
        told, rows = await self._store.untold(_AT_ONCE)
        if not rows:
            return 0
        fresh = self._clock.now() - FRESH
        by_user: dict[int, list[ItemRow]] = {}
        for row in rows:
            if row.item.at > fresh:
                by_user.setdefault(row.user_id, []).append(row.item)
        events: dict[int, Notified] = {}
        for user_id, items in by_user.items():
            person = await self._store.person(user_id)
            shown = await self._show(user_id, person, items)
            new = [
                one.notification
                for one in shown
                # Who joined in may be somebody whom the reader does not want to hear of.
                if one is not None and one.newest > told and not one.notification.read
            ]
            if new:
                unread = await self._unread_now(user_id, person)
                events.update((one.id, Notified(user_id, one.id, one.kind, unread)) for one in new)
            self.worker.beat()
            # Others go on meanwhile: nobody waits for this one.
            await asyncio.sleep(0)
        await self._store.told(told, rows[-1].item.id, [events[id] for id in sorted(events)])
        return len(rows)

    async def _unread_now(self, user_id: int, person: Person) -> int:
        """As `_unread`; whoever never reads, and is told often, is not counted anew each time."""
        now = self._clock.now()
        known = self._full.get(user_id)
        if known is not None and known[0] == person and now < known[1]:
            return MOST_UNREAD
        unread = await self._unread(user_id, person, person.read_upto)
        self._full.pop(user_id, None)
        if unread >= MOST_UNREAD:
            if len(self._full) >= _MANY_FULL:
                self._full.clear()
            self._full[user_id] = person, now + _FULL_FOR
        return unread

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                while await self.announce():
                    self.worker.beat()
            except Exception:
                _log.warning("people could not be told of what is new; it is tried again", exc_info=True)
                self.worker.rest()
                await asyncio.sleep(_STUMBLE)
                self.worker.beat()
                continue
            self.worker.rest()
            await self._wake.wait()
            self.worker.beat()

    # --- upkeep

    async def tidy(self) -> int:
        """Remove what is old; how many rows."""
        return await self._store.trim(first_id_at(self._clock.now() - self._lifetime))


class _Judging(msgspec.Struct, frozen=True):
    """What decides what one reader sees."""

    viewer: Viewer
    preferences: Preferences
    tweets: Mapping[int, Tweet]
    """Those of the tweets in question that the reader may be told of."""

    def of(self, item: ItemRow) -> From:
        """Of whom the reader wants to hear such things."""
        return self.preferences.of(KINDS[Topic(item.topic)])

    def may_show(self, item: ItemRow) -> bool:
        """Whether there may be anything to see in a group, whoever is in it."""
        return self.of(item) is not From.NOBODY and (not item.tweet_id or item.tweet_id in self.tweets)

    def said(self, item: ItemRow, read_upto: int) -> _Shown | None:
        """What was said to the reader, where that is so, still."""
        tweet = self.tweets.get(item.tweet_id)
        kind: Kind | None = None if tweet is None else said(tweet.record, self.viewer.id)
        if tweet is None or kind is None or not wanted(self.viewer, self.preferences.of(kind), tweet.author.id):
            return None
        return _Shown(Notification(item.id, kind, item.at, item.id <= read_upto, (tweet.author,), 1, tweet), item.id)

    def seen(
        self, item: ItemRow, acts: Sequence[tuple[int, int]], accounts: Mapping[int, User]
    ) -> list[tuple[int, User]]:
        """Those of the acts of a group that the reader sees."""
        viewer, of = self.viewer, self.of(item)
        tweet = self.tweets.get(item.tweet_id)
        return [
            (id, actor)
            for id, actor_id in acts
            if (actor := accounts.get(actor_id)) is not None
            and wanted(viewer, of, actor_id)
            and (
                account_visible(viewer, actor, Place.NOTIFICATIONS)
                if tweet is None
                else visible(viewer, tweet.record, tweet.author, Place.NOTIFICATIONS, actor)
            )
        ]
