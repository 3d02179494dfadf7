"""The Notification Service's tables and statements, the same on every SQL engine."""

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    bindparam,
    delete,
    func,
    select,
    tuple_,
    update,
)

from rookery.infra.sql.port import Statement, insert, one_of

METADATA = MetaData()

ITEMS = Table(
    "notifications_items",
    METADATA,
    Column("user_id", BigInteger, nullable=False),
    Column("topic", Integer, nullable=False),  # rules.Topic
    Column("tweet_id", BigInteger, nullable=False),  # 0 where it is about no tweet
    Column("group_id", BigInteger, nullable=False),  # the id of the group's first act
    Column("id", BigInteger, nullable=False),  # the newest act's; of an empty group the last one's
    Column("at", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),  # acts that stand
    PrimaryKeyConstraint("user_id", "topic", "tweet_id", "group_id"),
    # Read by: lists, unread counts.
    Index("notifications_items_list", "user_id", "id"),
    # Read by: what is to be told next, retention.
    Index("notifications_items_id", "id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
ACTS = Table(
    "notifications_acts",
    METADATA,
    Column("user_id", BigInteger, nullable=False),
    Column("topic", Integer, nullable=False),
    Column("tweet_id", BigInteger, nullable=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("group_id", BigInteger, nullable=False),  # 0: it was taken back before it was heard of
    Column("standing", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),  # of the newest event about it
    PrimaryKeyConstraint("user_id", "topic", "tweet_id", "actor_id"),
    # Read by: the newest of a group.
    Index("notifications_acts_group", "group_id", "standing", "id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
HELD = Table(
    "notifications_held",
    METADATA,
    Column("tweet_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),  # 0: the row tells of the tweet itself
    Column("author_id", BigInteger, nullable=False),
    Column("released", Integer, nullable=False),
    PrimaryKeyConstraint("tweet_id", "user_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
PEOPLE = Table(
    "notifications_people",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("read_upto", BigInteger, nullable=False),
    Column("preferences", Text),  # JSON; NULL where none was ever chosen
    sqlite_strict=True,
)
TOLD = Table(
    "notifications_told",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("upto", BigInteger, nullable=False),
    sqlite_strict=True,
)

_i, _a, _h, _p = ITEMS.c, ACTS.c, HELD.c, PEOPLE.c
_ACT_KEY = ("user_id", "topic", "tweet_id", "actor_id")
_GROUP_KEY = ("user_id", "topic", "tweet_id", "group_id")
_by_act = [_a[name] == bindparam(f"{name}_") for name in _ACT_KEY]
_by_group = [_i[name] == bindparam(f"{name}_") for name in _GROUP_KEY]

# --- writing

ACT = Statement(select(_a.id, _a.at, _a.group_id, _a.standing, _a.offset).where(*_by_act))
_put = insert(ACTS).values({column.name: bindparam(column.name) for column in ACTS.columns})
PUT_ACT = Statement(
    _put.on_conflict_do_update(
        index_elements=list(_ACT_KEY),
        set_={name: _put.excluded[name] for name in ("id", "at", "group_id", "standing", "offset")},
    )
)
NOTE_ACT = Statement(
    update(ACTS).where(*_by_act).values(standing=bindparam("to_standing"), offset=bindparam("to_offset"))
)
NEWEST_GROUP = Statement(
    select(_i.group_id, _i.first_at)
    .where(_i.user_id == bindparam("user_id"), _i.topic == bindparam("topic"), _i.tweet_id == bindparam("tweet_id"))
    .order_by(_i.group_id.desc())
    .limit(1)
)
_add = insert(ITEMS).values({column.name: bindparam(column.name) for column in ITEMS.columns})
ADD_ITEM = Statement(_add.on_conflict_do_nothing())
GROUP_SIZE = Statement(select(_i.count).where(*_by_group))
SET_ITEM = Statement(
    update(ITEMS).where(*_by_group).values(id=bindparam("to_id"), at=bindparam("to_at"), count=bindparam("to_count"))
)
SET_COUNT = Statement(update(ITEMS).where(*_by_group).values(count=bindparam("to_count")))
_newest = (
    select(_a.id, _a.actor_id)
    .where(_a.group_id == bindparam("group_id"), _a.standing == 1)
    .order_by(_a.id.desc())
    .limit(bindparam("limit"))
)
NEWEST_ACT = Statement(
    select(_a.id, _a.at).where(_a.group_id == bindparam("group_id"), _a.standing == 1).order_by(_a.id.desc()).limit(1)
)

HOLD = Statement(
    insert(HELD).values({column.name: bindparam(column.name) for column in HELD.columns}).on_conflict_do_nothing()
)
HELD_TWEET = Statement(select(_h.released).where(_h.tweet_id == bindparam("tweet_id"), _h.user_id == 0))
HELD_FROM = Statement(
    select(_h.user_id, _h.author_id).where(_h.tweet_id == bindparam("tweet_id"), _h.user_id != 0).order_by(_h.user_id)
)
RELEASE = Statement(update(HELD).where(_h.tweet_id == bindparam("of_tweet"), _h.user_id == 0).values(released=1))
DROP_HELD_FROM = Statement(delete(HELD).where(_h.tweet_id == bindparam("tweet_id"), _h.user_id != 0))

# --- reading

_items = select(_i.id, _i.topic, _i.tweet_id, _i.group_id, _i.count, _i.at).where(
    _i.user_id == bindparam("user_id"), _i.count > 0
)
DOWN = Statement(_items.where(_i.id < bindparam("cursor")).order_by(_i.id.desc()).limit(bindparam("limit")))
UP = Statement(_items.where(_i.id > bindparam("cursor")).order_by(_i.id).limit(bindparam("limit")))
UNREAD = Statement(
    _items.where(_i.id > bindparam("after"), _i.id < bindparam("before"))
    .order_by(_i.id.desc())
    .limit(bindparam("limit"))
)
ACTORS = Statement(_newest.where(_a.id < bindparam("before")))
ACTORS_AMONG = Statement(
    select(_a.id, _a.actor_id)
    .where(
        _a.user_id == bindparam("user_id"),
        _a.topic == bindparam("topic"),
        _a.tweet_id == bindparam("tweet_id"),
        one_of(_a.actor_id, "actors"),
        _a.group_id == bindparam("group_id"),
        _a.standing == 1,
    )
    .order_by(_a.id.desc())
)
PERSON = Statement(select(_p.read_upto, _p.preferences).where(_p.user_id == bindparam("user_id")))
NEWEST_OF = Statement(select(func.coalesce(func.max(_i.id), 0)).where(_i.user_id == bindparam("user_id")))
_read = insert(PEOPLE).values(user_id=bindparam("user_id"), read_upto=bindparam("read_upto"))
SET_READ = Statement(
    _read.on_conflict_do_update(index_elements=["user_id"], set_={"read_upto": _read.excluded.read_upto})
)
_prefer = insert(PEOPLE).values(user_id=bindparam("user_id"), read_upto=0, preferences=bindparam("preferences"))
SET_PREFERENCES = Statement(
    _prefer.on_conflict_do_update(index_elements=["user_id"], set_={"preferences": _prefer.excluded.preferences})
)

# --- telling

UNTOLD = Statement(
    select(_i.id, _i.topic, _i.tweet_id, _i.group_id, _i.count, _i.at, _i.user_id)
    .where(_i.id > bindparam("after"), _i.count > 0)
    .order_by(_i.id)
    .limit(bindparam("limit"))
)
TOLD_UPTO = Statement(select(TOLD.c.upto).where(TOLD.c.one == 1))
_tell = insert(TOLD).values(one=1, upto=bindparam("upto"))
SET_TOLD = Statement(_tell.on_conflict_do_update(index_elements=["one"], set_={"upto": _tell.excluded.upto}))

# --- upkeep, erasing, checks

NEWEST_ID = Statement(select(func.coalesce(func.max(_i.id), 0)))
OLD_ITEMS = Statement(
    select(_i.user_id, _i.topic, _i.tweet_id, _i.group_id, _i.count)
    .where(_i.id < bindparam("before"))
    .order_by(_i.id)
    .limit(bindparam("limit"))
)
ACTS_OF_GROUP = Statement(
    select(_a.user_id, _a.topic, _a.tweet_id, _a.actor_id, _a.standing)
    .where(_a.group_id == bindparam("group_id"))
    .limit(bindparam("limit"))
)
OLD_TRACES = Statement(
    select(_a.user_id, _a.topic, _a.tweet_id, _a.actor_id)
    .where(_a.group_id == 0, _a.id < bindparam("before"))
    .limit(bindparam("limit"))
)
DROP_ACT = Statement(delete(ACTS).where(*_by_act))
DROP_ITEM = Statement(delete(ITEMS).where(*_by_group))
DROP_OLD_HELD = Statement(
    delete(HELD).where(
        tuple_(_h.tweet_id, _h.user_id).in_(
            select(_h.tweet_id, _h.user_id).where(_h.tweet_id < bindparam("before")).limit(bindparam("limit"))
        )
    )
)
ITEMS_OF = Statement(
    select(_i.user_id, _i.topic, _i.tweet_id, _i.group_id)
    .where(_i.user_id == bindparam("user_id"))
    .limit(bindparam("limit"))
)
ACTS_OF = Statement(
    select(_a.user_id, _a.topic, _a.tweet_id, _a.actor_id)
    .where(_a.user_id == bindparam("user_id"))
    .limit(bindparam("limit"))
)
_from: list[ColumnElement[int]] = [bindparam(f"{name}_") for name in _ACT_KEY]
_behind = tuple_(*(_a[name] for name in _ACT_KEY)) > tuple_(*_from)
STEP = Statement(
    select(*(_a[name] for name in _ACT_KEY), _a.group_id, _a.standing)
    .where(_behind)
    .order_by(*(_a[name] for name in _ACT_KEY))
    .limit(bindparam("limit"))
)
DROP_HELD_OF = Statement(
    delete(HELD).where((_h.user_id == bindparam("user_id")) | (_h.author_id == bindparam("user_id")))
)
DROP_PERSON = Statement(delete(PEOPLE).where(_p.user_id == bindparam("user_id")))

_rows = (_a.group_id == _i.group_id) & (_a.standing == 1)
AUDIT = Statement(
    select(
        _i.id,
        _i.user_id,
        _i.group_id,
        _i.count,
        select(func.count()).where(_rows).correlate(ITEMS).scalar_subquery(),
        select(func.max(_a.id)).where(_rows).correlate(ITEMS).scalar_subquery(),
    )
    .where(_i.id > bindparam("after"))
    .order_by(_i.id)
    .limit(bindparam("limit"))
)
