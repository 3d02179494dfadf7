"""What the Notification Service does when somebody did something."""

from rookery.infra.events.port import EventLog
from rookery.services.notifications.rules import tells
from rookery.services.notifications.store import NotificationStore

GROUP = "notifications"

_LINGER = 0.25
"""Seconds in which acts gather: a few transactions a second, however much is done, and people are told well within one."""


def react(log: EventLog, store: NotificationStore) -> None:
    """Subscribe the store. The group is durable: what it learned and how far it has come are committed together."""
    log.subscribe_in_transaction(GROUP, ("tweets", "graph"), store.handle, wanted=tells, linger=_LINGER)
