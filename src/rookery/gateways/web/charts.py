"""Line charts as SVG, drawn on the server.

A chart is a figure with a name and a summary in words for those who can't see it (WAI-ARIA, `role="img"`); lines differ by their
strokes, too, not by color alone. Nothing in it is an inline style or a script, so that it stands on a page whose policy forbids
both: colors are the text's own, `currentColor`, unless a stylesheet says otherwise of the classes `chart-…`. Time runs from left to
right in every script; what is text may be of any.
"""

from collections.abc import Callable, Sequence
from html import escape
from math import floor, log
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from rookery.kernel.clock import Millis

Values = NDArray[np.float64]
"""Of a line; not a number is where nothing is known."""

WIDTH: Final = 640
HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 34, 28
"""Room around the lines: for the axes' labels and the legend."""
_POINTS: Final = 180
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
    """Those that lie within the times are shown, and kept within the picture."""
    format: Callable[[float], str]
    """Says a value, with its unit."""
    summary: Callable[[str, str, str, str], str]
    """Says in a sentence, of a line's label: its newest value, its lowest, its highest."""
    unknown: str
    """What is said in place of a line of which nothing is known."""
    whole: bool = False
    """Whether values are whole numbers, so that the axis has no fractions."""
    binary: bool = False
    """Whether values are bytes, whose round numbers are those of a power of 1024."""


def line_chart(chart: Chart) -> str:
    """The chart, as an `svg` element to stand in a page. Raises ValueError where lines and times do not fit together."""
    if any(len(line.values) != len(chart.times) for line in chart.lines):
        raise ValueError(f"the lines of {chart.id} have other lengths than its times")
    known = [_known(line.values) for line in chart.lines]
    times, lines = _thinned(np.array(chart.times, np.float64), known)
    highest = max((float(np.fmax.reduce(values)) for values in lines if not np.isnan(values).all()), default=0.0)
    ticks = _ticks(highest, chart)
    place = _Place(times, ticks[-1])
    title_id, summary_id = f"{chart.id}-title", f"{chart.id}-summary"
    parts = [
        # Whichever way the page runs: where a label starts must not depend on it.
        f'<svg class="chart" id="{escape(chart.id)}" role="img" direction="ltr" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' aria-labelledby="{escape(title_id)} {escape(summary_id)}" xmlns="http://www.w3.org/2000/svg">',
        f'<title id="{escape(title_id)}">{escape(chart.title)}</title>',
        f'<desc id="{escape(summary_id)}">{escape(_told(chart, known))}</desc>',
        *_axes(chart, ticks, place),
    ]
    across = place.x(times)
    gaps = _gaps(times)
    for number, values in enumerate(lines):
        parts += _drawn(number, across, place.y(values), gaps)
    parts += _legend(chart.lines)
    parts.append("</svg>")
    return "".join(parts)


class _Place:
    """Where a value at a time stands in the picture."""

    def __init__(self, times: Values, top: float) -> None:
        self.start, self.end = (float(times[0]), float(times[-1])) if times.size else (0.0, 0.0)
        self._across = (WIDTH - _LEFT - _RIGHT) / (self.end - self.start) if self.end > self.start else 0.0
        self._up = (HEIGHT - _TOP - _BOTTOM) / top

    def x(self, at: Any) -> Any:
        return _LEFT + (at - self.start) * self._across

    def y(self, value: Any) -> Any:
        return HEIGHT - _BOTTOM - value * self._up


def _known(values: Sequence[float | None]) -> Values:
    """Values that can be drawn: nothing here is below nought, and what is beyond all figures of ours is drawn at their end."""
    found = np.array(values, np.float64)
    found[~np.isfinite(found)] = np.nan
    found[found < _LEAST] = 0.0
    return np.minimum(found, _MOST)


def _thinned(times: Values, lines: Sequence[Values]) -> tuple[Values, list[Values]]:
    """At most `_POINTS` of each line: of neighbors the highest, since peaks are what one looks for. The newest stands at its time."""
    size = -(-times.size // _POINTS)
    if size < 2:
        return times, list(lines)
    # The first ones may be fewer.
    starts = np.r_[0, np.arange(times.size % size or size, times.size, size)]
    ends = np.r_[starts[1:], times.size] - 1
    return times[ends], [np.fmax.reduceat(line, starts) for line in lines]


def _ticks(highest: float, chart: Chart) -> list[float]:
    """Round values from nought to `highest` or just above, in steps of 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return [0.0, 1.0]
    unit = 1024.0 ** floor(log(highest, 1024)) if chart.binary and highest >= 1 else 1.0
    rough = highest / unit / _TICKS
    power = 10.0 ** floor(log(rough, 10))
    step = next(size * power for size in (1, 2, 5, 10, 20) if size * power >= rough * (1 - 1e-9))
    if chart.whole or (chart.binary and unit == 1):
        step = max(1.0, step)
    count = max(1, -floor(-highest / unit / step + 1e-9))
    return [step * unit * number for number in range(count + 1)]


def _gaps(times: Values) -> NDArray[np.bool_]:
    """Before which samples there was nothing for long: `_GAP` times what is usual."""
    steps = np.diff(times)
    return np.r_[False, steps > _GAP * np.median(steps)] if steps.size else np.zeros(times.size, np.bool_)


def _axes(chart: Chart, ticks: Sequence[float], place: _Place) -> list[str]:
    parts = ['<g class="chart-axes" stroke="currentColor" stroke-width="1">']
    for value in ticks:
        faint = "" if value == 0 else ' stroke-opacity="0.2"'
        y = _number(place.y(value))
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}"{faint}/>')
    parts.append('</g><g class="chart-labels" fill="currentColor" font-size="12">')
    parts += [_text(_LEFT - 8, place.y(value) + 4, chart.format(value), "end") for value in ticks]
    for mark in chart.marks:
        if place.start <= mark.at <= place.end:
            x, half = place.x(mark.at), _LETTER * len(mark.label) / 2
            anchor = "start" if x - half < _LEFT else "end" if x + half > WIDTH - _RIGHT else "middle"
            parts.append(_text(x, HEIGHT - 8, mark.label, anchor))
    parts.append("</g>")
    return parts


def _drawn(number: int, across: Values, up: Values, gaps: NDArray[np.bool_]) -> list[str]:
    """A line, in as many pieces as there are gaps in what is known; a value that stands alone is a point."""
    pieces: list[list[str]] = []
    begins = True
    for x, y, gap in zip(across.tolist(), up.tolist(), gaps.tolist(), strict=True):
        if y != y:
            begins = True
            continue
        if begins or gap:
            pieces.append([])
            begins = False
        pieces[-1].append(f"{x:.4g} {y:.4g}")
    name = f"chart-line chart-line-{number + 1}"
    path = "".join("M" + "L".join(piece) for piece in pieces if len(piece) > 1)
    found = [f'<path class="{name}" d="{path}" {_stroke(number)}/>'] if path else []
    for piece in pieces:
        if len(piece) == 1:
            x, y = piece[0].split()
            point = f'cx="{x}" cy="{y}" r="2" fill="currentColor"'
            found.append(f'<circle class="chart-point chart-line-{number + 1}" {point}/>')
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


def _told(chart: Chart, lines: Sequence[Values]) -> str:
    """The lines in sentences."""
    told: list[str] = []
    for line, values in zip(chart.lines, lines, strict=True):
        known = values[~np.isnan(values)]
        if known.size:
            shown = (chart.format(float(one)) for one in (known[-1], known.min(), known.max()))
            told.append(chart.summary(line.label, *shown))
        else:
            told.append(f"{line.label}: {chart.unknown}")
    return " ".join(told)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
