"""The operators' figures of all processes of a network: each tells its own through Redis, and who is asked adds them up."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog
from msgspec.structs import replace

from rookery.infra.redis.port import Call, Redis, Script
from rookery.infra.telemetry.port import Answers
from rookery.infra.workers.port import Worker
from rookery.kernel.errors import RookeryError
from rookery.services.ops.contract import Storage
from rookery.services.ops.sources import Figures, Looks, Present, Sources

_EVERY: Final = 2.0
"""Seconds between two tellings."""

_SILENCE: Final = 20
"""Seconds after which a process that tells nothing is gone."""

_KEY: Final = b"rookery:{figures}"

_TELL: Final = Script(
    """
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%012d', now) .. ARGV[2])
redis.call('EXPIRE', KEYS[1], 3600)
local told, all = {}, redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  if now - tonumber(string.sub(all[at + 1], 1, 12)) > tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], all[at])
  else
    told[#told + 1] = all[at]
    told[#told + 1] = string.sub(all[at + 1], 13)
  end
end
return told
"""
)
"""KEYS: what processes tell. ARGV: this one's name and figures, seconds of silence. What all tell, names and figures in turns."""

_log: Any = structlog.get_logger("rookery.figures")


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What a process tells."""

    figures: Figures
    present: Present


class SharedFigures:
    """Implements `services.ops.sources.Sources` for several processes. `worker` tells and hears."""

    def __init__(self, own: Sources, redis: Redis, process: str) -> None:
        self._own = own
        self._redis = redis
        self._process = process
        self._others: dict[str, Told] = {}
        self._ended = _NOTHING
        """Counters of processes that are gone: what was done stays done."""
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Told).decode
        self.worker = Worker("figures of all", self._run)

    def figures(self) -> Figures:
        found = [self._own.figures(), *(one.figures for one in self._others.values())]
        total = self._ended
        for one in found:
            total = _sum(total, one)
        return total

    def present(self) -> Present:
        own = self._own.present()
        found = {self._process: own} | {name: one.present for name, one in self._others.items()}
        return Present(
            parts={name: _state(one.parts) for name, one in sorted(found.items())},
            timeline_bytes=sum(one.timeline_bytes for one in found.values()),
            connections=_added(*(one.connections for one in found.values())),
            at_work=_added(*(one.at_work for one in found.values())),
        )

    async def timelines(self) -> int:
        return await self._own.timelines()

    async def storage(self) -> Storage:
        return await self._own.storage()

    async def tell(self) -> None:
        """Tell the others, and hear what they tell. Raises Unavailable."""
        own = self._encode(Told(self._own.figures(), self._own.present()))
        answer = await self._redis.run(Call(_TELL, [_KEY], [self._process.encode(), own, _SILENCE]))
        heard: dict[str, Told] = {}
        for name, body in zip(answer[::2], answer[1::2], strict=True):
            # Another version of the program may tell in other words: then it is left out while both run.
            try:
                heard[name.decode()] = self._decode(body)
            except msgspec.MsgspecError:
                continue
        heard.pop(self._process, None)
        for name, before in self._others.items():
            now = heard.get(name)
            if now is None or _began_anew(before.figures, now.figures):
                self._ended = _sum(self._ended, _counters(before.figures))
        self._others = heard

    async def _run(self) -> None:
        failed = False
        while True:
            try:
                await self.tell()
                failed = False
            except RookeryError as error:
                if not failed:
                    _log.warning("figures are not told to other processes", error=repr(error))
                failed = True
            self.worker.rest()
            await asyncio.sleep(_EVERY)
            self.worker.beat()


_NOTHING: Final = Figures(
    answers=Answers({}, (), ()), tweets=0, deliveries=0, caches={}, lag=0, online=0, connections=0, memory=0
)


def _counters(one: Figures) -> Figures:
    """What a process has counted, without what it holds."""
    caches = {name: replace(looks, entries=0) for name, looks in one.caches.items()}
    return replace(one, caches=caches, lag=0, online=0, connections=0, memory=0)


def _began_anew(before: Figures, now: Figures) -> bool:
    def counted(one: Figures) -> tuple[int, ...]:
        return one.tweets, one.deliveries, *one.answers.within

    return any(new < old for old, new in zip(counted(before), counted(now), strict=True))


def _sum(one: Figures, other: Figures) -> Figures:
    within, more = one.answers.within, other.answers.within
    return Figures(
        answers=Answers(
            _added(one.answers.numbers, other.answers.numbers),
            tuple(a + b for a, b in zip(within, more, strict=True)) if within and more else within or more,
            other.answers.bounds or one.answers.bounds,
        ),
        tweets=one.tweets + other.tweets,
        deliveries=one.deliveries + other.deliveries,
        caches={name: _looks(one.caches.get(name), other.caches.get(name)) for name in {**one.caches, **other.caches}},
        lag=max(one.lag, other.lag),
        online=one.online + other.online,
        connections=one.connections + other.connections,
        memory=one.memory + other.memory,
    )


def _looks(one: Looks | None, other: Looks | None) -> Looks:
    found = [looks for looks in (one, other) if looks is not None]
    return Looks(
        sum(looks.entries for looks in found),
        sum(looks.hits for looks in found),
        sum(looks.misses for looks in found),
    )


def _added(*several: Mapping[Any, int]) -> dict[Any, int]:
    total = Counter[Any]()
    for one in several:
        for name, number in one.items():
            total[name] += number
    return dict(total)


def _state(parts: Mapping[str, str]) -> str:
    """A process in a word, or what is the matter with it."""
    return ", ".join(f"{part}: {state}" for part, state in parts.items() if state != "ok") or "ok"
