"""The event log's tables and statements, the same on every SQL engine."""

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from rookery.infra.sql.port import Statement, insert, one_of

METADATA = MetaData()

LOG = Table(
    "events_log",
    METADATA,
    Column("offset", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,  # an offset is never used twice, even after the newest events were removed
    sqlite_strict=True,
)
GROUPS = Table(
    "events_groups",
    METADATA,
    Column("name", Text, primary_key=True, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("durable", Integer, nullable=False),
    Column("topics", Text, nullable=False),
    sqlite_strict=True,
)
PARKED = Table(
    "events_parked",
    METADATA,
    Column("group_name", Text, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", BigInteger),
    PrimaryKeyConstraint("group_name", "offset"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

APPEND = Statement(
    insert(LOG)
    .values({c: bindparam(c) for c in ("at", "topic", "name", "version", "key", "body")})
    .returning(LOG.c.offset)
)
READ = Statement(
    select(LOG.c.offset, LOG.c.at, LOG.c.topic, LOG.c.name, LOG.c.body)
    .where(LOG.c.offset > bindparam("after"))
    .order_by(LOG.c.offset)
    .limit(bindparam("limit"))
)
AT = Statement(
    select(LOG.c.offset, LOG.c.at, LOG.c.name, LOG.c.version, LOG.c.key, LOG.c.body).where(
        LOG.c.offset == bindparam("offset")
    )
)
NEXT_AT = Statement(select(LOG.c.at).where(LOG.c.offset > bindparam("after")).order_by(LOG.c.offset).limit(1))
HEAD = Statement(select(func.coalesce(func.max(LOG.c.offset), 0)))
COUNT_TOPICS_AFTER = Statement(
    select(LOG.c.topic, func.count(), func.min(LOG.c.at)).where(LOG.c.offset > bindparam("after")).group_by(LOG.c.topic)
)
TRIM = Statement(
    delete(LOG).where(
        LOG.c.offset <= bindparam("upto"),
        LOG.c.offset.in_(select(LOG.c.offset).order_by(LOG.c.offset).limit(bindparam("limit"))),
        LOG.c.at < bindparam("before"),
    )
)

GROUP = Statement(select(GROUPS.c.offset).where(GROUPS.c.name == bindparam("name")))
ALL_GROUPS = Statement(
    select(GROUPS.c.name, GROUPS.c.offset, GROUPS.c.durable, GROUPS.c.topics).order_by(GROUPS.c.name)
)
_save = insert(GROUPS).values({c: bindparam(c) for c in ("name", "offset", "durable", "topics")})
SAVE_GROUP = Statement(
    _save.on_conflict_do_update(
        index_elements=["name"],
        set_={
            # What a durable group has handled stays handled, whoever stores an older offset.
            "offset": case(
                (and_(_save.excluded.durable == 1, _save.excluded.offset < GROUPS.c.offset), GROUPS.c.offset),
                else_=_save.excluded.offset,
            ),
            "durable": _save.excluded.durable,
            "topics": _save.excluded.topics,
        },
    )
)

# The body is copied as it stands in the log: this program may not know all of its fields.
_park = insert(PARKED).from_select(
    ["group_name", "offset", "at", "name", "key", "body", "error", "attempts", "retry_at"],
    select(
        bindparam("group_name", type_=Text()),
        LOG.c.offset,
        LOG.c.at,
        LOG.c.name,
        LOG.c.key,
        LOG.c.body,
        bindparam("error", type_=Text()),
        bindparam("attempts", type_=Integer()),
        bindparam("retry_at", type_=BigInteger()),
    ).where(LOG.c.offset == bindparam("offset")),
)
PARK = Statement(
    _park.on_conflict_do_update(
        index_elements=["group_name", "offset"],
        set_={
            "error": _park.excluded.error,
            "attempts": _park.excluded.attempts,
            "retry_at": _park.excluded.retry_at,
        },
    )
)
PARK_AGAIN = Statement(
    update(PARKED)
    .values({c: bindparam("new_" + c) for c in ("error", "attempts", "retry_at")})
    .where(PARKED.c.group_name == bindparam("group_name"), PARKED.c.offset == bindparam("offset"))
)
UNPARK = Statement(
    delete(PARKED).where(PARKED.c.group_name == bindparam("group_name"), PARKED.c.offset == bindparam("offset"))
)
DROP_RETRIES = Statement(
    delete(PARKED).where(PARKED.c.group_name == bindparam("group_name"), PARKED.c.retry_at.is_not(None))
)
_PARKED = [PARKED.c[name] for name in ("group_name", "offset", "name", "key", "body", "error", "attempts", "retry_at")]
PARKED_AT = Statement(
    select(PARKED.c.at, PARKED.c.name, PARKED.c.key, PARKED.c.body)
    .where(PARKED.c.offset == bindparam("offset"))
    .limit(1)
)
PARKED_OF = Statement(
    select(*_PARKED)
    .where(
        PARKED.c.group_name == bindparam("group_name"),
        or_(bindparam("offset") == 0, PARKED.c.offset == bindparam("offset")),
    )
    .order_by(PARKED.c.offset)
    .limit(bindparam("limit"))
)
LIST_PARKED = Statement(
    select(*_PARKED)
    .where(or_(bindparam("group_name") == "", PARKED.c.group_name == bindparam("group_name")))
    .order_by(PARKED.c.offset, PARKED.c.group_name)
    .limit(10_000)
)
_of_group = or_(bindparam("group_name") == "", PARKED.c.group_name == bindparam("group_name"))


def _parked_page(newer: bool) -> Statement:
    """The parked rows of up to `limit` events on one side of a cursor: no event is cut in two."""
    offset = PARKED.c.offset
    side, order = (offset > bindparam("cursor"), offset) if newer else (offset < bindparam("cursor"), offset.desc())
    chosen = select(offset).where(_of_group, side).distinct().order_by(order).limit(bindparam("limit"))
    return Statement(select(*_PARKED).where(_of_group, offset.in_(chosen)).order_by(order, PARKED.c.group_name))


PARKED_BEFORE, PARKED_AFTER = _parked_page(newer=False), _parked_page(newer=True)
DUE = Statement(
    select(PARKED.c.offset, PARKED.c.at, PARKED.c.name, PARKED.c.body, PARKED.c.attempts)
    .where(
        PARKED.c.group_name == bindparam("group_name"),
        or_(PARKED.c.retry_at <= bindparam("now"), PARKED.c.retry_at > bindparam("ahead")),
    )
    .order_by(PARKED.c.offset)
    .limit(100)
)
NEXT_RETRY = Statement(select(func.min(PARKED.c.retry_at)).where(PARKED.c.group_name == bindparam("group_name")))
NEXT_RETRIES = Statement(
    select(PARKED.c.group_name, func.min(PARKED.c.retry_at))
    .where(PARKED.c.retry_at.is_not(None))
    .group_by(PARKED.c.group_name)
)
PARKED_COUNTS = Statement(select(PARKED.c.group_name, func.count()).group_by(PARKED.c.group_name))
REPLAY = Statement(
    update(PARKED)
    .values(retry_at=0)
    .where(
        or_(bindparam("group_name") == "", PARKED.c.group_name == bindparam("group_name")),
        or_(bindparam("offset") == 0, PARKED.c.offset == bindparam("offset")),
    )
)

# --- erasing: events that name a person, whose id stands as a number in their JSON

_named = LOG.c.body.contains(bindparam("person"))
_erasable = and_(LOG.c.offset > bindparam("after"), LOG.c.offset <= bindparam("upto"), LOG.c.name != "users.erased")
_step = select(LOG.c.offset).where(LOG.c.offset > bindparam("after")).order_by(LOG.c.offset).limit(bindparam("limit"))
STEP = Statement(select(func.max(_step.subquery().c.offset)))
NAMING = Statement(select(LOG.c.offset).where(_erasable, _named).order_by(LOG.c.offset))
DROP_EVENTS = Statement(delete(LOG).where(one_of(LOG.c.offset, "offsets")))
PARKED_NAMING = Statement(
    select(PARKED.c.group_name, PARKED.c.offset, PARKED.c.name, PARKED.c.body, PARKED.c.error).where(
        PARKED.c.body.contains(bindparam("person"))
    )
)
REDACT = Statement(
    update(PARKED)
    .values(body=bindparam("new_body"), error=bindparam("new_error"))
    .where(PARKED.c.group_name == bindparam("group_name"), PARKED.c.offset == bindparam("at_offset"))
)
DROP_PARKED = Statement(
    delete(PARKED).where(PARKED.c.group_name == bindparam("group_name"), PARKED.c.offset == bindparam("at_offset"))
)
