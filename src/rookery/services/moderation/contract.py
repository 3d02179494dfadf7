"""What others may know of moderation: reports, block lists, what moderators did."""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec

from rookery.infra.events.port import Event
from rookery.infra.rpc.port import rpc
from rookery.kernel.clock import Millis
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from rookery.kernel.pages import Page, Slice
from rookery.kernel.visibility import State
from rookery.services.tweets.contract import Inspected, StandingChange
from rookery.services.users.contract import Account, Role, User

T = TypeVar("T")


class Via(StrEnum):
    """Where an act came from."""

    API = "api"
    PAGE = "page"
    COMMAND = "command"


class Actor(msgspec.Struct, frozen=True):
    """Who acts: a moderator or an admin through the API or a page, or the operator by a command."""

    id: int
    """0 for the operator, who has no account."""
    via: Via = Via.API


OPERATOR = Actor(0, Via.COMMAND)


class Target(StrEnum):
    """What an act is about."""

    USER = "user"
    TWEET = "tweet"
    REPORT = "report"
    LIST = "list"
    NETWORK = "network"
    EVENT = "event"
    """One that a group of consumers could not handle, by its offset; 0 for all."""


class Act(StrEnum):
    """What moderators, admins and operators do."""

    SUSPEND = "suspend"
    LIMIT = "limit"
    RESTORE = "restore"
    APPROVE = "approve"
    REFUSE = "refuse"
    ROLE = "role"
    DEACTIVATE = "deactivate"
    CREATE = "create"
    TOKEN = "token"  # noqa: S105 - the name of an act
    INVITE = "invite"
    VERIFY_EMAIL = "verify_email"
    READ_EMAIL = "read_email"
    READ_TWEET = "read_tweet"
    """One that is not for everybody."""
    WITHHOLD = "withhold"
    SHOW = "show"
    LABEL = "label"
    RESOLVE = "resolve"
    DISMISS = "dismiss"
    LIST_ADD = "list_add"
    LIST_REMOVE = "list_remove"
    REPLAY = "replay"
    """Have a group try parked events again."""
    SKIP = "skip"
    """Have a group go on without them."""


class Outcome(StrEnum):
    """What became of an act. It is noted before it is done, since what it changes belongs to another service."""

    BEGUN = "begun"
    """It is being done; long afterwards: the process died, and it may have been done or not."""
    DONE = "done"
    FAILED = "failed"


class Note(msgspec.Struct, frozen=True):
    """What is to be noted of an act."""

    act: Act
    target: Target
    target_id: int = 0
    reason: str = ""
    before: str | None = None
    after: str | None = None
    """What changed: a state, a standing, a label, entries of a list. Never an address or what somebody wrote."""


class Audited(msgspec.Struct, frozen=True):
    """A line of the audit log."""

    id: int
    at: Millis
    actor: Actor
    note: Note
    outcome: Outcome


class Reason(StrEnum):
    """Why somebody reports."""

    SPAM = "spam"
    ABUSE = "abuse"
    HATE = "hate"
    VIOLENCE = "violence"
    SEXUAL = "sexual"
    SELF_HARM = "self_harm"
    IMPERSONATION = "impersonation"
    ILLEGAL = "illegal"
    OTHER = "other"


class ReportState(StrEnum):
    """What became of a report."""

    OPEN = "open"
    RESOLVED = "resolved"
    """Something was done about it."""
    DISMISSED = "dismissed"
    """There was nothing to be done."""


class Report(msgspec.Struct, frozen=True):
    """Somebody's complaint about an account, or about a tweet of it. Its repr tells nothing private, for logs."""

    id: int
    reporter_id: int
    user_id: int
    tweet_id: int | None
    reason: Reason
    comment: str
    created_at: Millis
    updated_at: Millis
    state: ReportState = ReportState.OPEN
    closed_by: int | None = None
    closed_at: Millis | None = None
    note: str = ""
    """What the moderator who closed it noted."""

    def __repr__(self) -> str:
        return f"Report(id={self.id}, state={self.state.value!r})"


class ReportCounts(msgspec.Struct, frozen=True):
    """Reports about an account or a tweet."""

    open: int = 0
    all: int = 0


class ListName(StrEnum):
    """The lists of what is not allowed here."""

    WORDS = "words"
    """In tweets, and in names and bios."""
    DOMAINS = "domains"
    """In the addresses of tweets and profiles; with all that lies below them."""
    EMAIL_DOMAINS = "email_domains"
    """Of the addresses of new accounts."""


class ListAction(StrEnum):
    """What happens to a tweet that holds an entry of a list."""

    REFUSE = "refuse"
    HOLD = "hold"
    """It waits for a moderator."""


class ListEntry(msgspec.Struct, frozen=True):
    """An entry of a list, in the form in which it is compared."""

    id: int
    entry: str
    action: ListAction
    added_at: Millis


class UserFile(msgspec.Struct, frozen=True):
    """An account as moderators see it."""

    user: User
    reports: ReportCounts
    account: Account | None
    """With its private part: for admins alone."""


class TweetFile(msgspec.Struct, frozen=True):
    """A tweet as moderators see it."""

    tweet: Inspected
    reports: ReportCounts


