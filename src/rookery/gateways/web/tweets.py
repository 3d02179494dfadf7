"""A tweet with its conversation, and what is done with tweets."""

from collections.abc import Awaitable, Callable

from rookery.gateways.http.interests import Interests
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Access, Reply, Route, Visit, redirect
from rookery.kernel.errors import NotFound
from rookery.kernel.interest import InterestKind
from rookery.services.graph.contract import Choices, Graph
from rookery.services.tweets.contract import Tombstone, Tweet, TweetIngestion, TweetReads

Act = Callable[[int, int], Awaitable[Tweet]]


class TweetPages:
    """The page of a tweet, and its buttons."""

    def __init__(
        self,
        *,
        render: Renderer,
        reads: TweetReads,
        ingestion: TweetIngestion,
        graph: Graph,
        choices: Choices,
        interests: Interests,
    ) -> None:
        self._render = render
        self._reads = reads
        self._ingestion = ingestion
        self._graph = graph
        self._choices = choices
        self._interests = interests

    def routes(self) -> list[Route]:
        """What is offered."""
        ingestion = self._ingestion
        return [
            Route("GET", "/tweets/{id}", self.tweet, Access.PUBLIC),
            self._act("favorite", ingestion.favorite, ingestion.unfavorite),
            self._act("retweet", ingestion.retweet, ingestion.unretweet),
            self._act("bookmark", ingestion.bookmark, ingestion.unbookmark),
            Route("POST", "/tweets/{id}/link", self.followed_link),
            Route("GET", "/tweets/{id}/delete", self.ask_delete),
            Route("POST", "/tweets/{id}/delete", self.delete),
        ]

    async def tweet(self, visit: Visit) -> Reply:
        thread = await self._reads.thread(visit.id(), visit.viewer_id, visit.page())
        if visit.fragment:
            return self._render.piece(visit, "pieces/tweets.html", slice=thread.replies)
        if visit.opens:
            self._interests.read(visit.viewer_id, thread.tweet)
        # Whoever may see a tweet without logging in may also be shown it elsewhere.
        public = isinstance(thread.tweet, Tweet) and bool(await self._reads.get([thread.tweet.id], 0))
        return await self._render.page(visit, "tweet.html", thread=thread, public=public)

    async def followed_link(self, visit: Visit) -> Reply:
        """A script tells that a link in a tweet was followed. What the viewer can't see is passed over."""
        for tweet in await self._reads.get([visit.id()], visit.viewer_id):
            self._interests.told(visit.viewer_id, InterestKind.LINK_CLICK, tweet)
        return Reply(status=204)

    async def ask_delete(self, visit: Visit) -> Reply:
        return await self._render.page(visit, "delete.html", tweet=await self._mine(visit))

    async def delete(self, visit: Visit) -> Reply:
        id = visit.id()
        await self._ingestion.delete(visit.viewer_id, id)
        return redirect("/") if visit.form.get("next", "").startswith(f"/tweets/{id}") else visit.back()

    def _act(self, name: str, do: Act, undo: Act) -> Route:
        async def handle(visit: Visit) -> Reply:
            tweet = await (undo if "undo" in visit.form else do)(visit.viewer_id, visit.id())
            if visit.fragment:
                return self._render.piece(visit, "pieces/acts.html", tweet=tweet)
            return visit.back(f"/tweets/{tweet.id}")

        return Route("POST", f"/tweets/{{id}}/{name}", handle)

    async def _mine(self, visit: Visit) -> Tweet:
        found = (await self._reads.thread(visit.id(), visit.viewer_id, visit.page(1))).tweet
        if isinstance(found, Tombstone) or found.author.id != visit.viewer_id:
            raise NotFound("there is no such tweet", code="tweet_not_found")
        return found
