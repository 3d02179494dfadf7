"""Errors leave as problem documents, in the reader's language."""

import json
from pathlib import Path

from rookery.gateways.http.language import ENGLISH, Catalogs
from rookery.gateways.rest.problems import problem
from rookery.kernel.errors import FieldError, Forbidden, Invalid, TooMany, Unauthorized


def catalog(folder: Path, language: str, sentences: dict[str, str]) -> None:
    """Write a gettext catalog, in the form of the GNU gettext manual, 10.3.1."""
    lines = ['msgid ""', 'msgstr "Content-Type: text/plain; charset=UTF-8\\n"']
    for sentence, translated in sentences.items():
        lines += ["", f"msgid {json.dumps(sentence)}", f"msgstr {json.dumps(translated)}"]
    file = folder / language / "LC_MESSAGES" / "rookery.po"
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(lines) + "\n", "utf-8")


def test_a_problem_tells_everything_a_client_needs():
    answer = problem(
        Invalid("{field} has more than {max}", field="name", max=50, code="too_long"),
        ENGLISH,
        instance="/v1/users",
        request_id="abc",
    )
    assert (answer.status, answer.media_type) == (422, "application/problem+json")
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": json.loads(answer.body)["title"],
        "status": 422,
        "code": "too_long",
        "detail": "name has more than 50",
        "params": {"field": "name", "max": 50},
        "errors": [
            {
                "field": "name",
                "code": "too_long",
                "message": "name has more than 50",
                "params": {"field": "name", "max": 50},
            }
        ],
        "instance": "/v1/users",
        "request_id": "abc",
    }


def test_several_wrong_fields_are_all_named():
    errors = (FieldError("a", "x", "a is wrong"), FieldError("b", "y", "b is {how}", {"how": "odd"}))
    told = json.loads(problem(Invalid("two", errors=errors), ENGLISH, instance="/", request_id="r").body)
    assert [(one["field"], one["message"]) for one in told["errors"]] == [("a", "a is wrong"), ("b", "b is odd")]


def test_headers_say_when_to_come_back_and_how_to_authenticate():
    def headers(error):
        return problem(error, ENGLISH, instance="/", request_id="r").headers

    assert headers(TooMany("slowly", retry_after=2.1))["Retry-After"] == "3"
    assert headers(TooMany("slowly", retry_after=0))["Retry-After"] == "1"
    assert headers(Unauthorized("who?"))["WWW-Authenticate"] == 'Bearer realm="rookery"'
    assert 'error="invalid_token"' in headers(Unauthorized("no", code="invalid_token"))["WWW-Authenticate"]
    refused = headers(Forbidden("no {scope}", code="insufficient_scope", scope="write"))
    assert refused["WWW-Authenticate"] == 'Bearer realm="rookery", error="insufficient_scope", scope="write"'
    assert "WWW-Authenticate" not in headers(Forbidden("no"))


def test_people_read_errors_in_their_language_where_there_is_a_catalog(tmp_path: Path):
    message = "{field} is missing"
    catalog(tmp_path, "de", {message: "{field} fehlt"})
    catalog(tmp_path, "pt_BR", {message: "falta {field}"})
    catalogs = Catalogs(tmp_path)

    def told(header: str | None) -> str:
        return catalogs.choose(header).sentence(message, {"field": "name"})

    assert told("de") == "name fehlt"
    assert told("DE-at, en;q=0.8") == "name fehlt"
    assert told("fr, pt-BR;q=0.9, de;q=0.5") == "falta name"
    assert told("en, de") == "name is missing"
    assert told("fr") == told("*") == told("") == told(None) == told("de;q=0") == told(";;;,=") == "name is missing"
    assert catalogs.choose("pt-br").tag == "pt-BR"
    # A sentence that the catalog lacks stays English.
    assert catalogs.choose("de").sentence("{field} is odd", {"field": "name"}) == "name is odd"


def test_a_translation_with_wrong_places_is_not_used(tmp_path: Path):
    catalog(tmp_path, "de", {"{field} is missing": "{feld} fehlt"})
    assert Catalogs(tmp_path).choose("de").sentence("{field} is missing", {"field": "name"}) == "name is missing"
