"""The JSON of who is there, and of what opens a stream."""

from msgspec import Struct


class Presence(Struct, frozen=True):
    """Who is there."""

    visible: bool
    """Whether those with whom I follow each other see that I am there."""
    online: list[str]
    """Ids of those of them who are there now, and let it be seen."""


class StreamTicket(Struct, frozen=True):
    """Opens one stream, once, as `?ticket=`."""

    ticket: str
    expires_at: str
