"""Moderation within one process and beside it: the audit log, lists that others change, what is compared with what."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.kernel.clock import ManualClock
from rookery.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from rookery.kernel.pages import Page
from rookery.kernel.visibility import State
from rookery.services.moderation.contract import (
    OPERATOR,
    Act,
    Actor,
    ListAction,
    ListName,
    Moderation,
    Note,
    Outcome,
    Target,
)
from rookery.services.moderation.lists import Domains, Words, entry_of, host_of
from rookery.services.tweets.contract import NewTweet, Standing, StandingChange
from rookery.services.users.contract import NewPerson
from rookery.settings import Settings
from rookery.wiring import Network, open_network
from tests.remote import called
from tests.support import caught_up, network_in

REFUSE, HOLD = ListAction.REFUSE, ListAction.HOLD


@pytest.fixture(params=["local", "remote"])
async def network(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Network]:
    """One whose lists have seven entries at most."""
    async with (
        network_in(tmp_path, clock, blocklist_entries=7) as made,
        called(request.param, made, "moderation", Moderation),
    ):
        yield made


async def person(network: Network, handle: str) -> int:
    return (await network.users.import_people([NewPerson(handle)]))[handle]


async def outcomes(network: Network) -> list[tuple[Act, Outcome, str | None]]:
    lines = (await network.moderation.audit(OPERATOR, Page(100))).items
    return [(line.note.act, line.outcome, line.note.after) for line in lines]


async def test_an_act_that_fails_is_noted_with_its_error_and_one_that_was_cut_short_as_begun(network: Network):
    ann = await person(network, "ann")

    async def refused() -> None:
        raise Conflict("no", code="no_luck")

    async def died() -> None:
        raise RuntimeError

    for work, error in ((refused, Conflict), (died, RuntimeError)):
        with pytest.raises(error):
            await network.moderation.noted(OPERATOR, Note(Act.ROLE, Target.USER, ann, after="admin"), work)
    assert await outcomes(network) == [
        (Act.ROLE, Outcome.BEGUN, "admin"),
        (Act.ROLE, Outcome.FAILED, "no_luck"),
    ]


async def test_what_changes_nothing_is_not_noted(network: Network):
    ann = await person(network, "ann")
    tweet = await network.ingestion.post(ann, NewTweet("hello"))
    await network.moderation.set_state(OPERATOR, ann, State.ACTIVE, "why")
    await network.moderation.stand(OPERATOR, tweet.id, StandingChange(standing=Standing.SHOWN), "why")
    await network.moderation.add_entries(OPERATOR, ListName.WORDS, ["a"], REFUSE, "")
    await network.moderation.add_entries(OPERATOR, ListName.WORDS, ["a"], REFUSE, "")
    assert await outcomes(network) == [(Act.LIST_ADD, Outcome.DONE, "words, refuse: a")]


async def test_a_list_that_a_command_changes_is_followed_by_the_server(tmp_path: Path, clock: ManualClock):
    async with network_in(tmp_path, clock) as server:
        ann = await person(server, "ann")
        await server.ingestion.post(ann, NewTweet("foo"))
        async with open_network(Settings(data=tmp_path), clock=clock) as command:
            await command.moderation.add_entries(OPERATOR, ListName.WORDS, ["foo"], REFUSE, "")
        await caught_up(server)
        with pytest.raises(Invalid, match="not allowed"):
            await server.ingestion.post(ann, NewTweet("foo"))
        async with open_network(Settings(data=tmp_path), clock=clock) as command:
            with pytest.raises(Invalid):
                await command.ingestion.post(ann, NewTweet("foo"))
            await command.moderation.remove_named(OPERATOR, ListName.WORDS, "FOO", "")
        await caught_up(server)
        await server.ingestion.post(ann, NewTweet("foo"))


async def test_what_a_command_withholds_and_labels_is_forgotten_by_the_server(tmp_path: Path, clock: ManualClock):
    async with network_in(tmp_path, clock) as server:
        ann, bob = await person(server, "ann"), await person(server, "bob")
        above = await server.ingestion.post(ann, NewTweet("above"))
        tweet = await server.ingestion.post(ann, NewTweet("bad", reply_to=above.id))
        await server.ingestion.retweet(bob, tweet.id)

        async def seen() -> tuple[list[str | None], int, int]:
            """Labels of what a guest sees of the tweet; how often on a timeline; how many answers the one above has."""
            await caught_up(server)
            found = await server.reads.get([tweet.id], 0)
            entries = (await server.reads.by_user(bob, 0, Page(10))).items
            (first,) = await server.reads.get([above.id], 0)
            return [one.record.label for one in found], len(entries), first.record.counts.replies

        assert await seen() == ([None], 1, 1)
        for change, shown in (
            (StandingChange(label="spam"), (["spam"], 1, 1)),
            (StandingChange(standing=Standing.WITHHELD), ([], 0, 0)),
            (StandingChange(standing=Standing.SHOWN), (["spam"], 1, 1)),
        ):
            async with open_network(Settings(data=tmp_path), clock=clock) as command:
                await command.moderation.stand(OPERATOR, tweet.id, change, "why")
            assert await seen() == shown


async def test_a_list_has_an_end(network: Network):
    add = network.moderation.add_entries
    await add(OPERATOR, ListName.WORDS, list("abcdefg"), REFUSE, "")
    with pytest.raises(Conflict):
        await add(OPERATOR, ListName.WORDS, ["h"], REFUSE, "")
    await add(OPERATOR, ListName.WORDS, ["a"], HOLD, "")
    await add(OPERATOR, ListName.DOMAINS, ["d.example"], REFUSE, "")
    found = (await network.moderation.list_entries(OPERATOR, ListName.WORDS, Page(10))).items
    assert {(one.entry, one.action) for one in found} == {("a", HOLD), *((word, REFUSE) for word in "bcdefg")}
    for entries in ([], ["x"] * 1_001):
        with pytest.raises(Invalid):
            await add(OPERATOR, ListName.WORDS, entries, REFUSE, "")


async def test_lists_of_moderators_are_read_in_pages_both_ways(network: Network):
    await network.moderation.add_entries(OPERATOR, ListName.WORDS, [f"w{n}" for n in range(7)], REFUSE, "")
    read = network.moderation.list_entries
    first = await read(OPERATOR, ListName.WORDS, Page(3))
    assert [one.entry for one in first.items] == ["w6", "w5", "w4"]
    second = await read(OPERATOR, ListName.WORDS, Page(3, before=first.next))
    last = await read(OPERATOR, ListName.WORDS, Page(3, before=second.next))
    assert ([one.entry for one in last.items], last.next) == (["w0"], None)
    assert await read(OPERATOR, ListName.WORDS, Page(3, after=last.prev)) == second


async def test_who_is_no_moderator_any_more_does_nothing(network: Network):
    ann, bob = await person(network, "ann"), await person(network, "bob")
    with pytest.raises(Forbidden):
        await network.moderation.set_state(Actor(ann), bob, State.SUSPENDED, "why")
    with pytest.raises(NotFound):
        await network.moderation.set_state(OPERATOR, 1, State.SUSPENDED, "why")
    assert await outcomes(network) == []


# --- what is compared with what


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.example/x", "a.example"),
        ("HTTPS://User:pw@A.Example:80/?b#c", "a.example"),
        ("a.example", "a.example"),
        ("a.example.", "a.example"),
        ("http://bücher.example", "xn--bcher-kva.example"),
        ("http://ａ.example", "a.example"),
        ("http://a.example\\@b.example", "a.example"),
        ("http://a.example?@b.example", "a.example"),
    ],
)
def test_an_address_has_a_host(url, host):
    assert host_of(url) == host


def test_refusing_goes_before_holding():
    words = Words({"a": HOLD, "b c": REFUSE, "賭": HOLD, "禁句": REFUSE})
    assert [words.find(text) for text in ("x", "a", "b a", "a B, c", "大賭場", "賭 禁句", "禁 句")] == [
        None, HOLD, HOLD, REFUSE, HOLD, REFUSE, REFUSE,
    ]  # fmt: skip
    domains = Domains({"a.example": HOLD, "b.a.example": REFUSE})
    assert [domains.find([host]) for host in ("a.example", "x.b.a.example", "xa.example", "example")] == [
        HOLD, REFUSE, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", " ", "!?", "\u200b", "x" * 254])
def test_what_has_no_word_is_no_entry(text):
    with pytest.raises(Invalid):
        entry_of(ListName.WORDS, text)


@given(st.text(max_size=40), st.sampled_from(ListName))
def test_an_entry_finds_itself_and_its_form_is_final(text, name):
    try:
        entry = entry_of(name, text)
    except Invalid:
        return
    assert entry_of(name, entry) == entry
    if name is ListName.WORDS:
        assert Words({entry: REFUSE}).find(f"so: {entry}.") is REFUSE
    else:
        assert Domains({entry: REFUSE}).find([host_of(f"https://x.{entry}/")]) is REFUSE
