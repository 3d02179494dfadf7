"""The rules of following, blocking and muting, and the graph as those who look see it. Implements `contract.Graph`."""

from collections.abc import Mapping, Sequence

from rookery.kernel.clock import Clock
from rookery.kernel.errors import Forbidden, Invalid, NotFound
from rookery.kernel.pages import Page, Slice
from rookery.kernel.visibility import GUEST, Viewer, account_visible
from rookery.services.graph.contract import Counts, Edge, EdgeList, FameInterval, Relationship
from rookery.services.graph.memory import Fame, Looking, Viewers
from rookery.services.graph.rules import FameRule
from rookery.services.graph.store import GraphStore
from rookery.services.users.contract import User, Users

_NAMED = 20
"""Unknown accounts that an error names at most."""


class GraphService:
    """Implements `contract.Graph`."""

    def __init__(
        self,
        *,
        store: GraphStore,
        users: Users,
        clock: Clock,
        fame_threshold: int | None,
        cached_viewers: int = 50_000,
        cached_ids: int = 16_000_000,
    ) -> None:
        """`fame_threshold` followers make famous; None: nobody is, 0: everybody is. The edges of up to `cached_viewers` people,
        with `cached_ids` ids in all (8 bytes each), stay in memory.
        """
        self._store = store
        self._users = users
        self._rule = FameRule(fame_threshold)
        self._fame = Fame(self._rule)
        self.viewers = Viewers(
            lambda viewer_id: store.viewer(viewer_id, clock.now()), clock, capacity=cached_viewers, max_ids=cached_ids
        )
        """For metrics: its `hits` and `misses`."""
        store.watch(self._changed)

    async def open(self) -> None:
        """Bring kept fame in line with the threshold, and take it into memory. Before the first call of anything else."""
        await self._store.keep_fame(self._rule)
        for interval in await self._store.fame():
            self._fame.put(interval)

    # --- memory

    def _changed(self, touched: Sequence[int], intervals: Sequence[FameInterval]) -> None:
        self.forget(touched)
        for interval in intervals:
            self._fame.put(interval)

    def forget(self, user_ids: Sequence[int], version: int | None = None) -> None:
        """The edges of these people changed, perhaps in another process: what is older than `version` is read anew."""
        for user_id in user_ids:
            self.viewers.forget(user_id, version)

    def forget_all(self) -> None:
        """Read everybody's edges again."""
        self.viewers.clear()

    def note_fame(self, interval: FameInterval) -> None:
        """An interval was opened or closed, perhaps in another process."""
        self._fame.put(interval)

    # --- acting

    async def follow(self, follower_id: int, followee_id: int) -> Relationship:
        followee = await self._active(follower_id, followee_id)
        return await self._store.follow(follower_id, followee_id, protected=followee.protected)

    async def unfollow(self, follower_id: int, followee_id: int) -> Relationship:
        await self._existing(follower_id, followee_id)
        return await self._store.unfollow(follower_id, followee_id)

    async def block(self, blocker_id: int, blocked_id: int) -> Relationship:
        await self._active(blocker_id, blocked_id)
        return await self._store.block(blocker_id, blocked_id)

    async def unblock(self, blocker_id: int, blocked_id: int) -> Relationship:
        await self._existing(blocker_id, blocked_id)
        return await self._store.unblock(blocker_id, blocked_id)

    async def mute(self, muter_id: int, muted_id: int) -> Relationship:
        await self._active(muter_id, muted_id)
        return await self._store.mute(muter_id, muted_id)

    async def unmute(self, muter_id: int, muted_id: int) -> Relationship:
        await self._existing(muter_id, muted_id)
        return await self._store.unmute(muter_id, muted_id)

    async def approve(self, user_id: int, follower_id: int) -> Relationship:
        await self._active(user_id, follower_id)
        return await self._store.approve(user_id, follower_id)

    async def refuse(self, user_id: int, follower_id: int) -> Relationship:
        await self._existing(user_id, follower_id)
        return await self._store.refuse(user_id, follower_id)

    async def import_follows(self, pairs: Sequence[tuple[int, int]]) -> int:
        ids = list({id for pair in pairs for id in pair})
        known = await self._users.get(ids)
        if len(known) < len(ids):
            unknown = sorted(id for id in ids if id not in known)
            raise NotFound(
                "there are no such accounts: {ids}",
                code="user_not_found",
                ids=", ".join(map(str, unknown[:_NAMED])) + (", …" if len(unknown) > _NAMED else ""),
            )
        return await self._store.import_follows(pairs)

    async def _active(self, actor_id: int, other_id: int) -> User:
        """The other account, where both are active. Raises Invalid("yourself"), NotFound."""
        actor, other = await self._both(actor_id, other_id)
        if actor is None or other is None or not (actor.state.shown and other.state.shown):
            raise _nobody()
        return other

    async def _existing(self, actor_id: int, other_id: int) -> None:
        """See that there is such an account, in whatever state: what one did can be undone. Raises as `_active` does."""
        _, other = await self._both(actor_id, other_id)
        if other is None:
            raise _nobody()

    async def _both(self, actor_id: int, other_id: int) -> tuple[User | None, User | None]:
        if actor_id == other_id:
            raise Invalid("nobody follows, blocks or mutes themselves", code="yourself")
        found = await self._users.get((actor_id, other_id))
        return found.get(actor_id), found.get(other_id)

    # --- lists of people

    async def followers(self, user_id: int, page: Page, viewer_id: int) -> Slice[Edge]:
        viewer = await self._admit(user_id, viewer_id)
        return await self._show(await self._store.followers(user_id, page), viewer)

    async def following(self, user_id: int, page: Page, viewer_id: int) -> Slice[Edge]:
        viewer = await self._admit(user_id, viewer_id)
        return await self._show(await self._store.following(user_id, page), viewer)

    async def requests(self, user_id: int, page: Page) -> Slice[Edge]:
        return await self._show(await self._store.requests(user_id, page), GUEST)

    async def blocked(self, user_id: int, page: Page) -> Slice[Edge]:
        return await self._show(await self._store.blocked(user_id, page), GUEST)

    async def muted(self, user_id: int, page: Page) -> Slice[Edge]:
        return await self._show(await self._store.muted(user_id, page), GUEST)

    async def edges(self, user_id: int, of: EdgeList, after: int, limit: int) -> list[Edge]:
        return await self._store.edges(user_id, of, after, limit)

    async def _admit(self, user_id: int, viewer_id: int) -> Viewer:
        """The viewer, if they may see whom `user_id` follows and who follows them. Raises NotFound, Forbidden("protected")."""
        owner = (await self._users.get((user_id,))).get(user_id)
        viewer = await self.viewer(viewer_id)
        if owner is None or not account_visible(viewer, owner):
            raise _nobody()
        if owner.protected and user_id != viewer_id and user_id not in viewer.following:
            raise Forbidden("this account shows its lists to its followers only", code="protected")
        return viewer

    async def _show(self, edges: Slice[Edge], viewer: Viewer) -> Slice[Edge]:
        """The page without people whom the viewer may not see. Its cursors stay, so that it may be short but leads on."""
        users = await self._users.get([edge.user_id for edge in edges.items])
        return edges.map(
            lambda items: [
                edge
                for edge in items
                if (user := users.get(edge.user_id)) is not None and account_visible(viewer, user)
            ]
        )

    async def relationships(self, viewer_id: int, user_ids: Sequence[int]) -> list[Relationship]:
        if not viewer_id:
            return [Relationship(user_id) for user_id in user_ids]
        viewer = await self.viewer(viewer_id)
        followed_by = await self._store.followers_among(viewer_id, user_ids)
        requested = await self._store.requested_among(viewer_id, user_ids)
        requested_by = await self._store.requesters_among(viewer_id, user_ids)
        return [
            Relationship(
                user_id,
                following=user_id in viewer.following,
                followed_by=user_id in followed_by,
                requested=user_id in requested,
                requested_by=user_id in requested_by,
                blocking=user_id in viewer.blocking,
                blocked_by=user_id in viewer.blocked_by,
                muting=user_id in viewer.muting,
            )
            for user_id in user_ids
        ]

    async def counts(self, user_ids: Sequence[int]) -> Mapping[int, Counts]:
        found = await self._store.counts(user_ids)
        return {user_id: found.get(user_id, _NO_EDGES) for user_id in user_ids}

    # --- who looks, and who is famous

    async def viewer(self, viewer_id: int) -> Viewer:
        found = self.viewers.peek(viewer_id)
        if found is not None:
            return found.viewer
        return (await self.viewers.get(viewer_id)).viewer if viewer_id else GUEST

    async def famous_followees(self, viewer_id: int) -> Sequence[FameInterval]:
        if not viewer_id:
            return ()
        found: Looking = self.viewers.peek(viewer_id) or await self.viewers.get(viewer_id)
        if found.revision != self._fame.revision:
            found.famous = self._fame.among(found.viewer.following)
            found.revision = self._fame.revision
        return found.famous

    async def fame(self, author_ids: Sequence[int]) -> Sequence[FameInterval]:
        return self._fame.of(author_ids)


_NO_EDGES = Counts()


def _nobody() -> NotFound:
    return NotFound("there is no such account", code="user_not_found")
