"""Notifications: who did what that concerns me, up to where I have read, and of whom I want to hear."""

from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import asdict

from rookery.gateways.rest import shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Operation
from rookery.gateways.rest.fragments import Fragments
from rookery.gateways.rest.present import encode
from rookery.kernel.ids import parse_id
from rookery.services.notifications.contract import From, Notifications, Preferences, PreferencesChange

_TAG: Final = "notifications"
_PATH: Final = "/v1/notifications"
_PREFERENCES: Final = f"{_PATH}/preferences"


class NotificationCalls:
    """The calls about notifications."""

    def __init__(self, *, notifications: Notifications, fragments: Fragments) -> None:
        self._notifications = notifications
        self._fragments = fragments

    def operations(self) -> list[Operation]:
        """What is offered."""
        return [
            Operation(
                id="list_notifications",
                method="GET",
                path=_PATH,
                summary="What others did that concerns me, newest first; the same act by several people is one item",
                tag=_TAG,
                access=Access.READ,
                handle=self.mine,
                answer=shapes.NotificationList,
                paged=True,
            ),
            Operation(
                id="read_notifications",
                method="POST",
                path=f"{_PATH}/read",
                summary="Mark my notifications as read, up to one",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.read,
                body=shapes.NotificationsRead,
                answer=shapes.UnreadCount,
            ),
            Operation(
                id="count_unread_notifications",
                method="GET",
                path=f"{_PATH}/unread_count",
                summary="How many of my notifications are unread",
                tag=_TAG,
                access=Access.READ,
                handle=self.unread_count,
                answer=shapes.UnreadCount,
            ),
            Operation(
                id="get_notification_preferences",
                method="GET",
                path=_PREFERENCES,
                summary="Of whom I want to hear, by the kind of notification",
                tag=_TAG,
                access=Access.READ,
                handle=self.preferences,
                answer=shapes.NotificationPreferences,
            ),
            Operation(
                id="edit_notification_preferences",
                method="PATCH",
                path=_PREFERENCES,
                summary="Choose of whom I want to hear; it holds for what is there already, too",
                tag=_TAG,
                access=Access.WRITE,
                handle=self.prefer,
                body=shapes.NotificationPreferencesEdit,
                answer=shapes.NotificationPreferences,
            ),
        ]

    async def mine(self, call: Call) -> Answer:
        page = await self._notifications.mine(call.me.user_id, call.page())
        return Answer(self._fragments.notifications(page), headers=call.links(page))

    async def read(self, call: Call) -> Answer:
        up_to = parse_id(call.body(shapes.NotificationsRead).up_to, "up_to")
        return Answer(encode(shapes.UnreadCount(await self._notifications.read(call.me.user_id, up_to))))

    async def unread_count(self, call: Call) -> Answer:
        return Answer(encode(shapes.UnreadCount(await self._notifications.unread_count(call.me.user_id))))

    async def preferences(self, call: Call) -> Answer:
        return _answer(await self._notifications.preferences(call.me.user_id))

    async def prefer(self, call: Call) -> Answer:
        given = asdict(call.body(shapes.NotificationPreferencesEdit))
        change: dict[str, Any] = {kind: From(of) for kind, of in given.items() if of is not UNSET}
        return _answer(await self._notifications.prefer(call.me.user_id, PreferencesChange(**change)))


def _answer(of: Preferences) -> Answer:
    return Answer(encode(shapes.NotificationPreferences(**{kind: of.value for kind, of in asdict(of).items()})))
