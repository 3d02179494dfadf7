"""Editing one's own tweet, and what tweets said before they were edited."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from markupsafe import Markup, escape

from rookery.gateways.web import writing
from rookery.gateways.web.differences import marked
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Access, Reply, Route, Visit
from rookery.kernel.errors import Forbidden, Invalid, NotFound, RookeryError
from rookery.kernel.pages import Slice
from rookery.services.tweets.contract import Revision, Tweet, TweetChange, TweetIngestion, TweetReads

_AT_ONCE: Final = 10
"""Revisions of one page."""


class Stage(NamedTuple):
    """What a tweet said for a time."""

    revision: Revision
    text: Markup
    """With what was written anew, and what was taken out, marked."""
    before: Revision | None
    """What it said until then; None for what was posted."""


class EditPages:
    """The form in which a tweet is changed, and its history."""

    def __init__(self, *, render: Renderer, reads: TweetReads, ingestion: TweetIngestion) -> None:
        self._render = render
        self._reads = reads
        self._ingestion = ingestion

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", "/tweets/{id}/edit", self.form),
            Route("POST", "/tweets/{id}/edit", self.edit),
            Route("GET", "/tweets/{id}/revisions", self.revisions, Access.PUBLIC),
        ]

    async def form(self, visit: Visit) -> Reply:
        tweet = await self._mine(visit)
        record = tweet.record
        values = {"content": record.content, "visibility": record.visibility, "reply_rule": record.reply_rule}
        return await self._form(visit, tweet, values)

    async def edit(self, visit: Visit) -> Reply:
        tweet = await self._mine(visit)
        try:
            given = writing.audience(visit)
            if tweet.record.root_id is not None:
                del given["reply_rule"]
            change = TweetChange(content=visit.text("content"), **given)
            await self._ingestion.edit(visit.viewer_id, tweet.id, change)
        except (Invalid, Forbidden) as error:
            return await self._form(visit, tweet, visit.form, error)
        return visit.back(f"/tweets/{tweet.id}")

    async def revisions(self, visit: Visit) -> Reply:
        told = await self._reads.revisions(visit.id(), visit.viewer_id)
        # A cursor is the number of the first one that is not wanted any more, counted from the oldest.
        end = len(told) if (before := visit.page().before) is None else min(before, len(told))
        start = max(0, end - _AT_ONCE)
        newest = len(told) - end
        # Comparing texts that were made to be hard to compare takes long.
        stages = await asyncio.to_thread(_stages, told, newest, len(told) - start)
        tweets = await self._reads.get([visit.id()], visit.viewer_id)
        return await self._render.page(
            visit,
            "revisions.html",
            slice=Slice(stages, start or None, None),
            tweet=tweets[0] if tweets else None,
            newest=not newest,
        )

    async def _form(self, visit: Visit, tweet: Tweet, values: Any, error: RookeryError | None = None) -> Reply:
        return await self._render.page(
            visit,
            "edit.html",
            status=200 if error is None else error.status,
            tweet=tweet,
            values={**values, "next": f"/tweets/{tweet.id}", "reply_to": tweet.record.root_id},
            error=error,
            weight=writing.weight(values),
        )

    async def _mine(self, visit: Visit) -> Tweet:
        found = await self._reads.get([visit.id()], visit.viewer_id)
        if not found or found[0].author.id != visit.viewer_id:
            raise NotFound("there is no such tweet", code="tweet_not_found")
        return found[0]


def _stage(revision: Revision, before: Revision | None) -> Stage:
    text = escape(revision.content) if before is None else marked(before.content, revision.content)
    return Stage(revision, text, before)


def _stages(told: Sequence[Revision], start: int, end: int) -> list[Stage]:
    """Those from `start` up to below `end`, newest first; the oldest of all has no predecessor."""
    return [_stage(told[at], told[at + 1] if at + 1 < len(told) else None) for at in range(start, end)]
