"""Errors that people see.

An error carries an HTTP status, a stable `code` for programs, a sentence for people with named places in it (the sentence is
also the key of its translation), the `params` that fill the places and, where input was wrong, the names of the fields.
Nothing in it is internal: gateways show all of it.
"""

from typing import Any, ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One thing that is wrong with one field of a request."""

    field: str
    code: str
    message: str
    params: dict[str, Any] = {}


class RookeryError(Exception):
    """The root of all errors that reach a client."""

    status: ClassVar[int] = 500
    code: str = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
        **params: Any,
    ) -> None:
        """`message` has places like {limit}; `field` names the one wrong field, `errors` several; `retry_after` is in seconds."""
        self.message = message
        self.params: dict[str, Any] = params if field is None else {"field": field, **params}
        if code is not None:
            self.code = code
        self.errors: tuple[FieldError, ...] = errors or (
            (FieldError(field, self.code, message, self.params),) if field is not None else ()
        )
        self.retry_after = retry_after
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """The message with its places filled, in English."""
        return self.message.format(**self.params)


class Invalid(RookeryError):
    """The request says something that can't be: a wrong field, a broken rule of content."""

    status = 422
    code = "invalid"


class Malformed(RookeryError):
    """The request can't be read at all."""

    status = 400
    code = "malformed"


class Unauthorized(RookeryError):
    """Nobody is logged in, or the token is no good."""

    status = 401
    code = "unauthorized"


class Forbidden(RookeryError):
    """Known who asks, and they may not."""

    status = 403
    code = "forbidden"


class NotFound(RookeryError):
    """It is not there, or not for this viewer, which must look the same."""

    status = 404
    code = "not_found"


class Conflict(RookeryError):
    """It clashes with what is there: a taken handle, a key in flight."""

    status = 409
    code = "conflict"


class Gone(RookeryError):
    """It was there, and is over: asking again does not help."""

    status = 410
    code = "gone"


class TooMany(RookeryError):
    """Too many requests in too little time; `retry_after` says when to come back."""

    status = 429
    code = "too_many"


class Unavailable(RookeryError):
    """An engine is away or too slow; the same request may work later."""

    status = 503
    code = "unavailable"


class StorageFull(RookeryError):
    """The disk is full: nothing was written, reads go on."""

    status = 507
    code = "storage_full"


class Internal(RookeryError):
    """Something broke. What it was stands in the log."""

    status = 500
    code = "internal"
