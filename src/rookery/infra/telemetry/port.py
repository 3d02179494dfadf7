"""The port of metrics: what is counted and timed, whoever collects it.

Names, units and labels follow Prometheus' conventions (https://prometheus.io/docs/practices/naming/): base units, `_total` at
the end of counters, and labels of few values only: a route's template, never a path or a user.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the buckets of latencies, in seconds."""


class Counter(Protocol):
    """A number that only grows."""

    def add(self, *labels: str, amount: float = 1) -> None:
        """Grow by `amount`, for these values of the labels, in the order in which they were declared."""
        ...


class Histogram(Protocol):
    """A distribution."""

    def observe(self, value: float, *labels: str) -> None:
        """Note one `value`, for these values of the labels."""
        ...


class Metrics(Protocol):
    """Where metrics are declared, each once. Safe to use from any thread."""

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """A counter; `name` ends in `_total`."""
        ...

    def histogram(
        self, name: str, help: str, labels: Sequence[str] = (), buckets: Sequence[float] = LATENCIES
    ) -> Histogram:
        """A histogram with these upper bounds, ascending."""
        ...

    def gauge(
        self, name: str, help: str, read: Callable[[], Mapping[tuple[str, ...], float]], labels: Sequence[str] = ()
    ) -> None:
        """A number that goes up and down: `read` is asked whenever metrics are collected, and answers it for each
        combination of the labels' values (`{(): 1.0}` where there are no labels)."""
        ...
