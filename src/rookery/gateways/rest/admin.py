"""Reports, and what moderators and admins do: accounts, tweets, block lists, the audit log."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from rookery.gateways.rest import admin_shapes as shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Method, Operation, Parameter
from rookery.gateways.rest.fragments import Fragments
from rookery.gateways.rest.present import Presenter, encode, moment, optional_id, rfc3339
from rookery.gateways.rest.shapes import UserList
from rookery.kernel.errors import Invalid, NotFound
from rookery.kernel.ids import parse_id
from rookery.kernel.pages import Slice
from rookery.kernel.visibility import State
from rookery.services.moderation.contract import (
    Actor,
    Audited,
    ListAction,
    ListEntry,
    ListName,
    Moderation,
    Reason,
    Report,
    ReportCounts,
    ReportState,
    TweetFile,
    UserFile,
)
from rookery.services.tweets.contract import Standing, StandingChange, Tweet

_TAG: Final = "admin"
_STATE: Final = Parameter(
    "state",
    "Reports in this state; open where it is left out.",
    {"type": "string", "enum": [one.value for one in ReportState], "default": "open"},
)
_REASON: Final = Parameter("reason", "Why, for the audit log.", {"type": "string", "maxLength": 1000})
_STATES: Final = {one.value: one for one in ReportState}
_LISTS: Final = {one.value: one for one in ListName}


class AdminCalls:
    """The calls of moderators and admins, and the one by which everybody reports to them."""

    def __init__(self, *, moderation: Moderation, presenter: Presenter, fragments: Fragments) -> None:
        self._moderation = moderation
        self._presenter = presenter
        self._fragments = fragments

    def operations(self) -> list[Operation]:
        """What is offered."""
        user, tweet, report, a_list = (
            "/v1/admin/users/{id}",
            "/v1/admin/tweets/{id}",
            "/v1/admin/reports/{id}",
            "/v1/admin/blocklists/{list}",
        )
        return [
            Operation(
                id="report",
                method="POST",
                path="/v1/reports",
                summary="Report an account or a tweet to the moderators; a second report takes the place of an open one",
                tag="reports",
                access=Access.WRITE,
                handle=self.report,
                body=shapes.NewReport,
                answer=shapes.Report,
                status=201,
                errors=(404,),
            ),
            _one("get_report", "GET", report, "A report", self.get_report, shapes.AdminReport),
            _one(
                "close_report",
                "PUT",
                report,
                "Resolve or dismiss a report",
                self.close_report,
                shapes.AdminReport,
                shapes.ReportEnd,
            ),
            _list(
                "list_reports",
                "/v1/admin/reports",
                "Reports in a state, newest first",
                self.reports,
                shapes.AdminReportList,
                _STATE,
            ),
            _one("look_at_user", "GET", user, "An account in any state", self.look_at_user, shapes.AdminUser),
            _one(
                "set_user_state",
                "PUT",
                f"{user}/state",
                "Suspend, limit or restore an account",
                self.set_state,
                shapes.AdminUser,
                shapes.StateChange,
            ),
            _list(
                "list_registrations",
                "/v1/admin/registrations",
                "Accounts that wait for approval, newest first",
                self.registrations,
                UserList,
            ),
            Operation(
                id="decide_registration",
                method="PUT",
                path="/v1/admin/registrations/{id}",
                summary="Let an account in that waits for approval, or remove it",
                tag=_TAG,
                access=Access.MODERATE,
                handle=self.decide,
                body=shapes.Decision,
                status=204,
                errors=(404, 409),
            ),
            _one("look_at_tweet", "GET", tweet, "A tweet, whomever it is for", self.look_at_tweet, shapes.AdminTweet),
            _one(
                "set_tweet_standing",
                "PUT",
                f"{tweet}/standing",
                "Withhold a tweet from all but its author, or show it: one that is held is let through by that",
                self.set_standing,
                shapes.AdminTweet,
                shapes.StandingChange,
            ),
            _one(
                "label_tweet",
                "PUT",
                f"{tweet}/label",
                "Label a tweet for everybody to see",
                self.label,
                shapes.AdminTweet,
                shapes.LabelChange,
            ),
            _list(
                "list_held",
                "/v1/admin/held",
                "Tweets that are held until a moderator has looked at them, newest first",
                self.held,
                shapes.AdminTweetList,
            ),
            _list("list_entries", a_list, "Entries of a block list, newest first", self.entries, shapes.ListEntries),
            _one(
                "add_entries",
                "POST",
                a_list,
                "Add entries to a block list",
                self.add_entries,
                shapes.Added,
                shapes.NewEntries,
            ),
            Operation(
                id="remove_entry",
                method="DELETE",
                path=f"{a_list}/{{id}}",
                summary="Remove an entry from a block list",
                tag=_TAG,
                access=Access.MODERATE,
                handle=self.remove_entry,
                parameters=(_REASON,),
                status=204,
                errors=(404,),
            ),
            _list("list_audit", "/v1/admin/audit", "What was done, newest first", self.audit, shapes.AuditLog),
        ]

    # --- reports

    async def report(self, call: Call) -> Answer:
        given = call.body(shapes.NewReport)
        made = await self._moderation.report(
            call.me.user_id,
            user_id=None if given.user_id is None else parse_id(given.user_id, "user_id"),
            tweet_id=None if given.tweet_id is None else parse_id(given.tweet_id, "tweet_id"),
            reason=Reason(given.reason),
            comment=given.comment,
        )
        fields = {
            name: value for name, value in asdict(_report(made)).items() if name in shapes.Report.__struct_fields__
        }
        return Answer(encode(shapes.Report(**fields)), 201)

    async def reports(self, call: Call) -> Answer:
        state = _STATES.get(call.query.get("state", "open"))
        if state is None:
            raise Invalid("{field} is open, resolved or dismissed", field="state", code="invalid_parameter")
        found = await self._moderation.reports(_actor(call), state, call.page())
        return _page(call, found, [_report(one) for one in found.items], shapes.AdminReportList)

    async def get_report(self, call: Call) -> Answer:
        return Answer(encode(_report(await self._moderation.get_report(_actor(call), call.id()))))

    async def close_report(self, call: Call) -> Answer:
        given = call.body(shapes.ReportEnd)
        closed = await self._moderation.close(_actor(call), call.id(), ReportState(given.state), given.note)
        return Answer(encode(_report(closed)))

    # --- accounts

    async def look_at_user(self, call: Call) -> Answer:
        return await self._user(await self._moderation.look_at_user(_actor(call), call.id(), private=True))

    async def set_state(self, call: Call) -> Answer:
        given = call.body(shapes.StateChange)
        actor, id = _actor(call), call.id()
        await self._moderation.set_state(actor, id, State(given.state), given.reason)
        return await self._user(await self._moderation.look_at_user(actor, id))

    async def registrations(self, call: Call) -> Answer:
        found = await self._moderation.registrations(_actor(call), call.page())
        return Answer(encode(await self._presenter.page(found)), headers=call.links(found))

    async def decide(self, call: Call) -> Answer:
        given = call.body(shapes.Decision)
        await self._moderation.decide(_actor(call), call.id(), given.approved, given.reason)
        return Answer(status=204)

    async def _user(self, of: UserFile) -> Answer:
        account = of.account
        shown = shapes.AdminUser(
            user=(await self._presenter.people([of.user]))[0],
            state=of.user.state.value,
            reports=_counts(of.reports),
            email=None if account is None else account.email,
            email_verified=None if account is None else account.email_verified_at is not None,
            last_active=None if account is None else moment(account.last_active),
        )
        return Answer(encode(shown))

    # --- tweets

    async def look_at_tweet(self, call: Call) -> Answer:
        return Answer(encode(self._tweet(await self._moderation.look_at_tweet(_actor(call), call.id()))))

    async def set_standing(self, call: Call) -> Answer:
        given = call.body(shapes.StandingChange)
        return await self._stand(call, StandingChange(standing=Standing(given.standing)), given.reason)

    async def label(self, call: Call) -> Answer:
        given = call.body(shapes.LabelChange)
        return await self._stand(call, StandingChange(label=given.label), given.reason)

    async def held(self, call: Call) -> Answer:
        found = await self._moderation.held(_actor(call), call.page())
        return _page(call, found, [self._tweet(one) for one in found.items], shapes.AdminTweetList)

    async def _stand(self, call: Call, change: StandingChange, reason: str) -> Answer:
        changed = await self._moderation.stand(_actor(call), call.id(), change, reason)
        return Answer(encode(self._tweet(changed)))

    def _tweet(self, of: TweetFile) -> shapes.AdminTweet:
        found = of.tweet
        # It is written already.
        whole: Any = msgspec.Raw(self._fragments.tweet(Tweet(found.record, found.author)))
        return shapes.AdminTweet(whole, found.standing.value, found.held_for, _counts(of.reports))

    # --- lists, and the log

    async def entries(self, call: Call) -> Answer:
        found = await self._moderation.list_entries(_actor(call), _listed(call), call.page())
        return _page(call, found, [_entry(one) for one in found.items], shapes.ListEntries)

    async def add_entries(self, call: Call) -> Answer:
        given = call.body(shapes.NewEntries)
        added = await self._moderation.add_entries(
            _actor(call), _listed(call), given.entries, ListAction(given.action), given.reason
        )
        return Answer(encode(shapes.Added(added)))

    async def remove_entry(self, call: Call) -> Answer:
        await self._moderation.remove_entry(_actor(call), _listed(call), call.id(), call.query.get("reason", ""))
        return Answer(status=204)

    async def audit(self, call: Call) -> Answer:
        found = await self._moderation.audit(_actor(call), call.page())
        return _page(call, found, [_line(one) for one in found.items], shapes.AuditLog)


def _one(
    id: str,
    method: Method,
    path: str,
    summary: str,
    handle: Callable[[Call], Awaitable[Answer]],
    answer: Any,
    body: Any = None,
) -> Operation:
    return Operation(
        id=id,
        method=method,
        path=path,
        summary=summary,
        tag=_TAG,
        access=Access.MODERATE,
        handle=handle,
        body=body,
        answer=answer,
        errors=(404,) if body is None else (404, 409),
    )


def _list(
    id: str, path: str, summary: str, handle: Callable[[Call], Awaitable[Answer]], answer: Any, *parameters: Parameter
) -> Operation:
    return Operation(
        id=id,
        method="GET",
        path=path,
        summary=summary,
        tag=_TAG,
        access=Access.MODERATE,
        handle=handle,
        answer=answer,
        parameters=parameters,
        paged=True,
        errors=(404,),
    )


def _actor(call: Call) -> Actor:
    return Actor(call.me.user_id)


def _listed(call: Call) -> ListName:
    found = _LISTS.get(call.text("list"))
    if found is None:
        raise NotFound("there is no such list", code="list_not_found")
    return found


def _page(call: Call, of: Slice[Any], items: list[Any], shape: Callable[..., Any]) -> Answer:
    shown = shape(items, optional_id(of.next), optional_id(of.prev))
    return Answer(encode(shown), headers=call.links(of))


def _report(of: Report) -> shapes.AdminReport:
    return shapes.AdminReport(
        id=str(of.id),
        reporter_id=str(of.reporter_id),
        user_id=str(of.user_id),
        tweet_id=optional_id(of.tweet_id),
        reason=of.reason.value,
        comment=of.comment,
        created_at=rfc3339(of.created_at),
        updated_at=rfc3339(of.updated_at),
        state=of.state.value,
        closed_by=optional_id(of.closed_by),
        closed_at=moment(of.closed_at),
        note=of.note,
    )


def _counts(of: ReportCounts) -> shapes.ReportCounts:
    return shapes.ReportCounts(of.open, of.all)


def _entry(of: ListEntry) -> shapes.ListEntry:
    return shapes.ListEntry(str(of.id), of.entry, of.action.value, rfc3339(of.added_at))


def _line(of: Audited) -> shapes.AuditLine:
    note = of.note
    return shapes.AuditLine(
        id=str(of.id),
        at=rfc3339(of.at),
        actor_id=str(of.actor.id),
        via=of.actor.via.value,
        act=note.act.value,
        target=note.target.value,
        target_id=str(note.target_id),
        reason=note.reason,
        before=note.before,
        after=note.after,
        outcome=of.outcome.value,
    )
