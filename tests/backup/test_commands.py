"""`backup` and `restore` as an operator meets them: lists, retention, damage, kills, full disks, wrong places."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from rookery.backup import catalog, restoring
from rookery.backup import format as form
from rookery.infra.objects.folder import FolderObjects
from rookery.kernel.clock import DAY, SystemClock
from tests.backup.conftest import Here, add_ballast, change
from tests.cli.conftest import Rookery
from tests.engines import s3
from tests.faults.shim import small_disk
from tests.support import Server

__all__ = ["s3"]


def listed(network: Rookery, place: object) -> list[tuple[str, str]]:
    return [(one["id"], one["state"]) for one in network.ok("backup", place, "--list", "--json").json]


def wait_for(true) -> None:
    """Ask again until it is so; the test's own limit ends it if it never is."""
    while not true():
        time.sleep(0.005)


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def other(tmp_path) -> Rookery:
    """The program on a folder that is not there yet."""
    return Here(tmp_path / "other")


# --- there and back


def test_a_network_comes_back_as_it_was(network, place, other):
    made = network.ok("backup", place, "--verify", "--json").json
    assert (made["verified"], made["removed"], made["rows"]["tweets_tweets"]) == (True, [], 60)
    told = other.ok("restore", place).out
    assert made["id"] in told
    assert sorted(path.name for path in other.data.iterdir()) == ["rookery.db", "serve.lock"]
    assert (other.data / "rookery.db").stat().st_mode & 0o777 == 0o600
    assert other.ok("check").out == "all is well\n"
    for handle in ("u1", "u2", "u3"):
        assert other.ok("user", "show", handle, "--json").json == network.ok("user", "show", handle, "--json").json
    with Server(other.data):
        assert other.ok("check").out == "all is well\n"


def test_backups_are_listed_newest_first_and_one_can_be_chosen(network, place, other):
    first = network.ok("backup", place, "--json").json["id"]
    network.ok("user", "create", "new", "--email", "new@example.org", "--password", "long secret")
    second = network.ok("backup", f"file://{place}", "--json").json["id"]
    assert listed(network, place) == [(second, "whole"), (first, "whole")]
    assert first in network.ok("backup", place, "--list").out
    other.ok("restore", place, "--backup", first)
    assert "there is no account new" in other("user", "show", "new").err


def test_a_backup_leaves_the_data_folder_as_it_was(network, place):
    def there() -> set[str]:
        return {path.name for path in network.data.iterdir()} - {"backup.lock", "rookery.db-shm", "rookery.db-wal"}

    before = there()
    network.ok("backup", place, "--verify")
    assert there() == before


def test_a_backup_goes_to_a_bucket_and_comes_back(network, other, s3, tmp_path):
    url = "s3://rookery/backups"
    made = json.loads(network("backup", url, "--verify", "--json", **s3).out)
    assert made["verified"]
    done = network("backup", url, "--keep", "1", "--json", **s3)
    assert json.loads(done.out)["removed"] == [made["id"]]
    assert other("restore", url, **s3).code == 0
    assert other.ok("check").out == "all is well\n"
    refused = network("backup", url, **(s3 | {"AWS_SECRET_ACCESS_KEY": "hidden"}))
    assert refused.code == 1
    assert "SignatureDoesNotMatch" in refused.err
    assert "hidden" not in refused.err


# --- restore refuses


def test_restore_refuses_a_folder_with_a_network_and_one_that_is_not_empty(network, place, other):
    network.ok("backup", place)
    before = (network.data / "rookery.db").read_bytes()
    refused = network("restore", place)
    assert (refused.code, "holds a network already" in refused.err) == (1, True)
    assert (network.data / "rookery.db").read_bytes() == before
    for name in ("letters.txt", "rookery.db-wal"):
        other.data.mkdir(exist_ok=True)
        (other.data / name).write_text("mine")
        refused = other("restore", place)
        assert refused.code == 1
        assert "nothing was changed" in refused.err
        assert refused.err.count("\n") == 1
        assert [path.name for path in other.data.iterdir()] == [name]
        (other.data / name).unlink()
    (other.data / "rookery.toml").write_text("port = 0\n")
    other.ok("restore", place)


