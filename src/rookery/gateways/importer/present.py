"""What an import says to people when it is done."""

from rookery.gateways.importer.findings import Findings
from rookery.gateways.importer.graph import GraphReport
from rookery.gateways.importer.tweets import TweetsReport


def graph_lines(report: GraphReport) -> list[str]:
    """The report on a follow graph, in lines of text."""
    lines = [
        f"{report.file}: {_count(report.follows, 'follow')} read: {report.added:,} added, "
        f"{report.already_there:,} there already or repeated, {report.self_follows:,} of people by themselves left out",
        f"{_count(report.people_made, 'person', 'people')} made",
    ]
    return lines + _found(report.findings) + _interrupted(report.interrupted, report.line)


def tweets_lines(report: TweetsReport) -> list[str]:
    """The report on a file of tweets, in lines of text."""
    lines = [
        f"{report.file}: {_count(report.rows, 'tweet')} read: {report.added:,} added, {report.already_there:,} there already",
        f"{_count(report.people_made, 'person', 'people')} made",
        "columns: " + ", ".join(f"{column} is {field}" for field, column in report.columns.items()),
    ]
    return lines + _found(report.findings) + _interrupted(report.interrupted, report.line)


def _found(findings: Findings) -> list[str]:
    lines: list[str] = []
    if findings.undecodable:
        named = ", ".join(map(str, findings.first_undecodable))
        more = findings.undecodable_lines - len(findings.first_undecodable)
        lines.append(
            f"bytes that do not fit the encoding, in {_count(findings.undecodable, 'place')} "
            f"of {_count(findings.undecodable_lines, 'line')}, became U+FFFD: "
            f"{'line' if findings.undecodable_lines == 1 else 'lines'} {named}{f' and {more:,} more' if more else ''}"
        )
    if findings.bad:
        lines.append(f"{_count(findings.bad, 'line')} left out:")
        lines += [f"  line {bad.line}: {bad.reason}" for bad in findings.first_bad]
        if more := findings.bad - len(findings.first_bad):
            lines.append(f"  and {more:,} more")
    return lines


def _interrupted(interrupted: bool, line: int) -> list[str]:
    if not interrupted:
        return []
    return [f"interrupted after line {line:,}; the same command goes on from there, and adds nothing twice"]


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
