"""Line charts as SVG, drawn on the server.

A chart is a figure with a name and a summary in words for those who can't see it (WAI-ARIA, `role="img"`); lines differ by their
strokes, too, not by color alone. Nothing in it is an inline style or a script, so that it stands on a page whose policy forbids
both: colors are the text's own, `currentColor`, unless a stylesheet says otherwise of the classes `chart-…`. Time runs from left to
right in every script; what is text may be of any.
"""

from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise
from math import floor, isfinite, log10
from typing import Final

import msgspec

from rookery.kernel.clock import Millis

WIDTH: Final = 640
HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 34, 28
"""Room around the lines: for the axes' labels and the legend."""
_POINTS: Final = 240
"""Points of a line: more than these can't be seen."""
_TICKS: Final = 4
"""Steps of the vertical axis, about."""
_GAP: Final = 3
"""How many times longer than usual the time between two samples is where nothing is known of it."""
_LEAST, _MOST = 1e-9, 1e15
_SWATCH: Final = 22
_LETTER: Final = 7.5
"""The width of a letter, about: of those that are set in 12."""

_DASHES: Final = ("", "6 3", "2 3", "8 3 2 3")


class Line(msgspec.Struct, frozen=True):
    """Values over time; None, or what is no number, is where nothing is known."""

    label: str
    values: Sequence[float | None]


class Mark(msgspec.Struct, frozen=True):
    """A place on the axis of time, and what it is called."""

    at: Millis
    label: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be drawn. All text is as people are to read it, in their language; none of it is markup."""

    id: str
    """Names the chart on its page: letters, digits and hyphens."""
    title: str
    times: Sequence[Millis]
    """Rising; every line has a value for each."""
    lines: Sequence[Line]
    marks: Sequence[Mark]
    """Those that lie within the times are shown; the first and the last are kept within the picture."""
    format: Callable[[float], str]
    """Says a value, with its unit."""
    summary: Callable[[str, str, str, str], str]
    """Says in a sentence, of a line's label: its newest value, its lowest, its highest."""
    unknown: str
    """What is said in place of a line of which nothing is known."""
    whole: bool = False
    """Whether values are whole numbers, so that the axis has no fractions."""


def line_chart(chart: Chart) -> str:
    """The chart, as an `svg` element to stand in a page. Raises ValueError where lines and times do not fit together."""
    if any(len(line.values) != len(chart.times) for line in chart.lines):
        raise ValueError(f"the lines of {chart.id} have other lengths than its times")
    times, lines = _thinned(chart.times, [[_known(value) for value in line.values] for line in chart.lines])
    ticks = _ticks(max((value for line in lines for value in line if value is not None), default=0.0), chart.whole)
    place = _Place(times[0] if times else 0, times[-1] if times else 0, ticks[-1])
    title_id, summary_id = f"{chart.id}-title", f"{chart.id}-summary"
    parts = [
        # Whichever way the page runs: where a label starts must not depend on it.
        f'<svg class="chart" id="{escape(chart.id)}" role="img" direction="ltr" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' aria-labelledby="{escape(title_id)} {escape(summary_id)}" xmlns="http://www.w3.org/2000/svg">',
        f'<title id="{escape(title_id)}">{escape(chart.title)}</title>',
        f'<desc id="{escape(summary_id)}">{escape(_told(chart))}</desc>',
        *_axes(chart, ticks, place),
    ]
    step = _usual_step(times)
    for number, values in enumerate(lines):
        parts += _drawn(number, times, values, place, step)
    parts += _legend(chart.lines)
    parts.append("</svg>")
    return "".join(parts)


class _Place:
    """Where a value at a time stands in the picture."""

    def __init__(self, start: Millis, end: Millis, top: float) -> None:
        self.start, self.end = start, end
        self._across = (WIDTH - _LEFT - _RIGHT) / (end - start) if end > start else 0.0
        self._up = (HEIGHT - _TOP - _BOTTOM) / top

    def x(self, at: Millis) -> float:
        return _LEFT + (at - self.start) * self._across

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - value * self._up


def _known(value: float | None) -> float | None:
    """A value that can be drawn: nothing here is below nought, and what is beyond all figures of ours is drawn at their end."""
    if value is None or not isfinite(value):
        return None
    return 0.0 if value < _LEAST else min(value, _MOST)


