"""What moderation keeps, in SQL. A change of its own rows and the line of the audit log about it are one transaction."""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from rookery.infra.events.port import Outbox
from rookery.infra.sql.port import Database, Row, Statement, Transaction
from rookery.kernel import erasing
from rookery.kernel.clock import DAY, Millis
from rookery.kernel.errors import Conflict, NotFound, TooMany
from rookery.kernel.ids import MAX_ID, IdGenerator, first_id_at
from rookery.kernel.pages import Page
from rookery.kernel.visibility import State
from rookery.services.moderation import tables as t
from rookery.services.moderation.contract import (
    Act,
    Actor,
    Audited,
    BlocklistChanged,
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
    Via,
)

METADATA = t.METADATA

_ACTS_LOOKED_AT = 20
_SAMPLE = 20
"""Entries of a list that a line of the audit log names."""


class ModerationStore:
    """The tables `moderation_*`."""

    def __init__(self, database: Database, outbox: Outbox, ids: IdGenerator) -> None:
        self._database = database
        self._outbox = outbox
        self._ids = ids

    async def newest_id(self) -> int:
        """The largest id that a line of the audit log, a report or an entry has; 0 if there is none."""
        rows = [await self._database.one(statement) for statement in t.NEWEST]
        return max((row[0] or 0 for row in rows if row is not None), default=0)

    # --- the audit log

    async def begin(self, actor: Actor, note: Note, now: Millis) -> int:
        """Note an act that is about to be done; the id of its line."""
        id = self._ids.next()
        await self._database.write(lambda tx: _note(tx, Audited(id, now, actor, note, Outcome.BEGUN)), brief=True)
        return id

    async def end(self, audit_id: int, outcome: Outcome, error: str | None = None) -> None:
        """Note what became of it; of a failure, the error's code in the place of what was to be."""
        await self._database.write(
            lambda tx: tx.run(t.END_AUDIT, audit_id=audit_id, outcome=outcome.value, error=error), brief=True
        )

    async def audited(self, page: Page) -> list[Audited]:
        """Up to `page.limit` lines, in the order of the search."""
        return [_audited(row) for row in await self._rows(t.AUDITED, page)]

    async def was_deactivated(self, user_id: int) -> bool:
        """Whether the account was deactivated by its owner when it was suspended."""
        rows = await self._database.all(t.ACTS_ON_USER, user_id=user_id, limit=_ACTS_LOOKED_AT)
        for act, before in rows:
            if act == Act.RESTORE.value:
                break
            if before == State.DEACTIVATED.value:
                return True
        return False

    # --- reports

    async def add_report(self, report: Report, most: int) -> Report:
        """Keep a report; one that is open by the same about the same takes its words instead. Raises TooMany where the reporter made
        `most` within a day; 0 is no limit.
        """

        def work(tx: Transaction) -> Report:
            about = {
                "reporter_id": report.reporter_id,
                "user_id": report.user_id,
                "tweet_id": report.tweet_id or 0,
            }
            said = {"reason": report.reason.value, "comment": report.comment, "updated_at": report.updated_at}
            if (row := tx.one(t.OPEN_REPORT, **about)) is not None:
                tx.run(t.RENEW_REPORT, report_id=row[0], **said)
                return _report(tx.one(t.REPORT, id=row[0]))
            since = first_id_at(report.created_at - DAY)
            if most and tx.all(t.REPORTED_SINCE, reporter_id=report.reporter_id, since=since, limit=most)[0][0] >= most:
                raise TooMany("too many reports within a day", code="too_many_reports", retry_after=3_600)
            made = replace(report, id=self._ids.next())
            tx.run(
                t.ADD_REPORT,
                id=made.id,
                created_at=made.created_at,
                state=made.state.value,
                closed_by=None,
                closed_at=None,
                note="",
                **about,
                **said,
            )
            return made

        return await self._database.write(work, brief=True)

    async def report(self, report_id: int) -> Report:
        """Raises NotFound."""
        return _report(await self._database.one(t.REPORT, id=report_id))

    async def reports(self, state: ReportState, page: Page) -> list[Report]:
        """Up to `page.limit` reports in a state, in the order of the search."""
        return [_report(row) for row in await self._rows(t.REPORTS_IN, page, state=state.value)]

    async def close_report(self, actor: Actor, report_id: int, state: ReportState, note: str, now: Millis) -> Report:
        """Raises NotFound, and Conflict for one that is in another state than open and `state`."""

        def work(tx: Transaction) -> Report:
            old = _report(tx.one(t.REPORT, id=report_id))
            if old.state is state:
                return old
            changed = tx.run(
                t.CLOSE_REPORT,
                report_id=report_id,
                state=state.value,
                closed_by=actor.id,
                closed_at=now,
                note=note,
            )
            if not changed:
                raise Conflict("this report is {state} already", state=old.state.value, code="report_closed")
            act = Act.RESOLVE if state is ReportState.RESOLVED else Act.DISMISS
            done = Note(act, Target.REPORT, report_id, note, old.state.value, state.value)
            _note(tx, Audited(self._ids.next(), now, actor, done, Outcome.DONE))
            return replace(old, state=state, closed_by=actor.id, closed_at=now, note=note)

        return await self._database.write(work, brief=True)

    async def counts_of_users(self, ids: Sequence[int]) -> dict[int, ReportCounts]:
        """Reports about these accounts and their tweets."""
        return _counted(await self._database.lagging.all(t.COUNT_OF_USERS, ids=ids))

    async def counts_of_tweets(self, ids: Sequence[int]) -> dict[int, ReportCounts]:
        """Reports about these tweets."""
        return _counted(await self._database.lagging.all(t.COUNT_OF_TWEETS, ids=ids))

    erases: Mapping[str, str] = {
        "moderation_reports": "reports about the person are removed; what the person reported stays without comment",
        "moderation_audit": "stays: what moderators did, with ids and their reasons",
        "moderation_blocklist": "nothing of anybody's is there",
    }

    async def erase(self, user_id: int, tell: Callable[[], None]) -> erasing.Outcome:
        """As `kernel.erasing.Eraser`; of one person there are few."""

        def work(tx: Transaction) -> int:
            return tx.run(t.ERASE_WRITTEN, erased_id=user_id) + tx.run(t.ERASE_ABOUT, erased_id=user_id)

        gone = await self._database.write(work)
        tell()
        return erasing.Outcome(gone)

    # --- lists

    async def entries(self, name: ListName) -> dict[str, ListAction]:
        """A whole list."""
        found = await self._database.scan(lambda reader: reader.all(t.ALL_OF, list=name.value))
        return {entry: ListAction(action) for entry, action in found}

    async def list_page(self, name: ListName, page: Page) -> list[ListEntry]:
        """Up to `page.limit` entries, in the order of the search."""
        return [
            ListEntry(id, entry, ListAction(action), added_at)
            for id, entry, action, added_at in await self._rows(t.ENTRIES_OF, page, list=name.value)
        ]

    async def add_entries(
        self,
        actor: Actor,
        name: ListName,
        entries: Sequence[str],
        action: ListAction,
        reason: str,
        now: Millis,
        most: int,
    ) -> int:
        """Add those that are not there; the others get the action. How many were new. Raises Conflict where the list would have more
        than `most`.
        """

        def work(tx: Transaction) -> int:
            added = changed = 0
            for entry in entries:
                row = tx.one(t.FIND_ENTRY, list=name.value, entry=entry)
                if row is None:
                    added += 1
                    columns = {"list": name.value, "entry": entry, "action": action.value}
                    tx.run(t.ADD_ENTRY, id=self._ids.next(), added_at=now, **columns)
                elif row[1] != action.value:
                    changed += 1
                    tx.run(t.SET_ACTION, entry_id=row[0], new_action=action.value)
            if tx.all(t.COUNT_ENTRIES, list=name.value)[0][0] > most:
                raise Conflict("a list has at most {limit} entries", limit=most, code="list_full")
            if added or changed:
                shown = ", ".join(entries[:_SAMPLE]) + (
                    f" and {len(entries) - _SAMPLE} more" if len(entries) > _SAMPLE else ""
                )
                note = Note(Act.LIST_ADD, Target.LIST, 0, reason, None, f"{name.value}, {action.value}: {shown}")
                self._changed(tx, actor, name, note, now)
            return added

        return await self._database.write(work)

    async def remove_entry(self, actor: Actor, name: ListName, entry_id: int, reason: str, now: Millis) -> None:
        """Raises NotFound."""

        def work(tx: Transaction) -> None:
            row = tx.one(t.ENTRY, id=entry_id)
            if row is None or row[0] != name.value:
                raise NotFound("there is no such entry", code="entry_not_found")
            tx.run(t.DROP_ENTRY, entry_id=entry_id)
            self._changed(
                tx, actor, name, Note(Act.LIST_REMOVE, Target.LIST, 0, reason, f"{name.value}: {row[1]}"), now
            )

        await self._database.write(work)

    async def find_entry(self, name: ListName, entry: str) -> int | None:
        """The id of an entry, in the form that is kept."""
        row = await self._database.one(t.FIND_ENTRY, list=name.value, entry=entry)
        return None if row is None else row[0]

    def _changed(self, tx: Transaction, actor: Actor, name: ListName, note: Note, now: Millis) -> None:
        _note(tx, Audited(self._ids.next(), now, actor, note, Outcome.DONE))
        self._outbox.append(tx, BlocklistChanged(name.value))

    # --- parts

    async def _rows(self, pages: tuple[Statement, Statement], page: Page, **params: str) -> list[Row]:
        down, up = pages
        if page.after is not None:
            return await self._database.lagging.all(up, cursor=page.after, limit=page.limit, **params)
        cursor = MAX_ID if page.before is None else page.before
        return await self._database.lagging.all(down, cursor=cursor, limit=page.limit, **params)


