"""What is wrong with a network's data, and making what is derived of it again, beside a running server."""

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rookery.kernel.mending import Mended, Tell, version_floor
from rookery.services.ops.contract import ForgetRequested
from rookery.services.timelines.contract import RebuildRequested
from rookery.services.timelines.service import GROUP
from rookery.services.tweets.repair import TweetRepair
from rookery.wiring.names import CHECK_TIMELINES, EVENTS, SERVER_FILE

if TYPE_CHECKING:
    from rookery.wiring import Network

_HEARD_TRIES = 100
_HEARD_EVERY = 0.1
"""Seconds between looks whether the server has heard of what was done, and how many there are at most."""


class Repaired(msgspec.Struct):
    """What was mended, and what is wrong and can't be: the truth itself."""

    mended: Mended
    left: list[str]


async def check(network: "Network", *, sample: int, seed: int) -> list[str]:
    """What is wrong with the data, in sentences; none where all is well.

    The file itself, page by page, or every value of a database elsewhere; counts against rows, notifications' groups too, the hashtags' index against tweets, both directions
    of follows, and up to `sample` home timelines against the truth: those that the running server has cached, or else those of people chosen at random,
    as they are in Redis or made here.
    """
    if found := await asyncio.to_thread(network.database.verify):
        return found  # what can't be read can't be compared
    found = await _differences(network)
    asked = await _timelines(network, sample, seed)
    if asked is not None:
        return found + asked
    await network.start()
    return found + await network.timelines.differences(await network.users_store.sample(sample, seed))


async def repair(network: "Network", tell: Tell, *, sample: int, seed: int) -> Repaired:
    """Mend what differs in derived data, and look again; a running server has heard of it when this ends."""
    mended = Mended()
    if found := await asyncio.to_thread(network.database.verify):
        return Repaired(mended, found)  # nothing is to be built on it
    for store in ("follows", "counts", "hashtags"):
        mended.add(await rebuild(network, store, tell))
    if cached := await _timelines(network, sample, seed):
        await rebuild(network, "timelines", tell)
        mended.note(cached)
    await heard(network)
    return Repaired(mended, await check(network, sample=sample, seed=seed))


async def rebuild(network: "Network", store: str, tell: Tell) -> Mended:
    """Make a derived store again, one of `REBUILDS`: what differed from the truth is told, and written; nothing else is."""
    return await REBUILDS[store](network, tell)


async def heard(network: "Network") -> bool:
    """Wait until a running server has handled everything so far; False where it does not within some seconds. Without a server
    there is nobody to wait for. Of several processes on one database the durable groups are waited for; what a process has in its
    memory hears of it in a moment.
    """
    head = await network.log.head()
    for _ in range(_HEARD_TRIES):
        if network.settings.database:
            groups = await network.log.status()
            behind = {one.group for one in groups if one.durable and one.lag and one.offset < head}
            if behind == await network.log.unattended(behind):
                return True
            await asyncio.sleep(_HEARD_EVERY)
            continue
        told = await asyncio.to_thread(ask_server, network.settings.data, EVENTS)
        if told is None or all(one["offset"] >= head or not one["lag"] for one in told):
            return True
        await asyncio.sleep(_HEARD_EVERY)
    return False


async def _differences(network: "Network") -> list[str]:
    found: list[str] = []
    for store in (network.users_store, network.graph_store, network.tweet_store, network.notification_store):
        found += [str(difference) for difference in await store.check(100)]
    return found


async def _timelines(network: "Network", sample: int, seed: int) -> list[str] | None:
    """What differs in cached timelines: in Redis, or in those of the running server; None where none runs."""
    if not network.settings.redis:
        path = f"{CHECK_TIMELINES}?{sample=}&{seed=}"
        return await asyncio.to_thread(ask_server, network.settings.data, path)
    if not network.log.workers:
        # The processes go on with their groups; how far the fan-out has come says when timelines can be judged.
        network.log.follow(GROUP)
        await network.log.start()
    return await network.timelines.differences(await network.users_store.sample(sample, seed))


def _tweets(network: "Network") -> TweetRepair:
    return TweetRepair(network.database, network.log, network.ids.next, floor=version_floor(network.clock.now()))


async def _follows(network: "Network", tell: Tell) -> Mended:
    return await network.graph_store.repair(tell, floor=version_floor(network.clock.now()))


async def _counts(network: "Network", tell: Tell) -> Mended:
    return await _tweets(network).counts(tell)


async def _hashtags(network: "Network", tell: Tell) -> Mended:
    return await _tweets(network).hashtags(tell)


async def _forget_timelines(network: "Network", _: Tell) -> Mended:
    await network.log.publish([RebuildRequested()])
    return Mended()


async def _forget_caches(network: "Network", _: Tell) -> Mended:
    await network.log.publish([ForgetRequested(network.clock.now())])
    return Mended()


REBUILDS: dict[str, Callable[["Network", Tell], Awaitable[Mended]]] = {
    "follows": _follows,
    "counts": _counts,
    "hashtags": _hashtags,
    "caches": _forget_caches,
    "timelines": _forget_timelines,
}
"""The derived stores, in an order in which each stands on those before it."""


def ask_server(folder: Path, path: str) -> Any:
    """The answer, from JSON, of the server that runs on the folder; None where none does."""
    try:
        known = json.loads((folder / SERVER_FILE).read_text())
        with urllib.request.urlopen(f"http://{known['metrics']}{path}", timeout=60) as answer:
            return json.load(answer)
    except (OSError, KeyError, ValueError):
        return None
