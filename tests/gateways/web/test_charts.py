"""What a chart shows and says, and what must not be in it."""

import math
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.gateways.web.charts import HEIGHT, WIDTH, Chart, Line, Mark, line_chart

SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {
    "aria-labelledby", "class", "cx", "cy", "d", "direction", "fill", "font-size", "id", "points", "r", "role", "stroke",
    "stroke-dasharray", "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor", "viewBox", "x", "x1", "x2", "y",
    "y1", "y2",
}  # fmt: skip


def summary(label: str, newest: str, lowest: str, highest: str) -> str:
    return f"{label}: {newest} now, {lowest} to {highest}."


def chart(lines: Sequence[Line], times: Sequence[int] = (), **more: Any) -> Chart:
    fields: dict[str, Any] = {
        "id": "rates",
        "title": "Requests",
        "times": times or [5000 * number for number in range(len(lines[0].values))] if lines else times,
        "lines": lines,
        "marks": [],
        "format": lambda value: f"{value:g}/s",
        "summary": summary,
        "unknown": "nothing is known",
    }
    return Chart(**fields | more)


def drawn(lines: Sequence[Line], times: Sequence[int] = (), **more: Any) -> ElementTree.Element:
    return ElementTree.fromstring(line_chart(chart(lines, times, **more)))  # noqa: S314 - what we have just written


def texts(svg: ElementTree.Element) -> list[str]:
    return [one.text or "" for one in svg.iter(f"{SVG}text")]


def paths(svg: ElementTree.Element) -> list[list[list[tuple[float, float]]]]:
    """Of each line its pieces, of each piece its points."""
    return [
        [
            [(float(x), float(y)) for x, y in (point.split() for point in piece.split("L"))]
            for piece in one[1:].split("M")
        ]
        for one in (path.get("d", "") for path in svg.iter(f"{SVG}path"))
    ]


def test_a_line_runs_from_left_to_right_and_up_with_its_values():
    [[points]] = paths(drawn([Line("all", [0, 5, 10])]))
    (x0, y0), (x1, y1), (x2, y2) = points
    assert (x0 < x1 < x2, y0 > y1 > y2) == (True, True)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)


def test_a_place_is_that_of_its_time_and_not_of_its_number():
    [[points]] = paths(drawn([Line("all", [1, 1, 1, 1])], [0, 10, 20, 40]))
    assert points[3][0] - points[2][0] == pytest.approx(2 * (points[1][0] - points[0][0]), abs=0.2)


def test_the_axis_has_round_numbers_up_to_the_highest_value():
    assert texts(drawn([Line("all", [0, 3, 87])])) == ["0/s", "50/s", "100/s"]
    assert texts(drawn([Line("all", [0.013, 0.02])])) == ["0/s", "0.005/s", "0.01/s", "0.015/s", "0.02/s"]
    assert texts(drawn([Line("all", [0, 1])])) == ["0/s", "0.5/s", "1/s"]
    assert texts(drawn([Line("all", [0, 1])], whole=True)) == ["0/s", "1/s"]
    assert texts(drawn([Line("all", [0, 0])])) == ["0/s", "1/s"]


def test_where_nothing_is_known_there_is_a_gap():
    [pieces] = paths(drawn([Line("all", [1, 2, None, 3, 4, float("nan"), math.inf, 5, 6])]))
    assert [len(piece) for piece in pieces] == [2, 2, 2]
    # Samples are missing: the process stood still.
    [pieces] = paths(drawn([Line("all", [1, 1, 1, 1, 1])], [0, 5, 10, 60, 65]))
    assert [len(piece) for piece in pieces] == [3, 2]


def test_a_value_that_stands_alone_is_a_point():
    svg = drawn([Line("all", [None, 2, None])])
    assert (len(paths(svg)), len(list(svg.iter(f"{SVG}circle")))) == (0, 1)
    assert len(list(drawn([Line("all", [2])]).iter(f"{SVG}circle"))) == 1


def test_a_long_line_keeps_its_peaks_and_its_newest_time():
    values = [1.0] * 1440
    values[777] = 50.0
    svg = drawn([Line("all", values)])
    [[points]] = paths(svg)
    assert len(points) <= 240
    assert texts(svg)[-1] == "60/s"
    assert min(y for _, y in points) < min(sorted(y for _, y in points)[1:])
    assert points[-1][0] == pytest.approx(WIDTH - 12)


