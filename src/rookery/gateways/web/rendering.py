"""Templates, and what they may use."""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any, Final

from babel.core import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_compact_decimal
from jinja2 import BytecodeCache, Environment, FileSystemLoader, pass_context
from jinja2.bccache import Bucket
from jinja2.runtime import Context
from markupsafe import Markup

from rookery.gateways.http.language import Language
from rookery.gateways.web.static import StaticFiles
from rookery.gateways.web.texts import linked
from rookery.gateways.web.visits import Reply, Visit
from rookery.kernel.clock import DAY, HOUR, MINUTE, SECOND, Millis, to_datetime
from rookery.kernel.errors import RookeryError
from rookery.services.tweets.contract import BOOKMARKED, FAVORITED, RETWEETED, TweetRecord

TEMPLATES: Final = Path(__file__).parent / "templates"
STATIC: Final = Path(__file__).parent / "static"

_HUES: Final = 12
_WEEK: Final = 7 * DAY

_compiled: Final[dict[str, bytes]] = {}


class _Compiled(BytecodeCache):
    """Keeps what templates were compiled to, for all renderers of the process."""

    def load_bytecode(self, bucket: Bucket) -> None:
        if (code := _compiled.get(bucket.key + bucket.checksum)) is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        _compiled[bucket.key + bucket.checksum] = bucket.bytecode_to_string()


Unread = Callable[[int], Awaitable[int]]
"""How many notifications wait for somebody."""


