"""What the demo network's people wrote, retweeted and favorited in the last two weeks."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate
from random import Random
from typing import Final

import msgspec

from rookery.gateways.demo.people import Person
from rookery.gateways.demo.words import languages, phrase
from rookery.kernel.clock import DAY, HOUR, SECOND, Millis, to_datetime

_SPAN: Final[Millis] = 14 * DAY
_RECENT: Final = 400
"""Tweets among which replies choose."""
_REPLIES: Final = 0.36
_OWN_THREADS: Final = 0.04
RETWEETS: Final = 0.4
"""Retweets for each tweet, on average."""
FAVORITES: Final = 2.0
_DELAY: Final[Millis] = 3 * HOUR
"""After a tweet, on average, its retweets and favorites come."""

# How much is written in each hour of a day, UTC.
_HOURS: Final = (4, 3, 3, 3, 4, 5, 7, 9, 10, 10, 10, 10, 11, 12, 12, 12, 13, 14, 15, 15, 14, 12, 9, 6)
_EVENTS: Final = ("NightMarket", "CometWatch", "OpenSourceWeek", "BigDerby", "PaperCraneDay")
"""Everybody's hashtags; each has its days."""
_EMOJI: Final = (
    "😀",
    "🎉",
    "🌧️",
    "☕",
    "🚲",
    "📚",
    "🎶",
    "🌱",
    "😂",
    "❤️",
    "🙏",
    "🔭",
    "🐦",
    "👩🏽‍🚀",
    "🏳️‍🌈",
    "🇯🇵",
    "🥖",
    "✨",
)
_SITES: Final = ("https://example.org", "https://blog.example.com", "https://news.example.net")
_PATHS: Final = ("/a-walk", "/2-ways-to-rise", "/notes?page=3", "/maps/north", "/%E2%98%95", "/talks#tonight")


class Told(msgspec.Struct, frozen=True):
    """A tweet of the demo network; people and tweets are places in their lists."""

    author: int
    content: str
    language: str
    at: Millis
    reply_to: int | None = None


class Liked(msgspec.Struct, frozen=True):
    """A retweet or a favorite."""

    person: int
    tweet: int
    at: Millis


def make_tweets(
    random: Random, people: Sequence[Person], followers: Sequence[Sequence[int]], number: int, now: Millis
) -> list[Told]:
    """`number` tweets of the two weeks before `now`, oldest first. Well-known people write more."""
    speaker = Speaker(random, people, followers)
    told: list[Told] = []
    recent: deque[int] = deque(maxlen=_RECENT)
    # The demo account, the first, leaves writing to whoever logs in.
    authors = random.choices(
        range(1, len(people)), cum_weights=list(accumulate((r + 5) ** -0.6 for r in range(1, len(people)))), k=number
    )
    for at, author in zip(_times(random, number, now), authors, strict=True):
        dice = random.random()
        if recent and dice < _REPLIES:
            # Of three tweets the one whose author is best known is answered: conversations gather.
            answered = max(random.choices(recent, k=3), key=lambda tweet: len(followers[told[tweet].author]))
            made = speaker.reply(answered, told[answered], at)
        elif recent and dice < _REPLIES + _OWN_THREADS:
            answered = random.choice(recent)
            made = speaker.more(answered, told[answered], at)
        else:
            made = speaker.tweet(author, at)
        recent.append(len(told))
        told.append(made)
    return told


def make_likes(
    random: Random, tweets: Sequence[Told], followers: Sequence[Sequence[int]], mean: float, now: Millis
) -> Iterator[Liked]:
    """`mean` retweets or favorites for each tweet, oldest tweets first. A few tweets get very many (Pareto, exponent 1.3)."""
    scores = [(len(followers[tweet.author]) + 2) ** 0.9 * random.paretovariate(1.3) for tweet in tweets]
    scale = mean * len(tweets) / max(sum(scores), 1)
    for place, (tweet, score) in enumerate(zip(tweets, scores, strict=True)):
        mine = followers[tweet.author]
        for person in random.sample(mine, min(int(score * scale + random.random()), len(mine))):
            at = tweet.at + int(random.expovariate(1 / _DELAY))
            yield Liked(person, place, at if at < now else random.randint(tweet.at, now))


def _times(random: Random, number: int, now: Millis) -> list[Millis]:
    times: list[Millis] = []
    busiest = max(_HOURS)
    while len(times) < number:
        at = now - SECOND - random.randrange(_SPAN)
        if random.random() * busiest < _HOURS[to_datetime(at).hour]:
            times.append(at)
    return sorted(times)


class Speaker:
    """Says things in the languages of the people."""

    def __init__(self, random: Random, people: Sequence[Person], followers: Sequence[Sequence[int]]) -> None:
        self._random = random
        self._people = people
        self._followers = followers
        self._languages = languages()

    def tweet(self, author: int, at: Millis) -> Told:
        random, tag = self._random, self._people[author].language
        language = self._languages[tag]
        parts: list[str] = []
        if random.random() < 0.4:
            parts.append(phrase(random, language, random.choice(language.openings)))
        say = phrase(random, language, random.choice(language.says))
        if not parts or parts[0].endswith((".", "!")):
            # Turkish has two letters i.
            say = ("İ" if tag == "tr" and say[0] == "i" else say[0].upper()) + say[1:]
        closing = random.choice(language.closings) if random.random() < 0.35 else ""
        parts.append(say + ("" if not closing else "。" if tag in ("ja", "zh") else "।" if tag == "hi" else "."))
        if closing:
            parts.append(closing)
        if random.random() < 0.12 and self._followers[author]:
            parts.append("@" + self._people[random.choice(self._followers[author])].handle)
        if random.random() < 0.35:
            parts.append(random.choice(_EMOJI))
        if random.random() < 0.1:
            parts.append(random.choice(_SITES) + random.choice(_PATHS))
        gap = "\n" if random.random() < 0.06 else " "
        return Told(author, gap.join(parts + self._tags(language.tags, at)), tag, at)

    def reply(self, place: int, answered: Told, at: Millis) -> Told:
        random = self._random
        near = self._followers[answered.author]
        author = random.choice(near) if near else random.randrange(1, len(self._people))
        if author in (0, answered.author):
            return self.more(place, answered, at)
        # One answers in the other's language.
        language = self._languages[answered.language]
        text = phrase(random, language, random.choice(language.replies))
        emoji = f" {random.choice(_EMOJI)}" if random.random() < 0.25 else ""
        return Told(author, f"@{self._people[answered.author].handle} {text}{emoji}", answered.language, at, place)

    def more(self, place: int, answered: Told, at: Millis) -> Told:
        """The next tweet of a thread with oneself."""
        language = self._languages[answered.language]
        text = phrase(self._random, language, self._random.choice(language.says))
        return Told(answered.author, text, answered.language, at, place)

    def _tags(self, own: Sequence[str], at: Millis) -> list[str]:
        random = self._random
        tags = random.sample(own, random.choice((1, 1, 2))) if random.random() < 0.3 else []
        event = _EVENTS[at // (3 * DAY) % len(_EVENTS)]
        if random.random() < 0.08:
            tags.append(event)
        return ["#" + tag for tag in tags]
