"""The Moderation Service: what people report, and what moderators do."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from rookery.kernel.clock import Clock
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound, RookeryError
from rookery.kernel.pages import Page, Slice, slice_of
from rookery.kernel.visibility import State, Viewer, account_visible, public
from rookery.services.graph.contract import Graph
from rookery.services.moderation.contract import (
    RANKS,
    Act,
    Actor,
    Audited,
    ListAction,
    ListEntry,
    ListName,
    Note,
    Outcome,
    Reason,
    Report,
    ReportCounts,
    ReportState,
    Target,
    TweetFile,
    UserFile,
    Via,
)
from rookery.services.moderation.lists import LONGEST, entry_of
from rookery.services.moderation.screen import Screening
from rookery.services.moderation.store import ModerationStore, no_report
from rookery.services.tweets.contract import Inspected, Standing, StandingChange, TweetStandings
from rookery.services.users.contract import Role, User, Users

T = TypeVar("T")

_TEXT: Final = 1_000
"""Characters of a reason, a comment, a note."""
_AT_ONCE: Final = 1_000
"""Entries that are added to a list at a time."""
_NO_REPORTS: Final = ReportCounts()
_ACTS: Final = {State.SUSPENDED: Act.SUSPEND, State.LIMITED: Act.LIMIT, State.ACTIVE: Act.RESTORE}


class ModerationPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of moderation."""

    labels: tuple[str, ...] = ("misleading", "sensitive", "spam")
    """What tweets may be labelled with."""
    reports_per_day: int = 100
    """Reports by one account within 24 hours; 0 is no limit."""
    list_entries: int = 10_000
    """Entries of a block list."""


