"""PostgreSQL's own programs for dumps, which belong to its clients' package."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_DEBIAN: Final = Path("/usr/lib/postgresql")
"""Where Debian and its like keep a folder for each version."""


class ProgramMissing(Exception):
    """A program of PostgreSQL's is needed, and not here."""


def program(name: str, server: int) -> Path:
    """The program of that name for a server of that major version: its own, or the nearest of a later one, which knows older servers,
    too. (What the latest of all writes, older servers may not understand.) Raises ProgramMissing.
    """
    found = {version: path for path in _candidates(name) if (version := _version(path)) >= server}
    if not found:
        raise ProgramMissing(
            f"{name} of PostgreSQL {server} or later is needed, and not on this machine; install PostgreSQL's programs for clients "
            f"(postgresql-client-{server} on Debian), or have {name} on the PATH"
        )
    return found[min(found)]


def connecting(url: str) -> tuple[str, dict[str, str]]:
    """How a program is told of a database: what may stand in its arguments, and its environment, which has the password."""
    parts = conninfo_to_dict(url)
    environment = {name: value for name, value in os.environ.items() if name != "PGPASSWORD"}
    if password := parts.pop("password", None):
        environment["PGPASSWORD"] = str(password)
    return make_conninfo("", **parts), environment


def last_words(errors: str) -> str:
    """What a program that failed said of it, in a line."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()] or lines
    return telling[0] if telling else "it said nothing"


def _candidates(name: str) -> Iterator[Path]:
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for folder in (*folders, *sorted(_DEBIAN.glob("*/bin"))):
        if os.access(folder / name, os.X_OK):
            yield folder / name


def _version(path: Path) -> int:
    """The major version; 0 where it does not tell."""
    try:
        told = subprocess.run(  # noqa: S603 - one that was just found
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r"\(PostgreSQL\) (\d+)", told)
    return int(match[1]) if match else 0
