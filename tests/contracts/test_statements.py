"""Every statement of every service and port is one that PostgreSQL understands, with the types that its tables have."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import rookery
from rookery.infra.sql.port import Statement
from rookery.infra.sql.postgres_statements import compiled_for
from tests.contracts.conftest import Place


def inside(value: Any) -> Iterator[Statement]:
    if isinstance(value, Statement):
        yield value
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from inside(one)
    elif isinstance(value, dict):
        yield from inside(list(value.values()))
    elif type(value).__module__.startswith("rookery.") and hasattr(value, "__dict__"):
        yield from inside(list(vars(value).values()))


def statements() -> dict[str, Statement]:
    found: dict[int, tuple[str, Statement]] = {}
    for package in ("infra", "services"):
        path = importlib.import_module(f"rookery.{package}").__path__
        for module in pkgutil.walk_packages(path, f"{rookery.__name__}.{package}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                for number, statement in enumerate(inside(value)):
                    found.setdefault(id(statement), (f"{module.name}.{name}.{number}", statement))
    return dict(found.values())


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_every_statement_is_understood(place: Place) -> None:
    refused: dict[str, str] = {}
    with psycopg.connect(str(place), autocommit=True) as raw:
        for number, (name, statement) in enumerate(statements().items()):
            compiled = compiled_for(statement)
            # As the engine sends them: numbers are of 64 bits, and the server finds out about the rest.
            try:
                raw.execute(f"PREPARE p{number} AS ".encode() + compiled.text, prepare=False)
            except psycopg.Error as error:
                refused[name] = f"{error} in {compiled.text.decode()}"
        (known,) = raw.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() or (0,)
    assert refused == {}
    assert known > 300
