"""A network with something of everything in it, and all the pages that its links lead to."""

import asyncio
import re
import subprocess
import sys
from collections import Counter
from html import unescape
from urllib.parse import parse_qsl, urlsplit

from tests.browser.conftest import Site, Visitor

WORD = "W" * 280
BIDI = "\u202eevil\u2066 <b>bold</b> &amp; \u05d0\u05d1\u05d2 #tag"
SCRIPTS = "中文 日本語 한국어 हिन्दी ไทย አማርኛ مرحبا שלום 👩‍👩‍👧‍👧 🦩"
_LINK = re.compile(r'<a\b[^>]*?\shref="(/[^"]*)"')
_NOT_PAGES = ("/static/", "/v1/", "/settings/data/archive")
_MOST = 120
_OF_A_KIND = 5


async def furnished(site: Site) -> Visitor:
    """Somebody, an admin, whose pages all have something to show, and something odd where that is allowed."""
    me = await site.person("me")
    friend, shy, asker, tiresome = [await site.person(name) for name in ("friend", "shy", "asker", "tiresome")]
    await _changed(
        friend, name="ש<b>אבג", bio=BIDI.replace("\u202e", "").replace("\u2066", ""), location="& everywhere"
    )
    await _changed(shy, protected=True)
    await me.follow(friend)
    await me.follow(shy)
    await friend.follow(me)
    name = "Dr. Maximiliane Wolkenstein-Hohenzollern von Z."
    await _changed(me, name=name, bio=f"{WORD[:100]} {SCRIPTS}", protected=True)
    await asker.follow(me)
    for content in (WORD, BIDI, SCRIPTS, "line\n\n\n\n\nbreaks", f"https://example.org/{'a' * 300} #tag"):
        last = await friend.post(content)
    await friend.post("a picture", media_url="https://example.org/picture.jpg")
    await friend.post(f"@{me.handle} what is that?")
    mine = await me.post("something of mine #tag", visibility="public")
    await _done(me, "PATCH", f"/v1/tweets/{mine}", {"content": "something of mine, better #tag"})
    await me.post("an answer", reply_to=last)
    await me.post("see this", quote_of=last)
    await friend.post(f"@{me.handle} an answer to that", reply_to=mine)
    await _done(me, "PUT", f"/v1/tweets/{last}/favorite")
    await _done(me, "PUT", f"/v1/tweets/{last}/retweet")
    await _done(me, "PUT", f"/v1/tweets/{last}/bookmark")
    await _done(me, "PUT", "/v1/hashtags/tag/follow")
    await _done(me, "PUT", f"/v1/tweets/{last}/mute")
    await _done(me, "PUT", f"/v1/users/{tiresome.id}/block")
    await _done(me, "PUT", f"/v1/users/{asker.id}/mute")
    await _done(me, "POST", "/v1/drafts", {"content": WORD})
    await _done(me, "POST", "/v1/filters", {"phrase": WORD[:60]})
    await _done(asker, "POST", "/v1/reports", {"tweet_id": last, "reason": "spam", "comment": WORD})
    await made_admin(me)
    await me.until("/", "breaks")
    return me


async def made_admin(person: Visitor) -> None:
    """Make somebody an admin, as whoever runs the server does."""
    command = [sys.executable, "-m", "rookery", "user", "role", person.handle, "admin", "--data", str(person.site.data)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)


async def pages(visitor: Visitor) -> dict[str, str]:
    """A path of every kind of page that links lead `visitor` to, by its kind."""
    cookies = await visitor.context.cookies()
    # As the browser sends them; the token goes along for programs only.
    cookie = "; ".join(f"{one.get('name')}={one.get('value')}" for one in cookies)
    found: dict[str, tuple[int, str]] = {}
    kinds: Counter[str] = Counter()
    seen: set[str] = set()
    waiting = ["/", "/?order=top", "/compose", "/nothing/here"]
    if visitor.handle:
        waiting.append(f"/@{visitor.handle}")
    while waiting and len(found) < _MOST:
        path = waiting.pop(0)
        kind = _kind(path, visitor.handle)
        kinds[kind] += 1
        if path in seen or kinds[kind] > _OF_A_KIND:
            continue
        seen.add(path)
        answer = await visitor.api.get(path, headers={"Authorization": "", "Cookie": cookie})
        if answer.status_code == 303 or not answer.headers["content-type"].startswith("text/html"):
            continue
        # The fullest of a kind shows most of what may be wrong with it.
        found[kind] = max(found.get(kind, (0, "")), (len(answer.text), path))
        links = [unescape(link) for link in _LINK.findall(answer.text)]
        waiting += [link.partition("#")[0] for link in links if not link.startswith(_NOT_PAGES)]
    return {kind: path for kind, (_, path) in found.items()}


def _kind(path: str, me: str) -> str:
    """What pages of one kind have in common: names and numbers are left out."""
    parts = urlsplit(path)
    segments = parts.path.split("/")
    for at, segment in enumerate(segments):
        if segment.isdigit() or (at and segments[at - 1] == "hashtags"):
            segments[at] = "{}"
        elif segment.startswith("@"):
            segments[at] = "@me" if segment == f"@{me}" else "@{}"
    query = sorted({name if name != "order" else f"{name}={value}" for name, value in parse_qsl(parts.query)})
    return "/".join(segments) + (f"?{'&'.join(query)}" if query else "")


async def _changed(person: Visitor, **fields: object) -> None:
    await _done(person, "PATCH", "/v1/users/me", fields)


async def _done(person: Visitor, method: str, path: str, body: object = None) -> None:
    answer = await person.api.request(method, path, json=body)
    assert answer.status_code < 300, (method, path, answer.text)
