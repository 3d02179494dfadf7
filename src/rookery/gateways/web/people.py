"""Lists of people: who follows whom, who asks to follow me, who retweeted or favorited a tweet."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from rookery.gateways.web.profiles import ProfilePages
from rookery.gateways.web.rendering import Renderer, Unread
from rookery.gateways.web.visits import Access, Reply, Route, Visit
from rookery.kernel.errors import Forbidden
from rookery.kernel.pages import MAX_LIMIT, Page, Slice
from rookery.services.graph.contract import Edge, Graph, Relationship
from rookery.services.tweets.contract import TweetReads
from rookery.services.users.contract import User, Users

ReadEdges = Callable[[int, Page, int], Awaitable[Slice[Edge]]]
ReadPeople = Callable[[int, int, Page], Awaitable[Slice[User]]]

_COUNTED: Final = Page(MAX_LIMIT)


class Listed(NamedTuple):
    """Somebody in a list."""

    user: User
    between: Relationship | None
    """What stands between the viewer and them; None for guests."""


class PeoplePages:
    """The pages that list people, each with the button by which they are followed."""

    def __init__(
        self, *, render: Renderer, users: Users, graph: Graph, reads: TweetReads, profiles: ProfilePages
    ) -> None:
        self._render = render
        self._users = users
        self._graph = graph
        self._reads = reads
        self._profiles = profiles

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            self._around("followers", self._graph.followers),
            self._around("following", self._graph.following),
            Route("GET", "/follow_requests", self.requests),
            Route("POST", "/follow_requests/{id}", self.decide),
            self._on_tweet("retweeters", self._reads.retweeters),
            self._on_tweet("favoriters", self._reads.favoriters),
        ]

    async def requests(self, visit: Visit) -> Reply:
        edges = await self._graph.requests(visit.viewer_id, visit.page())
        found = await self._of_edges(visit, edges)
        if visit.fragment:
            return self._render.piece(visit, "pieces/requests.html", slice=found)
        return await self._render.page(visit, "requests.html", slice=found)

    async def decide(self, visit: Visit) -> Reply:
        decide = self._graph.approve if visit.form.get("do") == "approve" else self._graph.refuse
        await decide(visit.viewer_id, visit.id())
        return visit.back("/follow_requests")

    def _around(self, tab: str, read: ReadEdges) -> Route:
        async def handle(visit: Visit) -> Reply:
            user = await self._profiles.person(visit)
            context: dict[str, Any] = {"slice": Slice[Listed]([]), "error": None}
            try:
                context["slice"] = await self._of_edges(visit, await read(user.id, visit.page(), visit.viewer_id))
            except Forbidden as error:
                # A protected account shows them to its followers; who it is can be read all the same.
                context["error"] = error
            if visit.fragment:
                return self._render.piece(visit, "pieces/people.html", slice=context["slice"])
            status = 200 if context["error"] is None else context["error"].status
            head = await self._profiles.head(visit, user)
            return await self._render.page(visit, "around.html", status=status, tab=tab, **context, **head)

        return Route("GET", f"/{{handle}}/{tab}", handle, Access.PUBLIC)

    def _on_tweet(self, name: str, read: ReadPeople) -> Route:
        async def handle(visit: Visit) -> Reply:
            users = await read(visit.id(), visit.viewer_id, visit.page())
            found = Slice(await self._listed(visit, users.items), users.next, users.prev)
            if visit.fragment:
                return self._render.piece(visit, "pieces/people.html", slice=found)
            tweets = await self._reads.get([visit.id()], visit.viewer_id)
            return await self._render.page(
                visit, "who.html", kind=name, slice=found, tweet=tweets[0] if tweets else None
            )

        return Route("GET", f"/tweets/{{id}}/{name}", handle, Access.PUBLIC)

    async def _of_edges(self, visit: Visit, edges: Slice[Edge]) -> Slice[Listed]:
        users = await self._users.get([edge.user_id for edge in edges.items])
        people = [user for edge in edges.items if (user := users.get(edge.user_id)) is not None]
        return Slice(await self._listed(visit, people), edges.next, edges.prev)

    async def _listed(self, visit: Visit, people: Sequence[User]) -> list[Listed]:
        if visit.identity is None:
            return [Listed(user, None) for user in people]
        between = await self._graph.relationships(visit.viewer_id, [user.id for user in people])
        return [Listed(*pair) for pair in zip(people, between, strict=True)]


def waiting(graph: Graph) -> Unread:
    """How many ask to follow somebody, counted up to 100: one read of an index, for protected accounts alone."""

    async def count(user_id: int) -> int:
        return len((await graph.requests(user_id, _COUNTED)).items)

    return count
