"""Making an archive: everything of a person, read in steps and written as a stream, whatever its size."""

import asyncio
import hashlib
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import IO, Final

import msgspec

from rookery.kernel.clock import Clock, to_datetime
from rookery.kernel.errors import NotFound
from rookery.kernel.ids import moment_of
from rookery.kernel.pages import Page
from rookery.services.archives.contract import (
    ACCOUNT,
    CONVERSATIONS,
    DRAFTS,
    FILTERS,
    FORMAT,
    HASHTAGS,
    MANIFEST,
    SESSIONS,
    TWEETS,
    VERSION,
    AccountFile,
    ConversationLine,
    CountsLine,
    DraftLine,
    EdgeLine,
    FileFacts,
    FilterLine,
    HashtagLine,
    Manifest,
    MarkLine,
    PersonRef,
    RevisionLine,
    SessionLine,
    TweetLine,
    TweetRef,
)
from rookery.services.archives.store import ArchiveStore
from rookery.services.drafts.contract import Drafts
from rookery.services.graph.contract import Choices, EdgeList, Graph
from rookery.services.live.contract import Live
from rookery.services.notifications.contract import From, Kind, Notifications
from rookery.services.tweets.contract import MarkKind, TweetOrigin, TweetReads, WrittenTweet
from rookery.services.users.contract import User, Users

PART_BYTES: Final = 4 << 20
"""Bytes after which what is ready is handed on."""

_STEP: Final = 200
"""Rows that are read at a time."""
_ALL: Final = 10_000
"""More than anybody may have of drafts, hashtags, muted conversations."""
_LEVEL: Final = 6

_encode = msgspec.json.Encoder().encode

Put = Callable[[bytes], Awaitable[None]]
"""Takes the next bytes of the archive."""

MARKS: Final[Mapping[str, MarkKind]] = {
    "retweets.jsonl": MarkKind.RETWEET,
    "favorites.jsonl": MarkKind.FAVORITE,
    "bookmarks.jsonl": MarkKind.BOOKMARK,
}
EDGES: Final[Mapping[str, EdgeList]] = {f"{of.value}.jsonl": of for of in EdgeList}

_README: Final = """\
This is everything that {handle} has on a Rookery network, made on {at}.

manifest.json      what this is: the format's version, and for each file its records, bytes and SHA-256
account.json       the account: the profile, the email address, the birth date, what it wants to be notified of
sessions.jsonl     log-ins that are still good
tweets.jsonl       every tweet that stands, with what it said before it was edited
retweets.jsonl     what was retweeted, favorites.jsonl what was favorited, bookmarks.jsonl what was bookmarked
following.jsonl    who is followed, requested.jsonl who is asked for it
followers.jsonl    who follows, requests.jsonl who asks for it
blocked.jsonl      who is blocked, muted.jsonl who is muted
hashtags.jsonl     hashtags that are followed, muted_conversations.jsonl conversations that are muted
filters.jsonl      words that are kept away
drafts.jsonl       what is not posted yet, scheduled tweets among it

A file that ends in .jsonl has a JSON object on each line. Times are UTC. A tweet's source and external_id name it on every
Rookery network that it is imported to. Passwords and tokens are not in here; pictures and other media are named by their
addresses, since the network does not keep them. `rookery import archive` reads this file.
"""