def test_restore_refuses_a_folder_that_a_server_runs_on(network, place, tmp_path):
    network.ok("backup", place)
    with Server(network.data):
        (network.data / "rookery.db").rename(tmp_path / "away.db")
        for name in ("rookery.db-wal", "rookery.db-shm"):
            (network.data / name).rename(tmp_path / name)
        for path in network.data.iterdir():
            if path.name not in restoring._OWN:
                path.rename(tmp_path / f"away-{path.name}")
        refused = network("restore", place)
        assert refused.code == 1
        assert "another rookery serves the folder" in refused.err
        assert not (network.data / "rookery.db").exists()


def test_restore_refuses_a_schema_of_a_newer_version(network, place, other):
    change(network.data, "UPDATE sql_version SET revision = '9999'")
    network.ok("backup", place)
    for refused in (other("restore", place), network("backup", place, "--verify", "--backup", "latest")):
        assert refused.code == 1
        assert "9999" in refused.err
    assert not other.data.exists() or not list(other.data.glob("rookery.db*"))


def test_a_restore_that_was_cut_short_can_be_repeated(network, place, other):
    network.ok("backup", place)
    staging = other.data / "restoring"
    staging.mkdir(parents=True)
    (staging / "rookery.db").write_bytes(b"half")
    assert "there is no network in the folder" in other("user", "show", "u1").err
    other.ok("restore", place)
    assert not staging.exists()
    assert other.ok("check").out == "all is well\n"


