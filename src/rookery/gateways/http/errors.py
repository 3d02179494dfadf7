"""Errors that belong to HTTP, not to any service."""

from rookery.kernel.errors import Internal, NotFound, RookeryError


class WrongMethod(RookeryError):
    """The path is there, but not for this method."""

    status = 405
    code = "method_not_allowed"


class NotAcceptable(RookeryError):
    """What is here is not in any form that the client takes."""

    status = 406
    code = "not_acceptable"


class NotHere(RookeryError):
    """What serves this process can't do it."""

    status = 501
    code = "not_here"


class WrongVersion(RookeryError):
    """The client's WebSocket is not of version 13."""

    status = 426
    code = "websocket_version"


class TooLarge(RookeryError):
    """The body is longer than the limit."""

    status = 413
    code = "body_too_large"


class WrongType(RookeryError):
    """The body is of a type that is not read here."""

    status = 415
    code = "unsupported_media_type"


def internal() -> Internal:
    """The error that tells nothing of what broke."""
    return Internal("something went wrong here; it was logged under the request's id")


def no_such_route() -> NotFound:
    """The error of a path that no route has."""
    return NotFound("there is nothing at this address", code="no_such_route")


def too_large(limit: int) -> TooLarge:
    """The error of a body longer than `limit` bytes."""
    return TooLarge("the body is longer than {limit} bytes", limit=limit)
