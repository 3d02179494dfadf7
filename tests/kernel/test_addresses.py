"""What counts as one network address."""

import pytest

from rookery.kernel.addresses import address_key


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "192.0.2.1", False),
        ("unix:/run/proxy", "unix:/run/other", False),
    ],
)
def test_an_ipv4_address_or_what_one_customer_has_of_ipv6_is_one(one, other, same):
    assert (address_key(one) == address_key(other)) is same
