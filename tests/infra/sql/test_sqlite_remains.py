"""What was deleted is in no byte of the files, once they were scrubbed."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text

from rookery.infra.sql.port import Statement
from rookery.infra.sql.sqlite import SqliteDatabase
from rookery.infra.sql.sqlite_readers import LongRead
from rookery.infra.sql.sqlite_remains import remains, text_trees

PERSON = 83_886_080_000_000_001
SCHEMA = """
    CREATE TABLE words (id INTEGER PRIMARY KEY, person INTEGER NOT NULL, word TEXT NOT NULL) STRICT;
    CREATE INDEX words_by_word ON words (word, id);
    CREATE TABLE tags (tag TEXT NOT NULL, word INTEGER NOT NULL, PRIMARY KEY (tag, word)) STRICT, WITHOUT ROWID;
    CREATE TABLE edges (one INTEGER NOT NULL, other INTEGER NOT NULL, PRIMARY KEY (one, other)) STRICT, WITHOUT ROWID;
"""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(tmp_path / "words.db")
    opened.script(SCHEMA)
    opened.start()
    yield opened
    await opened.close()


async def run(store: SqliteDatabase, statement: str, rows: list[tuple[object, ...]]) -> None:
    await store.write(lambda tx: cast(Any, tx).raw.executemany(statement, rows))


async def write_words(store: SqliteDatabase, seed: int, count: int = 4_000) -> tuple[list[int], list[str]]:
    """Words of ten people in random order, so that pages are split everywhere; the ids of the one person's, and the words."""
    chance = random.Random(seed)
    ids = chance.sample(range(PERSON + 1_000, PERSON + 10_000_000), count)
    mine, own_words = [], []
    for at in range(0, count, 100):
        words, tags = [], []
        for id in ids[at : at + 100]:
            own = chance.random() < 0.1
            if own:
                mine.append(id)
            name = "zqxword" if own else "other"
            words.append((id, PERSON if own else PERSON + 1, f"{name}{chance.random()}" + "x" * chance.randrange(200)))
            tags.append((f"{name}{chance.random()}", id))
            if own:
                own_words += [words[-1][2], tags[-1][0]]
        await run(store, "INSERT INTO words VALUES (?, ?, ?)", words)
        await run(store, "INSERT INTO tags VALUES (?, ?)", tags)
    return mine, own_words


async def delete_words(store: SqliteDatabase, ids: list[int]) -> None:
    await run(store, "DELETE FROM tags WHERE word = ?", [(id,) for id in ids])
    await run(store, "DELETE FROM words WHERE id = ?", [(id,) for id in ids])


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


# Of these, 17 leaves nothing, 18 and 20 leave only text whose id was written over, and the others whole rows.
@pytest.mark.parametrize("seed", [0, 5, 7, 17, 18, 20])
async def test_nothing_deleted_is_left_in_any_file(store, tmp_path, seed):
    mine, words = await write_words(store, seed)
    assert b"zqxword" in files(tmp_path)
    await delete_words(store, mine)
    assert await store.scrub([PERSON, *mine], words)
    assert b"zqxword" not in files(tmp_path)
    assert remains(tmp_path / "words.db", text_trees(store._reader.raw), [PERSON, *mine], words) == 0
    assert store.verify() == []
    kept = await store.one(Statement(text("SELECT count(*) FROM words WHERE word LIKE 'other%'")))
    assert kept == (4_000 - len(mine),)


async def test_what_was_deleted_before_deleting_was_secure_is_found(store, tmp_path):
    store._writing.raw.execute("PRAGMA secure_delete=OFF")
    mine, _ = await write_words(store, 7)
    await delete_words(store, mine)
    store._writing.raw.execute("PRAGMA secure_delete=ON")
    assert await store._writing.empty_log()
    assert b"zqxword" in files(tmp_path)
    assert remains(tmp_path / "words.db", text_trees(store._reader.raw), [PERSON, *mine])
    assert await store.scrub([PERSON, *mine])
    assert b"zqxword" not in files(tmp_path)


async def test_a_page_that_fell_free_before_is_found_whatever_it_holds(store, tmp_path):
    store._writing.raw.execute("PRAGMA secure_delete=OFF")
    await write_words(store, 8)
    await run(store, "DELETE FROM words WHERE 1 = ?", [(1,)])
    await run(store, "DELETE FROM tags WHERE 1 = ?", [(1,)])
    store._writing.raw.execute("PRAGMA secure_delete=ON")
    assert await store.scrub([1])
    assert b"zqxword" not in files(tmp_path)


async def test_rows_without_text_are_not_looked_at(store, tmp_path):
    store._writing.raw.execute("PRAGMA secure_delete=OFF")
    await run(store, "INSERT INTO edges VALUES (?, ?)", [(PERSON, id) for id in range(5)])
    await run(store, "DELETE FROM edges WHERE one = ?", [(PERSON,)])
    assert await store._writing.empty_log()
    assert remains(tmp_path / "words.db", text_trees(store._reader.raw), [PERSON]) == 0


async def test_what_stands_is_no_remains(store, tmp_path):
    await run(store, "INSERT INTO words VALUES (?, ?, ?)", [(PERSON + id, PERSON, "zqxword") for id in range(1_000)])
    assert await store._writing.empty_log()
    assert b"zqxword" in files(tmp_path)
    roots = text_trees(store._reader.raw)
    assert remains(tmp_path / "words.db", roots, [PERSON, *range(PERSON, PERSON + 1_000)]) == 0


async def test_it_waits_for_nobody_who_reads_on_and_on(store, tmp_path):
    await write_words(store, 10, 100)
    other = SqliteDatabase(tmp_path / "words.db")
    raw = other._reader.raw
    raw.execute("BEGIN")
    raw.execute("SELECT count(*) FROM words").fetchall()
    try:
        await write_words(store, 11, 100)
        assert not await store.scrub([PERSON])
        # Others write meanwhile.
        await run(store, "INSERT INTO edges VALUES (?, ?)", [(1, 2)])
    finally:
        raw.execute("ROLLBACK")
    backup = LongRead(tmp_path / "words.db")
    assert not await store.scrub([PERSON])
    backup.end()
    assert await store.scrub([PERSON])
    await other.close()
