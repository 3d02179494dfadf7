"""Reporting an account or a tweet to the moderators."""

from typing import Any, Final

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Reply, Route, Visit
from rookery.gateways.web.writing import choice
from rookery.kernel.errors import Invalid, NotFound, RookeryError, TooMany
from rookery.services.moderation.contract import Moderation, Reason
from rookery.services.tweets.contract import TweetReads
from rookery.services.users.contract import User, Users

_TARGETS: Final = ("tweet", "user")


class ReportPages:
    """The form in which one complains."""

    def __init__(self, *, render: Renderer, moderation: Moderation, reads: TweetReads, users: Users) -> None:
        self._render = render
        self._moderation = moderation
        self._reads = reads
        self._users = users

    def routes(self) -> list[Route]:
        """What is offered."""
        return [Route("GET", "/report", self.form), Route("POST", "/report", self.report)]

    async def form(self, visit: Visit) -> Reply:
        return await self._form(visit, {name: visit.query.get(name, "") for name in _TARGETS})

    async def report(self, visit: Visit) -> Reply:
        form = visit.form
        try:
            if not form.get("reason"):
                raise Invalid("choose a reason", field="reason", code="missing")
            made = await self._moderation.report(
                visit.viewer_id,
                user_id=visit.id_of(form["user"]) if form.get("user") else None,
                tweet_id=visit.id_of(form["tweet"]) if form.get("tweet") else None,
                reason=choice(Reason, form.get("reason"), Reason.OTHER, "reason"),
                comment=visit.text("comment").strip(),
            )
        except (Invalid, TooMany) as error:
            return await self._form(visit, form, error)
        return await self._render.page(visit, "reported.html", user=await self._person(made.user_id))

    async def _form(self, visit: Visit, values: Any, error: RookeryError | None = None) -> Reply:
        tweet = user = None
        if values.get("tweet"):
            # Who blocked its author already does not see it, and may report it all the same.
            found = await self._reads.get([visit.id_of(values["tweet"])], visit.viewer_id)
            tweet = found[0] if found else None
        elif values.get("user"):
            user = await self._person(visit.id_of(values["user"]))
        else:
            raise NotFound("there is nothing to report", code="not_found")
        status = 200 if error is None else error.status
        return await self._render.page(
            visit,
            "report.html",
            status=status,
            values=values,
            error=error,
            tweet=tweet,
            user=user,
            reasons=list(Reason),
        )

    async def _person(self, user_id: int) -> User:
        found = (await self._users.get([user_id])).get(user_id)
        if found is None or not found.state.shown:
            raise NotFound("there is nobody here of that name", code="user_not_found")
        return found
