"""Finding mentions, URLs, hashtags and cashtags in a text, in one pass.

The pass stops at each sign that may belong to an entity: `@`, `#`, `$`, their full-width forms, and the dot of a host. Indices are in code
points, end exclusive. The rules are twitter-text's, version 3; `tests/kernel/test_text.py` runs its conformance cases.
"""

from typing import Final
from unicodedata import normalize

from msgspec import Struct

from . import patterns as p

MAX_URL_LENGTH: Final = 4096
MAX_TCO_SLUG_LENGTH: Final = 40
MAX_LABEL_LENGTH: Final = 63  # RFC 1035, 2.3.4, in octets of the encoded form


class Mention(Struct, frozen=True, gc=False):
    """`@handle`, or `@handle/list`: then `list_slug` is the list's name without the slash, and `end` lies behind it."""

    handle: str
    start: int
    end: int
    list_slug: str = ""


class Url(Struct, frozen=True, gc=False):
    """A URL as written: with `http://` or `https://`, or without any protocol."""

    url: str
    start: int
    end: int


class Hashtag(Struct, frozen=True, gc=False):
    """`#tag`: `tag` as written, without its sign, and `key`, the same for all its spellings."""

    tag: str
    start: int
    end: int
    key: str


class Cashtag(Struct, frozen=True, gc=False):
    """`$SYMBOL`: the symbol as written, without its sign."""

    symbol: str
    start: int
    end: int


class Entities(Struct, frozen=True, gc=False):
    """What a text refers to; each tuple in the order of the text. No two entities overlap."""

    mentions: tuple[Mention, ...] = ()
    urls: tuple[Url, ...] = ()
    hashtags: tuple[Hashtag, ...] = ()
    cashtags: tuple[Cashtag, ...] = ()


_NONE: Final = Entities()


def hashtag_key(tag: str) -> str:
    """The key under which all spellings of a hashtag meet: NFKC and case folding; `tag` without its sign.

    Folding can leave a text that NFKC would change, hence the second NFKC: the key of a key is itself.
    """
    if tag.isascii():
        return tag.lower()
    return normalize("NFKC", normalize("NFKC", tag).casefold())


def reply_handle(text: str) -> str | None:
    """The handle a text answers: the mention it begins with, but for spaces and directional marks; else None."""
    match = p.REPLY.match(text)
    return match[1] if match else None


def entities(text: str) -> Entities:
    """The mentions, URLs, hashtags and cashtags of `text`. Never raises.

    Where two overlap, the one that begins first stays. Linear in the length of the text.
    """
    first = p.SIGNS.search(text)
    if first is None:
        return _NONE
    mentions: list[Mention] = []
    urls: list[Url] = []
    hashtags: list[Hashtag] = []
    cashtags: list[Cashtag] = []
    is_ascii = text.isascii()
    end = 0  # of the last entity taken
    read = 0  # where the last URL ends, also one that was not taken
    looked = 0  # hosts are looked for up to here
    for sign in p.SIGNS.finditer(text, first.start()):
        at = sign.start()
        if at < end:
            continue
        match text[at]:
            case ".":
                if at < looked:
                    continue
                taken = len(urls)
                read, looked = _read_urls(text, at, read, urls)
                if len(urls) > taken:
                    if urls[taken].start < end:
                        _settle(urls, taken, end, mentions, hashtags)
                    if len(urls) > taken:
                        end = urls[-1].end
            case "@" | "\uff20":
                if found := p.MENTION.match(text, at):
                    end = found.end()
                    handle, list_slug = found.groups("")
                    mentions.append(Mention(handle, at, end, list_slug[1:]))
            case "$":
                if found := p.CASHTAG.match(text, at):
                    end = found.end()
                    cashtags.append(Cashtag(found[1], at, end))
            case _:
                found = p.ASCII_HASHTAG.match(text, at)
                if not is_ascii and not (found and _alone(text, at, found.end())):
                    found = p.HASHTAG.match(text, at)
                if found:
                    end = found.end()
                    tag = found[1]
                    hashtags.append(Hashtag(tag, at, end, hashtag_key(tag)))
    if not end:
        return _NONE
    return Entities(tuple(mentions), tuple(urls), tuple(hashtags), tuple(cashtags))


