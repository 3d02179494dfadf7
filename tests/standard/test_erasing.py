"""An erased person's words are in no row of PostgreSQL and in no key of Redis within a minute."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg import sql

from tests.erasing.world import KEPT, PASSWORD, WORDS, Acquaintance, eventually, ok
from tests.support import Server

IN_FILES_ALONE = {"zqxdeleted", "zqxoldhandle"}
"""What its author took away before stands in no row any more."""

READ = {
    b"string": lambda store, key: store.get(key),
    b"hash": lambda store, key: store.hgetall(key),
    b"zset": lambda store, key: store.zrange(key, 0, -1),
    b"set": lambda store, key: store.smembers(key),
    b"list": lambda store, key: store.lrange(key, 0, -1),
}


def everything(engines: dict[str, Any]) -> str:
    """All rows and all keys, as text in small letters."""
    with psycopg.connect(engines["database"], autocommit=True) as raw:
        names = raw.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [
            row
            for (name,) in names
            for row in raw.execute(sql.SQL("SELECT t::TEXT FROM {} AS t").format(sql.Identifier(name))).fetchall()
        ]
    store: Any = redis.Redis.from_url(engines["redis"])
    with store:
        keys = [(key, READ[store.type(key)](store, key)) for key in store.scan_iter()]
    return repr((rows, keys)).lower()


def found_in(engines: dict[str, Any]) -> set[str]:
    text = everything(engines)
    return {word for word in WORDS if word in text}


@pytest.mark.timeout(200)
def test_nothing_that_an_erased_person_wrote_is_in_any_row_or_key(engines: dict[str, Any], tmp_path: Path):
    with Server(tmp_path, **engines) as server:
        world = Acquaintance(server.url)
        ok(world.bob.get("/v1/newsfeed"))
        ok(world.bob.get(f"/v1/users/{world.leaver.id}"))
        assert found_in(engines) >= set(WORDS) - IN_FILES_ALONE, "the test would find it if it was there"
        ok(world.leaver.post("/v1/users/me/erase", json={"password": PASSWORD}))
        eventually(lambda: not found_in(engines), 60, lambda: found_in(engines))
        text = everything(engines)
        assert all(words in text for words in KEPT)
        assert server.stop() == 0
    assert not found_in(engines)
