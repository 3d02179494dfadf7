"""Lists of tweets: my bookmarks; a tweet's quotes, and the answers to it that were hidden."""

from collections.abc import Awaitable, Callable

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Access, Reply, Route, Visit
from rookery.kernel.pages import Page, Slice
from rookery.services.tweets.contract import Tweet, TweetReads

ReadTweets = Callable[[int, int, Page], Awaitable[Slice[Tweet]]]


class TweetListPages:
    """The pages that list tweets and are no timelines."""

    def __init__(self, *, render: Renderer, reads: TweetReads) -> None:
        self._render = render
        self._reads = reads

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", "/bookmarks", self.bookmarks),
            self._on_tweet("quotes", self._reads.quotes),
            self._on_tweet("hidden", self._hidden),
        ]

    async def bookmarks(self, visit: Visit) -> Reply:
        found = await self._reads.bookmarks(visit.viewer_id, visit.page())
        if visit.fragment:
            return self._render.piece(visit, "pieces/tweets.html", slice=found)
        return await self._render.page(visit, "bookmarks.html", slice=found)

    async def _hidden(self, tweet_id: int, viewer_id: int, page: Page) -> Slice[Tweet]:
        return await self._reads.replies(tweet_id, viewer_id, page, hidden=True)

    def _on_tweet(self, name: str, read: ReadTweets) -> Route:
        async def handle(visit: Visit) -> Reply:
            found = await read(visit.id(), visit.viewer_id, visit.page())
            if visit.fragment:
                return self._render.piece(visit, "pieces/tweets.html", slice=found)
            # Of a deleted tweet the answers remain.
            tweets = await self._reads.get([visit.id()], visit.viewer_id)
            tweet = tweets[0] if tweets else None
            return await self._render.page(visit, "who.html", kind=name, slice=found, tweet=tweet)

        return Route("GET", f"/tweets/{{id}}/{name}", handle, Access.PUBLIC)
