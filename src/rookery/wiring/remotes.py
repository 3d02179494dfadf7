"""Services in other processes: whom this one calls, and who may call it."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rookery.infra.rpc.port import Caller, Tls
from rookery.services.archives.contract import Archives
from rookery.services.drafts.contract import Drafts
from rookery.services.graph.contract import Choices, Graph
from rookery.services.moderation.contract import Moderation
from rookery.services.notifications.contract import Notifications
from rookery.services.ops.contract import Ops
from rookery.services.tweets.contract import TweetIngestion
from rookery.services.users.contract import Users
from rookery.settings import Settings
from rookery.wiring.engines import module

if TYPE_CHECKING:
    from rookery.infra.rpc.grpc_client import Channel
    from rookery.infra.rpc.grpc_server import RpcServer
    from rookery.infra.telemetry.traces import Traces

T = TypeVar("T")

CONTRACTS: Final[Mapping[str, tuple[type, ...]]] = {
    "users": (Users,),
    "graph": (Graph, Choices),
    "tweets": (TweetIngestion,),
    "notifications": (Notifications,),
    "moderation": (Moderation,),
    "drafts": (Drafts,),
    "archives": (Archives,),
    "ops": (Ops,),
}
"""What is offered to other processes, by service. Reads of tweets and timelines are where their readers are: a page has many."""

_INTERNAL: Final = frozenset((Users, Graph, Choices, TweetIngestion, Notifications, Drafts))
"""What services call of each other."""


class Remotes:
    """The channels to other processes."""

    def __init__(self, settings: Settings, traces: "Traces | None") -> None:
        self._settings = settings
        self._traces = traces
        self._channels: dict[str, Channel] = {}

    def service(self, name: str, contract: type[T], local: T) -> T:
        """The contract, as the service `name` answers it: in another process where the settings say so, else `local`."""
        address = self._settings.remote.get(name)
        if address is None:
            return local
        grpc_client = module("rookery.infra.rpc.grpc_client")
        channel = self._channels.get(address)
        if channel is None:
            where = address.split(",") if "," in address else address
            options: dict[str, Any] = {} if self._traces is None else {"trace": self._traces.headers}
            channel = self._channels[address] = grpc_client.Channel(
                where,
                caller=_role(self._settings),
                token=self._settings.rpc_token or None,
                tls=_tls(self._settings),
                **options,
            )
        return grpc_client.remote(contract, channel)

    async def close(self) -> None:
        """Give up what is under way."""
        for channel in self._channels.values():
            await channel.close()


async def offer(
    stack: AsyncExitStack, settings: Settings, services: Mapping[type, object], traces: "Traces | None"
) -> "RpcServer | None":
    """Let other processes call the services that run here, until the stack unwinds. Raises BadAddress."""
    if settings.rpc_port < 0:
        return None
    offered = {
        contract: services[contract]
        for name, contracts in CONTRACTS.items()
        if not settings.services or name in settings.services
        for contract in contracts
    }
    token = settings.rpc_token or None
    everything = frozenset(offered)
    options: dict[str, Any] = {} if traces is None else {"around": traces.serving}
    host = f"[{settings.rpc_host}]" if ":" in settings.rpc_host else settings.rpc_host
    try:
        server: RpcServer = module("rookery.infra.rpc.grpc_server").RpcServer(
            offered,
            callers={
                # What a gateway asks, it asks for who is at its other end.
                "gateway": Caller(everything, token, any_viewer=False),
                "live": Caller(everything, token, any_viewer=False),
                "service": Caller(everything & _INTERNAL, token),
            },
            address=f"{host}:{settings.rpc_port}",
            tls=_tls(settings),
            **options,
        )
    except ValueError as error:
        raise BadAddress(f"{error}; choose another one with the settings rpc_host and rpc_port") from error
    stack.push_async_callback(server.stop)
    await server.start()
    return server


class BadAddress(Exception):
    """The address for other processes' calls is not to be had."""


def _role(settings: Settings) -> str:
    """As what a process calls others; its certificate names this."""
    for role in ("gateway", "live"):
        if not settings.services or role in settings.services:
            return role
    return "service"


def _tls(settings: Settings) -> Tls | None:
    if not (settings.rpc_ca or settings.rpc_certificate):
        return None

    def path(text: str) -> Path | None:
        return Path(text) if text else None

    return Tls(path(settings.rpc_certificate), path(settings.rpc_key), path(settings.rpc_ca))
