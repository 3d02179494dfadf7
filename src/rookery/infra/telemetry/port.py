"""The port of metrics: what the gateways tell of the requests that they answer."""

from typing import Protocol


class Requests(Protocol):
    """Takes note of requests, at once and without failing."""

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered: `route` is its template, never its path (`unmatched` where none fits), `seconds` the time
        from its arrival to the end of the answer.
        """
        ...
