"""Live followers are found by whom live people follow, whoever comes and goes."""

import random

from hypothesis import given
from hypothesis import strategies as st

from rookery.services.timelines.audience import Audience


@given(st.integers(0, 1 << 32), st.sampled_from([5, 400]))
def test_it_tells_of_each_actor_who_is_there_and_hears_them_and_of_nobody_else(seed: int, people: int):
    rng = random.Random(seed)
    audience = Audience()
    hears: dict[int, set[int]] = {}
    for _ in range(3 * people):
        user = rng.randrange(people)
        if rng.random() < 0.6:
            actors = {rng.choice((1, 2, 3, -4)) for _ in range(rng.randrange(4))}
            audience.add(user, actors)
            hears.setdefault(user, set()).update(actors)
        else:
            audience.remove(user)
            hears.pop(user, None)
    assert len(audience) == len(hears)
    for asked in ([1], [2, 3], [-4, 1, 1], [9], []):
        found = audience.of(asked)
        assert len(found) == len(set(found))
        if people <= 256:
            # Of few, exactly; of many, those who came back may be told of what they heard before.
            assert set(found) == {user for user, actors in hears.items() if actors & set(asked)}
        else:
            assert set(found) >= {user for user, actors in hears.items() if actors & set(asked)}
            assert set(found) <= hears.keys()
    for user in list(hears):
        audience.remove(user)
    assert not audience
    assert not any(audience.of([actor]) or audience.hears(actor) for actor in (1, 2, 3, -4))
