"""Archives of Twitter and of Mastodon, as people download them."""

import gzip
import io
import json
import tarfile
import zipfile
from asyncio import Event
from pathlib import Path
from typing import Any

import pytest

from rookery.gateways.importer.bundle import Bundle
from rookery.gateways.importer.findings import Findings
from rookery.gateways.importer.jsonstream import JsonStream
from rookery.gateways.importer.mastodon import to_text
from rookery.gateways.importer.ofothers import import_others, is_bundle, open_others
from rookery.gateways.importer.present import tweets_lines
from rookery.gateways.importer.tweets import TweetsReport
from rookery.kernel.clock import ManualClock
from rookery.kernel.errors import Invalid
from rookery.kernel.visibility import Visibility
from rookery.services.tweets.contract import TweetRecord
from rookery.services.users.contract import NewPerson
from rookery.wiring import Network
from tests.conftest import NEW_YEAR
from tests.support import network_in


async def bring(network: Network, path: Path, author: str | None = None) -> TweetsReport:
    assert is_bundle(path)
    bundle = Bundle(path)
    findings = Findings()
    archive = open_others(bundle, findings, author, NEW_YEAR)
    report = TweetsReport(bundle.name, archive.source, {}, findings, extras=archive.extras)
    await import_others(
        archive, bundle, report, network.users, network.ingestion, progress=lambda _: None, stop=Event()
    )
    bundle.close()
    return report


async def tweets(network: Network, handle: str) -> dict[str, TweetRecord]:
    """By external id."""
    author = (await network.users.by_handles([handle]))[handle.lower()]
    return {str(one.external_id): one.record for one in await network.reads.written(author.id, 0, 1_000)}


def tweet(id: int, text: str, **more: Any) -> dict[str, Any]:
    return {
        "tweet": {
            "id": str(id),
            "id_str": str(id),
            "full_text": text,
            "created_at": f"Wed Oct 10 20:19:{id % 60:02} +0000 2018",
            "favorite_count": "3",
            "retweet_count": "2",
            "lang": "en",
            "entities": {"urls": [], "hashtags": [], "user_mentions": []},
            **more,
        }
    }


URLS = {"urls": [{"url": "https://t.co/abc", "expanded_url": "https://example.org/long", "indices": ["4", "20"]}]}
PHOTO = {"url": "https://t.co/pic", "media_url_https": "https://pbs.twimg.com/media/a.jpg", "type": "photo"}
VIDEO = {
    "url": "https://t.co/vid",
    "media_url_https": "https://pbs.twimg.com/thumb.jpg",
    "video_info": {
        "variants": [
            {"content_type": "application/x-mpegURL", "url": "https://video.twimg.com/v.m3u8"},
            {"bitrate": "256000", "content_type": "video/mp4", "url": "https://video.twimg.com/small.mp4"},
            {"bitrate": "832000", "content_type": "video/mp4", "url": "https://video.twimg.com/large.mp4"},
        ]
    },
}
TWEETS = [
    tweet(30, "and so on", in_reply_to_status_id_str="20", in_reply_to_status_id="20"),
    tweet(20, "@bob yes &amp; no https://t.co/abc https://t.co/abcd", entities=URLS, in_reply_to_status_id_str="10"),
    tweet(40, "RT @bob: something that bob sa…", retweet_count="900"),
    tweet(50, "look https://t.co/pic", entities={"media": [PHOTO]}, extended_entities={"media": [PHOTO, PHOTO]}),
    tweet(60, "https://t.co/vid", extended_entities={"media": [VIDEO]}, lang="und"),
]
MORE = [tweet(10, "first"), tweet(11, "   "), {"tweet": {"id_str": "x", "full_text": "no id"}}, 7]
ACCOUNT = [{"account": {"username": "Ann_1", "accountDisplayName": "Ann &amp; Co", "email": "ann@example.org"}}]


def script(name: str, items: list[Any]) -> bytes:
    return f"window.YTD.{name} = {json.dumps(items, indent=2)}".encode()


FILES = {
    "Your archive.html": b"<html></html>",
    "data/account.js": script("account.part0", ACCOUNT),
    "data/tweets.js": script("tweets.part0", TWEETS),
    "data/tweets-part1.js": script("tweets.part1", MORE),
    "data/deleted-tweets.js": script("deleted_tweets.part0", [tweet(99, "deleted")]),
    "data/tweets_media/50-a.jpg": b"\xff\xd8",
    "data/tweets_media/60-b.mp4": b"\0",
}


