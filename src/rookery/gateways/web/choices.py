"""Everything that can be done with a tweet, on a page: what its menu has, and what is seldom wanted."""

from collections.abc import Awaitable, Callable

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Reply, Route, Visit
from rookery.kernel.errors import NotFound
from rookery.kernel.pages import Page
from rookery.services.graph.contract import Choices, Graph
from rookery.services.tweets.contract import Tweet, TweetIngestion, TweetReads

Decide = Callable[[int, int, bool], Awaitable[Tweet | None]]
"""Of who, about which tweet, how; the tweet, where they may see it."""


class TweetChoicePages:
    """The page of choices, and those that stand nowhere else: pin, mute the conversation, hide an answer, detach a quote."""

    def __init__(
        self, *, render: Renderer, reads: TweetReads, ingestion: TweetIngestion, graph: Graph, choices: Choices
    ) -> None:
        self._render = render
        self._reads = reads
        self._ingestion = ingestion
        self._graph = graph
        self._choices = choices

    def routes(self) -> list[Route]:
        """What is offered."""
        ingestion = self._ingestion
        return [
            Route("GET", "/tweets/{id}/more", self.more),
            self._act("pin", ingestion.pin),
            self._act("hide", ingestion.hide_reply),
            self._act("detach", ingestion.detach_quote),
            self._act("mute", self._mute),
        ]

    async def more(self, visit: Visit) -> Reply:
        viewer_id = visit.viewer_id
        tweet = await self._tweet(viewer_id, visit.id())
        record = tweet.record
        conversation = (await self._reads.thread(tweet.id, viewer_id, Page(1))).conversation
        (between,) = await self._graph.relationships(viewer_id, [tweet.author.id])
        mine = tweet.author.id == viewer_id
        return await self._render.page(
            visit,
            "more.html",
            tweet=tweet,
            mine=mine,
            between=between,
            conversation=conversation,
            pinned=mine and (await self._reads.pinned([viewer_id])).get(viewer_id) == tweet.id,
            muted=record.root in (await self._graph.viewer(viewer_id)).muted_conversations,
            hideable=record.root_id is not None and conversation.author_id == viewer_id,
            quotes_me=record.quoted_user_id == viewer_id
            and (record.quote_of is not None or record.detached_from is not None),
            link=f"{'https' if visit.secure else 'http'}://{visit.headers.get('host', '')}/tweets/{tweet.id}",
        )

    async def _mute(self, user_id: int, tweet_id: int, muted: bool) -> Tweet:
        decide = self._choices.mute_conversation if muted else self._choices.unmute_conversation
        tweet = await self._tweet(user_id, tweet_id)
        await decide(user_id, tweet.record.root)
        return tweet

    def _act(self, name: str, decide: Decide) -> Route:
        async def handle(visit: Visit) -> Reply:
            tweet = await decide(visit.viewer_id, visit.id(), "undo" not in visit.form)
            return visit.back("/" if tweet is None else f"/tweets/{tweet.id}/more")

        return Route("POST", f"/tweets/{{id}}/{name}", handle)

    async def _tweet(self, viewer_id: int, tweet_id: int) -> Tweet:
        found = await self._reads.get([tweet_id], viewer_id)
        if not found:
            raise NotFound("there is no such tweet", code="tweet_not_found")
        return found[0]
