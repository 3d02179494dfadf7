"""The Tweet Service's statements."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Table,
    and_,
    bindparam,
    delete,
    func,
    literal,
    literal_column,
    select,
    union_all,
    update,
)

from rookery.infra.sql.port import Statement, insert, one_of
from rookery.services.tweets.contract import BOOKMARKED, FAVORITED, RETWEETED, MarkKind
from rookery.services.tweets.tables import (
    AUTHORS,
    BOOKMARKS,
    COUNTS,
    FAVORITES,
    HASHTAGS,
    KEYS,
    PINS,
    RETWEETS,
    REVISIONS,
    TWEETS,
)

_t, _c, _r, _f, _b, _a, _k = TWEETS.c, COUNTS.c, RETWEETS.c, FAVORITES.c, BOOKMARKS.c, AUTHORS.c, KEYS.c
_v, _h = REVISIONS.c, HASHTAGS.c
_standing = _t.deleted_at.is_(None)

# --- records

TWEETS_BY_ID = Statement(
    select(
        _t.id,
        _t.author_id,
        _t.content,
        _t.visibility,
        _t.type,
        _t.created_at,
        _t.version,
        _t.lang,
        _t.media_url,
        _t.reply_to,
        _t.reply_to_user_id,
        _t.root_id,
        _t.quote_of,
        _t.quoted_user_id,
        _t.entities,
        _t.mentions,
        _t.counted,
        _t.edited_at,
        _t.deleted_at,
        _t.external_id,
        _t.reply_rule,
        _t.hidden,
        _t.detached_from,
        _t.standing,
        _t.label,
        _c.replies,
        _c.retweets,
        _c.quotes,
        _c.favorites,
        _c.version,
    )
    .select_from(TWEETS.outerjoin(COUNTS, _c.tweet_id == _t.id))
    .where(one_of(_t.id, "ids"))
)
RETWEETS_BY_ID = Statement(select(_r.id, _r.tweet_id, _r.user_id).where(one_of(_r.id, "ids")))


_KINDS = ((FAVORITES, FAVORITED), (RETWEETS, RETWEETED), (BOOKMARKS, BOOKMARKED))


def _marks(table: Table, kind: int, *where: ColumnElement[bool]) -> Any:
    mark: ColumnElement[int] = literal_column(str(kind), Integer)
    return select(table.c.tweet_id, mark).where(table.c.user_id == bindparam("user_id"), *where)


# A page's tweets lie close together, and a person marked few of what lies between: three walks of an index are less than
# three look-ups for each tweet.
MARKS_BETWEEN = Statement(
    union_all(
        *(
            _marks(table, kind, table.c.tweet_id >= bindparam("first"), table.c.tweet_id <= bindparam("last"))
            for table, kind in _KINDS
        )
    ).limit(bindparam("limit"))
)
NEWEST_MARKS = tuple(
    Statement(_marks(table, kind).order_by(table.c.tweet_id.desc()).limit(bindparam("limit"))) for table, kind in _KINDS
)
MARKS = tuple(Statement(_marks(table, kind, one_of(table.c.tweet_id, "ids"))) for table, kind in _KINDS)

# --- pages: rows below `before` newest first, or above `after` oldest first


def _pages(
    columns: tuple[Any, ...], id: ColumnElement[int], *where: ColumnElement[bool]
) -> tuple[Statement, Statement]:
    query = select(*columns).where(*where).limit(bindparam("limit"))
    return (
        Statement(query.where(id < bindparam("cursor")).order_by(id.desc())),
        Statement(query.where(id > bindparam("cursor")).order_by(id)),
    )


REPLIES = _pages((_t.id,), _t.id, _t.reply_to == bindparam("key"), _standing)
QUOTES = _pages((_t.id,), _t.id, _t.quote_of == bindparam("key"), _standing)
MEDIA = _pages((_t.id, _t.id), _t.id, _t.author_id == bindparam("key"), _t.media_url.is_not(None), _standing)
TAGGED = _pages((_h.tweet_id,), _h.tweet_id, _h.key == bindparam("key"))
HIDDEN = _pages((_t.id,), _t.id, _t.reply_to == bindparam("key"), _t.hidden == literal_column("1"), _standing)
RETWEETERS = _pages((_r.id, _r.user_id), _r.id, _r.tweet_id == bindparam("key"))
FAVORITERS = _pages((_f.id, _f.user_id), _f.id, _f.tweet_id == bindparam("key"))
FAVORITES_OF = _pages((_f.id, _f.tweet_id), _f.id, _f.user_id == bindparam("key"))
BOOKMARKS_OF = _pages((_b.id, _b.tweet_id), _b.id, _b.user_id == bindparam("key"))


def _entries(upwards: bool) -> Statement:
    """The tweets and retweets of one actor, merged by id: (entry, tweet)."""
    cursor: ColumnElement[int] = bindparam("cursor")

    def part(id: ColumnElement[int], tweet: ColumnElement[int], *where: ColumnElement[bool]) -> Any:
        found = select(id.label("entry"), tweet.label("tweet")).where(*where, id > cursor if upwards else id < cursor)
        rows = found.order_by(id if upwards else id.desc()).limit(bindparam("limit")).subquery()
        return select(rows.c.entry, rows.c.tweet)

    both = union_all(
        part(_t.id, _t.id, _t.author_id == bindparam("key"), _standing),
        part(_r.id, _r.tweet_id, _r.user_id == bindparam("key")),
    ).subquery()
    order = both.c.entry if upwards else both.c.entry.desc()
    return Statement(select(both.c.entry, both.c.tweet).order_by(order).limit(bindparam("limit")))


ENTRIES = (_entries(False), _entries(True))


def _between(
    key: ColumnElement[Any], id: ColumnElement[int], *columns: Any, where: tuple[Any, ...] = ()
) -> tuple[Statement, Statement]:
    query = select(id, *columns).where(key == bindparam("actor"), id > bindparam("low"), id < bindparam("high"), *where)
    query = query.limit(bindparam("limit"))
    return Statement(query.order_by(id.desc())), Statement(query.order_by(id))


TWEETS_BETWEEN = _between(_t.author_id, _t.id, _t.id.label("tweet"), where=(_standing,))
RETWEETS_BETWEEN = _between(_r.user_id, _r.id, _r.tweet_id)
TAGGED_BETWEEN = _between(_h.key, _h.tweet_id, _h.tweet_id.label("tweet"))

# The same of many actors, in no order.
TWEETS_OF_MANY = Statement(
    select(_t.id, _t.id)
    .where(one_of(_t.author_id, "actors"), _t.id > bindparam("low"), _t.id < bindparam("high"), _standing)
    .limit(bindparam("limit"))
)
RETWEETS_OF_MANY = Statement(
    select(_r.id, _r.tweet_id)
    .where(one_of(_r.user_id, "actors"), _r.id > bindparam("low"), _r.id < bindparam("high"))
    .limit(bindparam("limit"))
)

RETWEETS_OF = Statement(
    select(_r.id, _r.user_id)
    .where(_r.tweet_id == bindparam("tweet_id"), _r.id > bindparam("low"), _r.id < bindparam("high"))
    .order_by(_r.id)
    .limit(bindparam("limit"))
)
# The sums keep planners from walking all retweets of a tweet that a million retweeted: one look-up for each actor is less.
RETWEETS_OF_BY = Statement(
    select(_r.id)
    .where(
        _r.tweet_id == bindparam("tweet_id"),
        one_of(_r.user_id, "actors"),
        _r.id + 0 > bindparam("low"),
        _r.id + 0 < bindparam("high"),
    )
    .order_by(_r.id + 0)
)
_uses = select(_h.tweet_id).where(_h.key == bindparam("key")).limit(bindparam("limit")).subquery()
USES = Statement(select(func.count()).select_from(_uses))
# From one key to the next in one step of the index, however many tweets a key has.
_first_key = (
    select(func.min(_h.key).label("key"), literal(1).label("number"))
    .where(_h.key >= bindparam("low"), _h.key < bindparam("high"))
    .cte("keys", recursive=True)
)
_next_key = (
    select(func.min(_h.key))
    .where(_h.key > _first_key.c.key, _h.key < bindparam("high"))
    .correlate(_first_key)
    .scalar_subquery()
)
_keys = _first_key.union_all(
    select(_next_key, _first_key.c.number + 1).where(
        _first_key.c.key.is_not(None), _first_key.c.number < bindparam("limit")
    )
)
KEYS_BETWEEN = Statement(select(_keys.c.key).where(_keys.c.key.is_not(None)))
MAX_ANCESTORS = 100
_chain = (
    select(_t.id, _t.reply_to, literal(1).label("depth")).where(_t.id == bindparam("id")).cte("chain", recursive=True)
)
_chain = _chain.union_all(
    select(_t.id, _t.reply_to, _chain.c.depth + 1).where(_t.id == _chain.c.reply_to, _chain.c.depth < MAX_ANCESTORS)
)
ANCESTORS = Statement(select(_chain.c.id).order_by(_chain.c.depth))
HAS_REPLIES = Statement(select(_t.id).where(_t.reply_to == bindparam("id"), _standing).limit(1))
HAS_HIDDEN = Statement(
    select(_t.id).where(_t.reply_to == bindparam("id"), _t.hidden == literal_column("1"), _standing).limit(1)
)
AUTHORS_BY_ID = Statement(select(_a.user_id, _a.tweets).where(one_of(_a.user_id, "ids")))

# --- posting and deleting

_LATER = ("edited_at", "deleted_at", "version", "hidden", "detached_from", "standing", "held_for", "label")
_columns = [c.name for c in TWEETS.columns if c.name not in _LATER]
_new_tweet: dict[str, Any] = {name: bindparam(name) for name in _columns}
_add_tweet = insert(TWEETS).values({**_new_tweet, "version": 1})
ADD_TWEET = Statement(_add_tweet)
ENTOMB = Statement(
    update(TWEETS)
    .where(_t.id == bindparam("tweet_id"), _standing)
    .values(
        content="",
        entities=None,
        media_url=None,
        lang=None,
        type="text",
        deleted_at=bindparam("at"),
        version=_t.version + 1,
    )
)
TAG = Statement(insert(HASHTAGS).values(key=bindparam("key"), tweet_id=bindparam("tweet_id")))
UNTAG = Statement(delete(HASHTAGS).where(one_of(_h.key, "keys"), _h.tweet_id == bindparam("tweet_id")))
STATE_OF = Statement(select(_t.author_id, _t.deleted_at).where(_t.id == bindparam("id")))

_numbers: dict[str, Any] = {n: bindparam(n) for n in ("tweet_id", "replies", "retweets", "quotes", "favorites")}
_count = insert(COUNTS).values({**_numbers, "version": 1})
COUNT = Statement(
    _count.on_conflict_do_update(
        index_elements=["tweet_id"],
        set_={
            **{name: _c[name] + _count.excluded[name] for name in ("replies", "retweets", "quotes", "favorites")},
            "version": _c.version + 1,
        },
    )
)
VERSIONS = Statement(
    select(_t.id, _t.version + func.coalesce(_c.version, 0))
    .select_from(TWEETS.outerjoin(COUNTS, _c.tweet_id == _t.id))
    .where(one_of(_t.id, "ids"))
)
_authored = insert(AUTHORS).values(user_id=bindparam("user_id"), tweets=bindparam("tweets"))
COUNT_AUTHOR = Statement(
    _authored.on_conflict_do_update(index_elements=["user_id"], set_={"tweets": _a.tweets + _authored.excluded.tweets})
)

# --- editing

_SAID = ("content", "visibility", "type", "lang", "media_url", "entities", "mentions")
EDIT = Statement(
    update(TWEETS)
    .where(_t.id == bindparam("tweet_id"), _standing)
    .values(
        **{name: bindparam(name) for name in (*_SAID, "counted", "edited_at", "reply_rule")},
        version=_t.version + 1,
    )
)
KEEP_REVISION = Statement(
    insert(REVISIONS).values({name: bindparam(name) for name in ("tweet_id", "number", "at", *_SAID)})
)
LAST_REVISION = Statement(select(func.coalesce(func.max(_v.number), 0)).where(_v.tweet_id == bindparam("tweet_id")))
REVISIONS_OF = Statement(
    select(_v.at, *(_v[name] for name in _SAID)).where(_v.tweet_id == bindparam("tweet_id")).order_by(_v.number.desc())
)
DROP_REVISIONS = Statement(delete(REVISIONS).where(_v.tweet_id == bindparam("tweet_id")))

# --- what authors decide about others' replies and quotes, and about their own profile

HIDE = Statement(
    update(TWEETS)
    .where(_t.id == bindparam("tweet_id"), _standing)
    .values(hidden=bindparam("hidden"), version=_t.version + 1)
)
DETACH = Statement(
    update(TWEETS)
    .where(_t.id == bindparam("tweet_id"), _standing)
    .values(quote_of=bindparam("quote_of"), detached_from=bindparam("detached_from"), version=_t.version + 1)
)
_p = PINS.c
_pin = insert(PINS).values(user_id=bindparam("user_id"), tweet_id=bindparam("tweet_id"))
PIN = Statement(
    _pin.on_conflict_do_update(
        index_elements=["user_id"],
        set_={"tweet_id": _pin.excluded.tweet_id},
        where=_p.tweet_id != _pin.excluded.tweet_id,
    )
)
UNPIN = Statement(delete(PINS).where(_p.user_id == bindparam("user_id"), _p.tweet_id == bindparam("tweet_id")))
PINNED = Statement(select(_p.user_id, _p.tweet_id).where(one_of(_p.user_id, "ids")))

# --- moderation

HOLD = Statement(
    update(TWEETS).where(_t.id == bindparam("tweet_id")).values(standing="held", held_for=bindparam("held_for"))
)
STAND = Statement(
    update(TWEETS)
    .where(_t.id == bindparam("tweet_id"), _standing)
    .values(
        standing=bindparam("standing"),
        label=bindparam("label"),
        counted=bindparam("counted"),
        version=_t.version + 1,
    )
)
HELD_FOR = Statement(select(_t.id, _t.held_for).where(one_of(_t.id, "ids")))
# As the index's condition says it, or it would not be used.
HELD = _pages((_t.id,), _t.id, _t.standing == literal_column("'held'"), _standing)

# --- retweets, favorites, bookmarks

ADD_RETWEET = Statement(
    insert(RETWEETS)
    .values({n: bindparam(n) for n in ("id", "user_id", "tweet_id", "created_at")})
    .on_conflict_do_nothing()
)
ADD_FAVORITE = Statement(
    insert(FAVORITES).values({n: bindparam(n) for n in ("id", "user_id", "tweet_id")}).on_conflict_do_nothing()
)
ADD_BOOKMARK = Statement(
    insert(BOOKMARKS).values({n: bindparam(n) for n in ("id", "user_id", "tweet_id")}).on_conflict_do_nothing()
)


def _pair(table: Table) -> tuple[Statement, Statement]:
    here = and_(table.c.user_id == bindparam("user_id"), table.c.tweet_id == bindparam("tweet_id"))
    return Statement(select(table.c.id).where(here)), Statement(delete(table).where(here))


FIND_RETWEET, DROP_RETWEET = _pair(RETWEETS)
FIND_FAVORITE, DROP_FAVORITE = _pair(FAVORITES)
FIND_BOOKMARK, DROP_BOOKMARK = _pair(BOOKMARKS)

# --- idempotency keys

_this_key = and_(_k.user_id == bindparam("user_id"), _k.route == bindparam("route"), _k.key == bindparam("key"))
KEY = Statement(select(_k.body_hash, _k.tweet_id, _k.at).where(_this_key))
_keep = insert(KEYS).values({n: bindparam(n) for n in ("user_id", "route", "key", "body_hash", "tweet_id", "at")})
KEEP_KEY = Statement(
    _keep.on_conflict_do_update(
        index_elements=["user_id", "route", "key"],
        set_={"body_hash": _keep.excluded.body_hash, "tweet_id": _keep.excluded.tweet_id, "at": _keep.excluded.at},
    )
)
_oldest = select(_k.at).where(_k.at < bindparam("before")).order_by(_k.at).limit(bindparam("limit")).subquery()
DROP_KEYS = Statement(delete(KEYS).where(_k.at <= select(func.max(_oldest.c.at)).scalar_subquery()))

# --- erasing

OWN_MARKS = tuple(
    Statement(select(table.c.tweet_id).where(table.c.user_id == bindparam("user_id")).limit(bindparam("limit")))
    for table, _ in _KINDS
)
OWN_TWEETS = Statement(
    select(_t.id).where(_t.author_id == bindparam("user_id"), _standing).order_by(_t.id).limit(bindparam("limit"))
)
OWN_KEYS = Statement(select(_k.route, _k.key).where(_k.user_id == bindparam("user_id")).limit(bindparam("limit")))
TAGGED_AT_ALL = Statement(select(_h.tweet_id).where(_h.key == bindparam("key")).limit(1))
DROP_KEY = Statement(delete(KEYS).where(_this_key))
DROP_AUTHOR = Statement(delete(AUTHORS).where(_a.user_id == bindparam("user_id")))
# Steps through all tweets: tombstones and mentions can't be found by whose they are.
_step = select(_t.id).where(_t.id > bindparam("after")).order_by(_t.id).limit(bindparam("limit")).subquery()
STEP = Statement(select(func.max(_step.c.id)))
_within_step = (_t.id > bindparam("after"), _t.id <= bindparam("upto"))
OWN_TOMBSTONES = Statement(
    select(_t.id, _t.mentions, _t.external_id, _t.source).where(
        *_within_step, _t.author_id == bindparam("user_id"), _t.deleted_at.is_not(None)
    )
)
MENTIONING = Statement(select(_t.id, _t.mentions).where(*_within_step, _t.mentions.contains(bindparam("person"))))
REVISIONS_MENTIONING = Statement(
    select(_v.tweet_id, _v.number, _v.mentions).where(
        _v.tweet_id > bindparam("after"), _v.tweet_id <= bindparam("upto"), _v.mentions.contains(bindparam("person"))
    )
)
MENTIONS_OF = Statement(select(_t.mentions).where(_t.id == bindparam("tweet_id")))
REVISION_MENTIONS_OF = Statement(
    select(_v.mentions).where(_v.tweet_id == bindparam("tweet_id"), _v.number == bindparam("number"))
)
SET_MENTIONS = Statement(
    update(TWEETS).where(_t.id == bindparam("tweet_id")).values(mentions=bindparam("to"), version=_t.version + 1)
)
SET_REVISION_MENTIONS = Statement(
    update(REVISIONS)
    .where(_v.tweet_id == bindparam("of_tweet"), _v.number == bindparam("at_number"))
    .values(mentions=bindparam("to"))
)
BARE = Statement(
    update(TWEETS)
    .where(_t.id == bindparam("tweet_id"))
    .values(mentions=bindparam("to"), source=None, external_id=None, imported_retweets=None, imported_favorites=None)
)

# --- imports

IMPORTED = Statement(
    select(_t.external_id, _t.id, _t.author_id, _t.root_id).where(
        _t.source == bindparam("source"), _t.external_id.is_not(None), one_of(_t.external_id, "external_ids")
    )
)
TAKEN = Statement(
    union_all(select(_t.id).where(one_of(_t.id, "tweet_ids")), select(_r.id).where(one_of(_r.id, "retweet_ids")))
)
FACTS = Statement(select(_t.id, _t.author_id, _t.deleted_at).where(one_of(_t.id, "ids")))
ROOTS = Statement(select(_t.id, _t.author_id, _t.root_id).where(one_of(_t.id, "ids")))
SET_EDITED = Statement(update(TWEETS).where(_t.id == bindparam("tweet_id")).values(edited_at=bindparam("edited_at")))
LINKS = Statement(
    select(_t.id, _t.reply_to, _t.quote_of, _t.mentions, _t.counted).where(one_of(_t.id, "ids"), _standing)
)
_LINKED = ("reply_to", "reply_to_user_id", "root_id", "quote_of", "quoted_user_id", "mentions")
LINK = Statement(
    update(TWEETS)
    .where(_t.id == bindparam("tweet_id"))
    .values(
        # What is bound to NULL stays as it is.
        **{name: func.coalesce(bindparam(f"new_{name}", type_=_t[name].type), _t[name]) for name in _LINKED},
        version=_t.version + 1,
    )
)
SAID_MENTIONS = Statement(select(_v.number, _v.at, _v.mentions).where(_v.tweet_id == bindparam("tweet_id")))
SET_SAID_MENTIONS = Statement(
    update(REVISIONS)
    .where(_v.tweet_id == bindparam("id_"), _v.number == bindparam("number_"))
    .values(mentions=bindparam("mentions"))
)
ANSWERS = Statement(select(_t.id).where(one_of(_t.reply_to, "ids"), _t.reply_to.is_not(None), _standing))
SET_ROOT = Statement(
    update(TWEETS).where(_t.id == bindparam("tweet_id")).values(root_id=bindparam("root"), version=_t.version + 1)
)

# --- everything of a person

ORIGINS = Statement(
    select(
        _t.id, _t.author_id, _t.source, _t.external_id, _t.deleted_at, _t.imported_retweets, _t.imported_favorites
    ).where(one_of(_t.id, "ids"))
)
REVISIONS_OF_MANY = Statement(
    select(_v.tweet_id, _v.at, *(_v[name] for name in _SAID))
    .where(one_of(_v.tweet_id, "ids"))
    .order_by(_v.tweet_id, _v.number)
)


def _marked(table: Table, *more: Any) -> Statement:
    marks = select(table.c.id, table.c.tweet_id, *more)
    marks = marks.where(table.c.user_id == bindparam("user_id"), table.c.id > bindparam("after"))
    return Statement(marks.order_by(table.c.id).limit(bindparam("limit")))


MARKED = {
    MarkKind.RETWEET: _marked(RETWEETS, _r.created_at),
    MarkKind.FAVORITE: _marked(FAVORITES),
    MarkKind.BOOKMARK: _marked(BOOKMARKS),
}
