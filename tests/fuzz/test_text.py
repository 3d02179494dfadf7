"""The rules of text, for every text: what they find lies in it, and costs no more than its length."""

import json
import sys
import unicodedata
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rookery.gateways.importer.text import blank, clean
from rookery.gateways.rest import parsing, shapes
from rookery.kernel import text as t
from rookery.kernel.errors import Invalid, RookeryError
from rookery.services.tweets.contract import NewTweet
from rookery.services.tweets.rules import checked, imported_content, media_url_flaw, type_of
from rookery.services.users import rules
from tests.fuzz.cases import TEXT, attempt, cases, share

TESTS = 7
COUNT = share(TEXT, TESTS)

PIECES = st.sampled_from(
    [
        "@",
        "#",
        "$",
        ".",
        "/",
        ":",
        "://",
        "http://",
        "https://",
        "t.co",
        "com",
        "co.uk",
        "jp",
        "xn--",
        "xn--p1ai",
        "rt",
        "RT",
        "_",
        "-",
        "(",
        ")",
        "?",
        "&",
        "=",
        "%",
        "'",
        '"',
        "!",
        "*",
        "~",
        "|",
        ";",
        "＠",
        "＃",
        "。",
        "．",
        "日本",
        "中国",
        "рф",
        "é",
        "ı",
        "İ",
        "ß",
        "ﬁ",
        "́",
        "ͅ",
        "️",
        "⃣",
        "\u200d",
        "\u200c",
        "👨",
        "🏽",
        "🇩",
        "🏴",
        "\U000e0067",
        "\U000e007f",
        "\ufeff",
        "\ufffe",
        "\u202a",
        "\u2066",
        "\xad",
        "⠀",
        "ㅤ",
        "\x00",
        "\x85",
        "\x7f",
        "ab",
        "1",
        "Ⅷ",
        "٣",
        "a.com",
        "\uff20ann.com",
        "日本\uff20a.jp",
        "\uff03tag.com",
        "@ann",
        "#tag",
        "$ABC",
    ]
) | st.sampled_from(["\n", "\r", "\r\n", " ", "\t", "\u2028", "\u3000"])
CHARS = st.characters(codec=None, exclude_categories=())
TEXTS = (
    st.lists(PIECES | st.text(CHARS, max_size=3), max_size=40).map("".join)
    | st.text(CHARS, max_size=80)
    # One thing over and over, with something before and behind.
    | st.tuples(PIECES, st.lists(PIECES, min_size=1, max_size=3), st.integers(1, 200), PIECES).map(
        lambda one: one[0] + "".join(one[1]) * one[2] + one[3]
    )
)


@cases(COUNT, "entities", shrink=True)
@given(TEXTS)
def test_entities_lie_in_the_text_in_order_and_apart(text: str) -> None:
    found = t.entities(text)
    every: list[Any] = [*found.mentions, *found.urls, *found.hashtags, *found.cashtags]
    for one in every:
        assert 0 <= one.start < one.end <= len(text)
    every.sort(key=lambda one: one.start)
    assert all(a.end <= b.start for a, b in pairwise(every)), "two overlap"
    for m in found.mentions:
        assert text[m.start : m.end] in {
            f"{sign}{m.handle}{'/' if m.list_slug else ''}{m.list_slug}" for sign in "@\uff20"
        }
        assert m.handle.isascii()
        assert len(m.handle) <= 20
    for h in found.hashtags:
        assert text[h.start + 1 : h.end] == h.tag
        assert h.key == t.hashtag_key(h.tag) != ""
    for u in found.urls:
        assert text[u.start : u.end] == u.url
        assert "." in u.url
        assert not set(u.url) & set(" \n\t\r")
    for c in found.cashtags:
        assert text[c.start : c.end] == f"${c.symbol}"
    for kind in (found.mentions, found.urls, found.hashtags, found.cashtags):
        assert list(kind) == sorted(kind, key=lambda one: one.start)


@cases(COUNT, "entities beside", shrink=True)
@given(TEXTS, TEXTS)
def test_a_line_of_its_own_changes_no_entity_of_the_text_above(text: str, more: str) -> None:
    """White space parts entities: what stands before a line end is what it is without what follows."""
    alone, both = t.entities(text + "\n"), t.entities(f"{text}\n\n{more}")
    for name in ("mentions", "urls", "hashtags", "cashtags"):
        above = [one for one in getattr(both, name) if one.start < len(text)]
        assert above == list(getattr(alone, name)), name


@cases(COUNT, "weigh", shrink=True)
@given(TEXTS, TEXTS, st.integers(0, 300))
def test_weights_add_up(text: str, more: str, plain: int) -> None:
    weight = t.weigh(text)
    urls = t.entities(text).urls
    assert weight == t.weigh(text, urls) == t.weigh(unicodedata.normalize("NFC", text))
    assert 0 <= weight.length <= 2 * len(unicodedata.normalize("NFC", text)) + 23 * len(urls)
    assert (weight.length == 0) == (text == "")
    assert not weight.valid or weight.length <= t.LIMIT
    # Between line ends nothing joins with anything: not into a URL, not into an emoji, not by composition.
    assert t.weigh(f"{text}\n{more}").length == t.weigh(f"{text}\n").length + t.weigh(f"\n{more}").length - 1
    assert t.weigh(f"{text}\n{'a ' * plain}").length == t.weigh(f"{text}\n").length + 2 * plain


