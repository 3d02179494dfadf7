"""The access log: a line for each request that was answered. It names nothing that people wrote: no path, no query, no address."""

from typing import Any

import structlog

from rookery.gateways.http.requests import Trace

_log: Any = structlog.get_logger("rookery.access")


class AccessLog:
    """Writes the lines."""

    def answered(self, trace: Trace, method: str, status: int, seconds: float) -> None:
        """A request was answered; `user_id` 0 is a guest."""
        _log.info(
            "request",
            method=method,
            route=trace.route,
            status=status,
            ms=round(seconds * 1000, 3),
            user_id=str(trace.user_id),
            request_id=trace.request_id,
        )
