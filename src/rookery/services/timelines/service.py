"""The Timeline Service's reads: candidates, hydrated, judged, presented.

Whatever path serves a read (the cached ring, merged lists of famous authors, pull from the truth), the answer is the same: that
of a pull over everything, passed through `visible` and the once rule. `truth` is that pull.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import structlog

from rookery.infra.events.port import EventLog
from rookery.kernel.clock import DAY, HOUR, Clock, Millis
from rookery.kernel.errors import Unavailable
from rookery.kernel.ids import MAX_ID
from rookery.kernel.pages import MAX_LIMIT, Page, Slice, slice_of
from rookery.kernel.visibility import Place, Viewer
from rookery.services.graph.contract import FameInterval, Graph
from rookery.services.timelines.contract import Item
from rookery.services.timelines.rules import FOLLOW, heard_of, once_window, reason, stands_at_home
from rookery.services.timelines.sources import CachedSource, Found, actors_of, merge
from rookery.services.timelines.store import Cached, Ids, Merged, Owner, TimelineStore, author_list
from rookery.services.timelines.topics import Topics, followed_in, topic
from rookery.services.tweets.contract import Entry, TweetReads

GROUP = "timelines"
"""The consumer group that fans out."""

_FRESH_WAIT = 0.1
"""Seconds that a reader waits for their own newest entry to be fanned out; then the read is by pull."""

_MOST_CANDIDATES = 5_000
"""Candidates that one read looks at; where nearly all of them are hidden, a page may be short and its cursor goes on."""

_AUTHOR_LIST_LIFE: Millis = HOUR

_REBUILDS = 8
"""Timelines that are pulled from the truth at a time: where all were lost, their readers queue here and not before the store."""

_NO_LISTS: dict[Owner, str | None] = {}

_log: Any = structlog.get_logger("rookery.timelines")


class TimelinePolicy(msgspec.Struct, frozen=True):
    """The settings of home timelines."""

    entries: int = 800
    """Entries that a rebuild collects."""
    active: Millis = 3 * DAY
    """Time after the last visit at which a cached home timeline is freed."""
    famous_refresh: Millis = 0
    """Age at which the merged lists of famous authors are taken again."""
    push_to_famous: bool = True
    """Whether famous readers get famous authors' entries pushed; pointless where everybody is famous."""
    busy_hashtag: int | None = 10_000
    """Uses from which on a hashtag's tweets are merged at the read: 0 of every hashtag, None of none."""
    shared: bool = False
    """Other processes read and fill the same timelines."""
    visits_every: Millis = 0
    """How late other processes may tell of visits; 0 where there are none."""


