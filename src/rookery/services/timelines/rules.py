"""The rules of home timelines that need no store."""

from rookery.kernel.clock import DAY, Millis
from rookery.kernel.ids import first_id_at, moment_of
from rookery.services.timelines.contract import Reason, ReasonKind
from rookery.services.tweets.contract import Entry

ONCE_WINDOW: Millis = DAY
"""An entry on a tweet is hidden if another eligible one on the same tweet lies within this time before it."""


def once_window(entry_id: int) -> int:
    """The smallest id within the once rule's window before `entry_id`.

    The rule looks at older entries only, and at eligible ones whether they are shown or not, so a page that was read never changes.
    """
    return first_id_at(moment_of(entry_id) - ONCE_WINDOW)


OWN, FOLLOW = Reason(ReasonKind.OWN), Reason(ReasonKind.FOLLOW)


def reason(entry: Entry, viewer_id: int) -> Reason:
    """Why an entry stands in the viewer's home timeline."""
    if entry.retweeter is not None:
        kind = ReasonKind.OWN if entry.retweeter.id == viewer_id else ReasonKind.RETWEET
        return Reason(kind, by=entry.retweeter)
    return OWN if entry.tweet.author.id == viewer_id else FOLLOW
