"""The reference page: the OpenAPI document as one HTML page that fetches nothing from anywhere."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any, Final

import msgspec

from rookery.gateways.rest.openapi import PATH

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; }
h2 { margin-top: 3rem; } h3 { font-size: 1rem; margin: 2rem 0 .25rem; }
code, pre { font: .9em/1.5 ui-monospace, monospace; }
h3 code { font-size: 1.05em; } .method { font-weight: 700; }
table { border-collapse: collapse; margin: .5rem 0; width: 100%; }
th, td { border-bottom: 1px solid #8884; padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; }
nav a { margin-right: 1rem; } .note { opacity: .75; }
"""
_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()

CSP: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy under which the pages of this module work."""


def reference_page(document: Mapping[str, Any]) -> bytes:
    """Every operation and shape of `document`, as HTML in UTF-8."""
    parts = [f"<h1>{_text(document['info']['title'])} API</h1>", f"<p>{_text(document['info']['description'])}</p>"]
    parts.append(f'<p>The same for programs: <a href="{PATH}">OpenAPI 3.1</a>.</p>')
    tags: list[Mapping[str, Any]] = document["tags"]
    parts.append(f"<nav>{''.join(_anchor(tag['name']) for tag in tags)}{_anchor('shapes')}</nav>")
    for tag in tags:
        parts.append(f'<h2 id="{_text(tag["name"])}">{_text(tag["name"].capitalize())}</h2>')
        parts.append(f"<p>{_text(tag['description'])}</p>")
        for path, methods in document["paths"].items():
            parts += [_operation(path, method, one) for method, one in methods.items() if tag["name"] in one["tags"]]
    parts.append('<h2 id="shapes">Shapes</h2>')
    parts += [_shape(name, schema) for name, schema in document["components"]["schemas"].items()]
    return page("Rookery API", "\n".join(parts))


def welcome_page() -> bytes:
    """The page at the root: where to find what."""
    return page(
        "Rookery",
        "<h1>Rookery</h1><p>A social network runs here. Programs talk to it through its API:</p>"
        f'<ul><li><a href="/v1/docs">Reference</a></li><li><a href="{PATH}">OpenAPI 3.1</a></li></ul>',
    )


def page(title: str, body: str) -> bytes:
    """A whole HTML page around `body`, which is HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    ).encode()


def _operation(path: str, method: str, of: Mapping[str, Any]) -> str:
    id = _text(of["operationId"])
    lines = [
        f'<h3 id="{id}"><code><span class="method">{_text(method.upper())}</span> {_text(path)}</code></h3>',
        f"<p>{_text(of['summary'])}. <span class='note'>{_text(_needs(of['security']))}</span></p>",
    ]
    if parameters := of.get("parameters"):
        rows = [
            (
                f"<code>{_text(one['name'])}</code>",
                _text(one["in"]),
                _kind(one["schema"]),
                _text(one.get("description", "")),
            )
            for one in parameters
        ]
        lines.append(_table(("Parameter", "In", "Type", ""), rows))
    if body := of.get("requestBody"):
        lines.append(f"<p>Body: {_kind(body['content']['application/json']['schema'])}</p>")
    answers: list[tuple[str, ...]] = []
    for status, answer in of["responses"].items():
        shape = next((_kind(one["schema"]) for one in answer.get("content", {}).values()), "")
        if "$ref" in answer:
            shape = _reference("Problem")
        answers.append((f"<code>{_text(status)}</code>", shape))
    lines.append(_table(("Status", "Answer"), answers))
    return "\n".join(lines)


def _needs(security: list[Mapping[str, list[str]]]) -> str:
    if not security:
        return "Needs no token."
    scopes = ", ".join(scope for one in security for names in one.values() for scope in names)
    return (
        f"Works without a token where the server allows it; else scope {scopes}."
        if {} in security
        else f"Scope {scopes}."
    )


def _shape(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (
            f"<code>{_text(field)}</code>{'' if field in required else '?'}",
            _kind(one),
            _text(one.get("description", "")),
        )
        for field, one in schema.get("properties", {}).items()
    ]
    about = _text(schema.get("description", ""))
    return f'<h3 id="shape-{_text(name)}"><code>{_text(name)}</code></h3><p>{about}</p>' + _table(
        ("Field", "Type", ""), rows
    )


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, as HTML."""
    if "$ref" in schema:
        return _reference(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{_text(msgspec.json.encode(one).decode())}</code>" for one in schema["enum"])
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_kind(schema['items'])}"
    words = [str(schema.get("type", "any")), *(str(schema[key]) for key in ("format", "pattern") if key in schema)]
    bounds = [f"{key} {schema[key]}" for key in ("minimum", "maximum", "minLength", "maxLength") if key in schema]
    return _text(", ".join([" ".join(words), *bounds]))


def _reference(name: str) -> str:
    return f'<a href="#shape-{_text(name)}">{_text(name)}</a>'


def _anchor(name: str) -> str:
    return f'<a href="#{_text(name)}">{_text(name.capitalize())}</a>'


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{_text(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    """`text` as HTML; what stands between backticks is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))