def _alone(text: str, start: int, end: int) -> bool:
    """Whether ASCII surrounds `text[start:end]`: what is read there by ASCII's rules is all there is."""
    return (not start or text[start - 1] < "\x80") and (end == len(text) or text[end] < "\x80")


def _settle(urls: list[Url], taken: int, end: int, mentions: list[Mention], hashtags: list[Hashtag]) -> None:
    """Resolve overlaps of `urls[taken:]`, just read, with entities taken before them, of which the last ends at `end`.

    A host can hold a full-width at or number sign; then the URL, whose dot comes later, may still begin first.
    """
    kept: list[Url] = []
    for url in urls[taken:]:
        last = max((bucket[-1].start for bucket in (mentions, hashtags) if bucket), default=-1)
        while url.start < last:
            bucket = mentions if mentions and mentions[-1].start == last else hashtags
            bucket.pop()
            last = max((bucket[-1].start for bucket in (mentions, hashtags) if bucket), default=-1)
        end = max((bucket[-1].end for bucket in (mentions, hashtags) if bucket), default=0)
        if url.start >= end:
            kept.append(url)
    urls[taken:] = kept


# --- URLs ------------------------------------------------------------------------------------------------------


def _read_urls(text: str, dot: int, read: int, urls: list[Url]) -> tuple[int, int]:
    """Append the URLs whose hosts lie in the run of host characters around `text[dot]`.

    `read` is the end of the last URL before. Returns the new one, and up to where no host need be looked for any more.
    """
    stops = p.HOST_STOPS
    if dot + 1 == len(text) or text[dot + 1] in stops:
        return read, dot  # the end of a sentence
    start = dot
    while start > read and text[start - 1] not in stops:
        start -= 1
    run = p.HOST_RUN.match(text, dot)
    stop = run.end() if run else dot
    at = start
    if text.startswith("://", start - 3) and start > 6:
        begin = _protocol(text, start, read)
        if begin >= 0:
            domain_end, _ = _domain(text, start, stop)
            if domain_end >= 0:
                read = _tail(text, domain_end)
                _append(text, begin, start, domain_end, read, urls)
                at = read + 1
    elif start == read and read:
        at = start + 1  # the character before a URL cannot be the end of another
    while at < stop and (first := p.HOST_START.search(text, at, stop)):
        at = first.start()
        domain_end, follow = _domain(text, at, stop)
        if follow < 0:
            follow = _tail(text, domain_end)
            if at == 0 or text[at - 1] not in "-_./":
                _append_ascii(text, at, domain_end, follow, urls)
            read = follow
            at = follow + 1
        else:
            at = follow
    return read, max(read, stop)


def _protocol(text: str, host: int, read: int) -> int:
    """Where the `http://` or `https://` that ends at `host` begins, if a URL may begin there; else -1."""
    before = text[max(host - 8, 0) : host].lower()
    if before == "https://":
        begin = host - 8
    elif before.endswith("http://"):
        begin = host - 7
    else:
        return -1
    if begin == 0 or ((begin > read or not read) and text[begin - 1] not in p.NOT_BEFORE_URL):
        return begin
    return -1


