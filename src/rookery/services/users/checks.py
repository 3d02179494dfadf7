"""Whether the tables `users_*` agree with each other."""

from sqlalchemy import Column, Table, bindparam, func, select

from rookery.infra.sql.port import Reader, Statement
from rookery.services.users.tables import ACCOUNTS, ACTIVITY, PRIVATE, SESSIONS


def _orphans(table: Table, user_id: Column[int]) -> Statement:
    return Statement(
        select(user_id)
        .distinct()
        .select_from(table.outerjoin(ACCOUNTS, ACCOUNTS.c.id == user_id))
        .where(ACCOUNTS.c.id.is_(None))
        .order_by(user_id)
        .limit(bindparam("limit"))
    )


_ORPHANS = {table.name: _orphans(table, table.c.user_id) for table in (PRIVATE, ACTIVITY, SESSIONS)}
_KEYS = {
    "handle": Statement(
        select(ACCOUNTS.c.id)
        .where(ACCOUNTS.c.handle_key != func.lower(ACCOUNTS.c.handle))
        .order_by(ACCOUNTS.c.id)
        .limit(bindparam("limit"))
    ),
    "email address": Statement(
        select(PRIVATE.c.user_id)
        .where(func.coalesce(PRIVATE.c.email_key, "") != func.coalesce(func.lower(PRIVATE.c.email), ""))
        .order_by(PRIVATE.c.user_id)
        .limit(bindparam("limit"))
    ),
}


def differences(reader: Reader, limit: int) -> list[str]:
    """Up to `limit` things that can't be, as sentences."""
    found: list[str] = []
    for table, statement in _ORPHANS.items():
        found += [f"{table} has rows of user {id}, who has no account" for (id,) in reader.all(statement, limit=limit)]
    for what, statement in _KEYS.items():
        found += [f"the {what} of user {id} is not what it is found by" for (id,) in reader.all(statement, limit=limit)]
    return found[:limit]
