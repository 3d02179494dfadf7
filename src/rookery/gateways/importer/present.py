"""What an import says to people when it is done."""

from rookery.gateways.importer.archivefile import ArchiveReport
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
    ]
    if report.columns:
        lines.append("columns: " + ", ".join(f"{column} is {field}" for field, column in report.columns.items()))
    what = "line"
    if (extras := report.extras) is not None:
        what = "item"
        if extras.retweets:
            lines.append(f"{_count(extras.retweets, 'retweet')} kept as the texts that they are in the archive")
        if extras.retweets_connected or extras.retweets_left:
            lines.append(
                f"{_count(extras.retweets_connected, 'retweet')} of what is here, "
                f"{extras.retweets_left:,} of what is not left out"
            )
        if extras.media_left:
            lines.append(f"{_count(extras.media_left, 'media file')} left in the archive")
    return lines + _found(report.findings, what) + _interrupted(report.interrupted, report.line, what)


def archive_lines(report: ArchiveReport) -> list[str]:
    """The report on an archive of Rookery's, in lines of text."""
    made = " (the account was made)" if report.account_made else ""
    lines = [f"{report.file}: everything of @{report.handle}{made}"]
    if report.profile_left_out:
        lines.append(f"  of the profile {', '.join(report.profile_left_out)} could not be taken")
    tweets = report.tweets
    lines.append(
        f"  {_count(tweets.read, 'tweet')} read: {tweets.added:,} added, {tweets.read - tweets.added:,} there already"
    )
    if report.connected:
        lines.append(f"  {_count(report.connected, 'tweet')} connected with what came since")
    if tweets.not_here:
        lines.append(f"  {_count(tweets.not_here, 'tweet')} without what is answered or quoted, which is not here")
    for what, tally in {**report.marks, **report.people, **report.choices, "drafts": report.drafts}.items():
        if tally.read:
            gone = f", {tally.not_here:,} left out, as what they are about is not here" if tally.not_here else ""
            lines.append(f"  {what}: {tally.read:,} read, {tally.added:,} added{gone}")
    if report.bad:
        lines.append(f"  {_count(report.bad, 'line')} left out:")
        lines += [f"    {bad.file}, line {bad.line}: {bad.reason}" for bad in report.first_bad]
        if more := report.bad - len(report.first_bad):
            lines.append(f"    and {more:,} more")
    if report.interrupted:
        lines.append("  interrupted; the same command goes on from there, and adds nothing twice")
    return lines


def _found(findings: Findings, what: str = "line") -> list[str]:
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
        lines.append(f"{_count(findings.bad, what)} left out:")
        lines += [f"  {what} {bad.line}: {bad.reason}" for bad in findings.first_bad]
        if more := findings.bad - len(findings.first_bad):
            lines.append(f"  and {more:,} more")
    return lines


def _interrupted(interrupted: bool, line: int, what: str = "line") -> list[str]:
    if not interrupted:
        return []
    return [f"interrupted after {what} {line:,}; the same command goes on from there, and adds nothing twice"]


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