class TimelineService:
    """Implements `contract.Timelines`. The fan-out is in `consumers.py`."""

    def __init__(
        self,
        *,
        store: TimelineStore,
        tweets: TweetReads,
        graph: Graph,
        log: EventLog,
        clock: Clock,
        policy: TimelinePolicy,
    ) -> None:
        self._store = store
        self._tweets = tweets
        self._graph = graph
        self._log = log
        self._clock = clock
        self._policy = policy
        self.topics = Topics(policy.busy_hashtag, tweets.hashtag_uses, shared=policy.shared)
        """For the processor, which pushes the tweets of hashtags that are not busy."""
        self._visits: dict[Owner, Millis] = {}
        self._rebuilding: dict[Owner, asyncio.Task[None]] = {}
        self._pulls = asyncio.Semaphore(_REBUILDS)
        self._told: Millis = 0
        """Visits before this moment are known to the store."""
        self.reads = {"cached": 0, "merged": 0, "rebuilt": 0, "pulled": 0}
        """Reads by the path that served them, for metrics."""

    # --- the contract

    async def home(self, viewer_id: int, page: Page) -> Slice[Item]:
        self._visits[viewer_id] = self._clock.now()
        viewer = await self._graph.viewer(viewer_id)
        written = await self._tweets.last_write(viewer_id)
        if written and not await self._log.reached(GROUP, written, _FRESH_WAIT):
            self.reads["pulled"] += 1
            return await self._read(viewer, page, None)
        return await self._read(viewer, page, await self._source(viewer))

    async def truth(self, viewer_id: int, page: Page) -> Slice[Item]:
        """The same page by pull alone: what every other path must equal."""
        return await self._read(await self._graph.viewer(viewer_id), page, None)

    async def arrived(self, viewer_id: int, entry_ids: Sequence[int], tweet_ids: Sequence[int]) -> list[Item]:
        viewer = await self._graph.viewer(viewer_id)
        items = await self._judge(Found(list(entry_ids), list(tweet_ids), True), viewer)
        return [item for item in items if heard_of(item.entry, viewer)]

    async def visited(self, user_id: int) -> None:
        if user_id in self._visits:
            self._visits[user_id] = self._clock.now()

    async def forget(self, user_ids: list[int] | None = None) -> int:
        return await self._store.drop(await self._store.owners() if user_ids is None else user_ids)

    # --- for rankings

    def came(self, user_id: int) -> None:
        """The account reads its timeline in another order: that is a visit, too."""
        self._visits[user_id] = self._clock.now()

    def visits(self) -> dict[int, Millis]:
        """Those who have a cached home timeline, with their last visits."""
        return {owner: at for owner, at in self._visits.items() if owner > 0}

    async def newest_candidate(self, viewer: Viewer) -> int:
        """The id of the newest candidate, whether it can be seen or not; 0 where there is none."""
        found = (await self._source(viewer, counted=False)).below(MAX_ID, 1)
        return found.entry_ids[0] if found.entry_ids else 0

    async def newest(self, viewer: Viewer, count: int) -> list[Item]:
        """The newest items, up to `count`: those that `home` pages through. Nobody is taken to have come."""
        written = await self._tweets.last_write(viewer.id)
        fresh = not written or await self._log.reached(GROUP, written, _FRESH_WAIT)
        source = await self._source(viewer) if fresh else None
        items: list[Item] = []
        page = Page(MAX_LIMIT)
        while len(items) < count:
            part = await self._read(viewer, page, source)
            items += part.items
            # A short page with more below it comes where nearly everything is hidden: it looked at enough.
            if part.next is None or len(part.items) < MAX_LIMIT:
                break
            await asyncio.sleep(0)  # others come first
            page = Page(MAX_LIMIT, before=part.next)
        return items[:count]

    async def judged(self, entry_ids: list[int], tweet_ids: list[int], viewer: Viewer) -> list[Item]:
        """Those of these candidates that the viewer may see, in this order."""
        return await self._judge(Found(entry_ids, tweet_ids, True), viewer)

    # --- upkeep

    async def tell_visits(self) -> None:
        """Tell the store who came to this process since the last time, and forget who has not for long. A round of every process that
        is read from; whoever lets timelines go relies on it.
        """
        now, policy = self._clock.now(), self._policy
        # Of the same millisecond as the last round once more.
        await self._store.visited({owner: at for owner, at in self._visits.items() if at >= self._told})
        self._told = now
        for owner, at in list(self._visits.items()):
            if now - at > (policy.active if owner > 0 else _AUTHOR_LIST_LIFE):
                del self._visits[owner]

    async def expire(self) -> int:
        """Free the timelines of users who turned passive, and lists that nobody reads; how many. Once in the network."""
        await self.tell_visits()
        before = self._clock.now() - self._policy.visits_every
        return await self._store.drop(await self._store.idle(before - self._policy.active, before - _AUTHOR_LIST_LIFE))

    async def sample(self, count: int, seed: int) -> list[int]:
        """Up to `count` of those who have a cached home timeline, at random."""
        owners = sorted(owner for owner in await self._store.owners() if owner > 0)
        return random.Random(seed).sample(owners, min(count, len(owners)))  # noqa: S311 - a sample, no secret

    async def differences(self, user_ids: Sequence[int]) -> list[str]:
        """Compare the first 100 entries of home timelines with the truth; what differs, in sentences."""
        found: list[str] = []
        for owner in user_ids:
            if not await self._log.reached(GROUP, await self._log.head(), 5):
                return [f"the fan-out is behind: {GROUP} has not caught up within 5 seconds"]
            have, want = await self.home(owner, Page(100)), await self.truth(owner, Page(100))
            if have != want:
                ours, theirs = ([item.entry.id for item in part.items] for part in (have, want))
                found.append(
                    f"the home timeline of user {owner} differs: lacks {sorted(set(theirs) - set(ours))}, "
                    f"has beyond the truth {sorted(set(ours) - set(theirs))}"
                )
        return found

    async def famous_changed(self, user_id: int, famous: bool) -> None:
        """Somebody became or ceased to be famous: from now on they do, or don't, get famous authors' entries pushed."""
        if self._policy.push_to_famous:
            await self._store.privilege(user_id, famous)

    # --- where candidates come from

    async def _source(self, viewer: Viewer, *, counted: bool = True) -> CachedSource:
        """The viewer's cached candidates: their own timeline, rebuilt if need be, and the lists of famous followees.

        What is there comes in one round trip.
        """
        intervals = await self._graph.famous_followees(viewer.id)
        if self._policy.shared and viewer.hashtags:
            # The timeline may have been built by another process, without the hashtags that this one has yet to find busy.
            await self.topics.learn(viewer.hashtags)
        kept: Merged | None = None
        lists: dict[Owner, Cached | None] = {}
        if not intervals and not (viewer.hashtags and self.topics.busy(viewer.hashtags)):
            home = await self._store.read(viewer.id)
        elif self._policy.famous_refresh:
            home, kept = await self._store.read_merged(viewer.id)
        else:
            owners = list(self._listed(viewer, intervals, 0))
            home, *found = await self._store.read_all([viewer.id, *owners])
            lists = dict(zip(owners, found, strict=True))
        rebuilt = home is None or home.version != viewer.version
        if rebuilt:
            home = await self._rebuild(viewer)
            intervals = await self._graph.famous_followees(viewer.id)
        assert home is not None
        parts = await self._merged(viewer, self._listed(viewer, intervals, home.floor), home.floor, kept, lists)
        self.reads["rebuilt" if rebuilt else "merged" if parts else "cached"] += counted
        return CachedSource([home, *parts])

    async def _rebuild(self, viewer: Viewer) -> Cached:
        intervals = await self._graph.fame([viewer.id]) if self._policy.push_to_famous else ()
        privileged = any(interval.to_id is None for interval in intervals)
        while True:
            await self.topics.learn(viewer.hashtags)
            pushed = [key for key in viewer.hashtags if not self.topics.is_busy(key)]
            await self._build(viewer.id, viewer.version, actors_of(viewer), privileged, pushed)
            built = await self._store.read(viewer.id)
            if built is not None and built.version == viewer.version:
                return built
            # Dropped, or begun again for newer edges, while it was built.
            newest = await self._graph.viewer(viewer.id)
            if newest.version != viewer.version:
                viewer = newest

    async def _build(
        self, owner: Owner, version: int, actors: Ids, privileged: bool, hashtags: Sequence[str] = ()
    ) -> None:
        """Build a timeline from the truth; concurrent readers share the work."""
        task = self._rebuilding.get(owner)
        if task is None:
            task = asyncio.create_task(self._pull_into(owner, version, actors, privileged, hashtags))
            self._rebuilding[owner] = task
            task.add_done_callback(lambda _: self._rebuilding.pop(owner, None))
        # A reader that goes away must not take the others' work along.
        await asyncio.shield(task)

    async def _pull_into(
        self, owner: Owner, version: int, actors: Ids, privileged: bool, hashtags: Sequence[str]
    ) -> None:
        heard = np.concatenate([actors, np.array([topic(key) for key in hashtags], np.int64)])
        # All of it waits its turn: where everything was lost, the timelines' store must not be called by all at once either.
        async with self._pulls:
            await self._store.begin(owner, version, heard, privileged=privileged)
            try:
                pulled = await self._tweets.candidates(actors.tobytes(), Page(self._policy.entries), hashtags)
            except BaseException:
                await self._store.drop([owner])
                raise
            entry_ids, tweet_ids = (np.frombuffer(ids, np.int64) for ids in (pulled.entry_ids, pulled.tweet_ids))
            floor = 0 if pulled.complete else int(entry_ids[0])
            await self._store.fill(owner, version, entry_ids, tweet_ids, floor)
        self._visits.setdefault(owner, self._clock.now())

    def _listed(self, viewer: Viewer, intervals: Sequence[FameInterval], floor: int) -> dict[Owner, str | None]:
        """The lists of the followees who were famous at any time since `floor`, and of busy hashtags, which come with their key."""
        if not intervals and not viewer.hashtags:
            return _NO_LISTS
        owners: dict[Owner, str | None] = {
            author_list(i.author_id): None for i in intervals if i.to_id is None or i.to_id > floor
        }
        owners.update((topic(key), key) for key in self.topics.busy(viewer.hashtags))
        return owners

    async def _merged(
        self,
        viewer: Viewer,
        owners: dict[Owner, str | None],
        floor: int,
        kept: Merged | None,
        lists: dict[Owner, Cached | None],
    ) -> Sequence[Cached]:
        """What is merged into a home timeline: as it was `kept`, while it is young enough, or else as the lists are.

        `lists` are those that were read already.
        """
        if not owners:
            return ()
        refresh, now = self._policy.famous_refresh, self._clock.now()
        if kept is not None and kept.lists.version == viewer.version and 0 <= now - kept.at < refresh:
            return [kept.lists]
        self._visits.update(dict.fromkeys(owners, now))
        unread = [owner for owner in owners if owner not in lists]
        if unread:
            lists.update(zip(unread, await self._store.read_all(unread), strict=True))
        parts: list[Cached] = []
        for owner, key in owners.items():
            while (found := lists[owner]) is None:
                if key is None:
                    await self._build(owner, 0, np.array([-owner], np.int64), True)
                else:
                    await self._build(owner, 0, np.zeros(0, np.int64), True, [key])
                lists[owner] = await self._store.read(owner)
            parts.append(found)
        if not refresh:
            return parts
        merged = merge(parts, floor, viewer.version, self._policy.entries)
        with suppress(Unavailable):  # then the next read merges again
            await self._store.keep_merged(viewer.id, Merged(now, merged), refresh)
        return [merged]

    # --- reading a page

    async def _read(self, viewer: Viewer, page: Page, source: CachedSource | None) -> Slice[Item]:
        """The page, from `source` as far as it reaches and from the truth beyond."""
        if page.upwards and source is not None and page.after is not None and page.after < source.floor:
            source = None  # an upwards page would cross from the truth into the cache: the truth has all of it
        cursor = page.after if page.after is not None else MAX_ID if page.before is None else page.before
        kept: list[Item] = []
        looked = 0
        want = page.limit + 3  # one more than the page tells whether there is a next; most readers hide little
        while len(kept) <= page.limit:
            found = await self._next(source, viewer, cursor, want, upwards=page.upwards)
            if found.entry_ids:
                kept += await self._judge(found, viewer)
                looked += len(found.entry_ids)
                cursor = found.entry_ids[-1]
            elif source is not None and not page.upwards and source.floor > 0:
                cursor, source = min(cursor, source.floor), None
                continue
            if found.complete:
                break
            if looked >= _MOST_CANDIDATES and len(kept) <= page.limit:
                return _short(kept, page, cursor)
            want = max(20, 2 * (page.limit + 1 - len(kept)))
        return slice_of(kept, page, lambda item: item.entry.id)

    async def _next(
        self, source: CachedSource | None, viewer: Viewer, cursor: int, want: int, *, upwards: bool
    ) -> Found:
        """The next candidates in the direction of the search, nearest first."""
        if source is not None:
            return source.above(cursor, want) if upwards else source.below(cursor, want)
        page = Page(want, after=cursor) if upwards else Page(want, before=cursor)
        hashtags = tuple(viewer.hashtags)
        found = Found.unpack(await self._tweets.candidates(actors_of(viewer).tobytes(), page, hashtags))
        return found if upwards else found.reverse()

    async def _judge(self, found: Found, viewer: Viewer) -> list[Item]:
        """The candidates that the viewer may see, each tweet once, with the reason why it is there."""
        viewer_id = viewer.id
        shown = await self._tweets.show(found.entry_ids, found.tweet_ids, viewer_id, Place.HOME)
        entries = [entry for entry in shown if entry is not None]
        if viewer.hashtags:
            entries = [entry for entry in entries if stands_at_home(entry, viewer)]
        if retweets := [entry for entry in entries if entry.retweeter is not None]:
            hidden = await self._repeated(retweets, viewer)
            entries = [entry for entry in entries if entry.id not in hidden]
        return [
            # What nearly every entry is, without asking.
            Item(
                entry,
                FOLLOW
                if entry.retweeter is None and entry.tweet.author.id != viewer_id and not viewer.hashtags
                else reason(entry, viewer),
            )
            for entry in entries
        ]

    async def _repeated(self, retweets: Sequence[Entry], viewer: Viewer) -> set[int]:
        """Which of these the once rule hides: those with another eligible entry on the same tweet in the window before."""
        hidden: set[int] = set()
        others: list[tuple[int, int, int]] = []  # (the retweet judged, the older entry, the tweet)
        for entry in retweets:
            tweet, since = entry.tweet, once_window(entry.id)
            author = tweet.author.id
            if tweet.id >= since and (
                author == viewer.id
                or author in viewer.following
                or (viewer.hashtags and followed_in(tweet.record, viewer.hashtags) is not None)
            ):
                others.append((entry.id, tweet.id, tweet.id))
            if tweet.record.counts.retweets > 1:
                actors = actors_of(viewer).tobytes()
                older = Found.unpack(await self._tweets.retweets_of(tweet.id, actors, since - 1, entry.id))
                others += [(entry.id, other, tweet.id) for other in older.entry_ids]
        if others:
            shown = await self._tweets.show([o[1] for o in others], [o[2] for o in others], viewer.id, Place.HOME)
            hidden = {
                judged
                for (judged, _, _), entry in zip(others, shown, strict=True)
                if entry is not None and stands_at_home(entry, viewer)
            }
        return hidden


def _short(kept: list[Item], page: Page, cursor: int) -> Slice[Item]:
    """A page that ended early: its cursor goes on from the last candidate that was looked at."""
    if page.upwards:
        return Slice(kept[::-1], next=kept[0].entry.id if kept else cursor + 1, prev=cursor)
    return Slice(kept, next=cursor, prev=kept[0].entry.id if kept else None)
