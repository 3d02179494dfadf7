"""The newest (or next) entries of many actors, found with work that grows with the actors and not with their tweets."""

import numpy as np

from rookery.infra.sql.port import Reader
from rookery.kernel.ids import MAX_ID
from rookery.kernel.pages import Page
from rookery.services.tweets import statements as s
from rookery.services.tweets.contract import Candidates


def scan(reader: Reader, actor_ids: bytes, page: Page) -> Candidates:
    """As `contract.TweetReads.candidates`.

    Each actor is asked for one more than `page.limit` at most. As soon as that many are gathered, the last of them is a cut-off
    beyond which nothing can belong to the answer; it tightens as the scan goes on, so that most actors answer with few or none.
    """
    upwards = page.after is not None
    low = page.after if page.after is not None else -1
    high = MAX_ID if upwards or page.before is None else page.before
    keep = page.limit + 1  # the extra one tells that there are more
    tweets, retweets = s.TWEETS_BETWEEN[upwards], s.RETWEETS_BETWEEN[upwards]
    ask = reader.all
    found: list[tuple[int, int]] = []
    for actor in np.frombuffer(actor_ids, "<i8").tolist():
        for (id,) in ask(tweets, actor=actor, low=low, high=high, limit=keep):
            found.append((id, id))
        found += ask(retweets, actor=actor, low=low, high=high, limit=keep)
        if len(found) >= 2 * keep:
            found.sort(reverse=not upwards)
            del found[keep:]
            if upwards:
                high = found[-1][0]
            else:
                low = found[-1][0]
    found.sort(reverse=not upwards)
    complete = len(found) < keep
    del found[page.limit :]
    if not upwards:
        found.reverse()
    pairs = np.array(found, "<i8").reshape(-1, 2)
    return Candidates(pairs[:, 0].tobytes(), pairs[:, 1].tobytes(), complete)
