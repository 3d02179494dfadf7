"""The port of metrics: what the parts of Rookery count and time."""

from typing import Protocol


class Requests(Protocol):
    """Where a gateway tells of the requests it answered."""

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request: `route` is the template (`/v1/tweets/{id}`), never the address itself; `seconds` is the server's time."""
        ...
