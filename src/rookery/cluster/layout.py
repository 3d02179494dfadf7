"""What a cluster of a profile consists of: engines, processes, which services each runs, which it calls in others, and their settings."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rookery.cluster import ClusterError

DRAIN_SECONDS: Final = 3.0
"""Seconds that a process goes on after it was told to end, until HAProxy (which asks twice a second) sends it nothing."""

METRICS_PORT: Final = 9464
RPC_PORT: Final = 9465


class Process(msgspec.Struct, frozen=True):
    """A process of ours."""

    name: str
    services: tuple[str, ...]
    remote: Mapping[str, str] = {}
    """Services that it calls in other processes: name → process. What stands neither here nor in `services` it runs for itself, on the
    shared engines.
    """
    public: bool = False
    """Whether HAProxy sends it what people ask for."""


class Layout(msgspec.Struct, frozen=True):
    """All that a profile has. Processes are started in their order."""

    profile: str
    processes: tuple[Process, ...]
    database: str = "rookery"
    """The database, and the role that owns it."""
    replica: bool = True

    def of(self, service: str) -> tuple[Process, ...]:
        """The processes that run a service."""
        return tuple(process for process in self.processes if service in process.services)


_CORE: Final = ("users", "graph", "tweets", "notifications", "moderation", "drafts", "archives", "analytics", "ops")

# A gateway reads tweets and timelines itself, and writes as well: a page costs no call of another process. What it calls is what
# works in the background in one place, and is seldom asked for.
_CALLED: Final[Mapping[str, str]] = dict[str, str].fromkeys(
    ("notifications", "moderation", "drafts", "archives", "ops"), "core"
)

STANDARD: Final = Layout(
    "standard",
    (
        Process("core", _CORE),
        Process("processor-1", ("processor",)),
        Process("processor-2", ("processor",)),
        Process("live-1", ("live",), public=True),
        Process("live-2", ("live",), public=True),
        Process("gateway-1", ("gateway",), _CALLED, public=True),
        Process("gateway-2", ("gateway",), _CALLED, public=True),
    ),
)

PROFILES: Final[Mapping[str, Layout]] = {STANDARD.profile: STANDARD}


def layout_of(profile: str) -> Layout:
    """The layout of a profile. Raises ClusterError."""
    if profile not in PROFILES:
        raise ClusterError(f"there is no profile {profile}; there is {', '.join(PROFILES)}")
    return PROFILES[profile]


class Place(msgspec.Struct, frozen=True):
    """Where a process is: its address, and the ports of people, of operators and of other processes."""

    host: str
    port: int
    metrics_port: int
    rpc_port: int


class Surroundings(msgspec.Struct, frozen=True):
    """What processes need to know of each other and of the engines."""

    database: str
    replica: str
    redis: str
    objects: str
    rpc_token: str
    proxies: tuple[str, ...]
    """The addresses of HAProxy."""
    places: Mapping[str, Place]
    """By process."""
    listen: str = "127.0.0.1"
    """What processes listen on."""


def settings_of(process: Process, around: Surroundings) -> dict[str, Any]:
    """The settings of a process, by name; all but the folder of its data."""
    own = around.places[process.name]
    given: dict[str, Any] = {
        "process": process.name,
        "services": list(process.services),
        "database": around.database,
        "replica": around.replica,
        "redis": around.redis,
        "objects": around.objects,
        "remote": {
            service: f"{around.places[name].host}:{around.places[name].rpc_port}"
            for service, name in process.remote.items()
        },
        "rpc_host": around.listen,
        "rpc_port": own.rpc_port,
        "rpc_token": around.rpc_token,
        "host": around.listen,
        "port": own.port,
        "metrics_host": around.listen,
        "metrics_port": own.metrics_port,
        "trusted_proxies": list(around.proxies),
        "drain_seconds": DRAIN_SECONDS if process.public else 0.0,
    }
    return {name: value for name, value in given.items() if value not in ("", [], {})}
