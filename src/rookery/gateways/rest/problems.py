"""Every error leaves as a problem document (RFC 9457), in the reader's language, with nothing internal in it."""

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import msgspec

from rookery.gateways.http.language import Language
from rookery.gateways.rest import shapes
from rookery.gateways.rest.calls import Answer
from rookery.kernel.errors import RookeryError

MEDIA_TYPE: Final = "application/problem+json"

_BEARER: Final = 'Bearer realm="rookery"'


def title_of(status: int) -> str:
    """The phrase of an HTTP status, as RFC 9457 asks for where `type` is about:blank."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def problem(
    error: RookeryError,
    language: Language,
    *,
    instance: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The answer that tells of `error`: its problem document, with Retry-After and WWW-Authenticate where they belong.

    `instance` is the path asked for. `type` is about:blank, since `code` says what happened.
    """
    document = shapes.Problem(
        type="about:blank",
        title=title_of(error.status),
        status=error.status,
        code=error.code,
        detail=language.sentence(error.message, error.params),
        params=error.params,
        errors=[
            shapes.ProblemField(one.field, one.code, language.sentence(one.message, one.params), one.params)
            for one in error.errors
        ],
        instance=instance,
        request_id=request_id,
    )
    sent = {"Cache-Control": "no-store", "Content-Language": language.tag}
    if error.retry_after is not None:
        sent["Retry-After"] = str(max(1, ceil(error.retry_after)))
    if (challenge := _challenge(error)) is not None:
        sent["WWW-Authenticate"] = challenge
    return Answer(msgspec.json.encode(document, enc_hook=_plain), error.status, {**sent, **(headers or {})}, MEDIA_TYPE)


def _challenge(error: RookeryError) -> str | None:
    """WWW-Authenticate by RFC 6750, section 3."""
    if error.status == HTTPStatus.UNAUTHORIZED:
        # Only a token that was sent can be wrong; one that is missing is no error.
        return f'{_BEARER}, error="invalid_token"' if error.code == "invalid_token" else _BEARER
    if error.code == "insufficient_scope":
        return f'{_BEARER}, error="insufficient_scope", scope="{error.params.get("scope", "")}"'
    return None


def _plain(value: Any) -> str:
    return str(value)
