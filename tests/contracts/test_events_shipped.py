"""Events only grow: every shape that was ever shipped stands in tests/golden/events.jsonl, and is read for ever.

A new event type, or a new field of one, adds a line there; no line is ever changed or removed.
"""

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

import rookery.services
from rookery.infra.events.port import EVENT_TYPES, Event, decode, encode

GOLDEN = Path(__file__).parents[1] / "golden" / "events.jsonl"
LINES: list[dict[str, Any]] = [json.loads(line) for line in GOLDEN.read_text("utf-8").splitlines()]

for module in pkgutil.walk_packages(rookery.services.__path__, "rookery.services."):
    if module.name.endswith(".contract"):
        importlib.import_module(module.name)

TYPES: dict[str, type[Event]] = {
    name: kind for name, kind in EVENT_TYPES.items() if kind.__module__.startswith("rookery.")
}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["name"])
def test_a_shape_that_was_shipped_is_read_and_keeps_its_fields(line):
    event = decode(line["name"], json.dumps(line["body"]))
    assert event is not None, "its type is gone, though logs hold it"
    assert type(event) is TYPES[line["name"]]
    assert line["version"] <= event.version
    again = json.loads(encode(event))
    assert {field: again.get(field) for field in line["body"]} == line["body"]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["name"])
def test_fields_of_the_future_are_skipped(line):
    body = {**line["body"], "field_of_the_future": {"deep": [1, None]}}
    assert decode(line["name"], json.dumps(body)) == decode(line["name"], json.dumps(line["body"]))


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_event_type_stands_in_the_golden_file_with_each_of_its_fields(name):
    lines = [line for line in LINES if line["name"] == name]
    assert lines, f"add a line for {name}"
    assert max(line["version"] for line in lines) == TYPES[name].version
    shown = {field for line in lines for field in line["body"]}
    assert shown == {field.encode_name for field in msgspec.structs.fields(TYPES[name])}


@pytest.mark.parametrize("name", sorted(TYPES))
def test_an_event_is_named_by_its_topic_and_its_class(name):
    kind = TYPES[name]
    assert kind.name == name
    assert name.startswith(kind.topic + ".")
    assert name == name.lower()


def test_emails_birth_dates_and_addresses_never_enter_events():
    fields = {field.name for kind in TYPES.values() for field in msgspec.structs.fields(kind)}
    assert not {
        field for field in fields for word in ("email", "birth", "address", "password", "token") if word in field
    }


def test_an_unknown_type_is_nothing():
    assert decode("moons.risen", "{}") is None


def test_a_required_field_may_not_be_missing():
    with pytest.raises(msgspec.ValidationError):
        decode("graph.muted", '{"muter_id": 1}')
