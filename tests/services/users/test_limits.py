"""Whose attempts are counted together."""

from rookery.services.users.rules import address_key


def test_an_address_is_a_customers_network() -> None:
    assert address_key("2001:db8::1") == address_key("2001:db8::2")
    assert address_key("2001:db8::1") != address_key("2001:db8:0:1::1")
    assert address_key("::ffff:192.0.2.1") == "192.0.2.1"
    assert address_key("192.0.2.1") != address_key("192.0.2.2")
    assert address_key("unix socket") == "unix socket"
