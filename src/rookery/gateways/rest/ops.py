"""The operators' view: figures, and what consumers could not handle."""

from typing import Final

from rookery.gateways.rest import ops_shapes as shapes
from rookery.gateways.rest.calls import Access, Answer, Call, Operation, Parameter
from rookery.gateways.rest.present import encode, moment, optional_id, rfc3339
from rookery.kernel.errors import Invalid
from rookery.services.moderation.contract import Actor
from rookery.services.ops.contract import Ops, Overview, ParkedEvent

_TAG: Final = "admin"
_PARKED: Final = "/v1/admin/parked_events"
_GROUP: Final = Parameter(
    "group", "What this group of consumers could not handle.", {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,100}$"}
)


class OpsCalls:
    """The calls of operators; all but the overview are for admins."""

    def __init__(self, *, ops: Ops) -> None:
        self._ops = ops

    def operations(self) -> list[Operation]:
        """What is offered."""
        return [
            Operation(
                id="overview",
                method="GET",
                path="/v1/admin/overview",
                summary="Rates, lags, caches, people online, and, for admins, storage",
                tag=_TAG,
                access=Access.MODERATE,
                handle=self.overview,
                answer=shapes.Overview,
            ),
            Operation(
                id="list_parked",
                method="GET",
                path=_PARKED,
                summary="Events that could not be handled, newest first; for admins",
                tag=_TAG,
                access=Access.MODERATE,
                handle=self.parked,
                answer=shapes.ParkedEvents,
                parameters=(_GROUP,),
                paged=True,
            ),
            Operation(
                id="replay_parked",
                method="POST",
                path=f"{_PARKED}/replay",
                summary="Have parked events handled again, at once; for admins",
                tag=_TAG,
                access=Access.MODERATE,
                handle=self.replay,
                body=shapes.Replay,
                answer=shapes.Replayed,
            ),
            Operation(
                id="skip_parked",
                method="POST",
                path=f"{_PARKED}/skip",
                summary="Give up parked events of a group for good; for admins",
                tag=_TAG,
                access=Access.MODERATE,
                handle=self.skip,
                body=shapes.Skip,
                answer=shapes.Skipped,
                errors=(404,),
            ),
        ]

    async def overview(self, call: Call) -> Answer:
        return Answer(encode(_overview(await self._ops.overview(_actor(call)))))

    async def parked(self, call: Call) -> Answer:
        found = await self._ops.parked(_actor(call), call.query.get("group"), call.page())
        shown = shapes.ParkedEvents(
            [_event(one) for one in found.items], optional_id(found.next), optional_id(found.prev)
        )
        return Answer(encode(shown), headers=call.links(found))

    async def replay(self, call: Call) -> Answer:
        given = call.body(shapes.Replay)
        number = await self._ops.replay(_actor(call), given.group, given.offset, given.reason)
        return Answer(encode(shapes.Replayed(number)))

    async def skip(self, call: Call) -> Answer:
        given = call.body(shapes.Skip)
        if given.all == (given.offset is not None):
            raise Invalid("either {field} or all is needed", field="offset", code="invalid_target")
        skipped = await self._ops.skip(_actor(call), given.group, given.offset, given.reason)
        return Answer(encode(shapes.Skipped([one.offset for one in skipped])))


def _actor(call: Call) -> Actor:
    return Actor(call.me.user_id)


def _overview(of: Overview) -> shapes.Overview:
    disk = of.storage
    return shapes.Overview(
        at=rfc3339(of.at),
        version=of.version,
        uptime_seconds=of.uptime,
        seconds=of.seconds,
        parts=dict(of.parts),
        requests=[shapes.RequestRate(one.kind, one.status, one.per_second) for one in of.requests],
        latency=shapes.Latency(of.p50, of.p99),
        tweets_per_second=of.tweets,
        deliveries_per_second=of.deliveries,
        groups=[shapes.ConsumerGroup(one.group, one.offset, one.lag, one.lag_seconds, one.parked) for one in of.groups],
        caches=[shapes.CacheFigures(one.name, one.entries, one.hits, one.misses, one.ratio) for one in of.caches],
        online=of.online,
        timelines=of.timelines,
        timeline_bytes=of.timeline_bytes,
        connections=dict(of.connections),
        at_work=dict(of.at_work),
        memory_bytes=of.memory,
        storage=None if disk is None else shapes.Storage(disk.database, disk.log, disk.archives, disk.free, disk.total),
    )


def _event(of: ParkedEvent) -> shapes.ParkedEvent:
    failures = [shapes.Failure(one.group, one.error, one.attempts, moment(one.retry_at)) for one in of.failures]
    return shapes.ParkedEvent(of.offset, of.name, of.key, of.body, failures)
