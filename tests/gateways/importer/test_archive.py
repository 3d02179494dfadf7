"""Everything of a person goes out of one network and comes into another, or back into the same."""

import asyncio
import hashlib
import itertools
import json
import zipfile
from asyncio import Event
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from rookery.gateways.importer.archive import ArchiveImport, Services, import_archives
from rookery.gateways.importer.archivefile import ArchiveReport, RookeryArchive
from rookery.gateways.importer.bundle import Bundle
from rookery.kernel.clock import DAY, HOUR, MINUTE, ManualClock
from rookery.kernel.errors import Conflict, Invalid, RookeryError
from rookery.kernel.visibility import ReplyRule, State, Visibility
from rookery.services.drafts.contract import Draft
from rookery.services.notifications.contract import From, PreferencesChange
from rookery.services.tweets.contract import ImportedTweet, NewTweet, TweetChange
from rookery.services.users.contract import NewPerson, ProfileChange
from rookery.wiring import Network
from tests.support import caught_up, network_in

PEOPLE = ("ann", "bob", "cat", "dan", "eve")


class World:
    """A small network with something of everything."""

    def __init__(self, network: Network, clock: ManualClock) -> None:
        self.network = network
        self.clock = clock
        self.ids: dict[str, int] = {}

    async def post(self, who: str, content: str, **fields: Any) -> int:
        self.clock.advance(MINUTE)
        return (await self.network.ingestion.post(self.ids[who], NewTweet(content, **fields))).id

    async def build(self) -> None:
        network, clock = self.network, self.clock
        people = [NewPerson(who, who.title(), f"I am {who}", "here", clock.now() - DAY) for who in PEOPLE]
        self.ids = dict(await network.users.import_people(people))
        ann, bob, cat, dan, eve = (self.ids[who] for who in PEOPLE)
        await network.users.edit(
            ann,
            ProfileChange(
                email="ann@example.org",
                date_of_birth="1990-05-04",
                country="NZ",
                avatar_url="https://example.org/ann.png",
            ),
        )
        await network.users.edit(cat, ProfileChange(protected=True, email="cat@example.org"))
        for one, other in ((ann, bob), (bob, ann), (dan, ann), (ann, cat), (dan, cat), (eve, ann)):
            await network.graph.follow(one, other)
        await network.graph.approve(cat, ann)
        await network.graph.block(bob, eve)
        await network.graph.mute(ann, dan)

        first = await self.post("ann", "hello @bob #rookery https://example.org/x", lang="en")
        reply = await self.post("bob", "@ann hello to you", reply_to=first)
        deeper = await self.post("ann", "and again", reply_to=reply)
        await self.post("cat", "for followers alone", visibility=Visibility.FOLLOWERS)
        await self.post("cat", "@ann for you", visibility=Visibility.MENTIONED)
        await self.post("dan", "look at this", quote_of=deeper, media_url="https://example.org/d.jpg")
        both = await self.post("bob", "both", reply_to=deeper, quote_of=deeper)
        edited = await self.post("ann", "helo #one", visibility=Visibility.UNLISTED)
        await network.ingestion.edit(ann, edited, TweetChange(content="hello #two @dan", lang="de"))
        clock.advance(MINUTE)
        await network.ingestion.edit(ann, edited, TweetChange(content="hello #three"))
        gone = await self.post("ann", "gone")
        await network.ingestion.delete(ann, gone)
        old = ImportedTweet(dan, "from elsewhere", clock.now() - 900 * DAY, "twitter", "77", retweets=5, favorites=9)
        answer = ImportedTweet(eve, "to elsewhere", clock.now() - 899 * DAY, "twitter", "78", reply_to_external_id="77")
        old_id = (await network.ingestion.import_tweets([old, answer]))[0]
        assert old_id is not None
        for who, tweet in ((bob, first), (dan, first), (ann, both), (ann, old_id)):
            clock.advance(MINUTE)
            await network.ingestion.retweet(who, tweet)
            await network.ingestion.favorite(who, tweet)
        await network.ingestion.bookmark(dan, reply)
        await network.ingestion.bookmark(ann, first)
        await network.drafts.create(ann, NewTweet("not yet", reply_to=reply, lang="en"))
        await network.drafts.create(ann, NewTweet("tomorrow"), clock.now() + DAY)
        ruled = await self.post("bob", "who is invited? @ann", reply_rule=ReplyRule.MENTIONED)
        await network.ingestion.pin(bob, ruled, True)
        for tag in ("Rookery", "birds"):
            await network.choices.follow_hashtag(ann, tag)
        await network.choices.mute_conversation(dan, first)
        await network.choices.add_filter(ann, "spoilers", None)
        await network.live.show_presence(ann, True)
        await network.notifications.prefer(ann, PreferencesChange(favorite=From.FOLLOWING, quote=From.NOBODY))
        await network.choices.add_filter(ann, "the match", clock.now() + 900 * DAY)
        await network.drafts.create(bob, NewTweet("for some", reply_rule=ReplyRule.FOLLOWERS))
        await network.users.deactivate(eve)


