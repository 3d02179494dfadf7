"""What the drafts are kept in, on SQL."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import bindparam, delete, func, select, update

from rookery.infra.sql.port import Database, Row, Statement, Transaction, Value, insert
from rookery.kernel.clock import Millis
from rookery.kernel.erasing import Outcome
from rookery.kernel.errors import Conflict, Forbidden, NotFound
from rookery.kernel.ids import MAX_ID
from rookery.kernel.pages import Page
from rookery.kernel.visibility import ReplyRule, Visibility
from rookery.services.drafts.contract import Draft
from rookery.services.drafts.tables import DRAFTS
from rookery.services.drafts.tables import METADATA as METADATA
from rookery.services.tweets.contract import NewTweet

_d = DRAFTS.c
_SAID = ("content", "visibility", "media_url", "reply_to", "quote_of", "lang", "reply_rule")
_WRITTEN = (*_SAID, "publish_at", "failure", "updated_at")
_drafts = select(_d.id, _d.author_id, *(_d[name] for name in _WRITTEN), _d.created_at, _d.claimed_at)

_ADD = Statement(
    insert(DRAFTS).values({name: bindparam(name) for name in ("id", "author_id", *_WRITTEN, "created_at")})
)
_ONE = Statement(_drafts.where(_d.id == bindparam("id")))
_COUNT = Statement(select(func.count()).where(_d.author_id == bindparam("author_id")))
_mine = _drafts.where(_d.author_id == bindparam("author_id")).limit(bindparam("limit"))
_DOWN = Statement(_mine.where(_d.id < bindparam("cursor")).order_by(_d.id.desc()))
_UP = Statement(_mine.where(_d.id > bindparam("cursor")).order_by(_d.id))
_DUE = Statement(
    _drafts.where(_d.publish_at.is_not(None), _d.publish_at <= bindparam("now"))
    .order_by(_d.publish_at)
    .limit(bindparam("limit"))
)
_EDIT = Statement(update(DRAFTS).where(_d.id == bindparam("id_")).values({name: bindparam(name) for name in _WRITTEN}))
_CLAIM = Statement(update(DRAFTS).where(_d.id == bindparam("id_")).values(claimed_at=bindparam("claimed_at")))
_FAIL = Statement(
    update(DRAFTS)
    .where(_d.id == bindparam("id_"))
    .values(claimed_at=None, publish_at=None, failure=bindparam("failure"))
)
_DROP = Statement(delete(DRAFTS).where(_d.id == bindparam("id")))
_ERASE = Statement(delete(DRAFTS).where(_d.author_id == bindparam("author_id")))


class DraftStore:
    """Drafts. Each change checks and acts in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, draft: Draft, most: int) -> None:
        """Keep a new draft. Raises Forbidden where its author has `most` already."""

        def work(tx: Transaction) -> None:
            if tx.all(_COUNT, author_id=draft.author_id)[0][0] >= most:
                raise Forbidden("there are {limit} drafts already", limit=most, code="too_many_drafts")
            tx.run(_ADD, id=draft.id, author_id=draft.author_id, created_at=draft.created_at, **_columns(draft))

        await self._database.write(work, brief=True)

    async def add_missing(self, drafts: Sequence[tuple[Draft, bool]], most: int) -> int:
        """Keep those of one author's drafts that are not there, until there are `most`; how many were added.

        Those with a mark came before: one that is there, as it was, and refers to nothing yet becomes what it is now.
        """

        def work(tx: Transaction) -> int:
            room = most - tx.all(_COUNT, author_id=drafts[0][0].author_id)[0][0]
            added = 0
            for draft, again in drafts:
                row = tx.one(_ONE, id=draft.id)
                if row is None and not again and added < room:
                    tx.run(_ADD, id=draft.id, author_id=draft.author_id, created_at=draft.created_at, **_columns(draft))
                    added += 1
                elif row is not None and again and row[-1] is None:
                    kept = _draft(row)
                    bare = (kept.tweet.reply_to, kept.tweet.quote_of) == (None, None)
                    if bare and kept.updated_at == draft.updated_at and kept != draft:
                        tx.run(_EDIT, id_=draft.id, **_columns(draft))
            return added

        return await self._database.write(work)

    async def get(self, author_id: int, draft_id: int) -> Draft:
        """Raises NotFound, also for another's."""
        row = await self._database.one(_ONE, id=draft_id)
        return _owned(row, author_id)

    async def mine(self, author_id: int, page: Page) -> list[Draft]:
        """Up to one more than the page asks for, in the order of its search."""
        params: dict[str, Value] = {"author_id": author_id, "limit": page.limit + 1}
        if page.after is not None:
            rows = await self._database.all(_UP, cursor=page.after, **params)
        else:
            rows = await self._database.all(_DOWN, cursor=MAX_ID if page.before is None else page.before, **params)
        return [_draft(row) for row in rows]

    async def due(self, now: Millis, limit: int) -> list[Draft]:
        """Those whose time has come, the oldest first."""
        return [_draft(row) for row in await self._database.all(_DUE, now=now, limit=limit)]

    async def edit(self, author_id: int, draft_id: int, change: Callable[[Draft], Draft], busy_since: Millis) -> Draft:
        """Replace a draft by what `change` makes of it. Raises Conflict where it is being posted since `busy_since` or later."""

        def work(tx: Transaction) -> Draft:
            changed = change(_free(tx, author_id, draft_id, busy_since))
            tx.run(_EDIT, id_=draft_id, **_columns(changed))
            return changed

        return await self._database.write(work, brief=True)

    async def delete(self, author_id: int, draft_id: int, busy_since: Millis) -> None:
        """Throw a draft away. Raises as `edit`."""

        def work(tx: Transaction) -> None:
            _free(tx, author_id, draft_id, busy_since)
            tx.run(_DROP, id=draft_id)

        await self._database.write(work, brief=True)

    async def claim(self, author_id: int, draft_id: int, now: Millis) -> tuple[Draft, Millis]:
        """Take a draft to post it: what it says, and when that was first tried. Raises NotFound."""

        def work(tx: Transaction) -> tuple[Draft, Millis]:
            row = tx.one(_ONE, id=draft_id)
            draft = _owned(row, author_id)
            assert row is not None
            claimed: Millis | None = row[-1]
            if claimed is None:
                tx.run(_CLAIM, id_=draft_id, claimed_at=now)
            return draft, now if claimed is None else claimed

        return await self._database.write(work, brief=True)

    erases: Mapping[str, str] = {"drafts_drafts": "removed, scheduled ones too"}

    async def erase(self, user_id: int, tell: Callable[[], None]) -> Outcome:
        """As `kernel.erasing.Eraser`; of one person there are few."""
        gone = await self._database.write(lambda tx: tx.run(_ERASE, author_id=user_id))
        tell()
        return Outcome(gone)

    async def posted(self, draft_id: int) -> None:
        """It is a tweet now."""
        await self._database.write(lambda tx: tx.run(_DROP, id=draft_id), brief=True)

    async def failed(self, draft_id: int, code: str | None) -> None:
        """It could not be posted, and is not tried again by itself; with a `code` its author is told so."""

        def work(tx: Transaction) -> None:
            if code is None:
                tx.run(_CLAIM, id_=draft_id, claimed_at=None)
            else:
                tx.run(_FAIL, id_=draft_id, failure=code)

        await self._database.write(work, brief=True)