class Renderer:
    """Makes pages of templates."""

    def __init__(
        self,
        static: StaticFiles,
        *,
        name: str,
        languages: Mapping[str, str],
        unread: Unread | None = None,
        waiting: Unread | None = None,
    ) -> None:
        """`name` is the network's; `languages` are those that can be chosen, by tag, as they call themselves; `waiting` tells how
        many ask to follow somebody.
        """
        self._unread = unread
        self._waiting = waiting
        env: Any = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            auto_reload=False,
            bytecode_cache=_Compiled(),
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        )
        env.install_gettext_callables(_gettext, _ngettext, newstyle=True)
        env.filters.update(
            when=_when, moment=_moment, date=_date, compact=_compact, linked=_linked, hue=hue, initial=initial, iso=iso
        )
        self._environment: Environment = env
        self._said: dict[str, Markup] = {}
        env.globals.update(
            static=static.url,
            site=name,
            languages=languages,
            csrf=_csrf,
            sentence=_sentence,
            plurals=plural_samples,
            words=self._words,
            FAVORITED=FAVORITED,
            RETWEETED=RETWEETED,
            BOOKMARKED=BOOKMARKED,
        )

    def load(self) -> None:
        """Compile every template, which takes most of a second: in a thread of its own nobody waits for it. What is asked for
        meanwhile is compiled where it is asked for.
        """
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    async def page(
        self,
        visit: Visit,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> Reply:
        """A whole page, of what `context` has."""
        unread = 0
        if self._unread is not None and visit.identity is not None and not visit.fragment:
            unread = await self._unread(visit.identity.user_id)
        waiting = 0
        if self._waiting is not None and visit.me is not None and visit.me.protected and not visit.fragment:
            waiting = await self._waiting(visit.me.id)
        shown = {**context, "unread": unread, "waiting": waiting}
        return Reply(self._render(visit, template, shown), status, headers or {})

    def piece(self, visit: Visit, template: str, *, status: int = 200, **context: Any) -> Reply:
        """A piece of a page, for a script."""
        return Reply(self._render(visit, template, context), status)

    async def error(self, visit: Visit, error: RookeryError, request_id: str = "") -> Reply:
        """The page of an error, or for a script its sentence."""
        headers = {} if error.retry_after is None else {"Retry-After": str(ceil(error.retry_after))}
        if visit.fragment:
            sentence = visit.language.sentence(error.message, error.params)
            return Reply(sentence.encode(), error.status, headers, "text/plain; charset=utf-8")
        return await self.page(
            visit, "error.html", status=error.status, headers=headers, error=error, request_id=request_id
        )

    def _words(self, language: Language) -> Markup:
        """What scripts say, for the end of each page: the same for all pages of a language."""
        if (found := self._said.get(language.tag)) is None:
            found = Markup(self._environment.get_template("pieces/words.html").render(language=language))  # noqa: S704 - ours
            self._said[language.tag] = found
        return found

    def _render(self, visit: Visit, template: str, context: Mapping[str, Any]) -> bytes:
        found = self._environment.get_template(template)
        return found.render(
            context, visit=visit, me=visit.me, language=visit.language, now=visit.now, path=visit.path
        ).encode()


def hue(user_id: int) -> int:
    """The colour, of twelve, of somebody without a picture."""
    return user_id % _HUES


def initial(name: str) -> str:
    """The letter that stands for somebody without a picture; names may begin with what cannot be seen."""
    return next((char for char in name if char.isalnum()), name[:1]).upper()


def iso(moment: Millis) -> str:
    """`moment` as programs read it."""
    return to_datetime(moment).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


@lru_cache(maxsize=64)
def plural_samples(tag: str) -> Mapping[str, int]:
    """A number for each plural form of a language, by the form's name in CLDR."""
    form = locale_of(tag).plural_form
    return {form(number): number for number in range(200, -1, -1)}


@pass_context
def _gettext(context: Context, message: str) -> str:
    language: Language = context["language"]
    return language.catalog.gettext(message)


@pass_context
def _ngettext(context: Context, one: str, many: str, number: int) -> str:
    language: Language = context["language"]
    return language.catalog.ngettext(one, many, number)


@pass_context
def _csrf(context: Context) -> Markup:
    """The hidden field that every form has."""
    visit: Visit = context["visit"]
    return Markup('<input type="hidden" name="csrf" value="{}">').format(visit.csrf)


@pass_context
def _sentence(context: Context, error: Any) -> str:
    """An error, or what is wrong with a field, in the reader's words."""
    language: Language = context["language"]
    return language.sentence(error.message, error.params)


@pass_context
def _compact(context: Context, number: int) -> str:
    language: Language = context["language"]
    return _compacted(number, language.tag)


@pass_context
def _when(context: Context, moment: Millis) -> Markup:
    """A moment as a `time` element: short, exact on a longer look. Scripts put it into the reader's own time zone."""
    language: Language = context["language"]
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        iso(moment), _written(moment // MINUTE, language.tag), _short(moment, context["now"], language)
    )


@pass_context
def _moment(context: Context, moment: Millis) -> Markup:
    """A moment with its date and time of day."""
    language: Language = context["language"]
    return Markup('<time datetime="{}" data-exact>{}</time>').format(
        iso(moment), _written(moment // MINUTE, language.tag)
    )


@pass_context
def _date(context: Context, moment: Millis) -> Markup:
    """The day of a moment."""
    language: Language = context["language"]
    date = format_date(to_datetime(moment), "long", locale=locale_of(language.tag))
    return Markup('<time datetime="{}">{}</time>').format(iso(moment)[:10], date)


def _linked(record: TweetRecord) -> Markup:
    return linked(record.content, record.entities, record.mentions)


def _short(moment: Millis, now: Millis, language: Language) -> str:
    gone = max(0, now - moment)
    gettext = language.catalog.gettext
    if gone < MINUTE:
        return gettext("%(n)ss") % {"n": gone // SECOND}
    if gone < HOUR:
        return gettext("%(n)sm") % {"n": gone // MINUTE}
    if gone < DAY:
        return gettext("%(n)sh") % {"n": gone // HOUR}
    if gone < _WEEK:
        return gettext("%(n)sd") % {"n": gone // DAY}
    return _day(moment // DAY, now // DAY, language.tag)


@lru_cache(maxsize=4096)
def _compacted(number: int, tag: str) -> str:
    return format_compact_decimal(number, locale=locale_of(tag), fraction_digits=1 if number < 100_000 else 0)


@lru_cache(maxsize=4096)
def _day(day: int, today: int, tag: str) -> str:
    date = to_datetime(day * DAY)
    return format_date(date, "medium" if today - day > 300 else "d MMM", locale=locale_of(tag))


@lru_cache(maxsize=16384)
def _written(minute: int, tag: str) -> str:
    at, locale = to_datetime(minute * MINUTE), locale_of(tag)
    return f"{format_date(at, 'medium', locale=locale)}, {format_time(at, 'short', locale=locale)} UTC"


@lru_cache(maxsize=64)
def locale_of(tag: str) -> Locale:
    """What Babel knows of a language."""
    return Locale.parse(tag, sep="-")
