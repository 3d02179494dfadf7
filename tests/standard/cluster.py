"""A cluster as its operator starts it, whose parts can be killed and made to stand still."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from rookery.cluster.layout import STANDARD
from rookery.cluster.processes import family
from rookery.cluster.running import Cluster
from rookery.settings import Settings, load
from tests.engines import installed
from tests.standard.people import People

PAUSE = 30.0
"""Seconds for which a part stands still."""

RECOVERY = 60.0
"""Seconds after which all is well again."""

PARTS = (
    "core",
    "processor-1",
    "processor-2",
    "live-1",
    "gateway-1",
    "postgres",
    "replica",
    "redis",
)
"""What breaks: one of each kind, and both processors, of which one delivers."""


class Running:
    """`rookery cluster up` on a folder of its own and on free ports."""

    def __init__(self) -> None:
        for engine in ("postgres", "redis", "haproxy"):
            installed(engine)
        self.folder = Path(tempfile.mkdtemp(prefix="rookery-standard-"))
        # PostgreSQL runs as another user.
        self.folder.chmod(0o755)
        self.data = self.folder / "network"
        self.data.mkdir(mode=0o755)
        (self.data / "rookery.toml").write_text("rate_limits = false\nhold_suspects = false\nfamous_followers = 6\n")
        self.cluster = Cluster(STANDARD, self.data)

    def command(self, *words: object, source: Path | None = None) -> str:
        """What `rookery cluster …` said; of another version of the program, where its `source` is named."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOKERY_")}
        if source is not None:
            environment["PYTHONPATH"] = str(source)
        done = subprocess.run(
            [sys.executable, "-m", "rookery", "cluster", *map(str, words), "--data", str(self.data)],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def up(self) -> None:
        """Start what does not run."""
        self.command("up", "--port", 0)
        self.cluster.folder.forget()

    def client(self, token: str = "") -> httpx.AsyncClient:
        """Somebody who asks through HAProxy."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        port = self.cluster.folder.state().ports["haproxy"]
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=40)

    def settings(self) -> Settings:
        """With which a command reaches what the processes share."""
        return load(self.data / "commands")

    def pid(self, part: str) -> int:
        found = self.cluster._child(part).pid
        assert found is not None, f"{part} does not run"
        return found

    def send(self, part: str, number: signal.Signals) -> None:
        """Send a signal to a part and to all that it consists of."""
        for pid in list(family(self.pid(part))):
            os.kill(pid, number)

    def kill(self, part: str) -> None:
        self.send(part, signal.SIGKILL)

    def pause(self, part: str) -> None:
        self.send(part, signal.SIGSTOP)

    def resume(self, part: str) -> None:
        self.send(part, signal.SIGCONT)

    def unhealthy(self) -> dict[str, str]:
        """What is the matter, by part."""
        return {part.name: part.health for part in self.cluster.status() if part.health != "ok"}

    def logs(self) -> str:
        """The last words of everything."""
        return "\n".join(f"{log}: {log.read_text('utf-8', 'replace')[-1_500:]}" for log in self.data.rglob("*.log"))

    def end(self) -> None:
        """Leave nothing of it."""
        try:
            for part in self.cluster.names if self.cluster.folder.exists else ():
                self.cluster._child(part).send(signal.SIGCONT)
            if self.cluster.folder.exists:
                self.cluster.down()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


@asynccontextmanager
async def survived(running: Running, people: People) -> AsyncGenerator[None]:
    """People act before, during and after what happens in the block; in the end everything is well, and all that they were told holds."""
    people.begin()
    await people.more(40)
    yield
    await people.more(40)
    await people.end()
    await recovered(running)
    await people.check()


async def recovered(running: Running) -> None:
    async with asyncio.timeout(RECOVERY):
        while wrong := await asyncio.to_thread(running.unhealthy):
            assert wrong
            await asyncio.sleep(0.3)
