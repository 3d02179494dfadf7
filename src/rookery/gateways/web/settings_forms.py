"""What the settings' forms have in common: they are shown again with what was typed, and each error beside its field."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from rookery.gateways.web.rendering import Renderer
from rookery.gateways.web.visits import Reply, Visit
from rookery.kernel.errors import FieldError, RookeryError

Complaint = FieldError | RookeryError
"""What a sentence can be made of."""


def complaints(error: RookeryError | None, codes: Mapping[str, str]) -> Mapping[str, Complaint]:
    """What is wrong with each field, by its name; `codes` says which field an error without one is about, by the error's code."""
    if error is None:
        return {}
    if not error.errors:
        return {codes[error.code]: error} if error.code in codes else {}
    found: dict[str, Complaint] = {}
    for one in error.errors:
        found.setdefault(one.field, one)
    return found


async def show_form(
    render: Renderer,
    visit: Visit,
    template: str,
    values: Mapping[str, Any],
    error: RookeryError | None = None,
    codes: Mapping[str, str] | None = None,
    **context: Any,
) -> Reply:
    """The page of a form, filled with `values`; where `error` says that it was not accepted, with what is wrong."""
    headers: dict[str, str] = {}
    if error is not None and error.retry_after is not None:
        headers["Retry-After"] = str(ceil(error.retry_after))
    return await render.page(
        visit,
        template,
        status=200 if error is None else error.status,
        headers=headers,
        values=values,
        error=error,
        wrong=complaints(error, codes or {}),
        saved="saved" in visit.query and error is None,
        **context,
    )
