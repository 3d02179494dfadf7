"""What the User Live service does when something happened: it hands it to streams, and ends those that may go on no more."""

from collections.abc import Sequence

from rookery.infra.events.port import Appended, EventLog
from rookery.services.graph.contract import Followed, FollowsImported, HashtagFollowed, Recounted
from rookery.services.live.contract import End, Forgotten, WentOffline
from rookery.services.live.service import GROUP, LiveService
from rookery.services.users.contract import Erased, Identity, SessionRevoked, StateChanged

TURN = "live"
"""The turn of the process that sees who has left, for all of them."""

TOPICS = ("timelines", "tweets", "graph", "users", "notifications", "live")


def react(log: EventLog, service: LiveService) -> None:
    """Subscribe. It starts at the log's head: what a stream missed before, it reads itself."""

    async def handle(batch: Sequence[Appended]) -> None:
        for item in batch:
            match item.event:
                case SessionRevoked(user_id=user, session_id=session, kept=kept):

                    def ended(identity: Identity, session: int | None = session, kept: int | None = kept) -> bool:
                        return identity.session_id == session or (session is None and identity.session_id != kept)

                    service.end_sessions(user, ended, End.TOKEN_REVOKED, item.at)
                case StateChanged(user_id=user, new=new):
                    if not new.shown:
                        service.end_sessions(user, lambda _: True, End.ACCOUNT_INACTIVE, item.at)
                case Erased(user_id=user):
                    service.end_sessions(user, lambda _: True, End.ACCOUNT_INACTIVE, item.at)
                case FollowsImported(follower_ids=ids) | Recounted(user_ids=ids):
                    await service.edges_changed(ids, item.offset)
                case Followed() | HashtagFollowed() as event:
                    service.note(event)
                case WentOffline(user_id=user):
                    await service.still_here((user,), item.offset)
                case Forgotten(user_ids=users):
                    await service.still_here(users, item.offset)
                case _:
                    pass
        await service.hand_out(batch)

    log.subscribe(GROUP, TOPICS, handle)
