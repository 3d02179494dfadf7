"""Interest that people show: noted by the gateways, kept as events, learned from later."""

from rookery.infra.events.port import Event
from rookery.kernel.clock import Millis


class Read(Event, topic="interest", version=1):
    """`user_id` opened a tweet by itself or in its conversation."""

    user_id: int
    tweet_id: int
    at: Millis
    author_id: int = 0
    """Who wrote it; 0 in events of versions that did not tell."""


class ProfileVisited(Event, topic="interest", version=1):
    """`user_id` opened the profile of `visited_id`."""

    user_id: int
    visited_id: int
    at: Millis


class LinkClicked(Event, topic="interest", version=1):
    """`user_id` followed a link in a tweet by `author_id`."""

    user_id: int
    tweet_id: int
    at: Millis
    author_id: int
