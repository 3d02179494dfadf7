"""The JSON of errors and of health."""

from typing import Any, Literal

from msgspec import Struct


class ProblemField(Struct, frozen=True):
    """One thing that is wrong with one field of the request."""

    field: str
    code: str
    message: str
    params: dict[str, Any]


class Problem(Struct, frozen=True):
    """What went wrong, by RFC 9457. `code` is stable, for programs; `detail` is a sentence for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    params: dict[str, Any]
    errors: list[ProblemField]
    instance: str
    request_id: str


class Health(Struct, frozen=True):
    """Whether the server can do its work, part by part."""

    status: Literal["ok", "unavailable"]
    parts: dict[str, str]
