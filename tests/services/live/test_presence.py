"""Who is there: streams make people live, and their ends are told."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rookery.settings import Settings
from rookery.wiring import open_network
from tests.live import WAIT, Person, Site, people, site
from tests.support import Server

FOLLOWS = [("ann", "bob"), ("bob", "ann"), ("cat", "ann")]


@asynccontextmanager
async def served(folder: Path, **settings: Any) -> AsyncGenerator[tuple[Site, dict[str, Person]]]:
    who = await people(folder, ("ann", "bob", "cat"), FOLLOWS)
    with Server(folder, **settings) as server:
        async with site(server) as here:
            yield here, who


async def events(folder: Path, name: str) -> list[Any]:
    """The events of this name, from the log beside the server."""
    async with open_network(Settings(data=folder)) as network:
        found = await network.log.read(0, 100_000)
        return [one.event for one in found.events if one.event.name == name]


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` finds, once it finds something."""
    async with asyncio.timeout(WAIT):
        while not (found := await look()):  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.1)
    return found


async def test_the_last_of_somebodys_streams_takes_them_along_and_tells_how_long_they_stayed(tmp_path: Path):
    async with served(tmp_path) as (here, who):
        first, second = await here.stream(who["ann"]), await here.stream(who["ann"])
        (came,) = await events(tmp_path, "live.came_online")
        assert came.user_id == who["ann"].id
        await first.close()
        await second.entry(await here.post(who["ann"]))
        assert not await events(tmp_path, "live.went_offline")
        await second.close()
        (went,) = await eventually(lambda: events(tmp_path, "live.went_offline"))
        assert (went.user_id, went.started_at) == (who["ann"].id, came.started_at)
        assert went.duration == went.ended_at - went.started_at >= 0

        async def active() -> bool:
            async with open_network(Settings(data=tmp_path)) as network:
                return (await network.users_store.last_active([who["ann"].id])).get(who["ann"].id, 0) >= went.ended_at

        assert await eventually(active)


async def test_who_comes_back_at_once_has_not_been_away(tmp_path: Path):
    async with served(tmp_path) as (here, who):
        for _ in range(3):
            await (await here.stream(who["ann"])).close()
        stream = await here.stream(who["ann"])
        assert len(await events(tmp_path, "live.came_online")) == 1
        assert not await events(tmp_path, "live.went_offline")
        await stream.close()


async def test_after_a_kill_who_was_there_is_told_to_have_left(tmp_path: Path):
    async with served(tmp_path) as (here, who):
        await here.stream(who["ann"])
        here.server.kill()
        here.server.start()
        (went,) = await eventually(lambda: events(tmp_path, "live.went_offline"))
        assert went.user_id == who["ann"].id


async def test_a_peer_that_answers_no_heartbeat_is_taken_to_be_gone(tmp_path: Path):
    async with served(tmp_path, live_heartbeat_seconds=1, live_timeout_seconds=3) as (here, who):
        stream = await here.stream(who["ann"])
        well = await here.stream(who["bob"])
        await stream.type("heartbeat")
        # What comes is read no more, and so no ping is answered.
        transport: Any = stream.socket.transport
        transport.pause_reading()

        async def gone() -> list[Any]:
            return await events(tmp_path, "live.went_offline")

        (went,) = await eventually(gone)
        assert went.user_id == who["ann"].id
        transport.resume_reading()
        assert await stream.end() == (4408, "no_answer")
        await well.entry(await here.post(who["bob"]))


async def test_heartbeats_move_the_offset_on_while_nothing_else_happens_to_me(tmp_path: Path):
    async with served(tmp_path, live_heartbeat_seconds=1) as (here, who):
        stream = await here.stream(who["ann"])
        first = int(stream.offset)
        await here.post(who["cat"], "of no concern to ann")
        await stream.until(lambda one: one["type"] == "heartbeat" and int(one["offset"]) > first)
        assert not stream.entries


async def test_mutual_follows_see_each_other_come_and_go_if_they_allow_it(tmp_path: Path):
    async with served(tmp_path) as (here, who):
        watcher, fan = await here.stream(who["bob"]), await here.stream(who["cat"])
        shy = await here.stream(who["ann"])
        assert await here.call("GET", "/v1/presence", who["bob"]) == {"visible": False, "online": []}
        await here.call("PUT", "/v1/presence", who["ann"], json={"visible": True})
        told = await watcher.type("presence")
        assert (told["user_id"], told["online"]) == (str(who["ann"].id), True)
        found = await here.call("GET", "/v1/presence", who["bob"])
        assert found == {"visible": False, "online": [str(who["ann"].id)]}
        await shy.close()
        await watcher.until(lambda one: one["type"] == "presence" and not one["online"])
        assert (await here.call("GET", "/v1/presence", who["bob"]))["online"] == []
        await fan.entry(await here.post(who["ann"]))
        assert not fan.of("presence"), "cat follows ann, who does not follow cat"


@pytest.mark.parametrize("act", ["deactivate", "erase"])
async def test_an_account_that_leaves_takes_its_streams_along(tmp_path: Path, act: str):
    async with served(tmp_path) as (here, who):
        stream = await here.stream(who["ann"])
        async with open_network(Settings(data=tmp_path)) as network:
            if act == "erase":
                await network.users.erase(who["ann"].id, None)
            else:
                await network.users.deactivate(who["ann"].id)
        code, reason = await stream.end()
        assert code == 4401
        assert reason in ("account_inactive", "token_revoked")


async def test_a_server_that_ends_tells_to_come_again(tmp_path: Path):
    async with served(tmp_path) as (here, who):
        streams = [await here.stream(who["ann"]), await here.stream(who["bob"])]
        assert await asyncio.to_thread(here.server.stop) == 0
        for stream in streams:
            assert await stream.end() == (1012, "restart")
        left = await events(tmp_path, "live.went_offline")
        assert {one.user_id for one in left} == {who["ann"].id, who["bob"].id}


async def test_presence_is_forgotten_after_the_time_in_which_one_may_come_back(tmp_path: Path):
    async with served(tmp_path, live_replay_seconds=4) as (here, who):
        stream = await here.stream(who["ann"])
        await stream.close()

        async def forgotten() -> bool:
            async with open_network(Settings(data=tmp_path)) as network:
                stays = await network.live_store.people()
                return not stays

        assert await eventually(forgotten)
        # Nothing was delivered to her since, and it can be told all the same, as it is young enough.
        missed = await here.post(who["bob"], "missed")
        again = await here.stream(who["ann"], query=f"?offset={stream.offset}")
        await again.until(lambda one: one["type"] in ("caught_up", "resync"))
        if again.of("caught_up"):
            assert again.entries == [missed]


async def test_an_offset_that_is_too_old_is_told_to_reload(tmp_path: Path):
    async with served(tmp_path, live_replay_seconds=1) as (here, who):
        stream = await here.stream(who["ann"])
        await here.post(who["bob"], "old")
        await asyncio.sleep(1.5)
        again = await here.stream(who["ann"], query=f"?offset={stream.told[0]['offset']}")
        assert (await again.type("resync"))["reason"] == "too_old"
        id = await here.post(who["bob"], "new")
        await again.entry(id)
        assert again.entries == [id]
