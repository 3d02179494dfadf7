"""Moderation's tables and statements, the same on every SQL engine."""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text, bindparam, delete, func, select, text, update

from rookery.infra.sql.port import Statement, insert, one_of

METADATA = MetaData()

AUDIT = Table(
    "moderation_audit",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("via", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("target_id", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("outcome", Text, nullable=False),
    # Read by: what was done to an account before.
    Index("moderation_audit_target", "target", "target_id", "id"),
    sqlite_strict=True,
)
REPORTS = Table(
    "moderation_reports",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("reporter_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("tweet_id", BigInteger, nullable=False),  # 0 where it is about the account
    Column("reason", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("closed_by", BigInteger),
    Column("closed_at", BigInteger),
    Column("note", Text, nullable=False),
    # Read by: the lists of reports in a state.
    Index("moderation_reports_state", "state", "id"),
    # Read by: the day's limit of a reporter, erasing.
    Index("moderation_reports_reporter", "reporter_id", "id"),
    # Read by: counts of reports about somebody, erasing.
    Index("moderation_reports_user", "user_id", "state"),
    sqlite_strict=True,
)
_OPEN = text("state = 'open'")
# one open report by the same about the same
Index(
    "moderation_reports_once",
    REPORTS.c.reporter_id,
    REPORTS.c.user_id,
    REPORTS.c.tweet_id,
    unique=True,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
_OF_TWEETS = text("tweet_id != 0")
# counts of reports about a tweet
Index(
    "moderation_reports_tweet",
    REPORTS.c.tweet_id,
    REPORTS.c.state,
    sqlite_where=_OF_TWEETS,
    postgresql_where=_OF_TWEETS,
)
BLOCKLIST = Table(
    "moderation_blocklist",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("list", Text, nullable=False),
    Column("entry", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    # Read by: adding what may be there.
    Index("moderation_blocklist_entry", "list", "entry", unique=True),
    # Read by: pages of a list.
    Index("moderation_blocklist_list", "list", "id"),
    sqlite_strict=True,
)

_a, _r, _b = AUDIT.c, REPORTS.c, BLOCKLIST.c


def _bound(table: Table, *without: str) -> dict[str, Any]:
    return {column.name: bindparam(column.name) for column in table.columns if column.name not in without}


def _pages(query: Any, id: Any) -> tuple[Statement, Statement]:
    """Downwards and upwards."""
    query = query.limit(bindparam("limit"))
    return (
        Statement(query.where(id < bindparam("cursor")).order_by(id.desc())),
        Statement(query.where(id > bindparam("cursor")).order_by(id)),
    )


ADD_AUDIT = Statement(insert(AUDIT).values(_bound(AUDIT)))
END_AUDIT = Statement(
    update(AUDIT)
    .where(_a.id == bindparam("audit_id"), _a.outcome == "begun")
    .values(outcome=bindparam("outcome"), after=func.coalesce(bindparam("error", type_=Text), _a.after))
)
AUDITED = _pages(select(*AUDIT.columns), _a.id)
ACTS_ON_USER = Statement(
    select(_a.act, _a.before)
    .where(
        _a.target == "user",
        _a.target_id == bindparam("user_id"),
        _a.act.in_(("suspend", "limit", "restore")),
        _a.outcome != "failed",
    )
    .order_by(_a.id.desc())
    .limit(bindparam("limit"))
)
NEWEST = tuple(Statement(select(func.max(id))) for id in (_a.id, _r.id, _b.id))

_reports = select(*REPORTS.columns)
REPORT = Statement(_reports.where(_r.id == bindparam("id")))
REPORTS_IN = _pages(_reports.where(_r.state == bindparam("state")), _r.id)
OPEN_REPORT = Statement(
    select(_r.id).where(
        _r.reporter_id == bindparam("reporter_id"),
        _r.user_id == bindparam("user_id"),
        _r.tweet_id == bindparam("tweet_id"),
        _OPEN,
    )
)
ADD_REPORT = Statement(insert(REPORTS).values(_bound(REPORTS)))
RENEW_REPORT = Statement(
    update(REPORTS)
    .where(_r.id == bindparam("report_id"))
    .values(reason=bindparam("reason"), comment=bindparam("comment"), updated_at=bindparam("updated_at"))
)
CLOSE_REPORT = Statement(
    update(REPORTS)
    .where(_r.id == bindparam("report_id"), _OPEN)
    .values(
        state=bindparam("state"),
        closed_by=bindparam("closed_by"),
        closed_at=bindparam("closed_at"),
        note=bindparam("note"),
    )
)
REPORTED_SINCE = Statement(
    select(func.count()).select_from(
        select(_r.id)
        .where(_r.reporter_id == bindparam("reporter_id"), _r.id >= bindparam("since"))
        .limit(bindparam("limit"))
        .subquery()
    )
)
COUNT_OF_USERS = Statement(
    select(_r.user_id, _r.state, func.count()).where(one_of(_r.user_id, "ids")).group_by(_r.user_id, _r.state)
)
COUNT_OF_TWEETS = Statement(
    select(_r.tweet_id, _r.state, func.count())
    .where(one_of(_r.tweet_id, "ids"), text("tweet_id != 0"))
    .group_by(_r.tweet_id, _r.state)
)
ERASE_WRITTEN = Statement(
    update(REPORTS).where(_r.reporter_id == bindparam("erased_id"), _r.comment != "").values(comment="")
)
ERASE_ABOUT = Statement(delete(REPORTS).where(_r.user_id == bindparam("erased_id")))

ADD_ENTRY = Statement(insert(BLOCKLIST).values(_bound(BLOCKLIST)))
SET_ACTION = Statement(update(BLOCKLIST).where(_b.id == bindparam("entry_id")).values(action=bindparam("new_action")))
FIND_ENTRY = Statement(select(_b.id, _b.action).where(_b.list == bindparam("list"), _b.entry == bindparam("entry")))
ENTRY = Statement(select(_b.list, _b.entry).where(_b.id == bindparam("id")))
DROP_ENTRY = Statement(delete(BLOCKLIST).where(_b.id == bindparam("entry_id")))
ENTRIES_OF = _pages(select(_b.id, _b.entry, _b.action, _b.added_at).where(_b.list == bindparam("list")), _b.id)
COUNT_ENTRIES = Statement(select(func.count()).where(_b.list == bindparam("list")))
ALL_OF = Statement(select(_b.entry, _b.action).where(_b.list == bindparam("list")))
