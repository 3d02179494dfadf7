"""The Drafts Service: keeps what is written for later, and posts it at its time, once.

Once, also where the process dies in between: a draft is posted with an idempotency key of its own, so that a second try finds
the first one's tweet. Keys live for a day; a draft whose posting was begun longer ago than that, or broke in a way that nobody
foresaw, is not tried again, but shown to its author as `uncertain`.
"""

import asyncio
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from msgspec import UNSET
from msgspec.structs import asdict, replace

from rookery.infra.workers.port import Worker
from rookery.kernel.clock import DAY, HOUR, MINUTE, Clock, Millis
from rookery.kernel.errors import Invalid, RookeryError, StorageFull, Unavailable
from rookery.kernel.ids import IdGenerator, imported_id
from rookery.kernel.pages import Page, Slice, slice_of
from rookery.kernel.text import LIMIT, flaw, normal
from rookery.services.drafts.contract import Draft, DraftChange, ImportedDraft
from rookery.services.drafts.store import DraftStore
from rookery.services.tweets.contract import IdempotencyKey, NewTweet, Tweet, TweetIngestion

MOST = 300
"""Drafts of one author."""

_LONGEST = 10_000
"""Characters of a draft's content: much more than fits into a tweet, as it may still be cut."""
_LONGEST_FIELD = 2_048
_FURTHEST: Millis = 366 * DAY

_SURE: Millis = 23 * HOUR
"""Time from the first try in which a second one is known to find its tweet."""

_BUSY: Millis = MINUTE
"""Time that posting takes at most; whoever claimed a draft longer ago has died."""

_AT_ONCE = 100
_EVERY = 1.0
"""Seconds between looks for drafts that are due."""

_log: Any = structlog.get_logger("rookery.drafts")