@cases(COUNT, "flaw", shrink=True)
@given(TEXTS)
def test_a_text_without_a_flaw_can_be_kept_and_shown(text: str) -> None:
    kept = t.normal(text)
    assert t.normal(kept) == kept
    assert "\r" not in kept
    flaw = t.flaw(kept)
    if flaw is None:
        assert t.weigh(kept).valid
        assert kept.encode().decode() == kept
        assert any(not char.isspace() for char in kept)
        assert not any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\t\n" for char in kept)
    assert t.flaw(kept, urls=t.entities(kept).urls) == flaw
    assert t.flaw(kept, limit=10**9) in (flaw, None)
    assert (flaw == "too_long") == (t.flaw(kept, limit=10**9) is None and t.weigh(kept).length > t.LIMIT)


@cases(COUNT, "hashtag_key", shrink=True)
@given(TEXTS)
def test_spellings_of_a_hashtag_meet(text: str) -> None:
    key = t.hashtag_key(text)
    assert t.hashtag_key(key) == key
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert t.hashtag_key(unicodedata.normalize(form, text)) == key, form
    if text.isascii():
        assert t.hashtag_key(text.upper()) == key
    for judge in (t.is_handle, t.is_hashtag, t.is_list, t.is_url):
        assert judge(text) in (True, False)
    assert t.is_url(text) <= t.is_url(text, protocol=False)
    handle = t.reply_handle(text)
    assert (
        handle is None
        or any(m.handle == handle for m in t.entities(text.lstrip() if handle else text).mentions)
        or handle in text
    )


@cases(COUNT, "rules", shrink=True)
@given(TEXTS, TEXTS, TEXTS)
def test_what_the_services_take_of_a_text_is_clean(text: str, url: str, lang: str) -> None:
    for media_url in (None, url, f"http://a.b/{url}", f"https://{url}/x.mp4"):
        taken, _ = attempt(lambda url=media_url: checked(NewTweet(text, media_url=url)), Invalid)
        if taken is None:
            continue
        content, found = taken
        assert t.flaw(content) is None
        type_of(media_url, found)
        if media_url is not None:
            assert media_url_flaw(media_url) is None
            assert media_url.isprintable() or not media_url.isascii()
    kept = imported_content(text)
    assert t.flaw(kept, limit=10**9) in (None, "empty")
    assert t.flaw(t.normal(clean(text)), limit=10**9) in (None, "empty")
    assert blank(clean(text)) in (True, False)
    profile = {name: rules.tidy(name, text) for name in ("name", "bio", "location", "handle", "email", "country")}
    profile |= {"avatar_url": url, "date_of_birth": lang}
    for one in rules.flaws(profile, 1_767_225_600_000):
        assert one.field in profile
        assert one.message.format(**one.params)
    rules.login_key(text)
    rules.address_key(text)
    rules.password_flaw(rules.normal_password(text), "password")


@cases(COUNT, "json", shrink=True)
@given(TEXTS)
def test_a_text_comes_through_json_as_it_is_or_is_refused(text: str) -> None:
    for raw in (
        json.dumps({"content": text}).encode(),
        json.dumps({"content": text}, ensure_ascii=False).encode("utf-8", "surrogatepass"),
    ):
        read, error = attempt(lambda raw=raw: parsing.body(raw, shapes.NewTweet), RookeryError)
        if read is not None:
            assert read.content == text
        else:
            assert error
            assert error.status in (400, 422)
            assert any("\ud800" <= char <= "\udfff" for char in text)


# --- cost ------------------------------------------------------------------------------------------------------


def calls_of(work: Callable[[], object]) -> int:
    """How many calls of functions `work` makes, those written in C among them."""
    count = 0

    def note(_frame: Any, what: str, _of: Any) -> None:
        nonlocal count
        count += what in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@cases(share(TEXT, 8 * TESTS), "cost")
@given(st.lists(PIECES, min_size=1, max_size=4).map("".join), PIECES | st.just("http://a.co/") | st.just("a.com/("))
def test_four_times_the_text_takes_four_times_the_work(unit: str, before: str) -> None:
    """Calls are counted; a pattern that goes back and forth, which makes none, shows by the test's hanging."""
    short, long = (f"{before}{unit * (size // len(unit))}" for size in (15_000, 60_000))
    for function in (
        t.entities,
        t.weigh,
        lambda text: t.flaw(text, limit=10**9),
        t.normal,
        t.hashtag_key,
        clean,
        imported_content,
    ):
        few, many = calls_of(partial(function, short)), calls_of(partial(function, long))
        assert many <= 5 * few + 100, f"{few} calls of {function} became {many}"
    for judge in (
        t.is_url,
        t.is_hashtag,
        t.is_handle,
        t.is_list,
        t.reply_handle,
        blank,
        rules.login_key,
        rules.email_key,
    ):
        judge(long)
        judge(long + " ")
