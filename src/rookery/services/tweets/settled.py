"""Entries that look the same to nearly everybody: put together and judged once, and kept until anything of them changes.

What most people see most of the time is open to all, by somebody who blocks nobody; for viewers who block and mute nobody either,
there is nothing left to judge but what they did with it themselves.
"""

from collections import OrderedDict
from collections.abc import Sequence

from rookery.kernel.visibility import Place, open_to_all
from rookery.services.tweets.contract import Entry


class Settled:
    """The newest such entries, without anybody's marks. For the event loop only."""

    def __init__(self, capacity: int = 100_000) -> None:
        """At most `capacity` entries, of about 400 bytes each beside the tweet and the accounts, which they hold."""
        self._capacity = capacity
        self._tweets: OrderedDict[int, Entry] = OrderedDict()
        self._replies: OrderedDict[int, Entry] = OrderedDict()
        """Apart, as home timelines have a rule of their own about them."""
        self._retweets: OrderedDict[int, Entry] = OrderedDict()
        self._of: dict[int, set[int]] = {}
        """Entries by the account that wrote or retweeted them."""
        self._on: dict[int, set[int]] = {}
        """Retweets by their tweet."""
        self.generation = 0
        """Grows with every change that was told. What was read before the last one must not be kept."""

    def find(self, entry_ids: Sequence[int], tweet_ids: Sequence[int], place: Place) -> list[Entry | None]:
        """These entries, as every viewer who is `unburdened` sees them at `place`; None where it is not known."""
        tweet = self._tweets.get
        if entry_ids == tweet_ids and place is Place.HOME:
            return list(map(tweet, entry_ids))
        reply = _nothing if place is Place.HOME else self._replies.get
        retweet = self._retweets.get
        return [
            tweet(entry_id) or reply(entry_id)
            if entry_id == tweet_id
            else found
            if (found := retweet(entry_id)) is not None and found.tweet.record.id == tweet_id
            else None
            for entry_id, tweet_id in zip(entry_ids, tweet_ids, strict=True)
        ]

    def keep(self, entry: Entry, generation: int) -> None:
        """Keep `entry`, which was read from the truth, or a cache, since `generation`; unless it is not the same to all."""
        if generation != self.generation:
            return
        tweet, by = entry.tweet, entry.retweeter
        record = tweet.record
        if record.quote_of is not None or not open_to_all(record, tweet.author, by):
            return
        if by is not None:
            entries = self._retweets
        else:
            entries = self._tweets if record.reply_to_user_id is None else self._replies
        self._drop(entry.id)
        entries[entry.id] = entry
        self._of.setdefault(record.author_id, set()).add(entry.id)
        if by is not None:
            self._of.setdefault(by.id, set()).add(entry.id)
            self._on.setdefault(record.id, set()).add(entry.id)
        if len(entries) > self._capacity:
            self._drop(next(iter(entries)))

    def forget(self, id: int, version: int) -> None:
        """The tweet or retweet has reached `version`: what is older goes."""
        self.generation += 1
        entry = self._tweets.get(id) or self._replies.get(id)
        if (entry is not None and entry.tweet.record.version < version) or id in self._retweets:
            self._drop(id)
        if (retweets := self._on.get(id)) is not None:
            for retweet in list(retweets):
                self._drop(retweet)

    def forget_account(self, user_id: int) -> None:
        """The account changed: what it wrote or retweeted goes."""
        self.generation += 1
        for id in list(self._of.get(user_id, ())):
            self._drop(id)

    def clear(self) -> None:
        """Everything may have changed."""
        self.generation += 1
        for kept in (self._tweets, self._replies, self._retweets, self._of, self._on):
            kept.clear()

    def _drop(self, id: int) -> None:
        entry = self._tweets.pop(id, None) or self._replies.pop(id, None) or self._retweets.pop(id, None)
        if entry is None:
            return
        _discard(self._of, entry.tweet.record.author_id, id)
        if (by := entry.retweeter) is not None:
            _discard(self._of, by.id, id)
            _discard(self._on, entry.tweet.record.id, id)


def _nothing(_: int) -> Entry | None:
    return None


def _discard(index: dict[int, set[int]], key: int, id: int) -> None:
    ids = index.get(key)
    if ids is not None:
        ids.discard(id)
        if not ids:
            del index[key]
