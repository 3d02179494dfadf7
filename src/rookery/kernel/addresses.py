"""Network addresses of clients."""

from ipaddress import IPv6Address, ip_address


def address_key(address: str) -> str:
    """What counts as one network address: an IPv4 address, or the /64 of IPv6 that one customer gets.

    What is no address counts as it stands.
    """
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
