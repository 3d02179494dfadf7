"""What moderators and admins do: reports, tweets that wait, accounts, block lists; and what was done."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rookery.gateways.web.operating import actor_of
from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Access, Handler, Reply, Route, Visit, redirect
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound, RookeryError
from rookery.kernel.visibility import State
from rookery.services.moderation.contract import (
    RANKS,
    ListAction,
    ListName,
    Moderation,
    Report,
    ReportState,
    Target,
)
from rookery.services.tweets.contract import Standing, StandingChange, Tweet, TweetReads
from rookery.services.users.contract import Role, User, Users

_REFUSALS: Final = (Invalid, NotFound, Conflict, Forbidden)
"""What stands above the form that it is about, instead of on a page of its own."""
_REPORTS: Final = {one.value: one for one in ReportState}
_LISTS: Final = {one.value: one for one in ListName}
_STATES: Final = {"restore": State.ACTIVE, "limit": State.LIMITED, "suspend": State.SUSPENDED}


class AdministrationPages:
    """The pages of moderators below /admin."""

    def __init__(
        self, *, render: Renderer, moderation: Moderation, users: Users, reads: TweetReads, labels: Sequence[str]
    ) -> None:
        """`labels` are those that tweets may have."""
        self._render = render
        self._moderation = moderation
        self._users = users
        self._reads = reads
        self._labels = labels

    def routes(self) -> list[Route]:
        """What is offered."""
        found: list[tuple[str, Handler, Handler | None]] = [
            ("/admin/reports", self.reports, self.end_report),
            ("/admin/tweets/{id}", self.tweet, self.change_tweet),
            ("/admin/held", self.held, self.end_holding),
            ("/admin/accounts", self.accounts, self.decide),
            ("/admin/accounts/{id}", self.account, self.change_account),
            ("/admin/blocklists", self.lists, self.change_list),
            ("/admin/audit", self.audit, None),
        ]
        shows = [Route("GET", path, show, Access.MODERATOR) for path, show, _ in found]
        return [*shows, *(Route("POST", path, act, Access.MODERATOR) for path, _, act in found if act is not None)]

    # --- reports

    async def reports(self, visit: Visit) -> Reply:
        return await self._reports(visit)

    async def end_report(self, visit: Visit) -> Reply:
        """Do something about what was reported, or nothing, and close the report."""
        actor, id, reason = actor_of(visit), _named(visit), visit.text("reason")
        try:
            report = await self._moderation.get_report(actor, id)
            act = visit.form.get("do", "")
            await self._act(visit, report, act, reason)
            state = ReportState.DISMISSED if act == "dismiss" else ReportState.RESOLVED
            await self._moderation.close(actor, id, state, reason)
        except _REFUSALS as error:
            return await self._reports(visit, error)
        return visit.back("/admin/reports")

    async def _act(self, visit: Visit, report: Report, act: str, reason: str) -> None:
        """Do what is to be done before the report is closed. Raises Invalid for what can't be done about it."""
        if act in ("dismiss", "resolve"):
            return
        if act in _STATES:
            await self._moderation.set_state(actor_of(visit), report.user_id, _STATES[act], reason)
        elif report.tweet_id is not None:
            await self._moderation.stand(actor_of(visit), report.tweet_id, self._change(act), reason)
        else:
            raise _no_act()

    async def _reports(self, visit: Visit, error: RookeryError | None = None) -> Reply:
        state = _REPORTS.get(visit.query.get("state", ""), ReportState.OPEN)
        found = await self._moderation.reports(actor_of(visit), state, visit.page())
        concerned = {id for one in found.items for id in (one.reporter_id, one.user_id, one.closed_by) if id}
        # As this moderator sees them as a reader: to look at others is noted.
        tweets = await self._shown(visit, (one.tweet_id for one in found.items if one.tweet_id is not None))
        return await self._render.page(
            visit,
            "admin/reports.html",
            status=200 if error is None else error.status,
            slice=found,
            state=state.value,
            people=await self._users.get(list(concerned)),
            tweets=tweets,
            labels=self._labels,
            error=error,
        )

    async def _shown(self, visit: Visit, ids: Iterable[int]) -> Mapping[int, Tweet]:
        wanted = list(dict.fromkeys(ids))
        return {one.id: one for one in await self._reads.get(wanted, visit.viewer_id)} if wanted else {}

    # --- tweets

    async def tweet(self, visit: Visit) -> Reply:
        return await self._tweet(visit)

    async def change_tweet(self, visit: Visit) -> Reply:
        id = visit.id()
        try:
            change = self._change(visit.form.get("do", ""))
            await self._moderation.stand(actor_of(visit), id, change, visit.text("reason"))
        except _REFUSALS as error:
            return await self._tweet(visit, error)
        return visit.back(f"/admin/tweets/{id}")

    async def _tweet(self, visit: Visit, error: RookeryError | None = None) -> Reply:
        file = await self._moderation.look_at_tweet(actor_of(visit), visit.id())
        return await self._render.page(
            visit,
            "admin/tweet.html",
            status=200 if error is None else error.status,
            file=file,
            labels=self._labels,
            subject=self._may(visit, file.tweet.author),
            error=error,
        )

    async def held(self, visit: Visit) -> Reply:
        return await self._held(visit)

    async def end_holding(self, visit: Visit) -> Reply:
        try:
            change = self._change(visit.form.get("do", ""))
            await self._moderation.stand(actor_of(visit), _named(visit), change, visit.text("reason"))
        except _REFUSALS as error:
            return await self._held(visit, error)
        return visit.back("/admin/held")

    async def _held(self, visit: Visit, error: RookeryError | None = None) -> Reply:
        found = await self._moderation.held(actor_of(visit), visit.page())
        return await self._render.page(
            visit, "admin/held.html", status=200 if error is None else error.status, slice=found, error=error
        )

    def _change(self, act: str) -> StandingChange:
        """What an act is to a tweet: `withhold`, `show`, `label:LABEL`, `unlabel`. Raises Invalid."""
        name, _, label = act.partition(":")
        if name == "label" and label in self._labels:
            return StandingChange(label=label)
        if act == "unlabel":
            return StandingChange(label=None)
        if act == "withhold":
            return StandingChange(standing=Standing.WITHHELD)
        if act == "show":
            return StandingChange(standing=Standing.SHOWN)
        raise _no_act()

    # --- accounts

    async def accounts(self, visit: Visit) -> Reply:
        handle = visit.query.get("handle", "").strip().removeprefix("@")
        if handle:
            found = (await self._users.by_handles([handle])).get(handle.lower())
            if found is not None:
                return redirect(f"/admin/accounts/{found.id}")
        return await self._accounts(visit, handle)

    async def decide(self, visit: Visit) -> Reply:
        approved = visit.form.get("do") == "approve"
        try:
            if not approved and visit.form.get("do") != "refuse":
                raise _no_act()
            await self._moderation.decide(actor_of(visit), _named(visit), approved, visit.text("reason"))
        except _REFUSALS as error:
            return await self._accounts(visit, "", error)
        return visit.back("/admin/accounts")

    async def _accounts(self, visit: Visit, handle: str, error: RookeryError | None = None) -> Reply:
        return await self._render.page(
            visit,
            "admin/accounts.html",
            status=200 if error is None else error.status,
            slice=await self._moderation.registrations(actor_of(visit), visit.page()),
            handle=handle,
            error=error,
        )

    async def account(self, visit: Visit) -> Reply:
        return await self._account(visit)

    async def change_account(self, visit: Visit) -> Reply:
        actor, id, reason = actor_of(visit), visit.id(), visit.text("reason")
        act, _, role = visit.form.get("do", "").partition(":")
        if act == "private":
            # That an admin looked is noted, so it is an act.
            return await self._account(visit, private=True)
        try:
            if act in _STATES:
                await self._moderation.set_state(actor, id, _STATES[act], reason)
            elif act == "role" and role in (Role.PERSON.value, Role.MODERATOR.value):
                await self._moderation.set_role(actor, id, Role(role), reason)
            else:
                raise _no_act()
        except _REFUSALS as error:
            return await self._account(visit, error)
        return visit.back(f"/admin/accounts/{id}")

    async def _account(self, visit: Visit, error: RookeryError | None = None, *, private: bool = False) -> Reply:
        file = await self._moderation.look_at_user(actor_of(visit), visit.id(), private=private)
        return await self._render.page(
            visit,
            "admin/account.html",
            status=200 if error is None else error.status,
            file=file,
            user=file.user,
            subject=self._may(visit, file.user),
            error=error,
        )

    def _may(self, visit: Visit, user: User) -> bool:
        """Whether the visitor may act on this account; what they do is judged once more when they do it."""
        return user.id != visit.viewer_id and RANKS[user.role] < RANKS[visit.mine.role]

    # --- block lists, and the log

    async def lists(self, visit: Visit) -> Reply:
        return await self._lists(visit, _LISTS.get(visit.query.get("list", ""), ListName.WORDS))

    async def change_list(self, visit: Visit) -> Reply:
        """Add entries to a list, one a line, or remove one."""
        actor, form, reason = actor_of(visit), visit.form, visit.text("reason")
        name = _LISTS.get(form.get("list", ""), ListName.WORDS)
        try:
            if form.get("do") == "add":
                entries = [line.strip() for line in visit.text("entries").split("\n") if line.strip()]
                action = ListAction.HOLD if form.get("action") == "hold" else ListAction.REFUSE
                await self._moderation.add_entries(actor, name, entries, action, reason)
            elif form.get("do") == "remove":
                await self._moderation.remove_entry(actor, name, _named(visit), reason)
            else:
                raise _no_act()
        except _REFUSALS as error:
            return await self._lists(visit, name, error)
        return visit.back(f"/admin/blocklists?list={name.value}")

    async def _lists(self, visit: Visit, name: ListName, error: RookeryError | None = None) -> Reply:
        return await self._render.page(
            visit,
            "admin/blocklists.html",
            status=200 if error is None else error.status,
            slice=await self._moderation.list_entries(actor_of(visit), name, visit.page()),
            name=name.value,
            written=visit.text("entries"),
            error=error,
        )

    async def audit(self, visit: Visit) -> Reply:
        found = await self._moderation.audit(actor_of(visit), visit.page())
        concerned = {one.actor.id for one in found.items}
        concerned |= {one.note.target_id for one in found.items if one.note.target is Target.USER}
        concerned.discard(0)
        people = await self._users.get(list(concerned))
        return await self._render.page(visit, "admin/audit.html", slice=found, people=people)


def _named(visit: Visit) -> int:
    """The id of what a form is about; for anything else there is no such thing."""
    return visit.id_of(visit.form.get("id", ""))


def _no_act() -> Invalid:
    return Invalid("{field} is nothing that can be done here", field="do", code="invalid_act")
