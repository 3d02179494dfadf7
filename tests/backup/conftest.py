"""Networks to back up, and the program to do it with."""

import os
import shutil
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import apsw
import pytest
import structlog

from rookery.cli import main
from rookery.infra.sql.sqlite_pages import load_checksums
from tests.cli.conftest import ENVIRONMENT, Done, Rookery


def small_network(folder: Path) -> Rookery:
    """Three people who follow each other, and tweets of theirs."""
    made = Rookery(folder)
    made.ok("import", "graph", "-", stdin="1 2\n2 3\n3 1\n1 3\n")
    rows = "".join(f'"tweet {n}",2024-01-01 00:00:{n % 60:02},u{n % 3 + 1},{n}\n' for n in range(60))
    made.ok("import", "tweets", "-", "--source", "old", stdin=f"text,created_at,screen_name,id\n{rows}")
    return made


class Here(Rookery):
    """The program on one data folder, run in this process: that spares a second for each command. `start` has its own."""

    def __call__(self, *args: object, stdin: str | bytes = b"", **environment: str) -> Done:
        words = ["rookery", *(str(arg) for arg in args), "--data", str(self.data)]
        out, err = StringIO(), StringIO()
        with (
            patch.dict(os.environ, ENVIRONMENT | environment, clear=True),
            patch.object(sys, "argv", words),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            finally:
                # It logs to what it found as standard error.
                structlog.reset_defaults()
        return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """A small network; to be copied, not to be changed."""
    return small_network(tmp_path_factory.mktemp("network") / "data").data


@pytest.fixture
def network(tmp_path: Path, template: Path) -> Rookery:
    """The program on a small network of its own."""
    shutil.copytree(template, tmp_path / "data")
    return Here(tmp_path / "data")


def change(data: Path, *statements: str) -> None:
    """Change the network's database behind its back."""
    load_checksums()
    with closing(apsw.Connection(str(data / "rookery.db"))) as raw:
        for statement in statements:
            raw.execute(statement)


def add_ballast(data: Path, mebibytes: int) -> None:
    """Have the network's database be so much larger, with what can't be compressed."""
    add = "INSERT INTO ballast (body) VALUES (randomblob(1048000))"
    change(data, "CREATE TABLE ballast (id INTEGER PRIMARY KEY, body BLOB)", *[add] * mebibytes)
