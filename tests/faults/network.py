"""A network of real processes, ended by `kill -9` round after round, and looked at after each."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from rookery.infra.sql.sqlite_connect import connect
from rookery.kernel.clock import HOUR, SystemClock
from rookery.settings import Settings
from rookery.wiring import DATABASE, SERVER_FILE, check, open_network
from tests.faults import files, museum, truth
from tests.faults.killed import MOMENTS
from tests.faults.model import ACTIVE, FOLLOWS, STANDING, Model, Person, Written
from tests.faults.readers import Readers
from tests.faults.traffic import FAN_OUT, KEYED, PASSWORD, POSTING, Traffic
from tests.support import Server

PEOPLE = 8
FOLLOWERS = 12
"""Of the first two people, each with a home timeline that is read."""

REQUESTS = 400
"""Of a round that nothing ends."""

_ROOKERY = ("-m", "rookery")
_COUNTED = ("-P", str(Path(__file__).with_name("killed.py")))
"""The same program, with its writes counted."""

_STALE_KEYS = 600
_SURE = 30.0
"""Seconds that anything may take that must happen."""


@dataclass(frozen=True)
class Plan:
    """What a round does, and at which counted event the kill comes."""

    kind: str
    event: str
    """issue, answer (of the clients) or write (of the store)."""
    number: int
    moment: str
    """before, torn or after, where it is a write."""

    def __str__(self) -> str:
        return f"{self.kind}: kill at {self.event} {self.number}" + (
            f", {self.moment}" if self.event == "write" else ""
        )

    @property
    def order(self) -> str:
        """What killed.py is told."""
        return f"{self.number} {self.moment}"

    @property
    def settings(self) -> dict[str, Any]:
        """The server's settings."""
        if self.kind == "retention":
            return {"events_keep_hours": 0, "active_days": 0.000002, "upkeep_seconds": 0.02}
        return {}


KINDS = (
    "posting", "import of tweets", "fan-out", "migration", "retention", "import of follows", "posting",
    "server beside an import", "fan-out", "backup",
)  # fmt: skip
"""Ten rounds."""

_WRITES = {"import of tweets": 600, "import of follows": 4_500, "migration": 60, "backup": 7}
"""How often such a process writes, about."""


def plans(chance: Random) -> list[Plan]:
    """Ten rounds in some order."""
    made: list[Plan] = []
    for kind in chance.sample(KINDS, len(KINDS)):
        if kind in _WRITES:
            event, number = "write", chance.randrange(1, _WRITES[kind])
        else:
            event = chance.choice(("issue", "answer", "write", "write"))
            number = chance.randrange(30, 250) if event != "write" else chance.randrange(20, 500)
        made.append(Plan(kind, event, number, chance.choice(MOMENTS)))
    return made


@dataclass
class Round:
    """What came of a round."""

    plan: Plan
    cut: bool = False
    """Whether the kill came in the middle of something."""
    done: str = ""
    wrong: list[str] = field(default_factory=list)


