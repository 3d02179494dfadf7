"""The name of a database's history.

A database that was brought back from a backup, or moved to another engine, goes on with a history of its own: what was derived from the
later states of the former one, and is kept elsewhere, is not of it. So whoever keeps such things outside of the database (Redis) keeps
them under this name. It is made when it is first asked for; backups hold none.
"""

import secrets
from typing import Final

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, delete, select

from rookery.infra.sql.port import Database, Statement, Transaction, insert

METADATA = MetaData()

HISTORY: Final = Table(
    "sql_history",
    METADATA,
    Column("one", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    sqlite_strict=True,
)

_NAME = Statement(select(HISTORY.c.name).where(HISTORY.c.one == 1))
_MAKE = Statement(insert(HISTORY).values(one=1, name=bindparam("name")).on_conflict_do_nothing())
_FORGET = Statement(delete(HISTORY))


async def history_of(database: Database) -> str:
    """The name of the database's history: 12 letters and digits, the same for every process on it."""
    row = await database.one(_NAME)
    if row is None:

        def work(tx: Transaction) -> str:
            tx.run(_MAKE, name=secrets.token_hex(6))
            made = tx.one(_NAME)
            assert made is not None
            return made[0]

        return await database.write(work)
    return row[0]


async def begin_anew(database: Database) -> str:
    """Give the database's history another name, so that nothing which was derived of it elsewhere is believed; that name."""
    await database.write(lambda tx: tx.run(_FORGET))
    return await history_of(database)
