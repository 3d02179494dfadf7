"""The JSON of the operators' view. As `shapes`."""

from typing import Annotated

from msgspec import Meta, Struct

from rookery.gateways.rest.admin_shapes import Text
from rookery.gateways.rest.shapes import Cursor, Moment, Request

Group = Annotated[str, Meta(extra_json_schema={"pattern": "^[A-Za-z0-9_.-]{1,100}$"})]
Offset = Annotated[int, Meta(description="Its place in the log.", ge=1, le=2**63 - 1)]


class RequestRate(Struct, frozen=True):
    """Requests of one kind, `read` or `write`, with one class of answers, such as `2xx`."""

    kind: str
    status: str
    per_second: float


class Latency(Struct, frozen=True):
    """Within how many seconds 50 and 99 of a hundred requests were answered; null where there were none."""

    p50: float | None
    p99: float | None


class ConsumerGroup(Struct, frozen=True):
    """How far a group of consumers is. `lag` is in events, `lag_seconds` the age of the oldest that waits."""

    group: str
    offset: int
    lag: int
    lag_seconds: float
    parked: int


class CacheFigures(Struct, frozen=True):
    """How well a cache serves. `ratio` is the part of the last minute's looks that found something; null without looks."""

    name: str
    entries: int
    hits: int
    misses: int
    ratio: float | None


class Storage(Struct, frozen=True):
    """Bytes on the disk. `log` are the database's newest commits, which are not in it yet."""

    database: int
    log: int
    archives: int
    free: int
    total: int


class Overview(Struct, frozen=True):
    """The network at this moment. Rates are means over the last `seconds`."""

    at: Moment
    version: str
    uptime_seconds: float
    seconds: float
    parts: Annotated[dict[str, str], Meta(description="The store and each worker, and `ok` or what is wrong with it.")]
    requests: list[RequestRate]
    latency: Latency
    tweets_per_second: float
    deliveries_per_second: Annotated[float, Meta(description="Entries put into cached home timelines.")]
    groups: list[ConsumerGroup]
    caches: list[CacheFigures]
    online: Annotated[int, Meta(description="People with an open stream.")]
    timelines: Annotated[int, Meta(description="Home timelines that are cached.")]
    timeline_bytes: int
    connections: Annotated[dict[str, int], Meta(description="By what they wait for.")]
    at_work: Annotated[dict[str, int], Meta(description="Requests that are being answered, by kind.")]
    memory_bytes: int
    storage: Annotated[Storage, Meta(description="Null but for admins.")] | None


class Failure(Struct, frozen=True):
    """A group's trouble with an event. `retry_at` is null where it waits for an operator."""

    group: str
    error: str
    attempts: int
    retry_at: Moment | None


class ParkedEvent(Struct, frozen=True):
    """An event that could not be handled. `body` is what it says, as JSON text."""

    offset: int
    name: str
    key: str
    body: str
    failures: list[Failure]


class ParkedEvents(Struct, frozen=True):
    """A page of them."""

    items: list[ParkedEvent]
    next: Cursor | None
    prev: Cursor | None


class Replay(Request, frozen=True):
    """What is to be tried again: what a group has parked or all have, the event at an offset or all."""

    group: Group | None = None
    offset: Offset | None = None
    reason: Text = ""


class Replayed(Struct, frozen=True):
    """How many tries will be made."""

    replayed: int


class Skip(Request, frozen=True):
    """What a group is to go on without: the event at `offset`, or `all` that it has parked."""

    group: Group
    offset: Offset | None = None
    all: bool = False
    reason: Text = ""


class Skipped(Struct, frozen=True):
    """The offsets of what was given up."""

    skipped: list[int]