class DraftsService:
    """Implements `contract.Drafts`. `worker` posts what is due."""

    def __init__(self, *, store: DraftStore, ingestion: TweetIngestion, ids: IdGenerator, clock: Clock) -> None:
        self._store = store
        self._ingestion = ingestion
        self._ids = ids
        self._clock = clock
        self.worker = Worker("scheduled", self._run)
        """Posts drafts at their time."""

    # --- keeping

    async def create(self, author_id: int, tweet: NewTweet, publish_at: Millis | None = None) -> Draft:
        now = self._clock.now()
        draft = Draft(self._ids.next(), author_id, tweet, now, now, publish_at)
        _check(draft, now)
        await self._store.add(draft, MOST)
        return draft

    async def get(self, author_id: int, draft_id: int) -> Draft:
        return await self._store.get(author_id, draft_id)

    async def mine(self, author_id: int, page: Page) -> Slice[Draft]:
        return slice_of(await self._store.mine(author_id, page), page, lambda draft: draft.id)

    async def edit(self, author_id: int, draft_id: int, change: DraftChange) -> Draft:
        now = self._clock.now()
        given = {name: value for name, value in asdict(change).items() if value is not UNSET}

        def changed(draft: Draft) -> Draft:
            times = {"publish_at": given["publish_at"]} if "publish_at" in given else {}
            tweet = replace(draft.tweet, **{name: value for name, value in given.items() if name != "publish_at"})
            made = replace(draft, tweet=tweet, updated_at=now, failure=None, **times)
            _check(made, now)
            return made

        return await self._store.edit(author_id, draft_id, changed, now - _BUSY)

    async def delete(self, author_id: int, draft_id: int) -> None:
        await self._store.delete(author_id, draft_id, self._clock.now() - _BUSY)

    async def import_drafts(self, author_id: int, drafts: Sequence[ImportedDraft]) -> int:
        now = self._clock.now()
        made: list[tuple[Draft, bool]] = []
        for old in drafts:
            # The same each time, so that it is found again.
            id = imported_id(old.created_at, zlib.crc32(f"{old.source}\0{old.external_id}".encode()))
            draft = Draft(id, author_id, old.tweet, old.created_at, old.updated_at, old.publish_at, old.failure)
            with suppress(Invalid):
                try:
                    _check(draft, now)
                except Invalid:
                    draft = replace(draft, publish_at=None, failure=old.failure or "missed")
                    _check(draft, now)
                made.append((draft, old.again))
        return await self._store.add_missing(made, MOST) if made else 0

    # --- posting

    async def publish(self, author_id: int, draft_id: int) -> Tweet:
        draft, claimed = await self._store.claim(author_id, draft_id, self._clock.now())
        if self._clock.now() - claimed > _SURE:
            # Its author has looked whether it was posted, and wants it to be.
            await self._store.failed(draft_id, None)
            draft, claimed = await self._store.claim(author_id, draft_id, self._clock.now())
        try:
            return await self._post(draft, claimed)
        except RookeryError as error:
            if error.status < 500:
                await self._store.failed(draft_id, None)
            raise

    async def publish_due(self) -> int:
        """Post everything whose time has come; how many drafts were looked at."""
        due = await self._store.due(self._clock.now(), _AT_ONCE)
        for draft in due:
            await self._publish_at_its_time(draft)
            self.worker.beat()
        return len(due)

    async def _publish_at_its_time(self, draft: Draft) -> None:
        try:
            draft, claimed = await self._store.claim(draft.author_id, draft.id, self._clock.now())
            if draft.publish_at is None or draft.publish_at > self._clock.now():
                await self._store.failed(draft.id, None)  # its author has changed their mind meanwhile
            elif self._clock.now() - claimed > _SURE:
                await self._store.failed(draft.id, "uncertain")
            else:
                await self._post(draft, claimed)
        except (Unavailable, StorageFull):
            raise
        except Exception as error:
            if not isinstance(error, RookeryError) or error.status >= 500:
                # Whatever it is about this one, the others are not to wait for it.
                _log.exception("a scheduled tweet broke what posts it", draft=draft.id)
                await self._store.failed(draft.id, "uncertain")
            elif error.code != "draft_not_found":
                _log.info("a scheduled tweet could not be posted", draft=draft.id, code=error.code)
                await self._store.failed(draft.id, error.code)

    async def _post(self, draft: Draft, claimed: Millis) -> Tweet:
        # The time of the claim tells tries of one posting from another one, after a failure and an edit.
        key = IdempotencyKey(f"rookery-draft-{draft.id}-{claimed}", b"draft")
        tweet = await self._ingestion.post(draft.author_id, draft.tweet, key)
        await self._store.posted(draft.id)
        return tweet

    async def _run(self) -> None:
        while True:
            try:
                while await self.publish_due() == _AT_ONCE:
                    pass
            except Exception:
                _log.warning("scheduled tweets could not be posted; it is tried again", exc_info=True)
            self.worker.rest()
            await asyncio.sleep(_EVERY)
            self.worker.beat()


def _check(draft: Draft, now: Millis) -> None:
    """Raises Invalid for what no draft can be; for one with a time, for what could not be posted."""
    tweet = draft.tweet
    for field, text, most in (
        ("content", tweet.content, _LONGEST),
        ("media_url", tweet.media_url or "", _LONGEST_FIELD),
        ("lang", tweet.lang or "", _LONGEST_FIELD),
    ):
        if len(text) > most:
            raise Invalid("{field} has at most {limit} characters", field=field, limit=most, code="too_long")
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise Invalid("{field} holds half of a surrogate pair", field=field, code="surrogate")
    if draft.publish_at is None:
        return
    if not now < draft.publish_at <= now + _FURTHEST:
        raise Invalid("{field} has to lie within the coming year", field="publish_at", code="invalid_moment")
    if (code := flaw(normal(tweet.content))) is not None:
        raise Invalid(
            "{field} is not yet fit for a tweet of at most {limit} characters", field="content", limit=LIMIT, code=code
        )