class BlocklistChanged(Event, topic="moderation", version=1):
    """Entries of a list were added or removed."""

    list: str


class Moderation(Protocol):
    """What people report, and what moderators do. Every act takes a reason and is in the audit log.

    Whoever acts must be a moderator or an admin, Forbidden("not_a_moderator") else. Nobody acts on their own account
    (Forbidden("yourself")), and nobody on one of their rank or above (Forbidden("outranked")). The operator may do everything.
    """

    @rpc(idempotent=True, raises=(Invalid, NotFound, TooMany))
    async def report(
        self, reporter_id: int, *, user_id: int | None, tweet_id: int | None, reason: Reason, comment: str
    ) -> Report:
        """Complain about an account or a tweet that one sees. A second complaint about the same, while the first is open, takes
        its place. Raises TooMany after too many a day.
        """
        ...

    @rpc(idempotent=True, raises=(Forbidden,))
    async def reports(self, actor: Actor, state: ReportState, page: Page) -> Slice[Report]:
        """Reports in a state, newest first. From an erasure on, those about the person are left out, and the person's own are
        without comment.
        """
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def get_report(self, actor: Actor, report_id: int) -> Report:
        """One report, told as in `reports`."""
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound, Conflict, Forbidden))
    async def close(self, actor: Actor, report_id: int, state: ReportState, note: str) -> Report:
        """Resolve or dismiss a report. Raises Conflict("report_closed") where it was closed otherwise already."""
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def look_at_user(self, actor: Actor, user_id: int, *, private: bool = False) -> UserFile:
        """An account in any state; `private` asks for its private part, too, which admins get. That they did is noted."""
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound, Conflict, Forbidden))
    async def set_state(self, actor: Actor, user_id: int, state: State, reason: str) -> User:
        """Suspend, limit or restore (ACTIVE) an account. Raises Conflict for one that is erased, waits for approval, or was
        deactivated by its owner, who alone, or an admin, brings it back.
        """
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound, Conflict, Forbidden))
    async def set_role(self, actor: Actor, user_id: int, role: Role, reason: str) -> User:
        """Make somebody a moderator, or a person again: for admins, who are made and unmade by the operator alone. Raises
        Conflict("account_inactive") for an account that is not shown.
        """
        ...

    @rpc(idempotent=True, raises=(Forbidden,))
    async def registrations(self, actor: Actor, page: Page) -> Slice[User]:
        """Accounts that wait for approval, newest first."""
        ...

    @rpc(idempotent=True, raises=(NotFound, Conflict, Forbidden))
    async def decide(self, actor: Actor, user_id: int, approved: bool, reason: str) -> User:
        """Let an account in that waits for approval, or remove it with all that is known of it. Raises Conflict("not_pending")."""
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def look_at_tweet(self, actor: Actor, tweet_id: int) -> TweetFile:
        """A tweet, whomever it is for. That somebody looked at one that is not for everybody is noted."""
        ...

    @rpc(idempotent=True, raises=(Forbidden,))
    async def held(self, actor: Actor, page: Page) -> Slice[TweetFile]:
        """The tweets that wait for a moderator, newest first."""
        ...

    @rpc(idempotent=True, raises=(Invalid, NotFound, Forbidden))
    async def stand(self, actor: Actor, tweet_id: int, change: StandingChange, reason: str) -> TweetFile:
        """Withhold, show or label a tweet. Raises Invalid("unknown_label")."""
        ...

    @rpc(idempotent=True, raises=(Forbidden,))
    async def list_entries(self, actor: Actor, name: ListName, page: Page) -> Slice[ListEntry]:
        """Entries of a list, newest first."""
        ...

    @rpc(idempotent=True, timeout=10, raises=(Invalid, Conflict, Forbidden))
    async def add_entries(
        self, actor: Actor, name: ListName, entries: Sequence[str], action: ListAction, reason: str
    ) -> int:
        """Add entries, up to 1,000 at a time; how many were new. Those that are there get the action. Raises Invalid naming what is
        no entry, Conflict("list_full").
        """
        ...

    @rpc(idempotent=True, raises=(NotFound, Forbidden))
    async def remove_entry(self, actor: Actor, name: ListName, entry_id: int, reason: str) -> None:
        """Remove an entry."""
        ...

    @rpc(idempotent=True, raises=(Forbidden,))
    async def audit(self, actor: Actor, page: Page) -> Slice[Audited]:
        """What moderators, admins and operators did, newest first."""
        ...


class Acts(Protocol):
    """Who may, and the audit log, for those who offer acts of their own. It stands in the process of those who ask."""

    async def require(self, actor: Actor, role: Role) -> None:
        """Raises Forbidden("not_a_moderator" or "not_an_admin") for whoever has not this role or one above."""
        ...

    async def holds(self, actor: Actor, role: Role) -> bool:
        """Whether they have this role or one above."""
        ...

    async def noted(self, actor: Actor, note: Note, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, with a line in the audit log before it and its outcome after it. Raises Invalid for a reason that is none."""
        ...


RANKS = {Role.PERSON: 0, Role.MODERATOR: 1, Role.ADMIN: 2}