class ModerationService:
    """Implements `contract.Moderation` and `contract.Acts`; `open` it on the event loop."""

    def __init__(
        self,
        *,
        store: ModerationStore,
        screen: Screening,
        users: Users,
        graph: Graph,
        tweets: TweetStandings,
        clock: Clock,
        policy: ModerationPolicy | None = None,
    ) -> None:
        self._store = store
        self._screen = screen
        self._users = users
        self._graph = graph
        self._tweets = tweets
        self._clock = clock
        self._policy = policy or ModerationPolicy()

    async def open(self) -> None:
        """Load the block lists."""
        await self.load(name.value for name in ListName)

    async def load(self, lists: Iterable[str]) -> None:
        """Have these lists in memory as they are in the store; names that are no lists are passed over."""
        wanted = set(lists)
        for name in ListName:
            if name.value in wanted:
                self._screen.take(name, await self._store.entries(name))

    # --- reports

    async def report(
        self, reporter_id: int, *, user_id: int | None, tweet_id: int | None, reason: Reason, comment: str
    ) -> Report:
        _checked("comment", comment)
        if (user_id is None) == (tweet_id is None):
            raise Invalid("either {field} or a tweet_id is needed", field="user_id", code="invalid_target")
        if tweet_id is not None:
            user_id = (await self._tweets.reportable(tweet_id, reporter_id)).author_id
        assert user_id is not None
        if user_id == reporter_id:
            raise Invalid("nobody reports themselves", code="own_account")
        if tweet_id is None:
            user = (await self._users.get([user_id])).get(user_id)
            viewer = await self._graph.viewer(reporter_id)
            # Whoever blocks first and reports then must be heard, too.
            if user is None or not account_visible(Viewer(reporter_id, blocked_by=viewer.blocked_by), user):
                raise _no_user()
        now = self._clock.now()
        made = Report(0, reporter_id, user_id, tweet_id, reason, comment, now, now)
        return await self._store.add_report(made, self._policy.reports_per_day)

    async def reports(self, actor: Actor, state: ReportState, page: Page) -> Slice[Report]:
        await self._rank(actor)
        found = slice_of(await self._store.reports(state, _more(page)), page, lambda report: report.id)
        # Those about the erased are left out, so that a page may be short.
        return Slice(await self._without_erased(found.items), found.next, found.prev)

    async def get_report(self, actor: Actor, report_id: int) -> Report:
        await self._rank(actor)
        return await self._told(await self._store.report(report_id))

    async def close(self, actor: Actor, report_id: int, state: ReportState, note: str) -> Report:
        await self._rank(actor)
        _checked("note", note)
        if state is ReportState.OPEN:
            raise Invalid("{field} is resolved or dismissed", field="state", code="invalid_state")
        await self._told(await self._store.report(report_id))
        closed = await self._store.close_report(actor, report_id, state, note, self._clock.now())
        return await self._told(closed)

    async def _told(self, report: Report) -> Report:
        """A report as it may be answered. Raises NotFound for one about somebody who is erased."""
        found = await self._without_erased([report])
        if not found:
            raise no_report()
        return found[0]

    async def _without_erased(self, reports: Sequence[Report]) -> list[Report]:
        """Reports as the eraser leaves them, though it may not have come yet: none about the erased, and no words of theirs."""
        if not reports:
            return []
        people = await self._users.get(list({id for one in reports for id in (one.reporter_id, one.user_id)}))
        erased = {user.id for user in people.values() if user.state is State.ERASED}
        return [
            replace(one, comment="") if one.reporter_id in erased else one
            for one in reports
            if one.user_id not in erased
        ]

    # --- accounts

    async def look_at_user(self, actor: Actor, user_id: int, *, private: bool = False) -> UserFile:
        rank = await self._rank(actor)
        user = await self._user(user_id)
        counts = (await self._store.counts_of_users([user_id])).get(user_id, _NO_REPORTS)
        if not private or rank < RANKS[Role.ADMIN]:
            return UserFile(user, counts, None)
        account = await self.noted(
            actor, Note(Act.READ_EMAIL, Target.USER, user_id), lambda: self._users.account(user_id)
        )
        return UserFile(user, counts, account)

    async def set_state(self, actor: Actor, user_id: int, state: State, reason: str) -> User:
        if state not in _ACTS:
            raise Invalid("{field} is active, limited or suspended", field="state", code="invalid_state")
        _needed("reason", reason)
        user = await self._subject(actor, user_id)
        if (
            user.state is State.DEACTIVATED
            and state is not State.SUSPENDED
            and await self._rank(actor) < RANKS[Role.ADMIN]
        ):
            raise Conflict("its owner deactivated this account", code="owner_deactivated")
        if user.state is State.PENDING:
            raise Conflict("this account waits for approval", code="pending")
        if user.state is State.ERASED:
            raise Conflict("the account is erased", code="erased")
        if user.state is state:
            return user
        act = _ACTS[state]
        if act is Act.RESTORE and user.state is State.SUSPENDED and await self._store.was_deactivated(user_id):
            # Its owner had gone: restoring undoes what moderators did, and no more.
            state = State.DEACTIVATED
        note = Note(act, Target.USER, user_id, reason, user.state.value, state.value)
        return await self.noted(actor, note, lambda: self._users.set_state(user_id, state))

    async def set_role(self, actor: Actor, user_id: int, role: Role, reason: str) -> User:
        await self.require(actor, Role.ADMIN)
        _needed("reason", reason)
        user = await self._subject(actor, user_id)
        if RANKS[role] >= await self._rank(actor):
            raise Forbidden("this role is given by the operator", code="outranked")
        if not user.state.shown:
            raise Conflict("this account is not active", code="account_inactive")
        if user.role is role:
            return user
        note = Note(Act.ROLE, Target.USER, user_id, reason, user.role.value, role.value)
        return await self.noted(actor, note, lambda: self._users.set_role(user_id, role))

    async def registrations(self, actor: Actor, page: Page) -> Slice[User]:
        await self._rank(actor)
        return await self._users.pending(page)

    async def decide(self, actor: Actor, user_id: int, approved: bool, reason: str) -> User:
        await self._rank(actor)
        _checked("reason", reason)
        user = await self._user(user_id)
        if user.state is not State.PENDING:
            raise Conflict("this account does not wait for approval", code="not_pending")
        act, after, work = (
            (Act.APPROVE, State.ACTIVE, self._users.approve)
            if approved
            else (Act.REFUSE, State.ERASED, self._users.refuse)
        )
        note = Note(act, Target.USER, user_id, reason, user.state.value, after.value)
        return await self.noted(actor, note, lambda: work(user_id))

    # --- tweets

    async def look_at_tweet(self, actor: Actor, tweet_id: int) -> TweetFile:
        await self._rank(actor)
        found = await self._tweet(tweet_id)
        if public(found.record.visibility, found.author):
            return (await self._files([found]))[0]
        note = Note(Act.READ_TWEET, Target.TWEET, tweet_id)
        return (await self.noted(actor, note, lambda: self._files([found])))[0]

    async def held(self, actor: Actor, page: Page) -> Slice[TweetFile]:
        await self._rank(actor)
        found = await self._tweets.held(page)
        return Slice(await self._files(found.items), found.next, found.prev)

    async def stand(self, actor: Actor, tweet_id: int, change: StandingChange, reason: str) -> TweetFile:
        if change.standing is Standing.HELD:
            raise Invalid("{field} is shown or withheld", field="standing", code="invalid_standing")
        if isinstance(change.label, str) and change.label not in self._policy.labels:
            known = ", ".join(self._policy.labels)
            raise Invalid("{field} is one of {known}", field="label", known=known, code="unknown_label")
        _needed("reason", reason)
        found = await self._tweet(tweet_id)
        await self._subject(actor, found.author.id)
        if change.standing is not UNSET:
            act = Act.SHOW if change.standing is Standing.SHOWN else Act.WITHHOLD
            before, after = found.standing.value, change.standing.value
        else:
            assert change.label is not UNSET
            act, before, after = Act.LABEL, found.record.label, change.label
        if before != after:
            note = Note(act, Target.TWEET, tweet_id, reason, before, after)
            found = await self.noted(actor, note, lambda: self._tweets.stand(tweet_id, change))
        return (await self._files([found]))[0]

    async def _files(self, tweets: Sequence[Inspected]) -> list[TweetFile]:
        if not tweets:
            return []
        counts = await self._store.counts_of_tweets([one.record.id for one in tweets])
        return [TweetFile(one, counts.get(one.record.id, _NO_REPORTS)) for one in tweets]

    # --- lists

    async def list_entries(self, actor: Actor, name: ListName, page: Page) -> Slice[ListEntry]:
        await self._rank(actor)
        return slice_of(await self._store.list_page(name, _more(page)), page, lambda entry: entry.id)

    async def add_entries(
        self, actor: Actor, name: ListName, entries: Sequence[str], action: ListAction, reason: str
    ) -> int:
        await self._rank(actor)
        _checked("reason", reason)
        if action is ListAction.HOLD and name is ListName.EMAIL_DOMAINS:
            raise Invalid("{field} is refuse for this list", field="action", code="invalid_action")
        if not 0 < len(entries) <= _AT_ONCE:
            raise Invalid("{field} are 1 to {limit}", field="entries", limit=_AT_ONCE, code="invalid_number")
        wanted = [*dict.fromkeys(entry_of(name, entry) for entry in entries)]
        now, most = self._clock.now(), self._policy.list_entries
        added = await self._store.add_entries(actor, name, wanted, action, reason, now, most)
        # This process's next post is judged by it; others hear of it by the event.
        await self.load([name.value])
        return added

    async def remove_entry(self, actor: Actor, name: ListName, entry_id: int, reason: str) -> None:
        await self._rank(actor)
        _checked("reason", reason)
        await self._store.remove_entry(actor, name, entry_id, reason, self._clock.now())
        await self.load([name.value])

    async def remove_named(self, actor: Actor, name: ListName, entry: str, reason: str) -> None:
        """As `remove_entry`, by what the entry says. Raises NotFound."""
        id = await self._store.find_entry(name, entry_of(name, entry)) if len(entry) <= LONGEST else None
        await self.remove_entry(actor, name, id or 0, reason)

    # --- the audit log

    async def audit(self, actor: Actor, page: Page) -> Slice[Audited]:
        await self._rank(actor)
        return slice_of(await self._store.audited(_more(page)), page, lambda line: line.id)

    async def noted(self, actor: Actor, note: Note, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, which belongs to another service, with a line in the audit log before it and its outcome after it."""
        _checked("reason", note.reason)
        id = await self._store.begin(actor, note, self._clock.now())
        try:
            result = await work()
        except RookeryError as error:
            await self._store.end(id, Outcome.FAILED, error.code)
            raise
        await self._store.end(id, Outcome.DONE)
        return result

    # --- who may

    async def require(self, actor: Actor, role: Role) -> None:
        if await self._rank(actor) < RANKS[role]:
            raise Forbidden("this is for admins", code="not_an_admin")

    async def holds(self, actor: Actor, role: Role) -> bool:
        return await self._rank(actor) >= RANKS[role]

    async def _rank(self, actor: Actor) -> int:
        """The actor's rank, as it is now. Raises Forbidden for one who is no moderator."""
        if actor.via is Via.COMMAND:
            return RANKS[Role.ADMIN] + 1
        user = (await self._users.get([actor.id])).get(actor.id)
        if user is None or not user.state.shown or user.role is Role.PERSON:
            raise Forbidden("this is for moderators", code="not_a_moderator")
        return RANKS[user.role]

    async def _subject(self, actor: Actor, user_id: int) -> User:
        """The account that is acted on. Raises Forbidden where the actor may not, NotFound."""
        rank = await self._rank(actor)
        user = await self._user(user_id)
        if user_id == actor.id:
            raise Forbidden("nobody moderates themselves", code="yourself")
        if RANKS[user.role] >= rank:
            raise Forbidden("this account is not of a lower rank", code="outranked")
        return user

    async def _user(self, user_id: int) -> User:
        user = (await self._users.get([user_id])).get(user_id)
        if user is None:
            raise _no_user()
        return user

    async def _tweet(self, tweet_id: int) -> Inspected:
        found = await self._tweets.inspect([tweet_id])
        if not found:
            raise NotFound("there is no such tweet")
        return found[0]


def _no_user() -> NotFound:
    return NotFound("there is no such account", code="user_not_found")


def _more(page: Page) -> Page:
    """One row more tells that there are more."""
    return replace(page, limit=page.limit + 1)


def _checked(field: str, text: str) -> None:
    if len(text) > _TEXT:
        raise Invalid("{field} has at most {limit} characters", field=field, limit=_TEXT, code="too_long")
    if any("\ud800" <= char <= "\udfff" or char == "\0" for char in text):
        raise Invalid("{field} holds characters that can't be kept", field=field, code="invalid_characters")


def _needed(field: str, text: str) -> None:
    _checked(field, text)
    if not text.strip():
        raise Invalid("{field} is needed", field=field, code="missing_reason")
