"""Phrases in texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.kernel.words import NO_WORDS, Words


@pytest.mark.parametrize(
    ("phrase", "text", "there"),
    [
        ("cat", "A CAT sat", True),
        ("cat", "concatenate", False),
        ("cat", "cats", False),
        ("cat", "#cat, @cat", True),
        ("Straße", "die STRASSE", True),
        ("ﬁne", "FINE!", True),
        ("cat", "a c\u200ba\u00adt sat", True),
        ("two  words", "two\nwords", True),
        ("two words", "twowords", False),
        ("#tag", "a #Tag", True),
        ("#tag", "a tag", False),
        ("c++", "I like C++", True),
        ("c++", "c++17", True),
        ("猫", "黒猫がいる", True),
        ("แมว", "ฉันมีแมวสองตัว", True),
        ("кот", "Кот!", True),
        ("кот", "который", False),
        ("🦉", "a 🦉 flies", True),
        (".*", "anything", False),
    ],
)
def test_a_phrase_is_found_as_whole_words_in_any_spelling(phrase: str, text: str, there: bool) -> None:
    assert Words([phrase]).found_in(text) is there


def test_any_of_them_is_enough_and_none_finds_nothing() -> None:
    both = Words(["dog", "big cat"])
    assert [both.found_in(text) for text in ("a dog", "the big cat", "a cat")] == [True, True, False]
    assert not NO_WORDS
    assert not NO_WORDS.found_in("")
    assert not Words([" ", ""]).found_in("anything")
    assert Words(["A", "b"]) == Words(["b", "a", "a"]) != NO_WORDS


@given(st.lists(st.text(max_size=20), max_size=5), st.text(max_size=40))
def test_every_text_can_be_searched_for_every_phrase(phrases: list[str], text: str) -> None:
    words = Words(phrases)
    words.found_in(text)
    assert all(words.found_in(f" {phrase} ") for phrase in phrases if Words([phrase]))
