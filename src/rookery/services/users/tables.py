"""The User Service's tables and statements, the same on every SQL engine.

What everybody sees, what only the owner sees and what changes with every visit stand apart: imported people have no private row,
and writing last-active times touches small rows only.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    update,
)

from rookery.infra.sql.port import Statement, insert, one_of
from rookery.kernel.visibility import State

METADATA = MetaData()

ACCOUNTS = Table(
    "users_accounts",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("handle", Text, nullable=False),
    Column("handle_key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("bio", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("avatar_url", Text),
    Column("protected", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("state_since", BigInteger, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    # Read by: handles in mentions, addresses and log-ins. Keeps handles unique.
    Index("users_accounts_by_handle", "handle_key", unique=True),
    sqlite_strict=True,
)
_PENDING = text("state = 'pending'")
# Read by: the list of accounts that wait for approval.
Index("users_accounts_pending", ACCOUNTS.c.id, sqlite_where=_PENDING, postgresql_where=_PENDING)
PRIVATE = Table(
    "users_private",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("email", Text),
    Column("email_key", Text),
    Column("password_hash", Text),
    Column("date_of_birth", Text),
    Column("country", Text),
    Column("email_verified_at", BigInteger),  # since when it is known to be the owner's; NULL where it is not
    Column("email_pending", Text),  # what is to take its place once that is known to be the owner's, too
    # Read by: log-in by email. Keeps addresses unique.
    Index("users_private_by_email", "email_key", unique=True),
    sqlite_strict=True,
)
ACTIVITY = Table(
    "users_activity",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("last_active", BigInteger, nullable=False),
    sqlite_strict=True,
)
INVITATIONS = Table(
    "users_invitations",
    METADATA,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("uses_left", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    sqlite_strict=True,
)
SESSIONS = Table(
    "users_sessions",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("app", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("last_used", BigInteger, nullable=False),
    # Read by: every request whose token is not in memory.
    Index("users_sessions_by_token", "token_hash", unique=True),
    # Read by: the list of somebody's sessions, and ending them all.
    Index("users_sessions_by_user", "user_id", "id"),
    # Read by: removing what has expired.
    Index("users_sessions_by_expiry", "expires_at"),
    sqlite_strict=True,
)

# Accounts that are erased, for as long as anything of theirs may be left anywhere.
ERASURES = Table(
    "users_erasures",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("words", Text, nullable=False),  # JSON: the keys by which the account was found, for the search of the files
    Column("begun", Integer, nullable=False),  # whether anything was removed already
    sqlite_strict=True,
)

_a, _p, _s = ACCOUNTS.c, PRIVATE.c, SESSIONS.c
FACE = (
    _a.id,
    _a.handle,
    _a.name,
    _a.bio,
    _a.location,
    _a.avatar_url,
    _a.protected,
    _a.state,
    _a.role,
    _a.created_at,
    _a.version,
)
"""What everybody sees, in the order of `User`'s fields."""


def _bound(table: Table, *without: str) -> dict[str, Any]:
    return {column.name: bindparam(column.name) for column in table.columns if column.name not in without}


