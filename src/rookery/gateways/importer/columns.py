"""Which column of a file holds which field of a tweet."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rookery.kernel.errors import Invalid

KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "content": ("full_text", "text", "content", "tweet", "tweet_text", "body", "message", "status"),
    "created_at": ("created_at", "createdat", "timestamp", "datetime", "date_time", "date", "time", "posted_at", "published"),
    "author": (
        "screen_name", "user.screen_name", "author.username", "user.username", "username", "user_name", "handle",
        "author_handle", "user_screen_name", "author", "user", "account",
    ),
    "name": ("name", "user.name", "author.name", "display_name", "displayname"),
    "external_id": ("id_str", "id", "tweet_id", "tweetid", "status_id", "external_id"),
    "url": ("url", "link", "permalink", "tweet_url", "uri"),
    "lang": ("lang", "language"),
    "retweets": ("retweet_count", "retweets", "retweets_count", "public_metrics.retweet_count"),
    "favorites": (
        "favorite_count", "favorites", "favorites_count", "favourites", "likes", "like_count", "likes_count",
        "public_metrics.like_count",
    ),
    "reply_to": ("in_reply_to_status_id_str", "in_reply_to_status_id", "reply_to", "in_reply_to"),
    "media_url": ("media_url",),
}  # fmt: skip
"""The fields, and names that columns of theirs have in the wild, the most telling first. `a.b` is b of the object a."""


def parse_map(pairs: Iterable[str]) -> dict[str, str | None]:
    """What `--map` says, `column=field` or several with commas: a column to its field, or to None where it is to be ignored
    (`column=`). Raises Invalid for a field that does not exist, or one that was given twice.
    """
    chosen: dict[str, str | None] = {}
    for pair in (part for text in pairs for part in text.split(",")):
        # Columns may hold a `=`, fields don't.
        column, sign, field = pair.rpartition("=")
        column, field = column.strip(), field.strip()
        if not sign or not column or (field and field not in KNOWN):
            raise Invalid(
                "{pair} is not column=field; the fields are {fields}",
                pair=repr(pair),
                fields=", ".join(KNOWN),
                code="no_field",
            )
        if field and field in chosen.values():
            raise Invalid("--map names two columns for {name}", name=field, code="no_field")
        chosen[column] = field or None
    return chosen


def choose(columns: Sequence[str], chosen: Mapping[str, str | None]) -> dict[str, list[str]]:
    """For each field the columns that may hold it, best first: those `chosen`, else those that are known.

    Raises Invalid where a chosen column is not among `columns`.
    """
    missing = [column for column in chosen if column not in columns]
    if missing:
        raise Invalid(
            "there is no column {missing}; the columns are {columns}",
            missing=", ".join(map(repr, missing)),
            columns=", ".join(columns),
            code="no_column",
        )
    by_name: dict[str, str] = {}
    for column in columns:
        if column not in chosen:
            by_name.setdefault(column.strip().lower(), column)
    found = {field: [column] for column, field in chosen.items() if field is not None}
    for field, names in KNOWN.items():
        if field not in found and (guessed := [by_name[name] for name in names if name in by_name]):
            found[field] = guessed
    return found
