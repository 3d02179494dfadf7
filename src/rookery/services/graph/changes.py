"""What one transaction does to the graph. Everything here runs on the thread that writes."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rookery.infra.events.port import Event
from rookery.infra.sql.port import Transaction
from rookery.kernel.errors import Forbidden, NotFound
from rookery.kernel.ids import IdGenerator
from rookery.services.graph import tables as t
from rookery.services.graph.contract import (
    BecameFamous,
    Blocked,
    CeasedFamous,
    EdgesErased,
    FameInterval,
    Followed,
    FollowRequested,
    FollowRequestEnded,
    FollowsImported,
    Muted,
    Recounted,
    Relationship,
    Unblocked,
    Unfollowed,
    Unmuted,
)
from rookery.services.graph.rules import FameRule, lacking_row, surplus_row, wrong_counts

_FOLLOWERS_PER_EVENT = 1_000


class Change:
    """A change of the graph under way: rows are written at once, what is to be told about it is collected.

    Nothing is told of a row that did not change: what was so already stays as it is.
    """

    def __init__(self, tx: Transaction, ids: IdGenerator, fame: FameRule) -> None:
        self._tx = tx
        self._ids = ids
        self._fame = fame
        self.events: list[Event] = []
        self.touched: set[int] = set()
        """People whose edges, as a viewer, changed."""
        self.intervals: list[FameInterval] = []
        """Intervals of fame that were opened or closed."""

    def between(self, me: int, other: int) -> Relationship:
        """What stands between two people now, seen from `me`."""
        row = self._tx.one(t.BETWEEN, me=me, other=other)
        assert row is not None
        return Relationship(other, *map(bool, row))

    # --- follows

    def follow(self, follower_id: int, followee_id: int, *, protected: bool) -> None:
        """Follow, or ask to. Raises Forbidden("blocked")."""
        if self._tx.one(t.BLOCK_BETWEEN, a=follower_id, b=followee_id) is not None:
            raise Forbidden("one of these accounts blocks the other", code="blocked")
        if not protected:
            self._end_request(follower_id, followee_id)
            self._begin_follow(follower_id, followee_id)
            return
        if self._tx.one(t.EDGE, follower_id=follower_id, followee_id=followee_id) is not None:
            return
        edge_id = self._ids.next()
        if self._tx.run(t.ADD_REQUEST, followee_id=followee_id, follower_id=follower_id, edge_id=edge_id):
            self.events.append(FollowRequested(follower_id, followee_id))

    def unfollow(self, follower_id: int, followee_id: int) -> None:
        """End the follow, and take a waiting request back."""
        self._end_request(follower_id, followee_id)
        if self._end_follow(follower_id, followee_id):
            version = self._count(follower_id, following=-1, version=1)
            self.events.append(Unfollowed(follower_id, followee_id, version))
            self._count(followee_id, followers=-1)

    def approve(self, user_id: int, follower_id: int) -> None:
        """Turn a request into a follow. Raises NotFound where there is neither."""
        if self._end_request(follower_id, user_id):
            self._begin_follow(follower_id, user_id, approved=True)
        elif self._tx.one(t.EDGE, follower_id=follower_id, followee_id=user_id) is None:
            raise NotFound("this account does not ask to follow you", code="request_not_found")

    def refuse(self, user_id: int, follower_id: int) -> None:
        """Drop a request."""
        self._end_request(follower_id, user_id)

    # --- blocks and mutes

    def block(self, blocker_id: int, blocked_id: int) -> None:
        """Block; every follow and request between the two ends."""
        edge_id = self._ids.next()
        if not self._tx.run(t.ADD_BLOCK, blocker_id=blocker_id, blocked_id=blocked_id, edge_id=edge_id):
            return
        for one, other in ((blocker_id, blocked_id), (blocked_id, blocker_id)):
            self._end_request(one, other)
        there = self._end_follow(blocker_id, blocked_id)
        back = self._end_follow(blocked_id, blocker_id)
        ours = self._count(blocker_id, followers=-back, following=-there, version=1)
        theirs = self._count(blocked_id, followers=-there, following=-back, version=1)
        if there:
            self.events.append(Unfollowed(blocker_id, blocked_id, ours))
        if back:
            self.events.append(Unfollowed(blocked_id, blocker_id, theirs))
        self.events.append(Blocked(blocker_id, blocked_id))

    def unblock(self, blocker_id: int, blocked_id: int) -> None:
        """Block no more."""
        if self._tx.run(t.END_BLOCK, blocker_id=blocker_id, blocked_id=blocked_id):
            self._count(blocker_id, version=1)
            self._count(blocked_id, version=1)
            self.events.append(Unblocked(blocker_id, blocked_id))

    def mute(self, muter_id: int, muted_id: int) -> None:
        """Mute. Mutes filter a timeline and do not change what it is made of, so the version stays."""
        if self._tx.run(t.ADD_MUTE, muter_id=muter_id, muted_id=muted_id, edge_id=self._ids.next()):
            self.touched.add(muter_id)
            self.events.append(Muted(muter_id, muted_id))

    def unmute(self, muter_id: int, muted_id: int) -> None:
        """Mute no more."""
        if self._tx.run(t.END_MUTE, muter_id=muter_id, muted_id=muted_id):
            self.touched.add(muter_id)
            self.events.append(Unmuted(muter_id, muted_id))

    # --- in bulk

    def import_follows(self, pairs: Iterable[tuple[int, int]]) -> int:
        """Add follows past protection; how many were new. Pairs to oneself, or where one blocks the other, are skipped."""
        tx, next_id = self._tx, self._ids.next
        blocks = tx.one(t.ANY_BLOCK) is not None
        requests = tx.one(t.ANY_REQUEST) is not None
        new: list[tuple[int, int, int]] = []
        # In the order of the table, so that neighbouring rows fall on the same page.
        for follower, followee in sorted(set(pairs)):
            if follower == followee or (blocks and tx.one(t.BLOCK_BETWEEN, a=follower, b=followee) is not None):
                continue
            edge_id = next_id()
            if tx.run(t.ADD_FOLLOWING, follower_id=follower, followee_id=followee, edge_id=edge_id):
                new.append((followee, edge_id, follower))
                if requests:
                    self._end_request(follower, followee)
        if not new:
            return 0
        new.sort()
        tx.many(
            t.ADD_FOLLOWER,
            ({"followee_id": followee, "edge_id": edge, "follower_id": one} for followee, edge, one in new),
        )
        gained = Counter(followee for followee, _, _ in new)
        begun = Counter(follower for _, _, follower in new)
        tx.many(
            t.CHANGE_PEOPLE,
            (
                {
                    "user_id": id,
                    "followers": gained[id],
                    "following": begun[id],
                    "version": 1 if id in begun else 0,
                }
                for id in sorted(gained.keys() | begun.keys())
            ),
        )
        self.touched.update(begun)
        self._tell_imported(sorted(begun))
        if self._fame.judges:
            for (author,) in tx.all(t.RISING_AMONG, ids=list(gained), high=self._fame.high):
                self._begin_fame(author)
        return len(new)

    def _tell_imported(self, followers: Sequence[int]) -> None:
        for at in range(0, len(followers), _FOLLOWERS_PER_EVENT):
            chunk = tuple(followers[at : at + _FOLLOWERS_PER_EVENT])
            self.events.append(FollowsImported(self._ids.next(), chunk))

    # --- repairs

    def derive(
        self,
        lacking: Iterable[tuple[int, int]],
        surplus: Iterable[tuple[int, int, int]],
        people: Iterable[int],
        floor: int,
    ) -> list[str]:
        """Make rows of followers and counts again where they still differ from the truth; what did, in sentences.

        `lacking` are (follower, followee) and `surplus` (followee, follower, edge) by which rows of followers are compared; versions
        become `floor` at least.
        """
        tx = self._tx
        mended: list[str] = []
        changed: set[int] = set()
        for followee, follower, edge_id in surplus:
            edge = tx.one(t.EDGE, follower_id=follower, followee_id=followee)
            if (edge is None or edge[0] != edge_id) and tx.run(t.END_FOLLOWER, followee_id=followee, edge_id=edge_id):
                mended.append(surplus_row(followee, follower))
                changed |= {follower, followee}
        for follower, followee in lacking:
            edge = tx.one(t.EDGE, follower_id=follower, followee_id=followee)
            if edge is not None:
                tx.run(t.DERIVE_FOLLOWER, followee_id=followee, edge_id=edge[0], follower_id=follower)
                mended.append(lacking_row(follower, followee))
                changed |= {follower, followee}
        for user_id in sorted(changed.union(people)):
            kept = tx.one(t.PERSON, user_id=user_id) or (0, 0, 0)
            counted = tx.one(t.EDGES_OF, user_id=user_id)
            assert counted is not None
            wrong = wrong_counts(user_id, kept[:2], counted)
            if not wrong and user_id not in changed:
                continue
            mended += wrong
            followers, following = counted
            version = max(kept[2] + 1, floor)
            tx.run(t.SET_PERSON, user_id=user_id, followers=followers, following=following, version=version)
            changed.add(user_id)
            self._judge(user_id, followers)
        told = sorted(changed)
        self.touched.update(told)
        for at in range(0, len(told), _FOLLOWERS_PER_EVENT):
            self.events.append(Recounted(self._ids.next(), tuple(told[at : at + _FOLLOWERS_PER_EVENT])))
        return mended

    # --- erasing

    def erase(self, user_id: int, limit: int) -> int:
        """Remove up to `limit` rows that stand between an erased person and others; how many there were.

        Where there are none, what was kept of the person goes, too.
        """
        tx = self._tx
        others: set[int] = set()
        followers = tx.all(t.FOLLOWERS_OF_ERASED, user_id=user_id, limit=limit)
        rows = [
            {"follower_id": other, "followee_id": user_id, "edge_id": edge, "user_id": other}
            for other, edge in followers
        ]
        tx.many(t.DROP_FOLLOWING, ({name: row[name] for name in ("follower_id", "followee_id")} for row in rows))
        tx.many(t.END_FOLLOWER, ({name: row[name] for name in ("followee_id", "edge_id")} for row in rows))
        less = {"followers": 0, "following": -1, "version": 0}
        tx.many(t.CHANGE_PEOPLE, ({"user_id": row["user_id"], **less} for row in rows))
        others.update(other for other, _ in followers)
        # Each of these may cease to be famous by it.
        followees = tx.all(t.FOLLOWEES_OF_ERASED, user_id=user_id, limit=max(0, limit - len(followers)) // 4)
        for other, _ in followees:
            self._end_follow(user_id, other)
            self._count(other, followers=-1)
        others.update(other for other, _ in followees)
        done = len(followers) + len(followees)
        if done:
            self._count(user_id, followers=-len(followers), following=-len(followees))
        for some, end, one, other in t.PAIRS_OF_ERASED:
            pairs = [row[0] for row in tx.all(some, user_id=user_id, limit=max(0, limit - done))]
            tx.many(end, ({one: user_id, other: id} for id in pairs))
            others.update(pairs)
            done += len(pairs)
        if others:
            self.touched.update(others)
            self.events.append(EdgesErased(user_id, tuple(sorted(others))))
        elif not done:
            done += tx.run(t.DROP_FAME, author_id=user_id)
            done += tx.run(t.DROP_PERSON, user_id=user_id)
            done += sum(tx.run(drop, user_id=user_id) for drop in t.DROP_CHOICES)
            self.touched.add(user_id)
        return done

    # --- fame

    def apply_rule(self) -> None:
        """Open and close intervals of everybody whose followers are on the other side of the rule."""
        for (author,) in self._tx.all(t.RISING, high=self._fame.high):
            self._begin_fame(author)
        for (author,) in self._tx.all(t.FALLING, low=self._fame.low):
            self._end_fame(author)

    def _judge(self, author_id: int, followers: int) -> None:
        if not self._fame.judges:
            return
        if followers >= self._fame.high:
            if self._tx.one(t.OPEN_FAME, author_id=author_id) is None:
                self._begin_fame(author_id)
        elif followers < self._fame.low:
            self._end_fame(author_id)

    def _begin_fame(self, author_id: int) -> None:
        # Issued on the thread that writes: whatever was committed before has a smaller id, and stays outside the interval.
        from_id = self._ids.next()
        self._tx.run(t.ADD_FAME, author_id=author_id, from_id=from_id)
        self.intervals.append(FameInterval(author_id, from_id))
        self.events.append(BecameFamous(author_id, from_id))

    def _end_fame(self, author_id: int) -> None:
        row = self._tx.one(t.OPEN_FAME, author_id=author_id)
        if row is not None:
            to_id = self._ids.next()
            self._tx.run(t.END_FAME, author=author_id, since=row[0], to=to_id)
            self.intervals.append(FameInterval(author_id, row[0], to_id))
            self.events.append(CeasedFamous(author_id, row[0], to_id))

    # --- rows

    def _begin_follow(self, follower_id: int, followee_id: int, *, approved: bool = False) -> None:
        edge_id = self._ids.next()
        edge = {"follower_id": follower_id, "followee_id": followee_id, "edge_id": edge_id}
        if self._tx.run(t.ADD_FOLLOWING, **edge):
            self._tx.run(t.ADD_FOLLOWER, **edge)
            version = self._count(follower_id, following=1, version=1)
            self.events.append(Followed(follower_id, followee_id, version, approved))
            self._count(followee_id, followers=1)

    def _end_follow(self, follower_id: int, followee_id: int) -> int:
        """Remove both rows of a follow; 1 if it was there."""
        row = self._tx.one(t.END_FOLLOWING, follower_id=follower_id, followee_id=followee_id)
        if row is None:
            return 0
        self._tx.run(t.END_FOLLOWER, followee_id=followee_id, edge_id=row[0])
        return 1

    def _end_request(self, follower_id: int, followee_id: int) -> bool:
        ended = self._tx.run(t.END_REQUEST, followee_id=followee_id, follower_id=follower_id)
        if ended:
            self.events.append(FollowRequestEnded(follower_id, followee_id))
        return bool(ended)

    def _count(self, user_id: int, *, followers: int = 0, following: int = 0, version: int = 0) -> int:
        """Add to somebody's counts and graph version, judge their fame; the new version."""
        row = self._tx.one(t.CHANGE_PERSON, user_id=user_id, followers=followers, following=following, version=version)
        assert row is not None
        if version:
            self.touched.add(user_id)
        if followers:
            self._judge(user_id, row[0])
        return row[1]
