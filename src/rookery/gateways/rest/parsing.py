"""Reading what clients send, strictly: what is not known or not right is refused by name, never guessed or dropped."""

import json
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec

from rookery.gateways.http.errors import WrongType
from rookery.kernel.errors import FieldError, Invalid, Malformed, Unauthorized

T = TypeVar("T")

BODY: Final = "body"
"""What a body as a whole is called among the fields."""

_MAX_PARAMETERS: Final = 50
_SHORT: Final = 32
_PATH: Final = re.compile(r" - at `\$?\.?(.*)`$")
_MISSING: Final = re.compile(r"^Object missing required field `(.*?)`")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.*?)`")
_BEARER: Final = re.compile(r"\s*bearer \s*([A-Za-z0-9._~+/-]+=*)\s*", re.IGNORECASE | re.ASCII)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def body(raw: bytes, type: type[T]) -> T:
    """The JSON text `raw` as `type`. Raises Malformed for what is no JSON, Invalid naming the field for what does not fit."""
    try:
        return cast("T", _decoder(type).decode(raw))
    except msgspec.ValidationError as error:
        raise _misfit(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        if (field := _surrogate(raw)) is not None:
            raise Invalid("{field} holds half of a surrogate pair", field=field, code="invalid_text") from None
        raise Malformed("the body is not JSON in UTF-8", code="invalid_json") from None
    except RecursionError:
        raise Malformed("the body is nested too deeply", code="invalid_json") from None


@lru_cache(maxsize=64)
def _decoder(type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type)


def _misfit(message: str) -> Invalid:
    """What msgspec complains of, as an error of ours."""
    inside = match[1] if (match := _PATH.search(message)) else ""
    if match := _MISSING.match(message):
        return Invalid("{field} is missing", field=_join(inside, match[1]), code="missing_field")
    if match := _UNKNOWN.match(message):
        return Invalid("{field} is not a field of this request", field=_join(inside, match[1]), code="unknown_field")
    reason = _PATH.sub("", message)
    code = "invalid_type" if reason.startswith("Expected `") and ", got `" in reason else "invalid_value"
    return Invalid("{field} does not fit: {reason}", field=inside or BODY, reason=reason, code=code)


def _join(inside: str, name: str) -> str:
    return f"{inside}.{name}" if inside else name


def _surrogate(raw: bytes) -> str | None:
    """The path of the first string in `raw` that holds a lone surrogate, or None; msgspec does not say where it is."""
    if b"\\u" not in raw:
        return None
    try:
        return _broken_text(json.loads(raw), "")
    except (ValueError, RecursionError):
        return None


def _broken_text(value: object, path: str) -> str | None:
    if isinstance(value, str):
        return (path or BODY) if any("\ud800" <= char <= "\udfff" for char in value) else None
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            if _broken_text(key, BODY):
                return path or BODY
            if (found := _broken_text(inner, _join(path, key))) is not None:
                return found
    if isinstance(value, list):
        for at, inner in enumerate(cast("list[object]", value)):
            if (found := _broken_text(inner, f"{path}[{at}]")) is not None:
                return found
    return None


def json_only(content_type: str | None, content_encoding: str | None) -> None:
    """Raises WrongType for a body that is not declared as plain JSON in UTF-8."""
    media_type, _, parameters = (content_type or "").partition(";")
    charset = re.search(r'charset\s*=\s*"?([^\s";]+)', parameters, re.IGNORECASE)
    if media_type.strip().lower() != "application/json" or (charset and charset[1].lower() not in ("utf-8", "utf8")):
        raise WrongType("the body must be {type}", type="application/json")
    if content_encoding not in (None, "", "identity"):
        raise WrongType("the body must not be compressed", code="unsupported_content_encoding")


def query(raw: bytes, known: Collection[str]) -> Mapping[str, str]:
    """The parameters of a query string. Raises Invalid naming those that are not `known` or are given twice."""
    if not raw:
        return {}
    if len(raw) <= _SHORT:
        # The same few over and over; those who get one must not change it.
        return _short_query(raw, known if isinstance(known, frozenset) else frozenset(known))
    return _query(raw, known)


@lru_cache(maxsize=1024)
def _short_query(raw: bytes, known: frozenset[str]) -> Mapping[str, str]:
    return _query(raw, known)


def _query(raw: bytes, known: Collection[str]) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except UnicodeError:
        raise Malformed("the query is not percent-encoded UTF-8", code="invalid_query") from None
    except ValueError:
        raise Malformed("the query has too many parameters", code="invalid_query") from None
    found: dict[str, str] = {}
    wrong: list[FieldError] = []
    for name, value in pairs:
        if name not in known:
            message = "{field} is not a parameter of this request"
            wrong.append(FieldError(name, "unknown_parameter", message, {"field": name}))
        elif name in found:
            wrong.append(FieldError(name, "repeated_parameter", "{field} is given twice", {"field": name}))
        else:
            found[name] = value
    if wrong:
        first = wrong[0]
        raise Invalid(first.message, code=first.code, errors=tuple(wrong), field=first.field)
    return found


def flag(text: str | None, field: str, default: bool) -> bool:
    """A query parameter that says true or false."""
    if text is None:
        return default
    if text not in ("true", "false"):
        raise Invalid("{field} is true or false", field=field, code="invalid_flag")
    return text == "true"


def bearer(header: str | None) -> str | None:
    """The token of an Authorization header; None where there is no header. Raises Unauthorized for any other content."""
    if header is None:
        return None
    found = _BEARER.fullmatch(header)
    if found is None:
        raise Unauthorized("the Authorization header is not `Bearer TOKEN`", code="invalid_token")
    return found[1]


def idempotency_key(header: str | None) -> str | None:
    """The Idempotency-Key header; None where there is none."""
    if header is not None and not _KEY.fullmatch(header):
        raise Invalid(
            "{field} is 1 to 255 visible ASCII characters", field="Idempotency-Key", code="invalid_idempotency_key"
        )
    return header


def etag_matches(header: str | None, etag: str) -> bool:
    """Whether If-None-Match holds `etag`, by the weak comparison of RFC 9110, 8.8.3.2."""
    if header is None:
        return False
    return any(one.strip().removeprefix("W/") in (etag, "*") for one in header.split(","))
