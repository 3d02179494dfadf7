"""The Graph Service's tables and statements, the same on every SQL engine.

Every edge has an id of its own, issued inside the transaction that makes it, so that ids ascend in the order of commits: lists run
newest first by it and page by it. A follow is stored in both directions. The follower's row is the truth; the followee's is
derived from it, and clustered so that a page of followers is one range of a million.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)

from rookery.infra.sql.port import Statement, insert, one_of

METADATA = MetaData()


def _id(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


FOLLOWING = Table(
    "graph_following",
    METADATA,
    _id("follower_id"),
    _id("followee_id"),
    _id("edge_id"),
    PrimaryKeyConstraint("follower_id", "followee_id"),
    # Read by: pages of whom somebody follows.
    Index("graph_following_by_edge", "follower_id", "edge_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
FOLLOWERS = Table(
    "graph_followers",
    METADATA,
    _id("followee_id"),
    _id("edge_id"),
    _id("follower_id"),
    PrimaryKeyConstraint("followee_id", "edge_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
REQUESTS = Table(
    "graph_requests",
    METADATA,
    _id("followee_id"),
    _id("follower_id"),
    _id("edge_id"),
    PrimaryKeyConstraint("followee_id", "follower_id"),
    # Read by: pages of who waits for approval.
    Index("graph_requests_by_edge", "followee_id", "edge_id"),
    # Read by: whom somebody asks to follow, for their archive; erasing of who asked.
    Index("graph_requests_by_follower", "follower_id", "edge_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
BLOCKS = Table(
    "graph_blocks",
    METADATA,
    _id("blocker_id"),
    _id("blocked_id"),
    _id("edge_id"),
    PrimaryKeyConstraint("blocker_id", "blocked_id"),
    # Read by: pages of whom somebody blocks.
    Index("graph_blocks_by_edge", "blocker_id", "edge_id"),
    # Read by: who blocks somebody, for what they may see.
    Index("graph_blocks_by_blocked", "blocked_id", "blocker_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
MUTES = Table(
    "graph_mutes",
    METADATA,
    _id("muter_id"),
    _id("muted_id"),
    _id("edge_id"),
    PrimaryKeyConstraint("muter_id", "muted_id"),
    # Read by: pages of whom somebody mutes.
    Index("graph_mutes_by_edge", "muter_id", "edge_id"),
    # Read by: erasing of who is muted.
    Index("graph_mutes_by_muted", "muted_id", "muter_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
PEOPLE = Table(
    "graph_people",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    _id("followers"),
    _id("following"),
    _id("version"),
    sqlite_strict=True,
)
FAME = Table(
    "graph_fame",
    METADATA,
    _id("author_id"),
    _id("from_id"),
    Column("to_id", BigInteger),
    PrimaryKeyConstraint("author_id", "from_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

HASHTAGS = Table(
    "graph_hashtags",
    METADATA,
    _id("user_id"),
    Column("key", Text, nullable=False),
    _id("edge_id"),
    PrimaryKeyConstraint("user_id", "key"),
    # Read by: pages of what somebody follows.
    Index("graph_hashtags_by_edge", "user_id", "edge_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
CONVERSATIONS = Table(
    "graph_muted_conversations",
    METADATA,
    _id("user_id"),
    _id("root_id"),
    _id("edge_id"),
    PrimaryKeyConstraint("user_id", "root_id"),
    # Read by: pages of what somebody muted.
    Index("graph_muted_conversations_by_edge", "user_id", "edge_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
FILTERS = Table(
    "graph_filters",
    METADATA,
    _id("user_id"),
    _id("id"),
    Column("phrase", Text, nullable=False),
    Column("expires_at", BigInteger),
    PrimaryKeyConstraint("user_id", "id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

_g, _r, _q, _b, _m, _p, _f = (t.c for t in (FOLLOWING, FOLLOWERS, REQUESTS, BLOCKS, MUTES, PEOPLE, FAME))


def _add(table: Table) -> Statement:
    """Insert a row unless it is there."""
    bound: dict[str, Any] = {column.name: bindparam(column.name) for column in table.columns}
    return Statement(insert(table).values(bound).on_conflict_do_nothing())


def _is(**values: Column[int]) -> Any:
    return and_(*(column == bindparam(name) for name, column in values.items()))


# --- follows

ADD_FOLLOWING = _add(FOLLOWING)
ADD_FOLLOWER = Statement(
    insert(FOLLOWERS).values({name: bindparam(name) for name in ("followee_id", "edge_id", "follower_id")})
)
EDGE = Statement(select(_g.edge_id).where(_is(follower_id=_g.follower_id, followee_id=_g.followee_id)))
END_FOLLOWING = Statement(
    delete(FOLLOWING).where(_is(follower_id=_g.follower_id, followee_id=_g.followee_id)).returning(_g.edge_id)
)
END_FOLLOWER = Statement(delete(FOLLOWERS).where(_is(followee_id=_r.followee_id, edge_id=_r.edge_id)))
FOLLOWING_OF = Statement(select(_g.followee_id).where(_g.follower_id == bindparam("user_id")))
FOLLOWERS_AMONG = Statement(
    select(_g.follower_id).where(one_of(_g.follower_id, "ids"), _g.followee_id == bindparam("user_id"))
)

# --- requests

ADD_REQUEST = _add(REQUESTS)
END_REQUEST = Statement(delete(REQUESTS).where(_is(followee_id=_q.followee_id, follower_id=_q.follower_id)))
ANY_REQUEST = Statement(select(_q.edge_id).limit(1))
REQUESTERS_AMONG = Statement(
    select(_q.follower_id).where(_q.followee_id == bindparam("user_id"), one_of(_q.follower_id, "ids"))
)
REQUESTED_AMONG = Statement(
    select(_q.followee_id).where(one_of(_q.followee_id, "ids"), _q.follower_id == bindparam("user_id"))
)

# --- blocks and mutes

ADD_BLOCK = _add(BLOCKS)
END_BLOCK = Statement(delete(BLOCKS).where(_is(blocker_id=_b.blocker_id, blocked_id=_b.blocked_id)))
BLOCK_BETWEEN = Statement(
    select(literal(1)).where(
        or_(
            and_(_b.blocker_id == bindparam("a"), _b.blocked_id == bindparam("b")),
            and_(_b.blocker_id == bindparam("b"), _b.blocked_id == bindparam("a")),
        )
    )
)
ANY_BLOCK = Statement(select(_b.edge_id).limit(1))
BLOCKED_OF = Statement(select(_b.blocked_id).where(_b.blocker_id == bindparam("user_id")))
BLOCKERS_OF = Statement(select(_b.blocker_id).where(_b.blocked_id == bindparam("user_id")))
ADD_MUTE = _add(MUTES)
END_MUTE = Statement(delete(MUTES).where(_is(muter_id=_m.muter_id, muted_id=_m.muted_id)))
MUTED_OF = Statement(select(_m.muted_id).where(_m.muter_id == bindparam("user_id")))

# --- what stands between two people, seen from `me`; columns in the order of `Relationship`'s fields


def _stands(table: Table, one: str, other: str) -> Any:
    return exists().where(table.c[one] == bindparam("me"), table.c[other] == bindparam("other"))


BETWEEN = Statement(
    select(
        _stands(FOLLOWING, "follower_id", "followee_id"),
        _stands(FOLLOWING, "followee_id", "follower_id"),
        _stands(REQUESTS, "follower_id", "followee_id"),
        _stands(REQUESTS, "followee_id", "follower_id"),
        _stands(BLOCKS, "blocker_id", "blocked_id"),
        _stands(BLOCKS, "blocked_id", "blocker_id"),
        _stands(MUTES, "muter_id", "muted_id"),
    )
)

# --- what one person chose

_t, _c, _w = HASHTAGS.c, CONVERSATIONS.c, FILTERS.c
ADD_HASHTAG = _add(HASHTAGS)
END_HASHTAG = Statement(delete(HASHTAGS).where(_is(user_id=_t.user_id, key=_t.key)))
HASHTAG = Statement(select(_t.edge_id).where(_is(user_id=_t.user_id, key=_t.key)))
HASHTAGS_OF = Statement(select(_t.key).where(_t.user_id == bindparam("user_id")))
ADD_CONVERSATION = _add(CONVERSATIONS)
END_CONVERSATION = Statement(delete(CONVERSATIONS).where(_is(user_id=_c.user_id, root_id=_c.root_id)))
CONVERSATION = Statement(select(_c.edge_id).where(_is(user_id=_c.user_id, root_id=_c.root_id)))
CONVERSATIONS_OF = Statement(select(_c.root_id).where(_c.user_id == bindparam("user_id")))
ADD_FILTER = _add(FILTERS)
EDIT_FILTER = Statement(
    update(FILTERS)
    .where(_w.user_id == bindparam("user"), _w.id == bindparam("filter"))
    .values(phrase=bindparam("phrase"), expires_at=bindparam("expires_at"))
)
END_FILTER = Statement(delete(FILTERS).where(_is(user_id=_w.user_id, id=_w.id)))
FILTERS_OF = Statement(
    select(_w.id, _w.phrase, _w.expires_at).where(_w.user_id == bindparam("user_id")).order_by(_w.id.desc())
)

DROP_CHOICES = tuple(
    Statement(delete(table).where(table.c.user_id == bindparam("user_id")))
    for table in (HASHTAGS, CONVERSATIONS, FILTERS)
)
# A word that somebody filters is theirs; a hashtag is, unless others follow it.
_same = HASHTAGS.alias("same")
WORDS_OF_ERASED = (
    Statement(select(_w.phrase).where(_w.user_id == bindparam("user_id"))),
    Statement(
        select(_t.key).where(
            _t.user_id == bindparam("user_id"),
            ~exists().where(_same.c.key == _t.key, _same.c.user_id != _t.user_id),
        )
    ),
)

# --- pages: (edge id, the other person), up to `limit` rows, older or newer than an edge id


class Listing:
    """The two directions of paging through one list."""

    def __init__(self, table: Table, owner: str, member: str) -> None:
        row = select(table.c.edge_id, table.c[member]).where(table.c[owner] == bindparam("user_id"))
        edge = table.c.edge_id
        self.older = Statement(row.where(edge < bindparam("cursor")).order_by(edge.desc()).limit(bindparam("limit")))
        self.newer = Statement(row.where(edge > bindparam("cursor")).order_by(edge).limit(bindparam("limit")))


LIST_FOLLOWERS = Listing(FOLLOWERS, "followee_id", "follower_id")
LIST_FOLLOWING = Listing(FOLLOWING, "follower_id", "followee_id")
LIST_REQUESTS = Listing(REQUESTS, "followee_id", "follower_id")
LIST_REQUESTED = Listing(REQUESTS, "follower_id", "followee_id")
LIST_BLOCKED = Listing(BLOCKS, "blocker_id", "blocked_id")
LIST_MUTED = Listing(MUTES, "muter_id", "muted_id")
LIST_HASHTAGS = Listing(HASHTAGS, "user_id", "key")
LIST_CONVERSATIONS = Listing(CONVERSATIONS, "user_id", "root_id")

# --- counts and versions

_change = insert(PEOPLE).values({column.name: bindparam(column.name) for column in PEOPLE.columns})
_changed = _change.on_conflict_do_update(
    index_elements=[_p.user_id],
    set_={name: _p[name] + _change.excluded[name] for name in ("followers", "following", "version")},
)
CHANGE_PERSON = Statement(_changed.returning(_p.followers, _p.version))
"""Adds `followers`, `following` and `version` to what stands; answers the new followers and version."""
CHANGE_PEOPLE = Statement(_changed)
COUNTS = Statement(select(_p.user_id, _p.followers, _p.following).where(one_of(_p.user_id, "ids")))
VERSION = Statement(select(_p.version).where(_p.user_id == bindparam("user_id")))

# --- fame

_open = and_(_f.author_id == _p.user_id, _f.to_id.is_(None))
OPEN_FAME = Statement(select(_f.from_id).where(_f.author_id == bindparam("author_id"), _f.to_id.is_(None)))
ADD_FAME = Statement(insert(FAME).values(author_id=bindparam("author_id"), from_id=bindparam("from_id")))
END_FAME = Statement(
    update(FAME)
    .where(_f.author_id == bindparam("author"), _f.from_id == bindparam("since"))
    .values(to_id=bindparam("to"))
)
ALL_FAME = Statement(select(_f.author_id, _f.from_id, _f.to_id).order_by(_f.author_id, _f.from_id))
RISING = Statement(
    select(_p.user_id).where(_p.followers >= bindparam("high"), ~exists().where(_open)).order_by(_p.user_id)
)
FALLING = Statement(
    select(_f.author_id)
    .select_from(FAME.outerjoin(PEOPLE, _p.user_id == _f.author_id))
    .where(_f.to_id.is_(None), func.coalesce(_p.followers, 0) < bindparam("low"))
    .order_by(_f.author_id)
)
RISING_AMONG = Statement(
    select(_p.user_id)
    .where(one_of(_p.user_id, "ids"), _p.followers >= bindparam("high"), ~exists().where(_open))
    .order_by(_p.user_id)
)

# --- checks: a range of people (after, upto], both sides of every edge of theirs

PEOPLE_AFTER = Statement(
    select(_p.user_id, _p.followers, _p.following)
    .where(_p.user_id > bindparam("after"))
    .order_by(_p.user_id)
    .limit(bindparam("limit"))
)


def _within(column: Column[int]) -> Any:
    return and_(column > bindparam("after"), column <= bindparam("upto"))


FOLLOWING_ROWS = Statement(select(_g.follower_id, func.count()).where(_within(_g.follower_id)).group_by(_g.follower_id))
FOLLOWERS_ROWS = Statement(select(_r.followee_id, func.count()).where(_within(_r.followee_id)).group_by(_r.followee_id))
LACKING_FOLLOWER = Statement(
    select(_g.follower_id, _g.followee_id)
    .select_from(
        FOLLOWING.outerjoin(
            FOLLOWERS,
            and_(_r.followee_id == _g.followee_id, _r.edge_id == _g.edge_id, _r.follower_id == _g.follower_id),
        )
    )
    .where(_within(_g.follower_id), _r.follower_id.is_(None))
    .order_by(_g.follower_id, _g.followee_id)
    .limit(bindparam("limit"))
)
LACKING_FOLLOWING = Statement(
    select(_r.followee_id, _r.follower_id, _r.edge_id)
    .select_from(
        FOLLOWERS.outerjoin(
            FOLLOWING,
            and_(_g.follower_id == _r.follower_id, _g.followee_id == _r.followee_id, _g.edge_id == _r.edge_id),
        )
    )
    .where(_within(_r.followee_id), _g.follower_id.is_(None))
    .order_by(_r.followee_id, _r.edge_id)
    .limit(bindparam("limit"))
)
COUNT_PEOPLE = Statement(select(func.count()).select_from(PEOPLE))

# --- repairs

_derive = insert(FOLLOWERS).values({name: bindparam(name) for name in ("followee_id", "edge_id", "follower_id")})
# Where another follower stands with the edge's id, the truth knows better whose it is.
DERIVE_FOLLOWER = Statement(
    _derive.on_conflict_do_update(
        index_elements=["followee_id", "edge_id"], set_={"follower_id": _derive.excluded.follower_id}
    )
)
PERSON = Statement(select(_p.followers, _p.following, _p.version).where(_p.user_id == bindparam("user_id")))
EDGES_OF = Statement(
    select(
        select(func.count()).where(_r.followee_id == bindparam("user_id")).scalar_subquery(),
        select(func.count()).where(_g.follower_id == bindparam("user_id")).scalar_subquery(),
    )
)
_person = insert(PEOPLE).values({column.name: bindparam(column.name) for column in PEOPLE.columns})
SET_PERSON = Statement(
    _person.on_conflict_do_update(
        index_elements=[_p.user_id],
        set_={name: _person.excluded[name] for name in ("followers", "following", "version")},
    )
)
NEWEST_IDS = tuple(
    Statement(select(func.max(column)))
    for column in (_r.edge_id, _q.edge_id, _b.edge_id, _m.edge_id, _f.from_id, _f.to_id, _t.edge_id, _c.edge_id, _w.id)
)

# --- erasing


def _some(table: Table, owner: str, other: str) -> Statement:
    """Some of the other people in the rows of one."""
    rows = select(table.c[other], table.c.edge_id).where(table.c[owner] == bindparam("user_id"))
    return Statement(rows.limit(bindparam("limit")))


FOLLOWERS_OF_ERASED = _some(FOLLOWERS, "followee_id", "follower_id")
FOLLOWEES_OF_ERASED = _some(FOLLOWING, "follower_id", "followee_id")
DROP_FOLLOWING = Statement(delete(FOLLOWING).where(_is(follower_id=_g.follower_id, followee_id=_g.followee_id)))
PAIRS_OF_ERASED = tuple(
    (
        _some(table, one, other),
        Statement(delete(table).where(_is(**{one: table.c[one], other: table.c[other]}))),
        one,
        other,
    )
    for table, first, second in (
        (REQUESTS, "followee_id", "follower_id"),
        (BLOCKS, "blocker_id", "blocked_id"),
        (MUTES, "muter_id", "muted_id"),
    )
    for one, other in ((first, second), (second, first))
)
"""Rows between the erased person, in the column named first, and others: some of them, and the end of one."""
DROP_FAME = Statement(delete(FAME).where(_f.author_id == bindparam("author_id")))
DROP_PERSON = Statement(delete(PEOPLE).where(_p.user_id == bindparam("user_id")))
