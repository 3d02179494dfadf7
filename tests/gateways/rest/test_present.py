"""What services answer about people, as the JSON that clients get."""

import json

from rookery.gateways.rest import present
from rookery.kernel.visibility import State
from rookery.services.graph.contract import Counts
from rookery.services.users.contract import Account, Role, User

NEW_YEAR = 1_767_225_600_000
ANN = User(1, "ann", "Ann", "", "", None, False, State.ACTIVE, Role.PERSON, NEW_YEAR, 1)


def shown(shape: object):
    return json.loads(present.encode(shape))


def test_moments_are_rfc_3339_in_utc_with_milliseconds():
    assert present.rfc3339(NEW_YEAR) == "2026-01-01T00:00:00.000Z"
    assert present.rfc3339(NEW_YEAR + 1_234) == "2026-01-01T00:00:01.234Z"
    assert present.rfc3339(-1) == "1969-12-31T23:59:59.999Z"


def test_only_the_owner_is_shown_what_is_private():
    public = shown(present.user(ANN, Counts(3, 4), 5, 9))
    assert public["pinned_tweet"] == "9"
    assert public["counts"] == {"followers": 3, "following": 4, "tweets": 5}
    own = shown(present.account(Account(ANN, "ann@example.com", "2000-01-02", "AT", NEW_YEAR), Counts(3, 4), 5, 9))
    assert set(own) - set(public) == {
        "state", "email", "email_verified", "email_pending", "date_of_birth", "country", "last_active",
    }  # fmt: skip
    assert {key: own[key] for key in public} == public
