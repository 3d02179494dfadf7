"""Writing a tweet, an answer or a quote."""

import secrets
from hashlib import sha256
from typing import Any, Final

from rookery.gateways.web import writing
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Reply, Route, Visit, redirect
from rookery.kernel.errors import Forbidden, Invalid, NotFound, RookeryError
from rookery.services.drafts.contract import Drafts
from rookery.services.tweets.contract import IdempotencyKey, Tweet, TweetIngestion, TweetReads

_KEY: Final = 40
"""The longest key of a form."""


class ComposePages:
    """The form in which tweets are written."""

    def __init__(self, *, render: Renderer, reads: TweetReads, ingestion: TweetIngestion, drafts: Drafts) -> None:
        self._render = render
        self._reads = reads
        self._ingestion = ingestion
        self._drafts = drafts

    def routes(self) -> list[Route]:
        """What is offered."""
        return [Route("GET", "/compose", self.form), Route("POST", "/compose", self.post)]

    async def form(self, visit: Visit) -> Reply:
        query = visit.query
        return await self._form(
            visit,
            {name: query.get(name, "") for name in ("reply_to", "quote_of", "next")}
            | {"content": query.get("text", "")},
        )

    async def post(self, visit: Visit) -> Reply:
        try:
            new = writing.new_tweet(visit)
            if visit.form.get("do") == "draft":
                await self._drafts.create(visit.viewer_id, new)
                return redirect("/drafts")
            # Whichever button it was: what was given a time must not go out before it.
            if (moment := writing.publish_at(visit.form)) is not None:
                await self._drafts.create(visit.viewer_id, new, moment)
                return redirect("/drafts")
            tweet = await self._ingestion.post(visit.viewer_id, new, self._key(visit))
        except (Invalid, Forbidden, NotFound) as error:
            if visit.fragment:
                raise
            return await self._form(visit, writing.typed(visit.form), error)
        if visit.fragment:
            return self._render.piece(visit, "pieces/written.html", status=201, tweet=tweet)
        return visit.back(f"/tweets/{tweet.id}")

    async def _form(self, visit: Visit, values: Any, error: RookeryError | None = None) -> Reply:
        answered, quoted = await self._named(visit, values, "reply_to"), await self._named(visit, values, "quote_of")
        return await self._render.page(
            visit,
            "compose.html",
            status=200 if error is None else error.status,
            values=values,
            error=error,
            answered=answered,
            quoted=quoted,
            weight=writing.weight(values),
            key=secrets.token_urlsafe(16),
        )

    async def _named(self, visit: Visit, values: Any, field: str) -> Tweet | None:
        if not values.get(field):
            return None
        found = await self._reads.get([visit.id_of(values[field])], visit.viewer_id)
        return found[0] if found else None

    def _key(self, visit: Visit) -> IdempotencyKey | None:
        """The form's own key: sent twice, it posts once."""
        key = visit.form.get("key", "")
        if not key or len(key) > _KEY or not key.isascii() or not key.isprintable():
            return None
        written = "\0".join(f"{name}={value}" for name, value in sorted(visit.form.items()) if name != "csrf")
        return IdempotencyKey(f"page:{key}", sha256(written.encode()).digest())
