"""What an operator tells all services."""

from rookery.infra.events.port import Event
from rookery.kernel.clock import Millis


class ForgetRequested(Event, topic="ops", version=1):
    """An operator wants everything that is kept in memory beside the truth to be read again: accounts, tokens, tweets, edges."""

    at: Millis
