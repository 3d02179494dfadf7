"""The folder of a cluster: its ports and secrets, the settings of each process, and a lock for whoever changes it."""

import fcntl
import json
import os
import secrets
import tomllib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from rookery.cluster import ClusterError
from rookery.cluster.engines import write_secret
from rookery.cluster.haproxy import Target
from rookery.cluster.layout import Layout, Place, Process, Surroundings, settings_of
from rookery.cluster.processes import free_ports

_STATE: Final = "cluster.json"
_SECRETS: Final = ("admin", "replication", "database", "redis", "rpc")

_MADE: Final = "# Made by `rookery cluster`, anew at each start of the process. Settings of the whole network belong into {file}.\n"

_COMMON: Final = ("database", "replica", "redis", "objects")
"""Settings with which commands reach what the processes share."""


class State(msgspec.Struct):
    """What is remembered of a cluster."""

    profile: str
    port: int
    """The port that was asked for; 0: any."""
    ports: dict[str, int]
    secrets: dict[str, str]
    wanted: bool = True
    """Whether it is to run: one that was taken down is not brought up again by who watches over it."""


class ClusterFolder:
    """The folder of a cluster of a layout."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path.absolute()
        self.layout = layout
        self._known: State | None = None

    # --- what is remembered

    @property
    def exists(self) -> bool:
        """Whether there is a cluster in it."""
        return (self.path / _STATE).exists()

    def state(self) -> State:
        """What is remembered. Raises ClusterError where there is no cluster."""
        if self._known is None:
            try:
                text = (self.path / _STATE).read_bytes()
                self._known = msgspec.json.decode(text, type=State)
            except FileNotFoundError as error:
                raise ClusterError(f"there is no cluster in the folder {self.path}") from error
            except (OSError, msgspec.MsgspecError) as error:
                raise ClusterError(f"{self.path / _STATE} can't be read: {error}") from error
            if self._known.profile != self.layout.profile:
                raise ClusterError(f"the cluster in {self.path} is of the profile {self._known.profile}")
        return self._known

    def begin(self) -> None:
        """Make the folder where there is none. Raises ClusterError where something else is in it."""
        if (self.path / "rookery.db").exists():
            raise ClusterError(f"{self.path} holds a network of one process; a cluster needs a folder of its own")
        try:
            # PostgreSQL may run as another user, who must get through.
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise ClusterError(f"the folder {self.path} can't be made: {error}") from error

    def remember(self, port: int | None) -> State:
        """The state, with the ports that belong to `port` (None: those it had, else 8000)."""
        if self.exists:
            state = self.state()
            if port is not None and port != state.port:
                state.port, state.ports = port, ports_of(self.layout, port)
        else:
            port = 8000 if port is None else port
            made = {name: secrets.token_hex(24) for name in _SECRETS}
            state = State(self.layout.profile, port, ports_of(self.layout, port), made)
        state.wanted = True
        self.keep(state)
        return state

    def keep(self, state: State) -> None:
        """Write what is remembered, for its owner alone: there are passwords in it."""
        new = self.path / f"{_STATE}.new"
        write_secret(new, json.dumps(msgspec.to_builtins(state), indent=2) + "\n")
        new.replace(self.path / _STATE)
        self._known = state

    def forget(self) -> None:
        """Read the state anew when it is next asked for: another command may have changed it."""
        self._known = None

    @contextmanager
    def lock(self, *, wait: bool = False) -> Generator[None]:
        """Be the only one who changes the cluster. Raises ClusterError where somebody else is at it."""
        file = os.open(self.path / "cluster.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise ClusterError(f"another command is at work on the cluster in {self.path}") from error
            yield
        finally:
            os.close(file)

    # --- what follows from it

    def process_folder(self, name: str) -> Path:
        """The data folder of a process."""
        return self.path / "processes" / name

    def surroundings(self) -> Surroundings:
        """What processes need to know."""
        state = self.state()
        ports, known, name = state.ports, state.secrets, self.layout.database
        database = f"postgresql://{name}:{known['database']}@127.0.0.1:{{}}/{name}"
        return Surroundings(
            database=database.format(ports["postgres"]),
            replica=database.format(ports["replica"]) if self.layout.replica else "",
            redis=f"redis://:{known['redis']}@127.0.0.1:{ports['redis']}/0",
            objects=(self.path / "objects").as_uri(),
            rpc_token=known["rpc"],
            proxies=("127.0.0.1",),
            places={process.name: self.place(process.name) for process in self.layout.processes},
        )

    def place(self, name: str) -> Place:
        """Where a process is."""
        ports = self.state().ports
        return Place("127.0.0.1", ports[name], ports[f"{name} metrics"], ports[f"{name} rpc"])

    def targets(self, service: str) -> list[Target]:
        """Where HAProxy sends what is for a service."""
        return [
            Target(process.name, place.host, place.port, place.metrics_port)
            for process in self.layout.of(service)
            for place in (self.place(process.name),)
        ]

    def write_settings(self, process: Process) -> tuple[Path, dict[str, Any]]:
        """Write the settings of a process into its folder; the folder, and those that are the cluster's. Raises ClusterError."""
        around = self.surroundings()
        folder = self.process_folder(process.name)
        given = self._given(settings_of(process, around))
        self._write(folder, self.network_settings() | given)
        self.write_common()
        return folder, given

    def write_common(self) -> None:
        """Write the settings that commands need which work beside the processes. Raises ClusterError."""
        around = msgspec.to_builtins(self.surroundings())
        common = {name: value for name, value in around.items() if name in _COMMON and value}
        self._write(self.path / "commands", common | self.network_settings())
        (self.path / "objects").mkdir(mode=0o700, exist_ok=True)

    def network_settings(self) -> dict[str, Any]:
        """What the operator has written for all processes. Raises ClusterError where it is the cluster's to say."""
        file = self.path / "rookery.toml"
        try:
            said = tomllib.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ClusterError(f"{file}: {error}") from error
        own = {name for one in self.layout.processes for name in settings_of(one, self.surroundings())} | {"data"}
        if taken := sorted(own & said.keys() - _ADDED):
            raise ClusterError(f"{file}: the cluster itself sets {', '.join(taken)}")
        return said

    def _given(self, given: dict[str, Any]) -> dict[str, Any]:
        """The settings of a process, with what the operator may add to them."""
        said = self.network_settings()
        if "objects" in said:
            given["objects"] = said["objects"]
        return given | {"trusted_proxies": self.proxies()}

    def proxies(self) -> list[str]:
        """Who may stand before HAProxy, which is one of them: what is on this machine, and what the operator adds."""
        return [*self.surroundings().proxies, *self.network_settings().get("trusted_proxies", ())]

    def _write(self, folder: Path, settings: Mapping[str, Any]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [f"{name} = {toml(value)}\n" for name, value in settings.items()]
        write_secret(folder / "rookery.toml", _MADE.format(file=self.path / "rookery.toml") + "".join(lines))


_ADDED: Final = frozenset(("objects", "trusted_proxies"))


def ports_of(layout: Layout, port: int) -> dict[str, int]:
    """Ports by what listens on them. HAProxy has `port`, the engines those behind it, and each process three from the next ten on.

    With 0, free ones.
    """
    engines = ["haproxy", "haproxy metrics", "postgres", "replica", "redis"]
    names = {name: number for number, name in enumerate(engines)}
    for place, process in enumerate(layout.processes, 1):
        for number, suffix in enumerate(("", " metrics", " rpc")):
            names[process.name + suffix] = 10 * place + number
    if port:
        if not 0 < port <= 65_535 - max(names.values()):
            raise ClusterError(f"the port is from 1 to {65_535 - max(names.values())}, not {port}")
        return {name: port + number for name, number in names.items()}
    return dict(zip(names, free_ports(len(names)), strict=True))


def toml(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, Mapping):
        inside: Mapping[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return "{ " + ", ".join(f"{json.dumps(str(name))} = {toml(one)}" for name, one in inside.items()) + " }"
    if isinstance(value, (list, tuple)):
        several: list[Any] = [*value]
        return "[" + ", ".join(map(toml, several)) + "]"
    # What JSON calls a string, a number or a truth is one in TOML, but for DEL in a string, which nobody sets.
    return json.dumps(value)
