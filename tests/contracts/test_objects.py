"""The contract of object storage, on every engine: a folder, an obstore store, and a bucket of a real S3 server."""

import asyncio
import socket
import time

import pytest
from obstore.store import MemoryStore

from rookery.infra.objects.folder import FolderObjects
from rookery.infra.objects.port import StoredObject, check_key
from rookery.infra.objects.s3 import StoreObjects
from rookery.infra.objects.urls import open_objects
from rookery.kernel.errors import Invalid, NotFound, Unavailable
from tests.engines import s3

__all__ = ["s3"]


@pytest.fixture(params=["folder", "memory", "s3"])
def objects(request, tmp_path, monkeypatch):
    if request.param == "folder":
        return FolderObjects(tmp_path / "objects")
    if request.param == "memory":
        return StoreObjects(MemoryStore(), "memory")
    for name, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(name, value)
    return open_objects(f"s3://rookery/{tmp_path.name}")


async def keys(objects, prefix=""):
    return [one.key for one in await objects.list(prefix)]


async def test_what_was_put_is_there_byte_for_byte(objects):
    data = bytes(range(256)) * 50_000
    await objects.put("a/part-000001", data)
    await objects.put("empty", b"")
    assert await objects.get("a/part-000001") == data
    assert await objects.get("empty") == b""
    assert [(one.key, one.size) for one in await objects.list()] == [("a/part-000001", len(data)), ("empty", 0)]


async def test_a_second_put_takes_the_place_of_the_first(objects):
    await objects.put("a", b"first")
    await objects.put("a", b"second")
    assert await objects.get("a") == b"second"
    assert len(await objects.list()) == 1


async def test_what_is_not_there_is_not_found(objects):
    with pytest.raises(NotFound, match="holds no nothing"):
        await objects.get("nothing")
    await objects.put("a/b", b"x")
    for key in ("a", "a/b/c", "a/bb"):
        with pytest.raises(NotFound):
            await objects.get(key)


async def test_a_place_that_was_never_used_is_empty(objects):
    assert await objects.list() == []
    assert await objects.list("a") == []
    await objects.delete(["a/b"])
    await objects.clear("a")
    assert await objects.list() == []


async def test_a_prefix_is_whole_names_and_keys_come_in_order(objects):
    for key in ("b/2", "a/10", "a/9", "ab/1", "a/c/d", "a-b/1"):
        await objects.put(key, b"x")
    assert await keys(objects, "a") == ["a/10", "a/9", "a/c/d"]
    assert await keys(objects) == ["a-b/1", "a/10", "a/9", "a/c/d", "ab/1", "b/2"]


async def test_more_objects_than_one_request_lists_are_all_listed_and_removed(objects):
    await asyncio.gather(*(objects.put(f"many/{number:05}", b"x") for number in range(1_100)))
    assert await keys(objects) == [f"many/{number:05}" for number in range(1_100)]
    await objects.clear("many")
    assert await objects.list() == []


async def test_what_is_deleted_is_gone_and_nothing_else(objects):
    for key in ("a/1", "a/2", "b/1"):
        await objects.put(key, b"x")
    await objects.delete(["a/1", "never/there"])
    assert await keys(objects) == ["a/2", "b/1"]
    await objects.clear("a")
    assert await keys(objects) == ["b/1"]


async def test_when_an_object_was_written_is_told(objects):
    before = time.time() * 1000
    await objects.put("a", b"x")
    (one,) = await objects.list()
    # Stores tell whole seconds, some of them.
    assert before - 1_000 <= one.modified <= time.time() * 1000 + 1_000
    assert one == StoredObject("a", 1, one.modified)


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".hidden", "a b", "a\n", "ä", "a" * 513])
async def test_keys_that_could_lead_elsewhere_are_refused(objects, key):
    with pytest.raises(ValueError, match="no key"):
        check_key(key)
    with pytest.raises(ValueError, match="no key"):
        await objects.put(key, b"x")


# --- a folder alone


async def test_a_write_that_was_cut_short_is_not_seen_and_goes_with_its_path(tmp_path):
    objects = FolderObjects(tmp_path / "objects")
    await objects.put("a/1", b"x")
    (tmp_path / "objects/a/.writing-1234").write_bytes(b"half")
    assert await keys(objects) == ["a/1"]
    await objects.clear("a")
    assert list((tmp_path / "objects").iterdir()) == []


async def test_what_is_kept_is_for_its_owner_alone(tmp_path):
    await FolderObjects(tmp_path / "objects").put("a/1", b"x")
    assert (tmp_path / "objects").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "objects/a/1").stat().st_mode & 0o777 == 0o600


async def test_a_disk_that_is_not_there_is_not_written_past(tmp_path):
    with pytest.raises(Unavailable, match=r"there is no folder .*/mnt to hold .*/mnt/backups"):
        await FolderObjects(tmp_path / "mnt" / "backups").put("a", b"x")
    assert list(tmp_path.iterdir()) == []


async def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    for use in (FolderObjects(tmp_path / "file").put("a", b"x"), FolderObjects(tmp_path / "file").list()):
        with pytest.raises(Unavailable, match="file can't be used: "):
            await use
    assert (tmp_path / "file").read_text() == "mine"


# --- which place a URL names


def test_urls_name_folders(tmp_path):
    for url in (str(tmp_path / "a b"), f"file://{tmp_path}/a%20b", f"file://localhost{tmp_path}/a%20b"):
        assert str(open_objects(url)) == str(tmp_path / "a b")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "say where"),
        (" ", "say where"),
        ("ftp://host/path", "not in ftp://"),
        ("https://bucket.s3.amazonaws.com", "not in https://"),
        ("file://host/path", "a folder's URL is file:///"),
        ("file:///", "a folder's URL is file:///"),
        ("s3://", "a bucket's URL is s3://bucket/prefix"),
        ("s3://UPPER/x", "a bucket's URL is s3://bucket/prefix"),
        ("s3://bucket/../x", "a bucket's URL is s3://bucket/prefix"),
        ("s3://[bucket/x", "can't be read"),
    ],
)
def test_other_urls_are_refused_with_a_sentence(url, sentence):
    with pytest.raises(Invalid, match=sentence):
        open_objects(url)


@pytest.mark.parametrize("url", ["s3://key:hidden@bucket/x", "s3://bucket/x?secret=hidden", "s3://bucket/x#hidden"])
def test_a_url_with_a_secret_in_it_is_refused_without_repeating_it(url):
    with pytest.raises(Invalid, match="credentials are taken from the environment") as refused:
        open_objects(url)
    assert "hidden" not in str(refused.value)


# --- a bucket alone


async def test_a_server_that_is_away_is_told_of_without_the_credentials(monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}/hidden-token")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hidden-key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-secret")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "hidden-token")
        monkeypatch.setattr("rookery.infra.objects.s3._RETRIES", {"max_retries": 0})
        with pytest.raises(Unavailable, match="s3://bucket/x can't be used: ") as failed:
            await open_objects("s3://bucket/x").put("a", b"x")
    assert "hidden" not in str(failed.value)
    assert "\n" not in str(failed.value)


async def test_wrong_credentials_and_unknown_buckets_are_told_of(s3, monkeypatch):
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unavailable, match=r"s3://nosuch can't be used: .*NoSuchBucket"):
        await open_objects("s3://nosuch").put("a", b"x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-and-wrong")
    with pytest.raises(Unavailable, match="s3://rookery can't be used: ") as failed:
        await open_objects("s3://rookery").put("a", b"x")
    assert "hidden" not in str(failed.value)
    assert "testaccess" not in str(failed.value)
