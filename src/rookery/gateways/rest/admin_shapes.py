"""The JSON of reports and of what moderators do. As `shapes`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from rookery.gateways.rest.shapes import Cursor, Id, Moment, Request, State, Tweet, User

Why = Literal["spam", "abuse", "hate", "violence", "sexual", "self_harm", "impersonation", "illegal", "other"]
ReportState = Literal["open", "resolved", "dismissed"]
Standing = Literal["shown", "held", "withheld"]
Text = Annotated[str, Meta(extra_json_schema={"maxLength": 1000})]
Needed = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 1000})]


class NewReport(Request, frozen=True):
    """A complaint about an account or about a tweet: one of the two ids."""

    reason: Why
    user_id: Id | None = None
    tweet_id: Id | None = None
    comment: Text = ""


class Report(Struct, frozen=True):
    """A complaint, as whoever wrote it sees it."""

    id: Id
    user_id: Id
    tweet_id: Id | None
    reason: Why
    comment: str
    created_at: Moment
    updated_at: Moment
    state: ReportState


class AdminReport(Struct, frozen=True):
    """A complaint, as moderators see it. `user_id` is whom it is about."""

    id: Id
    reporter_id: Id
    user_id: Id
    tweet_id: Id | None
    reason: Why
    comment: str
    created_at: Moment
    updated_at: Moment
    state: ReportState
    closed_by: Annotated[str, Meta(description="Who closed it; 0 is the operator.")] | None
    closed_at: Moment | None
    note: str


class AdminReportList(Struct, frozen=True):
    """A page of complaints."""

    items: list[AdminReport]
    next: Cursor | None
    prev: Cursor | None


class ReportEnd(Request, frozen=True):
    """What became of a report."""

    state: Literal["resolved", "dismissed"]
    note: Text = ""


class ReportCounts(Struct, frozen=True):
    """Reports that are open, and all."""

    open: int
    all: int


class AdminUser(Struct, frozen=True):
    """An account as moderators see it. What is private is null but for admins."""

    user: User
    state: State
    reports: ReportCounts
    email: str | None
    email_verified: bool | None
    last_active: Moment | None


class StateChange(Request, frozen=True):
    """What an account's state is to be."""

    state: Literal["active", "limited", "suspended"]
    reason: Needed


class Decision(Request, frozen=True):
    """Whether an account that waits for approval is let in, or removed."""

    approved: bool
    reason: Text = ""


class AdminTweet(Struct, frozen=True):
    """A tweet as moderators see it. `held_for` is the rule for which it is held, or was."""

    tweet: Tweet
    standing: Standing
    held_for: str | None
    reports: ReportCounts


class AdminTweetList(Struct, frozen=True):
    """A page of tweets."""

    items: list[AdminTweet]
    next: Cursor | None
    prev: Cursor | None


class StandingChange(Request, frozen=True):
    """Whether a tweet is shown, or withheld from all but its author."""

    standing: Literal["shown", "withheld"]
    reason: Needed


class LabelChange(Request, frozen=True):
    """How a tweet is labelled; null takes the label away."""

    label: str | None
    reason: Needed


class ListEntry(Struct, frozen=True):
    """An entry of a block list, in the form in which it is compared."""

    id: Id
    entry: str
    action: Literal["refuse", "hold"]
    added_at: Moment


class ListEntries(Struct, frozen=True):
    """A page of a block list."""

    items: list[ListEntry]
    next: Cursor | None
    prev: Cursor | None


class NewEntries(Request, frozen=True):
    """Entries to add. Tweets that hold one of them are refused, or held for a moderator."""

    entries: Annotated[list[str], Meta(extra_json_schema={"minItems": 1, "maxItems": 1000})]
    action: Literal["refuse", "hold"] = "refuse"
    reason: Text = ""


class Added(Struct, frozen=True):
    """How many entries were new."""

    added: int


class AuditLine(Struct, frozen=True):
    """Something that a moderator, an admin or the operator did. `outcome` is `begun` where the process died over it."""

    id: Id
    at: Moment
    actor_id: Annotated[str, Meta(description="Who did it; 0 is the operator.")]
    via: Literal["api", "page", "command"]
    act: str
    target: Literal["user", "tweet", "report", "list", "network", "event"]
    target_id: Annotated[str, Meta(description="What it was done to, an event by its offset; 0 where that has no id.")]
    reason: str
    before: str | None
    after: str | None
    outcome: Literal["begun", "done", "failed"]


class AuditLog(Struct, frozen=True):
    """A page of the audit log."""

    items: list[AuditLine]
    next: Cursor | None
    prev: Cursor | None