@pytest.mark.timeout(240)
def test_a_restore_that_is_killed_leaves_no_network_and_the_next_one_succeeds(network, place, other):
    add_ballast(network.data, 60)
    network.ok("backup", place)
    process = other.start("restore", place)
    wait_for(lambda: list(other.data.glob("restoring/rookery.db")) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (other.data / "rookery.db").exists()
    other.ok("restore", place)
    assert other.ok("check").out == "all is well\n"


# --- damage


def test_any_byte_that_changes_is_found(network, place, tmp_path):
    network.ok("backup", place)
    (folder,) = place.iterdir()
    objects = FolderObjects(place)
    manifest = form.unseal(folder.name, (folder / "manifest.json").read_bytes())
    kept = (folder / "manifest.json").read_bytes()
    for at in range(len(kept)):
        for bit in (1, 32):
            with pytest.raises((form.Damaged, form.NewerBackup)):
                form.unseal(folder.name, kept[:at] + bytes([kept[at] ^ bit]) + kept[at + 1 :])
    for file in manifest.files:
        for part in file.parts:
            data = (folder / part.key).read_bytes()
            for at in [*range(200), *range(200, len(data), 97), len(data) - 1]:
                bent = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                with pytest.raises(form.Damaged, match=part.key):
                    list(form.records(folder.name, part, bent))
            for bent in (data[:-1], data + b"\0", b""):
                with pytest.raises(form.Damaged, match=part.key):
                    list(form.records(folder.name, part, bent))
    (folder / "part-000001").unlink()
    with pytest.raises(form.Damaged, match="part-000001 is missing"):
        asyncio.run(restoring.fetch(objects, manifest, tmp_path / "aside"))


def test_a_damaged_part_is_named_by_verify_and_by_restore(network, place, other):
    first = network.ok("backup", place, "--json").json["id"]
    id = network.ok("backup", place, "--json").json["id"]
    part = place / id / "part-000001"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    for refused in (network("backup", place, "--verify", "--backup", id), other("restore", place)):
        assert refused.code == 1
        assert f"error: backup {id}: part-000001 is damaged" in refused.err
        assert refused.err.count("\n") == 1
    assert not (other.data / "rookery.db").exists()
    # What is shorter than it was shows in the list, and what is left is pointed to.
    part.write_bytes(data[:-1])
    assert listed(network, place) == [(id, "damaged"), (first, "whole")]
    refused = other("restore", place)
    assert f"part-000001 is cut short; --backup {first} is the newest that is whole" in refused.err
    other.ok("restore", place, "--backup", first)


def test_a_backup_of_a_damaged_database_fails_and_keeps_the_good_ones(network, place):
    good = network.ok("backup", place, "--json").json["id"]
    file = network.data / "rookery.db"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    refused = network("backup", place, "--keep", "1")
    assert refused.code == 1
    assert "rookery.db is damaged" in refused.err
    assert listed(network, place) == [(good, "whole")]


# --- cut short


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_backup_that_is_ended_in_the_middle_is_not_listed_as_whole_and_the_next_succeeds(network, place, number):
    add_ballast(network.data, 60)
    process = network.start("backup", place)
    wait_for(lambda: list(place.glob("*/part-000001")) or process.poll() is not None)
    process.send_signal(number)
    out, err = process.communicate()
    killed = number == signal.SIGKILL
    assert process.returncode == (-number if killed else 128 + number), (out, err)
    assert [state for _, state in listed(network, place)] == (["unfinished"] if killed else [])
    refused = network("backup", place, "--verify", "--backup", "latest")
    assert "holds no backup" in refused.err
    made = network.ok("backup", place, "--verify", "--json").json
    assert (made["id"], "whole") in listed(network, place)


def test_a_full_target_is_told_of_and_nothing_is_left_there(network, tmp_path):
    add_ballast(network.data, 24)
    with small_disk(tmp_path / "disk", "20m") as disk:
        failed = network("backup", disk / "backups")
        assert failed.code == 1
        assert "there is no room left in" in failed.err
        assert failed.err.count("\n") == 1
        assert listed(network, disk / "backups") == []
        assert not list((disk / "backups").rglob("*"))


def test_a_full_data_disk_fails_a_restore_and_leaves_no_network(network, place, tmp_path):
    add_ballast(network.data, 24)
    network.ok("backup", place)
    with small_disk(tmp_path / "disk", "20m") as disk:
        other = Here(disk / "data")
        failed = other("restore", place)
        assert failed.code == 1
        assert "No space left" in failed.err
        assert failed.err.count("\n") == 1
        assert not (other.data / "rookery.db").exists()


# --- retention


def entries(*ages: float, state: catalog.State = catalog.State.WHOLE) -> list[catalog.Entry]:
    """Backups of that age in days."""
    now = SystemClock().now()
    return [
        catalog.Entry(
            id=f"{state}-{age}", begun=now - int(age * DAY), state=state, stored=1, touched=now - int(age * DAY)
        )
        for age in ages
    ]


@pytest.mark.parametrize(
    ("keep", "keep_days", "gone"),
    [
        (None, None, []),
        (2, None, [2.0, 3.0, 9.0]),
        (9, None, []),
        (None, 2.5, [3.0, 9.0]),
        (1, 2.5, [3.0, 9.0]),
        (4, 1.5, [9.0]),
        # The newest stays whatever its age.
        (None, 0.01, [1.0, 2.0, 3.0, 9.0]),
    ],
)
def test_old_backups_go_by_number_and_by_age_and_the_newest_never(keep, keep_days, gone):
    there = entries(0.5, 1.0, 2.0, 3.0, 9.0)
    found = catalog.expired(there, SystemClock().now(), keep=keep, keep_days=keep_days)
    assert [one.id for one in found] == [f"whole-{age}" for age in gone]


def test_damaged_ones_count_for_nothing_and_stay_and_leftovers_go_after_a_day():
    now = SystemClock().now()
    there = entries(0.5, 2.0, state=catalog.State.DAMAGED) + entries(0.6, state=catalog.State.NEWER)
    there += entries(0.9, 1.1, state=catalog.State.UNFINISHED) + entries(5.0, 6.0)
    assert [one.id for one in catalog.expired(there, now, keep=1, keep_days=None)] == ["unfinished-1.1", "whole-6.0"]


def test_what_is_not_ours_is_neither_listed_nor_removed(network, place):
    made = [network.ok("backup", place, "--json").json["id"] for _ in range(3)]
    (place / "photos").mkdir()
    (place / "photos" / "me.jpg").write_text("mine")
    (place / "20260101T000000.000Z-not-one").mkdir()
    (place / "20260101T000000.000Z-not-one" / "part-000001").write_text("mine")
    done = network.ok("backup", place, "--keep", "2", "--json").json
    assert sorted(done["removed"]) == made[:2]
    assert [id for id, _ in listed(network, place)] == [done["id"], made[2]]
    assert (place / "photos" / "me.jpg").read_text() == "mine"
    assert (place / "20260101T000000.000Z-not-one" / "part-000001").exists()


def test_a_backup_that_is_half_removed_is_not_listed_as_whole(network, place, monkeypatch):
    id = network.ok("backup", place, "--json").json["id"]
    objects = FolderObjects(place)

    async def cut_short(prefix: str) -> None:
        raise OSError("cut short")

    monkeypatch.setattr(objects, "clear", cut_short)
    (one,) = asyncio.run(catalog.catalog(objects))
    with pytest.raises(OSError, match="cut short"):
        asyncio.run(catalog.remove(objects, [one]))
    assert (place / id / "part-000001").exists()
    assert listed(network, place) == [(id, "unfinished")]


# --- again and again


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_backups_are_made_again_and_again_until_the_end_is_asked_for(network, place, number):
    process = network.start("backup", place, "--every", "0.2s", "--keep", "2", "--json")
    rounds = [json.loads(process.stdout.readline()) for _ in range(4)]
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    rounds += [json.loads(line) for line in out.splitlines()]
    left = listed(network, place)
    assert all(state == "whole" for _, state in left)
    assert 2 <= len(left) <= 3
    assert [one["removed"] for one in rounds[2:4]] == [[rounds[0]["id"]], [rounds[1]["id"]]]


def test_a_round_that_fails_is_told_of_and_tried_again(network, place):
    place.write_text("a file in the way")
    process = network.start("backup", place, "--every", "0.2s", "--json")
    assert "can't be used" in process.stderr.readline().decode()
    assert process.poll() is None
    place.unlink()
    assert json.loads(process.stdout.readline())["removed"] == []
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


# --- wrong places


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "say where"),
        ("gopher://hole", "not in gopher://"),
        ("{tmp}/not/there", "there is no folder {tmp}/not to hold"),
        ("{tmp}/file", "{tmp}/file can't be used: "),
        ("/proc/backups", "/proc/backups"),
        ("s3://user:hidden@bucket/x", "credentials are taken from the environment"),
    ],
)
def test_a_place_that_can_not_be_used_is_told_of_in_a_sentence(network, tmp_path, url, sentence):
    (tmp_path / "file").write_text("mine")
    failed = network("backup", url.format(tmp=tmp_path))
    assert failed.code == 1
    assert failed.err.startswith("error: ")
    assert failed.err.count("\n") == 1
    assert sentence.format(tmp=tmp_path) in failed.err
    assert "hidden" not in failed.err + failed.out
    assert "Traceback" not in failed.err