class ArchiveMaker:
    """Reads everything of a person by the services' contracts."""

    def __init__(
        self,
        *,
        users: Users,
        graph: Graph,
        choices: Choices,
        live: Live,
        reads: TweetReads,
        drafts: Drafts,
        notifications: Notifications,
        store: ArchiveStore,
        clock: Clock,
        version: str,
    ) -> None:
        """`version` is the program's."""
        self._users = users
        self._graph = graph
        self._choices = choices
        self._live = live
        self._reads = reads
        self._drafts = drafts
        self._notifications = notifications
        self._store = store
        self._clock = clock
        self._version = version

    async def make(self, user_id: int, put: Put, alive: Callable[[], None] = lambda: None) -> Manifest:
        """Make the archive of an account in any state and hand it to `put`, some MiB at a time; `alive` is called now and then.

        A step is of one moment, the whole is not: what changes meanwhile may be in it or not. Raises NotFound.
        """
        network = await self._store.network()
        user = (await self._users.get([user_id])).get(user_id)
        if user is None:
            raise NotFound("there is no such account", code="user_not_found")
        me = PersonRef(str(user.id), user.handle)
        now = to_datetime(self._clock.now())
        made = _Zip(put, now)
        readme = _README.format(handle=f"@{user.handle}", at=now.strftime("%Y-%m-%d %H:%M UTC"))
        await made.add("README.txt", _once([readme.encode()]))
        await made.add(ACCOUNT, _once([_encode(await self._account(user, network))]))
        lists = {
            SESSIONS: self._sessions(user_id),
            TWEETS: self._tweets(user_id, network),
            **{name: self._marks(user_id, kind, network) for name, kind in MARKS.items()},
            **{name: self._edges(user_id, of) for name, of in EDGES.items()},
            HASHTAGS: self._hashtags(user_id),
            CONVERSATIONS: self._conversations(user_id, network),
            FILTERS: self._filters(user_id),
            DRAFTS: self._all_drafts(user_id, network),
        }
        for name, lines in lists.items():
            await made.add(name, lines, alive)
        manifest = Manifest(
            format=FORMAT,
            version=VERSION,
            network=network,
            made_at=now,
            rookery=self._version,
            user=me,
            files=made.files,
        )
        await made.add(MANIFEST, _once([msgspec.json.format(_encode(manifest))]))
        await made.close()
        return manifest

    async def _account(self, user: User, network: str) -> AccountFile:
        account = await self._users.account(user.id)
        counts = (await self._graph.counts([user.id]))[user.id]
        tweets = (await self._reads.tweet_counts([user.id])).get(user.id, 0)
        known = _Known(network)
        pinned = (await self._reads.pinned([user.id])).get(user.id)
        await self._learn(known, [pinned])
        preferences = await self._notifications.preferences(user.id)
        return AccountFile(
            id=str(user.id),
            handle=user.handle,
            name=user.name,
            bio=user.bio,
            location=user.location,
            avatar_url=user.avatar_url,
            protected=user.protected,
            state=user.state.value,
            role=user.role.value,
            created_at=to_datetime(user.created_at),
            email=account.email,
            date_of_birth=account.date_of_birth,
            country=account.country,
            last_active=None if account.last_active is None else to_datetime(account.last_active),
            followers=counts.followers,
            following=counts.following,
            tweets=tweets,
            pinned=known.tweet(pinned),
            presence_visible=(await self._live.presence(user.id))[0].visible,
            notifications={kind.value: of.value for kind in Kind if (of := preferences.of(kind)) is not From.EVERYBODY},
        )

    async def _sessions(self, user_id: int) -> AsyncIterator[list[bytes]]:
        yield [
            _encode(
                SessionLine(
                    id=str(one.id),
                    app=one.app,
                    scopes=one.scopes,
                    created_at=to_datetime(one.created_at),
                    expires_at=to_datetime(one.expires_at),
                    last_used=to_datetime(one.last_used),
                )
            )
            for one in await self._users.sessions(user_id)
        ]

    async def _tweets(self, user_id: int, network: str) -> AsyncIterator[list[bytes]]:
        after = 0
        while page := await self._reads.written(user_id, after, _STEP):
            after = page[-1].record.id
            known = _Known(network)
            await self._learn(known, [id for one in page for id in (one.record.reply_to, one.record.quote_of)], page)
            yield [_encode(_tweet(one, known)) for one in page]

    async def _marks(self, user_id: int, kind: MarkKind, network: str) -> AsyncIterator[list[bytes]]:
        after = 0
        while page := await self._reads.marked(user_id, kind, after, _STEP):
            after = page[-1].id
            known = _Known(network)
            await self._learn(known, [one.tweet_id for one in page])
            yield [
                _encode(MarkLine(to_datetime(one.at), ref))
                for one in page
                if (ref := known.tweet(one.tweet_id)) is not None
            ]

    async def _edges(self, user_id: int, of: EdgeList) -> AsyncIterator[list[bytes]]:
        after = 0
        while page := await self._graph.edges(user_id, of, after, _STEP):
            after = page[-1].id
            people = await self._users.get([edge.user_id for edge in page])
            yield [
                _encode(EdgeLine(to_datetime(moment_of(edge.id)), _person(people[edge.user_id])))
                for edge in page
                if edge.user_id in people
            ]

    async def _hashtags(self, user_id: int) -> AsyncIterator[list[bytes]]:
        page = await self._choices.followed_hashtags(user_id, Page(_ALL))
        yield [_encode(HashtagLine(one.key)) for one in page.items[::-1]]

    async def _conversations(self, user_id: int, network: str) -> AsyncIterator[list[bytes]]:
        roots = [one.root_id for one in (await self._choices.muted_conversations(user_id, Page(_ALL))).items[::-1]]
        known = _Known(network)
        await self._learn(known, roots)
        yield [_encode(ConversationLine(ref)) for root in roots if (ref := known.tweet(root)) is not None]

    async def _filters(self, user_id: int) -> AsyncIterator[list[bytes]]:
        yield [
            _encode(FilterLine(one.phrase, None if one.expires_at is None else to_datetime(one.expires_at)))
            for one in (await self._choices.filters(user_id))[::-1]
        ]

    async def _all_drafts(self, user_id: int, network: str) -> AsyncIterator[list[bytes]]:
        drafts = (await self._drafts.mine(user_id, Page(_ALL))).items[::-1]
        known = _Known(network)
        await self._learn(known, [id for one in drafts for id in (one.tweet.reply_to, one.tweet.quote_of)])
        yield [
            _encode(
                DraftLine(
                    id=str(one.id),
                    content=one.tweet.content,
                    visibility=one.tweet.visibility,
                    media_url=one.tweet.media_url,
                    lang=one.tweet.lang,
                    reply_to=known.tweet(one.tweet.reply_to),
                    quote_of=known.tweet(one.tweet.quote_of),
                    created_at=to_datetime(one.created_at),
                    updated_at=to_datetime(one.updated_at),
                    publish_at=None if one.publish_at is None else to_datetime(one.publish_at),
                    failure=one.failure,
                    reply_rule=one.tweet.reply_rule,
                )
            )
            for one in drafts
        ]

    async def _learn(
        self, known: "_Known", tweet_ids: Iterable[int | None], written: Sequence[WrittenTweet] = ()
    ) -> None:
        """Ask, in bulk, for the tweets and the people that a step of a list refers to."""
        wanted = list({id for id in tweet_ids if id is not None})
        known.tweets = await self._reads.origins(wanted) if wanted else {}
        people = {origin.author_id for origin in known.tweets.values()}
        for one in written:
            people.update(one.record.mentions.values())
            people.update(id for revision in one.revisions for id in revision.mentions.values())
        known.people = await self._users.get(list(people)) if people else {}