def _note(tx: Transaction, line: Audited) -> None:
    note = line.note
    tx.run(
        t.ADD_AUDIT,
        id=line.id,
        at=line.at,
        actor_id=line.actor.id,
        via=line.actor.via.value,
        act=note.act.value,
        target=note.target.value,
        target_id=note.target_id,
        reason=note.reason,
        before=note.before,
        after=note.after,
        outcome=line.outcome.value,
    )


def _audited(row: Row) -> Audited:
    id, at, actor_id, via, act, target, target_id, reason, before, after, outcome = row
    note = Note(Act(act), Target(target), target_id, reason, before, after)
    return Audited(id, at, Actor(actor_id, Via(via)), note, Outcome(outcome))


def no_report() -> NotFound:
    """What is raised for a report that is not there, or no longer told of."""
    return NotFound("there is no such report", code="report_not_found")


def _report(row: Row | None) -> Report:
    if row is None:
        raise no_report()
    id, reporter_id, user_id, tweet_id, reason, comment, created_at, updated_at, state, closed_by, closed_at, note = row
    return Report(
        id,
        reporter_id,
        user_id,
        tweet_id or None,
        Reason(reason),
        comment,
        created_at,
        updated_at,
        ReportState(state),
        closed_by,
        closed_at,
        note,
    )


def _counted(rows: Sequence[Row]) -> dict[int, ReportCounts]:
    found: dict[int, ReportCounts] = {}
    for id, state, number in rows:
        old = found.get(id, ReportCounts())
        found[id] = ReportCounts(old.open + (number if state == "open" else 0), old.all + number)
    return found
