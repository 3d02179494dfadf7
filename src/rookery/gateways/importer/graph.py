"""Importing a follow graph: edges become people and follows, batch by batch."""

import re
from asyncio import Event
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Final

import msgspec

from rookery.gateways.importer.ahead import ahead
from rookery.gateways.importer.findings import Findings
from rookery.gateways.importer.source import Source
from rookery.services.graph.contract import Graph
from rookery.services.users.contract import NewPerson, Users

_BATCH: Final = 20_000
"""Edges that are added in one go; what is added stays, whatever happens afterwards."""
_DIGITS: Final = 14
"""Of an id: `u` and so many make the longest handle."""
_SHOWN: Final = 40

# White space, commas, semicolons, quotes and whatever else people put between two names; an arrow, but no minus sign.
_BETWEEN: Final = r"""(?:[\s,;:|/"'`()\[\]{}<>=]|->)"""
_EDGE: Final = re.compile(rf"{_BETWEEN}*+([0-9]+){_BETWEEN}++([0-9]+){_BETWEEN}*+")
_NAMED_EDGE: Final = re.compile(rf"{_BETWEEN}*+@?([A-Za-z0-9_]+){_BETWEEN}++@?([A-Za-z0-9_]+){_BETWEEN}*+")
_LONGEST_HANDLE: Final = 15


class Edge(msgspec.Struct, frozen=True):
    """A line of a follow graph. The ends are handles."""

    line: int
    follower: str
    followee: str


class GraphReport(msgspec.Struct):
    """What an import of a follow graph did."""

    file: str
    findings: Findings
    follows: int = 0
    """Lines that say who follows whom."""
    added: int = 0
    already_there: int = 0
    """Follows that were there before, or that the file says again; a block between two people counts, too."""
    self_follows: int = 0
    """Left out: nobody follows themselves."""
    people_made: int = 0
    line: int = 0
    """The last line that was dealt with."""
    interrupted: bool = False


def edge_batches(source: Source, findings: Findings, *, handles: bool) -> Iterator[list[Edge]]:
    """The edges in the file's order, some thousands at a time: numbers, whose people are `u<number>`, or handles."""
    batch: list[Edge] = []
    form, what = (_NAMED_EDGE, "two handles") if handles else (_EDGE, "two numbers")
    for text in source.lines():
        if "#" in text:
            text = text[: text.index("#")]
        found = form.fullmatch(text)
        if found is None:
            if not text.isspace() and text:
                shown = text.strip()
                shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
                findings.leave_out(source.line, f"not {what}: {shown!r}")
            continue
        follower, followee = found.groups()
        if handles:
            if len(follower) > _LONGEST_HANDLE or len(followee) > _LONGEST_HANDLE:
                findings.leave_out(source.line, f"a handle has at most {_LONGEST_HANDLE} characters")
                continue
        else:
            # 007 and 7 are one number.
            follower, followee = follower.lstrip("0") or "0", followee.lstrip("0") or "0"
            if len(follower) > _DIGITS or len(followee) > _DIGITS:
                findings.leave_out(source.line, f"a number has at most {_DIGITS} digits")
                continue
            follower, followee = "u" + follower, "u" + followee
        batch.append(Edge(source.line, follower, followee))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def import_graph(
    batches: Iterator[list[Edge]],
    report: GraphReport,
    source: Source,
    users: Users,
    graph: Graph,
    *,
    progress: Callable[[int], None],
    stop: Event,
) -> None:
    """Add the follows, and the people who are not there yet; `report` tells what came of it, at every moment.

    `progress` is told the bytes read so far. Once `stop` is set, no other batch is begun. Raises Rookery's errors where the
    store fails; the batches before stay.
    """
    ids: dict[str, int] = {}
    async with aclosing(ahead(batches, stop)) as coming:
        async for batch in coming:
            unknown = {
                handle.lower(): NewPerson(handle)
                for edge in batch
                for handle in (edge.follower, edge.followee)
                if handle not in ids
            }
            if unknown:
                report.people_made += len(unknown) - len(await users.by_handles(list(unknown)))
                made = await users.import_people(list(unknown.values()))
                # As they are written in the file, too, so that the next batch finds them without lowering every handle.
                for edge in batch:
                    for handle in (edge.follower, edge.followee):
                        if handle not in ids:
                            ids[handle] = made[handle.lower()]
            pairs = {(ids[edge.follower], ids[edge.followee]): None for edge in batch}
            others = [pair for pair in pairs if pair[0] != pair[1]]
            added = await graph.import_follows(others)
            alone = sum(1 for edge in batch if ids[edge.follower] == ids[edge.followee])
            report.follows += len(batch)
            report.self_follows += alone
            report.added += added
            report.already_there += len(batch) - alone - added
            report.line = batch[-1].line
            progress(source.position)
    report.interrupted = stop.is_set()