USERS = Statement(select(*FACE).where(one_of(_a.id, "ids")))
USER = Statement(select(*FACE).where(_a.id == bindparam("id")))
USERS_BY_HANDLE = Statement(select(*FACE).where(one_of(_a.handle_key, "keys")))
IDS_BY_PREFIX = Statement(
    select(_a.id)
    .where(_a.handle_key >= bindparam("low"), _a.handle_key < bindparam("high"))
    .order_by(_a.handle_key)
    .limit(bindparam("limit"))
)
USER_BY_EMAIL = Statement(
    select(*FACE).select_from(PRIVATE.join(ACCOUNTS, _a.id == _p.user_id)).where(_p.email_key == bindparam("key"))
)
USERS_AFTER = Statement(select(*FACE).where(_a.id > bindparam("after")).order_by(_a.id).limit(bindparam("limit")))
SHOWN_IDS_AFTER = Statement(
    select(_a.id)
    .where(_a.id > bindparam("after"), or_(*(_a.state == state.value for state in State if state.shown)))
    .order_by(_a.id)
    .limit(bindparam("limit"))
)
_pending = select(*FACE).where(_PENDING).limit(bindparam("limit"))
PENDING_DOWN = Statement(_pending.where(_a.id < bindparam("cursor")).order_by(_a.id.desc()))
PENDING_UP = Statement(_pending.where(_a.id > bindparam("cursor")).order_by(_a.id))
DROP_ACCOUNT = tuple(
    Statement(delete(table).where(table.c[key] == bindparam("user_id")))
    for table, key in ((SESSIONS, "user_id"), (ACTIVITY, "user_id"), (PRIVATE, "user_id"), (ACCOUNTS, "id"))
)
COUNT = Statement(select(func.count()).select_from(ACCOUNTS))
NEWEST_USER = Statement(select(func.max(_a.id)))
NEWEST_SESSION = Statement(select(func.max(_s.id)))

ACCOUNT = Statement(
    select(
        *FACE,
        _p.email,
        _p.date_of_birth,
        _p.country,
        ACTIVITY.c.last_active,
        _p.email_verified_at,
        _p.email_pending,
    )
    .select_from(ACCOUNTS.outerjoin(PRIVATE, _p.user_id == _a.id).outerjoin(ACTIVITY, ACTIVITY.c.user_id == _a.id))
    .where(_a.id == bindparam("id"))
)
_CREDENTIALS = select(*FACE, _a.state_since, _p.email_key, _p.password_hash)
CREDENTIALS = Statement(
    _CREDENTIALS.select_from(ACCOUNTS.outerjoin(PRIVATE, _p.user_id == _a.id)).where(_a.id == bindparam("id"))
)
CREDENTIALS_BY_HANDLE = Statement(
    _CREDENTIALS.select_from(ACCOUNTS.outerjoin(PRIVATE, _p.user_id == _a.id)).where(_a.handle_key == bindparam("key"))
)
CREDENTIALS_BY_EMAIL = Statement(
    _CREDENTIALS.select_from(PRIVATE.join(ACCOUNTS, _a.id == _p.user_id)).where(_p.email_key == bindparam("key"))
)
HANDLE_HOLDER = Statement(select(_a.id).where(_a.handle_key == bindparam("key")))
EMAIL_HOLDER = Statement(select(_p.user_id).where(_p.email_key == bindparam("key")))
IDS_BY_HANDLE = Statement(select(_a.handle_key, _a.id).where(one_of(_a.handle_key, "keys")))

ADD_ACCOUNT = Statement(insert(ACCOUNTS).values(_bound(ACCOUNTS)))
CHANGE_ACCOUNT = Statement(
    update(ACCOUNTS).where(_a.id == bindparam("user_id")).values(_bound(ACCOUNTS, "id", "created_at", "state_since"))
)
SET_STATE_SINCE = Statement(
    update(ACCOUNTS).where(_a.id == bindparam("user_id")).values(state_since=bindparam("state_since"))
)
_OWNED = ("email_verified_at", "email_pending")
ADD_PRIVATE = Statement(insert(PRIVATE).values(_bound(PRIVATE, *_OWNED)))
_put_private = insert(PRIVATE).values(_bound(PRIVATE, "password_hash"))
PUT_PRIVATE = Statement(
    _put_private.on_conflict_do_update(
        index_elements=[_p.user_id],
        set_={
            name: _put_private.excluded[name]
            for name in ("email", "email_key", "date_of_birth", "country", "email_verified_at", "email_pending")
        },
    )
)
SET_PASSWORD = Statement(
    update(PRIVATE)
    .where(_p.user_id == bindparam("id"), _p.password_hash == bindparam("old"))
    .values(password_hash=bindparam("new"))
)

