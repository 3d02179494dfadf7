"""Reading back Rookery's own archives: everything of a person, into a network that has it, has some of it, or has nothing.

Accounts come first, then tweets, then what connects them, so that several archives that refer to each other can be given in any
order. What refers to something that is not here is counted, and found when the archive is imported again later.
"""

from asyncio import Event, to_thread
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from rookery.gateways.importer.archivefile import RookeryArchive, Tally, id_of
from rookery.kernel.clock import from_datetime
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from rookery.kernel.ids import MAX_ID
from rookery.kernel.pages import Page
from rookery.kernel.visibility import State, Visibility
from rookery.services.archives.contract import (
    CONVERSATIONS,
    DRAFTS,
    FILTERS,
    HASHTAGS,
    TWEETS,
    Archives,
    Bound,
    ConversationLine,
    DraftLine,
    EdgeLine,
    FilterLine,
    HashtagLine,
    MarkLine,
    PersonRef,
    TweetLine,
    TweetRef,
)
from rookery.services.drafts.contract import Drafts, ImportedDraft
from rookery.services.graph.contract import Choices, Graph
from rookery.services.live.contract import Live
from rookery.services.notifications.contract import From, Kind, Notifications, PreferencesChange
from rookery.services.tweets.contract import (
    ImportedEntry,
    ImportedRevision,
    ImportedTweet,
    NewTweet,
    TweetIngestion,
    TweetReads,
)
from rookery.services.users.contract import NewPerson, ProfileChange, Users

T = TypeVar("T")


Name = tuple[str, str]
"""What a tweet is called everywhere: source, external id."""


_ALL = 10_000
"""More than anybody may have of what is chosen."""


class Services(msgspec.Struct, frozen=True):
    """What an archive is imported into."""

    users: Users
    graph: Graph
    choices: Choices
    ingestion: TweetIngestion
    reads: TweetReads
    drafts: Drafts
    notifications: Notifications
    live: Live
    archives: Archives


