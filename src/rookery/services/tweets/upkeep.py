"""The Tweet Service's statements for operators: ids, checks of what is derived from tweets, and repairs of it."""

from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, select, tuple_

from rookery.infra.sql.port import Statement, insert, one_of
from rookery.services.tweets.tables import AUTHORS, COUNTS, FAVORITES, HASHTAGS, RETWEETS, TWEETS

_t, _c, _r, _f, _a, _h = TWEETS.c, COUNTS.c, RETWEETS.c, FAVORITES.c, AUTHORS.c, HASHTAGS.c
_standing = _t.deleted_at.is_(None)

# --- ids

_recent = select(_t.id).where(_t.id >= bindparam("since")).limit(bindparam("limit")).subquery()
COUNT_SINCE = Statement(select(func.count()).select_from(_recent))


def _newest(id: ColumnElement[int]) -> Statement:
    # The node's bits tell imported ids, which carry moments of elsewhere.
    node = (id // 4096) % 1024
    return Statement(select(id).where(id >= bindparam("since"), node < 960).order_by(id.desc()).limit(1))


NEWEST_TWEET, NEWEST_RETWEET = _newest(_t.id), _newest(_r.id)

# --- checks


def _rows(of: ColumnElement[int], *where: ColumnElement[bool]) -> Any:
    return select(func.count()).where(of == TWEETS.c.id, *where).scalar_subquery()


_answer, _quote = TWEETS.alias("answer"), TWEETS.alias("quote")
_counts_and_rows = select(
    _t.id,
    *(func.coalesce(_c[name], 0) for name in ("replies", "retweets", "quotes", "favorites")),
    select(func.count())
    .select_from(_answer)
    .where(_answer.c.reply_to == _t.id, _answer.c.deleted_at.is_(None), _answer.c.counted == 1)
    .scalar_subquery(),
    _rows(_r.tweet_id),
    select(func.count())
    .select_from(_quote)
    .where(_quote.c.quote_of == _t.id, _quote.c.deleted_at.is_(None), _quote.c.counted == 1)
    .scalar_subquery(),
    _rows(_f.tweet_id),
    func.coalesce(_c.version, 0),
).select_from(TWEETS.outerjoin(COUNTS, _c.tweet_id == _t.id))
COUNTS_AND_ROWS = Statement(
    _counts_and_rows.where(_t.id > bindparam("after")).order_by(_t.id).limit(bindparam("limit"))
)
COUNTS_AND_ROWS_OF = Statement(_counts_and_rows.where(one_of(_t.id, "ids")))
COUNTS_AND_TWEETS = Statement(
    select(
        _c.tweet_id,
        select(_t.id).where(_t.id == _c.tweet_id).exists(),
        *(_c[name] for name in ("replies", "retweets", "quotes", "favorites")),
    )
    .where(_c.tweet_id > bindparam("after"))
    .order_by(_c.tweet_id)
    .limit(bindparam("limit"))
)
_by_author = (
    select(_t.author_id, func.count().label("tweets"))
    .where(_standing, _t.author_id > bindparam("after"))
    .group_by(_t.author_id)
    .order_by(_t.author_id)
    .limit(bindparam("limit"))
    .subquery()
)
AUTHORS_AND_ROWS = Statement(
    select(_by_author.c.author_id, func.coalesce(_a.tweets, 0), _by_author.c.tweets)
    .select_from(_by_author.outerjoin(AUTHORS, _a.user_id == _by_author.c.author_id))
    .order_by(_by_author.c.author_id)
)
AUTHORS_WITHOUT_ROWS = Statement(
    select(_a.user_id, _a.tweets)
    .where(
        _a.user_id > bindparam("after"),
        _a.tweets != 0,
        ~select(_t.id).where(_t.author_id == _a.user_id, _standing).exists(),
    )
    .order_by(_a.user_id)
    .limit(bindparam("limit"))
)
ROWS_OF_AUTHORS = Statement(
    select(_t.author_id, func.count()).where(one_of(_t.author_id, "ids"), _standing).group_by(_t.author_id)
)
ENTITIES_OF = Statement(select(_t.id, _t.entities).where(one_of(_t.id, "ids"), _standing))
TWEETS_WITH_ENTITIES = Statement(
    select(_t.id, _t.entities)
    .where(_t.id > bindparam("after"), _t.entities.is_not(None), _standing)
    .order_by(_t.id)
    .limit(bindparam("limit"))
)
IS_TAGGED = Statement(select(_h.tweet_id).where(_h.key == bindparam("key"), _h.tweet_id == bindparam("tweet_id")))
TAGGED_AFTER = Statement(
    select(_h.key, _h.tweet_id)
    .where(tuple_(_h.key, _h.tweet_id) > tuple_(bindparam("key"), bindparam("tweet_id")))
    .order_by(_h.key, _h.tweet_id)
    .limit(bindparam("limit"))
)
COUNT_TWEETS = Statement(select(func.count()).select_from(TWEETS))
COUNT_AUTHORS = Statement(select(func.count()).select_from(AUTHORS))
COUNT_ENTITIES = Statement(select(func.count()).where(_t.entities.is_not(None), _standing))

# --- repairs

_numbers: dict[str, Any] = {n: bindparam(n) for n in ("tweet_id", "replies", "retweets", "quotes", "favorites")}
_set_counts = insert(COUNTS).values({**_numbers, "version": bindparam("version")})
SET_COUNTS = Statement(
    _set_counts.on_conflict_do_update(
        index_elements=["tweet_id"],
        set_={name: _set_counts.excluded[name] for name in ("replies", "retweets", "quotes", "favorites", "version")},
    )
)
DROP_COUNTS = Statement(delete(COUNTS).where(one_of(_c.tweet_id, "ids")))
_set_author = insert(AUTHORS).values(user_id=bindparam("user_id"), tweets=bindparam("tweets"))
SET_AUTHOR = Statement(
    _set_author.on_conflict_do_update(index_elements=["user_id"], set_={"tweets": _set_author.excluded.tweets})
)
