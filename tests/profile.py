"""Which profile the tests of services and of the API run on: `embedded`, or `standard` where ROOKERY_TEST_PROFILE says so.

On `standard` each test's folder has a database of its own on one PostgreSQL, and a part of one Redis; both are started when they are
needed first, and ended with the session.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from rookery.cluster.layout import STANDARD as STANDARD_LAYOUT
from rookery.infra.leases import sql
from rookery.infra.sql.migrations import migrate
from rookery.infra.sql.postgres import PostgresDatabase
from rookery.kernel.clock import DAY
from tests.conftest import MIGRATIONS
from tests.engines import Postgres, RedisServer, free_port, installed

STANDARD = os.environ.get("ROOKERY_TEST_PROFILE", "embedded") == "standard"

_DATABASES = 16
"""Parts of a Redis server."""


class _Engines:
    """The servers, and what each folder has of them."""

    def __init__(self) -> None:
        # Nobody pulls its plug here; the tests that do have their own, which flush.
        self.postgres = Postgres(fsync="off", synchronous_commit="off", full_page_writes="off")
        self.redis = RedisServer(installed("redis"), Path(tempfile.mkdtemp(prefix="rookery-redis-")))
        self._numbers = count()
        self._known: dict[Path, Mapping[str, Any]] = {}

    def start(self) -> None:
        # Tests move their clocks by days, and a lease is renewed in the background.
        sql.LENGTH = 10_000 * DAY
        self.redis.start()
        self.postgres.start()
        self.postgres.execute("CREATE DATABASE made")
        database = PostgresDatabase(self.postgres.url("made"))
        migrate(database, MIGRATIONS)
        database.disconnect()

    def of(self, folder: Path) -> Mapping[str, Any]:
        found = self._known.get(folder)
        if found is None:
            number = next(self._numbers) % _DATABASES
            self.redis.ask(f"SELECT {number}\r\nFLUSHDB")
            url = f"redis://127.0.0.1:{self.redis.port}/{number}"
            if len(self._known) == _DATABASES:
                # Of a test that has long ended.
                self.postgres.drop(self._known.pop(next(iter(self._known)))["database"])
            found = self._known[folder] = {"database": self.postgres.create("made"), "redis": url}
        return found

    def end(self) -> None:
        self.redis.kill()
        shutil.rmtree(self.redis.folder, ignore_errors=True)
        self.postgres.end()


@cache
def _engines() -> _Engines:
    made = _Engines()
    _started.append(made)
    made.start()
    return made


_started: list[_Engines] = []


def settings(folder: Path) -> Mapping[str, Any]:
    """What the profile adds to the settings of a network in this folder."""
    return _engines().of(folder) if STANDARD else {}


def remotes() -> Mapping[str, Any]:
    """What the profile adds where there is a gateway: it calls by gRPC what gateways of a cluster call, here in its own process."""
    if not STANDARD:
        return {}
    port = free_port()
    called = next(process.remote for process in STANDARD_LAYOUT.processes if "gateway" in process.services)
    return {
        "remote": dict.fromkeys(called, f"127.0.0.1:{port}"),
        "rpc_port": port,
        "rpc_token": "what a gateway of the tests shows",
    }


def end() -> None:
    """End what was started."""
    while _started:
        _started.pop().end()
