"""How commands talk: answers on standard output, errors and progress on standard error."""

import json
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import msgspec
import typer

from rookery.kernel.errors import RookeryError
from rookery.logs import log_to_stderr as log_to_stderr


def say(line: str) -> None:
    """Print a line of an answer, at once."""
    print(line, flush=True)  # noqa: T201 - what people asked for goes to standard output


def answer(as_json: bool, value: Any, lines: Sequence[str]) -> None:
    """Print `lines`, or `value` as JSON."""
    if as_json:
        say(json.dumps(msgspec.to_builtins(value), ensure_ascii=False, indent=2))
    else:
        for line in lines:
            say(line)


def note(message: str) -> None:
    """Print a remark, which belongs to no answer."""
    print("note:", " ".join(message.split()), file=sys.stderr, flush=True)  # noqa: T201


def fail(message: str, code: int = 1) -> NoReturn:
    """End the program with a sentence on one line."""
    print("error:", " ".join(message.split()), file=sys.stderr)  # noqa: T201
    sys.exit(code)


def fail_by(error: Exception) -> NoReturn:
    """End the program with what `error` says to people; what was not meant for them is told with its kind."""
    message = str(error) or type(error).__name__
    if isinstance(error, RookeryError) and error.errors:
        fail("; ".join(f"{one.field}: {one.message.format(**one.params)}" for one in error.errors))
    if isinstance(error, (RookeryError, OSError)) or type(error).__module__.startswith("rookery."):
        fail(message)
    fail(f"{type(error).__name__}: {message}; ROOKERY_LOG_LEVEL=debug tells where")


def ask_secret(what: str) -> str:
    """Ask for something that nobody else may see; a line of standard input where that is no terminal."""
    if sys.stdin.isatty():
        return typer.prompt(what, hide_input=True, confirmation_prompt=True)
    return sys.stdin.readline().rstrip("\r\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns as wide as they need to be."""
    rows = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


@contextmanager
def bar(what: str, size: int | None) -> Generator[Callable[[int], None]]:
    """A progress bar over a file's bytes, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with _progress() as progress:
        task = progress.add_task(what, total=size)
        yield lambda position: progress.update(task, completed=position)


@contextmanager
def bytes_bar(what: str) -> Generator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """A progress bar over bytes whose number is not known yet: what to tell them to, and what is done. On a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None, lambda _: None
        return
    with _progress() as progress:
        task = progress.add_task(what, total=None)
        yield (
            lambda total: progress.update(task, total=total),
            lambda position: progress.update(task, completed=position),
        )


@contextmanager
def steps() -> Generator[Callable[[str, int, int], None]]:
    """A progress bar for each kind of thing that is made, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    tasks: dict[str, Any] = {}
    with _progress() as progress:

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        yield tell


def _progress() -> Any:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True))