def _columns(draft: Draft) -> dict[str, Value]:
    tweet = draft.tweet
    return {
        "content": tweet.content,
        "visibility": tweet.visibility.value,
        "media_url": tweet.media_url,
        "reply_to": tweet.reply_to,
        "quote_of": tweet.quote_of,
        "lang": tweet.lang,
        "reply_rule": tweet.reply_rule.value,
        "publish_at": draft.publish_at,
        "failure": draft.failure,
        "updated_at": draft.updated_at,
    }


def _draft(row: Row) -> Draft:
    (
        id,
        author_id,
        content,
        visibility,
        media_url,
        reply_to,
        quote_of,
        lang,
        reply_rule,
        publish_at,
        failure,
        updated_at,
        created_at,
        _,
    ) = row
    rule = ReplyRule.EVERYONE if reply_rule is None else ReplyRule(reply_rule)
    tweet = NewTweet(content, Visibility(visibility), media_url, reply_to, quote_of, lang, rule)
    return Draft(id, author_id, tweet, created_at, updated_at, publish_at, failure)


def _owned(row: Row | None, author_id: int) -> Draft:
    draft = None if row is None else _draft(row)
    if draft is None or draft.author_id != author_id:
        raise NotFound("there is no such draft", code="draft_not_found")
    return draft


def _free(tx: Transaction, author_id: int, draft_id: int, busy_since: Millis) -> Draft:
    row = tx.one(_ONE, id=draft_id)
    draft = _owned(row, author_id)
    assert row is not None
    if row[-1] is not None and row[-1] >= busy_since:
        raise Conflict("this draft is being posted", code="publishing")
    return draft
