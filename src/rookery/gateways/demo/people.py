"""The demo network's people, and who follows whom."""

from collections.abc import Sequence
from itertools import accumulate
from math import log
from random import Random
from typing import Final

import msgspec

from rookery.gateways.demo.words import full_name, languages, latin, phrase
from rookery.kernel.clock import DAY, Millis

DEMO: Final = "demo"
"""The handle of the one account that logs in. It is the first person of the network."""

_LONGEST: Final = 15
_FOLLOWED_BY_DEMO: Final = 80
_FOLLOWING_DEMO: Final = 25
_FOLLOWS: Final = 22
"""Follows of a person, on average, before some are returned."""
_MOST_FOLLOWS: Final = 300
_RETURNED: Final = 0.15
_AT_HOME: Final = 0.7
"""The share of one's follows that speak one's own language."""


class Person(msgspec.Struct, frozen=True):
    """Somebody of the demo network."""

    handle: str
    name: str
    bio: str
    location: str
    language: str
    """BCP 47 tag."""
    created_at: Millis


def make_people(random: Random, number: int, now: Millis) -> list[Person]:
    """`number` people with different handles; the first is the demo account. Who comes earlier gets more followers."""
    known = languages()
    tags, shares = list(known), [language.share for language in known.values()]
    taken = {DEMO}
    people = [Person(DEMO, "Demo", "I look around. This network was generated.", "", "en", now - 365 * DAY)]
    while len(people) < number:
        tag = random.choices(tags, shares)[0]
        language = known[tag]
        given, family = random.choice(language.given), random.choice(language.family)
        handle = _handle(random, latin(given), latin(family), taken)
        taken.add(handle.lower())
        people.append(
            Person(
                handle,
                full_name(tag, given, family),
                phrase(random, language, random.choice(language.bios)),
                random.choice(language.places) if random.random() < 0.7 else "",
                tag,
                now - random.randint(20 * DAY, 3_000 * DAY),
            )
        )
    return people


def _handle(random: Random, given: str, family: str, taken: set[str]) -> str:
    forms = [
        f"{given}{family}",
        f"{given}_{family}",
        f"{given[0]}{family}",
        f"{family}{given}",
        f"{given.capitalize()}{family.capitalize()}",
        f"{given}_{family[0]}",
        f"{given}{random.randint(1, 99)}",
        f"{family}_{random.randint(70, 99)}",
    ]
    random.shuffle(forms)
    for form in forms:
        if len(form) <= _LONGEST and form.lower() not in taken:
            return form
    while True:
        form = f"{given[:8]}{random.randint(100, 999_999)}"
        if form not in taken:
            return form


def make_follows(random: Random, people: Sequence[Person]) -> list[list[int]]:
    """For each person the followers, as places in `people`.

    Whom people follow they choose by rank: the r-th with a weight of 1 / (r + c) (Zipf), so that the number of accounts with
    k followers falls as k to the power of -2 (Newman, Power laws, Pareto distributions and Zipf's law, 2005); c keeps the first
    from having everybody. How many somebody follows is log-normal.
    """
    number = len(people)
    # Of 2,000 people the most followed has about a quarter.
    damping = max(2.0, number / 80)
    everybody = _Ranked(range(1, number), damping)
    at_home = {
        tag: _Ranked(
            [i for i in range(1, number) if people[i].language == tag], max(1.0, damping * language.share / 100)
        )
        for tag, language in languages().items()
    }
    followees: list[set[int]] = [set() for _ in people]
    for person in range(1, number):
        home = at_home[people[person].language]
        wanted = min(int(random.lognormvariate(_log_mean(), 0.9)) + 1, _MOST_FOLLOWS, number // 4)
        mine = followees[person]
        for _ in range(wanted):
            other = (home if random.random() < _AT_HOME else everybody).draw(random)
            if other is None or other == person:
                continue
            mine.add(other)
            if random.random() < _RETURNED:
                followees[other].add(person)
    _connect_demo(random, followees)
    followers: list[list[int]] = [[] for _ in people]
    for person, others in enumerate(followees):
        for other in sorted(others):
            followers[other].append(person)
    return followers


def _connect_demo(random: Random, followees: list[set[int]]) -> None:
    """The demo account follows the best known and some others, and is followed by some of these."""
    number = len(followees)
    known = list(range(1, min(number, _FOLLOWED_BY_DEMO // 2 + 1)))
    others = range(len(known) + 1, number)
    followees[0].update(known, random.sample(others, min(len(others), _FOLLOWED_BY_DEMO - len(known))))
    for person in random.sample(range(1, number), min(number - 1, _FOLLOWING_DEMO)):
        followees[person].add(0)


def _log_mean() -> float:
    # The mean of a log-normal is exp(mu + sigma² / 2).
    return log(_FOLLOWS) - 0.9**2 / 2


class _Ranked:
    """Draws the r-th of some places with a weight of 1 / (r + c)."""

    def __init__(self, places: Sequence[int], damping: float) -> None:
        self._places = places
        self._sums = list(accumulate(1 / (rank + damping) for rank in range(len(places))))

    def draw(self, random: Random) -> int | None:
        return random.choices(self._places, cum_weights=self._sums)[0] if self._sums else None
