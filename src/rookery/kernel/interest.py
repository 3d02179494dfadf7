"""What people show interest in by looking at it. Ranking learns from it; nobody else is shown it."""

from enum import StrEnum

import msgspec

from .clock import Millis


class InterestKind(StrEnum):
    """How somebody showed interest."""

    READ = "read"
    """Opened a tweet by itself or in its thread; the subject is the tweet."""
    PROFILE_VISIT = "profile_visit"
    """Opened somebody else's profile; the subject is that account."""
    LINK_CLICK = "link_click"
    """Followed a link in a tweet; the subject is the tweet."""


class Interest(msgspec.Struct, frozen=True):
    """`user_id` looked at `subject_id`. Guests leave none."""

    kind: InterestKind
    user_id: int
    subject_id: int
    at: Millis
    author_id: int = 0
    """Who wrote the tweet, where the subject is one."""