class Network:
    """A data folder, the server that runs on it, and what is known of what it holds."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.model = Model()
        self._work = folder
        self._data = folder / "data"
        self._order = folder / "order"
        self._chance = Random(seed)
        self._server: Server | None = None
        self._settings: dict[str, Any] = {}
        self._before: truth.Truth | None = None
        self._rounds = 0
        self.playing: Round | None = None
        """The round that is played, or was the last."""

    # --- processes

    def serve(self, plan: Plan | None) -> str:
        """Have a server that suits the plan; its address."""
        settings = {} if plan is None else plan.settings
        if self._server is not None and self._settings != settings:
            code = self._server.stop()
            assert code == 0, f"the server ended with {code} when it was asked to"
            self._server = None
        if self._server is None:
            self._order.unlink(missing_ok=True)
            self._server = Server(self._data, _COUNTED, faults_kill=self._order, **settings)
            self._settings = settings
            self._server.start()
        return self._server.url

    def end(self) -> None:
        """End what runs."""
        if self._server is not None:
            self._server.kill()
            self._server = None

    async def command(self, *args: object, order: str | None = None, stdin: str = "") -> tuple[int, str]:
        """Run a command to its end, or to its kill; the exit code (-9) and the output."""
        off = dict.fromkeys(("ROOKERY_RATE_LIMITS", "ROOKERY_HOLD_SUSPECTS"), "off")
        program, environment = _ROOKERY, {**os.environ, "ROOKERY_METRICS_PORT": "0", **off}
        if order is not None:
            path = self._work / "command"
            path.write_text(order)
            program, environment["ROOKERY_FAULTS_KILL"] = _COUNTED, str(path)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *program, *map(str, args), env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode is not None
        return process.returncode, out.decode() + (err.decode() if process.returncode > 0 else "")

    async def rookery(self, *args: object, stdin: str = "") -> Any:
        """The JSON that a command answers, which must succeed."""
        code, out = await self.command(*args, "--json", "--data", self._data, stdin=stdin)
        assert code == 0, f"rookery {' '.join(map(str, args))} ended with {code}: {out}"
        return json.loads(out)

    # --- the first day

    async def open(self, plan: Plan) -> None:
        """People who know each other, with something to read."""
        url = self.serve(plan)
        handles = [f"p{n}" for n in range(PEOPLE)] + [f"f{n}" for n in range(FOLLOWERS)]
        async with httpx.AsyncClient(base_url=url, timeout=_SURE) as client:
            for made in await asyncio.gather(*(self._register(client, handle) for handle in handles)):
                self.model.people[made.handle] = made
                self.model.put(("name", made.handle), made.handle)
                self.model.put(("state", made.handle), ACTIVE)
            pairs = [(one, other) for one in handles[:PEOPLE] for other in handles[:PEOPLE] if one != other]
            pairs = self._chance.sample(pairs, len(pairs) // 2)
            pairs += [(one, other) for one in handles[PEOPLE:] for other in handles[:2]]
            for one, other in pairs:
                answer = await client.put(f"/v1/users/{self.model.people[other].id}/follow", headers=self._as(one))
                assert answer.status_code == 200, answer.text
                cell = self.model.pair(one, other)
                self.model.put(cell, self.model.value(*cell) | {(FOLLOWS, one, other)})
            for handle in handles[:PEOPLE]:
                await self._post(client, f"good morning from {handle}", handle)
        self._before = truth.read(self._data / DATABASE)

    async def _register(self, client: httpx.AsyncClient, handle: str) -> Person:
        body = {"handle": handle, "email": f"{handle}@example.org", "password": PASSWORD}
        answer = await client.post("/v1/users", json=body)
        assert answer.status_code == 201, answer.text
        return Person(handle, int(answer.json()["user"]["id"]), answer.json()["token"])

    def _as(self, handle: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.model.people[handle].token}"}

    async def _post(self, client: httpx.AsyncClient, content: str, handle: str) -> None:
        answer = await client.post("/v1/tweets", json={"content": content}, headers=self._as(handle))
        assert answer.status_code == 201, answer.text
        self.model.written[content] = Written(content, handle, {"content": content})
        self.model.put(("tweet", content), STANDING)
        self.model.told(content, int(answer.json()["id"]))

    # --- rounds

    async def round(self, plan: Plan, after: Plan | None) -> Round:
        """Play a round and look at what is left; the server goes on as the round `after` it needs it."""
        self._rounds += 1
        played = self.playing = Round(plan)
        match plan.kind:
            case "import of tweets":
                await self._import_tweets(played)
            case "import of follows":
                await self._import_follows(played)
            case "server beside an import":
                await self._import_beside(played)
            case "backup":
                await self._back_up(played)
            case "migration":
                await self._migrate(played)
            case _:
                await self._use(played)
        # What retention removes it must go on removing after the restart; and nothing is removed before it was looked at.
        retained = "retention" in (plan.kind, None if after is None else after.kind)
        looking = (plan if plan.kind == "retention" else None) if retained else after
        played.wrong += await self.look(looking, complete=plan.kind != "retention")
        self.serve(after)
        return played

    async def _use(self, played: Round, plan: Plan | None = None) -> None:
        """Traffic until the kill that the round, or this `plan`, has."""
        plan = plan or played.plan
        mix = {"fan-out": FAN_OUT, "retention": KEYED}.get(plan.kind, POSTING)
        if plan.kind == "retention":
            self._plant_stale_keys()
        url, server = self.serve(plan), self._server
        assert server is not None

        if plan.event == "write":
            self._order.write_text(plan.order)
        traffic = Traffic(
            self.model, self._chance, url, mix=mix, name=f"r{self._rounds}",
            kills=lambda event, number: event == plan.event and number == plan.number, kill=server.kill,
        )  # fmt: skip
        await traffic.run(REQUESTS)
        self.end()
        played.cut = played.cut or traffic.cut > 0
        played.wrong += traffic.wrong
        played.done += f"{traffic.acknowledged} of {traffic.issued} requests done, {traffic.cut} cut off, {traffic.never_sent} not sent"

    async def _import_tweets(self, played: Round) -> None:
        """An import is killed beside a server that people use; then it is run again."""
        file = files.tweets(self._work / f"r{self._rounds}.csv", f"r{self._rounds}", self._chance)
        await self._follow_imported(file)
        await self._killed_import(played, "tweets", file.path)
        self._note_imported(file)
        played.wrong += file.differences(self._data / DATABASE)

    async def _import_follows(self, played: Round) -> None:
        file = files.follows(self._work / f"r{self._rounds}.txt", f"r{self._rounds}", self._chance)
        await self._killed_import(played, "graph", file.path, "--handles")
        played.wrong += file.differences(self._data / DATABASE)

    async def _killed_import(self, played: Round, *args: object) -> None:
        plan = played.plan
        traffic = Traffic(self.model, self._chance, self.serve(plan), mix=POSTING, name=f"r{self._rounds}")
        words = ("import", *args, "--json", "--data", self._data)
        (code, out), _ = await asyncio.gather(self.command(*words, order=plan.order), traffic.run(REQUESTS // 4))
        if code not in (0, -9):
            played.wrong.append(f"the import ended with {code}: {out}")
        report = await self.rookery("import", *args)
        played.cut = code == -9 and report["added"] > 0
        played.wrong += traffic.wrong
        played.done = f"the first import ended with {code}, the second added {report['added']}"

    async def _import_beside(self, played: Round) -> None:
        """The server is killed while an import runs beside it, which must not mind."""
        file = files.tweets(self._work / f"r{self._rounds}.csv", f"r{self._rounds}", self._chance)
        await self._follow_imported(file)
        running = asyncio.create_task(self.rookery("import", "tweets", file.path))
        await self._use(played)
        report = await running
        again = await self.rookery("import", "tweets", file.path)
        if report["added"] != len(file.rows) or again["added"]:
            played.wrong.append(
                f"the import added {report['added']} of {len(file.rows)}, and then {again['added']} again"
            )
        played.done += f"; the import added {report['added']}"
        self._note_imported(file)
        played.wrong += file.differences(self._data / DATABASE)

    async def _follow_imported(self, file: files.Tweets) -> None:
        """Two people follow one of the authors to come."""
        readers = [f"f{n}" for n in range(2)]
        await self.rookery(
            "import", "graph", "-", "--handles", stdin="".join(f"{one} {file.star}\n" for one in readers)
        )
        for one in readers:
            self.model.put(self.model.pair(one, file.star), frozenset({(FOLLOWS, one, file.star)}))

    def _note_imported(self, file: files.Tweets) -> None:
        self.model.imported[file.star] = {content for author, content in file.rows.values() if author == file.star}

    async def _back_up(self, played: Round) -> None:
        """A backup is killed, and leaves nothing that looks like one; the next one is made beside a server that is killed; a
        killed restore leaves nothing that a server would begin with, and the next one brings all back.
        """
        plan = played.plan
        place, data = self._work / f"r{self._rounds}-backups", self._work / f"r{self._rounds}-restored"
        traffic = Traffic(self.model, self._chance, self.serve(plan), mix=POSTING, name=f"r{self._rounds}a")
        words = ("backup", place, "--json", "--data", self._data)
        (first, out), _ = await asyncio.gather(self.command(*words, order=plan.order), traffic.run(REQUESTS // 4))
        played.wrong += traffic.wrong
        played.cut = first == -9
        if first not in (0, -9):
            played.wrong.append(f"the backup ended with {first}: {out}")
        beside = Plan("posting", "issue", 20 * plan.number, "")
        made, _ = await asyncio.gather(self.rookery("backup", place, "--verify"), self._use(played, beside))
        listed = await self.rookery("backup", place, "--list")
        whole = [one["id"] for one in listed if one["state"] == "whole"]
        if len(whole) != 1 + (first == 0) or whole[0] != made["id"]:
            played.wrong.append(f"beside a backup that ended with {first}, {made['id']} was made; listed are {listed}")
        torn, _ = await self.command("restore", place, "--data", data, order=plan.order)
        if torn == -9:
            code, out = await self.command("restore", place, "--backup", made["id"], "--data", data)
            if code:
                played.wrong.append(f"after a killed restore, the next one ended with {code}: {out}")
        played.wrong += await _check(data)
        # The events since the backup lead from what was restored to what is there now: so it was the state of one moment.
        restored, now = truth.read(data / DATABASE), truth.read(self._data / DATABASE)
        played.wrong += restored.flaws + truth.follow_events(restored, now, complete=True)
        played.done += f"; the first backup ended with {first}, the first restore with {torn}"

    async def _migrate(self, played: Round) -> None:
        """A database of an older version, or none, is brought up to date by servers that are killed at it."""
        plan = played.plan
        work = self._work / f"r{self._rounds}"
        work.mkdir()
        known = museum.revisions()
        revision = self._chance.choice(["", *known[:-1]])
        data, full = work / "data", self._data / DATABASE
        if revision:
            museum.make_old(data / DATABASE, revision, full, work / "scripts")
        before = museum.rows(data / DATABASE) if revision else {}
        order = plan.order
        for _ in range(2):
            code, out = await self._start_killed(data, order)
            played.cut = played.cut or code == -9
            played.done += f"from {revision or 'nothing'}, write {order}: ended with {code}; "
            if code not in (0, -9):
                played.wrong.append(f"the server ended with {code}: {out}")
            order = f"{self._chance.randrange(1, _WRITES['migration'])} {self._chance.choice(MOMENTS)}"
        with Server(data) as server:
            async with httpx.AsyncClient(base_url=server.url, timeout=_SURE) as client:
                person = await self._register(client, "newcomer")
                answer = await client.post(
                    "/v1/tweets", json={"content": "hello"}, headers={"Authorization": f"Bearer {person.token}"}
                )
                assert answer.status_code == 201, answer.text
            assert server.stop() == 0
        now = museum.rows(data / DATABASE, before) if before else {}
        played.wrong += [f"the migration lost rows of {what}" for what in before if before[what] - now[what]]
        if museum.shape(data / DATABASE) != museum.shape(full):
            played.wrong.append("the migrated database is not shaped like a new one")
        played.wrong += truth.read(data / DATABASE).flaws
        played.wrong += await _check(data)

    async def _start_killed(self, data: Path, order: str) -> tuple[int, str]:
        """Start a server that is killed at it, or asked to end once it serves; its exit code and its output."""
        (data / SERVER_FILE).unlink(missing_ok=True)
        running = asyncio.create_task(self.command("serve", "--data", data, "--port", "0", order=order))
        while not (data / SERVER_FILE).exists():
            if (await asyncio.wait([running], timeout=0.01))[0]:
                break
        if not running.done():
            with suppress(OSError, ValueError):
                os.kill(json.loads((data / SERVER_FILE).read_text())["pid"], signal.SIGTERM)
        return await running

    def _plant_stale_keys(self) -> None:
        """Keys that went out of date before the round, some of which each post with a key removes."""
        author = self.model.people["p0"].id
        ids = [id for content, id in self.model.ids.items() if self.model.written[content].author == "p0"]
        # By the engine's own connection, which keeps the checksums of pages.
        with closing(connect(self._data / DATABASE, busy_timeout=_SURE)) as raw:
            raw.executemany(
                "INSERT OR IGNORE INTO tweets_idempotency (user_id, route, key, body_hash, tweet_id, at)"
                " VALUES (?, 'tweets.post', ?, x'00', ?, ?)",
                [
                    (author, f"stale-{self._rounds}-{n}", ids[n % len(ids)], SystemClock().now() - 25 * HOUR)
                    for n in range(_STALE_KEYS)
                ],
            )

    # --- after a round

    async def look(self, plan: Plan | None, *, complete: bool) -> list[str]:
        """Whether all that was acknowledged is there, once, and nothing that is there is half of something."""
        url = self.serve(plan)
        wrong: list[str] = []
        async with Readers(self.model, url) as readers:
            lost = [tweet for tweet in self.model.written.values() if tweet.key and len(self._fates(tweet)) > 1]
            # Some clients come back at once; the others after somebody looked.
            wrong += await _each(readers.repeat(tweet) for tweet in lost[::2])
            now = truth.read(self._data / DATABASE)
            wrong += truth.compare(self.model, now)
            assert self._before is not None
            wrong += truth.follow_events(self._before, now, complete=complete)
            await readers.come_back()
            kept = [tweet for tweet in self.model.written.values() if tweet.key and STANDING in self._fates(tweet)]
            wrong += await _each(readers.repeat(tweet) for tweet in [*lost[1::2], *kept[-6:]])
            wrong += await self._operators_check()
            wrong += await readers.everything()
        wrong += await _check(self._data)
        if not complete:
            wrong += await self._trimmed(now)
        self._before = truth.read(self._data / DATABASE)
        return wrong

    def _fates(self, tweet: Written) -> set[Any]:
        return self.model.possible("tweet", tweet.content)

    async def _operators_check(self) -> list[str]:
        """The cached timelines against the oracle, once the fan-out has caught up."""
        known = json.loads((self._data / SERVER_FILE).read_text())
        async with httpx.AsyncClient(timeout=_SURE) as client:
            answer = await client.get(f"http://{known['metrics']}/check/timelines", params={"sample": 1000})
        return answer.json()

    async def _trimmed(self, old: truth.Truth) -> list[str]:
        """Retention goes on after the restart: all events that were there then go, but the newest."""
        upto = max(offset for offset, _, _ in old.events)
        left: list[int] = []
        for _ in range(int(_SURE / 0.05)):
            left = [offset for offset, _, _ in truth.read(self._data / DATABASE).events if offset < upto]
            if not left:
                return []
            await asyncio.sleep(0.05)
        return [f"retention left the events {left[:5]} behind"]


async def _check(data: Path) -> list[str]:
    """What `rookery check` says, beside the server if one runs."""
    async with open_network(Settings(data=data)) as network:
        return await check(network, sample=1_000, seed=0)


async def _each(looks: Iterable[Awaitable[str | None]]) -> list[str]:
    return [text for text in [await look for look in looks] if text is not None]
