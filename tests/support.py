"""Helpers that tests share."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rookery.kernel.clock import Clock
from rookery.settings import Settings
from rookery.wiring import SERVER_FILE, Network, open_network
from tests import profile


@asynccontextmanager
async def network_in(folder: Path, clock: Clock, **settings: Any) -> AsyncGenerator[Network]:
    """All services on the real engines of the profile that is tested, with their consumers running; tests post what looks like spam."""
    settings = {"hold_suspects": False, **profile.settings(folder), **settings}
    async with open_network(Settings(data=folder, **settings), consumers=True, clock=clock) as network:
        yield network


async def caught_up(network: Network) -> None:
    """Wait until every consumer has handled all that was appended, and people were told of what came of it."""
    while True:
        head = await network.log.head()
        for group in network.log.lags():
            assert await network.log.reached(group, head, 10), f"{group} did not catch up"
        if not await network.notifications.announce():
            return


def rows(database: Any, text: str) -> list[Any]:
    """What a query finds in the database of an open network, on any engine."""
    reader = getattr(database, "_reader", None)
    return database.rows(text) if reader is None else reader.raw.execute(text).fetchall()


class Server:
    """A real server process on a data folder, on free ports."""

    def __init__(
        self,
        folder: Path,
        program: Sequence[str] = ("-m", "rookery"),
        *,
        output: int | None = None,
        **settings: Any,
    ) -> None:
        """`program` is what Python runs, where it is not the program itself; `output` a file descriptor for what it says."""
        self._folder = folder
        self._output = output
        self._program = program
        self._settings = {f"ROOKERY_{name.upper()}": str(value) for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> "Server":
        """Start it, and wait until it answers."""
        known = self._folder / SERVER_FILE
        known.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, *self._program, "serve", "--data", str(self._folder), "--port", "0"],
            env={
                **os.environ,
                "ROOKERY_METRICS_PORT": "0",
                "ROOKERY_RATE_LIMITS": "off",
                "ROOKERY_HOLD_SUSPECTS": "off",
                **{f"ROOKERY_{name.upper()}": value for name, value in profile.settings(self._folder).items()},
                **self._settings,
            },
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )
        for _ in range(1_200):
            assert self._process.poll() is None, f"the server ended with {self._process.returncode}"
            # Written last, when the API answers; a file half written is no JSON yet.
            with suppress(OSError, ValueError):
                self.url = f"http://127.0.0.1:{json.loads(known.read_text())['port']}"
                return self
            time.sleep(0.05)
        raise AssertionError("the server did not start within 60 seconds")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(20)
        self._process = None
        return code

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
