"""A network with people of every kind, served by a real process, and what must hold of it whatever it is sent."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from rookery.gateways.rest.shapes import Problem
from rookery.kernel.clock import DAY, ManualClock, SystemClock
from rookery.kernel.pages import Page
from rookery.kernel.visibility import Visibility
from rookery.services.moderation.contract import OPERATOR, ListAction, ListName, Reason, ReportState
from rookery.services.tweets.contract import NewTweet
from rookery.services.users.contract import Client, NewPerson, ProfileChange, Role, State
from rookery.settings import Settings
from rookery.wiring import SERVER_FILE, Network, check, open_network
from tests.fuzz.wire import Got
from tests.support import Server, caught_up, network_in

_PEOPLE = ("ann", "bob", "cat", "dan", "eve", "gone", "reader")
_CODE = re.compile(r"[a-z][a-z0-9_]*")
_INTERNAL = re.compile(rb"Traceback|/src/rookery|site-packages|sqlite|apsw|msgspec|litestar", re.IGNORECASE)
_TROUBLE = re.compile(r"Traceback|Exception|\[(?:error|critical)", re.IGNORECASE)


class World:
    """What the tests know of the network behind the server."""

    def __init__(self, url: str, metrics_url: str) -> None:
        self.url = url
        self.metrics_url = metrics_url
        self.tokens: dict[str, str | None] = {"guest": None, "garbage": "x" * 43, "empty": ""}
        """By role: a good token, a bad one, or None for a guest."""
        self.user_ids: list[int] = []
        self.tweet_ids: list[int] = []
        self.draft_ids: list[int] = []
        self.filter_ids: list[int] = []
        self.own: dict[str, int] = {}
        """A young tweet and a draft of ann's, and a reply to the tweet and a quote of it by bob."""
        self.moderated: dict[str, list[int]] = {}
        """What moderators act on, by the name of the list that it stands in: nobody else needs it."""
        self.leavers: list[tuple[str, int]] = []
        """Tokens and sessions that may be used up."""
        self.statuses: Counter[int] = Counter()
        self.by_operation: Counter[tuple[str, int]] = Counter()
        self.codes: dict[str, int] = {}

    @property
    def roles(self) -> list[str]:
        """Who asks; those who may do something more often than those who may not."""
        return [*sorted(self.tokens), *("ann", "bob", "cat", "dan", "mod", "boss") * 3]

    def moderated_ids(self, path: str) -> list[int]:
        """What a moderators' call with this path, a template or not, may name."""
        return self.moderated.get(path.split("/")[3] if "/admin/" in path else "", self.user_ids)

    def leaver(self, number: int) -> tuple[str, int]:
        """Somebody's token and session that nobody else needs; they come round again when all were used."""
        return self.leavers[number % len(self.leavers)]

    def judge(self, operation: str, got: Got, *, anywhere: bool = False) -> None:
        """Note an answer, and check what holds for every one: no 5xx, problems in their form, nothing internal in them. What may have
        gone `anywhere`, and not to the API, may be answered by a page.
        """
        self.statuses[got.status] += 1
        self.by_operation[operation, got.status] += 1
        assert got.status < 500, f"{operation}: {got}"
        if got.status < 400:
            return
        assert got.headers.get("x-request-id"), f"{operation}: {got}"
        if not got.body:
            assert got.headers.get("content-type", "application/problem+json") == "application/problem+json"
            return
        if anywhere and got.headers["content-type"].startswith("text/html"):
            assert got.body.startswith(b"<!doctype html>")
            return
        assert got.headers["content-type"] == "application/problem+json", f"{operation}: {got}"
        told = msgspec.json.decode(got.body, type=Problem)
        assert told.status == got.status, f"{operation}: {got}"
        assert told.request_id == got.headers["x-request-id"]
        assert told.detail
        assert _CODE.fullmatch(told.code), told
        assert all(_CODE.fullmatch(one.code) for one in told.errors), told
        assert self.codes.setdefault(told.code, got.status) == got.status, f"{told.code} has two statuses"
        assert got.status != 401 or got.headers.get("www-authenticate")
        assert got.status != 429 or int(got.headers["retry-after"]) > 0
        # What the client wrote itself may stand there, quoted.
        assert not _INTERNAL.search(told.detail.encode()) or told.errors, told


@contextmanager
def served(folder: Path, *, leavers: int = 5) -> Generator[World]:
    """A server with people and tweets. At the end: it still runs and ends in order, said nothing of errors, and left nothing
    half written.
    """
    data = folder / "data"
    world = World("", "")
    asyncio.run(_fill(data, world, leavers))
    said = folder / "said"
    with said.open("wb") as output:
        server = Server(
            data,
            output=output.fileno(),
            log_format="console",
            trusted_proxies="127.0.0.1",
            # Limits on log-ins stand in the way of what lies behind them; they are tested where they are made.
            login_attempts_account=1_000_000,
            login_attempts_address=1_000_000,
        )
        with server:
            world.url = server.url
            world.metrics_url = f"http://{json.loads((data / SERVER_FILE).read_text())['metrics']}"
            yield world
            assert server.stop() == 0
    trouble = [line for line in said.read_text().splitlines() if _TROUBLE.search(line)]
    assert not trouble, said.read_text()[-20_000:]
    asyncio.run(_sound(data))