def _thinned(
    times: Sequence[Millis], lines: Sequence[Sequence[float | None]]
) -> tuple[list[Millis], list[list[float | None]]]:
    """At most `_POINTS` of each line: of neighbors the highest, since peaks are what one looks for. The newest stands at its time."""
    size = -(-len(times) // _POINTS) or 1
    ends = range(len(times), 0, -size)
    cuts = [(max(0, end - size), end) for end in reversed(ends)]
    return (
        [times[end - 1] for _, end in cuts],
        [[max((v for v in line[start:end] if v is not None), default=None) for start, end in cuts] for line in lines],
    )


def _ticks(highest: float, whole: bool) -> list[float]:
    """Round values from nought to `highest` or just above, in steps of 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * (1 - 1e-9))
    if whole:
        step = max(1.0, step)
    count = max(1, -floor(-highest / step + 1e-9))
    return [step * number for number in range(count + 1)]


def _usual_step(times: Sequence[Millis]) -> float:
    """The middle one of the times between two samples."""
    steps = sorted(later - earlier for earlier, later in pairwise(times))
    return steps[len(steps) // 2] if steps else 0.0


def _axes(chart: Chart, ticks: Sequence[float], place: _Place) -> list[str]:
    parts = ['<g class="chart-axes" stroke="currentColor" stroke-width="1">']
    for value in ticks:
        faint = "" if value == 0 else ' stroke-opacity="0.2"'
        y = _number(place.y(value))
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}"{faint}/>')
    parts.append('</g><g class="chart-labels" fill="currentColor" font-size="12">')
    parts += [_text(_LEFT - 8, place.y(value) + 4, chart.format(value), "end") for value in ticks]
    shown = [mark for mark in chart.marks if place.start <= mark.at <= place.end]
    for number, mark in enumerate(shown):
        anchor = "start" if number == 0 else "end" if number == len(shown) - 1 else "middle"
        parts.append(_text(place.x(mark.at), HEIGHT - 8, mark.label, anchor))
    parts.append("</g>")
    return parts


def _drawn(
    number: int, times: Sequence[Millis], values: Sequence[float | None], place: _Place, step: float
) -> list[str]:
    """A line, in as many pieces as there are gaps in what is known; a value that stands alone is a point."""
    pieces: list[list[tuple[str, str]]] = []
    before: Millis | None = None
    for at, value in zip(times, values, strict=True):
        if value is None:
            before = None
            continue
        if before is None or at - before > _GAP * step:
            pieces.append([])
        pieces[-1].append((_number(place.x(at)), _number(place.y(value))))
        before = at
    name = f"chart-line chart-line-{number + 1}"
    path = "".join("M" + "L".join(f"{x} {y}" for x, y in piece) for piece in pieces if len(piece) > 1)
    found = [f'<path class="{name}" d="{path}" {_stroke(number)}/>'] if path else []
    found += [
        f'<circle class="chart-point chart-line-{number + 1}" cx="{x}" cy="{y}" r="2" fill="currentColor"/>'
        for piece in pieces
        if len(piece) == 1
        for x, y in piece
    ]
    return found


def _legend(lines: Sequence[Line]) -> list[str]:
    """What each line is, in a row above the picture; none where there is one line, which the title names."""
    if len(lines) < 2:
        return []
    parts, x = ['<g class="chart-legend" font-size="12">'], float(_LEFT)
    for number, line in enumerate(lines):
        end = _number(x + _SWATCH)
        parts.append(
            f'<line class="chart-line chart-line-{number + 1}" x1="{_number(x)}" y1="14" x2="{end}" y2="14" '
            f"{_stroke(number)}/>"
        )
        parts.append(_text(x + _SWATCH + 6, 18, line.label, "start", ' fill="currentColor"'))
        x += _SWATCH + 6 + _LETTER * len(line.label) + 18
    parts.append("</g>")
    return parts


def _stroke(number: int) -> str:
    dash = _DASHES[number % len(_DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"{dashed}'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _told(chart: Chart) -> str:
    """The lines in sentences."""
    told: list[str] = []
    for line in chart.lines:
        known = [value for value in map(_known, line.values) if value is not None]
        told.append(
            chart.summary(line.label, *map(chart.format, (known[-1], min(known), max(known))))
            if known
            else f"{line.label}: {chart.unknown}"
        )
    return " ".join(told)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
