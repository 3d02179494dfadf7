"""The generated network: the same for a seed, plausible, and keeping the network's rules."""

from collections import Counter
from math import log
from random import Random

import pytest

from rookery.gateways.demo.people import DEMO, make_follows, make_people
from rookery.gateways.demo.story import FAVORITES, make_likes, make_tweets
from rookery.gateways.demo.words import languages
from rookery.kernel.clock import DAY
from rookery.kernel.text import entities, flaw

NOW = 1_767_225_600_000


def make(seed: int, number: int = 2_000, tweets: int = 20_000):
    random = Random(seed)
    people = make_people(random, number, NOW)
    followers = make_follows(random, people)
    told = make_tweets(random, people, followers, tweets, NOW)
    return people, followers, told, list(make_likes(random, told, followers, FAVORITES, NOW))


@pytest.fixture(scope="module")
def network():
    return make(1)


def test_the_same_seed_makes_the_same_network_and_another_makes_another():
    assert make(7, 100, 300) == make(7, 100, 300)
    assert make(7, 100, 300) != make(8, 100, 300)


def test_people_have_handles_of_their_own_that_fit(network):
    people, *_ = network
    assert len(people) == 2_000
    assert people[0].handle == DEMO
    assert len({person.handle.lower() for person in people}) == 2_000
    assert all(1 <= len(p.handle) <= 15 and p.handle.isascii() and p.handle.replace("_", "").isalnum() for p in people)
    assert all(0 < len(p.name) <= 50 and len(p.bio) <= 160 and len(p.location) <= 50 for p in people)
    assert {p.language for p in people} == set(languages())


def test_fame_is_a_power_law_and_nobody_follows_themselves(network):
    _, followers, _, _ = network
    counts = sorted((len(mine) for mine in followers), reverse=True)
    assert 200 < counts[0] < 1_000
    tail = [count for count in counts if count >= 20]
    # Hill's estimate of the exponent (Newman 2005, equation 5).
    assert 1.8 < 1 + len(tail) / sum(log(count / 19.5) for count in tail) < 3
    assert all(person not in mine and len(set(mine)) == len(mine) for person, mine in enumerate(followers))


def test_the_demo_account_has_a_full_home_and_some_followers(network):
    _, followers, told, _ = network
    followed = {person for person, mine in enumerate(followers) if 0 in mine}
    assert len(followed) == 80
    assert len(followers[0]) >= 20
    assert sum(1 for tweet in told if tweet.author in followed) > 800
    assert all(tweet.author != 0 for tweet in told)


def test_tweets_could_have_been_posted_and_lie_in_the_last_two_weeks(network):
    _, _, told, _ = network
    assert len(told) == 20_000
    assert [tweet.at for tweet in told] == sorted(tweet.at for tweet in told)
    assert told[0].at >= NOW - 14 * DAY
    assert NOW - DAY < told[-1].at < NOW
    assert [tweet.content for tweet in told if flaw(tweet.content)] == []


def test_tweets_answer_earlier_ones_and_have_hashtags_mentions_and_links_in_every_language(network):
    people, _, told, _ = network
    replies = [(place, tweet) for place, tweet in enumerate(told) if tweet.reply_to is not None]
    assert len(replies) > 5_000
    assert all(tweet.reply_to < place for place, tweet in replies)
    assert any(told[tweet.reply_to].reply_to is not None for _, tweet in replies)
    assert min(Counter(tweet.language for tweet in told)[tag] for tag in languages()) > 100
    found = [entities(tweet.content) for tweet in told[:4_000]]
    assert all(
        any(kind(one) for one in found) for kind in (lambda e: e.hashtags, lambda e: e.mentions, lambda e: e.urls)
    )
    handles = {person.handle.lower() for person in people}
    assert all(mention.handle.lower() in handles for one in found for mention in one.mentions)


def test_a_few_tweets_get_very_many_favorites_all_by_followers_and_once_each(network):
    _, followers, told, likes = network
    assert 1.2 * len(told) < len(likes) < 2.5 * len(told)
    assert len({(like.person, like.tweet) for like in likes}) == len(likes)
    assert all(told[like.tweet].at <= like.at <= NOW for like in likes)
    assert all(like.person in followers[told[like.tweet].author] for like in likes[:2_000])
    counts = Counter(like.tweet for like in likes)
    assert counts.most_common(1)[0][1] > 50


@pytest.mark.parametrize("number", [2, 3, 10])
def test_small_networks_can_be_made_too(number):
    people, followers, told, _ = make(1, number, 50)
    assert (len(people), len(followers), len(told)) == (number, number, 50)
