"""Tweets' text: the conformance cases of twitter-text, and properties that hold for every text."""

import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rookery.kernel import text as t
from tests.lacking import CI

CASES = Path(__file__).parents[3] / "shared" / "conformance" / "twitter-text"
needs_cases = pytest.mark.skipif(
    not CASES.is_dir() and not CI, reason="the conformance cases lie beside the repository, and are not there"
)


def load(name: str) -> list[Any]:
    """The cases of a file as (section, case); none where the folder is absent, as then the count fails or is skipped."""
    path = CASES / name
    if not path.is_file():
        return []
    sections = yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    return [
        pytest.param(section, case, id=f"{section}-{number}")
        for section, cases in sections.items()
        for number, case in enumerate(cases)
    ]


EXTRACT = load("extract.yml")
VALIDATE = load("validate.yml")


@needs_cases
def test_every_case_is_there():
    assert len(EXTRACT) == 238
    assert len(VALIDATE) == 97


def extracted(section: str, text: str) -> object:
    found = t.entities(text)
    indices = section.endswith("_with_indices") or section == "urls_with_directional_markers"
    if section == "replies":
        return t.reply_handle(text)
    if section == "mentions_or_lists_with_indices":
        return [
            {
                "screen_name": m.handle,
                "list_slug": f"/{m.list_slug}" if m.list_slug else "",
                "indices": [m.start, m.end],
            }
            for m in found.mentions
        ]
    if section.startswith("mentions"):
        return [
            {"screen_name": m.handle, "indices": [m.start, m.end]} if indices else m.handle
            for m in found.mentions
            if not m.list_slug
        ]
    if section.startswith(("urls", "tco_urls")):
        return [{"url": u.url, "indices": [u.start, u.end]} if indices else u.url for u in found.urls]
    if section.startswith("hashtags"):
        return [{"hashtag": h.tag, "indices": [h.start, h.end]} if indices else h.tag for h in found.hashtags]
    if section.startswith("cashtags"):
        return [{"cashtag": c.symbol, "indices": [c.start, c.end]} if indices else c.symbol for c in found.cashtags]
    raise AssertionError(f"no rule for section {section}")


@pytest.mark.parametrize(("section", "case"), EXTRACT)
def test_entities_conform(section: str, case: dict[str, Any]):
    assert extracted(section, case["text"]) == case["expected"], case["description"]


def validated(section: str, text: str) -> object:
    match section:
        case "tweets":
            return t.weigh(text, rules=t.VERSION_1).valid
        case "usernames":
            return t.is_handle(text)
        case "lists":
            return t.is_list(text)
        case "hashtags":
            return t.is_hashtag(text)
        case "urls":
            return t.is_url(text)
        case "urls_without_protocol":
            return t.is_url(text, protocol=False)
        case "WeightedTweetsCounterTest":
            weight = t.weigh(text, rules=t.VERSION_2)
        case _:
            weight = t.weigh(text)
    return {"weightedLength": weight.length, "valid": weight.valid}


@pytest.mark.parametrize(("section", "case"), VALIDATE)
def test_validation_conforms(section: str, case: dict[str, Any]):
    expected = case["expected"]
    if isinstance(expected, dict):
        expected = {key: expected[key] for key in ("weightedLength", "valid")}
    assert validated(section, case["text"]) == expected, case["description"]


# --- by hand ---------------------------------------------------------------------------------------------------


def test_a_text_without_signs_has_no_entities():
    assert t.entities("nothing to see here") == t.Entities()


def test_a_handle_in_a_url_is_no_mention():
    found = t.entities("https://example.com/@rook/1 and @crow")
    assert [u.url for u in found.urls] == ["https://example.com/@rook/1"]
    assert [m.handle for m in found.mentions] == ["crow"]


def test_a_url_that_begins_before_a_full_width_sign_wins():
    found = t.entities("http://あ\uff20い\uff20u.com")
    assert found.mentions == ()
    assert [(u.start, u.end) for u in found.urls] == [(0, 16)]


def test_a_tag_that_begins_before_a_url_wins():
    found = t.entities("#あabc.com")
    assert [h.tag for h in found.hashtags] == ["あabc"]
    assert found.urls == ()


@pytest.mark.parametrize(
    "spelling", ["CAFÉ", "café", "cafe\u0301", "\uff23\uff21\uff26\uff25\u0301", "Cafe\u0301"], ids=ascii
)
def test_all_spellings_of_a_hashtag_have_one_key(spelling: str):
    assert t.hashtag_key(spelling) == "café"


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("\u200b\u2060\u00ad", "empty"),
        ("\u3164\u2800\ufe0f", "empty"),
        ("a" * 280, None),
        ("a" * 281, "too_long"),
        ("ü" * 281, "too_long"),
        ("漢" * 140, None),
        ("漢" * 141, "too_long"),
        ("see https://example.com/" + "a" * 400, None),
        ("a\tb\nc", None),
        ("a\0b", "control_character"),
        ("a\rb", "control_character"),
        ("ü\x85", "control_character"),
        ("a\x7fb", "control_character"),
        ("a\ud800b", "surrogate"),
        ("\udfff", "surrogate"),
        ("a\ufeffb", "invalid_character"),
        ("a\uffff", "invalid_character"),
        ("👍🏽", None),
    ],
    ids=ascii,
)
def test_flaws(text: str, flaw: str | None):
    assert t.flaw(text) == flaw


