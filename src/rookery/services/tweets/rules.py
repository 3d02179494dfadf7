"""The rules of posting: what a tweet may hold, what kind of tweet it is, who may answer. Pure."""

import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import UNSET

from rookery.kernel.errors import FieldError, Forbidden, Invalid
from rookery.kernel.text import LIMIT, Entities, entities, flaw, normal
from rookery.kernel.visibility import ReplyRule, Viewer
from rookery.services.tweets.contract import NO_ENTITIES, NewTweet, TweetChange, TweetRecord, TweetType

MAX_MEDIA_URL: Final = 2048
MAX_LANG: Final = 35  # RFC 5646, 4.4.1: the buffer that holds every tag in use
MAX_KEY: Final = 255

_FLAWS: Final = {
    "empty": "a tweet needs something to read",
    "too_long": "a tweet has at most {limit} characters",
    "control_character": "a tweet can't hold control characters",
    "surrogate": "a tweet can't hold half of a surrogate pair",
    "invalid_character": "a tweet can't hold U+FFFE, U+FEFF or U+FFFF",
}
_LANG: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff\\<>\"^`{|}]")
_UNFIT: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")

_TYPES: Final = {
    TweetType.IMAGE: ("jpg", "jpeg", "png", "gif", "webp", "avif", "bmp", "svg", "heic"),
    TweetType.VIDEO: ("mp4", "m4v", "mov", "webm", "mkv", "ogv", "m3u8"),
    TweetType.AUDIO: ("mp3", "m4a", "aac", "ogg", "oga", "opus", "wav", "flac"),
}
_TYPE_OF: Final = {extension: type for type, extensions in _TYPES.items() for extension in extensions}


def checked(new: NewTweet | TweetChange) -> tuple[str, Entities]:
    """The content in its normal form, and its entities; nothing where a change leaves it as it is. Raises Invalid naming every
    wrong field.
    """
    content, found = "", NO_ENTITIES
    errors: list[FieldError] = []
    if new.content is not UNSET:
        content = normal(new.content)
        found = entities(content)
        if (code := flaw(content, urls=found.urls)) is not None:
            params = {"field": "content", "limit": LIMIT}
            errors.append(FieldError("content", code, _FLAWS[code], params))
    if isinstance(new.media_url, str) and (code := media_url_flaw(new.media_url)) is not None:
        params = {"field": "media_url", "limit": MAX_MEDIA_URL}
        sentence = "an attachment is an http or https address of at most {limit} characters"
        errors.append(FieldError("media_url", code, sentence, params))
    if isinstance(new.lang, str) and not is_lang(new.lang):
        sentence = "a language is a BCP 47 tag, such as en or pt-BR"
        errors.append(FieldError("lang", "invalid_lang", sentence, {"field": "lang"}))
    if isinstance(new, NewTweet) and new.reply_to is not None and new.reply_rule is not ReplyRule.EVERYONE:
        sentence = "{field} is for the first tweet of a conversation"
        errors.append(FieldError("reply_rule", "not_first", sentence, {"field": "reply_rule"}))
    if errors:
        first = errors[0]
        raise Invalid(first.message, code=first.code, errors=tuple(errors), **first.params)
    return content, found


def invited(viewer: Viewer, root: TweetRecord) -> bool:
    """Whether the rule of the conversation that `root` begins lets `viewer` answer in it."""
    rule = root.reply_rule
    if rule is ReplyRule.EVERYONE or viewer.id == root.author_id or viewer.id in root.mentioned_ids:
        return True
    return rule is ReplyRule.FOLLOWERS and root.author_id in viewer.following


def refuse_uninvited(viewer: Viewer, root: TweetRecord) -> None:
    """Raises Forbidden where the conversation that `root` begins is for others than `viewer`."""
    if not invited(viewer, root):
        sentence = (
            "only who is mentioned there can answer in this conversation"
            if root.reply_rule is ReplyRule.MENTIONED
            else "only who follows its author, or is mentioned, can answer in this conversation"
        )
        raise Forbidden(sentence, code="replies_limited")


def media_url_flaw(url: str) -> str | None:
    """What makes `url` unfit as an attachment's address; None if nothing does. It is never fetched."""
    if len(url) > MAX_MEDIA_URL:
        return "too_long"
    if _UNSAFE.search(url):
        return "invalid_url"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return "invalid_url"
    return None if parts.scheme in ("http", "https") and parts.hostname else "invalid_url"


def is_lang(tag: str) -> bool:
    """Whether `tag` has the shape of a BCP 47 language tag; whether the language exists is not asked."""
    return len(tag) <= MAX_LANG and _LANG.fullmatch(tag) is not None


def type_of(media_url: str | None, found: Entities) -> TweetType:
    """What a tweet mainly carries: by its attachment's extension, else by links in its text."""
    if media_url is not None:
        extension = urlsplit(media_url).path.rpartition(".")[2].lower()
        return _TYPE_OF.get(extension, TweetType.LINK)
    return TweetType.LINK if found.urls else TweetType.TEXT


def imported_content(text: str) -> str:
    """Old text as it can be kept: in its normal form, of any length; what no tweet may hold becomes U+FFFD."""
    if text.isascii():
        return _UNFIT.sub("\ufffd", normal(text))
    return _UNFIT.sub("\ufffd", normal(_SURROGATE.sub("\ufffd", text)))


def checked_key(key: str) -> None:
    """Raises Invalid for what is no idempotency key: 1-255 printable ASCII characters."""
    if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise Invalid(
            "{field} has 1 to {limit} printable ASCII characters",
            field="Idempotency-Key",
            limit=MAX_KEY,
            code="invalid_idempotency_key",
        )
