"""What the User Service does when something happened: its memory follows what other processes write, and who left was there."""

from collections.abc import Awaitable, Callable, Sequence

from rookery.infra.events.port import Appended, EventLog
from rookery.infra.sql.port import Transaction
from rookery.services.live.contract import WentOffline
from rookery.services.ops.contract import ForgetRequested
from rookery.services.users.contract import Changed, SessionRevoked, StateChanged
from rookery.services.users.service import UsersService

MEMORY = "users.memory"


def react(log: EventLog, service: UsersService) -> None:
    """Subscribe. This process's own changes come by here, too, and change nothing more."""

    async def forget(events: Sequence[Appended]) -> None:
        _forget(service, events)

    log.subscribe(MEMORY, ["users", "ops"], forget)


def react_shared(log: EventLog, service: UsersService, settled: Callable[[], Awaitable[None]]) -> None:
    """Subscribe a cache that processes share. The group is durable: what a process that died has not told the cache is told by another.
    `settled` waits until the cache has heard of it.
    """

    async def forget(events: Sequence[Appended]) -> None:
        _forget(service, events)
        await settled()

    log.subscribe("users.shared", ["users", "ops"], forget, durable=True)


def _forget(service: UsersService, events: Sequence[Appended]) -> None:
    for appended in events:
        event = appended.event
        if isinstance(event, Changed | StateChanged):
            service.user_outdated(event.user_id, event.user_version)
        elif isinstance(event, SessionRevoked):
            service.sessions_ended(event.user_id, event.session_id, event.kept)
        elif isinstance(event, ForgetRequested):
            service.forget_all()


def react_stored(log: EventLog, service: UsersService) -> None:
    """Subscribe what the service stores of what happened."""

    def left(tx: Transaction, events: Sequence[Appended]) -> None:
        service.were_active(
            tx, [(one.event.user_id, one.event.ended_at) for one in events if isinstance(one.event, WentOffline)]
        )

    log.subscribe_in_transaction(
        "users.last_active", ["live"], left, wanted=lambda event: isinstance(event, WentOffline), from_head=True
    )