def as_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def as_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return path


@pytest.mark.parametrize("make", [as_zip, as_folder, as_tar])
async def test_a_twitter_archive_is_read_once_however_often_it_comes(make: Any, tmp_path: Path, clock: ManualClock):
    archive = make(tmp_path / "twitter-2022", FILES)
    async with network_in(tmp_path / "data", clock) as network:
        report = await bring(network, archive)
        assert (report.rows, report.added, report.people_made) == (6, 6, 1)
        assert report.findings.bad == 3
        assert [bad.reason for bad in report.findings.first_bad] == ["no text", "no id", "no text"]
        assert report.extras is not None
        assert (report.extras.media_left, report.extras.retweets) == (2, 1)
        assert "1 retweet kept as the texts that they are in the archive" in tweets_lines(report)
        ann = (await network.users.by_handles(["ann_1"]))["ann_1"]
        assert (ann.handle, ann.name) == ("Ann_1", "Ann & Co")
        found = await tweets(network, "ann_1")
        assert found.keys() == {"10", "20", "30", "40", "50", "60"}, "deleted tweets stay away"
        assert found["20"].content == "@bob yes & no https://example.org/long https://t.co/abcd"
        assert (found["20"].reply_to, found["30"].reply_to) == (found["10"].id, found["20"].id)
        assert found["30"].root == found["20"].root == found["10"].id
        assert (found["50"].content, found["50"].media_url) == ("look", "https://pbs.twimg.com/media/a.jpg")
        assert (found["60"].content, found["60"].media_url) == (
            "https://t.co/vid",
            "https://video.twimg.com/large.mp4",
        )
        assert (found["60"].lang, found["50"].lang) == (None, "en")
        written = {one.external_id: one for one in await network.reads.written(ann.id, 0, 100)}
        assert (written["10"].imported_retweets, written["10"].imported_favorites) == (2, 3)
        assert (written["40"].imported_retweets, written["40"].imported_favorites) == (0, 0)
        assert await network.tweet_store.check() == []
        head = await network.log.head()
        again = await bring(network, archive)
        assert (again.added, again.already_there, again.people_made) == (0, 6, 0)
        assert await network.log.head() == head


async def test_an_older_archive_and_its_bare_file_belong_to_whom_one_says(tmp_path: Path, clock: ManualClock):
    bare = [one["tweet"] for one in TWEETS]
    old = as_zip(tmp_path / "old.zip", {"tweet.js": b"\xef\xbb\xbf" + script("tweet.part0", bare)})
    plain = tmp_path / "tweets.js"
    plain.write_bytes(script("tweets.part0", TWEETS))
    with pytest.raises(Invalid) as refused:
        open_others(Bundle(old), Findings(), None, NEW_YEAR)
    assert refused.value.code == "no_author"
    async with network_in(tmp_path / "data", clock) as network:
        there = (await network.users.import_people([NewPerson("ann")]))["ann"]
        assert (await bring(network, old, "@ANN")).added == 5
        assert (await bring(network, plain, "ann")).added == 0
        assert (await network.reads.tweet_counts([there]))[there] == 5


def note(number: int, html: str, **more: Any) -> dict[str, Any]:
    id = f"https://masto.example/users/ann/statuses/{number}"
    made = {
        "id": id,
        "type": "Note",
        "summary": None,
        "inReplyTo": None,
        "published": f"2022-11-05T08:00:{number:02}Z",
        "to": ["https://www.w3.org/ns/activitystreams#Public"],
        "cc": ["https://masto.example/users/ann/followers"],
        "content": html,
        "contentMap": {"de": html},
        "attachment": [],
        "tag": [],
        **more,
    }
    return {"id": f"{id}/activity", "type": "Create", "published": made["published"], "object": made}


