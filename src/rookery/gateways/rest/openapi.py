"""The OpenAPI 3.1 document, made from the operations: what is written there is what is routed and read."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rookery.gateways.rest import problems, shapes
from rookery.gateways.rest.calls import Access, Operation, Parameter
from rookery.gateways.rest.parameters import PAGE

PATH: Final = "/v1/openapi.json"

_TEMPLATE: Final = re.compile(r"\{(\w+)\}")
_REF: Final = "#/components/schemas/{name}"
_TOKEN: Final = "token"  # noqa: S105 - the name of a security scheme
_TEXT: Final = {"type": "string"}

_DESCRIPTION: Final = """\
JSON over HTTP. Ids are strings of digits; moments are RFC 3339, UTC, with milliseconds. Every error is a problem document \
(RFC 9457) with a stable `code`. Lists answer `{items, next, prev}`: pass `next` as `before` for what is older and `prev` as \
`after` for what is newer, or follow the `Link` header. Log in, then send `Authorization: Bearer TOKEN`."""

_TAGS: Final = {
    "accounts": "Accounts and sessions.",
    "people": "Who follows, blocks and mutes whom.",
    "tweets": "Tweets and what people do with them.",
    "timelines": "Home timelines, user timelines, hashtags.",
    "choices": "What I chose to see and not to see: hashtags followed, conversations muted, words kept away.",
    "notifications": "Who did what that concerns me.",
    "drafts": "Tweets that are kept for later.",
    "reports": "Complaints about people and tweets.",
    "admin": "What moderators and admins do. Needs the role, and a token of scope admin, which their log-ins have.",
    "streams": "What happens, told at once; and who is there.",
    "archives": "Everything of mine in one file, made in the background.",
}

_LINK: Final = {"Link": "The pages before and after this one (RFC 8288)."}
_LOCATION: Final = {"Location": "Where the new one is."}
_ETAG: Final = {"ETag": "Send it as If-None-Match to be told whether anything changed."}
_CHALLENGE: Final = {"WWW-Authenticate": "How to authenticate (RFC 6750)."}
_RETRY: Final = {"Retry-After": "Seconds until it is worth trying again."}
_LIMITS: Final = {
    "RateLimit-Limit": "Requests of this kind that the client may make in a while. Stands in every answer that is limited.",
    "RateLimit-Remaining": "Those that are left.",
    "RateLimit-Reset": "Seconds until all are back; here, until the next one is.",
}


def document(operations: Sequence[Operation], *, version: str) -> dict[str, Any]:
    """The document of these operations, less the hidden ones, as JSON data; `version` is the program's."""
    shown = [one for one in operations if not one.hidden]
    types = _types(shown)
    found, components = msgspec.json.schema_components(types, ref_template=_REF)
    schemas = dict(zip(types, found, strict=True))
    statuses = sorted({status for one in shown for status in error_statuses(one)})
    paths: dict[str, dict[str, Any]] = {}
    for one in shown:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rookery",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {f"Problem{status}": _problem(status, schemas) for status in statuses},
            "securitySchemes": {
                _TOKEN: {"type": "http", "scheme": "bearer", "description": "The token of a log-in, with its scopes."}
            },
        },
    }


_FILE: Final = {"type": "string", "format": "binary"}


def error_statuses(operation: Operation) -> list[int]:
    """The statuses of the errors that an operation may answer, ascending."""
    statuses = {400, 422, 429, 500, 503, *operation.errors}
    if operation.access is not Access.OPEN:
        statuses |= {401, 403}
    if operation.method != "GET":
        statuses.add(507)
    if operation.body is not None:
        statuses |= {413, 415}
    return sorted(statuses)


def _types(operations: Sequence[Operation]) -> list[Any]:
    found = [type for one in operations for type in (one.body, one.answer) if type not in (None, bytes)]
    return list(dict.fromkeys([*found, shapes.Tombstone, shapes.Problem]))


def _operation(of: Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": of.id,
        "summary": of.summary,
        "tags": [of.tag],
        "security": _security(of.access),
        "responses": _responses(of, schemas),
    }
    described = [_path_parameter(name) for name in _TEMPLATE.findall(of.path)]
    described += [_parameter(one) for one in (*of.parameters, *(PAGE if of.paged else ()))]
    if of.etag:
        described.append({"name": "If-None-Match", "in": "header", "required": False, "schema": _TEXT})
    if described:
        made["parameters"] = described
    if of.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[of.body]}}}
    return made


def _security(access: Access) -> list[dict[str, list[str]]]:
    match access:
        case Access.OPEN:
            return []
        case Access.PUBLIC:
            return [{}, {_TOKEN: ["read"]}]
        case _:
            return [{_TOKEN: [access.value]}]


def _path_parameter(name: str) -> dict[str, Any]:
    if name == "tag":
        description, schema = "A hashtag, without its sign.", {"type": "string"}
    elif name == "list":
        description, schema = "The name of a list.", {"type": "string", "enum": ["words", "domains", "email_domains"]}
    else:
        description, schema = "An id.", {"type": "string", "pattern": shapes.ID_PATTERN}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _parameter(of: Parameter) -> dict[str, Any]:
    return {
        "name": of.name,
        "in": of.place,
        "required": False,
        "description": of.description,
        "schema": dict(of.schema),
    }


def _responses(of: Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": problems.title_of(of.status)}
    if of.answer is not None:
        schema = _FILE if of.answer is bytes else schemas[of.answer]
        success["content"] = {of.media_type: {"schema": schema}}
    headers = {
        **(_LINK if of.paged else {}),
        **(_LOCATION if of.located else {}),
        **(_ETAG if of.etag else {}),
    }
    if headers:
        success["headers"] = _headers(headers)
    responses = {str(of.status): success}
    if of.unseen:
        responses["204"] = {"description": of.unseen}
    if of.etag:
        responses["304"] = {"description": "The client has it already.", "headers": _headers(_ETAG)}
    for status in error_statuses(of):
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return responses


def _problem(status: int, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "description": problems.title_of(status),
        "content": {problems.MEDIA_TYPE: {"schema": schemas[shapes.Problem]}},
    }
    if status == 401:
        made["headers"] = _headers(_CHALLENGE)
    if status == 429:
        made["headers"] = _headers({**_RETRY, **_LIMITS})
    if status == 503:
        made["headers"] = _headers(_RETRY)
    return made


def _headers(described: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": _TEXT} for name, text in described.items()}
