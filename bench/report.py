"""Rows of figures, as a table for people and as JSON for programs."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table

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

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the target; None without one."""
        if self.target is None:
            return None
        return self.median <= self.target if self.at_most else self.median >= self.target


class Result(msgspec.Struct, frozen=True):
    """What one benchmark found."""

    name: str
    summary: str
    """What was measured, in a sentence or two, with its sizes."""
    rows: list[Row]


def plain(number: float) -> str:
    """A figure with three or more digits that mean something."""
    if number and abs(number) < 10:
        return f"{number:.2f}"
    return f"{number:.1f}" if abs(number) < 100 else f"{number:,.0f}"


def show(result: Result) -> None:
    """Print the benchmark's table."""
    table = Table(title=f"{result.name}: {result.summary}", title_justify="left", title_style="bold")
    table.add_column("what")
    for heading in ("min", "median", "max", "target"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    table.add_column("")
    for row in result.rows:
        target = "" if row.target is None else f"{'≤' if row.at_most else '≥'} {plain(row.target)}"
        verdict = {None: "", True: "reached", False: "below target"}[row.reached]
        table.add_row(
            row.what,
            plain(min(row.values)),
            plain(row.median),
            plain(max(row.values)),
            target,
            row.unit,
            "; ".join(part for part in (verdict, row.note) if part),
        )
    # Wide, so that a table that goes into a file is not folded to the width of no terminal.
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table)


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