FOLLOWERS = "https://masto.example/users/ann/followers"
PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
BOB = {"type": "Mention", "href": "https://other.example/users/bob", "name": "@bob@other.example"}
OUTBOX = {
    "@context": "https://www.w3.org/ns/activitystreams",
    "id": "outbox.json",
    "type": "OrderedCollection",
    "totalItems": 9,
    "orderedItems": [
        note(1, "<p>hello &amp;amp; welcome<br />to <b>all</b></p><p>of you</p>"),
        note(2, "<p>again</p>", inReplyTo="https://masto.example/users/ann/statuses/1", to=[FOLLOWERS], cc=[]),
        note(3, "<p>quiet</p>", to=[FOLLOWERS], cc=[PUBLIC], summary="spoilers", sensitive=True),
        note(
            4,
            '<p><span class="h-card"><a href="https://other.example/users/bob" class="u-url mention">@<span>bob'
            "</span></a></span> a secret</p>",
            to=["https://other.example/users/bob"],
            cc=[],
            tag=[BOB],
        ),
        note(
            5,
            '<p>see <a href="https://example.org/a/b?c=d"><span class="invisible">https://</span><span '
            'class="ellipsis">example.org/a</span><span class="invisible">/b?c=d</span></a> <a '
            'href="https://masto.example/tags/Birds" class="mention hashtag">#<span>Birds</span></a></p>',
            attachment=[
                {"type": "Document", "mediaType": "image/png", "url": "/media_attachments/files/1/a.png"},
                {"type": "Document", "mediaType": "image/png", "url": "https://cdn.example/b.png"},
            ],
        ),
        note(6, "<p>which?</p>", type="Question", oneOf=[{"type": "Note", "name": "this"}, {"name": "that"}]),
        {
            "id": "https://masto.example/users/ann/statuses/7/activity",
            "type": "Announce",
            "published": "2022-11-06T08:00:00Z",
            "object": "https://masto.example/users/ann/statuses/1",
        },
        {
            "id": "https://masto.example/users/ann/statuses/8/activity",
            "type": "Announce",
            "published": "2022-11-06T08:00:01Z",
            "object": "https://elsewhere.example/1",
        },
        {"type": "Like"},
    ],
}
ACTOR = {"id": "https://masto.example/users/ann", "preferredUsername": "ann", "name": "Ann", "followers": FOLLOWERS}
MASTODON = {
    "media_attachments/files/1/a.png": b"\x89PNG",
    "outbox.json": json.dumps(OUTBOX).encode(),
    "likes.json": b"{}",
    "actor.json": json.dumps(ACTOR).encode(),
}


@pytest.mark.parametrize("make", [as_tar, as_zip, as_folder])
async def test_a_mastodon_archive_keeps_whom_posts_are_for(make: Any, tmp_path: Path, clock: ManualClock):
    archive = make(tmp_path / "archive-2022", MASTODON)
    async with network_in(tmp_path / "data", clock) as network:
        # Somebody here has the handle of a person there.
        await network.users.import_people([NewPerson("bob")])
        report = await bring(network, archive)
        assert (report.rows, report.added, report.findings.bad) == (6, 6, 1)
        assert report.extras is not None
        extras = report.extras
        assert (extras.media_left, extras.retweets_connected, extras.retweets_left) == (1, 1, 1)
        found = {id.rpartition("/")[2]: record for id, record in (await tweets(network, "ann")).items()}
        assert found["1"].content == "hello &amp; welcome\nto all\n\nof you"
        assert [found[id].visibility for id in "12346"] == [
            Visibility.PUBLIC,
            Visibility.FOLLOWERS,
            Visibility.UNLISTED,
            Visibility.MENTIONED,
            Visibility.PUBLIC,
        ]
        assert found["2"].reply_to == found["1"].id
        assert found["3"].content == "CW: spoilers\n\nquiet"
        assert (found["4"].content, found["4"].mentions) == ("@bob@other.example a secret", {})
        assert (found["5"].content, found["5"].media_url) == (
            "see https://example.org/a/b?c=d #Birds",
            "https://cdn.example/b.png",
        )
        assert (found["5"].hashtags, found["5"].lang) == (("birds",), "de")
        assert found["6"].content == "which?\n- this\n- that"
        assert found["1"].counts.retweets == 1
        head = await network.log.head()
        again = await bring(network, archive)
        assert again.added == 0
        assert await network.log.head() == head


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain", "plain"),
        ("<p>one</p>\n<p>two</p>", "one\n\ntwo"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("a<script>alert(1)</script>b", "ab"),
        ('<a href="https://example.org/">here</a>', "here (https://example.org/)"),
        ('<a href="https://www.example.org/x/">example.org/x</a>', "https://www.example.org/x/"),
        ('<a href="javascript:alert(1)">here</a>', "here"),
        ('<a href="https://a.example/@bob" class="u-url mention">@bob</a>', "@bob@a.example"),
        ('<a href="https://[::1/" class="mention">@bob</a>', "@bob@elsewhere"),
        ("1 &lt; 2 &amp;lt; 3", "1 < 2 &lt; 3"),
        ("<p>unclosed <a href='https://x.example/'>link", "unclosed link"),
    ],
)
def test_html_becomes_text(html: str, text: str):
    assert to_text(html, {}) == text


