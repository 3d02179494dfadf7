"""An erased person's words are in no file of the data folder within a minute, whatever happens meanwhile."""

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.erasing.world import (
    KEPT,
    PASSWORD,
    WORDS,
    Acquaintance,
    fill,
    found_in,
    ok,
    post,
    register,
    until_nothing_is_found,
)
from tests.support import Server


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rookery", *words, "--data", str(folder)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=150,
        check=False,
    )


def all_is_well(folder: Path) -> None:
    done = command(folder, "check")
    assert (done.returncode, done.stdout) == (0, "all is well\n"), done


def words_of(folder: Path, words: tuple[str, ...]) -> set[str]:
    return set().union(*found_in(folder, words).values())


@pytest.mark.timeout(200)
def test_nothing_that_an_erased_person_wrote_is_in_any_file(tmp_path):
    with Server(tmp_path) as server:
        world = Acquaintance(server.url)
        assert words_of(tmp_path, tuple(WORDS)) == set(WORDS), "the test would find it if it was there"
        ok(world.leaver.post("/v1/users/me/erase", json={"password": PASSWORD}))
        until_nothing_is_found(tmp_path)
        assert words_of(tmp_path, KEPT) == set(KEPT)
        all_is_well(tmp_path)
        assert server.stop() == 0
    assert not found_in(tmp_path)
    all_is_well(tmp_path)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after", [0.0, 0.05, 0.3, 1.0])
def test_a_server_that_is_killed_while_it_erases_goes_on_after_its_next_start(tmp_path, after):
    fill(tmp_path, 3_000)
    with Server(tmp_path) as server:
        bob = register(server.url, "bob", "bob@example.org")
        post(bob, "bobs own words")
        login = ok(httpx.post(f"{server.url}/v1/sessions", json={"login": "busy", "password": PASSWORD}))
        mine = {"Authorization": f"Bearer {login['token']}"}
        assert words_of(tmp_path, ("zqxcontent", "zqxtag", "zqxkey")) == {"zqxcontent", "zqxtag", "zqxkey"}
        ok(httpx.post(f"{server.url}/v1/users/me/erase", json={"password": PASSWORD}, headers=mine))
        time.sleep(after)
        server.kill()
        server.start()
        until_nothing_is_found(tmp_path, ("zqxcontent", "zqxtag", "zqxkey"))
        all_is_well(tmp_path)
        assert words_of(tmp_path, ("bobs own words",))


@pytest.mark.timeout(300)
def test_others_post_on_while_somebody_with_very_many_tweets_is_erased(tmp_path):
    fill(tmp_path, 20_000)
    with Server(tmp_path) as server:
        bob = register(server.url, "bob", "bob@example.org")
        done = subprocess.Popen(
            [sys.executable, "-m", "rookery", "user", "erase", "busy", "--yes", "--data", str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        posted = 0
        while done.poll() is None:
            post(bob, f"bob posts on {posted}")
            posted += 1
        assert done.returncode == 0
        assert "is erased, from every file" in done.communicate()[0]
        assert posted > 100
        assert not found_in(tmp_path, ("zqxcontent", "zqxtag", "zqxkey"))
        mine = ok(bob.get("/v1/users/me"))
        assert mine["counts"]["tweets"] == posted
        all_is_well(tmp_path)


@pytest.mark.timeout(200)
def test_the_command_erases_without_a_server_and_asks_first(tmp_path):
    fill(tmp_path, 500)
    refused = command(tmp_path, "user", "erase", "busy")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert found_in(tmp_path, ("zqxcontent",))
    done = command(tmp_path, "user", "erase", "busy", "--yes")
    assert done.returncode == 0, done
    assert not found_in(tmp_path, ("zqxcontent", "zqxtag", "zqxkey", "busy"))
    again = command(tmp_path, "user", "erase", "busy", "--yes")
    assert (again.returncode, again.stderr) == (1, "error: there is no account busy\n")
    all_is_well(tmp_path)