def test_what_is_not_there_is_told_of(network, place, other):
    for failed in (other("restore", place), network("backup", place, "--verify", "--backup", "latest")):
        assert (failed.code, failed.err) == (1, f"error: {place} holds no backup\n")
    assert not other.data.exists()
    assert not place.exists()
    assert network.ok("backup", place, "--list").out == f"{place} holds no backup\n"
    assert "there is no network in the folder" in other("backup", place).err
    network.ok("backup", place)
    assert "holds no whole backup 2026" in other("restore", place, "--backup", "2026").err


@pytest.mark.parametrize(
    "options",
    [["--every", "soon"], ["--every", "0s"], ["--backup", "latest"], ["--every", "1m", "--list"], ["--keep", "0"]],
)
def test_wrong_use_exits_with_2(network, place, options):
    assert network("backup", place, *options).code == 2


# --- more than the database


def test_files_of_the_data_folder_come_along_in_a_backup_that_names_them(network, place, tmp_path):
    from rookery import wiring
    from rookery.backup.making import make_backup
    from rookery.settings import Settings

    objects = FolderObjects(place)
    picture = os.urandom(3 << 20)
    files = {"media/ab/picture": picture, "media/empty": b""}
    for name, data in files.items():
        (tmp_path / "kept" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kept" / name).write_bytes(data)
    manifest = asyncio.run(
        make_backup(
            objects,
            lambda: wiring.open_snapshot(Settings(data=network.data)),
            database=wiring.DATABASE,
            clock=SystemClock(),
            files=[(name, tmp_path / "kept" / name) for name in files],
        )
    )
    other = Here(tmp_path / "other")
    # An earlier try got as far as the files, and no further.
    (other.data / "media").mkdir(parents=True)
    (other.data / "media" / "empty").write_bytes(b"half")
    other.ok("restore", place, "--backup", manifest.id)
    for name, data in files.items():
        assert (other.data / name).read_bytes() == data
    assert other.ok("check").out == "all is well\n"


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "", "."])
def test_a_manifest_can_not_lead_out_of_the_folder(path):
    file = form.File(path, 0, 0, ())
    id = form.new_id(SystemClock().now())
    manifest = form.Manifest(
        format=1, id=id, taken=0, seconds=0, rookery="", revision=None, rows={}, sequences={}, database=path, files=(file,)
    )  # fmt: skip
    with pytest.raises(form.Damaged):
        form.unseal(id, form.seal(manifest))
