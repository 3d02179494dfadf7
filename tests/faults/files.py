"""Files to import, and whether what they say is in the store: all of it, once."""

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from rookery.infra.sql.sqlite_connect import connect

TWEETS = 2_500
"""Two batches of the importer."""

FOLLOWS = 24_000
"""Two batches of the importer."""

_AUTHORS = 30
_OF_STAR = 40
_PEOPLE = 800


@dataclass
class Tweets:
    """A file of tweets; its name is the source of their ids."""

    path: Path
    star: str
    """An author with so few tweets that their followers can read them all."""
    rows: dict[str, tuple[str, str]]
    """(author, content) by external id."""

    def differences(self, database: Path) -> list[str]:
        """What was imported of it, compared with it."""
        found = _rows(
            database,
            "SELECT t.external_id, a.handle, t.content FROM tweets_tweets t JOIN users_accounts a ON a.id = t.author_id"
            " WHERE t.source = ?",
            self.path.name,
        )
        return _differences(
            f"tweets of {self.path.name}", Counter((id, *row) for id, row in self.rows.items()), Counter(found)
        )


@dataclass
class Follows:
    """A file of follows, by handle."""

    path: Path
    prefix: str
    pairs: set[tuple[str, str]]

    def differences(self, database: Path) -> list[str]:
        """What was imported of it, compared with it."""
        found = _rows(
            database,
            "SELECT a.handle, b.handle FROM graph_following f JOIN users_accounts a ON a.id = f.follower_id"
            " JOIN users_accounts b ON b.id = f.followee_id WHERE a.handle GLOB ?",
            f"{self.prefix}x*",
        )
        return _differences(f"follows of {self.path.name}", Counter(self.pairs), Counter(found))


def tweets(path: Path, prefix: str, chance: Random) -> Tweets:
    """Write a file of tweets of 2020."""
    rows = {
        str(n): (f"{prefix}a{0 if n < _OF_STAR else chance.randrange(1, _AUTHORS)}", f"imported {prefix} {n}")
        for n in range(TWEETS)
    }
    order = chance.sample(sorted(rows), len(rows))
    lines = [
        f"{content},2020-{1 + int(id) % 12:02}-01 00:{int(id) % 60:02}:00,{author},{id}"
        for id in order
        for author, content in [rows[id]]
    ]
    path.write_text("\n".join(["text,created_at,screen_name,id", *lines]) + "\n")
    return Tweets(path, f"{prefix}a0", rows)


def follows(path: Path, prefix: str, chance: Random) -> Follows:
    """Write a file of follows among people who are not there yet."""
    pairs: set[tuple[str, str]] = set()
    while len(pairs) < FOLLOWS:
        one, other = chance.randrange(_PEOPLE), chance.randrange(_PEOPLE)
        if one != other:
            pairs.add((f"{prefix}x{one}", f"{prefix}x{other}"))
    order = chance.sample(sorted(pairs), len(pairs))
    path.write_text("".join(f"{one} {other}\n" for one, other in order))
    return Follows(path, prefix, pairs)


def _rows(database: Path, text: str, value: str) -> list[Any]:
    with closing(connect(database, busy_timeout=10, read_only=True)) as raw:
        return raw.execute(text, (value,)).fetchall()


def _differences(what: str, wanted: Counter[Any], found: Counter[Any]) -> list[str]:
    lost, extra = wanted - found, found - wanted
    wrong = [f"{what}: {lost.total()} are lost, such as {next(iter(lost))}"] if lost else []
    return wrong + ([f"{what}: {extra.total()} too many, such as {next(iter(extra))}"] if extra else [])
