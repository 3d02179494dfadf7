"""What one person alone chose to see and not to see: hashtags followed, conversations muted, words filtered."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar
from unicodedata import category

import msgspec
from msgspec import UNSET, UnsetType

from rookery.infra.events.port import Event, Outbox
from rookery.infra.sql.port import Database, Row, Transaction
from rookery.kernel.clock import Clock, Millis
from rookery.kernel.errors import Forbidden, Invalid, NotFound
from rookery.kernel.ids import LATEST, MAX_ID, IdGenerator
from rookery.kernel.pages import Page, Slice, slice_of
from rookery.kernel.text import hashtag_key, is_hashtag
from rookery.kernel.words import folded
from rookery.services.graph import tables as t
from rookery.services.graph.contract import (
    ConversationMuted,
    ConversationUnmuted,
    FiltersChanged,
    FollowedHashtag,
    HashtagFollowed,
    HashtagUnfollowed,
    MutedConversation,
    WordFilter,
)

MAX_HASHTAGS: Final = 200
"""Hashtags that one person follows: each is a list of its own for whoever makes their timeline."""

MAX_CONVERSATIONS: Final = 2_000
MAX_FILTERS: Final = 200
MAX_PHRASE: Final = 100

T = TypeVar("T")


class ChoiceStore:
    """The rows of choices. Each change is one transaction with its event, and happens once."""

    def __init__(
        self, database: Database, outbox: Outbox, ids: IdGenerator, changed: Callable[[Sequence[int]], None]
    ) -> None:
        """`changed` is told, after the commit, who sees things otherwise from now on."""
        self._database = database
        self._outbox = outbox
        self._ids = ids
        self._changed = changed

    async def follow_hashtag(self, user_id: int, key: str) -> int:
        """Add the row, unless it is there; its id. Raises Forbidden where there are MAX_HASHTAGS."""

        def work(tx: Transaction) -> int:
            row = tx.one(t.HASHTAG, user_id=user_id, key=key)
            if row is not None:
                return row[0]
            _refuse_more(tx.all(t.HASHTAGS_OF, user_id=user_id), MAX_HASHTAGS, "too_many_hashtags")
            id = self._ids.next()
            tx.run(t.ADD_HASHTAG, user_id=user_id, key=key, edge_id=id)
            self._commit(tx, user_id, HashtagFollowed(user_id, key, _next_version(tx, user_id)))
            return id

        return await self._database.write(work, brief=True)

    async def unfollow_hashtag(self, user_id: int, key: str) -> None:
        """Remove the row, if it is there."""

        def work(tx: Transaction) -> None:
            if tx.run(t.END_HASHTAG, user_id=user_id, key=key):
                self._commit(tx, user_id, HashtagUnfollowed(user_id, key, _next_version(tx, user_id)))

        await self._database.write(work, brief=True)

    async def mute_conversation(self, user_id: int, root_id: int) -> None:
        """Add the row, unless it is there. Raises Forbidden where there are MAX_CONVERSATIONS."""

        def work(tx: Transaction) -> None:
            if tx.one(t.CONVERSATION, user_id=user_id, root_id=root_id) is not None:
                return
            _refuse_more(tx.all(t.CONVERSATIONS_OF, user_id=user_id), MAX_CONVERSATIONS, "too_many_conversations")
            tx.run(t.ADD_CONVERSATION, user_id=user_id, root_id=root_id, edge_id=self._ids.next())
            self._commit(tx, user_id, ConversationMuted(user_id, root_id))

        await self._database.write(work, brief=True)

    async def unmute_conversation(self, user_id: int, root_id: int) -> None:
        """Remove the row, if it is there."""

        def work(tx: Transaction) -> None:
            if tx.run(t.END_CONVERSATION, user_id=user_id, root_id=root_id):
                self._commit(tx, user_id, ConversationUnmuted(user_id, root_id))

        await self._database.write(work, brief=True)

    async def page(self, listing: t.Listing, user_id: int, page: Page) -> Slice[Row]:
        """A page of (id, what was chosen), the latest first."""
        if page.after is not None:
            statement, cursor = listing.newer, page.after
        else:
            statement, cursor = listing.older, MAX_ID if page.before is None else page.before
        rows = await self._database.all(statement, user_id=user_id, cursor=cursor, limit=page.limit + 1)
        return slice_of(rows, page, lambda row: row[0])

    async def filters(self, user_id: int) -> list[WordFilter]:
        """All filters of a person, the latest first."""
        return [WordFilter(*row) for row in await self._database.all(t.FILTERS_OF, user_id=user_id)]

    async def change_filters(self, user_id: int, work: Callable[[Transaction, list[WordFilter]], T]) -> T:
        """What `work` makes of a person's filters, in one transaction with the event; it raises to change nothing."""

        def run(tx: Transaction) -> T:
            result = work(tx, [WordFilter(*row) for row in tx.all(t.FILTERS_OF, user_id=user_id)])
            self._commit(tx, user_id, FiltersChanged(user_id))
            return result

        return await self._database.write(run, brief=True)

    def _commit(self, tx: Transaction, user_id: int, event: Event) -> None:
        self._outbox.append(tx, event)
        tx.after_commit(lambda: self._changed((user_id,)))


