"""Errors that people see: a status, a stable code, a sentence, the fields."""

import pytest

from rookery.kernel import errors as e


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (e.Malformed, 400, "malformed"),
        (e.Unauthorized, 401, "unauthorized"),
        (e.Forbidden, 403, "forbidden"),
        (e.NotFound, 404, "not_found"),
        (e.Conflict, 409, "conflict"),
        (e.Invalid, 422, "invalid"),
        (e.TooMany, 429, "too_many"),
        (e.RookeryError, 500, "internal"),
        (e.Unavailable, 503, "unavailable"),
        (e.StorageFull, 507, "storage_full"),
    ],
)
def test_statuses_and_codes_are_stable(kind, status, code):
    error = kind("no")
    assert (error.status, error.code, error.errors, error.retry_after) == (status, code, (), None)


def test_a_sentence_is_a_pattern_and_what_fills_it():
    error = e.Invalid("at most {limit} of {what}", limit=3, what="{braces}")
    assert error.message == "at most {limit} of {what}"
    assert error.params == {"limit": 3, "what": "{braces}"}
    assert error.sentence() == str(error) == "at most 3 of {braces}"


def test_a_field_that_is_wrong_is_named_with_its_code():
    error = e.Invalid("{field} is too long: {limit}", field="bio", code="too_long", limit=160)
    assert error.errors == (
        e.FieldError("bio", "too_long", "{field} is too long: {limit}", {"field": "bio", "limit": 160}),
    )
    assert error.sentence() == "bio is too long: 160"


def test_several_wrong_fields_are_told_at_once():
    wrong = (e.FieldError("handle", "taken", "no"), e.FieldError("email", "taken", "no"))
    assert e.Invalid("{count} fields are wrong", errors=wrong, count=2).errors == wrong


def test_a_code_of_its_own_does_not_change_the_others():
    assert e.Conflict("no", code="handle_taken").code == "handle_taken"
    assert e.Conflict("no").code == "conflict"


def test_when_to_come_back_is_in_seconds():
    assert e.TooMany("slow down", retry_after=1.5).retry_after == 1.5
