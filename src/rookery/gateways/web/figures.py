"""The operators' figures as people read them: numbers with their units, and charts."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final

from babel.numbers import format_percent, get_decimal_symbol, get_group_symbol
from markupsafe import Markup

from rookery.gateways.http.language import Language
from rookery.gateways.web.charts import Chart, Line, Mark, line_chart
from rookery.gateways.web.rendering import locale_of
from rookery.kernel.clock import HOUR, MINUTE, Millis
from rookery.services.ops.contract import Sample, Span

Format = Callable[[float], str]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


class Figures:
    """Says figures in one language."""

    def __init__(self, language: Language) -> None:
        self._tag = language.tag
        self._symbols = _symbols(language.tag)
        self.gettext = language.catalog.gettext
        self.ngettext = language.catalog.ngettext

    def number(self, value: float) -> str:
        """A number with as many digits as matter."""
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
        said = f"{value:,.{digits}f}"
        return (said.rstrip("0").rstrip(".") if digits else said).translate(self._symbols)

    def rate(self, value: float) -> str:
        """How often in a second."""
        return self.gettext("%(number)s/s") % {"number": self.number(value)}

    def bytes(self, value: float) -> str:
        """Bytes, in the unit in which they are a short number."""
        size = 0
        while value >= 1024 and size < len(_UNITS) - 1:
            value, size = value / 1024, size + 1
        return f"{self.number(value)}\N{NO-BREAK SPACE}{_UNITS[size]}"

    def seconds(self, value: float) -> str:
        """A short time."""
        if value < 1:
            return self.gettext("%(number)s ms") % {"number": self.number(value * 1000)}
        return self.gettext("%(number)s s") % {"number": self.number(value)}

    def part(self, value: float) -> str:
        """A part of the whole."""
        return _percent(round(value, 3), self._tag)

    def long(self, seconds: float) -> str:
        """A long time, in the largest unit of which there are two."""
        whole, ngettext = int(seconds), self.ngettext
        if whole >= 2 * 86_400:
            number, said = whole // 86_400, ngettext("%(num)s day", "%(num)s days", whole // 86_400)
        elif whole >= 2 * 3_600:
            number, said = whole // 3_600, ngettext("%(num)s hour", "%(num)s hours", whole // 3_600)
        elif whole >= 120:
            number, said = whole // 60, ngettext("%(num)s minute", "%(num)s minutes", whole // 60)
        else:
            number, said = whole, ngettext("%(num)s second", "%(num)s seconds", whole)
        return said % {"num": number}

    def charts(self, samples: Sequence[Sample], span: Span, now: Millis) -> list[tuple[str, Markup]]:
        """All charts of these samples, with their titles. Of what is not known at all there is none."""
        gettext = self.gettext
        draw = partial(self._chart, samples, self._marks(span, now, samples))
        caches = sorted({name for one in samples for name in one.ratios})
        found = [
            draw(
                "requests",
                gettext("Requests"),
                self.rate,
                [
                    (gettext("Reads"), [one.reads for one in samples]),
                    (gettext("Writes"), [one.writes for one in samples]),
                    (gettext("Failed"), [one.errors for one in samples]),
                ],
            ),
            draw(
                "times",
                gettext("Time of answers"),
                self.seconds,
                [
                    (gettext("Half of them"), [one.p50 for one in samples]),
                    (gettext("99 of 100"), [one.p99 for one in samples]),
                ],
            ),
            draw("tweets", gettext("Tweets"), self.rate, [(gettext("Tweets"), [one.tweets for one in samples])]),
            draw(
                "deliveries",
                gettext("Deliveries into home timelines"),
                self.rate,
                [(gettext("Deliveries"), [one.deliveries for one in samples])],
            ),
            draw(
                "lag",
                gettext("Events that wait for the slowest group"),
                self.number,
                [(gettext("Events"), [one.lag for one in samples])],
                whole=True,
            ),
            draw(
                "caches",
                gettext("Looks into caches that found something"),
                self.part,
                [(self.cache(name), [one.ratios.get(name) for one in samples]) for name in caches],
            ),
            draw(
                "connections",
                gettext("Connections"),
                self.number,
                [(gettext("Connections"), [one.connections for one in samples])],
                whole=True,
            ),
            draw(
                "memory",
                gettext("Memory"),
                self.bytes,
                [(gettext("Memory"), [one.memory for one in samples])],
                binary=True,
            ),
        ]
        if any(one.online is not None for one in samples):
            people = (gettext("People online"), [one.online for one in samples])
            found.insert(0, draw("online", people[0], self.number, [people], whole=True))
        if any(one.database for one in samples):
            database = (gettext("Database"), [one.database or None for one in samples])
            found.append(draw("database", database[0], self.bytes, [database], binary=True))
        return found

    def cache(self, name: str) -> str:
        """What a cache holds."""
        gettext = self.gettext
        known = {"users": gettext("Accounts"), "tweets": gettext("Tweets"), "fragments": gettext("Tweets as JSON")}
        return known.get(name, name)

    def _chart(
        self,
        samples: Sequence[Sample],
        marks: Sequence[Mark],
        name: str,
        title: str,
        say: Format,
        lines: Sequence[tuple[str, Sequence[float | None]]],
        *,
        whole: bool = False,
        binary: bool = False,
    ) -> tuple[str, Markup]:
        drawn = line_chart(
            Chart(
                id=f"chart-{name}",
                title=title,
                times=[one.at for one in samples],
                lines=[Line(label, values) for label, values in lines],
                marks=marks,
                format=say,
                summary=self._summary,
                unknown=self.gettext("nothing is known yet."),
                whole=whole,
                binary=binary,
            )
        )
        # The chart escapes what it is given.
        return title, Markup(drawn)  # noqa: S704

    def _summary(self, label: str, newest: str, lowest: str, highest: str) -> str:
        said = self.gettext("%(label)s: %(newest)s at the end, %(lowest)s to %(highest)s before.")
        return said % {"label": label, "newest": newest, "lowest": lowest, "highest": highest}

    def _marks(self, span: Span, now: Millis, samples: Sequence[Sample]) -> list[Mark]:
        """Names of moments."""
        if span is Span.DAY:
            steps = [(hours * HOUR, hours) for hours in (23, 18, 12, 6)]
            said = [
                (back, self.ngettext("%(num)s hour ago", "%(num)s hours ago", number) % {"num": number})
                for back, number in steps
            ]
        else:
            steps = [(minutes * MINUTE, minutes) for minutes in (9, 6, 3)]
            said = [
                (back, self.ngettext("%(num)s minute ago", "%(num)s minutes ago", number) % {"num": number})
                for back, number in steps
            ]
        newest = [Mark(samples[-1].at, self.gettext("now"))] if samples else []
        return [*(Mark(now - back, label) for back, label in said), *newest]


@lru_cache(maxsize=64)
def _symbols(tag: str) -> dict[int, str]:
    """What a language writes in the place of the decimal point and of the comma between thousands."""
    locale = locale_of(tag)
    return {ord("."): get_decimal_symbol(locale), ord(","): get_group_symbol(locale)}


@lru_cache(maxsize=4096)
def _percent(value: float, tag: str) -> str:
    return format_percent(value, "#,##0.#%", locale=locale_of(tag))
