"""The real program, as a child process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# A child process must not take the addresses of a server that somebody runs, nor its settings.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("ROOKERY_")} | {
    "ROOKERY_METRICS_PORT": "0",
    "NO_COLOR": "1",
}


class Done:
    """A command that has ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"


class Rookery:
    """The program on one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *args: object, stdin: str | bytes = b"", **environment: str) -> Done:
        """Run a command to its end."""
        process = self.start(*args, **environment)
        out, err = process.communicate(stdin if isinstance(stdin, bytes) else stdin.encode(), timeout=100)
        return Done(process.returncode, out.decode(), err.decode())

    def ok(self, *args: object, stdin: str | bytes = b"") -> Done:
        """Run a command that must succeed."""
        done = self(*args, stdin=stdin)
        assert done.code == 0, done
        return done

    def start(self, *args: object, **environment: str) -> subprocess.Popen[bytes]:
        """Begin a command."""
        words = [str(arg) for arg in args]
        return subprocess.Popen(
            [sys.executable, "-m", "rookery", *words, "--data", str(self.data)],
            env=ENVIRONMENT | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture
def rookery(tmp_path: Path) -> Rookery:
    return Rookery(tmp_path / "data")
