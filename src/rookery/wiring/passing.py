"""What people are told over their streams of other services' events, beside what the `live` service makes of tweets."""

from typing import Any

from rookery.services.live.routes import PassedOn, Personal
from rookery.services.notifications.contract import Notified, Read


def _notified(event: Any) -> tuple[int, Personal]:
    told = {"id": str(event.notification_id), "kind": event.kind.value, "unread": event.unread}
    return event.user_id, Personal("notification", told)


def _read(event: Any) -> tuple[int, Personal]:
    return event.user_id, Personal("notifications_read", {"up_to": str(event.up_to), "unread": event.unread})


PASSED_ON: PassedOn = {Notified: _notified, Read: _read}
"""By type of event, what makes of one whom it is for and what is told."""
