"""What people are told over their streams of other services' events, beside what the `live` service makes of tweets."""

from rookery.services.live.routes import PassedOn

PASSED_ON: PassedOn = {}
"""By type of event, what makes of one whom it is for and what is told. Notifications: `notification` and `notifications_read`."""
