"""What the form of a tweet says, wherever it stands: writing one, a draft of one, or one that is there."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rookery.gateways.web.visits import Visit
from rookery.kernel.clock import MINUTE, SECOND, Millis, from_datetime, to_datetime
from rookery.kernel.errors import Invalid
from rookery.kernel.text import weigh
from rookery.kernel.visibility import ReplyRule, Visibility
from rookery.services.tweets.contract import NewTweet

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?", re.ASCII)
_OFFSET: Final = re.compile(r"-?\d{1,3}", re.ASCII)


def new_tweet(visit: Visit) -> NewTweet:
    """What the form says. Raises Invalid, naming the field, for what no form of ours says."""
    form = visit.form
    return NewTweet(
        content=visit.text("content"),
        media_url=form.get("media_url") or None,
        reply_to=visit.id_of(form["reply_to"]) if form.get("reply_to") else None,
        quote_of=visit.id_of(form["quote_of"]) if form.get("quote_of") else None,
        **audience(visit),
    )


def audience(visit: Visit) -> dict[str, Any]:
    """Whom it is for, and who may reply: the fields `visibility` and `reply_rule`."""
    form = visit.form
    return {
        "visibility": choice(Visibility, form.get("visibility"), Visibility.PUBLIC, "visibility"),
        "reply_rule": choice(ReplyRule, form.get("reply_rule"), ReplyRule.EVERYONE, "reply_rule"),
    }


def choice(kind: Any, value: str | None, otherwise: Any, field: str) -> Any:
    """The member of an enumeration that a field names; `otherwise` where it is empty. Raises Invalid."""
    if not value:
        return otherwise
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise Invalid("{field} is one of {known}", field=field, known=known, code="invalid_value") from None


def publish_at(form: Mapping[str, str]) -> Millis | None:
    """When it is to be posted: the field `publish_at`, in UTC, or as many minutes east of it as a script put into `offset`.
    Raises Invalid.
    """
    text, offset = form.get("publish_at", "").strip(), form.get("offset", "") or "0"
    if not text:
        return None
    if _MOMENT.fullmatch(text) is not None and _OFFSET.fullmatch(offset) is not None:
        try:
            moment = from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC)) - int(offset) * MINUTE
            to_datetime(moment)
            return moment
        except (ValueError, OverflowError):  # the 31st of June, or before the first year in UTC
            pass
    raise Invalid("{field} is a date with a time of day", field="publish_at", code="invalid_moment")


def moment_field(moment: Millis | None) -> str:
    """A moment as the field `publish_at` has it, in UTC."""
    if moment is None:
        return ""
    exact = to_datetime(moment // SECOND * SECOND).replace(tzinfo=None)
    return exact.isoformat(timespec="seconds" if exact.second else "minutes")


def typed(form: Mapping[str, str]) -> dict[str, Any]:
    """The form's values for showing it again: a moment in UTC, whatever a script made of it."""
    try:
        return {**form, "publish_at": moment_field(publish_at(form))}
    except Invalid:
        return dict(form)


def weight(values: Mapping[str, Any]) -> int:
    """How long what is written counts."""
    return weigh(values.get("content") or "").length
