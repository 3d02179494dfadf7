"""Parameters that several calls share: how they are documented, and how they are read."""

import re
from collections.abc import Mapping
from typing import Final

from rookery.gateways.rest.calls import Parameter
from rookery.gateways.rest.shapes import ID_PATTERN
from rookery.kernel.errors import Invalid
from rookery.kernel.ids import parse_id
from rookery.kernel.pages import DEFAULT_LIMIT, MAX_LIMIT

_CURSOR: Final = {"type": "string", "pattern": "^[0-9]{1,19}$"}
_FLAG: Final = {"type": "boolean"}
_HANDLE: Final = re.compile(r"[A-Za-z0-9_]{1,50}")

PAGE: Final = (
    Parameter(
        "limit",
        f"How many, 1 to {MAX_LIMIT}.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    Parameter("before", "Older than this cursor: the `next` of a page.", _CURSOR),
    Parameter("after", "Newer than this cursor: the `prev` of a page. Not together with `before`.", _CURSOR),
)


def ids_parameter(of: str) -> Parameter:
    """`ids`, the bulk read of `of`."""
    return Parameter(
        "ids",
        f"Ids of {of}, separated by commas; at most {MAX_LIMIT}. Those that can't be seen are left out.",
        {"type": "string", "pattern": f"{ID_PATTERN[:-1]}(,{ID_PATTERN[1:-1]}){{0,{MAX_LIMIT - 1}}}$"},
    )


def flag_parameter(name: str, description: str) -> Parameter:
    """A parameter that is `true` or `false`."""
    return Parameter(name, description, _FLAG)


HANDLES: Final = Parameter(
    "handle",
    f"Handles, separated by commas; at most {MAX_LIMIT}. Those that can't be seen are left out.",
    {"type": "string", "pattern": f"^[A-Za-z0-9_]{{1,50}}(,[A-Za-z0-9_]{{1,50}}){{0,{MAX_LIMIT - 1}}}$"},
)


def ids(query: Mapping[str, str]) -> list[int]:
    """The ids of the parameter `ids`, each once. Raises Invalid where it is missing or wrong."""
    if "ids" not in query:
        raise Invalid("{field} is missing", field="ids", code="missing_parameter")
    return [parse_id(one, "ids") for one in _listed(query["ids"], "ids")]


def handles(query: Mapping[str, str]) -> list[str]:
    """The handles of the parameter `handle`, in lower case, each once."""
    found = _listed(query["handle"].lower(), "handle")
    if not all(_HANDLE.fullmatch(one) for one in found):
        raise Invalid("{field} is not a handle", field="handle", code="invalid_handle")
    return found


def _listed(text: str, field: str) -> list[str]:
    found = list(dict.fromkeys(text.split(",")))
    if len(found) > MAX_LIMIT:
        raise Invalid("{field} names more than {max}", field=field, max=MAX_LIMIT, code="too_many_values")
    return found
