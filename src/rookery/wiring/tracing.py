"""Traces, where the setting asks for them; without it nothing of this is loaded."""

from typing import TYPE_CHECKING, Any, TypeVar

import rookery
from rookery.settings import Settings

if TYPE_CHECKING:
    from rookery.infra.telemetry.traces import Traces
    from rookery.wiring import Network

T = TypeVar("T")


class MissingExtra(Exception):
    """A setting asks for what is not installed."""


def open_traces(settings: Settings) -> "Traces | None":
    """Where spans go; None where nobody wants any. Raises MissingExtra."""
    if not settings.traces:
        return None
    try:
        from rookery.infra.telemetry.traces import Traces
    except ImportError as error:
        raise MissingExtra(
            "the setting traces needs OpenTelemetry, which is not installed: pip install 'rookery[traces]'"
        ) from error
    return Traces(settings.traces, settings.traces_ratio, rookery.__version__)


def traced_calls(network: "Network", service: T, contract: type) -> T:
    """`service` with spans of its calls, where there are traces; itself where there are none."""
    return service if network.traces is None else network.traces.calls(service, contract)


def traced_app(network: "Network", app: Any) -> Any:
    """`app` with a span for each request, where there are traces; itself where there are none."""
    if network.traces is None:
        return app
    from rookery.gateways.http.requests import TRACE
    from rookery.gateways.rest.proxies import PROXIED

    def seen(scope: Any) -> tuple[str, str]:
        trace = scope.get(TRACE)
        return ("unmatched", "") if trace is None else (trace.route, trace.request_id)

    return network.traces.app(app, seen=seen, trusted=lambda scope: PROXIED in scope)
