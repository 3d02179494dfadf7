"""What scripts ask for beside the pages: a ticket for the live stream, one tweet as it is now, what words count."""

from typing import Final

import msgspec

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Access, Reply, Route, Visit
from rookery.kernel.errors import NotFound
from rookery.kernel.text import weigh
from rookery.services.live.contract import Live
from rookery.services.tweets.contract import TweetReads

_STREAM: Final = "/v1/stream"
_WORDS: Final = 32_000
"""Characters that are weighed at once; no form takes as many."""


class LivePages:
    """What keeps a page that is open up to date."""

    def __init__(self, *, render: Renderer, reads: TweetReads, live: Live) -> None:
        self._render = render
        self._reads = reads
        self._live = live

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("POST", "/stream/ticket", self.ticket),
            Route("GET", "/tweets/{id}/piece", self.piece, Access.PUBLIC),
            Route("GET", "/weigh", self.weigh),
        ]

    async def ticket(self, visit: Visit) -> Reply:
        """A ticket that opens one stream, once, and the stream's address."""
        return _json({"ticket": (await self._live.ticket(visit.mine)).ticket, "url": _STREAM})

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
