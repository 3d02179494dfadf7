"""What scripts get: their files, their words, and the pieces that they ask for. What they do is seen in tests/browser."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from babel.core import Locale

from rookery.gateways.web.rendering import STATIC, plural_samples
from rookery.kernel.text import weigh
from tests.gateways.web.conftest import Browser, Site, text_of

FRAGMENT = {"X-Rookery-Fragment": "1"}
SCRIPTS = {file.name: file.read_text("utf-8") for file in STATIC.glob("*.js")}


def words_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="words">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_scripts_and_the_stylesheet_stay_small() -> None:
    assert sum(len(text.encode()) for text in SCRIPTS.values()) < 40 * 1024
    assert sum(file.stat().st_size for file in STATIC.glob("*.css")) < 30_000
    assert all(file.stat().st_size < 10_000 for file in STATIC.glob("*.png"))


def test_scripts_import_nothing_but_each_other() -> None:
    imported = {name for text in SCRIPTS.values() for name in re.findall(r'from "([^"]*)"', text)}
    assert imported == {f"./{name}" for name in SCRIPTS} - {"./rookery.js", "./worker.js"}


async def test_whatever_scripts_say_is_among_the_words_of_the_page(guest: Browser) -> None:
    words = words_of(await guest.page("/login"))
    said = {name for text in SCRIPTS.values() for name in re.findall(r'say\("(\w+)"', text)}
    said |= {f"key_{name}" for name in re.findall(r'\["[^"]+", "(\w+)"\]', SCRIPTS["keys.js"])}
    said |= set(re.findall(r'\["(\w+)", (?:\d+|[A-Z]+), ', SCRIPTS["times.js"]))
    assert said == words.keys()
    assert words["news"] == {"one": "Show {n} new tweet", "other": "Show {n} new tweets"}
    assert words["minutes"] == "{n}m"
    assert all(text for text in words.values())


def test_there_is_a_number_for_each_plural_form_of_a_language() -> None:
    assert plural_samples("en") == {"one": 1, "other": 0}
    arabic = plural_samples("ar")
    assert arabic.keys() == {"zero", "one", "two", "few", "many", "other"}
    assert all(Locale("ar").plural_form(number) == form for form, number in arabic.items())


async def test_the_manifest_names_the_network_and_icons_that_are_there(guest: Browser) -> None:
    page = await guest.page("/")
    assert '<link rel="manifest" href="/manifest.webmanifest"' in page
    answer = await guest.get("/manifest.webmanifest")
    assert answer.headers["content-type"] == "application/manifest+json"
    manifest = answer.json()
    assert (manifest["name"], manifest["lang"], manifest["dir"], manifest["start_url"]) == ("Rookery", "en", "ltr", "/")
    assert {icon.get("purpose", "any") for icon in manifest["icons"]} == {"any", "maskable"}
    for icon in manifest["icons"]:
        drawn = await guest.get(icon["src"])
        assert (drawn.status_code, drawn.headers["content-type"]) == (200, icon["type"])
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", drawn.content[16:24])
            assert icon["sizes"] == f"{width}x{height}"


async def test_the_service_worker_keeps_the_files_of_this_version_and_nothing_of_anybody(ann: Browser) -> None:
    answer = await ann.get("/sw.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["service-worker-allowed"] == "/"
    assert "no-cache" in answer.headers["cache-control"]
    head = dict(re.findall(r"const (\w+) = (.*);", answer.text[: answer.text.index("/*")]))
    files = json.loads(head["FILES"])
    assert {Path(file).name for file in files} == {file.name for file in STATIC.iterdir()} - {"worker.js"}
    for file in files:
        assert (await ann.get(file)).status_code == 200
        assert file.split("/")[2] in json.loads(head["VERSION"])
    offline = await ann.page("/offline")
    assert "No network" in text_of(offline)
    assert "csrf" not in offline
    assert ann.handle not in offline


async def test_a_tweet_is_given_alone_to_those_who_may_see_it(ann: Browser, bob: Browser, guest: Browser) -> None:
    shown = (await ann.act("/compose", content="for <all>")).headers["location"]
    hidden = (await ann.act("/compose", content="for followers", visibility="followers")).headers["location"]
    for browser in (ann, bob, guest):
        piece = await browser.get(f"{shown}/piece", headers=FRAGMENT)
        assert piece.text.lstrip().startswith("<article")
        assert "for &lt;all&gt;" in piece.text
    assert 'class="tweet whole"' in (await ann.get(f"{shown}/piece?whole=1", headers=FRAGMENT)).text
    assert (await ann.get(f"{hidden}/piece", headers=FRAGMENT)).status_code == 200
    for browser in (bob, guest):
        assert (await browser.get(f"{hidden}/piece", headers=FRAGMENT)).status_code == 404


async def test_words_are_weighed_as_they_are_in_a_tweet(ann: Browser, guest: Browser) -> None:
    words = ["example.com", "e.g", "www.example.co.uk/path?x=1&y=2", "語.example.com", "no.such-tld", "a+b.de"]
    answer = await ann.get("/weigh", params={"words": " ".join(words)}, headers=FRAGMENT)
    assert answer.json() == {"weights": [weigh(word).length for word in words]}
    assert (await guest.get("/weigh?words=a.de", headers=FRAGMENT)).status_code == 401


async def test_tickets_for_streams_are_for_forms_of_who_is_logged_in(ann: Browser, guest: Browser) -> None:
    assert (await ann.post("/stream/ticket", data={"csrf": "wrong"})).status_code == 403
    assert (await guest.post("/stream/ticket", data={"csrf": "wrong"}, headers=FRAGMENT)).status_code == 401


async def test_acts_that_are_refused_tell_scripts_why_in_a_sentence(ann: Browser, site: Site, guest: Browser) -> None:
    shown = (await ann.act("/compose", content="hello")).headers["location"]
    refused = await ann.post(f"{shown}/favorite", data={"csrf": "wrong"}, headers=FRAGMENT)
    assert (refused.status_code, refused.headers["content-type"]) == (403, "text/plain; charset=utf-8")
    assert "out of date" in refused.text
    long = await ann.post("/compose", data={"csrf": await ann.csrf(), "content": "x" * 281}, headers=FRAGMENT)
    assert (long.status_code, long.text) == (422, "a tweet has at most 280 characters")
    out = await guest.post(f"{shown}/favorite", data={"csrf": await guest.csrf()}, headers=FRAGMENT)
    assert out.status_code == 401


@pytest.mark.parametrize("path", ["/", "/login", "/compose"])
async def test_pages_hold_no_script_but_their_module(ann: Browser, path: str) -> None:
    page = await ann.page(path) if path != "/login" else (await ann.get(path, follow_redirects=True)).text
    scripts = re.findall(r"<script[^>]*>", page)
    assert len(scripts) == 2
    assert re.fullmatch(r'<script type="module" src="/static/\w+/rookery.js">', scripts[0])
    assert scripts[1] == '<script type="application/json" id="words">'