class ChoiceService:
    """Implements `contract.Choices`."""

    def __init__(self, store: ChoiceStore, ids: IdGenerator, clock: Clock) -> None:
        self._store = store
        self._ids = ids
        self._clock = clock

    async def follow_hashtag(self, user_id: int, hashtag: str) -> FollowedHashtag:
        key = _key(hashtag)
        return FollowedHashtag(await self._store.follow_hashtag(user_id, key), key)

    async def unfollow_hashtag(self, user_id: int, hashtag: str) -> str:
        key = _key(hashtag)
        await self._store.unfollow_hashtag(user_id, key)
        return key

    async def followed_hashtags(self, user_id: int, page: Page) -> Slice[FollowedHashtag]:
        rows = await self._store.page(t.LIST_HASHTAGS, user_id, page)
        return rows.map(lambda items: [FollowedHashtag(*row) for row in items])

    async def mute_conversation(self, user_id: int, root_id: int) -> None:
        await self._store.mute_conversation(user_id, root_id)

    async def unmute_conversation(self, user_id: int, root_id: int) -> None:
        await self._store.unmute_conversation(user_id, root_id)

    async def muted_conversations(self, user_id: int, page: Page) -> Slice[MutedConversation]:
        rows = await self._store.page(t.LIST_CONVERSATIONS, user_id, page)
        return rows.map(lambda items: [MutedConversation(*row) for row in items])

    async def add_filter(self, user_id: int, phrase: str, expires_at: Millis | None) -> WordFilter:
        made = WordFilter(self._ids.next(), _phrase(phrase), self._moment(expires_at))

        def work(tx: Transaction, kept: list[WordFilter]) -> WordFilter:
            _refuse_more(kept, MAX_FILTERS, "too_many_filters")
            tx.run(t.ADD_FILTER, user_id=user_id, id=made.id, phrase=made.phrase, expires_at=made.expires_at)
            return made

        return await self._store.change_filters(user_id, work)

    async def edit_filter(
        self,
        user_id: int,
        filter_id: int,
        *,
        phrase: str | UnsetType = UNSET,
        expires_at: Millis | None | UnsetType = UNSET,
    ) -> WordFilter:
        new = {} if phrase is UNSET else {"phrase": _phrase(phrase)}
        ends = {} if expires_at is UNSET else {"expires_at": self._moment(expires_at)}

        def work(tx: Transaction, kept: list[WordFilter]) -> WordFilter:
            edited = msgspec.structs.replace(_one_of(kept, filter_id), **new, **ends)
            tx.run(t.EDIT_FILTER, user=user_id, filter=filter_id, phrase=edited.phrase, expires_at=edited.expires_at)
            return edited

        return await self._store.change_filters(user_id, work)

    async def remove_filter(self, user_id: int, filter_id: int) -> None:
        def work(tx: Transaction, kept: list[WordFilter]) -> None:
            _one_of(kept, filter_id)
            tx.run(t.END_FILTER, user_id=user_id, id=filter_id)

        await self._store.change_filters(user_id, work)

    async def filters(self, user_id: int) -> list[WordFilter]:
        return await self._store.filters(user_id)

    def _moment(self, expires_at: Millis | None) -> Millis | None:
        if expires_at is not None and expires_at <= self._clock.now():
            raise Invalid("{field} lies in the past", field="expires_at", code="in_the_past")
        if expires_at is not None and expires_at > LATEST:
            raise Invalid("{field} lies too far in the future", field="expires_at", code="invalid_moment")
        return expires_at


def _key(hashtag: str) -> str:
    if not is_hashtag(f"#{hashtag}"):
        raise Invalid("{field} is no hashtag", field="tag", code="invalid_hashtag")
    return hashtag_key(hashtag)


def _phrase(text: str) -> str:
    phrase = text.strip()
    if not folded(phrase).strip():
        raise Invalid("{field} needs a word to look for", field="phrase", code="empty")
    if len(phrase) > MAX_PHRASE:
        raise Invalid("{field} has more than {max} characters", field="phrase", max=MAX_PHRASE, code="too_long")
    if any(category(char) in ("Cc", "Cs") for char in phrase):
        raise Invalid("{field} holds a character that can't be read", field="phrase", code="control_character")
    return phrase


def _one_of(kept: list[WordFilter], id: int) -> WordFilter:
    for one in kept:
        if one.id == id:
            return one
    raise NotFound("there is no such filter", code="filter_not_found")


def _refuse_more(kept: Sequence[object], most: int, code: str) -> None:
    if len(kept) >= most:
        raise Forbidden("there are {limit} already", limit=most, code=code)


def _next_version(tx: Transaction, user_id: int) -> int:
    row = tx.one(t.CHANGE_PERSON, user_id=user_id, followers=0, following=0, version=1)
    assert row is not None
    return row[1]
