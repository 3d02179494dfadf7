"""Other services' events are passed on to whom they are for, live and when somebody comes back."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

import rookery.wiring
from rookery.infra.events.port import Event
from rookery.kernel.clock import ManualClock
from rookery.services.live.contract import End, Personal, Told
from rookery.services.users.contract import Client, NewPerson
from tests.support import network_in


class Rung(Event, topic="notifications"):
    """A bell rang for somebody."""

    user_id: int
    bell: str


class Kept:
    """A client that keeps what it is told of bells."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Personal]] = []

    def tell(self, messages: Sequence[Told]) -> bool:
        self.told += [(offset, one) for offset, one in messages if isinstance(one, Personal)]
        return True

    def end(self, reason: End) -> None:
        raise AssertionError(reason)


async def test_a_person_is_told_of_what_happened_to_them_elsewhere_and_nobody_else_is(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
):
    passed = {Rung: lambda event: (event.user_id, Personal("rung", {"bell": event.bell, "loud": True}))}
    monkeypatch.setattr(rookery.wiring, "PASSED_ON", passed)
    async with network_in(tmp_path, clock) as network:
        ids = await network.users.import_people([NewPerson("ann"), NewPerson("bob")])
        identities = {}
        for name, id in ids.items():
            token = (await network.users.issue(id, ("read",), Client("tests"))).token
            identities[name] = await network.users.authenticate(token)
        clients = {name: Kept() for name in ids}
        streams = [await network.live.open(identities[name], clients[name], after=None, watch=()) for name in ids]
        await network.log.publish([Rung(ids["ann"], "first"), Rung(ids["bob"], "other")])
        async with asyncio.timeout(20):
            while not (clients["ann"].told and clients["bob"].told):  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.001)
        for stream in streams:
            stream.close()
        ((offset, told),) = clients["ann"].told
        assert told == Personal("rung", {"bell": "first", "loud": True})
        await network.log.publish([Rung(ids["ann"], "second")])
        again = await network.live.open(identities["ann"], clients["ann"], after=offset, watch=())
        async with asyncio.timeout(20):
            while len(clients["ann"].told) < 2:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.001)
        assert [one.fields["bell"] for _, one in clients["ann"].told] == ["first", "second"]
        again.close()