class ArchiveImport:
    """Brings one archive in, phase after phase; each may be cut short and repeated, and adds only what is missing."""

    def __init__(self, archive: RookeryArchive, services: Services, handle: str | None, stop: Event) -> None:
        """`handle` is the account here that it belongs to, whoever that is; None: the one of the archive's handle."""
        self._archive = archive
        self._s = services
        self._handle = handle
        self._stop = stop
        self._people: dict[str, int | None] = {}
        self._sure: dict[str, int | None] = {}
        self._own = ""
        """The source of what was posted here."""
        self.user_id = 0
        self._may_fill = False
        self._drafts_upto = MAX_ID
        self.report = archive.report

    # --- the account

    async def account(self) -> None:
        """Find the account, or make it. Raises Conflict where the handle is somebody else's."""
        self._own = f"rookery:{await self._s.archives.network()}"
        told, source = self._archive.account, self._archive.source
        bound = (await self._s.archives.bound(source, [told.id])).get(told.id)
        if bound is not None and bound.user_id is not None and await self._stands(bound.user_id):
            if self._handle is not None and self._handle.lower() != bound.handle.lower():
                raise Conflict(
                    "{file} was imported before, to @{handle}",
                    file=self.report.file,
                    handle=bound.handle,
                    code="archive_bound",
                )
            self.user_id, self._drafts_upto = bound.user_id, bound.drafts_upto
        elif source == self._own and self._handle is None and await self._stands(id_of(told.id) or 0):
            # What it was made of: its drafts are here, or gone for a reason.
            self.user_id = id_of(told.id) or 0
        else:
            bound = await self._bind(bound)
            assert bound.user_id is not None
            self.user_id, self._drafts_upto = bound.user_id, bound.drafts_upto
        if bound is not None and bound.made and not bound.filled and bound.user_id is not None:
            await self._fill()
            await self._s.archives.bind(source, told.id, msgspec.structs.replace(bound, filled=True))
        self.report.handle = (await self._s.users.get([self.user_id]))[self.user_id].handle

    async def _stands(self, user_id: int) -> bool:
        user = (await self._s.users.get([user_id])).get(user_id)
        return user is not None and user.state is not State.ERASED

    async def _bind(self, begun: Bound | None) -> Bound:
        told, source = self._archive.account, self._archive.source
        handle = (self._handle or told.handle).removeprefix("@")
        created_at = from_datetime(told.created_at)
        there = (await self._s.users.by_handles([handle])).get(handle.lower())
        # An import that was cut short made it, just before it could say so.
        ours = begun is not None and begun.user_id is None and there is not None and there.created_at == created_at
        if there is not None and self._handle is None and not ours:
            raise Conflict(
                "@{handle} is an account here already; --as {handle} says that it is the same person's, "
                "--as with another handle brings the archive in under that",
                handle=there.handle,
                code="handle_taken",
            )
        if there is not None and not ours:
            bound = Bound(there.id, there.handle, made=False, filled=False, drafts_upto=0)
        else:
            bound = Bound(None, handle, made=True, filled=False, drafts_upto=0)
            await self._s.archives.bind(source, told.id, bound)
            person = NewPerson(handle, told.name, told.bio, told.location, created_at)
            user_id = (await self._s.users.import_people([person]))[handle.lower()]
            bound = msgspec.structs.replace(bound, user_id=user_id)
            self.report.account_made = True
        await self._s.archives.bind(source, told.id, bound)
        return bound

    async def _fill(self) -> None:
        """Give an account that was made what `import_people` does not; fields that can't be taken are left out."""
        told = self._archive.account
        wanted: dict[str, Any] = {
            "avatar_url": told.avatar_url,
            "protected": told.protected,
            "country": told.country,
            "date_of_birth": told.date_of_birth,
            "email": told.email or UNSET,
        }
        while True:
            try:
                await self._s.users.edit(self.user_id, ProfileChange(**wanted))
            except (Invalid, Conflict) as error:
                wrong = (
                    {one.field for one in error.errors} & wanted.keys() or wanted.keys() - {"protected"} or set(wanted)
                )
                for field in wrong:
                    wanted.pop(field)
                self.report.profile_left_out += sorted(wrong)
                if not wanted:
                    return
            else:
                return

    # --- tweets

    async def tweets(self) -> None:
        """Add the tweets that are not here."""
        report = self.report.tweets
        async for batch in self._batches(TWEETS, TweetLine):
            here = await self._here(batch)
            fresh = [line for line in batch if (line.source, line.external_id) not in here]
            imported = await self._imported(fresh)
            report.read += len(batch)
            if imported:
                report.added += sum(1 for id in await self._s.ingestion.import_tweets(imported) if id is not None)

    async def _here(self, batch: Sequence[TweetLine]) -> set[Name]:
        """Which of these were posted here by this account, and need no import, deleted ones neither."""
        ids = [id for line in batch if line.source == self._own and (id := id_of(line.external_id)) is not None]
        if not ids:
            return set()
        origins = await self._s.reads.origins(ids)
        return {(self._own, str(id)) for id, origin in origins.items() if origin.author_id == self.user_id}

    async def connections(self) -> None:
        """Connect tweets with what they answer, quote and mention, as far as that is here by now."""
        async for batch in self._batches(TWEETS, TweetLine):
            linked = [line for line in batch if _linked(line)]
            if not linked:
                continue
            here = await self._here(linked)
            linked = [line for line in linked if (line.source, line.external_id) not in here]
            found = await self._tweets_of(ref for line in linked for ref in (line.reply_to, line.quote_of))
            self.report.tweets.not_here += sum(
                1
                for line in linked
                if any(ref is not None and _name(ref) not in found for ref in (line.reply_to, line.quote_of))
            )
            if linked:
                self.report.connected += await self._s.ingestion.connect_imported(await self._imported(linked))

    async def _imported(self, lines: Sequence[TweetLine]) -> list[ImportedTweet]:
        found = await self._tweets_of(ref for line in lines for ref in (line.reply_to, line.quote_of))
        await self._know(
            person
            for line in lines
            for mentions in (line.mentions, *(one.mentions for one in line.revisions))
            for person in mentions.values()
        )
        return [self._tweet(line, found) for line in lines]

    def _tweet(self, line: TweetLine, found: Mapping[Name, int]) -> ImportedTweet:
        def named(ref: TweetRef | None) -> tuple[int | None, str | None]:
            """Here, or by its name: perhaps it comes with the same batch."""
            if ref is None:
                return None, None
            return found.get(_name(ref)), ref.external_id if ref.source == line.source else None

        reply_to, reply_name = named(line.reply_to)
        quote_of, quote_name = named(line.quote_of)
        return ImportedTweet(
            author_id=self.user_id,
            content=line.content,
            created_at=from_datetime(line.created_at),
            source=line.source,
            external_id=line.external_id,
            lang=line.lang,
            media_url=line.media_url,
            reply_to_external_id=reply_name,
            retweets=line.counts.imported_retweets,
            favorites=line.counts.imported_favorites,
            visibility=line.visibility,
            reply_rule=line.reply_rule,
            reply_to=reply_to,
            quote_of=quote_of,
            quote_of_external_id=quote_name,
            mentions=self._mentions(line.mentions, line.visibility),
            counted=line.counted,
            edited_at=None if line.edited_at is None else from_datetime(line.edited_at),
            revisions=[
                ImportedRevision(
                    from_datetime(one.at),
                    one.content,
                    one.visibility,
                    one.lang,
                    one.media_url,
                    self._mentions(one.mentions, one.visibility),
                )
                for one in line.revisions
            ],
        )

    def _mentions(self, of: Mapping[str, PersonRef], visibility: Visibility) -> dict[str, int]:
        # A tweet for those whom it mentions must not fall into the hands of a namesake.
        known = self._sure if visibility is Visibility.MENTIONED else self._people
        return {handle.lower(): id for handle, person in of.items() if (id := known.get(person.id)) is not None}

    # --- marks

    async def marks(self) -> None:
        """Add retweets, favorites and bookmarks of tweets that are here."""
        ingestion = self._s.ingestion
        add: dict[str, Callable[[Sequence[ImportedEntry]], Awaitable[int]]] = {
            "retweets": ingestion.import_retweets,
            "favorites": ingestion.import_favorites,
            "bookmarks": ingestion.import_bookmarks,
        }
        for kind in add:
            tally = self.report.marks.setdefault(kind, Tally())
            async for batch in self._batches(f"{kind}.jsonl", MarkLine):
                found = await self._tweets_of(line.tweet for line in batch)
                entries = [
                    ImportedEntry(self.user_id, found[_name(line.tweet)], from_datetime(line.at))
                    for line in batch
                    if _name(line.tweet) in found
                ]
                tally.read += len(batch)
                tally.not_here += len(batch) - len(entries)
                tally.added += await add[kind](entries)

    # --- people

    async def edges(self) -> None:
        """Block, mute, follow and ask to follow people who are here. A protected account is asked, not followed."""
        for kind, act in (("blocked", self._s.graph.block), ("muted", self._s.graph.mute)):
            async for tally, people in self._edges(kind):
                standing = await self._s.graph.relationships(self.user_id, people)
                for one in standing:
                    if not (one.blocking if kind == "blocked" else one.muting):
                        tally.added += await self._acted(tally, act, one.user_id)
        for kind in ("following", "requested"):
            async for tally, people in self._edges(kind):
                accounts = await self._s.users.get(people)
                standing = await self._s.graph.relationships(self.user_id, people)
                new = [one.user_id for one in standing if not one.following and not one.requested]
                open_ones = [id for id in new if kind == "following" and not accounts[id].protected]
                if open_ones:
                    tally.added += await self._s.graph.import_follows([(self.user_id, id) for id in open_ones])
                for id in new:
                    if id not in open_ones:
                        tally.added += await self._acted(tally, self._s.graph.follow, id)

    async def approvals(self) -> None:
        """Let those follow who ask to, and followed this account where the archive was made."""
        async for tally, people in self._edges("followers"):
            for one in await self._s.graph.relationships(self.user_id, people):
                if one.requested_by:
                    tally.added += await self._acted(tally, self._s.graph.approve, one.user_id)

    async def _acted(self, tally: Tally, act: Callable[[int, int], Awaitable[object]], other_id: int) -> int:
        try:
            await act(self.user_id, other_id)
        except (Conflict, Forbidden, Invalid, NotFound):
            # They are inactive, block this account or are blocked by it, or have changed their mind meanwhile.
            tally.not_here += 1
            return 0
        return 1

    async def _edges(self, kind: str) -> AsyncGenerator[tuple[Tally, list[int]]]:
        """The people of a list who are here, each batch with the tally that it belongs to."""
        tally = self.report.people.setdefault(kind, Tally())
        async for batch in self._batches(f"{kind}.jsonl", EdgeLine):
            await self._know(line.person for line in batch)
            known = (self._people[line.person.id] for line in batch)
            people = [id for id in known if id is not None and id != self.user_id]
            tally.read += len(batch)
            tally.not_here += len(batch) - len(people)
            yield tally, list(dict.fromkeys(people))

    # --- choices

    async def choices(self) -> None:
        """Follow hashtags, mute conversations, filter words, prefer what was preferred among notifications, let presence be seen and pin the tweet that
        was pinned, as far as that is not so.
        """
        await self._hashtags()
        await self._conversations()
        await self._filters()
        await self._preferences()
        if self._archive.account.presence_visible and not (await self._s.live.presence(self.user_id))[0].visible:
            await self._s.live.show_presence(self.user_id, True)
            self.report.choices["presence"] = Tally(read=1, added=1)
        if (told := self._archive.account.pinned) is not None:
            tally = self.report.choices.setdefault("pinned", Tally(read=1))
            found = (await self._tweets_of([told])).get(_name(told))
            if found is None:
                tally.not_here += 1
            elif not await self._s.reads.pinned([self.user_id]):
                tally.added += await self._chosen(tally, self._s.ingestion.pin(self.user_id, found, True))

    async def _hashtags(self) -> None:
        tally = self.report.choices.setdefault("hashtags", Tally())
        there = await self._s.choices.followed_hashtags(self.user_id, Page(_ALL))
        followed = {one.key for one in there.items}
        async for batch in self._batches(HASHTAGS, HashtagLine):
            tally.read += len(batch)
            for line in batch:
                if line.hashtag not in followed:
                    act = self._s.choices.follow_hashtag(self.user_id, line.hashtag)
                    tally.added += await self._chosen(tally, act)

    async def _conversations(self) -> None:
        tally = self.report.choices.setdefault("muted conversations", Tally())
        there = await self._s.choices.muted_conversations(self.user_id, Page(_ALL))
        muted = {one.root_id for one in there.items}
        async for batch in self._batches(CONVERSATIONS, ConversationLine):
            found = await self._tweets_of(line.tweet for line in batch)
            tally.read += len(batch)
            for line in batch:
                root = found.get(_name(line.tweet))
                if root is None:
                    tally.not_here += 1
                elif root not in muted:
                    tally.added += await self._chosen(tally, self._s.choices.mute_conversation(self.user_id, root))

    async def _filters(self) -> None:
        """Those that have ended do not come back."""
        tally = self.report.choices.setdefault("filters", Tally())
        there = {(one.phrase, one.expires_at) for one in await self._s.choices.filters(self.user_id)}
        async for batch in self._batches(FILTERS, FilterLine):
            tally.read += len(batch)
            for line in batch:
                ends = None if line.expires_at is None else from_datetime(line.expires_at)
                if (line.phrase, ends) not in there:
                    act = self._s.choices.add_filter(self.user_id, line.phrase, ends)
                    tally.added += await self._chosen(tally, act)

    async def _preferences(self) -> None:
        """What was chosen here stays; kinds that are not known here are left out."""
        told = self._archive.account.notifications
        if not told:
            return
        tally = self.report.choices.setdefault("notifications", Tally(read=len(told)))
        here = await self._s.notifications.preferences(self.user_id)
        known = {kind: told[kind.value] for kind in Kind if told.get(kind.value) in tuple(From)}
        wanted: dict[str, Any] = {
            kind.value: From(of)
            for kind, of in known.items()
            if here.of(kind) is From.EVERYBODY and of != here.of(kind)
        }
        tally.not_here += len(told) - len(known)
        tally.added += len(wanted)
        await self._s.notifications.prefer(self.user_id, PreferencesChange(**wanted))

    async def _chosen(self, tally: Tally, act: Awaitable[object]) -> int:
        try:
            await act
        except (Forbidden, Invalid, NotFound):
            # There are too many, or it can't be chosen here, or not any more.
            tally.not_here += 1
            return 0
        return 1

    # --- drafts

    async def drafts(self) -> None:
        """Add drafts that have not come before; one that was posted or thrown away since does not come back."""
        tally = self.report.drafts
        newest = self._drafts_upto
        async for batch in self._batches(DRAFTS, DraftLine):
            found = await self._tweets_of(ref for line in batch for ref in (line.reply_to, line.quote_of))
            tally.read += len(batch)
            # Those that came before are only connected with what has come since.
            tally.added += await self._s.drafts.import_drafts(
                self.user_id,
                [
                    _draft(line, self._archive.source, found, again=(id_of(line.id) or 0) <= self._drafts_upto)
                    for line in batch
                ],
            )
            newest = max([newest, *(id_of(line.id) or 0 for line in batch)])
        if newest > self._drafts_upto and not self._stop.is_set():
            source, id = self._archive.source, self._archive.account.id
            bound = (await self._s.archives.bound(source, [id]))[id]
            await self._s.archives.bind(source, id, msgspec.structs.replace(bound, drafts_upto=newest))

    # --- what is here

    async def _batches(self, name: str, type: type[T]) -> AsyncGenerator[list[T]]:
        batches = self._archive.batches(name, type)
        while not self._stop.is_set():
            batch = await to_thread(next, batches, None)
            if batch is None:
                return
            yield batch
        self.report.interrupted = True

    async def _tweets_of(self, refs: Iterable[TweetRef | None]) -> dict[Name, int]:
        """The ids here of tweets by their names; those that are not here are left out."""
        wanted: dict[str, set[str]] = {}
        for ref in refs:
            if ref is not None:
                wanted.setdefault(ref.source, set()).add(ref.external_id)
        found: dict[Name, int] = {}
        for source, names in wanted.items():
            if source == self._own:
                ids = [id for name in names if (id := id_of(name)) is not None]
                for id, origin in (await self._s.reads.origins(ids)).items():
                    if not origin.deleted:
                        found[source, str(id)] = id
            for name, id in (await self._s.ingestion.imported_ids(source, list(names))).items():
                found.setdefault((source, name), id)
        return found

    async def _know(self, people: Iterable[PersonRef]) -> None:
        """Learn who people of the archive's network are here: by what was imported before, by their ids where it is this network,
        by their handles else.
        """
        unknown = {person.id: person for person in people if person.id not in self._people}
        if not unknown:
            return
        source = self._archive.source
        bound = await self._s.archives.bound(source, list(unknown))
        ids = [id for name in unknown if source == self._own and (id := id_of(name)) is not None]
        same = (await self._s.users.get(ids)).values() if ids else ()
        sure: dict[str, int] = {str(user.id): user.id for user in same if user.state is not State.ERASED}
        sure.update({name: one.user_id for name, one in bound.items() if one.user_id is not None})
        sure[self._archive.account.id] = self.user_id
        by_handle = await self._s.users.by_handles([person.handle for person in unknown.values()])
        for name, person in unknown.items():
            namesake = by_handle.get(person.handle.lower())
            self._sure[name] = sure.get(name)
            self._people[name] = sure.get(name, None if namesake is None else namesake.id)