def test_those_who_cannot_see_it_are_told_its_name_and_what_it_shows():
    svg = drawn([Line("Reads", [3, 1, 2]), Line("Writes", [None, None, None])])
    assert svg.get("role") == "img"
    named = {one.get("id"): one.text for one in svg if one.tag in (f"{SVG}title", f"{SVG}desc")}
    title, said = [named[id] for id in (svg.get("aria-labelledby") or "").split()]
    assert title == "Requests"
    assert said == "Reads: 2/s now, 1/s to 3/s. Writes: nothing is known"


def test_lines_differ_by_their_strokes_and_classes_and_are_named_in_a_legend():
    svg = drawn([Line("Reads", [1, 2]), Line("Writes", [2, 1])])
    found = [(path.get("class"), path.get("stroke-dasharray")) for path in svg.iter(f"{SVG}path")]
    assert found == [("chart-line chart-line-1", None), ("chart-line chart-line-2", "6 3")]
    [legend] = [group for group in svg.iter(f"{SVG}g") if group.get("class") == "chart-legend"]
    assert texts(legend) == ["Reads", "Writes"]
    assert [line.get("stroke-dasharray") for line in legend.iter(f"{SVG}line")] == [None, "6 3"]
    # The title names a single line.
    assert "chart-legend" not in line_chart(chart([Line("Reads", [1, 2])]))


def test_marks_stand_at_their_times_and_within_the_picture():
    svg = drawn(
        [Line("all", [1, 1, 1])],
        [100, 150, 200],
        marks=[Mark(50, "before"), Mark(100, "a"), Mark(150, "b"), Mark(200, "c"), Mark(201, "after")],
    )
    found = {one.text: one for one in svg.iter(f"{SVG}text")}
    assert [found[name].get("text-anchor") for name in "abc"] == ["start", "middle", "end"]
    assert float(found["b"].get("x", "")) == pytest.approx((float(found["a"].get("x", "")) + WIDTH - 12) / 2)
    assert not {"before", "after"} & set(found)


def test_without_samples_there_are_axes_and_words():
    svg = drawn([Line("all", [])])
    assert "all: nothing is known" in [one.text for one in svg.iter(f"{SVG}desc")]
    assert drawn([], []).get("role") == "img"


def test_lines_and_times_must_fit_together():
    with pytest.raises(ValueError, match="rates"):
        line_chart(chart([Line("all", [1, 2])], [1, 2, 3]))


def test_a_page_that_runs_from_right_to_left_does_not_turn_it_around():
    text = line_chart(chart([Line("קריאות", [1, 2]), Line("الكتابات", [2, 1])], title="בקשות"))
    assert 'direction="ltr"' in text
    assert "קריאות" in text


HOSTILE = "</desc></svg><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;"


@given(
    st.lists(st.one_of(st.none(), st.floats()), max_size=300),
    st.sampled_from([HOSTILE, "plain", "]]>", "<!--", "\u202e right"]),
    st.booleans(),
)
def test_it_is_well_formed_within_its_frame_and_holds_no_style_no_script_and_no_markup_of_others(
    values: list[float | None], text: str, whole: bool
):
    times = [1000 * number for number in range(len(values))]
    made = chart(
        [Line(text, values), Line("other", [1.0] * len(values))],
        times,
        title=text,
        marks=[Mark(0, text)],
        format=lambda value: f"{value:.3g}{text}",
        whole=whole,
    )
    written = line_chart(made)
    svg = ElementTree.fromstring(written)  # noqa: S314 - what we have just written
    assert {one.tag.removeprefix(SVG) for one in svg.iter()} <= {
        "svg", "title", "desc", "g", "line", "path", "circle", "text",
    }  # fmt: skip
    for one in svg.iter():
        assert set(one.attrib) <= ALLOWED
    assert svg.findtext(f"{SVG}title") == text
    assert not re.search(r"\b(nan|inf)\b", re.sub(r"<(title|desc|text).*?</\1>", "", written))
    for x, y in (point for line in paths(svg) for piece in line for point in piece):
        assert (0 <= x <= WIDTH, 0 <= y <= HEIGHT) == (True, True)