# What was noted in memory before an account was erased is not written after it.
_put_active = insert(ACTIVITY).from_select(
    ["user_id", "last_active"],
    select(bindparam("user_id", type_=BigInteger()), bindparam("last_active", type_=BigInteger())).where(
        exists().where(_a.id == bindparam("user_id"), _a.state != State.ERASED.value)
    ),
)
SET_ACTIVE = Statement(
    _put_active.on_conflict_do_update(
        index_elements=[ACTIVITY.c.user_id],
        set_={"last_active": _put_active.excluded.last_active},
        where=_put_active.excluded.last_active > ACTIVITY.c.last_active,
    )
)
LAST_ACTIVE = Statement(select(ACTIVITY.c.user_id, ACTIVITY.c.last_active).where(one_of(ACTIVITY.c.user_id, "ids")))

_i = INVITATIONS.c
ADD_INVITATION = Statement(insert(INVITATIONS).values(_bound(INVITATIONS)))
_good = and_(_i.code_hash == bindparam("hash"), _i.uses_left > 0, _i.expires_at > bindparam("now"))
INVITATION = Statement(select(_i.uses_left).where(_good))
USE_INVITATION = Statement(update(INVITATIONS).where(_good).values(uses_left=_i.uses_left - 1))
DROP_INVITATIONS = Statement(delete(INVITATIONS).where(or_(_i.uses_left <= 0, _i.expires_at <= bindparam("now"))))
ADD_SESSION = Statement(insert(SESSIONS).values(_bound(SESSIONS)))
IDENTITY = Statement(
    select(_s.user_id, _s.id, _s.scopes, _a.role, _s.expires_at, _a.state)
    .select_from(SESSIONS.join(ACCOUNTS, _a.id == _s.user_id))
    .where(_s.token_hash == bindparam("hash"))
)
SESSIONS_OF = Statement(
    select(_s.id, _s.user_id, _s.app, _s.scopes, _s.created_at, _s.expires_at, _s.last_used)
    .where(_s.user_id == bindparam("user_id"), _s.expires_at > bindparam("now"))
    .order_by(_s.id.desc())
)
SURPLUS_SESSIONS = Statement(
    select(_s.id).where(_s.user_id == bindparam("user_id")).order_by(_s.id.desc()).limit(100).offset(bindparam("kept"))
)
END_SESSION = Statement(delete(SESSIONS).where(_s.id == bindparam("id"), _s.user_id == bindparam("user_id")))
END_SESSIONS = Statement(delete(SESSIONS).where(_s.user_id == bindparam("user_id"), _s.id != bindparam("kept")))
END_EXPIRED = Statement(delete(SESSIONS).where(_s.expires_at <= bindparam("now")))
SET_USED = Statement(
    update(SESSIONS)
    .where(_s.id == bindparam("session_id"), _s.last_used < bindparam("moment"))
    .values(last_used=bindparam("moment"))
)

# --- erasing

SET_MOMENTS = Statement(
    update(ACCOUNTS)
    .where(_a.id == bindparam("user_id"))
    .values(state_since=bindparam("state_since"), created_at=bindparam("moment"))
)
DROP_PRIVATE = Statement(delete(PRIVATE).where(_p.user_id == bindparam("user_id")))
DROP_ACTIVITY = Statement(delete(ACTIVITY).where(ACTIVITY.c.user_id == bindparam("user_id")))
ADD_ERASURE = Statement(insert(ERASURES).values(_bound(ERASURES)).on_conflict_do_nothing())
END_ERASURE = Statement(delete(ERASURES).where(ERASURES.c.user_id == bindparam("user_id")))
BEGIN_ERASURE = Statement(update(ERASURES).where(ERASURES.c.user_id == bindparam("id")).values(begun=1))
FORGET_WORDS = Statement(update(ERASURES).where(ERASURES.c.user_id == bindparam("id")).values(words="[]"))
UNFINISHED = Statement(select(*ERASURES.c).order_by(ERASURES.c.at).limit(bindparam("limit")))
