"""What operators see: the network's figures, and events that consumers could not handle."""

from typing import Final

from rookery.gateways.web.figures import Figures
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Access, Reply, Route, Visit
from rookery.kernel.errors import Invalid, NotFound, RookeryError
from rookery.services.moderation.contract import Actor, Via
from rookery.services.ops.contract import Ops, Span

_SPANS: Final = {one.value: one for one in Span}


class OperatorPages:
    """The pages of the operators: figures for moderators and admins, events for admins."""

    def __init__(self, *, render: Renderer, ops: Ops) -> None:
        self._render = render
        self._ops = ops

    def routes(self) -> list[Route]:
        """What is offered."""
        return [
            Route("GET", "/admin", self.overview, Access.MODERATOR),
            Route("GET", "/admin/events", self.events, Access.ADMIN),
            Route("POST", "/admin/events", self.act, Access.ADMIN),
        ]

    async def overview(self, visit: Visit) -> Reply:
        actor = actor_of(visit)
        span = _SPANS.get(visit.query.get("span", ""), Span.MINUTES)
        seen = await self._ops.overview(actor)
        figures = Figures(visit.language)
        charts = figures.charts(await self._ops.history(actor, span), span, seen.at)
        return await self._render.page(
            visit, "admin/overview.html", seen=seen, figures=figures, charts=charts, span=span.value
        )

    async def events(self, visit: Visit) -> Reply:
        return await self._events(visit)

    async def act(self, visit: Visit) -> Reply:
        """Have parked events tried again, or give them up: one of a group, all of it, or, to be tried again, all there are."""
        actor, form = actor_of(visit), visit.form
        try:
            group, offset = form.get("group") or None, _offset(form.get("offset"))
            if form.get("do") == "skip":
                if group is None:
                    raise Invalid("{field} is missing", field="group", code="missing_field")
                await self._ops.skip(actor, group, offset, visit.text("reason"))
            elif form.get("do") == "replay":
                await self._ops.replay(actor, group, offset, visit.text("reason"))
            else:
                raise Invalid("{field} is replay or skip", field="do", code="invalid_act")
        except (Invalid, NotFound) as error:
            return await self._events(visit, error)
        return visit.back("/admin/events")

    async def _events(self, visit: Visit, error: RookeryError | None = None) -> Reply:
        actor, group = actor_of(visit), visit.query.get("group") or None
        try:
            found = await self._ops.parked(actor, group, visit.page())
        except Invalid as invalid:
            # A link that came from elsewhere: all of them instead.
            error = error or invalid
            group, found = None, await self._ops.parked(actor, None, visit.page())
        seen = await self._ops.overview(actor)
        return await self._render.page(
            visit,
            "admin/events.html",
            status=200 if error is None else error.status,
            slice=found,
            group=group,
            groups=seen.groups,
            figures=Figures(visit.language),
            error=error,
        )


def actor_of(visit: Visit) -> Actor:
    """Who acts, by a page."""
    return Actor(visit.mine.user_id, Via.PAGE)


def _offset(text: str | None) -> int | None:
    """The offset that a form names; none where it means all. Raises Invalid."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        raise Invalid("{field} is not the offset of an event", field="offset", code="invalid_offset")
    return int(text)
