"""Figures of the last minutes and of the last day, in bounded memory, and what is reckoned from counters at two moments."""

from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from rookery.kernel.clock import Millis
from rookery.services.ops.contract import CacheFigures, RequestRate, Sample, Span
from rookery.services.ops.sources import Figures

EVERY: Final = 5.0
"""Seconds between fine samples."""
FINE: Final = 120
COARSE_EVERY: Final = 60.0
"""Seconds between coarse ones."""
COARSE: Final = 24 * 60

_WINDOW: Final = 60.0
"""Seconds that rates of the present are taken over."""


class Moment(NamedTuple):
    """Counters, and when they were read, in seconds of a clock that does not jump."""

    time: float
    figures: Figures


class History:
    """Samples. 1,560 of them at most, of less than 1 KB each."""

    def __init__(self) -> None:
        self._samples: dict[Span, deque[Sample]] = {
            Span.MINUTES: deque(maxlen=FINE),
            Span.DAY: deque(maxlen=COARSE),
        }
        self._moments: deque[Moment] = deque(maxlen=int(_WINDOW / EVERY) + 1)
        self._minute: Moment | None = None
        """Where the coarse sample that is being made begins."""

    def note(self, moment: Moment, at: Millis, database: int) -> None:
        """Take figures in: those of the first moment only begin a sample. `database` are its bytes."""
        if self._moments:
            self._samples[Span.MINUTES].append(sample(self._moments[-1], moment, at, database))
        self._moments.append(moment)
        if self._minute is None:
            self._minute = moment
        elif moment.time - self._minute.time >= COARSE_EVERY - EVERY / 2:
            self._samples[Span.DAY].append(sample(self._minute, moment, at, database))
            self._minute = moment

    def samples(self, span: Span) -> list[Sample]:
        """Oldest first."""
        return list(self._samples[span])

    def minute_ago(self, now: Moment) -> Moment:
        """The counters that rates of the present begin at: up to a minute ago; `now`, where none are older."""
        found = (one for one in self._moments if now.time - one.time <= _WINDOW + EVERY)
        return next(found, self._moments[-1] if self._moments else now)


def sample(before: Moment, after: Moment, at: Millis, database: int) -> Sample:
    """What happened between two moments."""
    old, new = before.figures, after.figures
    seconds = after.time - before.time
    numbers = _answered(old, new)
    return Sample(
        at=at,
        reads=_rate(sum(count for (kind, _), count in numbers.items() if kind == "read"), seconds),
        writes=_rate(sum(count for (kind, _), count in numbers.items() if kind == "write"), seconds),
        errors=_rate(sum(count for (_, status), count in numbers.items() if status == 5), seconds),
        p50=percentile(old, new, 0.5),
        p99=percentile(old, new, 0.99),
        tweets=_rate(new.tweets - old.tweets, seconds),
        deliveries=_rate(new.deliveries - old.deliveries, seconds),
        lag=new.lag,
        ratios={name: _ratio(old, new, name) for name in new.caches},
        online=new.online,
        connections=new.connections,
        memory=new.memory,
        database=database,
    )


def request_rates(before: Moment, after: Moment) -> list[RequestRate]:
    """The requests between two moments, by kind and class of status."""
    seconds = after.time - before.time
    numbers = _answered(before.figures, after.figures)
    return [
        RequestRate(kind, f"{status}xx", _rate(count, seconds)) for (kind, status), count in sorted(numbers.items())
    ]


def cache_figures(before: Moment, after: Moment) -> list[CacheFigures]:
    """How well each cache served between two moments."""
    old, new = before.figures, after.figures
    return [
        CacheFigures(name, looks.entries, looks.hits, looks.misses, _ratio(old, new, name))
        for name, looks in new.caches.items()
    ]


def percentile(old: Figures, new: Figures, part: float) -> float | None:
    """Within how many seconds this part of the requests between two moments was answered, supposing that those between two bounds
    are spread evenly, as Prometheus's `histogram_quantile` does. Beyond the last bound: that bound. None without requests.
    """
    bounds = new.answers.bounds
    counts = [now - then for then, now in zip(old.answers.within, new.answers.within, strict=True)]
    total = sum(counts)
    if total <= 0:
        return None
    wanted = part * total
    for place, reached in enumerate(accumulate(counts)):
        if reached >= wanted and counts[place]:
            if place == len(bounds):
                break
            low = bounds[place - 1] if place else 0.0
            return low + (bounds[place] - low) * (1 - (reached - wanted) / counts[place])
    return bounds[-1]


def rate(before: Moment, after: Moment, counts: Sequence[int]) -> float:
    """How often in a second something was counted that stood at the first of `counts` and stands at the second."""
    return _rate(counts[1] - counts[0], after.time - before.time)


def _answered(old: Figures, new: Figures) -> dict[tuple[str, int], int]:
    then = old.answers.numbers
    return {key: count - then.get(key, 0) for key, count in new.answers.numbers.items()}


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


def _ratio(old: Figures, new: Figures, name: str) -> float | None:
    now, then = new.caches[name], old.caches.get(name)
    hits, misses = (now.hits, now.misses) if then is None else (now.hits - then.hits, now.misses - then.misses)
    return hits / (hits + misses) if hits + misses > 0 else None
