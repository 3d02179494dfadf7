"""Archives, as clients ask for them and download them."""

import io
import json
import zipfile
from pathlib import Path

from rookery.kernel.clock import DAY, HOUR, ManualClock
from rookery.services.archives import making
from tests.gateways.rest.conftest import Person, Server, post, problem

PATH = "/v1/users/me/archive"


async def test_an_archive_from_the_request_to_the_download(
    server: Server, ann: Person, bob: Person, guest: Person, tmp_path: Path
):
    await post(ann, "hello")
    problem(await ann.get(PATH), 404, "archive_not_found")
    problem(await ann.get(f"{PATH}/file"), 404, "archive_not_found")
    problem(await guest.post(PATH), 401, "token_missing")
    problem(await (await server.person("reader", "read")).post(PATH), 403, "insufficient_scope")
    asked = await ann.post(PATH)
    assert asked.status_code == 202, asked.text
    assert asked.headers["location"] == PATH
    archive = asked.json()
    assert (archive["state"], archive["size"], archive["file"]) == ("waiting", None, None)
    again = await ann.post(PATH)
    assert (again.status_code, again.json()) == (202, archive), "one at a time"
    problem(await ann.get(f"{PATH}/file"), 409, "archive_not_ready")

    assert await server.network.archives.make_next()
    assert not await server.network.archives.make_next()
    ready = (await ann.get(PATH)).json()
    assert (ready["id"], ready["state"], ready["file"]) == (archive["id"], "ready", f"{PATH}/file")
    assert ready["expires_at"] == "2026-01-08T00:00:00.000Z"
    got = await ann.get(ready["file"])
    assert got.status_code == 200
    assert got.headers["content-type"] == "application/zip"
    assert got.headers["content-disposition"] == 'attachment; filename="rookery-archive-2026-01-01.zip"'
    assert got.headers["cache-control"] == "private, no-store"
    assert int(got.headers["content-length"]) == len(got.content) == ready["size"]
    with zipfile.ZipFile(io.BytesIO(got.content)) as file:
        assert file.testzip() is None
        (tweet,) = file.read("tweets.jsonl").splitlines()
        assert json.loads(tweet)["content"] == "hello"
        assert json.loads(file.read("account.json"))["id"] == ann.id
        told = json.loads(file.read("manifest.json"))["files"]
        assert set(file.namelist()) == {*told, "manifest.json"}
    problem(await bob.get(f"{PATH}/file"), 404, "archive_not_found")
    kept = list((tmp_path / "archives").rglob("0*"))
    assert [one.stat().st_mode & 0o777 for one in kept] == [0o600]


async def test_a_new_archive_takes_the_place_of_the_old_one_after_a_day(
    server: Server, ann: Person, clock: ManualClock, tmp_path: Path
):
    await ann.post(PATH)
    await server.network.archives.make_next()
    clock.advance(23 * HOUR)
    refused = problem(await ann.post(PATH), 429, "archive_too_soon")
    assert refused["params"]["minutes"] == 60
    clock.advance(HOUR)
    first = (await ann.get(PATH)).json()["id"]
    second = (await ann.post(PATH)).json()
    assert second["id"] != first
    assert second["state"] == "waiting"
    assert not (tmp_path / "archives" / first).exists()


async def test_archives_go_when_they_are_out_of_date_or_nobodys(
    server: Server, ann: Person, bob: Person, clock: ManualClock, tmp_path: Path
):
    folder = tmp_path / "archives"
    for person in (ann, bob):
        await person.post(PATH)
        await server.network.archives.make_next()
    (folder / "12345").mkdir()
    (folder / "12345" / "000000").write_bytes(b"of a row that is gone")
    await server.network.tend()
    assert len(list(folder.iterdir())) == 2
    await server.network.archives.erase(int(bob.id), lambda: None)
    problem(await bob.get(PATH), 404, "archive_not_found")
    assert len(list(folder.iterdir())) == 1
    clock.advance(7 * DAY)
    problem(await ann.get(PATH), 404, "archive_not_found")
    await server.network.tend()
    assert list(folder.iterdir()) == []


async def test_an_archive_whose_making_was_cut_short_is_made_anew(
    server: Server, ann: Person, tmp_path: Path, monkeypatch
):
    for number in range(30):
        await post(ann, f"tweet {number}")
    monkeypatch.setattr(making, "PART_BYTES", 500)
    await ann.post(PATH)
    archives = server.network.archives
    real = server.network.users.sessions

    async def broken(user_id: int):
        raise ConnectionError("the store is gone")

    monkeypatch.setattr(server.network.users, "sessions", broken)
    for _ in range(2):
        try:
            await archives.make_next()
        except ConnectionError:
            continue
        raise AssertionError
    assert (await ann.get(PATH)).json()["state"] == "making"
    monkeypatch.setattr(server.network.users, "sessions", real)
    await archives.make_next()
    ready = (await ann.get(PATH)).json()
    assert ready["state"] == "ready"
    parts = list((tmp_path / "archives" / ready["id"]).iterdir())
    assert len(parts) > 2
    got = await ann.get(f"{PATH}/file")
    assert len(got.content) == ready["size"]
    with zipfile.ZipFile(io.BytesIO(got.content)) as file:
        assert file.testzip() is None
        assert len(file.read("tweets.jsonl").splitlines()) == 30
    # A folder that was brought back from a backup has the row, but not the file.
    for part in parts:
        part.unlink()
    problem(await ann.get(f"{PATH}/file"), 404, "archive_not_found")
    assert (await ann.post(PATH)).status_code == 202


async def test_an_archive_that_can_not_be_made_is_given_up(server: Server, ann: Person, monkeypatch):
    await ann.post(PATH)

    async def broken(user_id: int):
        raise ConnectionError("the store is gone")

    monkeypatch.setattr(server.network.users, "sessions", broken)
    for _ in range(3):
        try:
            await server.network.archives.make_next()
        except ConnectionError:
            continue
    assert await server.network.archives.make_next()
    assert (await ann.get(PATH)).json()["state"] == "failed"
    assert not await server.network.archives.make_next()
    assert (await ann.post(PATH)).json()["state"] == "waiting"


async def test_the_worker_makes_what_is_asked_for(server: Server, ann: Person):
    server.network.archives.worker.start()
    await ann.post(PATH)
    while (await ann.get(PATH)).json()["state"] != "ready":
        pass
    await server.network.archives.worker.stop()