async def import_archives(
    imports: Sequence[ArchiveImport], stop: Event, progress: Callable[[str, int, int], None]
) -> None:
    """Bring archives in, each phase for all of them before the next one."""
    phases: tuple[tuple[str, Callable[[ArchiveImport], Awaitable[None]]], ...] = (
        ("accounts", ArchiveImport.account),
        ("tweets", ArchiveImport.tweets),
        ("connections", ArchiveImport.connections),
        ("marks", ArchiveImport.marks),
        ("people", ArchiveImport.edges),
        ("approvals", ArchiveImport.approvals),
        ("choices", ArchiveImport.choices),
        ("drafts", ArchiveImport.drafts),
    )
    for what, phase in phases:
        for done, one in enumerate(imports, 1):
            if stop.is_set():
                one.report.interrupted = True
                continue
            await phase(one)
            progress(what, done, len(imports))


def _draft(line: DraftLine, source: str, found: Mapping[Name, int], *, again: bool) -> ImportedDraft:
    tweet = NewTweet(
        line.content,
        line.visibility,
        line.media_url,
        None if line.reply_to is None else found.get(_name(line.reply_to)),
        None if line.quote_of is None else found.get(_name(line.quote_of)),
        line.lang,
        line.reply_rule,
    )
    publish_at = None if line.publish_at is None else from_datetime(line.publish_at)
    lost = (line.reply_to is not None and tweet.reply_to is None) or (
        line.quote_of is not None and tweet.quote_of is None
    )
    return ImportedDraft(
        source,
        line.id,
        tweet,
        from_datetime(line.created_at),
        from_datetime(line.updated_at),
        # What was an answer must not be posted by itself as something else.
        None if lost else publish_at,
        "missed" if lost and publish_at is not None else line.failure,
        again,
    )


def _linked(line: TweetLine) -> bool:
    """Whether a tweet refers to anything or anybody."""
    said = any(one.mentions for one in line.revisions)
    return line.reply_to is not None or line.quote_of is not None or bool(line.mentions) or said


def _name(ref: TweetRef) -> Name:
    return ref.source, ref.external_id
