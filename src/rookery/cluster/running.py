"""Bringing a cluster up, taking it down, and what is the matter with it."""

import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from rookery.cluster import ClusterError
from rookery.cluster.engines import REPLICATION, Postgres, Redis, missing, program
from rookery.cluster.folder import ClusterFolder
from rookery.cluster.haproxy import HAProxy, get
from rookery.cluster.layout import Layout, Process
from rookery.cluster.processes import Child, taken

_START: Final = 120.0
"""Seconds that a process may take until it is ready: the first one brings the tables up to date."""

_END: Final = 30.0
"""Seconds that it may take to end."""

_NOTICE: Final = 30.0
"""Seconds within which HAProxy must have noticed that a process is there."""

_LIBRARIES: Final = ("psycopg", "redis", "grpc", "grpc_health")

Tell = Callable[[str], None]
T = TypeVar("T")


class Health(msgspec.Struct):
    """How a part of the cluster does."""

    name: str
    services: list[str]
    pid: int | None
    ports: list[int]
    health: str
    """`ok`, or what is not."""
    memory: int | None
    """Bytes."""


class Cluster:
    """A cluster in a folder."""

    def __init__(self, layout: Layout, folder: Path) -> None:
        self.layout = layout
        self.folder = ClusterFolder(folder, layout)
        self._parts: dict[tuple[str, int], Any] = {}

    # --- the commands

    def up(self, port: int | None = None, tell: Tell = lambda _: None, *, engines: bool = False) -> None:
        """Start what does not run, and wait until all of it is healthy; with `engines` no process of ours. Raises ClusterError; a cluster
        of which nothing ran before is taken down then.
        """
        self._check_installed()
        self.folder.begin()
        with self.folder.lock():
            self._check_port(port)
            self.folder.remember(port)
            ran = any(self._child(name).pid is not None for name in self.names)
            try:
                self._start_engines(tell)
                if not engines:
                    self._start_processes(tell)
            except BaseException:
                if not ran:
                    self._end(self.names, tell)
                raise

    def down(self, tell: Tell = lambda _: None) -> None:
        """End all of it, those first who are asked by others. Raises ClusterError."""
        self.folder.state()
        # A command that is at work comes to its end first.
        with self.folder.lock(wait=True):
            self.folder.forget()
            state = self.folder.state()
            state.wanted = False
            self.folder.keep(state)
            self._end(self.names, tell)

    def status(self) -> list[Health]:
        """How everything does. Raises ClusterError where there is no cluster."""
        self.folder.state()
        with ThreadPoolExecutor(len(self.names)) as threads:
            return list(threads.map(self._health, self.names))

    def restart(self, names: Sequence[str] = (), tell: Tell = lambda _: None) -> None:
        """End and start processes one after the other, all where none is named; requests go to the others meanwhile. Raises ClusterError."""
        ours = {process.name: process for process in self.layout.processes}
        if unknown := [name for name in names if name not in ours]:
            raise ClusterError(f"there is no process {unknown[0]}; there is {', '.join(ours)}")
        self.folder.state()
        with self.folder.lock():
            self.folder.forget()
            for name in ours if not names else [name for name in ours if name in names]:
                self._check_others(ours[name])
                tell(f"restarting {name}")
                self._child(name).stop(seconds=_END)
                self._start_process(ours[name])
                self._await_process(ours[name])
                self._await_haproxy((name,))

    def watch(self, tell: Tell, stopped: Callable[[], bool]) -> None:
        """Start again whatever ends, until `stopped`, or until the cluster is taken down."""
        while not stopped():
            time.sleep(1)
            self.folder.forget()
            if not self.folder.state().wanted:
                return
            gone = [name for name in self.names if self._child(name).pid is None]
            if not gone:
                continue
            # Who takes it down or restarts it holds the lock: then this is nothing to mend.
            try:
                with self.folder.lock():
                    self.folder.forget()
                    if not self.folder.state().wanted:
                        return
                    self._start_engines(tell)
                    self._start_processes(tell)
            except ClusterError as error:
                tell(f"{', '.join(gone)}: {error}")
                time.sleep(4)

    @property
    def names(self) -> list[str]:
        """All parts, in the order of their start."""
        engines = ["postgres", *(["replica"] if self.layout.replica else []), "redis"]
        return [*engines, *(process.name for process in self.layout.processes), "haproxy"]

    # --- starting

    def _start_engines(self, tell: Tell) -> None:
        self._check_ports()
        self.folder.write_common()
        postgres, replica, redis = self._postgres(), self._replica(), self._redis()
        known = self.folder.state().secrets
        if postgres.child.pid is None:
            if not postgres.made:
                tell("making the database")
                postgres.make()
            tell("starting postgres")
            postgres.start()
        postgres.provide(self.layout.database, known["database"], self.layout.database)
        postgres.provide(REPLICATION, known["replication"], None)
        if self.layout.replica:
            self._start_replica(replica, postgres, tell)
        if redis.child.pid is None:
            tell("starting redis")
            redis.start()

    def _start_processes(self, tell: Tell) -> None:
        first, *others = self.layout.processes
        # The first one brings the tables up to date; then the others need not wait for each other.
        for group in ((first,), others):
            for process in group:
                if self._child(process.name).pid is None:
                    tell(f"starting {process.name}")
                    self._start_process(process)
            for process in group:
                self._await_process(process)
        haproxy = self._haproxy()
        if haproxy.child.pid is None:
            tell("starting haproxy")
            haproxy.start(self.folder.targets("gateway"), self.folder.targets("live"), self.folder.proxies())
        self._await_haproxy([process.name for process in self.layout.processes])

    def _start_replica(self, replica: Postgres, primary: Postgres, tell: Tell) -> None:
        if replica.child.pid is None:
            if not replica.made:
                replica.copy(primary, self.folder.state().secrets["replication"])
            tell("starting replica")
            replica.start()
        if not replica.follow():
            tell("making the replica anew, as it can't follow any more")
            replica.stop()
            replica.copy(primary, self.folder.state().secrets["replication"])
            replica.start()
            replica.follow()

    def _start_process(self, process: Process) -> None:
        folder, given = self.folder.write_settings(process)
        # Whatever else the environment says holds for all processes.
        theirs = {f"ROOKERY_{name.upper()}" for name in ("data", "config", *given)}
        environment = {name: value for name, value in os.environ.items() if name not in theirs}
        command = [sys.executable, "-m", "rookery", "serve", "--data", str(folder)]
        self._child(process.name).start(command, cwd=self.folder.path, environment=environment)

    def _await_process(self, process: Process) -> None:
        metrics = self.folder.place(process.name).metrics_port
        self._child(process.name).until(lambda: get(metrics, "/readyz")[0] == 200, _START)

    def _await_haproxy(self, names: Sequence[str]) -> None:
        haproxy = self._haproxy()
        asked = {process.name for process in self.layout.processes if process.public and process.name in names}
        if asked and haproxy.child.pid is not None:
            haproxy.child.until(lambda: asked <= haproxy.up(), _NOTICE)

    # --- ending

    def _end(self, names: Sequence[str], tell: Tell) -> None:
        """End parts in the reverse order of their start. Processes of ours end side by side."""
        ours = {process.name for process in self.layout.processes}
        together = [name for name in names if name in ours]
        if "haproxy" in names:
            self._end_one("haproxy", tell)
        # Those who are called by others go last.
        called = {name for process in self.layout.processes for name in process.remote.values()}
        for some in ([name for name in together if name not in called], [name for name in together if name in called]):
            if some:
                with ThreadPoolExecutor(len(some)) as threads:
                    list(threads.map(self._end_one, some, [tell] * len(some)))
        for name in ("redis", "postgres", "replica"):
            if name in names:
                self._end_one(name, tell)

    def _end_one(self, name: str, tell: Tell) -> None:
        child = self._child(name)
        if child.pid is None:
            return
        tell(f"ending {name}")
        if name == "redis":
            self._redis().stop()
        elif name in ("postgres", "replica"):
            (self._postgres() if name == "postgres" else self._replica()).stop()
        elif name == "haproxy":
            self._haproxy().stop()
        elif not child.stop(signal.SIGTERM, seconds=_END):
            tell(f"{name} had to be killed")

    # --- looking

    def _health(self, name: str) -> Health:
        child, ports = self._child(name), self.folder.state().ports
        services = [
            service for process in self.layout.processes if process.name == name for service in process.services
        ]
        own = [ports[key] for key in (name, f"{name} metrics", f"{name} rpc") if key in ports]
        health = "not running" if child.pid is None else self._condition(name)
        return Health(name, services, child.pid, own, health, child.memory())

    def _condition(self, name: str) -> str:
        if name == "redis":
            return "ok" if self._redis().ready() else "no answer"
        if name == "postgres":
            return "ok" if self._postgres().ready() else "no answer"
        if name == "replica":
            replica = self._replica()
            return "no answer" if not replica.ready() else "ok" if replica.follows() else "does not follow"
        if name == "haproxy":
            haproxy = self._haproxy()
            if not haproxy.ready():
                return "no answer"
            away = {process.name for process in self.layout.processes if process.public} - haproxy.up()
            return "ok" if not away else f"without {', '.join(sorted(away))}"
        code, text = get(self.folder.place(name).metrics_port, "/readyz")
        if code == 200:
            return "ok"
        with suppress(ValueError, AttributeError):
            return ", ".join(f"{part}: {state}" for part, state in json.loads(text).items() if state != "ok")
        return "no answer"

    # --- what must be so

    def _check_installed(self) -> None:
        if not sys.platform.startswith("linux"):
            raise ClusterError("a cluster on one machine needs Linux")
        absent = missing() + [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
        if absent:
            raise ClusterError(f"{', '.join(absent)}: not installed; `make engines` installs what is missing")

    def _check_port(self, port: int | None) -> None:
        if port is None or not self.folder.exists or port == self.folder.state().port:
            return
        if any(self._child(name).pid is not None for name in self.names):
            raise ClusterError(f"the cluster runs at port {self.folder.state().port}; take it down first")

    def _check_ports(self) -> None:
        """Nobody else listens where a part that is to be started will."""
        ports = self.folder.state().ports
        for name in self.names:
            if self._child(name).pid is None:
                own = [ports[key] for key in (name, f"{name} metrics", f"{name} rpc") if key in ports]
                if found := taken(own):
                    raise ClusterError(f"port {found[0]}, where {name} belongs, is taken; choose others with --port")

    def _check_others(self, process: Process) -> None:
        """Another process does what this one does, while it is away."""
        if not process.public or self._child(process.name).pid is None:
            return
        for service in process.services:
            others = [one.name for one in self.layout.of(service) if one.name != process.name]
            if not any(self._health(other).health == "ok" for other in others):
                raise ClusterError(f"no other process of {service} is healthy: without {process.name} there is none")

    # --- the parts

    def _child(self, name: str) -> Child:
        engines = {"postgres": self._postgres, "replica": self._replica, "redis": self._redis, "haproxy": self._haproxy}
        if name in engines:
            return engines[name]().child
        return self._part(name, lambda _: Child(name, self.folder.path / "processes"))

    def _postgres(self) -> Postgres:
        return self._part("postgres", self._server)

    def _replica(self) -> Postgres:
        return self._part("replica", self._server)

    def _server(self, name: str) -> Postgres:
        state = self.folder.state()
        return Postgres(
            _program("postgres"),
            self.folder.path / name,
            state.ports[name],
            password=state.secrets["admin"],
            name=name,
        )

    def _redis(self) -> Redis:
        state = self.folder.state()
        port, password = state.ports["redis"], state.secrets["redis"]
        return self._part(
            "redis", lambda name: Redis(_program("redis-server"), self.folder.path / name, port, password=password)
        )

    def _haproxy(self) -> HAProxy:
        ports = self.folder.state().ports
        return self._part(
            "haproxy",
            lambda name: HAProxy(
                _program("haproxy"), self.folder.path / name, ports["haproxy"], ports["haproxy metrics"]
            ),
        )

    def _part(self, name: str, make: Callable[[str], T]) -> T:
        # Kept, as each knows the process that it started; made anew where its port is another one.
        key = name, self.folder.state().ports[name]
        if key not in self._parts:
            self._parts[key] = make(name)
        return self._parts[key]


def _program(name: str) -> Path:
    found = program(name)
    if found is None:
        raise ClusterError(f"{name}: not installed; `make engines` installs what is missing")
    return found