async def export(network: Network, folder: Path, *handles: str) -> list[Path]:
    """The archives of these people."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    files: list[Path] = []
    people = await network.users.by_handles(handles)
    for handle in handles:
        pieces: list[bytes] = []

        async def put(data: bytes, pieces: list[bytes] = pieces) -> None:
            pieces.append(data)

        await network.archive_maker.make(people[handle].id, put)
        files.append(folder / f"{handle}.zip")
        await asyncio.to_thread(files[-1].write_bytes, b"".join(pieces))
    return files


async def bring(network: Network, files: Sequence[Path], handle: str | None = None) -> list[ArchiveReport]:
    """Import them together; what was done."""
    services = Services(
        users=network.users,
        graph=network.graph,
        choices=network.choices,
        notifications=network.notifications,
        live=network.live,
        ingestion=network.ingestion,
        reads=network.reads,
        drafts=network.drafts,
        archives=network.archives,
    )
    archives = [RookeryArchive(Bundle(file)) for file in files]
    for archive in archives:
        archive.verify()
    stop = Event()
    await import_archives([ArchiveImport(one, services, handle, stop) for one in archives], stop, lambda *_: None)
    return [archive.report for archive in archives]


def lines(archive: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(name).splitlines()]


def state(file: Path) -> dict[str, Any]:
    """An archive without what is of its network alone: ids, and when people began to follow."""
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        account = json.loads(archive.read("account.json"))
        found: dict[str, Any] = {"account": {k: _plain(v) for k, v in account.items() if k not in ("id", "state")}}
        for name in archive.namelist():
            if not name.endswith(".jsonl") or name == "sessions.jsonl":
                continue
            records = [_plain(record) for record in lines(archive, name)]
            found[name] = sorted(records, key=lambda record: json.dumps(record, sort_keys=True))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"id", "handle"}:
            return value["handle"]
        return {k: _plain(v) for k, v in value.items() if k not in ("id", "since")}
    return [_plain(one) for one in value] if isinstance(value, list) else value


@pytest.fixture
async def files(tmp_path: Path, clock: ManualClock) -> list[Path]:
    """The archives of a whole network."""
    async with network_in(tmp_path / "one", clock) as network:
        world = World(network, clock)
        await world.build()
        # Who is deactivated has an archive, too.
        return await export(network, tmp_path / "out", *PEOPLE)


def states(files: Sequence[Path]) -> dict[str, Any]:
    return {file.stem: state(file) for file in files}


async def same(network: Network, folder: Path, before: Mapping[str, Any]) -> None:
    """See that the people of the network are what they were."""
    after = states(await export(network, folder, *PEOPLE))
    for who, files in before.items():
        for name, wanted in files.items():
            assert after[who][name] == wanted, f"{name} of {who}"
    assert after == before


async def test_a_network_of_people_comes_back_as_it_was(files: list[Path], tmp_path: Path, clock: ManualClock):
    before = states(files)
    assert len(before["ann"]["tweets.jsonl"]) == 3
    assert before["ann"]["following.jsonl"] == [{"person": "bob"}, {"person": "cat"}]
    assert before["ann"]["tweets.jsonl"][-1]["revisions"] or any(
        one["revisions"] for one in before["ann"]["tweets.jsonl"]
    )
    clock.advance(HOUR)
    async with network_in(tmp_path / "two", clock) as network:
        await bring(network, files[::-1])
        await same(network, tmp_path / "again", before)
        assert [str(one) for one in await network.tweet_store.check()] == []
        assert await network.graph_store.check(10) == []
        await caught_up(network)
        offset = await network.log.head()
        reports = await bring(network, files)
        assert await network.log.head() == offset, "a second import changes nothing"
        assert not any(one.account_made or one.connected or one.tweets.added or one.drafts.added for one in reports)
        await same(network, tmp_path / "third", before)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3)])
async def test_archives_that_come_one_by_one_find_each_other_in_the_end(
    files: list[Path], tmp_path: Path, clock: ManualClock, order: Sequence[int]
):
    async with network_in(tmp_path / "two", clock) as network:
        for _, number in itertools.product(range(3), order):
            await bring(network, [files[number]])
        await same(network, tmp_path / "again", states(files))
        assert [str(one) for one in await network.tweet_store.check()] == []


async def test_an_archive_that_is_read_back_into_its_own_network_changes_nothing(tmp_path: Path, clock: ManualClock):
    async with network_in(tmp_path / "one", clock) as network:
        world = World(network, clock)
        await world.build()
        files = await export(network, tmp_path / "out", *PEOPLE)
        await network.users.set_state(world.ids["eve"], State.ACTIVE)
        mine = (await network.reads.written(world.ids["ann"], 0, 10))[0].record.id
        await network.ingestion.delete(world.ids["ann"], mine)
        await caught_up(network)
        offset = await network.log.head()
        await bring(network, files)
        assert await network.log.head() == offset
        assert await network.reads.get([mine], world.ids["ann"]) == [], "what was deleted stays deleted"


async def test_an_import_that_was_cut_short_is_completed_by_another(
    files: list[Path], tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
):
    """Every call that writes fails once, after it was done."""
    async with network_in(tmp_path / "two", clock) as network:
        calls = (
            (network.users, "import_people"),
            (network.users, "edit"),
            (network.archives, "bind"),
            (network.ingestion, "import_tweets"),
            (network.ingestion, "import_favorites"),
            (network.ingestion, "import_bookmarks"),
            (network.graph, "import_follows"),
            (network.graph, "follow"),
            (network.graph, "block"),
            (network.drafts, "import_drafts"),
        )
        for service, name in calls:
            real = getattr(service, name)
            cut = [False]

            async def once(*args: Any, real: Any = real, cut: list[bool] = cut) -> Any:
                result = await real(*args)
                if not cut[0]:
                    cut[0] = True
                    raise ConnectionError("cut")
                return result

            monkeypatch.setattr(service, name, once)
        failures = 0
        while True:
            try:
                await bring(network, files)
                break
            except ConnectionError:
                failures += 1
        assert failures == len(calls)
        monkeypatch.undo()
        await same(network, tmp_path / "again", states(files))


async def test_one_archive_alone_comes_without_what_is_not_there(files: list[Path], tmp_path: Path, clock: ManualClock):
    async with network_in(tmp_path / "two", clock) as network:
        (report,) = await bring(network, files[1:2])
        assert report.account_made
        assert (report.tweets.read, report.tweets.added, report.tweets.not_here) == (3, 3, 2)
        assert (report.marks["retweets"].read, report.marks["retweets"].not_here) == (1, 1)
        assert (report.people["following"].read, report.people["following"].not_here) == (1, 1)


async def test_a_namesake_is_not_taken_for_the_person(files: list[Path], tmp_path: Path, clock: ManualClock):
    async with network_in(tmp_path / "two", clock) as network:
        there = (await network.users.import_people([NewPerson("Ann")]))["ann"]
        with pytest.raises(Conflict) as refused:
            await bring(network, files[:1])
        assert refused.value.code == "handle_taken"
        assert (await network.reads.tweet_counts([there]))[there] == 0
        # Cat's tweet for ann alone is not for her namesake.
        await bring(network, files[2:3])
        assert [
            one.record.mentions
            for one in await network.reads.written((await network.users.by_handles(["cat"]))["cat"].id, 0, 10)
        ] == [{}, {}]
        (report,) = await bring(network, files[:1], "ann")
        assert (report.handle, report.account_made, report.tweets.added) == ("Ann", False, 3)
        account = await network.users.account(there)
        assert (account.user.name, account.email) == ("Ann", None), "the profile of an account that was there stays"
        (again,) = await bring(network, files[:1])
        assert (again.handle, again.tweets.added) == ("Ann", 0)
        with pytest.raises(Conflict) as refused:
            await bring(network, files[:1], "other")
        assert refused.value.code == "archive_bound"


async def test_a_protected_account_is_asked_and_approves_by_its_own_archive(
    files: list[Path], tmp_path: Path, clock: ManualClock
):
    async with network_in(tmp_path / "two", clock) as network:
        await bring(network, files[2:3])
        await bring(network, files[:1])
        ids = {handle: user.id for handle, user in (await network.users.by_handles(["ann", "cat"])).items()}
        (standing,) = await network.graph.relationships(ids["ann"], [ids["cat"]])
        assert (standing.following, standing.requested) == (False, True)
        await bring(network, files[2:3])
        (standing,) = await network.graph.relationships(ids["ann"], [ids["cat"]])
        assert (standing.following, standing.requested) == (True, False)


async def test_a_scheduled_tweet_whose_time_is_over_is_kept_and_not_posted(
    files: list[Path], tmp_path: Path, clock: ManualClock
):
    clock.advance(30 * DAY)
    async with network_in(tmp_path / "two", clock) as network:
        await bring(network, files[:1])
        ann = (await network.users.by_handles(["ann"]))["ann"].id

        async def drafts() -> list[Draft]:
            from rookery.kernel.pages import Page

            return (await network.drafts.mine(ann, Page(10))).items

        kept = {draft.tweet.content: draft for draft in await drafts()}
        assert (kept["tomorrow"].publish_at, kept["tomorrow"].failure) == (None, "missed")
        assert await network.drafts.publish_due() == 0
        await network.drafts.delete(ann, kept["tomorrow"].id)
        await bring(network, files[:1])
        assert [draft.tweet.content for draft in await drafts()] == ["not yet"], "what was thrown away stays away"


async def test_an_archive_that_was_changed_is_refused(files: list[Path], tmp_path: Path):
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(files[0]) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data.replace(b"hello", b"hullo") if name == "tweets.jsonl" else data)
    with pytest.raises(Invalid) as refused:
        RookeryArchive(Bundle(changed)).verify()
    assert refused.value.code == "archive_changed"
    assert "tweets.jsonl" in refused.value.sentence()
    lacking = tmp_path / "lacking.zip"
    with zipfile.ZipFile(files[0]) as old, zipfile.ZipFile(lacking, "w") as new:
        for name in old.namelist():
            if name != "favorites.jsonl":
                new.writestr(name, old.read(name))
    with pytest.raises(Invalid, match=r"lacks favorites\.jsonl"):
        RookeryArchive(Bundle(lacking)).verify()
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(files[0]) as old:
        old.extractall(unpacked / "folder")
    RookeryArchive(Bundle(unpacked)).verify()


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-23:59", "2080-01-01T00:00:00Z", "2026-01-01T00:00:00"])
async def test_records_with_a_moment_that_nobody_can_have_meant_are_left_out_and_told_of(
    files: list[Path], tmp_path: Path, clock: ManualClock, moment: str
):
    """Whatever of a record it is, also of what a tweet said before."""
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(files[0]) as old:
        old.extractall(unpacked)
    of = {
        "tweets.jsonl": "revisions",
        "filters.jsonl": "expires_at",
        "drafts.jsonl": "created_at",
        "favorites.jsonl": "at",
    }
    for name, field in of.items():
        with zipfile.ZipFile(files[0]) as old:
            records = lines(old, name)
        changed = next(record for record in records if record.get(field))
        if field == "revisions":
            changed[field][0]["at"] = moment
        else:
            changed[field] = moment
        (unpacked / name).write_text("".join(f"{json.dumps(record)}\n" for record in records))
    # Whoever changes an archive can write what it is checked by, too.
    manifest = json.loads((unpacked / "manifest.json").read_text())
    for name in of:
        manifest["files"][name]["sha256"] = hashlib.sha256((unpacked / name).read_bytes()).hexdigest()
    (unpacked / "manifest.json").write_text(json.dumps(manifest))
    async with network_in(tmp_path / "two", clock) as network:
        (report,) = await bring(network, [unpacked])
        assert {bad.file for bad in report.first_bad} == set(of)
        assert report.bad == len(of)
        await export(network, tmp_path / "again", "ann")


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        (b"", "no_archive"),
        (b"[" * 100_000, "no_archive"),
        (b'{"format": "other"}', "no_archive"),
        (b'{"format": "rookery-archive", "version": 2}', "newer_archive"),
        (b'{"format": "rookery-archive", "version": 1}', "archive_broken"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, manifest: bytes, code: str):
    (tmp_path / "manifest.json").write_bytes(manifest)
    with pytest.raises(RookeryError) as refused:
        RookeryArchive(Bundle(tmp_path))
    assert refused.value.code == code


async def test_the_archive_holds_no_secrets(tmp_path: Path, clock: ManualClock):
    from rookery.services.users.contract import Client, Registration

    async with network_in(tmp_path / "one", clock) as network:
        made = await network.users.register(
            Registration("ann", "ann@example.org", "correct horse battery"), Client("tests", "127.0.0.1")
        )
        (file,) = await export(network, tmp_path / "out", "ann")
        with zipfile.ZipFile(file) as archive:
            everything = b"".join(archive.read(name) for name in archive.namelist())
            (session,) = lines(archive, "sessions.jsonl")
            manifest = json.loads(archive.read("manifest.json"))
    assert made.token.encode() not in everything
    assert b"argon2" not in everything
    assert b"ann@example.org" in everything
    assert (session["app"], session["scopes"]) == ("tests", ["read", "write"])
    assert manifest["files"]["sessions.jsonl"]["records"] == 1
    assert structs.asdict(made.account)["email"] == "ann@example.org"