async def _fill(folder: Path, world: World, leavers: int) -> None:
    now = SystemClock()
    async with network_in(folder, ManualClock(now.now() - 100 * DAY)) as network:
        stale = (await network.users.import_people([NewPerson("stale")]))["stale"]
        world.tokens["expired"] = (await network.users.issue(stale, ("read", "write"), Client("tests"))).token
    async with network_in(folder, now) as network:
        await _people(network, world)
        await _tweets(network, world)
        await _moderation(network, world)
        handles = [f"leaver{number}" for number in range(leavers)]
        ids = await network.users.import_people([NewPerson(handle) for handle in handles])
        made = await asyncio.gather(
            *(network.users.issue(ids[handle], ("read", "write"), Client("tests")) for handle in handles)
        )
        world.leavers = [(one.token, one.session.id) for one in made]
        await caught_up(network)


async def _people(network: Network, world: World) -> None:
    users, graph = network.users, network.graph
    ids = await users.import_people([NewPerson(handle) for handle in _PEOPLE])
    world.user_ids = [ids[handle] for handle in _PEOPLE]
    ann, bob, cat, dan, eve, gone, _ = world.user_ids
    for handle in _PEOPLE:
        scopes = ("read",) if handle == "reader" else ("read", "write")
        world.tokens[handle] = (await users.issue(ids[handle], scopes, Client("tests"))).token
    await users.edit(cat, ProfileChange(protected=True))
    for follower, followee in ((ann, bob), (bob, ann), (bob, cat), (eve, ann), (gone, ann), (ann, gone), (dan, cat)):
        await graph.follow(follower, followee)
    await graph.approve(cat, bob)
    await graph.block(ann, dan)
    await graph.mute(bob, eve)
    await users.set_state(eve, State.SUSPENDED)
    await users.deactivate(gone)


async def _tweets(network: Network, world: World) -> None:
    write = network.ingestion
    ann, bob, cat, *_ = world.user_ids
    first = await write.post(ann, NewTweet("hello #world @bob https://example.org/a?b=c $ABC"))
    answer = await write.post(bob, NewTweet("an answer", reply_to=first.id))
    quote = await write.post(cat, NewTweet("for followers", quote_of=first.id))
    hidden = await write.post(ann, NewTweet("@bob only you", visibility=Visibility.MENTIONED))
    deep = answer.id
    for number in range(30):
        deep = (await write.post((ann, bob)[number % 2], NewTweet(f"answer {number}", reply_to=deep))).id
    deleted = await write.post(bob, NewTweet("soon gone", reply_to=first.id))
    await write.delete(bob, deleted.id)
    await write.retweet(bob, first.id)
    await write.favorite(bob, first.id)
    await write.bookmark(bob, first.id)
    # Of ann's, as `first` is, and by people whom everybody may read: what its author may hide, detach, edit and pin.
    said = await write.post(bob, NewTweet("look at this", quote_of=first.id))
    world.tweet_ids = [first.id, answer.id, quote.id, hidden.id, deep, deleted.id, said.id]
    world.own = {"tweet": first.id, "reply": answer.id, "quote": said.id}
    world.own["draft"] = (await network.drafts.create(ann, NewTweet("to be posted"))).id
    drafts = [await network.drafts.create(who, NewTweet(f"later {n}")) for n in range(50) for who in (ann, bob, cat)]
    world.draft_ids = [draft.id for draft in drafts]
    filters = [await network.choices.add_filter(who, f"word {n}", None) for n in range(20) for who in (ann, bob, cat)]
    world.filter_ids = [one.id for one in filters]
    for who in (ann, bob):
        await network.archives.request(who)
    await network.archives.make_next()


async def _moderation(network: Network, world: World) -> None:
    users, moderation = network.users, network.moderation
    ids = await users.import_people([NewPerson(handle) for handle in ("mod", "boss", "spam1", "spam2", "spam3")])
    for handle, role in (("mod", Role.MODERATOR), ("boss", Role.ADMIN)):
        await users.set_role(ids[handle], role)
        world.tokens[handle] = (await users.issue(ids[handle], ("read", "write", "admin"), Client("tests"))).token
    await moderation.add_entries(OPERATOR, ListName.WORDS, ["casino"], ListAction.HOLD, "")
    spammers = [ids[handle] for handle in ("spam1", "spam2", "spam3")]
    tweets = [(await network.ingestion.post(who, NewTweet(text))).id for who in spammers for text in ("a casino", "b")]
    for tweet in tweets[1::2]:
        await moderation.report(world.user_ids[0], user_id=None, tweet_id=tweet, reason=Reason.SPAM, comment="spam")
    reports = (await moderation.reports(OPERATOR, ReportState.OPEN, Page(100))).items
    entries = (await moderation.list_entries(OPERATOR, ListName.WORDS, Page(100))).items
    world.moderated = {
        "users": spammers,
        "registrations": spammers,
        "tweets": tweets,
        "reports": [report.id for report in reports],
        "blocklists": [entry.id for entry in entries],
    }


async def _sound(folder: Path) -> None:
    """`rookery check` finds nothing."""
    async with open_network(Settings(data=folder)) as network:
        assert await check(network, sample=1_000, seed=1) == []
