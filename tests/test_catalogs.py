"""Whoever reads another language than English reads all of it in that language."""

import pytest
from babel.messages.catalog import Message

from scripts.catalogs import LOCALE, SOURCE, catalogs, current, places, sentences, translations

COMPLETE = ("ar",)
"""The languages that lack nothing."""


def told(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def test_sentences_of_pages_errors_and_figures_are_found():
    """Where the code says them in a new way, nobody would notice that translations lack them."""
    found = {one.id for one in sentences()}
    for sentence in (
        "Show older",  # a template
        ("%(num)s retweet", "%(num)s retweets"),  # in two numbers
        "%(n)sm",  # Python
        "there is no such tweet",  # an error
        "a tweet has at most {limit} characters",  # an error, out of a table
        "only who is mentioned there can answer in this conversation",  # one of two
        "the old password is wrong",  # handed on to who raises it
        "addresses of this domain are not taken here",  # of a field
    ):
        assert sentence in found


@pytest.mark.parametrize("language", COMPLETE)
def test_every_sentence_is_translated(language: str):
    catalog = catalogs()[language]
    missing: list[str] = []
    for wanted in current():
        if not wanted.id:
            continue
        message = catalog.get(wanted.id)
        strings = [] if message is None or message.fuzzy else translations(message)
        if not strings:
            missing.append(told(wanted))
        elif wanted.pluralizable and len(strings) != catalog.num_plurals:
            missing.append(f"{told(wanted)} (in {len(strings)} of {catalog.num_plurals} numbers)")
    assert not missing, f"make catalogs enters these; then {language} needs words for them: {missing}"


@pytest.mark.parametrize("language", COMPLETE)
def test_a_translation_leaves_the_same_places_open(language: str):
    wrong: list[str] = []
    for message in catalogs()[language]:
        if not message.id:
            continue
        wanted = set().union(*map(places, [message.id] if isinstance(message.id, str) else message.id))
        for number, translated in enumerate(translations(message)):
            found = places(translated)
            # None, one and two may go without saying the number.
            unsaid = message.pluralizable and number < 3 and found == wanted - {"num", "number"}
            wrong += [told(message)] * (found != wanted and not unsaid)
    assert not wrong


@pytest.mark.parametrize("language", COMPLETE)
def test_a_catalog_holds_nothing_that_nobody_says_any_more(language: str):
    said = {told(one) for one in current()}
    assert [told(one) for one in catalogs()[language] if told(one) not in said] == []


def test_all_catalogs_lie_where_the_program_looks_for_them():
    assert sorted(SOURCE.rglob("*.po")) == sorted(LOCALE.glob("*/LC_MESSAGES/rookery.po"))
    assert set(COMPLETE) <= set(catalogs())
