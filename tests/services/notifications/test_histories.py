"""Notifications equal the truth after any history, whatever was delivered twice, late, or in another order."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from sqlalchemy import text

from rookery.infra.events.port import Appended, decode
from rookery.infra.sql.port import Statement, Transaction
from rookery.kernel.pages import Page
from rookery.kernel.visibility import Visibility
from rookery.services.notifications.contract import From, Kind, Notification, PreferencesChange
from rookery.services.notifications.rules import tells
from rookery.services.notifications.store import NotificationStore
from rookery.services.tweets.contract import ImportedEntry, NewTweet
from tests.services.notifications.oracle import NotificationTruth, Told
from tests.services.timelines.test_oracle import EXAMPLES, HELD, PEOPLE, STEPS, Histories, person, pick
from tests.support import caught_up

FORGET = [Statement(text(f"DELETE FROM notifications_{table}")) for table in ("items", "acts", "held")]


def parts(of: Notification) -> set[Told]:
    """What a notification tells of."""
    return {Told(of.kind.value, 0 if of.tweet is None else of.tweet.id, by.id) for by in of.people}


class NotifiedHistories(Histories):
    """The same people as in the histories of timelines, and what they do to each other besides."""

    # --- acts

    @rule(a=person, at=pick, undo=st.integers(0, 2))
    def favorite(self, a: int, at: int, undo: int) -> None:
        if self.tweets:
            act = self.network.ingestion.unfavorite if undo == 0 else self.network.ingestion.favorite
            self.do(act(self.people[a], self.tweets[at % len(self.tweets)]))

    @rule(at=pick)
    def everybody_favorites(self, at: int) -> None:
        for one in self.people if self.tweets else []:
            self.do(self.network.ingestion.favorite(one, self.tweets[at % len(self.tweets)]))

    @rule(a=person, b=person, at=pick, both=st.booleans())
    def several_things_at_once(self, a: int, b: int, at: int, both: bool) -> None:
        """A reply that mentions and quotes."""
        if self.tweets:
            quoted = self.tweets[(at * 7) % len(self.tweets)] if both else None
            self.posted(
                self.people[a],
                NewTweet(f"so? @p{b}", reply_to=self.tweets[at % len(self.tweets)], quote_of=quoted),
            )

    @rule(a=person, b=person, at=pick, visibility=st.sampled_from(Visibility))
    def held_and_naming(self, a: int, b: int, at: int, visibility: Visibility) -> None:
        """Perhaps it is let through later."""
        answered = self.tweets[at % len(self.tweets)] if self.tweets and at % 2 else None
        self.posted(self.people[a], NewTweet(f"{HELD} @p{b}", visibility, reply_to=answered))

    @rule(a=person, b=person, at=pick)
    def import_marks(self, a: int, b: int, at: int) -> None:
        network = self.network
        if self.tweets:
            entry = ImportedEntry(self.people[a], self.tweets[at % len(self.tweets)], self.clock.now())
            self.do(network.ingestion.import_favorites([entry]))
            self.do(network.ingestion.import_retweets([entry]))
        self.do(network.graph.import_follows([(self.people[a], self.people[b])]))

    @rule(a=person, b=person, approve=st.booleans(), leave=st.booleans())
    def ask_to_follow(self, a: int, b: int, approve: bool, leave: bool) -> None:
        """`a` asks, `b` answers, and perhaps `a` does not want to any more."""
        graph = self.network.graph
        self.protect(b, True)
        self.do(graph.follow(self.people[a], self.people[b]))
        if approve:
            self.do(graph.approve(self.people[b], self.people[a]))
        if leave:
            self.do(graph.unfollow(self.people[a], self.people[b]))

    @rule(a=person, kind=st.sampled_from(Kind), of=st.sampled_from(From))
    def prefer(self, a: int, kind: Kind, of: From) -> None:
        change = PreferencesChange(**{kind.value: of})
        self.do(self.network.notifications.prefer(self.people[a], change))

    @rule(a=person, at=pick)
    def mark_read(self, a: int, at: int) -> None:
        self.do(self.reading(self.people[a], at))

    async def reading(self, me: int, at: int) -> None:
        notifications = self.network.notifications
        await caught_up(self.network)
        ids = [one.id for one in (await notifications.mine(me, Page(100))).items]
        if ids:
            left = await notifications.read(me, ids[at % len(ids)])
            assert left == await notifications.unread_count(me)

    # --- trouble

    @rule(seed=st.integers(0, 1_000_000), anew=st.booleans())
    def delivered_again_in_any_order(self, seed: int, anew: bool) -> None:
        """Some of the log comes again, or nothing was heard of yet and all of it comes, as it happens to."""
        self.do(self.deliver(random.Random(seed), anew))

    async def deliver(self, draw: random.Random, anew: bool) -> None:
        await caught_up(self.network)
        database = self.network.database
        rows: list[Any] = database._reader.raw.execute('SELECT "offset", at, name, body FROM events_log').fetchall()
        log = [
            Appended(offset, at, event)
            for offset, at, name, body in rows
            if (event := decode(name, body)) is not None and tells(event)
        ]
        draw.shuffle(log)
        store: NotificationStore = self.network.notification_store

        def work(tx: Transaction) -> None:
            for forget in FORGET if anew else ():
                tx.run(forget)
            store.handle(tx, log if anew else log[: len(log) // 3])

        await database.write(work)

    # --- comparing

    async def compare(self, viewer: int) -> None:
        """In place of the home timelines, which have a test of their own."""
        await caught_up(self.network)
        notifications = self.network.notifications
        preferences = await notifications.preferences(viewer)
        truth = NotificationTruth(self.network.database)
        want = truth.notifications(viewer, preferences, self.clock.now())
        found = await self.whole(viewer, 100)
        told = [part for one in found for part in parts(one)]
        assert set(told) == want
        assert len(told) == len(want), "nothing is told of twice"
        assert all(one.count == len(one.people) for one in found)
        ids = [one.id for one in found]
        assert ids == sorted(set(ids), reverse=True)
        assert await self.whole(viewer, 3) == found, "page by page"
        assert await notifications.unread_count(viewer) == sum(not one.read for one in found)
        assert await self.network.notification_store.check() == []

    async def whole(self, viewer: int, limit: int) -> list[Notification]:
        found: list[Notification] = []
        page = await self.network.notifications.mine(viewer, Page(limit))
        while True:
            found += page.items
            if page.next is None:
                return found
            page = await self.network.notifications.mine(viewer, Page(limit, before=page.next))


@pytest.mark.timeout(600)
def test_notifications_equal_the_truth_after_any_history() -> None:
    assert PEOPLE <= 8, "everybody in a group is named"
    run_state_machine_as_test(
        NotifiedHistories,
        settings=settings(
            max_examples=EXAMPLES // 2,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            print_blob=True,
        ),
    )