def test_the_limit_can_be_another():
    assert t.flaw("a" * 500, limit=500) is None
    assert t.flaw("a" * 501, limit=500) == "too_long"


def test_normal_form():
    assert t.normal("a\r\nb\rc\n") == "a\nb\nc\n"
    assert t.normal("e\u0301") == "é"


def test_joined_emoji_do_not_hide_a_long_text():
    assert t.weigh("👨\u200d👩\u200d👧\u200d👦").length == 2
    assert t.weigh("\u200d".join("👨" * 400)).length > 200


# --- for every text --------------------------------------------------------------------------------------------

# Text rich in what entities are made of; lone surrogates included.
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
        "jp",
        "xn--",
        "rt",
        "_",
        "-",
        "(",
        ")",
        "?",
        "\uff20",
        "\uff03",
        "。",
        "日本",
        "中国",
        "é",
        "\u0301",
        "\ufe0f",
        "\u200d",
        "\U0001f468",
        "\ufeff",
        "\u202a",
        "\n",
        " ",
    ]
)
CHARS = st.characters(codec=None, exclude_categories=())
TEXTS = st.lists(PIECES | st.text(CHARS, max_size=3) | st.text("ab1", max_size=3), max_size=40).map("".join)


@given(TEXTS | st.text(CHARS))
def test_nothing_raises_and_slices_match(text: str):
    found = t.entities(text)
    for m in found.mentions:
        written = text[m.start + 1 : m.end]
        assert text[m.start] in "@\uff20"
        assert written == (f"{m.handle}/{m.list_slug}" if m.list_slug else m.handle)
    for u in found.urls:
        assert text[u.start : u.end] == u.url
    for h in found.hashtags:
        assert text[h.start] in "#\uff03"
        assert text[h.start + 1 : h.end] == h.tag
        assert h.key == t.hashtag_key(h.tag)
    for c in found.cashtags:
        assert text[c.start : c.end] == f"${c.symbol}"
    everything = sorted(
        (*found.mentions, *found.urls, *found.hashtags, *found.cashtags), key=lambda entity: entity.start
    )
    assert all(a.end <= b.start for a, b in pairwise(everything))
    assert t.weigh(text, found.urls) == t.weigh(text)
    t.flaw(text)
    t.reply_handle(text)
    t.is_hashtag(text)
    t.is_url(text)


@given(TEXTS | st.text(CHARS))
def test_normal_is_idempotent(text: str):
    once = t.normal(text)
    assert t.normal(once) == once
    assert "\r" not in once
    assert unicodedata.is_normalized("NFC", once)


@given(st.text(CHARS))
def test_a_key_is_its_own_key(tag: str):
    key = t.hashtag_key(tag)
    assert t.hashtag_key(key) == key


@given(st.text(CHARS, max_size=20), st.text("ab ü漢", max_size=20))
def test_a_longer_text_does_not_weigh_less_than_its_plain_part(text: str, plain: str):
    assert t.weigh(f"{text} \n{plain}").length >= t.weigh(plain).length


@pytest.mark.parametrize(
    "piece",
    [
        "a.",
        "@",
        "http://",
        "$",
        "#",
        ".",
        "@a",
        "#a",
        "$a ",
        "a.com.-",
        "a_.",
        "a_b.com",
        "a-",
        "-a.",
        "日.",
        "日",
        "日本.中国",
        "http://a.co/(",
        "http://a.co/((a)",
        "(a",
        "a.com/!",
        "http://a.co?!",
        "xn--",
        "xn--日.",
        "\uff20あ.",
        "\uff03a",
        "a:",
        "\U0001f468\u200d",
        "\U0001f3f4\U000e0067",
        "\U0001f1e9",
        "\ufe0f",
        "1\ufe0f",
        "\u0301",
        "\ud800",
        "rt@",
        "%",
        "http://日.jp",
    ],
    ids=ascii,
)
def test_the_time_taken_is_linear(piece: str):
    """A hang, not a clock, makes this fail: a pattern that backtracks would take hours for it."""
    body = piece * (200_000 // len(piece))
    for text in (body, f"http://a.co/{body}", f"#{body}!"):
        t.flaw(text, urls=t.entities(text).urls)
        t.is_url(text)
        t.is_hashtag(text)
        t.reply_handle(text)
