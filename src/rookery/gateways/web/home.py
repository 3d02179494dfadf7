"""Timelines: my own, latest or top, and that of a hashtag."""

from typing import Any

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Access, Reply, Route, Visit, redirect
from rookery.kernel.errors import Gone
from rookery.kernel.pages import Slice
from rookery.kernel.text import hashtag_key
from rookery.services.graph.contract import Choices, Graph
from rookery.services.timelines.contract import Item, Timelines, TopTimelines
from rookery.services.tweets.contract import TweetReads


class HomePages:
    """What people see first."""

    def __init__(
        self,
        *,
        render: Renderer,
        timelines: Timelines,
        top: TopTimelines,
        reads: TweetReads,
        graph: Graph,
        choices: Choices,
    ) -> None:
        self._render = render
        self._graph = graph
        self._timelines = timelines
        self._top = top
        self._reads = reads
        self._choices = choices

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", "/", self.home, Access.OPEN),
            Route("GET", "/hashtags/{tag}", self.hashtag, Access.PUBLIC),
            Route("POST", "/hashtags/{tag}/follow", self.follow_hashtag),
        ]

    async def home(self, visit: Visit) -> Reply:
        if visit.identity is None:
            return await self._render.page(visit, "welcome.html")
        order = "top" if visit.query.get("order") == "top" else "latest"
        found: Slice[Item]
        if order == "top":
            try:
                found = await self._top.top(visit.viewer_id, visit.page())
            except Gone:
                # The ranking that was paged is forgotten: a fresh one.
                return redirect("/?order=top")
        else:
            found = await self._timelines.home(visit.viewer_id, visit.page())
        context: dict[str, Any] = {
            "slice": found,
            "order": order,
            "first": not {"before", "after"} & visit.query.keys(),
        }
        if visit.fragment:
            return self._render.piece(visit, "pieces/items.html", **context)
        return await self._render.page(visit, "home.html", **context)

    async def hashtag(self, visit: Visit) -> Reply:
        tag = visit.params["tag"].lstrip("#")
        found = await self._reads.tagged(tag, visit.viewer_id, visit.page())
        if visit.fragment:
            return self._render.piece(visit, "pieces/tweets.html", slice=found)
        return await self._render.page(
            visit, "hashtag.html", slice=found, tag=tag, followed=await self._follows(visit, tag)
        )

    async def follow_hashtag(self, visit: Visit) -> Reply:
        tag = visit.params["tag"]
        if "undo" in visit.form:
            await self._choices.unfollow_hashtag(visit.viewer_id, tag)
        else:
            await self._choices.follow_hashtag(visit.viewer_id, tag)
        return visit.back("/")

    async def _follows(self, visit: Visit, tag: str) -> bool:
        return hashtag_key(tag) in (await self._graph.viewer(visit.viewer_id)).hashtags
