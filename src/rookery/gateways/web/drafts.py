"""Drafts: tweets to be, some with a time at which they are posted."""

from typing import Any

from rookery.gateways.web import writing
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Reply, Route, Visit, redirect
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound, RookeryError
from rookery.services.drafts.contract import Draft, DraftChange, Drafts
from rookery.services.tweets.contract import Tweet, TweetReads


class DraftPages:
    """My drafts, and the form in which one is changed."""

    def __init__(self, *, render: Renderer, drafts: Drafts, reads: TweetReads) -> None:
        self._render = render
        self._drafts = drafts
        self._reads = reads

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", "/drafts", self.mine),
            Route("GET", "/drafts/{id}", self.form),
            Route("POST", "/drafts/{id}", self.change),
            Route("POST", "/drafts/{id}/post", self.post),
            Route("GET", "/drafts/{id}/delete", self.ask_delete),
            Route("POST", "/drafts/{id}/delete", self.delete),
        ]

    async def mine(self, visit: Visit) -> Reply:
        found = await self._drafts.mine(visit.viewer_id, visit.page())
        if visit.fragment:
            return self._render.piece(visit, "pieces/drafts.html", slice=found)
        return await self._render.page(visit, "drafts.html", slice=found)

    async def form(self, visit: Visit) -> Reply:
        draft = await self._drafts.get(visit.viewer_id, visit.id())
        return await self._form(visit, draft, _values(draft))

    async def change(self, visit: Visit) -> Reply:
        """Save what was written; and post it, where that button was pressed. What could not be posted is saved all the same."""
        draft = await self._drafts.get(visit.viewer_id, visit.id())
        now = visit.form.get("do") == "post"
        try:
            given = writing.audience(visit)
            if draft.tweet.reply_to is not None:
                del given["reply_rule"]
            moment = None if now else writing.publish_at(visit.form)
            change = DraftChange(content=visit.text("content"), publish_at=moment, **given)
            await self._drafts.edit(visit.viewer_id, draft.id, change)
            if now:
                return await self._posted(visit, draft.id)
        except (Invalid, Forbidden, Conflict, NotFound) as error:
            return await self._form(visit, draft, writing.typed(visit.form), error)
        return redirect("/drafts")

    async def post(self, visit: Visit) -> Reply:
        draft = await self._drafts.get(visit.viewer_id, visit.id())
        try:
            return await self._posted(visit, draft.id)
        except (Invalid, Forbidden, Conflict, NotFound) as error:
            return await self._form(visit, draft, _values(draft), error)

    async def ask_delete(self, visit: Visit) -> Reply:
        draft = await self._drafts.get(visit.viewer_id, visit.id())
        return await self._render.page(visit, "draft_delete.html", draft=draft)

    async def delete(self, visit: Visit) -> Reply:
        await self._drafts.delete(visit.viewer_id, visit.id())
        return redirect("/drafts")

    async def _posted(self, visit: Visit, draft_id: int) -> Reply:
        return redirect(f"/tweets/{(await self._drafts.publish(visit.viewer_id, draft_id)).id}")

    async def _form(self, visit: Visit, draft: Draft, values: Any, error: RookeryError | None = None) -> Reply:
        return await self._render.page(
            visit,
            "draft.html",
            status=200 if error is None else error.status,
            draft=draft,
            values={**values, "reply_to": draft.tweet.reply_to, "next": "/drafts"},
            error=error,
            answered=await self._named(visit, draft.tweet.reply_to),
            quoted=await self._named(visit, draft.tweet.quote_of),
            weight=writing.weight(values),
        )

    async def _named(self, visit: Visit, tweet_id: int | None) -> Tweet | None:
        found = [] if tweet_id is None else await self._reads.get([tweet_id], visit.viewer_id)
        return found[0] if found else None


def _values(draft: Draft) -> dict[str, Any]:
    """The draft as the form has it."""
    return {
        "content": draft.tweet.content,
        "visibility": draft.tweet.visibility,
        "reply_rule": draft.tweet.reply_rule,
        "publish_at": writing.moment_field(draft.publish_at),
    }
