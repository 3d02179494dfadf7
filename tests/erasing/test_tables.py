"""Every table says what becomes of its rows when a person is erased; one that is in no list is a leak in waiting."""

import re
from pathlib import Path
from typing import Any

from sqlalchemy import text

from rookery.infra.events.port import decode
from rookery.infra.sql.port import Statement
from rookery.kernel.clock import ManualClock
from rookery.services.tweets.contract import NewTweet, Posted
from rookery.services.users.contract import NewPerson
from tests.infra.sql.test_migrations import described
from tests.support import caught_up, network_in

PAGE = Path(__file__).parents[2] / "docs" / "decisions" / "0017-erasing.md"

PARK = """
    INSERT INTO events_parked (group_name, "offset", at, name, key, body, error, attempts)
    SELECT 'absent', "offset", at, name, key, body, 'zqx told the error', 6 FROM events_log WHERE name = 'tweets.posted'
"""


async def test_every_table_is_named_by_an_eraser_and_on_the_page_with_what_becomes_of_it(tmp_path, clock):
    tables = {table.name for metadata in described() for table in metadata.sorted_tables}
    async with network_in(tmp_path, clock) as network:
        erases = network.erasing.erases
    assert set(erases) == tables
    assert all(erases.values())
    listed = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE))
    assert listed == erases


async def test_the_log_names_an_erased_person_no_more_and_parked_events_keep_no_text(tmp_path, clock: ManualClock):
    async with network_in(tmp_path, clock) as network:
        made = await network.users.import_people([NewPerson("ann"), NewPerson("bob")])
        ann, bob = made["ann"], made["bob"]
        await network.ingestion.post(ann, NewTweet("hello #zqxtag"))
        await network.ingestion.post(bob, NewTweet("hello #bobstag"))
        await network.database.write(lambda tx: tx.run(Statement(text(PARK))))
        await network.users.erase(ann, None)
        await caught_up(network)
        await network.erasing.finish(ann)
        bodies: list[Any] = network.database._reader.raw.execute("SELECT name, body FROM events_log").fetchall()
        naming = [name for name, body in bodies if str(ann) in body]
        assert set(naming[:-1]) <= {"users.erased"}, "the newest event of all stays"
        assert any("bobstag" in body for _, body in bodies)
        parked = {one.offset: one for one in await network.log.parked()}
        events = [decode(one.name, one.body) for one in parked.values()]
        by = {event.author_id: event for event in events if isinstance(event, Posted)}
        assert by[ann].hashtags == ()
        assert by[bob].hashtags == ("bobstag",)
        assert [one.error for one in parked.values()] == ["erased", "zqx told the error"]
