"""Profiles: who somebody is, what they wrote and favorited; follow, block and mute."""

from collections.abc import Awaitable, Callable
from typing import Any

from rookery.gateways.http.interests import Interests
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Access, Reply, Route, Visit
from rookery.kernel.errors import NotFound
from rookery.services.graph.contract import Counts, Graph, Relationship
from rookery.services.tweets.contract import TweetReads
from rookery.services.users.contract import User, Users

Act = Callable[[int, int], Awaitable[Relationship]]


class ProfilePages:
    """The pages below /@handle."""

    def __init__(
        self, *, render: Renderer, users: Users, graph: Graph, reads: TweetReads, interests: Interests
    ) -> None:
        self._render = render
        self._users = users
        self._graph = graph
        self._reads = reads
        self._interests = interests

    def routes(self) -> list[Route]:
        """What is offered."""
        graph = self._graph
        return [
            Route("GET", "/{handle}", self.tweets, Access.PUBLIC),
            Route("GET", "/{handle}/replies", self.replies, Access.PUBLIC),
            Route("GET", "/{handle}/favorites", self.favorites, Access.PUBLIC),
            self._act("follow", graph.follow, graph.unfollow),
            self._act("block", graph.block, graph.unblock),
            self._act("mute", graph.mute, graph.unmute),
        ]

    async def tweets(self, visit: Visit) -> Reply:
        return await self._timeline(visit, "tweets", replies=False)

    async def replies(self, visit: Visit) -> Reply:
        return await self._timeline(visit, "replies", replies=True)

    async def favorites(self, visit: Visit) -> Reply:
        user = await self.person(visit)
        found = await self._reads.favorites(user.id, visit.viewer_id, visit.page())
        if visit.fragment:
            return self._render.piece(visit, "pieces/tweets.html", slice=found)
        return await self._page(visit, user, "favorites", slice=found)

    async def person(self, visit: Visit) -> User:
        """Whose page it is. Raises NotFound."""
        handle = visit.params["handle"]
        if handle.startswith("@"):
            found = (await self._users.by_handles([handle[1:]])).get(handle[1:].lower())
            if found is not None and found.state.shown:
                return found
        raise NotFound("there is nobody here of that name", code="user_not_found")

    async def head(self, visit: Visit, user: User) -> dict[str, Any]:
        """What the head of each page below a profile shows."""
        (between,) = await self._graph.relationships(visit.viewer_id, [user.id]) if visit.identity else (None,)
        return {
            "user": user,
            "counts": (await self._graph.counts([user.id])).get(user.id, Counts()),
            "tweets": (await self._reads.tweet_counts([user.id])).get(user.id, 0),
            "between": between,
        }

    async def _timeline(self, visit: Visit, tab: str, *, replies: bool) -> Reply:
        user = await self.person(visit)
        found = await self._reads.by_user(user.id, visit.viewer_id, visit.page(), replies=replies)
        if visit.fragment:
            return self._render.piece(visit, "pieces/entries.html", slice=found)
        pinned = None
        if tab == "tweets" and visit.opens:
            self._interests.visited(visit.viewer_id, user.id)
            ids = (await self._reads.pinned([user.id])).get(user.id)
            shown = await self._reads.get([ids], visit.viewer_id) if ids else []
            pinned = shown[0] if shown else None
        return await self._page(visit, user, tab, slice=found, pinned=pinned)

    async def _page(self, visit: Visit, user: User, tab: str, **context: Any) -> Reply:
        return await self._render.page(
            visit, "profile.html", tab=tab, **{"pinned": None, **context}, **await self.head(visit, user)
        )

    def _act(self, name: str, do: Act, undo: Act) -> Route:
        async def handle(visit: Visit) -> Reply:
            user = await self.person(visit)
            between = await (undo if "undo" in visit.form else do)(visit.viewer_id, user.id)
            if visit.fragment:
                return self._render.piece(visit, "pieces/follow.html", user=user, between=between)
            return visit.back(f"/@{user.handle}")

        return Route("POST", f"/{{handle}}/{name}", handle)
