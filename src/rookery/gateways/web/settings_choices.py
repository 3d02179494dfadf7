"""What I chose to see and not to see: people muted and blocked, conversations muted, words filtered, hashtags followed."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, UnsetType

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.settings_forms import show_form
from rookery.gateways.web.visits import Reply, Route, Visit, redirect
from rookery.kernel.clock import DAY, Millis
from rookery.kernel.errors import Forbidden, Invalid, NotFound, RookeryError
from rookery.kernel.pages import Slice
from rookery.services.graph.contract import Choices, Edge, Graph, WordFilter
from rookery.services.tweets.contract import TweetReads
from rookery.services.users.contract import Users

_FILTERS: Final = "/settings/filters"
_HASHTAGS: Final = "/settings/hashtags"
_CONVERSATIONS: Final = "/settings/conversations"
_LASTS: Final[Mapping[str, int | None]] = {"never": None, "1": 1, "7": 7, "30": 30}
"""How long a filter may last: what the form says, and days."""
_KEEP: Final = "keep"


class ChoicePages:
    """The lists of what one person chose for themselves. People are unmuted and unblocked by the profile's forms."""

    def __init__(self, *, render: Renderer, users: Users, graph: Graph, choices: Choices, reads: TweetReads) -> None:
        self._render = render
        self._users = users
        self._graph = graph
        self._choices = choices
        self._reads = reads

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", "/settings/muted", self.muted),
            Route("GET", "/settings/blocked", self.blocked),
            Route("GET", _CONVERSATIONS, self.conversations),
            Route("POST", f"{_CONVERSATIONS}/{{id}}/unmute", self.unmute_conversation),
            Route("GET", _HASHTAGS, self.hashtags),
            Route("POST", _HASHTAGS, self.follow_hashtag),
            Route("GET", _FILTERS, self.filters),
            Route("POST", _FILTERS, self.add_filter),
            Route("GET", f"{_FILTERS}/{{id}}", self.filter),
            Route("POST", f"{_FILTERS}/{{id}}", self.edit_filter),
            Route("POST", f"{_FILTERS}/{{id}}/remove", self.remove_filter),
        ]

    # --- people

    async def muted(self, visit: Visit) -> Reply:
        return await self._people(visit, "mute", await self._graph.muted(visit.viewer_id, visit.page()))

    async def blocked(self, visit: Visit) -> Reply:
        return await self._people(visit, "block", await self._graph.blocked(visit.viewer_id, visit.page()))

    async def _people(self, visit: Visit, kind: str, edges: Slice[Edge]) -> Reply:
        found = await self._users.get([one.user_id for one in edges.items])
        people = edges.map(lambda rows: [found[row.user_id] for row in rows if row.user_id in found])
        return await self._render.page(visit, "settings/people.html", slice=people, kind=kind)

    # --- conversations

    async def conversations(self, visit: Visit) -> Reply:
        rows = await self._choices.muted_conversations(visit.viewer_id, visit.page())
        roots = [one.root_id for one in rows.items]
        found = {one.id: one for one in await self._reads.get(roots, visit.viewer_id)}
        # What can't be seen any more can be unmuted all the same.
        shown = rows.map(lambda _: [(id, found.get(id)) for id in roots])
        return await self._render.page(visit, "settings/conversations.html", slice=shown)

    async def unmute_conversation(self, visit: Visit) -> Reply:
        await self._choices.unmute_conversation(visit.viewer_id, visit.id())
        return visit.back(_CONVERSATIONS)

    # --- hashtags

    async def hashtags(self, visit: Visit) -> Reply:
        return await self._hashtags(visit, {})

    async def follow_hashtag(self, visit: Visit) -> Reply:
        try:
            await self._choices.follow_hashtag(visit.viewer_id, visit.form.get("tag", "").strip().lstrip("#＃"))
        except (Invalid, Forbidden) as error:
            return await self._hashtags(visit, visit.form, error)
        return redirect(_HASHTAGS)

    async def _hashtags(self, visit: Visit, values: Mapping[str, Any], error: RookeryError | None = None) -> Reply:
        found = await self._choices.followed_hashtags(visit.viewer_id, visit.page())
        codes = {"too_many_hashtags": "tag"}
        return await show_form(self._render, visit, "settings/hashtags.html", values, error, codes, slice=found)

    # --- words

    async def filters(self, visit: Visit) -> Reply:
        return await self._filters(visit, {})

    async def add_filter(self, visit: Visit) -> Reply:
        try:
            ends = _ends(visit, "never")
            assert ends is not UNSET
            await self._choices.add_filter(visit.viewer_id, visit.form.get("phrase", ""), ends)
        except (Invalid, Forbidden) as error:
            return await self._filters(visit, visit.form, error)
        return redirect(_FILTERS)

    async def filter(self, visit: Visit) -> Reply:
        found = await self._filter(visit)
        return await self._one(visit, found, {"phrase": found.phrase, "lasts": _KEEP})

    async def edit_filter(self, visit: Visit) -> Reply:
        found = await self._filter(visit)
        try:
            ends = _ends(visit, _KEEP)
            phrase = visit.form.get("phrase", "")
            await self._choices.edit_filter(visit.viewer_id, found.id, phrase=phrase, expires_at=ends)
        except Invalid as error:
            return await self._one(visit, found, visit.form, error)
        return redirect(_FILTERS)

    async def remove_filter(self, visit: Visit) -> Reply:
        await self._choices.remove_filter(visit.viewer_id, visit.id())
        return visit.back(_FILTERS)

    async def _filters(self, visit: Visit, values: Mapping[str, Any], error: RookeryError | None = None) -> Reply:
        found = await self._choices.filters(visit.viewer_id)
        codes = {"too_many_filters": "phrase"}
        return await show_form(self._render, visit, "settings/filters.html", values, error, codes, filters=found)

    async def _filter(self, visit: Visit) -> WordFilter:
        """The filter that the address names. Raises NotFound."""
        id = visit.id()
        for one in await self._choices.filters(visit.viewer_id):
            if one.id == id:
                return one
        raise NotFound("there is no such filter", code="filter_not_found")

    async def _one(
        self, visit: Visit, found: WordFilter, values: Mapping[str, Any], error: RookeryError | None = None
    ) -> Reply:
        return await show_form(self._render, visit, "settings/filter.html", values, error, filter=found)


def _ends(visit: Visit, otherwise: str) -> Millis | None | UnsetType:
    """When the form wants a filter to end; UNSET: as before. Raises Invalid for what no form of ours says."""
    lasts = visit.form.get("lasts") or otherwise
    if lasts == _KEEP and otherwise == _KEEP:
        return UNSET
    if lasts not in _LASTS:
        raise Invalid("{field} is one of {known}", field="lasts", known=", ".join(_LASTS), code="invalid_value")
    days = _LASTS[lasts]
    return None if days is None else visit.now + days * DAY