def _domain(text: str, at: int, stop: int) -> tuple[int, int]:
    """The longest domain that begins at `at` within a run that ends at `stop`.

    Returns (its end, -1), or (-1, where to look on). A name with an underscore right before its TLD is no domain, yet the text
    behind the underscore would be one: such a thing is answered as the place behind the underscore.
    """
    labels = p.LABELS.match(text, at, stop)
    if labels is None:
        dot = text.find(".", at, stop)
        return -1, dot + 1 if dot >= 0 else stop
    behind = -1
    dot = labels.end() - 1
    while dot >= at:
        end = tld_end(text, dot + 1)
        before = text.rfind(".", at, dot)
        if end >= 0:
            underscore = text.rfind("_", max(before, at), dot)
            if underscore < 0:
                return end, -1
            behind = max(behind, underscore + 1)
        dot = before
    return -1, behind if behind > 0 else labels.end()


def tld_end(text: str, at: int) -> int:
    """The end of the top-level domain that begins at `at`; -1 if there is none."""
    match = p.ASCII_TLD.match(text, at)
    if match:
        tld = match[0].lower()
        if tld in p.TLDS or tld.startswith("xn--"):
            return match.end()
    if text[at : at + p.IDN_TLD_SIZES[0]].isascii():
        return -1
    for size in p.IDN_TLD_SIZES:
        if text[at : at + size].lower() in p.IDN_TLDS and p.AFTER_TLD.match(text, at + size):
            return at + size
    return -1


def _tail(text: str, at: int) -> int:
    """The end of the port, path and query of a URL whose host ends at `at`."""
    follows = text[at : at + 1]
    if follows == ":" and (port := p.PORT.match(text, at)):
        at = port.end()
        follows = text[at : at + 1]
    if follows == "/" and (path := p.PATH.match(text, at)):
        at += len(path[0].rstrip(p.NOT_PATH_END))
        follows = text[at : at + 1]
    if follows == "?" and (query := p.QUERY.match(text, at)):
        at += len(query[0].rstrip(p.NOT_QUERY_END))
    return at


def _encoded_length(host: str) -> int:
    """The length of a host in its ASCII form; -1 if it has none, or a label is longer than 63."""
    if len(host) <= MAX_LABEL_LENGTH and host.isascii():
        return len(host)
    length = -1
    for label in p.IDNA_DOTS.split(host):
        size = len(label)
        if not label.isascii():
            # Each character takes one more octet at least: longer ones need not be encoded to be refused.
            if label[:4].lower() == "xn--" or size > MAX_LABEL_LENGTH:
                return -1
            try:
                size = 4 + len(label.encode("punycode"))
            except UnicodeError:
                return -1
        if size > MAX_LABEL_LENGTH:
            return -1
        length += size + 1
    return length


def _append(text: str, begin: int, host: int, domain_end: int, end: int, urls: list[Url]) -> None:
    """Append the URL `text[begin:end]`, which has a protocol, unless it is no valid one."""
    length = _encoded_length(text[host:domain_end])
    if length < 0 or host - begin + end - domain_end + length > MAX_URL_LENGTH:
        return
    url = text[begin:end]
    if domain_end - host == 4 and (tco := p.TCO.match(url)):
        if len(tco[1]) > MAX_TCO_SLUG_LENGTH:
            return
        url = tco[0]
        end = begin + len(url)
    urls.append(Url(url, begin, end))


def _append_ascii(text: str, host: int, domain_end: int, end: int, urls: list[Url]) -> None:
    """Append the URLs in `text[host:end]`, which has no protocol: only domains in Latin letters count then.

    In scripts that are written without spaces the words around belong to the host; the last domain gets path and query.
    """
    length = _encoded_length(text[host:domain_end])
    if length < 0 or end - domain_end + length > MAX_URL_LENGTH:
        return
    first = len(urls)
    for labels in p.ASCII_LABELS.finditer(text, host, domain_end):
        begin, dot = labels.start(), labels.end() - 1
        while dot >= begin:
            stop = tld_end(text, dot + 1)
            if stop >= 0:
                urls.append(Url(text[begin:stop], begin, stop))
                break
            dot = text.rfind(".", begin, dot)
    if end > domain_end and len(urls) > first:
        last = urls[-1]
        url = last.url + text[domain_end:end]
        urls[-1] = Url(url, last.start, end)
