"""Whether a whole text is a handle, a list, a hashtag or a URL."""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from . import patterns as p

_HANDLE: Final = re.compile(r"[@\uff20][A-Za-z0-9_]{1,20}")
_LIST: Final = re.compile(r"[@\uff20][A-Za-z0-9_]{1,20}/[A-Za-z][A-Za-z0-9_-]{0,24}")

# RFC 3986, appendix B: scheme, authority, path, query, fragment.
_PARTS: Final = re.compile(r"(?:([^:/?#]+)://)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?")
# RFC 3986, 3.3, and Cyrillic letters.
_PCHAR: Final = rf"(?:[-A-Za-z0-9{p.CYRILLIC}._~!$&'()*+,;=:|@]|%[0-9A-Fa-f]{{2}})"
_PATH: Final = re.compile(f"(?:/{_PCHAR}*)*")
_QUERY: Final = re.compile(rf"(?:{_PCHAR}|[/?])*")
_USER: Final = r"(?:[-A-Za-z0-9._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*@"
_AUTHORITY: Final = re.compile(rf"(?:{_USER})?(\[[^\]]*\]|[^\[\]:@]*)(?::[0-9]+)?")
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
# ASCII letters and digits, and all that is not ASCII; said by what is left out, which compiles faster.
_LETTER: Final = r"[^\0-/:-@\[-`{-\x7f]"
_DOMAIN: Final = re.compile(
    rf"(?:{_LETTER}[^\0-,./:-@\[-^`{{-\x7f]*+(?<![-_])\.)*"  # subdomains
    rf"{_LETTER}[^\0-,./:-@\[-`{{-\x7f]*+(?<!-)\."
    r"[^\0-@\[-`{-\x7f][^\0-,./:-@\[-`{-\x7f]*+(?<!-)"
)


def is_handle(text: str) -> bool:
    """Whether `text` is a handle with its sign, such as `@rook`."""
    return _HANDLE.fullmatch(text) is not None


def is_list(text: str) -> bool:
    """Whether `text` names a list, such as `@rook/birds`."""
    return _LIST.fullmatch(text) is not None


def is_hashtag(text: str) -> bool:
    """Whether `text` is a hashtag with its sign."""
    return p.HASHTAG.fullmatch(text) is not None


def is_url(text: str, *, protocol: bool = True) -> bool:
    """Whether `text` is a web address by its form (RFC 3986, with Unicode hosts); `protocol`: http or https must be there."""
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return False
    scheme, authority, path, query, fragment = parts.groups()
    if (protocol or scheme) and (scheme or "").lower() not in ("http", "https"):
        return False
    if not (_PATH.fullmatch(path) and _QUERY.fullmatch(query or "") and _QUERY.fullmatch(fragment or "")):
        return False
    match = _AUTHORITY.fullmatch(authority)
    return match is not None and _is_host(match[1])


def _is_host(host: str) -> bool:
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except AddressValueError:
            return False
        return True
    return (_IPV4.fullmatch(host) or _DOMAIN.fullmatch(host)) is not None
