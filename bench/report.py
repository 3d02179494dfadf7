"""Rows of figures, as a table for people and as JSON for programs."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table

from bench.accounts import Shares
from bench.machine import Machine

RESULTS = Path(__file__).parent / "results"


class Row(msgspec.Struct, frozen=True):
    """One figure, measured in several rounds."""

    what: str
    unit: str
    values: list[float]
    target: float | None = None
    """What the design wants; None where it names none."""
    at_most: bool = False
    """Whether smaller is better."""
    note: str = ""
    shares: Shares | None = None
    """Who used the processors, as the median of the rounds; None where that says nothing."""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the target; None without one."""
        if self.target is None:
            return None
        return self.median <= self.target if self.at_most else self.median >= self.target


class Series(msgspec.Struct, frozen=True):
    """Figures in the order of time, or of size."""

    title: str
    columns: list[str]
    rows: list[list[float]]


class Result(msgspec.Struct, frozen=True):
    """What one benchmark found."""

    name: str
    summary: str
    """What was measured, in a sentence or two, with its sizes."""
    rows: list[Row]
    series: list[Series] = []


def plain(number: float) -> str:
    """A figure with three or more digits that mean something."""
    if number and abs(number) < 10 and number != int(number):
        return f"{number:.2f}"
    return f"{number:.1f}" if abs(number) < 100 and number != int(number) else f"{number:,.0f}"


def show(result: Result) -> None:
    """Print the benchmark's table, and its series below."""
    # Wide, so that a table that goes into a file is not folded to the width of no terminal.
    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table(title=f"{result.name}: {result.summary}", title_justify="left", title_style="bold")
    table.add_column("what", overflow="fold")
    for heading in ("min", "median", "max", "target"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for heading in ("server cores", "its loop", "load's cores", "other cores", "CPU µs each"):
        table.add_column(heading, justify="right")
    table.add_column("", overflow="fold")
    for row in result.rows:
        table.add_row(*_cells(row))
    console.print(table)
    for series in result.series:
        table = Table(title=series.title, title_justify="left")
        for heading in series.columns:
            table.add_column(heading, justify="right")
        for figures in series.rows:
            table.add_row(*map(plain, figures))
        console.print(table)


def show_targets(results: Sequence[Result]) -> None:
    """Print every row that has a target, of all benchmarks together."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table(title="targets", title_justify="left", title_style="bold")
    table.add_column("what", overflow="fold")
    for heading in ("target", "median", "min", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("")
    for result in results:
        for row in result.rows:
            if row.target is not None:
                what, low, middle, high, target, unit, *_ = _cells(row)
                verdict = "reached" if row.reached else "BELOW TARGET"
                table.add_row(f"{result.name}: {what}", target, middle, low, high, unit, verdict)
    if table.row_count:
        console.print(table)


def _cells(row: Row) -> list[str]:
    target = "" if row.target is None else f"{'≤' if row.at_most else '≥'} {plain(row.target)}"
    verdict = {None: "", True: "reached", False: "below target"}[row.reached]
    used = row.shares
    return [
        row.what,
        plain(min(row.values)),
        plain(row.median),
        plain(max(row.values)),
        target,
        row.unit,
        *(
            ["", "", "", "", ""]
            if used is None
            else map(plain, (used.server, used.loop, used.load, used.other, used.micros))
        ),
        "; ".join(part for part in (verdict, row.note) if part),
    ]


def keep(result: Result, machine: Machine, command: str, folder: Path = RESULTS) -> Path:
    """Append the result to the benchmark's file, one run a line; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.name}.jsonl"
    with path.open("a") as file:
        file.write(json.dumps(as_json([result], machine, command)) + "\n")
    return path


def as_json(results: Sequence[Result], machine: Machine, command: str) -> dict[str, object]:
    """Results with the facts that they belong to."""
    return {
        "command": command,
        "machine": msgspec.to_builtins(machine),
        "results": [
            {
                **msgspec.to_builtins(result),
                "rows": [
                    {**msgspec.to_builtins(row), "median": row.median, "reached": row.reached} for row in result.rows
                ],
            }
            for result in results
        ],
    }