@pytest.mark.parametrize(
    ("files", "code", "told"),
    [
        ({"a.txt": b"", "b.txt": b""}, "no_archive", "holds neither"),
        ({"manifest.json": b"{}", "x": b""}, "rookery_archive", "import archive"),
        (
            {"tweets.js": b"window.YTD.tweets.part0 = {}"},
            "archive_broken",
            "tweets.js has something else than [ at character 27",
        ),
        ({"tweets.js": b"window.YTD.tweets.part0 = [ {} , {"}, "archive_broken", "tweets.js"),
        ({"tweets.js": b"window.YTD.tweets.part0 = [ {}"}, "archive_broken", "ends where ] should come"),
        ({"tweets.js": b"[" * 100_000}, "archive_broken", "nested"),
        ({"outbox.json": b"[]"}, "archive_broken", "outbox.json has something else than {"),
        ({"outbox.json": b'{"orderedItems": [', "actor.json": b"{"}, "archive_broken", "actor.json"),
        ({"outbox.json": b'{"orderedItems": ["}'}, "archive_broken", "outbox.json"),
    ],
)
async def test_what_is_broken_is_told_of_by_its_place(
    tmp_path: Path, clock: ManualClock, files: dict[str, bytes], code: str, told: str
):
    archive = as_zip(tmp_path / "a.zip", files)
    async with network_in(tmp_path / "data", clock) as network:
        with pytest.raises(Invalid) as refused:
            await bring(network, archive, "ann")
    assert refused.value.code == code
    assert told in refused.value.sentence()


def test_damaged_packages_are_told_of(tmp_path: Path):
    whole = as_zip(tmp_path / "a.zip", FILES).read_bytes()
    damaged = bytearray(whole)
    at = whole.index(b"tweets.js") + 60
    damaged[at : at + 20] = b"\xff" * 20
    cases = {
        "cut.zip": whole[: len(whole) // 2],
        "damaged.zip": bytes(damaged),
        "cut.tar.gz": gzip.compress(as_tar(tmp_path / "b.tar.gz", FILES).read_bytes())[:100],
    }
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert is_bundle(path)
        with pytest.raises(Invalid) as refused:
            _ = list(open_others(Bundle(path), Findings(), "ann", NEW_YEAR).batches())
        assert name in refused.value.sentence()


def test_a_bomb_is_not_unpacked(tmp_path: Path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("tweets.js", "w") as file:
        file.write(b"window.YTD.tweets.part0 = [")
        for _ in range(100):
            file.write(b" " * (1 << 20))
        file.write(b"]")
    with pytest.raises(Invalid) as refused:
        _ = list(open_others(Bundle(path), Findings(), "ann", NEW_YEAR).batches())
    assert refused.value.code == "archive_too_large"


def test_a_folder_is_not_left_by_its_links(tmp_path: Path):
    (tmp_path / "secret").write_text("x")
    folder = as_folder(tmp_path / "archive", FILES)
    (folder / "link.js").symlink_to(tmp_path / "secret")
    assert "link.js" not in Bundle(folder).names


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_json_is_read_in_pieces_of_any_size(size: int):
    items = [1, 12345, 'a"b\\u00e9', {"x": [True, None, 1.5e3]}, [], "é" * 40]
    text = json.dumps({"a": [1, {"orderedItems": [0]}], "orderedItems": items, "b": 1}, indent=1)
    pieces = (text[at : at + size] for at in range(0, len(text), size))
    assert list(JsonStream(pieces, "x").items_of("orderedItems")) == items


def test_html_that_nobody_can_read_is_told_of():
    with pytest.raises(ValueError, match="can't be read"):
        to_text("<![bad[", {})
    with pytest.raises(ValueError, match="more than 500,000 characters"):
        to_text("x" * 500_001, {})
