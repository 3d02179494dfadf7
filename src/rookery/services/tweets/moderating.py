"""What moderators do with tweets. Implements `contract.TweetStandings`."""

from collections.abc import Sequence

from msgspec.structs import replace

from rookery.kernel.idset import EMPTY
from rookery.kernel.pages import Page, Slice, slice_of
from rookery.kernel.visibility import Place, State, visible
from rookery.services.graph.contract import Graph
from rookery.services.tweets import controls
from rookery.services.tweets.changes import not_found
from rookery.services.tweets.contract import Inspected, StandingChange, TweetRecord
from rookery.services.tweets.reads import ReadService
from rookery.services.tweets.store import TweetStore
from rookery.services.users.contract import Users


class StandingService:
    """Looking at tweets whomever they are for, withholding and labelling them."""

    def __init__(self, *, store: TweetStore, reads: ReadService, users: Users, graph: Graph) -> None:
        self._store = store
        self._reads = reads
        self._users = users
        self._graph = graph

    async def inspect(self, tweet_ids: Sequence[int]) -> list[Inspected]:
        records = await self._reads.records(tweet_ids)
        authors = await self._users.get(list({record.author_id for record in records.values()}))
        rules = await self._store.held_for(tweet_ids)
        return [
            Inspected(record, author, rules.get(id))
            for id in tweet_ids
            if (record := records.get(id)) is not None
            and not record.deleted
            and (author := authors.get(record.author_id)) is not None
            # What the erased wrote is as good as deleted before the eraser comes to it.
            and author.state is not State.ERASED
        ]

    async def stand(self, tweet_id: int, change: StandingChange) -> Inspected:
        found = await self.inspect([tweet_id])
        if not found:
            raise not_found()
        await self._store.decide(lambda tx: controls.stand(tx, tweet_id, change, found[0].author))
        changed = await self.inspect([tweet_id])
        if not changed:
            raise not_found()
        return changed[0]

    async def held(self, page: Page) -> Slice[Inspected]:
        ids = slice_of(await self._store.held(replace(page, limit=page.limit + 1)), page, lambda id: id)
        # What was deleted since the list was read is left out, so that a page may be short.
        return Slice(await self.inspect(ids.items), ids.next, ids.prev)

    async def reportable(self, tweet_id: int, viewer_id: int) -> TweetRecord:
        record = (await self._reads.records([tweet_id])).get(tweet_id)
        if record is not None:
            author = (await self._users.get([record.author_id])).get(record.author_id)
            # Whoever blocks first and reports then must be heard, too.
            viewer = replace(await self._graph.viewer(viewer_id), blocking=EMPTY)
            if author is not None and visible(viewer, record, author, Place.DIRECT):
                return record
        raise not_found()
