"""How a server speaks HTTP/1.1, and with how many at a time."""

from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from rookery.infra.telemetry.prometheus import counter, gauge
from rookery.process import most_connections

if TYPE_CHECKING:
    from rookery.wiring import Network

_log: Any = structlog.get_logger("rookery.wiring")


def http_protocol(network: "Network") -> Any:
    """How the server speaks HTTP/1.1 with people and their clients."""
    from rookery.gateways.rest.connection import Connection
    from rookery.gateways.rest.connections import Connections, Limits

    settings = network.settings
    most = most_connections(settings.connections)
    if most < settings.connections:
        _log.warning(
            "too few open files are allowed for the connections", connections=most, wanted=settings.connections
        )
    connections = Connections(
        Limits(
            connections=most,
            per_address=settings.connections_per_address or max(1, most // 4),
            trusted=settings.trusted_proxies,
            head_seconds=settings.head_seconds,
            body_seconds=settings.body_seconds,
            answer_seconds=settings.answer_seconds,
            idle_seconds=settings.idle_seconds,
        )
    )
    network.figures.connections = connections
    network.metrics.watch(
        lambda: (
            gauge("rookery_connections", "Connections of clients", "state", connections.numbers()),
            counter("rookery_connections_ended", "Connections that the server ended", "reason", connections.ended),
        )
    )
    return partial(Connection, connections=connections)


def operator_protocol() -> Any:
    """How the server speaks HTTP/1.1 with operators, who have connections of their own."""
    from rookery.gateways.rest.connection import Connection
    from rookery.gateways.rest.connections import Connections, Limits

    return partial(Connection, connections=Connections(Limits(connections=256, per_address=256)))
