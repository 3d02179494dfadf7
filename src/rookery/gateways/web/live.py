"""What scripts ask for beside the pages: a ticket for the live stream, one tweet as it is now, what words count."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from rookery.gateways.http.errors import no_such_route
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Access, Reply, Route, Visit
from rookery.kernel.errors import NotFound
from rookery.kernel.text import weigh
from rookery.services.tweets.contract import TweetReads
from rookery.services.users.contract import Identity

_STREAM: Final = "/v1/stream"
_WORDS: Final = 32_000
"""Characters that are weighed at once; no form takes as many."""

Tickets = Callable[[Identity], Awaitable[str]]
"""A ticket that opens one stream of somebody, once."""
Offset = Callable[[], Awaitable[int]]
"""The offset of the live stream behind which stands what no page that is made from now on shows."""


class LivePages:
    """What keeps a page that is open up to date."""

    def __init__(self, *, render: Renderer, reads: TweetReads, tickets: Tickets | None = None) -> None:
        self._render = render
        self._reads = reads
        self._tickets = tickets

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("POST", "/stream/ticket", self.ticket),
            Route("GET", "/tweets/{id}/piece", self.piece, Access.PUBLIC),
            Route("GET", "/weigh", self.weigh),
        ]

    async def ticket(self, visit: Visit) -> Reply:
        """A ticket, and the stream's address. Without streams there is no such page, and scripts do not ask again."""
        if self._tickets is None:
            raise no_such_route()
        answer = {"ticket": await self._tickets(visit.mine), "url": _STREAM}
        return _json(answer)

    async def piece(self, visit: Visit) -> Reply:
        found = await self._reads.get([visit.id()], visit.viewer_id)
        if not found:
            raise NotFound("there is no such tweet", code="tweet_not_found")
        return self._render.piece(visit, "pieces/tweet.html", tweet=found[0], whole="whole" in visit.query)

    async def weigh(self, visit: Visit) -> Reply:
        """What words count that may be addresses, for a script that counts all else by itself: never the whole text, which
        nobody is told before it is sent.
        """
        words = visit.query.get("words", "")[:_WORDS].split(" ")
        return _json({"weights": [weigh(word).length for word in words]})


def _json(answer: object) -> Reply:
    return Reply(msgspec.json.encode(answer), media_type="application/json")