class _Known:
    """What a step of a list refers to."""

    def __init__(self, network: str) -> None:
        self.source = f"rookery:{network}"
        self.tweets: Mapping[int, TweetOrigin] = {}
        self.people: Mapping[int, User] = {}

    def tweet(self, id: int | None) -> TweetRef | None:
        if id is None or (origin := self.tweets.get(id)) is None:
            return None
        author = self.people.get(origin.author_id)
        who = None if author is None else _person(author)
        if origin.source is None or origin.external_id is None:
            return TweetRef(self.source, str(id), who)
        return TweetRef(origin.source, origin.external_id, who)

    def mentions(self, of: Mapping[str, int]) -> dict[str, PersonRef]:
        return {handle: _person(self.people[id]) for handle, id in of.items() if id in self.people}


def _person(user: User) -> PersonRef:
    return PersonRef(str(user.id), user.handle)


def _tweet(one: WrittenTweet, known: _Known) -> TweetLine:
    record = one.record
    counts = record.counts
    imported = one.source is not None and one.external_id is not None
    return TweetLine(
        id=str(record.id),
        source=one.source if imported and one.source else known.source,
        external_id=one.external_id if imported and one.external_id else str(record.id),
        created_at=to_datetime(record.created_at),
        edited_at=None if record.edited_at is None else to_datetime(record.edited_at),
        content=record.content,
        lang=record.lang,
        visibility=record.visibility,
        reply_rule=record.reply_rule,
        media_url=record.media_url,
        reply_to=known.tweet(record.reply_to),
        quote_of=known.tweet(record.quote_of),
        mentions=known.mentions(record.mentions),
        counted=record.counted,
        counts=CountsLine(
            counts.replies,
            counts.retweets,
            counts.quotes,
            counts.favorites,
            one.imported_retweets,
            one.imported_favorites,
        ),
        revisions=[
            RevisionLine(
                at=to_datetime(revision.at),
                content=revision.content,
                visibility=revision.visibility,
                lang=revision.lang,
                media_url=revision.media_url,
                mentions=known.mentions(revision.mentions),
            )
            for revision in one.revisions
        ],
    )


async def _once(lines: list[bytes]) -> AsyncIterator[list[bytes]]:
    yield lines


class _Zip:
    """A zip that is written as a stream: nothing of it waits longer than until the next part is full."""

    def __init__(self, put: Put, at: datetime) -> None:
        self._at = (at.year, at.month, at.day, at.hour, at.minute, at.second)
        self.files: dict[str, FileFacts] = {}
        self._put = put
        self._out = _Out()
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)

    async def add(self, name: str, lines: AsyncIterator[list[bytes]], alive: Callable[[], None] = lambda: None) -> None:
        """A file of these lines; `lines` gives some at a time. Compressing happens away from the event loop."""
        facts = _Facts()
        about = zipfile.ZipInfo(name, self._at)
        about.compress_type = zipfile.ZIP_DEFLATED
        about.external_attr = 0o600 << 16
        # Of an unknown length: it may take more than 4 GiB.
        with self._zip.open(about, "w", force_zip64=True) as member:
            async for some in lines:
                await asyncio.to_thread(facts.write, member, some)
                alive()
                if len(self._out.waiting) >= PART_BYTES:
                    await self._put(self._out.take())
        self.files[name] = FileFacts(facts.records, facts.bytes, facts.sha256.hexdigest())

    async def close(self) -> None:
        self._zip.close()
        if self._out.waiting:
            await self._put(self._out.take())


class _Facts:
    """What is known of a file while it is written."""

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0
        self.sha256 = hashlib.sha256()

    def write(self, member: IO[bytes], lines: Sequence[bytes]) -> None:
        if not lines:
            return
        data = b"\n".join(lines) + b"\n"
        self.records += len(lines)
        self.bytes += len(data)
        self.sha256.update(data)
        member.write(data)


class _Out:
    """Where the zip goes; it can't be gone back in, so that zipfile does not try."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def write(self, data: bytes) -> int:
        self.waiting += data
        return len(data)

    def flush(self) -> None:
        """All is written at once."""

    def close(self) -> None:
        """What waits is taken yet."""

    def take(self) -> bytes:
        taken = bytes(self.waiting)
        self.waiting.clear()
        return taken
