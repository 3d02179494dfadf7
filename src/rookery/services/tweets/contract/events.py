"""What happened to tweets, as the event log tells it."""

from rookery.infra.events.port import Event
from rookery.kernel.visibility import Visibility

Touched = tuple[tuple[int, int], ...]
"""Tweets whose counts an event changed, each with its version since: caches forget older ones."""


class Posted(Event, topic="tweets", version=1):
    """A tweet was posted."""

    tweet_id: int
    author_id: int
    visibility: Visibility
    reply_to: int | None = None
    reply_to_user_id: int | None = None
    quote_of: int | None = None
    quoted_user_id: int | None = None
    mentioned_ids: tuple[int, ...] = ()
    hashtags: tuple[str, ...] = ()
    """Keys of the hashtags."""
    touched: Touched = ()
    held: bool = False
    """Whether it waits for a moderator: nobody but its author sees it, and nobody is to be told. tweets.moderated tells when it is
    let through.
    """


class Moderated(Event, topic="tweets", version=1):
    """Moderators changed whom a tweet is shown to, or how it is labelled."""

    tweet_id: int
    author_id: int
    tweet_version: int
    withheld: bool = False
    """Whether it is for its author alone since."""
    released: bool = False
    """Whether it was held until then: who was not told of it when it was posted may be told now."""
    label: str | None = None
    touched: Touched = ()


class Edited(Event, topic="tweets", version=1):
    """A tweet was edited: what it says, what it carries, or whom it is for."""

    tweet_id: int
    author_id: int
    tweet_version: int
    visibility: Visibility
    reworded: bool
    """Whether something else changed than whom it is for."""
    mentioned_ids: tuple[int, ...] = ()
    """Whom it mentions now; and those of them whom it did not mention before:"""
    newly_mentioned_ids: tuple[int, ...] = ()
    hashtags: tuple[str, ...] = ()
    """Keys of the hashtags that it has now."""
    touched: Touched = ()
    visibility_before: Visibility | None = None
    """Whom it was for until then, where that changed."""
    new_hashtags: tuple[str, ...] = ()
    """Keys of the hashtags that it did not have before."""


class ReplyHidden(Event, topic="tweets", version=1):
    """The author of a conversation hid an answer in it, or showed it again."""

    tweet_id: int
    author_id: int
    by_id: int
    hidden: bool
    tweet_version: int


class QuoteDetached(Event, topic="tweets", version=1):
    """The author of a quoted tweet took it out of the quote `tweet_id`, or put it back."""

    tweet_id: int
    author_id: int
    quoted_id: int
    by_id: int
    detached: bool
    tweet_version: int
    touched: Touched = ()


class Deleted(Event, topic="tweets", version=1):
    """A tweet was deleted by its author; a tombstone remains."""

    tweet_id: int
    author_id: int
    tweet_version: int
    touched: Touched = ()
    reply_to_user_id: int | None = None
    """Whom it answered; not told of imported ones."""


class Retweeted(Event, topic="tweets", version=1):
    """A tweet was retweeted: an entry of its own, `retweet_id`."""

    tweet_id: int
    retweet_id: int
    user_id: int
    author_id: int
    touched: Touched = ()


class Unretweeted(Event, topic="tweets", version=1):
    """A retweet was undone."""

    tweet_id: int
    retweet_id: int
    user_id: int
    author_id: int
    touched: Touched = ()


class Favorited(Event, topic="tweets", version=1):
    """A tweet was favorited."""

    tweet_id: int
    user_id: int
    author_id: int
    touched: Touched = ()


class Unfavorited(Event, topic="tweets", version=1):
    """A favorite was undone."""

    tweet_id: int
    user_id: int
    author_id: int
    touched: Touched = ()


class Imported(Event, topic="tweets", version=1):
    """Old entries were added in bulk: indexed, but nobody is notified and nothing trends.

    `entry_ids[i]` is an entry of `actor_ids[i]` on `tweet_ids[i]` (equal to the entry's id for a tweet). `hashtags` names tweets
    with the keys of their hashtags.
    """

    batch_id: int
    entry_ids: tuple[int, ...]
    tweet_ids: tuple[int, ...]
    actor_ids: tuple[int, ...]
    touched: Touched = ()
    hashtags: tuple[tuple[int, str], ...] = ()


class Recounted(Event, topic="tweets", version=1):
    """Counts changed in bulk, by imported favorites or a repair, or imported tweets found what they answer; nobody is to be told."""

    batch_id: int
    touched: Touched


class Unlinked(Event, topic="tweets", version=1):
    """Mentions of somebody who is erased lead nowhere any more; what the tweets say has not changed."""

    batch_id: int
    touched: Touched
