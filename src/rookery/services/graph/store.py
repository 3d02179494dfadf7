"""What the Graph Service keeps: edges, counts, versions and fame, in any SQL database."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from rookery.infra.events.port import Outbox
from rookery.infra.sql.port import Database, Reader, Reads, Statement, Transaction
from rookery.kernel.clock import Millis
from rookery.kernel.erasing import Outcome
from rookery.kernel.ids import MAX_ID, IdGenerator
from rookery.kernel.idset import IdSet
from rookery.kernel.mending import Mended, Tell
from rookery.kernel.pages import Page, Slice, slice_of
from rookery.kernel.visibility import Viewer
from rookery.kernel.words import NO_WORDS, Words
from rookery.services.graph import audit
from rookery.services.graph import tables as t
from rookery.services.graph.changes import Change
from rookery.services.graph.contract import Counts, Edge, EdgeList, FameInterval, Relationship
from rookery.services.graph.rules import FameRule
from rookery.services.graph.tables import METADATA as METADATA

T = TypeVar("T")

Watcher = Callable[[Sequence[int], Sequence[FameInterval]], None]
"""Told, on the event loop and in the order of commits, of people whose edges changed and of intervals opened or closed."""

_IMPORT_CHUNK = 5_000
"""Follows that are imported in one transaction. Other writers wait for as long as it takes, some 50 ms; halves would write more
pages in all, since neighbouring transactions touch the same ones."""

_ERASED_EDGES = 800
"""Edges that are erased in one transaction, some 10 ms of it; an event names up to 1,000 people."""
_LISTS = {
    EdgeList.FOLLOWERS: t.LIST_FOLLOWERS,
    EdgeList.FOLLOWING: t.LIST_FOLLOWING,
    EdgeList.REQUESTS: t.LIST_REQUESTS,
    EdgeList.REQUESTED: t.LIST_REQUESTED,
    EdgeList.BLOCKED: t.LIST_BLOCKED,
    EdgeList.MUTED: t.LIST_MUTED,
}


class GraphStore:
    """The graph's rows. Each change is one transaction with its events; it happens once, however often it is asked for."""

    def __init__(self, database: Database, outbox: Outbox, ids: IdGenerator) -> None:
        self._database = database
        self._outbox = outbox
        self._ids = ids
        self._rule = FameRule(None)
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """Have `watcher` told of every change made through this store, before the caller of the change goes on."""
        self._watchers.append(watcher)

    async def _write(self, work: Callable[[Change], T]) -> T:
        def run(tx: Transaction) -> T:
            change = Change(tx, self._ids, self._rule)
            result = work(change)
            self._outbox.append(tx, *change.events)
            if change.touched or change.intervals:
                tx.after_commit(lambda: self._tell(tuple(change.touched), change.intervals))
            return result

        return await self._database.write(run)

    def _tell(self, touched: Sequence[int], intervals: Sequence[FameInterval]) -> None:
        for watcher in self._watchers:
            watcher(touched, intervals)

    async def _between(self, work: Callable[[Change], None], me: int, other: int) -> Relationship:
        def both(change: Change) -> Relationship:
            work(change)
            return change.between(me, other)

        return await self._write(both)

    # --- changes; each answers the relationship as it then stands, seen from the first account named

    async def follow(self, follower_id: int, followee_id: int, *, protected: bool) -> Relationship:
        """Follow, or ask to where the followee is `protected`. Raises Forbidden("blocked")."""
        return await self._between(
            lambda change: change.follow(follower_id, followee_id, protected=protected), follower_id, followee_id
        )

    async def unfollow(self, follower_id: int, followee_id: int) -> Relationship:
        """End a follow, and take a request back."""
        return await self._between(lambda c: c.unfollow(follower_id, followee_id), follower_id, followee_id)

    async def approve(self, user_id: int, follower_id: int) -> Relationship:
        """Turn a request into a follow. Raises NotFound where there is neither."""
        return await self._between(lambda c: c.approve(user_id, follower_id), user_id, follower_id)

    async def refuse(self, user_id: int, follower_id: int) -> Relationship:
        """Drop a request."""
        return await self._between(lambda c: c.refuse(user_id, follower_id), user_id, follower_id)

    async def block(self, blocker_id: int, blocked_id: int) -> Relationship:
        """Block, and end follows and requests in both directions."""
        return await self._between(lambda c: c.block(blocker_id, blocked_id), blocker_id, blocked_id)

    async def unblock(self, blocker_id: int, blocked_id: int) -> Relationship:
        """Block no more."""
        return await self._between(lambda c: c.unblock(blocker_id, blocked_id), blocker_id, blocked_id)

    async def mute(self, muter_id: int, muted_id: int) -> Relationship:
        """Mute."""
        return await self._between(lambda c: c.mute(muter_id, muted_id), muter_id, muted_id)

    async def unmute(self, muter_id: int, muted_id: int) -> Relationship:
        """Mute no more."""
        return await self._between(lambda c: c.unmute(muter_id, muted_id), muter_id, muted_id)

    async def import_follows(self, pairs: Sequence[tuple[int, int]]) -> int:
        """Add follows (follower, followee) in bulk, in transactions of some thousands; how many were new."""
        added = 0
        for at in range(0, len(pairs), _IMPORT_CHUNK):
            chunk = pairs[at : at + _IMPORT_CHUNK]
            added += await self._write(lambda change, chunk=chunk: change.import_follows(chunk))
        return added

    # --- erasing

    erases: Mapping[str, str] = {
        "graph_following": "removed, in both directions; counts and fame of the others follow",
        "graph_followers": "removed, with the rows of `graph_following`",
        "graph_requests": "removed, whoever asked",
        "graph_blocks": "removed, whoever blocked",
        "graph_mutes": "removed, whoever muted",
        "graph_people": "removed: the person's counts and version",
        "graph_fame": "removed: when the person was famous",
        "graph_hashtags": "removed: what the person followed",
        "graph_muted_conversations": "removed: what the person muted; of the person's conversations, others' rows hold ids alone",
        "graph_filters": "removed",
    }

    async def erase(self, user_id: int, tell: Callable[[], None]) -> Outcome:
        """As `kernel.erasing.Eraser`."""
        words = [row[0] for q in t.WORDS_OF_ERASED for row in await self._database.all(q, user_id=user_id)]
        total = 0
        while done := await self._write(lambda change: change.erase(user_id, _ERASED_EDGES)):
            total += done
            tell()
        return Outcome(total, words=words)

    # --- fame

    async def keep_fame(self, rule: FameRule) -> None:
        """Keep intervals of fame by `rule` from now on; where it differs from the one before, open and close some at once."""
        self._rule = rule
        if rule.everybody:
            return

        def differs(reader: Reader) -> bool:
            return bool(reader.all(t.RISING, high=rule.high) or reader.all(t.FALLING, low=rule.low))

        if await self._database.scan(differs):
            await self._write(lambda change: change.apply_rule())

    async def fame(self) -> list[FameInterval]:
        """Every interval there ever was."""
        return await self._database.scan(lambda reader: [FameInterval(*row) for row in reader.all(t.ALL_FAME)])

    # --- reading

    async def viewer(self, user_id: int, now: Millis) -> Viewer:
        """Somebody's edges with their version, and their choices, as they hold from `now` on; all of one moment."""

        def read(reader: Reader) -> Viewer:
            def ids(statement: Statement) -> IdSet:
                return IdSet(row[0] for row in reader.all(statement, user_id=user_id))

            version = reader.one(t.VERSION, user_id=user_id)
            filters = [
                (phrase, ends)
                for _, phrase, ends in reader.all(t.FILTERS_OF, user_id=user_id)
                if ends is None or ends > now
            ]
            return Viewer(
                user_id,
                0 if version is None else version[0],
                following=ids(t.FOLLOWING_OF),
                blocking=ids(t.BLOCKED_OF),
                blocked_by=ids(t.BLOCKERS_OF),
                muting=ids(t.MUTED_OF),
                muted_conversations=ids(t.CONVERSATIONS_OF),
                words=Words(phrase for phrase, _ in filters) if filters else NO_WORDS,
                hashtags=frozenset(row[0] for row in reader.all(t.HASHTAGS_OF, user_id=user_id)),
                until=min((ends for _, ends in filters if ends is not None), default=None),
            )

        return await self._database.scan(read)

    async def followers(self, user_id: int, page: Page) -> Slice[Edge]:
        """Who follows `user_id`, newest follow first."""
        return await self._page(t.LIST_FOLLOWERS, user_id, page, self._database.lagging)

    async def following(self, user_id: int, page: Page) -> Slice[Edge]:
        """Whom `user_id` follows, newest follow first."""
        return await self._page(t.LIST_FOLLOWING, user_id, page, self._database.lagging)

    async def requests(self, user_id: int, page: Page) -> Slice[Edge]:
        """Who waits for approval by `user_id`, newest first."""
        return await self._page(t.LIST_REQUESTS, user_id, page)

    async def blocked(self, user_id: int, page: Page) -> Slice[Edge]:
        """Whom `user_id` blocks, newest first."""
        return await self._page(t.LIST_BLOCKED, user_id, page)

    async def muted(self, user_id: int, page: Page) -> Slice[Edge]:
        """Whom `user_id` mutes, newest first."""
        return await self._page(t.LIST_MUTED, user_id, page)

    async def edges(self, user_id: int, of: EdgeList, after: int, limit: int) -> list[Edge]:
        """As `contract.Graph.edges`."""
        rows = await self._database.lagging.all(_LISTS[of].newer, user_id=user_id, cursor=after, limit=limit)
        return [Edge(*row) for row in rows]

    async def _page(self, listing: t.Listing, user_id: int, page: Page, reads: Reads | None = None) -> Slice[Edge]:
        if page.after is not None:
            statement, cursor = listing.newer, page.after
        else:
            statement, cursor = listing.older, MAX_ID if page.before is None else page.before
        rows = await (reads or self._database).all(statement, user_id=user_id, cursor=cursor, limit=page.limit + 1)
        return slice_of([Edge(*row) for row in rows], page, lambda edge: edge.id)

    async def followers_among(self, user_id: int, ids: Sequence[int]) -> set[int]:
        """Which of `ids` follow `user_id`."""
        return await self._among(t.FOLLOWERS_AMONG, user_id, ids)

    async def requested_among(self, user_id: int, ids: Sequence[int]) -> set[int]:
        """Which of `ids` did `user_id` ask to follow."""
        return await self._among(t.REQUESTED_AMONG, user_id, ids)

    async def requesters_among(self, user_id: int, ids: Sequence[int]) -> set[int]:
        """Which of `ids` asked to follow `user_id`."""
        return await self._among(t.REQUESTERS_AMONG, user_id, ids)

    async def _among(self, statement: Statement, user_id: int, ids: Sequence[int]) -> set[int]:
        return {row[0] for row in await self._database.all(statement, user_id=user_id, ids=ids)}

    async def counts(self, user_ids: Sequence[int]) -> dict[int, Counts]:
        """Counts of those of `user_ids` who have or had any edges. To be shown: they may lag."""
        return {row[0]: Counts(*row[1:]) for row in await self._database.lagging.all(t.COUNTS, ids=user_ids)}

    # --- for operators

    async def newest_id(self) -> int:
        """The largest id issued for any edge or interval; 0 if none. Edges are kept by their people, not by their ids, so this
        looks at all of them: some 50 ms for each million.
        """

        def read(reader: Reader) -> int:
            return max((row[0] or 0) for statement in t.NEWEST_IDS if (row := reader.one(statement)) is not None)

        return await self._database.scan(read)

    async def check(self, limit: int) -> list[str]:
        """Compare counts with rows and each direction of follows with the other; up to `limit` differences, as sentences.

        It goes through people in steps, each on one consistent view, so it can run while others write.
        """
        found: list[str] = []
        async for step in audit.steps(self._database, limit):
            found += step.sentences()
            if len(found) >= limit:
                break
        return found[:limit]

    async def repair(self, tell: Tell, *, floor: int) -> Mended:
        """Mend what `check` would find, with the followers' rows as the truth; fame is judged by the counts that come out.

        Written is only what differs, some hundred rows in a transaction which compares once more: others may write meanwhile. So
        it can be cut short and begun again at any time. Versions of graphs become `floor` at least.
        """
        mended = Mended()
        size = await audit.size(self._database)
        done = 0
        async for step in audit.steps(self._database, None):
            for part in step.parts():
                mended.note(
                    await self._write(
                        lambda change, part=part: change.derive(part.lacking, part.surplus, sorted(part.people), floor)
                    )
                )
            done += step.compared
            tell("follows", done, max(done, size))
        return mended
