"""The rules of editing. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from rookery.kernel.clock import MINUTE, Millis
from rookery.kernel.errors import Forbidden, Invalid
from rookery.kernel.text import Entities
from rookery.kernel.visibility import Visibility, public
from rookery.services.tweets.contract import Revision, Standing, StandingChange, TweetChange, TweetRecord
from rookery.services.tweets.rules import type_of
from rookery.services.users.contract import User

MAX_EDITS: Final = 100
"""Edits of what a tweet says; each keeps a revision."""

_AUDIENCE: Final = tuple(Visibility)
"""From those for most people to those for fewest."""


class Edit(msgspec.Struct, frozen=True):
    """A change that was checked, with what its text refers to."""

    change: TweetChange
    author: User
    now: Millis
    window: Millis
    """Time from the posting on within which everything may be edited."""
    content: str
    entities: Entities
    mentions: Mapping[str, int]

    def applied(self, record: TweetRecord) -> tuple[TweetRecord, bool]:
        """The tweet as it is to be, `record` itself where nothing changes; and whether it says something else than before.

        Raises Forbidden when it is too late, Invalid for an answer with a reply rule.
        """
        change = self.change
        new: dict[str, Any] = {
            name: value
            for name in ("visibility", "media_url", "lang", "reply_rule")
            if (value := getattr(change, name)) is not UNSET and value != getattr(record, name)
        }
        if change.content is not UNSET and self.content != record.content:
            new.update(content=self.content, entities=self.entities, mentions=self.mentions)
        if not new:
            return record, False
        edited = msgspec.structs.replace(record, **new)
        if record.root_id is not None and "reply_rule" in new:
            raise Invalid("{field} is for the first tweet of a conversation", field="reply_rule", code="not_first")
        reworded = not new.keys() <= {"visibility", "reply_rule"}
        widened = _AUDIENCE.index(edited.visibility) < _AUDIENCE.index(record.visibility)
        if (reworded or widened) and self.now - record.created_at > self.window:
            minutes = self.window / MINUTE
            raise Forbidden(
                "a tweet can be edited for {minutes} minutes; after that, fewer people may be let see it",
                minutes=int(minutes) if minutes.is_integer() else round(minutes, 2),
                code="edit_too_late",
            )
        edited = msgspec.structs.replace(
            edited,
            version=record.version + 1,
            type=type_of(edited.media_url, edited.entities),
            edited_at=self.now if reworded else record.edited_at,
            counted=record.counted
            if edited.visibility is record.visibility
            else public(edited.visibility, self.author) and not edited.withheld,
        )
        return edited, reworded


def standing_changed(record: TweetRecord, change: StandingChange, author: User) -> TweetRecord:
    """The tweet as moderators want it to stand; `record` itself where nothing changes."""
    new: dict[str, Any] = {}
    if change.standing is not UNSET:
        withheld, held = change.standing is not Standing.SHOWN, change.standing is Standing.HELD
        if (withheld, held) != (record.withheld, record.held):
            new.update(withheld=withheld, held=held, counted=not withheld and public(record.visibility, author))
    if change.label is not UNSET and change.label != record.label:
        new["label"] = change.label
    return msgspec.structs.replace(record, version=record.version + 1, **new) if new else record


def revision(record: TweetRecord) -> Revision:
    """What the tweet says now."""
    return Revision(
        record.edited_at or record.created_at,
        record.content,
        record.visibility,
        record.type,
        record.lang,
        record.media_url,
        record.entities,
        record.mentions,
    )
